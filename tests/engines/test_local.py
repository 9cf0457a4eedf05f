"""What the local engine promises beyond the contract: threads, spilling, progress, clean ends."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ninetyfive.engines.local import LocalEngine
from ninetyfive.errors import EngineError, PlanError, SourceError, StoreError
from ninetyfive.plan import CHUNK_ROWS, Engine, Map, Part, Plan, Read, Reduce, Shuffle, Write
from ninetyfive.relations import rows_of
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.testing.engine_plans import (
    DOUBLED,
    NUMBERS,
    FrameReader,
    Gathers,
    Raises,
    SumCount,
    columns,
    doubled,
    frame_part,
    numbers,
    read_of,
    three,
)
from ninetyfive.testing.engine_suite import comparable


def everything(source: Plan, folder: Path) -> dict[str, Plan]:
    """A job with every kind of node and end."""
    good = doubled(source)
    met = Shuffle((good,), (("x",),), Gathers(("x",)), columns({**DOUBLED, "met": pl.Int64()}), (("k",),))
    return {
        "rows": good,
        "sum": Reduce(good, SumCount("twice")),
        "by": Reduce(good, SumCount("twice"), by=("x",)),
        "files": Write(good, str(folder / "files")),
        "met": met,
        "met files": Write(met, str(folder / "met")),
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one thread without spilling makes of nine parts."""
    plans = everything(nine(), tmp_path_factory.mktemp("expected"))
    results = LocalEngine(threads=1).run(plans)
    return {name: comparable(plan, results[name]) for name, plan in plans.items()}


def nine(order: list[int] | None = None, known: bool = True) -> Read:
    frames = [numbers(rows, seed) for seed, rows in enumerate((31, 1, 7, 0, 12, 50, 3, 9, 2))]
    return read_of(*(frames[number] for number in order or range(9)), known=known)


@settings(max_examples=12)
@given(
    threads=st.sampled_from([1, 2, 7]),
    memory=st.sampled_from([0, 2_000, 1 << 20]),
    order=st.permutations(range(9)),
    known=st.booleans(),
)
def test_the_same_bytes_whatever_the_threads_memory_and_order(
    expected: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    threads: int,
    memory: int,
    order: list[int],
    known: bool,
) -> None:
    plans = everything(nine(order, known), tmp_path_factory.mktemp("run"))
    results = LocalEngine(threads=threads, memory=memory).run(plans)
    assert {name: comparable(plan, results[name]) for name, plan in plans.items()} == expected


def test_it_is_an_engine() -> None:
    assert isinstance(LocalEngine(), Engine)
    with pytest.raises(PlanError, match="at least 1"):
        LocalEngine(threads=0)


def test_temporary_files_are_gone(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    engine = LocalEngine(memory=0, temporary=temporary)
    engine.run(everything(nine(), tmp_path / "out"))
    assert list(temporary.iterdir()) == []
    gathered = Shuffle((rows_of(three(), NUMBERS),), (("k",),), Gathers(("nothing",)), columns(NUMBERS))
    with pytest.raises(EngineError):
        engine.run({"met": gathered})
    assert list(temporary.iterdir()) == []


def test_progress_tells_rows(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    engine = LocalEngine(threads=2, progress=lambda done, total: told.append((done, total)))
    engine.run({"rows": nine(), "again": doubled(nine())})
    assert told[-1] == (115, 115)
    assert told == sorted(told)
    told.clear()
    engine.run({"rows": nine(known=False)})
    assert told[-1] == (115, None)


def test_states_are_folded_as_they_come(tmp_path: Path) -> None:
    """At most threads + 2 chunks are open: read, worked on or waiting to be folded."""
    reader = Watched()
    part = frame_part(numbers(60), chunk=1)
    LocalEngine(threads=3).run({"rows": Map(Read((part,), reader), Slow(), columns(NUMBERS))})
    assert 1 < reader.most <= 5


@dataclass(frozen=True)
class Watched:
    """Counts the chunks that are read and not yet let go."""

    state: dict[str, int] = field(default_factory=lambda: {"open": 0, "most": 0}, compare=False)
    lock: Any = field(default_factory=threading.Lock, compare=False)

    @property
    def most(self) -> int:
        return self.state["most"]

    def count(self, part: Part) -> int | None:
        return FrameReader().count(part)

    def read(
        self, part: Part, first: int = 0, last: int | None = None, columns: tuple[str, ...] | None = None
    ) -> Iterator[pl.DataFrame]:
        with self.lock:
            self.state["open"] += 1
            self.state["most"] = max(self.state["most"], self.state["open"])
        yield from FrameReader().read(part, first, last, columns)
        time.sleep(0.001)
        with self.lock:
            self.state["open"] -= 1


@dataclass(frozen=True)
class Slow:
    """The rows, a little later for some."""

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        time.sleep(0.003 if frame["k"][0] % 5 == 0 else 0)
        return frame


@dataclass(frozen=True)
class Interrupts:
    """Does at row 5 what Ctrl-C does."""

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        if 5 in frame["k"]:
            _thread.interrupt_main()
        time.sleep(0.01)
        return frame


def test_an_interrupt_stops_and_cleans_up(tmp_path: Path) -> None:
    reader = Watched()
    source = Map(Read((frame_part(numbers(3000), chunk=1),), reader), Interrupts(), columns(NUMBERS))
    with pytest.raises(KeyboardInterrupt):
        LocalEngine(threads=2).run({"files": Write(source, str(tmp_path / "out"))})
    assert not (tmp_path / "out").exists()
    assert reader.state["open"] == 0


def test_a_text_file_that_breaks_late_leaves_nothing(tmp_path: Path) -> None:
    source = Read((frame_part(numbers(4), known=False),), Breaks())
    with pytest.raises(SourceError, match="line 5"):
        LocalEngine().run({"files": Write(source, str(tmp_path / "out"))})
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Breaks:
    """A reader of which the second chunk cannot be read."""

    def count(self, _: Part) -> int | None:
        return None

    def read(self, *_: object) -> Iterator[pl.DataFrame]:
        yield numbers(4)
        raise SourceError("line 5", expected="2 fields", got="3", do="repair it")


@dataclass(frozen=True)
class Lies:
    """A reader of which the chunks are too many, or too large."""

    rows: int
    chunks: int

    def count(self, _: Part) -> int | None:
        return 1

    def read(self, *_: object) -> Iterator[pl.DataFrame]:
        for _ in range(self.chunks):
            yield pl.DataFrame({"k": pl.repeat(0, self.rows, eager=True)})


def test_readers_are_held_to_their_word() -> None:
    for reader, words in ((Lies(1, 2), "one frame for chunk 0"), (Lies(CHUNK_ROWS + 1, 1), "131073 rows")):
        with pytest.raises(PlanError, match=words):
            LocalEngine().run({"rows": Read((Part("a", "x", rows=(1,)),), reader)})


def test_chunks_with_other_columns_are_told() -> None:
    source = Read((frame_part(numbers(2)), frame_part(numbers(2).rename({"x": "y"}))), FrameReader())
    with pytest.raises(PlanError, match="same columns"):
        LocalEngine().run({"rows": source})


def test_a_function_without_effect_on_others_when_it_raises_late(tmp_path: Path) -> None:
    source = Map(nine(), Raises(5049, ValueError("late")), columns(NUMBERS))
    with pytest.raises(EngineError, match="late"):
        LocalEngine(threads=7, temporary=tmp_path).run({"files": Write(source, str(tmp_path / "out"))})
    assert list(tmp_path.iterdir()) == []


def test_many_rows_keep_their_chunks(tmp_path: Path) -> None:
    """Rows beyond one real chunk: row groups are chunks, and a shuffle cuts its output."""
    rows = 2 * CHUNK_ROWS + 10
    frame = pl.DataFrame({"k": pl.int_range(rows, eager=True), "x": pl.repeat(1.0, rows, eager=True)})
    source = rows_of(read_of(frame, chunk=CHUNK_ROWS), NUMBERS)
    one = Shuffle((source,), (("x",),), Gathers(("x",)), columns({**NUMBERS, "met": pl.Int64()}), partitions=4)
    plans: dict[str, Plan] = {"files": Write(source, str(tmp_path / "a")), "met": Write(one, str(tmp_path / "b"))}
    results = LocalEngine(memory=1 << 20).run(plans)
    for name in plans:
        (file,) = results[name]
        assert file.rows == (CHUNK_ROWS, CHUNK_ROWS, 10)
        back = LocalEngine().run({"rows": Read((part_of(file),), SpanReader(), columns=("k",))})["rows"]
        assert back["k"].equals(frame["k"])


def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="permission"):
        LocalEngine().run({"files": Write(three(), str(tmp_path / "file" / "out"))})
