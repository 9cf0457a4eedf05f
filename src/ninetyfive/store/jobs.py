"""Jobs of managed services: which were asked for, what they are called there, and how they stand as last seen.

    add_job, before the service is asked ─▶ pending ─ move_job, as it is seen ─▶ running ─▶ done | failed | …

The row is there before the job is, so that a command that is killed in between leaves a name to look for.
What does not belong here: what a service says (`ninetyfive.managed`).
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.engine import RowMapping

from ninetyfive import clock
from ninetyfive.errors import UsageError, near_names
from ninetyfive.store import catalog
from ninetyfive.store.records import Job
from ninetyfive.store.shelf import Shelf


class Jobs(Shelf):
    """The verbs on jobs."""

    def add_job(self, job: Job) -> Job:
        """Write down a job that is about to be submitted; actor and times are the store's to give.

        One that is written down already stays as it is, and is returned.
        """
        with self.catalog.write() as connection:
            known = self._find_job(connection, job.id)
            if known is not None:
                return known
            now = clock.now().isoformat()
            added = msgspec.structs.replace(job, actor=self.actor, created=now, updated=now)
            number = (connection.scalar(select(func.max(catalog.jobs.c.number))) or 0) + 1
            connection.execute(insert(catalog.jobs).values(number=number, **msgspec.structs.asdict(added)))
            self._audit(connection, "job.add", job.id, {"service": job.service, "name": job.name, "state": job.state})
            return added

    def move_job(self, seen: Job) -> Job:
        """Write down how a job stands now: its state, link and message; only a new state is a change for the audit.

        A job that has ended stays as it ended. `UsageError` where none has this id.
        """
        with self.catalog.write() as connection:
            known = self._find_job(connection, seen.id)
            if known is None:
                raise _unknown(seen.id, [], 0)
            told = msgspec.structs.replace(known, state=seen.state, link=seen.link or known.link, message=seen.message)
            if known.ended or told == known:
                return known
            moved = msgspec.structs.replace(told, updated=clock.now().isoformat())
            values = {name: getattr(moved, name) for name in ("state", "link", "message", "updated")}
            connection.execute(update(catalog.jobs).where(catalog.jobs.c.id == seen.id).values(**values))
            if moved.state != known.state:
                self._audit(connection, "job.move", moved.id, {"from": known.state, "state": moved.state})
            return moved

    def jobs(self, last: int | None = None) -> list[Job]:
        """The `last` jobs (None: all), newest first, as they were last seen."""
        query = select(catalog.jobs).order_by(catalog.jobs.c.number.desc()).limit(last)
        with self.catalog.read() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    def job(self, words: str) -> Job:
        """The job with this id or unique beginning of it; `UsageError` names what there is."""
        known = {job.id: job for job in self.jobs()}
        found = (
            [known[words]] if words in known else [job for id, job in known.items() if words and id.startswith(words)]
        )
        if len(found) != 1:
            raise _unknown(words, list(known), len(found))
        return found[0]

    def _find_job(self, connection: Connection, id: str) -> Job | None:
        row = connection.execute(select(catalog.jobs).where(catalog.jobs.c.id == id)).mappings().one_or_none()
        return None if row is None else _job(row)


def _unknown(words: str, known: list[str], found: int) -> UsageError:
    return UsageError(
        f"job {words!r}",
        expected="the id of one job, or its beginning",
        got=f"{found} that begin so" if found else "no such job",
        do="give more of it" if found else f"{near_names(words, known)}; see ninetyfive jobs list",
    )


def _job(row: RowMapping) -> Job:
    return Job(**{name: value for name, value in row.items() if name != "number"})
