"""One piece of work at a service: found there or submitted, watched until it has ended, its results read.

    errand ─▶ decide ─┬─ submit: catalog, then the service ─┐
                ▲     ├─ attach ────────────────────────────┤
                └─────┼─ look, look, look … ended ◀─────────┘
                      ├─ read ─▶ results
                      └─ stop ─▶ the error that the job wrote, or the service's words

Killed anywhere, the next one with the same errand goes on from what it finds. Ctrl-C cancels the job.
What does not belong here: what the work is (`engine`), what a service is told (a file a service).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from ninetyfive.engines.shipping import unpack_error
from ninetyfive.errors import NinetyfiveError, ServiceError
from ninetyfive.managed.jobs import Decision, Request, Service, attempt_of, decide, gone
from ninetyfive.managed.packing import ERROR, Place
from ninetyfive.progress import Reporter, Silent
from ninetyfive.store.crashing import crash_point
from ninetyfive.store.records import Job

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_LOOKS = 6
"""How often a job is looked at whose results are there, before it is stopped."""


class Ledger(Protocol):
    """Where jobs are written down: the verbs of a store that this needs."""

    def add_job(self, job: Job) -> Job: ...

    def move_job(self, seen: Job) -> Job: ...

    def jobs(self) -> list[Job]: ...


class Errand(Protocol[T_co]):
    """Work that a service is asked for: the `id` of its first attempt is its content, `place` the folder of all."""

    @property
    def id(self) -> str: ...

    @property
    def place(self) -> Place: ...

    @property
    def purpose(self) -> str: ...

    def results(self, attempts: Sequence[Job], /) -> T_co | None:
        """What came back, where all of it is there; `attempts` as they were last seen, oldest first."""
        ...

    def prepare(self, id: str) -> Request:
        """Write into the folder what the attempt `id` reads, and render what submits it."""
        ...


class Attendant:
    """Sees to errands at one service, looking every `poll` seconds; jobs are written down in the `ledger`."""

    def __init__(
        self,
        service: Service,
        ledger: Ledger,
        poll: float = 10.0,
        reporter: Reporter | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._service = service
        self._ledger = ledger
        self._poll = poll
        self._reporter = reporter or Silent()
        self._sleep = sleep

    def done(self, errand: Errand[T]) -> tuple[str, T]:
        """The id of the attempt that did it, and its results.

        Errors are those that the job raised, and `ServiceError`.
        """
        watched = 0
        while True:
            attempts = self._attempts(errand.id)
            results = errand.results(attempts)
            decision = decide(attempts, results is not None, watched)
            id = attempt_of(errand.id, decision.attempt)
            if results is not None:
                self._settle(attempts, errand.place)
                return id, results
            if decision.act == "stop":
                raise _ended(attempts[-1], errand.place, decision)
            watched += 1
            if decision.act == "submit":
                self._submit(id, errand, decision)
            else:
                self._reporter.notice(f"job {id}: attached, {decision.why}")
            self._wait(id, errand.place)

    def _attempts(self, first: str) -> list[Job]:
        """The attempts that there are, oldest first: as the service knows them, or was known to."""
        known = {job.id: job for job in self._ledger.jobs()}
        found: list[Job] = []
        while True:
            id = attempt_of(first, len(found) + 1)
            seen, before = self._service.look(self._service.name(id)), known.get(id)
            if seen is None and (before is None or before.state == "pending"):
                return found  # pending: it was written down, and the service was never heard to have it
            if seen is None:
                assert before is not None
                seen = gone(before)
            found.append(seen)

    def _submit(self, id: str, errand: Errand[T], decision: Decision) -> None:
        request = errand.prepare(id)
        name, url = self._service.name(id), errand.place.url
        self._ledger.add_job(Job(id=id, service=self._service.NAME, name=name, folder=url, purpose=errand.purpose))
        crash_point("job written down")
        job = self._service.submit(request)
        crash_point("job submitted")
        self._ledger.move_job(job)
        self._reporter.notice(f"job {id}: submitted, {decision.why}; {job.link}")

    def _wait(self, id: str, place: Place) -> None:
        """Look at a job until it has ended, and tell each new state; Ctrl-C cancels it."""
        told = ""
        try:
            while not (seen := self._look(id, place)).ended:
                if seen.state != told:
                    self._reporter.notice(f"job {id}: {seen.state}")
                    told = seen.state
                crash_point("job polled")
                self._sleep(self._poll)
        except (KeyboardInterrupt, SystemExit):
            self._cancel(id)
            raise

    def _cancel(self, id: str) -> None:
        """Stop a job; where the service does not do it, people are told what does."""
        try:
            stopped = self._service.cancel(self._service.name(id))
            if stopped is not None:
                self._ledger.move_job(stopped)
        except ServiceError as error:
            self._reporter.notice(f"{error} It may still run: ninetyfive jobs cancel {id}")

    def _look(self, id: str, place: Place) -> Job:
        """The job as it is now, written down."""
        name = self._service.name(id)
        seen = self._service.look(name) or gone(Job(id=id, service=self._service.NAME, name=name))
        return self._known(seen, place)

    def _known(self, seen: Job, place: Place) -> Job:
        """A job that somebody else submitted is written down too."""
        self._ledger.add_job(msgspec.structs.replace(seen, folder=place.url, state="pending"))
        return self._ledger.move_job(seen)

    def _settle(self, attempts: list[Job], place: Place) -> None:
        """Whatever still runs of work whose results are there may end, or is stopped; how it ended is written down."""
        for attempt in attempts:
            seen, looks = self._known(attempt, place), 0
            while not seen.ended:
                if looks == _LOOKS:
                    self._service.cancel(seen.name)
                looks += 1
                self._sleep(self._poll)
                seen = self._look(seen.id, place)


def _ended(job: Job, place: Place, decision: Decision) -> NinetyfiveError:
    """The error that a job wrote, else one in the service's words."""
    written = place.read(f"{job.id}/{ERROR}")
    if written is not None:
        return unpack_error(written)
    see = f"look into its logs, {job.link}"
    if job.state == "done":
        see = "see whether another command waited for it too, and has them"
    return ServiceError(
        f"{job.service}, job {job.id}",
        expected="a job that ends well",
        got=f"{decision.why}: {job.message.rstrip('.') or 'the service says no more'}",
        do=f"{see}; then the same command again: what is done is kept",
    )
