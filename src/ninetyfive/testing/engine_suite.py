"""What every engine must do, as tests: subclass once, give the engine as a fixture.

    class TestMine(EngineSuite):
        @pytest.fixture
        def engine(self):
            return MyEngine()

        @pytest.fixture
        def small(self):
            return MyEngine(partition_memory=SMALL)     # one that holds partitions of a few KiB

Most tests run plans on the engine and on `ReferenceEngine` and want the same: states equal as encoded bytes, files by
sha256, rows in the same order. All data is small and in memory (`frame_part`, chunks of a few rows); functions here
are picklable, so that an engine may run them in other processes. What goes wrong stands in `engine_faults`.

What does not belong here: an engine's own promises (threads, memory, spilling), tested beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ninetyfive.errors import PlanError, StoreError
from ninetyfive.hashing import bytes_hash
from ninetyfive.plan import (
    CHUNK_ROWS,
    POSITION,
    SPAN,
    Engine,
    Map,
    Plan,
    Read,
    Reduce,
    Shuffle,
    Write,
    merge_keyed,
    merge_states,
)
from ninetyfive.relations import repeated_ids, rows_of
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.testing.engine_faults import EngineFaults
from ninetyfive.testing.engine_plans import (
    DOUBLED,
    NUMBERS,
    REJECTED,
    Doubled,
    FirstOfEach,
    FrameReader,
    Gathers,
    Joins,
    SumCount,
    Types,
    columns,
    doubled,
    frame_part,
    numbers,
    read_of,
    special_values,
    three,
)
from ninetyfive.testing.reference_engine import ReferenceEngine


def comparable(plan: Plan, result: Any) -> Any:
    """A result in a form where equal means the same bytes (urls of files left out)."""
    if isinstance(plan, Reduce):
        encode = plan.reducer.encode
        return {
            span: [(key, encode(kept)) for key, kept in state.items()] if plan.by else encode(state)
            for span, state in result.items()
        }
    if isinstance(plan, Write):
        return [(file.span, Path(file.url).name, file.sha256, file.rows, file.checks) for file in result]
    return [repr(row) for row in result.rows()], result.schema


class EngineSuite(EngineFaults):
    """The contract of engines; subclasses give the fixtures `engine` and `small`."""

    def agree(self, engine: Engine, plans: Mapping[str, Plan], tmp_path: Path) -> dict[str, Any]:
        """Run plans on the engine and on the reference, compare all results, and give those of the engine."""
        results = engine.run(plans)
        moved = {
            name: Write(plan.input, str(tmp_path / "reference" / name)) if isinstance(plan, Write) else plan
            for name, plan in plans.items()
        }
        expected = ReferenceEngine().run(moved)
        assert list(results) == list(plans)
        for name, plan in plans.items():
            assert comparable(plan, results[name]) == comparable(plan, expected[name]), name
        return results

    # ------------------------------------------------------------------ the five nodes

    def test_read_gives_rows_in_canonical_order(self, engine: Engine, tmp_path: Path) -> None:
        plan = three()
        rows = self.agree(engine, {"rows": plan}, tmp_path)["rows"]
        assert rows.height == 18
        backwards = Read(plan.parts[::-1], plan.reader)
        assert engine.run({"rows": backwards})["rows"].equals(rows)

    def test_read_picks_columns_and_adds_positions(self, engine: Engine, tmp_path: Path) -> None:
        part = frame_part(numbers(7))
        plan = Read((part,), FrameReader(), columns=("x",), position=True)
        where = Read((part,), FrameReader(), columns=(), position=True)
        results = self.agree(engine, {"rows": plan, "where": where}, tmp_path)
        rows = results["rows"]
        assert results["where"].equals(rows.drop("x"))
        assert rows.columns == ["x", SPAN, POSITION]
        assert rows[SPAN].unique().to_list() == [part.span]
        at = [0, 1, 2, CHUNK_ROWS, CHUNK_ROWS + 1, CHUNK_ROWS + 2, 2 * CHUNK_ROWS]
        assert rows[POSITION].to_list() == at
        assert rows.schema[POSITION] == pl.Int64

    def test_read_leaves_out_positions(self, engine: Engine, tmp_path: Path) -> None:
        whole = frame_part(numbers(7))
        part = frame_part(numbers(7), without=(1, CHUNK_ROWS, CHUNK_ROWS + 1, CHUNK_ROWS + 2, 5 * CHUNK_ROWS))
        plans = {"all": Read((whole,), FrameReader()), "some": Read((part,), FrameReader(), position=True)}
        rows = self.agree(engine, plans, tmp_path)
        assert rows["all"].height == 7
        assert rows["some"]["k"].to_list() == [0, 2, 6]

    def test_map_gives_both_sides(self, engine: Engine, tmp_path: Path) -> None:
        good = doubled(three())
        bad = Map(three(), Doubled(), columns(REJECTED), side="rejected")
        rows = self.agree(engine, {"good": good, "bad": bad}, tmp_path)
        assert rows["good"].height + rows["bad"].height == 18
        assert rows["bad"].height > 0

    def test_reduce_makes_one_state_a_span(self, engine: Engine, tmp_path: Path) -> None:
        plan = Reduce(doubled(three()), SumCount("twice"))
        states = self.agree(engine, {"sum": plan}, tmp_path)["sum"]
        assert list(states) == sorted(part.span for part in three().parts)
        rows, nulls, _ = plan.reducer.result(merge_states(plan.reducer, states))
        kept = engine.run({"rows": doubled(three())})["rows"]
        assert (rows, nulls) == (kept.height, kept["x"].null_count())

    def test_reduce_takes_rows_where_a_column_is_true(self, engine: Engine, tmp_path: Path) -> None:
        types: Types = {"x": pl.Int64(), "w": pl.Boolean()}
        frame = pl.DataFrame({"x": [1, 2, 4, 8, 16], "w": [True, None, False, True, None]}, schema=types)
        plan = Reduce(read_of(frame, chunk=2), SumCount("x"), where="w")
        states = self.agree(engine, {"sum": plan}, tmp_path)["sum"]
        assert merge_states(plan.reducer, states) == (2, 0, 9.0)
        with pytest.raises(PlanError, match="Boolean"):
            engine.run({"sum": Reduce(read_of(frame), SumCount("x"), where="x")})

    def test_reduce_by_key(self, engine: Engine, tmp_path: Path) -> None:
        nan = math.nan
        frame = pl.DataFrame(
            {
                "f": [0.0, -0.0, nan, None, nan, 1.5, None, 0.0],
                "t": [datetime(1970, 1, 1, 0, 0, 1)] * 7 + [None],
                "d": [date(1970, 1, 2)] * 8,
                "x": [1, 2, 4, 8, 16, 32, 64, 128],
            }
        )
        by = Reduce(read_of(frame, frame.head(3), chunk=2), SumCount("x"), by=("f", "t", "d"))
        merged = merge_keyed(by.reducer, self.agree(engine, {"by": by}, tmp_path)["by"])
        second = 1_000_000
        assert merged == {
            (0.0, second, 1): (4, 0, 6.0),
            (math.nan, second, 1): (3, 0, 24.0),
            (None, second, 1): (2, 0, 72.0),
            (1.5, second, 1): (1, 0, 32.0),
            (0.0, None, 1): (1, 0, 128.0),
        }

    def test_write_gives_the_same_files(self, engine: Engine, tmp_path: Path) -> None:
        plan = Write(doubled(three()), str(tmp_path / "out" / "deep"))
        files = self.agree(engine, {"files": plan}, tmp_path)["files"]
        assert [file.span for file in files] == sorted(part.span for part in three().parts)
        for file in files:
            assert bytes_hash(Path(file.url).read_bytes()) == file.sha256
        assert all(0 < rows <= 3 for file in files for rows in file.rows)

    def test_written_files_read_back(self, engine: Engine, tmp_path: Path) -> None:
        first = engine.run({"files": Write(doubled(three()), str(tmp_path / "one")), "rows": doubled(three())})
        again = Read(tuple(part_of(file) for file in first["files"]), SpanReader())
        second = self.agree(engine, {"files": Write(again, str(tmp_path / "two")), "rows": again}, tmp_path)
        assert second["rows"].equals(first["rows"])
        assert [file.sha256 for file in second["files"]] == [file.sha256 for file in first["files"]]

    def test_a_file_that_is_there_is_not_overwritten(self, engine: Engine, tmp_path: Path) -> None:
        plan = Write(three(), str(tmp_path / "out"))
        before = engine.run({"files": plan})["files"]
        with pytest.raises(StoreError, match="attempt"):
            engine.run({"files": plan})
        for file in before:
            assert bytes_hash(Path(file.url).read_bytes()) == file.sha256

    # ------------------------------------------------------------------ shuffle

    def test_shuffle_brings_equal_keys_together(self, engine: Engine, tmp_path: Path) -> None:
        types: Types = {"a": pl.Int64(), "b": pl.String(), "x": pl.Int64()}
        frame = pl.DataFrame(
            {"a": [k % 5 for k in range(40)], "b": ["u", "v", ""] * 13 + ["u"], "x": range(40)}, schema=types
        )
        source = rows_of(read_of(frame[:25], frame[25:], chunk=4), types)
        output = columns({**types, "met": pl.Int64()})
        for partitions in (1, 3, 16):
            plan = Shuffle((source,), (("a", "b"),), Gathers(("a", "b")), output, partitions=partitions)
            rows = self.agree(engine, {"rows": plan}, tmp_path)["rows"]
            met = frame.with_columns(met=pl.len().over("a", "b").cast(pl.Int64))
            assert rows.sort("x").equals(met)

    def test_shuffle_sorts_by_key_then_order_then_row(self, engine: Engine, tmp_path: Path) -> None:
        types: Types = {"a": pl.Float64(), "t": pl.Datetime("us"), "x": pl.Int64()}
        frame = pl.DataFrame(
            {
                "a": [1.0, -0.0, math.nan, 0.0, None, math.nan, -5.0, math.inf, 0.0, None],
                "t": [9, None, 2, 9, 1, 1, 4, 4, 3, 0],
                "x": range(10),
            },
            schema_overrides={"t": pl.Int64},
        ).cast({"t": pl.Datetime("us")})
        source = rows_of(read_of(frame, frame.with_columns(x=pl.col("x") + 100)), types)
        output = columns({**types, "met": pl.Int64()})
        plan = Shuffle((source,), (("a",),), Gathers(("a",)), output, (("t",),), partitions=1)
        rows = self.agree(engine, {"rows": plan}, tmp_path)["rows"]
        order = [value % 100 for value in rows["x"].to_list()]
        assert order == [6, 6, 8, 8, 3, 3, 1, 1, 0, 0, 7, 7, 5, 5, 2, 2, 9, 9, 4, 4]
        assert rows["met"].to_list() == [2, 2, 6, 6, 6, 6, 6, 6, 2, 2, 2, 2, 4, 4, 4, 4, 0, 0, 0, 0]

    @pytest.mark.parametrize(
        ("dtype", "values"),
        [
            (pl.Boolean(), [True, False, None, True]),
            (pl.Int64(), [2**53 + 1, 2**53, None, 2**53 + 1]),
            (pl.Float64(), [0.0, math.nan, None, -0.0]),
            (pl.String(), ["", "é" * 40, None, ""]),
            (pl.Date(), [0, 1, None, 0]),
            (pl.Datetime("us"), [0, -1, None, 0]),
            (pl.Datetime("us", "UTC"), [0, 1, None, 0]),
            (pl.Decimal(20, 2), [Decimal("1.10"), Decimal("1.20"), None, Decimal("1.10")]),
        ],
    )
    def test_shuffle_joins_on_any_key_type(
        self, engine: Engine, tmp_path: Path, dtype: pl.DataType, values: list[Any]
    ) -> None:
        base = pl.Int64() if dtype.is_temporal() else dtype
        left = pl.DataFrame({"k": pl.Series(values, dtype=base).cast(dtype), "x": range(4)}, schema_overrides=None)
        right = pl.DataFrame({"k": pl.Series(values[1:], dtype=base).cast(dtype), "y": ["one", "null", "zero"]})
        types: Types = {"k": dtype, "x": pl.Int64()}
        joined = Shuffle(
            (rows_of(read_of(left), types), rows_of(read_of(right, chunk=1), {"k": dtype, "y": pl.String()})),
            (("k",), ("k",)),
            Joins(("k",)),
            columns({**types, "y": pl.String()}),
        )
        rows = self.agree(engine, {"rows": joined}, tmp_path)["rows"]
        assert rows.sort("x")["y"].to_list() == ["zero", "one", None, "zero"]

    def test_shuffle_of_skewed_and_null_keys(self, engine: Engine, tmp_path: Path) -> None:
        types: Types = {"k": pl.Int64(), "x": pl.Int64()}
        frame = pl.DataFrame({"k": [7] * 60 + [None] * 60 + [8], "x": range(121)}, schema=types)
        source = rows_of(read_of(frame, chunk=50), types)
        gathered = Shuffle((source,), (("k",),), Gathers(("k",)), columns({**types, "met": pl.Int64()}))
        rows = self.agree(engine, {"rows": gathered}, tmp_path)["rows"]
        assert rows.sort("x")["met"].to_list() == [60] * 60 + [0] * 60 + [1]
        nulls = rows.with_row_index().filter(pl.col("k").is_null())["index"]
        assert nulls.max() - nulls.min() > 60

    def test_nodes_follow_a_shuffle(self, engine: Engine, tmp_path: Path) -> None:
        source = rows_of(three(), NUMBERS)
        first = Shuffle((source, source), (("k",), ("k",)), FirstOfEach(("k",)), columns(NUMBERS))
        twice = doubled(first)
        second = Shuffle((twice,), (("x",),), Gathers(("x",)), columns({**DOUBLED, "met": pl.Int64()}), partitions=2)
        plans: dict[str, Plan] = {
            "rows": first,
            "twice": twice,
            "sum": Reduce(twice, SumCount("twice")),
            "by": Reduce(second, SumCount("twice"), by=("met",)),
            "files": Write(twice, str(tmp_path / "out")),
            "bad": Map(first, Doubled(), columns(REJECTED), side="rejected"),
        }
        results = self.agree(engine, plans, tmp_path)
        assert results["rows"].height == 18
        assert list(results["sum"]) == [""]
        assert [(file.span, Path(file.url).name) for file in results["files"]] == [("", "shuffled.parquet")]
        back = engine.run({"rows": Read((part_of(results["files"][0]),), SpanReader())})["rows"]
        assert back.equals(results["twice"])

    def test_repeated_ids(self, engine: Engine, tmp_path: Path) -> None:
        types: Types = {"id": pl.Int64(), "x": pl.Float64()}
        frame = pl.DataFrame(
            {"id": [1, 2, 1, 3, None, None, 4, 2], "x": [math.nan, 1.0, math.nan, 0.0, 9.0, 9.0, None, 2.0]},
            schema=types,
        )
        later = pl.DataFrame({"id": [3, 4, 5], "x": [-0.0, None, 1.0]}, schema=types)
        plan = repeated_ids([read_of(frame, later, position=True)], {"id": pl.Int64()})
        rows = self.agree(engine, {"rows": plan}, tmp_path)["rows"]
        parts = [frame_part(frame), frame_part(later)]
        second = max(parts, key=lambda part: part.span)
        crossed = {(parts[1].span, 0), (parts[1].span, 1)} if second == parts[1] else {(parts[0].span, CHUNK_ROWS)}
        crossed |= set() if second == parts[1] else {(parts[0].span, 2 * CHUNK_ROWS)}
        found = {(span, position): verdict for span, position, verdict in rows.rows()}
        assert found == {
            (parts[0].span, 2): "duplicate",
            (parts[0].span, 1): "conflict",
            (parts[0].span, 2 * CHUNK_ROWS + 1): "conflict",
            **dict.fromkeys(crossed, "duplicate"),
        }
        apart = [read_of(later, position=True), read_of(frame, position=True)]
        plan = repeated_ids(apart, {"id": pl.Int64()})
        assert sorted(self.agree(engine, {"rows": plan}, tmp_path)["rows"].rows()) == sorted(rows.rows())

    # ------------------------------------------------------------------ one job

    def test_many_sinks_are_one_job_and_functions_run_once(self, engine: Engine, tmp_path: Path) -> None:
        log = tmp_path / "calls"
        good = doubled(three(), str(log))
        plans: dict[str, Plan] = {
            "rows": good,
            "again": doubled(three(), str(log)),
            "files": Write(good, str(tmp_path / "out")),
            "bad": Map(three(), Doubled(str(log)), columns(REJECTED), side="rejected"),
            "sum": Reduce(doubled(three(), str(log)), SumCount("x")),
            "plain": Reduce(three(), SumCount("x")),
            "by": Reduce(good, SumCount("x"), by=("k",)),
        }
        before = engine.jobs
        results = engine.run(plans)
        assert engine.jobs == before + 1
        assert sorted(map(int, log.read_text().split())) == [1, 1, 1, 3, 3, 3, 3, 3]
        assert results["again"].equals(results["rows"])

    def test_reads_of_one_part_differ_in_what_they_take(self, engine: Engine, tmp_path: Path) -> None:
        frame = numbers(9)
        whole, cut = frame_part(frame), frame_part(frame, without=(0, 1))
        plans: dict[str, Plan] = {
            "k": Read((whole,), FrameReader(), columns=("k",)),
            "x": Read((cut,), FrameReader(), columns=("x",), position=True),
            "sum": Reduce(Read((cut,), FrameReader(), columns=("x", "k")), SumCount("x")),
        }
        results = self.agree(engine, plans, tmp_path)
        assert results["k"].columns == ["k"]
        assert (results["k"].height, results["x"].height) == (9, 7)

    @pytest.mark.parametrize(("known", "chunk"), [(True, 3), (False, 3), (True, 1)])
    def test_order_and_kind_of_parts_change_nothing(
        self, engine: Engine, tmp_path: Path, known: bool, chunk: int
    ) -> None:
        frames = [numbers(rows, seed) for seed, rows in enumerate((5, 0, 23, 1, 12))]
        plans: dict[int, dict[str, Plan]] = {}
        for turn, order in enumerate(([0, 1, 2, 3, 4], [3, 1, 4, 0, 2])):
            source = doubled(read_of(*(frames[number] for number in order), chunk=chunk, known=known))
            gathered = Shuffle((source,), (("x",),), Gathers(("x",)), columns({**DOUBLED, "met": pl.Int64()}))
            plans[turn] = {
                "sum": Reduce(source, SumCount("twice")),
                "by": Reduce(source, SumCount("twice"), by=("x",)),
                "files": Write(source, str(tmp_path / f"out{turn}")),
                "met": gathered,
                "met files": Write(gathered, str(tmp_path / f"met{turn}")),
            }
        first, second = self.agree(engine, plans[0], tmp_path), engine.run(plans[1])
        for name, plan in plans[0].items():
            assert comparable(plan, first[name]) == comparable(plan, second[name])

    # ------------------------------------------------------------------ values

    def test_values_pass_unchanged(self, engine: Engine, tmp_path: Path) -> None:
        frame = special_values()
        types = dict(frame.schema)
        source = rows_of(read_of(frame, chunk=2), types)
        gathered = Shuffle((source,), (("id",),), FirstOfEach(("id",)), columns(types), partitions=3)
        plans: dict[str, Plan] = {
            "rows": source,
            "files": Write(source, str(tmp_path / "out")),
            "met": gathered,
            "met files": Write(gathered, str(tmp_path / "met")),
        }
        results = self.agree(engine, plans, tmp_path)
        for rows in (results["rows"], results["met"].sort("id")):
            assert rows.schema == frame.schema
            assert [repr(row) for row in rows.rows()] == [repr(row) for row in frame.rows()]
        for name in ("files", "met files"):
            back = engine.run({"rows": Read(tuple(part_of(file) for file in results[name]), SpanReader())})["rows"]
            assert back.schema == frame.schema
            assert [repr(row) for row in back.sort("id").rows()] == [repr(row) for row in frame.rows()]

    def test_types_that_parquet_does_not_keep_are_refused(self, engine: Engine, tmp_path: Path) -> None:
        frame = pl.DataFrame({"a": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int64, 2))})
        with pytest.raises(PlanError, match="'a'"):
            engine.run({"files": Write(read_of(frame), str(tmp_path / "out"))})
        assert not (tmp_path / "out").exists()

    # ------------------------------------------------------------------ nothing

    def test_no_plans(self, engine: Engine) -> None:
        before = engine.jobs
        assert engine.run({}) == {}
        assert engine.jobs == before

    @pytest.mark.parametrize("frames", [(), (numbers(0),), (numbers(0), numbers(0).rename({"k": "j"}))])
    def test_no_rows(self, engine: Engine, tmp_path: Path, frames: tuple[pl.DataFrame, ...]) -> None:
        parts = tuple({part.span: part for part in map(frame_part, frames)}.values())
        source = doubled(Read(parts, FrameReader()))
        gathered = Shuffle((source,), (("k",),), Gathers(("k",)), columns({**DOUBLED, "met": pl.Int64()}))
        plans: dict[str, Plan] = {
            "rows": source,
            "sum": Reduce(source, SumCount("twice")),
            "by": Reduce(source, SumCount("twice"), by=("k",)),
            "files": Write(source, str(tmp_path / "out")),
            "met": gathered,
            "met sum": Reduce(gathered, SumCount("met")),
            "met files": Write(gathered, str(tmp_path / "met")),
        }
        results = self.agree(engine, plans, tmp_path)
        assert dict(results["rows"].schema) == DOUBLED
        assert results["sum"] == {part.span: (0, 0, 0.0) for part in parts}
        assert results["met sum"] == {"": (0, 0, 0.0)}
        assert [file.rows for file in (*results["files"], *results["met files"])] == [()] * (len(parts) + 1)
        back = Read(tuple(part_of(file) for file in results["files"]), SpanReader())
        assert engine.run({"rows": back})["rows"].height == 0
