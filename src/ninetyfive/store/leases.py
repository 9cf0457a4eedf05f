"""A lease: who may change the store by a run, one process at a time; and the lease of a store of one machine.

    lease  ◀─ flock ─ the holder     the kernel frees it when the holder ends, by kill -9 too
    lease.json                       who that is: pid, host, since, command, run; for people, trusted by nobody

Waiting is measured on the monotonic clock: no jump of the wall clock ends or lengthens it.
What does not belong here: the lease of a shared database (`row_leases`), and single changes (each is a transaction: it
needs none).
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from ninetyfive import clock
from ninetyfive.errors import BusyError, StoreError
from ninetyfive.store.catalog import Catalog, unfenced
from ninetyfive.store.failures import disk_errors

_PAUSE = 0.02
_LEAST_TRIES = 5


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the lease: process, host, since when (ISO 8601, UTC), the command, its run ("" before one)."""

    pid: int
    host: str
    since: str
    command: str
    actor: str
    run: str = ""

    def __str__(self) -> str:
        run = f", {self.run}" if self.run else ""
        return f"process {self.pid} on {self.host} ({self.actor}), since {self.since}: {self.command}{run}"


class Lease(Protocol):
    """The lease of a store; held between `acquire` and `release`."""

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        ...

    def acquire(self, command: str, actor: str, wait: float) -> None:
        """Take the lease, waiting up to `wait` seconds; `BusyError` names who has it."""
        ...

    def name_run(self, run: str) -> None:
        """Say which run the holder works on."""
        ...

    def release(self) -> None:
        """Give the lease back; nothing where it is not held."""
        ...

    def holder(self) -> Holder | None:
        """Who holds the lease now, here or elsewhere; None where nobody does."""
        ...


def this_process(command: str, actor: str) -> Holder:
    """The holder that this process is."""
    return Holder(
        pid=os.getpid(),
        host=os.uname().nodename,
        since=clock.now().isoformat(timespec="seconds"),
        command=command,
        actor=actor,
    )


def busy(where: str, holder: Holder, waited: float, killed: str = "") -> BusyError:
    """The error of a lease that another holds, after `waited` seconds; `killed`: when that of a dead one is free."""
    stop = f", or stop it (kill {holder.pid} on {holder.host})" if holder.pid else ""
    return BusyError(
        where,
        expected="a store that no other run holds" + (f", waited {waited:g} s" if waited else ""),
        got=str(holder),
        do=f"wait until it ends{stop}{killed}, then run again",
    )


class FileLease:
    """The lease of a store that one machine uses, in its local folder `home`; it fences the writes of its holder."""

    def __init__(self, home: Path, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = home / "lease"
        self._card = home / "lease.json"
        self._descriptor: int | None = None
        self._holder: Holder | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def acquire(self, command: str, actor: str, wait: float) -> None:
        with disk_errors(str(self._lock)):
            self._lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + wait
        tries = 0
        while not _try_lock(descriptor, fcntl.LOCK_EX):
            tries += 1
            if time.monotonic() >= deadline and tries >= _LEAST_TRIES:
                os.close(descriptor)
                raise busy(str(self._lock.parent), self._read(), wait)
            time.sleep(_PAUSE)
        try:
            holder = this_process(command, actor)
            self._write(holder)
        except BaseException:  # a clock that is none, a full disk, Ctrl-C: whatever it is, the lock is given back
            os.close(descriptor)
            raise
        self._descriptor, self._holder = descriptor, holder
        self._catalog.fence = self._check

    def name_run(self, run: str) -> None:
        if self._holder is not None:
            self._holder = msgspec.structs.replace(self._holder, run=run)
            self._write(self._holder)

    def release(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):  # a card that stays tells of a holder that was killed: no harm but the telling
                self._card.unlink()
            os.close(self._descriptor)
            self._catalog.fence = unfenced
        self._descriptor = self._holder = None

    def holder(self) -> Holder | None:
        if self._holder is not None:
            return self._holder
        if not self._lock.is_file():
            return None
        with disk_errors(str(self._lock)):
            descriptor = os.open(self._lock, os.O_RDONLY)
            try:
                return None if _try_lock(descriptor, fcntl.LOCK_SH) else self._read()
            finally:
                os.close(descriptor)

    def _check(self, _: Connection) -> None:
        """Refuse a transaction of a holder whose lease file was deleted: somebody else may hold a new one by now."""
        assert self._descriptor is not None
        mine = os.fstat(self._descriptor)
        there = os.stat(self._lock) if self._lock.exists() else None
        if there is None or (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            raise StoreError(
                str(self._lock),
                expected="the lease file that this run holds",
                got="none" if there is None else "another one in its place",
                do="nothing was written; find out who deleted it, then run again: it resumes",
            )

    def _read(self) -> Holder:
        """What the card says; it may lag behind the lock for a moment, or be empty."""
        try:
            return msgspec.json.decode(self._card.read_bytes(), type=Holder)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return Holder(pid=0, host="an unknown host", since="a moment ago", command="unknown", actor="unknown")

    def _write(self, holder: Holder) -> None:
        with disk_errors(str(self._card)):
            draft = self._card.with_suffix(".new")
            try:
                draft.write_bytes(msgspec.json.encode(holder))
                draft.replace(self._card)
            except OSError:
                with suppress(OSError):
                    draft.unlink(missing_ok=True)
                raise


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
