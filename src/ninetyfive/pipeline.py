"""Steps in order: done once, recorded, skipped while nothing that they depend on has changed, resumed after a kill.

    key of a step = hash(name, code, what it depends on, outputs of the steps it needs)
    recorded under the key? ─ yes ─▶ skip: its recorded output is its output
                            └ no ──▶ call the function ─▶ record output and files in one transaction

A step is a plain function `(context, output of each needed step…) -> dict`; the dict holds what JSON can, and under
"artifacts" the ids of the files that it needs (a list, or `{role: id}`). A reader follows the list of steps from top to
bottom, and so does a debugger. Killed anywhere, a run loses only the step it was in.

What does not belong here: what the steps do, and how their progress is shown.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar

import msgspec

from ninetyfive.errors import BusyError, NinetyfiveError, PlanError, StoreError, UsageError, near_names
from ninetyfive.hashing import bytes_hash, content_hash, function_hash
from ninetyfive.store.crashing import crash_point
from ninetyfive.store.opening import Store

Context = TypeVar("Context")
Output = dict[str, Any]
Event = Literal["started", "finished", "skipped"]
Progress = Callable[[Event, str, float], None]


def _nothing(context: Any) -> None:
    """What a step depends on that depends on nothing else."""


def silent(event: Event, step: str, seconds: float) -> None:
    """The progress that shows nothing."""


@dataclass(frozen=True)
class Step(Generic[Context]):
    """One step: its name, its function, and all that decides its output.

    `needs` names earlier steps whose outputs the function gets, in this order. `depends` returns what else decides (ids
    and parameters, JSON-able), and is asked just before the step. `uses` are modules, beside the function's own, whose
    source decides too: an edit of any of them makes the step due again.
    """

    name: str
    function: Callable[..., Mapping[str, Any]]
    needs: tuple[str, ...] = ()
    depends: Callable[[Context], Any] = _nothing
    uses: tuple[ModuleType, ...] = field(default=(), compare=False)


class StepReport(msgspec.Struct, frozen=True):
    """What happened to a step; `seconds` of this run, also for one that was skipped; `key` names its record."""

    name: str
    seconds: float
    skipped: bool
    key: str


class Outcome(msgspec.Struct, frozen=True):
    """The outputs of all steps by name, and what happened to each, in order."""

    outputs: dict[str, Output]
    steps: list[StepReport]


def run_steps(
    steps: Sequence[Step[Context]],
    context: Context,
    store: Store,
    run: str,
    *,
    redo: Collection[str] = (),
    progress: Progress = silent,
) -> Outcome:
    """Run `steps` in order for a run that was begun; those named in `redo` even if they are recorded.

    Where a step raises, `ending` finishes the run, and the error goes on; what earlier steps recorded stays.
    """
    _check(steps)
    outputs: dict[str, Output] = {}
    reports: list[StepReport] = []
    for step in steps:
        with ending(store, run, step.name):
            output, report = _run_step(step, context, outputs, _Place(store, run, step.name in redo, progress))
        outputs[step.name] = output
        reports.append(report)
    return Outcome(outputs, reports)


@contextmanager
def ending(store: Store, run: str, step: str) -> Iterator[None]:
    """Finish the run where the block raises, with the error and the step's name; the error goes on.

    Failed; refused, where the error's exit code is 3; interrupted, where it was stopped by hand.
    """
    done = False
    try:
        yield
        done = True
    finally:
        if not done:
            _fail(store, run, step, sys.exception())


def from_step(steps: Sequence[Step[Any]], name: str | None) -> frozenset[str]:
    """The names of a step and all that come after it, to `redo` (None: of no step); `UsageError` names what there is.

    >>> steps = [Step("ingest", dict), Step("fit", dict), Step("train", dict)]
    >>> sorted(from_step(steps, "fit"))
    ['fit', 'train']
    """
    names = [step.name for step in steps]
    if name is None:
        return frozenset()
    if name not in names:
        raise UsageError("--from", expected="the name of a step", got=repr(name), do=near_names(name, names))
    return frozenset(names[names.index(name) :])


def code_version(function: Callable[..., Any], uses: Sequence[ModuleType] = ()) -> str:
    """Hash (64 hex digits) of the source of the module that defines `function`, and of the modules in `uses`.

    A function without a source file (typed into a notebook) counts with its own source, or else its byte code.
    """
    plain = inspect.unwrap(function)
    files = [getattr(inspect.getmodule(plain), "__file__", None), *(module.__file__ for module in uses)]
    parts = [bytes_hash(Path(name).read_bytes()) for name in files if name and Path(name).is_file()]
    if len(parts) < len(files):
        parts.append(function_hash(plain))
    return content_hash(parts)


@dataclass(frozen=True)
class _Place:
    """Where a step runs: the store, the run, whether what is recorded counts, and who is told."""

    store: Store
    run: str
    redo: bool
    progress: Progress


def _run_step(
    step: Step[Context], context: Context, outputs: Mapping[str, Output], place: _Place
) -> tuple[Output, StepReport]:
    start = time.perf_counter()
    inputs = [outputs[name] for name in step.needs]
    key = content_hash([step.name, code_version(step.function, step.uses), step.depends(context), inputs])
    output = None if place.redo else place.store.recorded(key)
    if output is not None:
        seconds = time.perf_counter() - start
        place.progress("skipped", step.name, seconds)
        return output, StepReport(step.name, seconds, skipped=True, key=key)
    place.progress("started", step.name, 0.0)
    crash_point(f"before {step.name}")
    output = _plain(step.name, step.function(context, *inputs))
    crash_point(f"computed {step.name}")
    seconds = time.perf_counter() - start
    artifacts = output.get("artifacts", [])
    ids = list(artifacts.values()) if isinstance(artifacts, dict) else list(artifacts)
    place.store.record(place.run, step.name, key, output, artifacts=ids, seconds=seconds)
    crash_point(f"after {step.name}")
    place.progress("finished", step.name, seconds)
    return output, StepReport(step.name, seconds, skipped=False, key=key)


def _plain(step: str, output: Mapping[str, Any]) -> Output:
    """An output as it will be read back: the next step sees the same, whether this one ran or was skipped."""
    try:
        return msgspec.json.decode(msgspec.json.encode(output), type=dict[str, Any])
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise PlanError(
            f"step {step}",
            expected="a dict of what JSON can hold",
            got=str(error),
            do="return plain data from the step",
        ) from None


def _fail(store: Store, run: str, step: str, error: BaseException | None) -> None:
    """Finish the run as its error says; an error of the store while doing so must not hide the first one.

    One that waited for a catalog that another holds is not let wait again: who takes the lease next finds the run.
    """
    if isinstance(error, BusyError):
        return
    status: Literal["failed", "refused", "interrupted"] = "failed"
    if not isinstance(error, Exception):
        status = "interrupted"
    elif isinstance(error, NinetyfiveError) and error.exit_code == 3:
        status = "refused"
    said = error.as_dict() if isinstance(error, NinetyfiveError) else {"kind": type(error).__name__, "got": str(error)}
    with suppress(StoreError):
        store.finish_run(run, status, {"step": step, "error": said})


def _check(steps: Sequence[Step[Any]]) -> None:
    """Names are unique, and a step needs only steps before it."""
    seen: set[str] = set()
    for step in steps:
        unknown = [name for name in step.needs if name not in seen]
        if unknown or step.name in seen:
            raise PlanError(
                f"step {step.name}",
                expected="a name of its own, and needs that come before it",
                got=f"needs {unknown[0]!r}" if unknown else "a name that is taken",
                do="order the list of steps, and correct the names",
            )
        seen.add(step.name)
