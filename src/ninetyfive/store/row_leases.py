"""The lease of a store that several machines share: a row with a fencing token, on the clock of the server.

    acquire   token + 1, expires in 30 s  ─ renewed by a thread every 10 s ─▶ release: expires now
    write     every transaction of the holder first asks whether its token is still the last one

A holder that is killed is replaced once its lease expires. One that was only stopped (SIGSTOP, a laptop asleep, a lost
network) may wake up and believe that it still holds: its token is not the last one, and nothing of it is written. One
that slept while nobody came goes on.

What does not belong here: the lease of a store of one machine (`leases`).
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import msgspec
from sqlalchemy import Connection, Double, Row, cast, extract, func, insert, select, update

from ninetyfive.errors import StoreError
from ninetyfive.store.catalog import Catalog, leases, to_json, unfenced
from ninetyfive.store.leases import Holder, busy, this_process

SECONDS = 30.0

_PAUSE = 0.2
_NAME = "run"
_NOW = cast(extract("epoch", func.clock_timestamp()), Double)


class RowLease:
    """The lease of the store whose catalog is on a server."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._token: int | None = None
        self._holder: Holder | None = None
        self._over = threading.Event()
        self._renewer: threading.Thread | None = None

    @property
    def held(self) -> bool:
        return self._token is not None

    def acquire(self, command: str, actor: str, wait: float) -> None:
        holder = this_process(command, actor)
        deadline = time.monotonic() + wait
        token = None
        while token is None:
            other = self.holder()
            if other is None:
                token = self._take(holder)
            elif time.monotonic() < deadline:
                time.sleep(_PAUSE)
            else:
                killed = f" (what a killed process held is free {SECONDS:g} s after its last sign)"
                raise busy(self._catalog.where, other, wait, killed)
        self._token, self._holder = token, holder
        self._catalog.fence = self._check
        self._over = threading.Event()
        self._renewer = threading.Thread(
            target=self._renew, args=(token, self._over), name="ninetyfive lease", daemon=True
        )
        self._renewer.start()

    def name_run(self, run: str) -> None:
        if self._holder is not None:
            self._holder = msgspec.structs.replace(self._holder, run=run)
            with self._catalog.write() as connection:
                connection.execute(update(leases).where(leases.c.name == _NAME).values(holder=to_json(self._holder)))

    def release(self) -> None:
        """A server that cannot be told frees it by itself."""
        if self._token is None:
            return
        self._over.set()
        if self._renewer is not None:
            self._renewer.join()
        token, self._token, self._holder = self._token, None, None
        self._catalog.fence = unfenced
        with suppress(StoreError):
            self._extend(token, 0.0)

    def holder(self) -> Holder | None:
        with self._catalog.read() as connection:
            row = _row(connection)
        return None if row is None or not row.held else _holder(row.holder)

    def _take(self, holder: Holder) -> int | None:
        """The new token; None where another holds it."""
        with self._catalog.write() as connection:
            row = _row(connection)
            if row is not None and row.held:
                return None
            token: int = row.token + 1 if row else 1
            values = {"token": token, "holder": to_json(holder), "expires": _NOW + SECONDS}
            if row is None:
                connection.execute(insert(leases).values(name=_NAME, **values))
            else:
                connection.execute(update(leases).where(leases.c.name == _NAME).values(**values))
            return token

    def _check(self, connection: Connection) -> None:
        """Refuse a transaction of a holder who lost the lease."""
        row = _row(connection)
        if row is None or row.token != self._token:
            raise StoreError(
                self._catalog.where,
                expected=f"the lease that this run took (token {self._token})",
                got="none" if row is None else f"it taken over (token {row.token}) by {_holder(row.holder)}",
                do="nothing was written; when the other one has ended, run again: it resumes",
            )

    def _renew(self, token: int, over: threading.Event) -> None:
        """Prolong the lease until it is given back or lost; a server that does not answer is asked again."""
        while not over.wait(SECONDS / 3):
            with suppress(StoreError):
                if not self._extend(token, SECONDS):
                    return

    def _extend(self, token: int, seconds: float) -> bool:
        """Let the lease expire in `seconds` from now; False where it was lost."""
        mine = update(leases).where(leases.c.name == _NAME, leases.c.token == token)
        with self._catalog.beside() as connection:
            return connection.execute(mine.values(expires=_NOW + seconds)).rowcount == 1


def _row(connection: Connection) -> Row[int, str, bool] | None:
    columns = select(leases.c.token, leases.c.holder, (leases.c.expires > _NOW).label("held"))
    return connection.execute(columns.where(leases.c.name == _NAME)).one_or_none()


def _holder(card: str) -> Holder:
    return msgspec.json.decode(card, type=Holder)
