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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ninetyfive.errors import NinetyfiveError, ServiceError
from ninetyfive.loading import executed
from ninetyfive.managed.packing import ERROR, RESULTS, Place, pack_error
from ninetyfive.managed.parcel import ACTOR, PARCEL, SCHEMA, Done, Parcel, laid_out, unpack
from ninetyfive.run import Asked, as_of_microseconds, run
from ninetyfive.steps.context import Context
from ninetyfive.upkeep import Upkeep

PARTS: dict[str, tuple[str | None, str | None]] = {
    "data": (None, "apply"),
    "train": ("apply", "train"),
    "release": ("train", None),
}
"""The parts of a run: the step after which each begins, and that with which it ends."""
_TERMINATED = 143
"""The exit code of what SIGTERM ended: 128 and its number, as shells count."""


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
    """Do the command of a folder, whose job and part are told; exit code 1 where an error of ours is written there.

    Results that are there are left as they are.
    """
    folder, id, *part = sys.argv[1:] if arguments is None else arguments
    place = Place(folder)
    if place.read(RESULTS) is not None:
        return
    signal.signal(signal.SIGTERM, _terminated)
    try:
        work(place, part[0] if part else None)
    except NinetyfiveError as error:
        print(error, file=sys.stderr)
        place.write(f"{id}/{ERROR}", pack_error(error))
        sys.exit(1)


def work(place: Place, part: str | None) -> None:
    """Do the command of a place, or one part of it; its document is left there once there is one."""
    data = place.read(PARCEL)
    if data is None:
        raise ServiceError(
            f"folder {place.url}",
            expected="the project of a command",
            got="none",
            do="submit it again; see that nothing removes the folder while its job runs",
        )
    parcel = unpack(data, place.url)
    os.environ.update(parcel.environment)
    os.environ["NINETYFIVE_ACTOR"] = (place.read(ACTOR) or b"a service").decode()
    with tempfile.TemporaryDirectory(prefix="ninetyfive-") as scratch:
        file = laid_out(parcel, Path(scratch))
        os.chdir(scratch)
        schema = Path(scratch) / SCHEMA
        inferred = place.read(SCHEMA)
        if inferred is not None and not schema.exists():  # by an earlier part
            schema.write_bytes(inferred)
        before = schema.read_bytes() if schema.exists() else None
        try:
            document = _document(_declared(file), parcel, part)
        finally:
            now = schema.read_bytes() if schema.exists() else None
            if now is not None and now != before:
                place.write(SCHEMA, now)
        if "until" not in document:
            done = Done(document, None if now is None else now.decode())
            place.write(RESULTS, msgspec.json.encode(done))


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
