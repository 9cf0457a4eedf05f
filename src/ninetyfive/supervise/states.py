"""How each service of a store on this machine is now: a small file it replaces, and a lock that says whether it lives.

    <store's local folder>/serving/<host>-<port>.json   the state, for `status` and `promote --wait`
                                   <host>-<port>.lock   held (flock) as long as the supervisor lives
                                   <host>-<port>/       what it runs on: copies, counters, configurations

The rule: whether a service runs is asked of the kernel, never of a pid; what it said last is trusted while it runs.
What does not belong here: why its state is what it is (`service`).
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ninetyfive.errors import BusyError, StoreError
from ninetyfive.store.failures import disk_errors
from ninetyfive.store.scratch import held

FOLDER = "serving"
_PAUSE = 0.05


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """A running service: where it listens, what all its workers answer by, and what it refused, by epoch.

    `epoch` is that of the champion that the last worker flipped to; 0: none answers yet. `degraded` says why it is not
    as good as it could be.
    """

    service: str
    pid: int
    system: str
    paradigm: str = ""
    url: str = ""
    admin_url: str = ""
    epoch: int = 0
    release: str = ""
    table: str | None = None
    wanted: int = 0
    ready: int = 0
    restarts: int = 0
    restarting: bool = False
    refused: dict[str, dict[str, str]] = {}
    degraded: tuple[str, ...] = ()
    since: str = ""


class StateFile:
    """The state of one service, which this process keeps as long as it is not closed.

    `BusyError` where another process keeps that of the same name.
    """

    def __init__(self, home: Path, service: str) -> None:
        self.service = re.sub(r"[^A-Za-z0-9_.-]", "_", service)
        root = home / FOLDER
        self.folder = root / self.service
        self._path = root / f"{self.service}.json"
        with disk_errors(str(root)):
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(root / f"{self.service}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise BusyError(
                str(root / self.service),
                expected="one service of a store and port on a machine",
                got="another one that runs",
                do="stop it, or give this one another port: --port",
            ) from None
        self._path.unlink(missing_ok=True)

    def write(self, state: ServiceState) -> None:
        """Say how the service is now."""
        draft = self._path.with_suffix(".new")
        with disk_errors(str(self._path)):
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
                stream.write(msgspec.json.encode(state))
            draft.replace(self._path)

    def close(self) -> None:
        """The service runs no more."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        os.close(self._lock)


def running(home: Path) -> list[ServiceState]:
    """The services of a store that run on this machine, by name; one that has said nothing yet has epoch 0."""
    return list(_running(home / FOLDER))


def wait_flipped(home: Path, epoch: int, seconds: float) -> list[dict[str, Any]]:
    """Wait until every running service answers by the champion of `epoch`, or a later one, with its last worker.

    One entry each: its name, `flipped`, or `refused` with the error, or `late` after so many seconds, or `ended`. []
    where none runs.
    """
    until = time.monotonic() + seconds
    names = [one.service for one in running(home)]
    while True:
        states = {one.service: one for one in running(home)}
        outcomes = [_outcome(name, states.get(name), epoch) for name in names]
        if all(one["outcome"] != "late" for one in outcomes) or time.monotonic() >= until:
            return outcomes
        time.sleep(_PAUSE)


def _outcome(name: str, state: ServiceState | None, epoch: int) -> dict[str, Any]:
    if state is None:
        return {"service": name, "outcome": "ended"}
    said: dict[str, Any] = {"service": name, "url": state.url, "epoch": state.epoch}
    if state.epoch >= epoch:
        return {**said, "outcome": "flipped"}
    error = state.refused.get(str(epoch))
    return {**said, "outcome": "late"} if error is None else {**said, "outcome": "refused", "error": error}


def _running(root: Path) -> Iterator[ServiceState]:
    for lock in sorted(root.glob("*.lock")):
        if not held(lock):
            continue
        path = lock.with_suffix(".json")
        state = ServiceState(service=lock.stem, pid=0, system="")
        with suppress(FileNotFoundError):
            try:
                state = msgspec.json.decode(path.read_bytes(), type=ServiceState)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise StoreError(
                    str(path),
                    expected="the state of a service of this version",
                    got=str(error),
                    do="stop that service, and start it with the ninetyfive that asks",
                ) from None
        yield state
