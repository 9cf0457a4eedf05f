"""Steps in order: skipped, redone, resumed after kill -9 at every boundary, failed whole."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ninetyfive.errors import DataError, ModelError, NinetyfiveError, PlanError, UsageError
from ninetyfive.pipeline import Outcome, Step, code_version, from_step, run_steps
from ninetyfive.store.opening import Store, open_store


class Context:
    """What the steps of these tests see: the store, a threshold, and a list of who was called."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.threshold = 1
        self.called: list[str] = []


def ingest(context: Context) -> dict[str, Any]:
    context.called.append("ingest")
    blob = context.store.put_bytes(b"rows")
    return {"artifacts": {"rows": blob}, "count": 4, "pair": (1, 2)}


def fit(context: Context, ingested: Mapping[str, Any]) -> dict[str, Any]:
    context.called.append("fit")
    assert ingested["pair"] == [1, 2]
    return {"mean": ingested["count"] / context.threshold}


def train(context: Context, ingested: Mapping[str, Any], fitted: Mapping[str, Any]) -> dict[str, Any]:
    context.called.append("train")
    return {"model": fitted["mean"] > context.threshold, "artifacts": [*ingested["artifacts"].values()]}


STEPS: list[Step[Context]] = [
    Step("ingest", ingest),
    Step("fit", fit, needs=("ingest",), depends=lambda context: {"threshold": context.threshold}),
    Step("train", train, needs=("ingest", "fit")),
]


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with open_store(tmp_path / "store", actor="ada") as store:
        yield Context(store)


def run(context: Context, steps: list[Step[Context]] = STEPS, **words: Any) -> Outcome:
    store = context.store
    context.called.clear()
    with store.lease("test"):
        begun = store.begin_run("test", "key")
        outcome = run_steps(steps, context, store, begun.id, **words)
        store.finish_run(begun.id, "done")
    return outcome


def test_steps_run_in_order_and_are_skipped_the_next_time(context: Context) -> None:
    first = run(context)
    assert context.called == ["ingest", "fit", "train"]
    assert [(report.name, report.skipped) for report in first.steps] == [("ingest", 0), ("fit", 0), ("train", 0)]
    second = run(context)
    assert context.called == []
    assert second.outputs == first.outputs
    assert all(report.skipped for report in second.steps)
    assert second.outputs["train"]["model"] is True


def test_what_a_step_depends_on_makes_it_and_what_needs_it_due(context: Context) -> None:
    run(context)
    context.threshold = 2
    run(context)
    assert context.called == ["fit", "train"]
    context.threshold = 1
    run(context)
    assert context.called == []


def test_an_equal_output_stops_what_follows_from_being_due(context: Context) -> None:
    run(context)
    run(context, redo=["ingest"])
    assert context.called == ["ingest"]


def test_no_cache_and_from_a_step(context: Context) -> None:
    run(context)
    run(context, redo=from_step(STEPS, "fit"))
    assert context.called == ["fit", "train"]
    run(context, redo=from_step(STEPS, "ingest"))
    assert context.called == ["ingest", "fit", "train"]
    run(context, redo=from_step(STEPS, None))
    assert context.called == []
    with pytest.raises(UsageError, match="did you mean 'train'"):
        from_step(STEPS, "trian")


def test_a_lost_file_is_made_again(context: Context) -> None:
    first = run(context)
    context.store.path(first.outputs["ingest"]["artifacts"]["rows"]).unlink()
    run(context)
    assert context.called[0] == "ingest"
    assert not [finding for finding in context.store.doctor() if finding.level == "error"]


def test_progress_is_told(context: Context) -> None:
    told: list[tuple[str, str]] = []
    run(context, progress=lambda event, step, _: told.append((event, step)))
    run(context, progress=lambda event, step, _: told.append((event, step)))
    names = ["ingest", "fit", "train"]
    assert told[:6] == [(event, name) for name in names for event in ("started", "finished")]
    assert told[6:] == [("skipped", name) for name in names]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ModelError("model", expected="a fit", got="nothing", do="look"), "failed"),
        (DataError("ids", expected="unique ids", got="clashes", do="name more id columns"), "refused"),
        (ValueError("a bug"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_a_step_that_raises_ends_the_run_and_keeps_what_was_done(
    context: Context, error: BaseException, status: str
) -> None:
    def broken(context: Context, fitted: Mapping[str, Any]) -> dict[str, Any]:
        raise error

    with pytest.raises(type(error)):
        run(context, [*STEPS[:2], Step("train", broken, needs=("fit",))])
    (ended,) = context.store.runs()
    assert ended.status == status
    assert ended.document["step"] == "train"
    if isinstance(error, NinetyfiveError):
        assert ended.document["error"] == error.as_dict()
    run(context)
    assert context.called == ["train"]


@pytest.mark.parametrize("output", [{"x": object()}, None, [1], {"x": {1, 2, object()}}])
def test_an_output_that_json_cannot_hold_is_named(context: Context, output: Any) -> None:
    with pytest.raises(PlanError, match="step odd"):
        run(context, [Step("odd", lambda _: output)])


def test_a_list_of_steps_that_cannot_be_is_refused(context: Context) -> None:
    for steps in ([STEPS[1]], [STEPS[0], STEPS[0]], [STEPS[1], STEPS[0]]):
        with pytest.raises(PlanError, match="order the list of steps"):
            run(context, steps)


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def test_an_edit_of_the_module_makes_the_step_due(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "a_step_module.py"
    path.write_text("def step(context):\n    return {'is': 1}\n")
    module = load(path)
    assert run(context, [Step("step", module.step)]).outputs["step"] == {"is": 1}
    path.write_text("# edited\ndef step(context):\n    return {'is': 2}\n")
    module = load(path)
    assert run(context, [Step("step", module.step)]).outputs["step"] == {"is": 2}
    del sys.modules["a_step_module"]


def test_the_code_of_modules_used_counts(tmp_path: Path) -> None:
    path = tmp_path / "a_used_module.py"
    path.write_text("x = 1\n")
    module = load(path)
    before = code_version(ingest, [module])
    assert before != code_version(ingest)
    path.write_text("x = 2\n")
    assert code_version(ingest, [module]) != before
    del sys.modules["a_used_module"]


def test_a_function_without_a_file_counts_with_its_code() -> None:
    one: dict[str, Any] = {}
    two: dict[str, Any] = {}
    exec("def f(context): return {'is': 1}", {"__name__": "nowhere"}, one)
    exec("def f(context): return {'is': 2}", {"__name__": "nowhere"}, two)
    assert code_version(one["f"]) != code_version(two["f"])
    assert code_version(one["f"]) == code_version(one["f"])


RUN = """
import sys
from pathlib import Path
from ninetyfive.pipeline import Step, run_steps
from ninetyfive.store.opening import open_store

log = Path(sys.argv[1]) / "calls"

def called(name):
    with log.open("a") as stream:
        stream.write(name + "\\n")

def data(store):
    called("data")
    return {"artifacts": [store.put_bytes(b"data")]}

def train(store, data):
    called("train")
    with store.attempt() as attempt:
        (attempt / "model").write_bytes(b"model")
        return {"artifacts": [store.put_folder(attempt, "release-1")]}

def release(store, trained):
    called("release")
    run = store.holder().run
    store.add_release("1" * 64, trained["artifacts"][0], {}, run)
    top = store.champion()
    store.promote("1" * 64, top.epoch if top else 0, "gates passed")
    return {"release": "1" * 64}

steps = [Step("data", data), Step("train", train, ("data",)), Step("release", release, ("train",))]
with open_store(Path(sys.argv[1]) / "store") as store, store.lease("run"):
    run = store.begin_run("run", "key")
    run_steps(steps, store, store, run.id)
    store.finish_run(run.id, "done")
"""


def start(folder: Path, crash: str = "") -> int:
    script = folder / "script.py"
    script.write_text(RUN)
    environment = {**os.environ, "NINETYFIVE_CRASH": f"kill {crash}" if crash else ""}
    return subprocess.run([sys.executable, str(script), str(folder)], check=False, env=environment).returncode


@pytest.mark.slow
@pytest.mark.parametrize("step", ["data", "train", "release"])
@pytest.mark.parametrize("moment", ["before", "computed", "after"])
def test_killed_at_a_boundary_a_run_resumes_and_registers_one_release(tmp_path: Path, moment: str, step: str) -> None:
    assert start(tmp_path, f"{moment} {step}") == -signal.SIGKILL
    with open_store(tmp_path / "store", create=False) as store:
        assert [run.status for run in store.runs()] == ["interrupted"]
        assert not [finding for finding in store.doctor() if finding.level == "error"]
    assert start(tmp_path) == 0
    with open_store(tmp_path / "store", create=False) as store:
        (run,) = store.runs()
        assert (run.status, run.resumes, run.release) == ("done", 1, "1" * 64)
        assert len(store.releases()) == 1
        assert [pointer.epoch for pointer in store.history()] == [1]
        assert not [finding for finding in store.doctor() if finding.kind != "disk space"]
    calls = (tmp_path / "calls").read_text().split()
    again = [step] if moment == "computed" else []
    assert sorted(calls) == sorted(["data", "train", "release", *again])


@pytest.mark.slow
def test_two_runs_at_once_one_works_and_the_other_is_told(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        RUN.replace("run_steps(steps", "print('held', flush=True); sys.stdin.readline(); run_steps(steps")
    )
    words = [sys.executable, str(tmp_path / "script.py"), str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        second = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert second.returncode == 1
        assert f"process {first.pid}" in second.stderr
        first.communicate("\n")
        assert first.returncode == 0
    with open_store(tmp_path / "store", create=False) as store:
        assert [run.status for run in store.runs()] == ["done"]
