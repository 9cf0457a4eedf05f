"""What the Beam engine promises beyond the contract: its runner, the root, names of steps, clean ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
import fsspec
import msgspec
import polars as pl
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ninetyfive.engines.beam
from ninetyfive.engines.beam import BeamEngine
from ninetyfive.engines.beam_graph import Root, _MergeStates, _message
from ninetyfive.engines.local import LocalEngine
from ninetyfive.engines.shipping import dumps
from ninetyfive.engines.submission import Submission
from ninetyfive.engines.tasks import run_task
from ninetyfive.errors import EngineError, SettingsError
from ninetyfive.plan import Engine, Map, Plan, Reduce, Shuffle, Write
from ninetyfive.testing.engine_plans import (
    DOUBLED,
    NUMBERS,
    Gathers,
    Raises,
    Sleeps,
    SumCount,
    columns,
    doubled,
    numbers,
    read_of,
    three,
)

pytestmark = pytest.mark.slow


def everything(folder: Path) -> dict[str, Plan]:
    """A job with every kind of step, spans of several blocks, and a shuffle behind a shuffle."""
    good = doubled(read_of(numbers(40), numbers(3, 1), chunk=1))
    types = {**DOUBLED, "met": pl.Int64()}
    met = Shuffle((good,), (("x",),), Gathers(("x",)), columns(types))
    again = Shuffle((Map(met, Columns(), columns(DOUBLED)),), (("k",),), Gathers(("k",)), columns(types))
    return {"sum": Reduce(again, SumCount("x")), "files": Write(good, str(folder / "files")), "rows": met}


@dataclass(frozen=True)
class Columns:
    """Drops the last column."""

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame[:, :-1]


def test_it_is_an_engine() -> None:
    assert isinstance(BeamEngine(), Engine)


def test_the_runner_is_named_and_so_is_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[beam.Pipeline] = []
    run = beam.Pipeline.run

    def watched(pipeline: beam.Pipeline, *given: Any) -> Any:
        seen.append(pipeline)
        return run(pipeline, *given)

    monkeypatch.setattr(beam.Pipeline, "run", watched)
    BeamEngine().run(everything(tmp_path))
    (pipeline,) = seen
    assert type(pipeline.runner) is FnApiRunner
    steps = pipeline.to_runner_api().components.transforms.values()
    names = {step.unique_name for step in steps if not step.unique_name.startswith("ref_")}
    top = {name for name in names if name and "/" not in name}
    assert top == {
        *("Tasks", "Spread tasks", "Read and map", "States", "Near states", "Merge near states"),
        *("Spread states", "Merge states", "Merged states"),
        *(f"Shuffle {number}, {what}" for number in (1, 2) for what in ("rows", "meet", "apply")),
        *("Files", "Meet files", "Write files", "Results", "Keep results"),
    }


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_all_that_travels_lies_under_a_root_that_is_gone_in_the_end(tmp_path: Path, where: str) -> None:
    root = str(tmp_path / "temporary") if where == "disk" else f"memory://{tmp_path.name}"
    files, path = fsspec.core.url_to_fs(root)
    files.makedirs(path)
    engine = BeamEngine({"temp_location": root}) if where == "disk" else BeamEngine(temporary=root)
    engine.run(everything(tmp_path / "good"))
    assert not files.ls(path)
    with pytest.raises(EngineError, match="Raises on span"):
        engine.run({"rows": Map(three(), Raises(5, ValueError("no")), columns(NUMBERS))})
    assert not files.ls(path)


class Flat(MemoryFileSystem):
    """A bucket as it is: no folders, so that one with nothing in it is not there."""

    protocol = "flat"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        pass

    def ls(self, path: str, detail: bool = True, **given: Any) -> Any:
        found = super().ls(path, detail, **given)
        if not found:
            raise FileNotFoundError(path)
        return found


def test_a_bucket_is_a_root_and_takes_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("flat", Flat, clobber=True)
    monkeypatch.setattr(ninetyfive.engines.beam, "_FAR", 0.05)
    told: list[int] = []
    engine = BeamEngine(temporary="flat://bucket/tmp", progress=lambda *both: told.append(both[0]))
    rows = doubled(read_of(*(numbers(20, seed) for seed in range(3)), chunk=2))
    found = engine.run({"files": Write(rows, "flat://bucket/out"), "sum": Reduce(rows, SumCount("x"))})
    here = LocalEngine().run({"files": Write(rows, str(tmp_path / "out")), "sum": Reduce(rows, SumCount("x"))})
    assert found["sum"] == here["sum"]
    assert [file.sha256 for file in found["files"]] == [file.sha256 for file in here["files"]]
    kept = sorted(path.rpartition("/bucket/")[2] for path in Flat.store)
    assert kept == sorted(f"out/{file.span}.parquet" for file in here["files"])
    assert told[-1] == 60
    broken = Map(rows, Raises(2005, ValueError("no")), columns(DOUBLED))
    with pytest.raises(EngineError, match="Raises"):
        engine.run({"files": Write(rows, "flat://bucket/again"), "sum": Reduce(broken, SumCount("x"))})
    assert len(Flat.store) == 3


@dataclass(frozen=True)
class Picky(SumCount):
    """A reducer whose merge can fail."""

    def merge(self, left: tuple[int, int, float], right: tuple[int, int, float]) -> tuple[int, int, float]:
        if left[0] > 4:
            raise ValueError("five is too many")
        return super().merge(left, right)


@pytest.mark.parametrize("options", [{}, {"direct_running_mode": "multi_processing", "direct_num_workers": 2}])
def test_a_merge_that_fails_is_named_wherever_it_runs(options: dict[str, Any]) -> None:
    plan = Reduce(read_of(numbers(60), chunk=1), Picky("x"))
    with pytest.raises(EngineError, match=r"reducer Picky: .*ValueError: five is too many"):
        BeamEngine(options).run({"sum": plan})
    late = Reduce(read_of(*(numbers(3, seed) for seed in range(3)), chunk=3), Picky("x"))
    assert len(BeamEngine(options).run({"sum": late})["sum"]) == 3


@given(cuts=st.lists(st.integers(0, 20), max_size=4), order=st.permutations(range(21)), early=st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_states_are_combined_in_any_grouping(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], order: list[int], early: bool
) -> None:
    submission = Submission({"sum": Reduce(read_of(numbers(161), chunk=1), SumCount("x"))}, 1)
    root = Root(str(tmp_path_factory.mktemp("root")))
    root.keep(*dumps(submission.job, *submission.tasks))
    sent = [msgspec.msgpack.encode(one) for task in submission.tasks for one in run_task(submission.job, task)]
    combine = _MergeStates(root.url)
    combine.setup()
    borders = [0, *sorted(cuts), len(sent)]
    accumulators = []
    for first, last in pairwise(borders):
        accumulator = combine.create_accumulator()
        for number in order[first:last]:
            accumulator = combine.add_input(accumulator, sent[number])
        if early and last > first:
            combine.extract_output(accumulator)
        accumulators.append(accumulator)
    message = _message(combine.extract_output(combine.merge_accumulators(accumulators)))
    with submission:
        found = submission.results([message])
    assert found == LocalEngine().run({"sum": Reduce(read_of(numbers(161), chunk=1), SumCount("x"))})


def test_progress_tells_rows(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    engine = BeamEngine(progress=lambda done, total: told.append((done, total)))
    slow = Map(read_of(*(numbers(3, seed) for seed in range(4))), Sleeps(str(tmp_path / "mark"), 0.5), columns(NUMBERS))
    engine.run({"sum": Reduce(slow, SumCount("x"))})
    assert told == sorted(told)
    assert len(told) > 2
    assert told[-1] == (12, 12)
    told.clear()
    engine.run({"sum": Reduce(three(known=False), SumCount("x"))})
    assert all(total is None for _, total in told)


def test_a_job_that_is_stopped_leaves_nothing(tmp_path: Path, interrupt_at: Callable[[Path], None]) -> None:
    mark, temporary = tmp_path / "mark", tmp_path / "temporary"
    temporary.mkdir()
    slow = Map(read_of(numbers(200), chunk=1), Sleeps(str(mark), 0.5), columns(NUMBERS))
    plans: dict[str, Plan] = {"files": Write(slow, str(tmp_path / "out")), "sum": Reduce(slow, SumCount("x"))}

    interrupt_at(mark)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        BeamEngine(temporary=str(temporary)).run(plans)
    assert time.monotonic() - started < 30  # all of it would sleep for 100 s
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mark", "temporary"]
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"direct_num_workers": "two"}, "expected values that Beam takes, got .*direct_num_workers.*'two'"),
        (
            {"direct_num_wrkers": 2},
            "'direct_num_wrkers': expected an option of Beam.* did you mean 'direct_num_workers'",
        ),
    ],
)
def test_options_that_cannot_be_are_told(
    option: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError, match=words):
        BeamEngine(option).run({"rows": three()})
    assert capsys.readouterr().err == ""


RUNNERS = """
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult

class Fails(FnApiRunner):
    def run_pipeline(self, pipeline, options):
        assert options.get_all_options()["flink_master"] == "host:8081"
        return Failed("FAILED")

class Failed(PipelineResult):
    def wait_until_finish(self, duration=None):
        return self.state
"""


def test_another_runner_gets_its_options_and_its_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runner_of_others.py").write_text(RUNNERS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    engine = BeamEngine({"runner": "runner_of_others.Fails", "flink_master": "host:8081"})
    with pytest.raises(EngineError, match="expected a job that ends well, got one that is FAILED"):
        engine.run({"files": Write(three(), str(tmp_path / "out"))})
    assert not (tmp_path / "out").exists()
    with pytest.raises(EngineError, match="NoSuchRunner"):
        BeamEngine({"runner": "NoSuchRunner"}).run({"rows": three()})
