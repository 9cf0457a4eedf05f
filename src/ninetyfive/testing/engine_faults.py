"""What every engine must do when something goes wrong: the half of `engine_suite` that is about errors.

A function that raises, output that was not declared, plans that cannot be, too many rows of one key: the error names
it, and what was there before stays as it was.

What does not belong here: what goes well (`engine_suite`).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ninetyfive.errors import DataError, EngineError, PlanError
from ninetyfive.plan import Engine, Map, Part, Plan, Read, Reduce, Shuffle, Write
from ninetyfive.relations import rows_of
from ninetyfive.testing.engine_plans import (
    NUMBERS,
    Doubled,
    FirstOfEach,
    FrameReader,
    Gathers,
    Raises,
    SumCount,
    Types,
    columns,
    doubled,
    frame_part,
    numbers,
    read_of,
    three,
)

SMALL = 4 << 10
"""The bytes of a partition that the engine of the fixture `small` may hold."""


class EngineFaults:
    """The part of the contract that is about errors; `EngineSuite` has it."""

    def test_a_function_that_raises_is_named(self, engine: Engine, tmp_path: Path) -> None:
        plan = three()
        broken = Map(plan, Raises(1, ZeroDivisionError("by zero")), columns(NUMBERS))
        part = frame_part(numbers(10))
        with pytest.raises(EngineError, match=rf"Raises on span {part.span[:12]}, chunk 0.*ZeroDivisionError: by zero"):
            engine.run({"files": Write(plan, str(tmp_path / "out")), "broken": broken})
        assert not (tmp_path / "out").exists()

    def test_the_row_that_a_function_cannot_take_is_named(self, engine: Engine) -> None:
        frame = pl.DataFrame({"k": range(20), "x": [0.5] * 20}, schema=NUMBERS)
        broken = Map(read_of(frame, chunk=8), Raises(13, ValueError("thirteen")), columns(NUMBERS))
        with pytest.raises(
            EngineError, match=r"function Raises on span \w{12}, chunk 1, row 5: .*ValueError: thirteen"
        ):
            engine.run({"rows": broken})

    def test_a_key_with_too_many_rows_is_named(self, small: Engine, tmp_path: Path) -> None:
        types: Types = {"k": pl.String(), "x": pl.Int64()}
        frame = pl.DataFrame({"k": ["few", *["many"] * 900, "other"], "x": range(902)}, schema=types)
        source = rows_of(read_of(frame, chunk=100), types)
        gathered = Shuffle((source,), (("k",),), Gathers(("k",)), columns({**types, "met": pl.Int64()}), partitions=2)
        with pytest.raises(EngineError, match=r"Shuffle Gathers, input 0, partition \d: .* have k='many'.*apart"):
            small.run({"files": Write(source, str(tmp_path / "out")), "met": gathered})
        assert not (tmp_path / "out").exists()
        several = pl.DataFrame({"k": [str(row % 30) for row in range(900)], "x": range(900)}, schema=types)
        gathered = Shuffle(
            (rows_of(read_of(several), types),), (("k",),), Gathers(("k",)), gathered.output, partitions=1
        )
        with pytest.raises(EngineError, match=r"raise partition_memory .*, or partitions= of the Shuffle\.$"):
            small.run({"met": gathered})

    def test_errors_of_ours_pass_unchanged(self, engine: Engine) -> None:
        error = DataError("row 5", expected="a", got="b", do="c")
        with pytest.raises(DataError, match="row 5: expected a, got b"):
            engine.run({"broken": Map(three(), Raises(5, error), columns(NUMBERS))})

    def test_a_failed_run_leaves_what_was_there(self, engine: Engine, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_text("mine")
        broken = Map(three(), Raises(2006, ValueError("no")), columns(NUMBERS))
        gathered = Shuffle((rows_of(three(), NUMBERS),), (("k",),), Gathers(("x",)), columns(NUMBERS))
        for plan in (broken, gathered):
            with pytest.raises((EngineError, PlanError)):
                engine.run({"files": Write(doubled(three()), str(tmp_path / "out")), "broken": plan})
            assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]

    def test_output_that_was_not_declared(self, engine: Engine) -> None:
        with pytest.raises(PlanError, match="function Doubled: expected the declared columns: k Int64"):
            engine.run({"rows": Map(three(), Doubled(), columns(NUMBERS))})
        source = rows_of(three(), NUMBERS)
        with pytest.raises(PlanError, match="function Gathers"):
            engine.run({"rows": Shuffle((source,), (("k",),), Gathers(("k",)), columns(NUMBERS))})
        with pytest.raises(PlanError, match="two frames"):
            engine.run({"rows": Map(three(), Raises(-1, ValueError()), columns(NUMBERS), side="rejected")})
        with pytest.raises(PlanError, match="no such column"):
            engine.run({"rows": rows_of(three(), {"z": pl.Int64()})})

    def test_plans_that_cannot_be(self, engine: Engine, tmp_path: Path) -> None:
        part = frame_part(numbers(3))
        source = rows_of(three(), NUMBERS)
        output = columns(NUMBERS)
        reduced = Reduce(three(), SumCount("x"))
        files = Write(three(), str(tmp_path / "out"))
        first = FirstOfEach(("k",))
        wrong: dict[str, dict[str, Plan]] = {
            "which is an end": {"a": Map(reduced, first, output)},  # type: ignore[arg-type]
            "twice": {"a": Read((part, part), FrameReader())},
            "named by its content hash": {"a": Read((Part("../x", "x"),), FrameReader())},
            "declared columns": {"a": Shuffle((three(),), (("k",),), first, output)},
            "dtypes of input 0": {"a": Shuffle((source, source), (("k",), ("x",)), first, output)},
            "keys for each input": {"a": Shuffle((source, source), (("k",),), first, output)},
            "did you mean|there are: k, x": {"a": Shuffle((source,), (("kk",),), first, output)},
            "at least one column": {"a": Read((part,), FrameReader(), columns=())},
            "Reduce.by": {"a": Reduce(source, SumCount("x"), by=("z",))},
            "two that share one": {"a": files, "b": Write(source, str(tmp_path / "out") + "/")},
            "compare by value": {"a": Read((Part("a", "x", (("list", []),)),), FrameReader())},
        }
        for words, plans in wrong.items():
            with pytest.raises(PlanError, match=words):
                engine.run(plans)
        assert not (tmp_path / "out").exists()
        with pytest.raises(PlanError, match=r"did you mean|there are: k, x"):
            engine.run({"a": Read((part,), FrameReader(), columns=("z",))})
