"""The main program of a container that does a command whole, or one part of a run.

    worker.py <folder> <id> [data | train | release] ─▶ the project in a folder of its own ─ the command ─▶ results
                                                                                              └ <id>/error

A run in parts is one run: each part resumes it, skips what is recorded, and ends it interrupted until the last one.
What does not belong here: what is submitted (`whole`), and the client of a service: none is imported here.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ninetyfive.engines.shipping import pack_error
from ninetyfive.errors import EngineError, NinetyfiveError, ServiceError
from ninetyfive.loading import executed
from ninetyfive.managed.packing import ERROR, RESULTS, Place
from ninetyfive.managed.parcel import ACTOR, MODULES, PARCEL, SCHEMA, Done, Parcel, laid_out, unpack
from ninetyfive.run import Asked, as_of_microseconds, run
from ninetyfive.steps.context import Context
from ninetyfive.upkeep import Upkeep

PARTS: dict[str, tuple[str | None, str | None]] = {
    "data": (None, "apply"),
    "train": ("apply", "train"),
    "release": ("train", None),
}
"""The parts of a run: the step after which each begins, and that with which it ends."""
STEPS = "steps"
"""What the parts of a run have done so far, beside its parcel."""
_TERMINATED = 143
"""The exit code of what SIGTERM ended: 128 and its number, as shells count."""


class Parts(msgspec.Struct):
    """What earlier parts of a run have done: how many jobs of the engine, and the steps by their names."""

    jobs: int = 0
    steps: dict[str, dict[str, Any]] = {}

    def and_so(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document of a part as that of the run up to here: a step that an earlier part did is not skipped.

        >>> Parts(2, {"fit": {"name": "fit", "skipped": False}}).and_so(
        ...     {"jobs": 1, "steps": [{"name": "fit", "skipped": True}, {"name": "train", "skipped": False}]}
        ... )
        {'jobs': 3, 'steps': [{'name': 'fit', 'skipped': False}, {'name': 'train', 'skipped': False}]}
        """
        steps = [self.steps.get(step["name"], step) if step["skipped"] else step for step in document["steps"]]
        return {**document, "jobs": self.jobs + document["jobs"], "steps": steps}


class Lines:
    """A reporter for the logs of a service: a line for each step and notice."""

    def started(self, step: str) -> None:
        """A step begins."""
        print(f"{step} …", flush=True)

    def finished(self, step: str, seconds: float, skipped: bool) -> None:
        """A step has ended."""
        print(f"{step}: {'skipped' if skipped else f'{seconds:.1f} s'}", flush=True)

    def rows(self, done: int, total: int | None) -> None:
        """So many rows: nothing for a log."""

    def notice(self, text: str) -> None:
        """A line for people."""
        print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do the command of a folder, whose job and part are told; exit code 1 where its error is written there."""
    folder, id, *part = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _terminated)
    if not done(Place(folder), id, part[0] if part else None):
        sys.exit(1)


def done(place: Place, id: str, part: str | None = None) -> bool:
    """Do the command of a place, or one part of it; False where it failed, and its error is written there.

    Results that are there are left as they are.
    """
    if place.read(RESULTS) is not None:
        return True
    try:
        parcel = _parcel(place)
        with _limited(parcel.hours, place, id):
            work(place, parcel, part)
        return True
    except NinetyfiveError as error:
        told = error
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)  # what the user's own code raised, as `cli.edge` shows it
        print(error, file=sys.stderr)
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        told = EngineError(
            f"job {id}",
            expected="a command that ends well",
            got=f"{type(error).__name__}: {error}",
            do="look into its logs for where it was raised",
        )
    place.write(f"{id}/{ERROR}", pack_error(told))
    return False


def work(place: Place, parcel: Parcel, part: str | None) -> None:
    """Do a command, or one part of it; its document is left in the place once there is one."""
    os.environ.update(parcel.environment)
    os.environ["NINETYFIVE_ACTOR"] = (place.read(ACTOR) or b"a service").decode()
    with tempfile.TemporaryDirectory(prefix="ninetyfive-") as scratch:
        file = laid_out(parcel, Path(scratch))
        here = Path.cwd()
        os.chdir(scratch)
        sys.path.append(str(Path(scratch) / MODULES))
        schema = Path(scratch) / SCHEMA
        inferred = place.read(SCHEMA)
        if inferred is not None and not schema.exists():  # by an earlier part
            schema.write_bytes(inferred)
        before = _read(schema)
        try:
            document = _document(_declared(file), parcel, part)
        finally:
            now = _read(schema)
            if now is not None and now != before:
                place.write(SCHEMA, now)
            os.chdir(here)  # the folder is about to be removed
        if part is not None and "steps" in document:
            document = msgspec.json.decode(place.read(STEPS) or b"{}", type=Parts).and_so(document)
        if "until" in document:
            steps = {step["name"]: step for step in document["steps"]}
            place.write(STEPS, msgspec.json.encode(Parts(document["jobs"], steps)))
        else:
            place.write(RESULTS, msgspec.json.encode(Done(document, None if now is None else now.decode())))


def _parcel(place: Place) -> Parcel:
    data = place.read(PARCEL)
    if data is None:
        raise ServiceError(
            f"folder {place.url}",
            expected="the project of a command",
            got="none",
            do="submit it again; see that nothing removes the folder while its job runs",
        )
    return unpack(data, place.url)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@contextmanager
def _limited(hours: float, place: Place, id: str) -> Iterator[None]:
    """End the process after so many hours (0: never), with an error, whatever it is in: a pipeline has no limit."""

    def end() -> None:
        error = ServiceError(
            f"job {id}",
            expected=f"a command that takes {hours:g} hours at most",
            got="one that is not done",
            do="let it have more: [managed] hours; the same command then goes on after what is recorded",
        )
        print(error, file=sys.stderr, flush=True)
        place.write(f"{id}/{ERROR}", pack_error(error))
        os._exit(1)

    timer = threading.Timer(hours * 3600, end)
    timer.daemon = True
    if hours:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _declared(file: Path) -> Any:
    """The system of a file; it was found there before it travelled."""
    return next(value for value in executed(file).values() if isinstance(value, Upkeep))


def _document(system: Any, parcel: Parcel, part: str | None) -> dict[str, Any]:
    """Do the command; its document, that of a part with `until`."""
    words, reporter = dict(parcel.words), Lines()
    if parcel.what == "table":
        return dict(system.build_table(reporter=reporter, **words))
    as_of, (after, until) = as_of_microseconds(words.pop("as_of", None)), PARTS[part] if part else (None, None)
    settings = system.settings
    with system._store(settings, create=True) as store:
        engine = system._engine(settings, reporter)
        return run(Context(system, settings, store, engine, reporter, as_of), Asked(after=after, until=until, **words))


def _terminated(*_: object) -> None:
    """End as Ctrl-C does: the run is marked, and its lease given back."""
    sys.exit(_TERMINATED)


if __name__ == "__main__":
    main()
