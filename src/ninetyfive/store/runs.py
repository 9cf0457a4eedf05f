"""Runs and their recorded steps: what was finished is never done again, what was killed is found and resumed.

    begin_run ─▶ running ─ finish_run ─▶ done | failed | refused
                   └ killed ─▶ interrupted ─ begin_run (same key) ─▶ running

The lease tells the two apart: a run whose lease is gone is not running, whatever its row says.
What does not belong here: what the steps are (`pipeline`).
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.engine import RowMapping

from ninetyfive import clock
from ninetyfive.errors import BusyError, IntegrityError, StoreError
from ninetyfive.hashing import bytes_hash
from ninetyfive.store import catalog
from ninetyfive.store.catalog import from_json, to_json
from ninetyfive.store.leases import Holder
from ninetyfive.store.records import Run
from ninetyfive.store.shelf import Shelf

_OPEN = ("running", "interrupted")


class Runs(Shelf):
    """The verbs on the lease, runs and steps."""

    @contextmanager
    def lease(self, command: str = "", wait: float = 0.0) -> Iterator[None]:
        """Hold the store alone inside the block, waiting up to `wait` seconds; `BusyError` names who holds it.

        `command` is what others are told (default: the words of this process). Who gets the lease sweeps what killed
        processes left in the temporary folder.
        """
        self._lease.acquire(command or " ".join(sys.argv)[:200], self.actor, wait)
        try:
            self._scratch.sweep()
            self.artifacts.sweep()
            yield
        except BaseException as error:
            if not isinstance(error, BusyError):  # who holds the catalog, or changed it, shall not be waited for again
                self._leave_none_running()
            raise
        finally:
            self._lease.release()

    def holder(self) -> Holder | None:
        """Who holds the lease now; None where nobody does."""
        return self._lease.holder()

    def begin_run(self, words: str, key: str) -> Run:
        """Begin a run of `words` on `key`, or resume the one with this key that was killed; needs the lease.

        Every other run that its row calls running has lost its lease, and is marked interrupted.
        """
        if not self._lease.held:
            raise StoreError(
                "begin_run",
                expected="the lease of the store",
                got="no lease",
                do="call it inside `with store.lease():`",
            )
        table = catalog.runs
        with self.catalog.write() as connection:
            self._interrupt(connection)
            query = select(table).where(table.c.key == key, table.c.status == "interrupted")
            old = connection.execute(query.order_by(table.c.number.desc()).limit(1)).mappings().one_or_none()
            number = self._new_run(connection, words, key) if old is None else self._resume(connection, old)
            run = _run(connection.execute(select(table).where(table.c.number == number)).mappings().one())
        self._lease.name_run(run.id)
        return run

    def finish_run(
        self,
        run: str,
        status: Literal["done", "failed", "refused", "interrupted"],
        document: Mapping[str, Any] | None = None,
    ) -> None:
        """End a run that is not ended, with what there is to say about it (JSON-able)."""
        table, number = catalog.runs, run_number(run)
        with self.catalog.write() as connection:
            was = self._status(connection, run)
            if was not in _OPEN:
                raise StoreError(
                    run, expected="a run that is not ended", got=f"one that is {was}", do="begin a new run"
                )
            text = to_json(document or {})
            values = {"status": status, "ended": clock.now().isoformat(), "document": text}
            connection.execute(update(table).where(table.c.number == number).values(**values))
            self._audit(connection, "run.finish", run, {"status": status, "document": bytes_hash(text.encode())})

    def runs(self, last: int | None = None) -> list[Run]:
        """The `last` runs (None: all), newest first; one that lost its lease is called interrupted."""
        holder = self._lease.holder()
        table = catalog.runs
        with self.catalog.read() as connection:
            rows = connection.execute(select(table).order_by(table.c.number.desc()).limit(last)).mappings()
            found = [_run(row) for row in rows]
        alive = holder.run if holder else ""
        return [
            msgspec.structs.replace(run, status="interrupted") if run.status == "running" and run.id != alive else run
            for run in found
        ]

    def recorded(self, key: str) -> dict[str, Any] | None:
        """The output of the step recorded under `key`; None where there is none, or a file that it names is gone.

        So it is where the row cannot be read: the step is to be done anew, and the doctor names the row.
        """
        table = catalog.steps
        with self.catalog.read() as connection:
            query = select(table.c.output, table.c.artifacts).where(table.c.key == key)
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        try:
            artifacts, output = from_json(row.artifacts), from_json(row.output)
        except IntegrityError:
            return None
        if not isinstance(output, dict) or (artifacts and self._present(artifacts) != set(artifacts)):
            return None
        return output

    def record(
        self, run: str, name: str, key: str, output: Mapping[str, Any], *, artifacts: Collection[str], seconds: float
    ) -> None:
        """Record what a step made in one transaction: its output (JSON-able) and the artifacts that it needs."""
        names, text = sorted(set(artifacts)), to_json(output)
        with self.catalog.write() as connection:
            self._name(connection, names)
            connection.execute(delete(catalog.steps).where(catalog.steps.c.key == key))
            connection.execute(
                insert(catalog.steps).values(
                    key=key,
                    name=name,
                    run=run_number(run),
                    output=text,
                    artifacts=to_json(names),
                    seconds=seconds,
                )
            )
            details = {"key": key, "artifacts": names, "output": bytes_hash(text.encode())}
            self._audit(connection, "step.record", f"{run} {name}", details)

    def _interrupt(self, connection: Connection) -> None:
        """Mark every running run interrupted: who asks holds the lease, so none of them does."""
        table = catalog.runs
        for number in connection.scalars(select(table.c.number).where(table.c.status == "running")).all():
            connection.execute(update(table).where(table.c.number == number).values(status="interrupted"))
            self._audit(connection, "run.interrupt", run_id(number), {"found_by": self.actor})

    def _leave_none_running(self) -> None:
        """Mark what is left running interrupted while the lease is held; where the disk lets nothing be written, the
        next run does."""
        with suppress(StoreError), self.catalog.write() as connection:
            self._interrupt(connection)

    def _new_run(self, connection: Connection, words: str, key: str) -> int:
        number = (connection.scalar(select(func.max(catalog.runs.c.number))) or 0) + 1
        connection.execute(
            insert(catalog.runs).values(
                number=number,
                words=words,
                key=key,
                status="running",
                actor=self.actor,
                started=clock.now().isoformat(),
                resumes=0,
                document="{}",
            )
        )
        self._audit(connection, "run.begin", run_id(number), {"words": words, "key": key})
        return number

    def _resume(self, connection: Connection, old: RowMapping) -> int:
        number: int = old["number"]
        values = {"status": "running", "resumes": old["resumes"] + 1, "ended": None}
        connection.execute(update(catalog.runs).where(catalog.runs.c.number == number).values(**values))
        self._audit(connection, "run.resume", run_id(number), {"resumes": values["resumes"]})
        return number

    def _status(self, connection: Connection, run: str) -> str:
        query = select(catalog.runs.c.status).where(catalog.runs.c.number == run_number(run))
        status = connection.scalar(query)
        if status is None:
            raise unknown_run(run)
        return str(status)


def run_id(number: int) -> str:
    """The id of a run, as people write it.

    >>> run_id(7), run_number("run-7")
    ('run-7', 7)
    """
    return f"run-{number}"


def run_number(run: str) -> int:
    """The number in the id of a run; `StoreError` where it is none."""
    digits = run.removeprefix("run-")
    if digits == run or not digits.isdecimal():
        raise unknown_run(run)
    return int(digits)


def unknown_run(run: str) -> StoreError:
    """The error of a run that there is not."""
    return StoreError(
        run, expected="a run of this store, like run-7", got="no such run", do="list them with ninetyfive status"
    )


def _run(row: RowMapping) -> Run:
    values = dict(row)
    return Run(id=run_id(values.pop("number")), document=from_json(values.pop("document")), **values)
