"""An `Engine` whose jobs a service runs: packs the plans, submits one job or finds it, waits, reads the results.

    plans ─▶ id by content ─▶ decide ─┬─ submit: folder, catalog, service ─┐
                                ▲     ├─ attach ───────────────────────────┤
                                └─────┼─ look, look, look … ended ◀────────┘
                                      ├─ read ─▶ results
                                      └─ stop ─▶ the error that the job wrote, or the service's words

Killed anywhere, the next one with the same plans goes on from what it finds. Ctrl-C cancels the job.
What does not belong here: what a service is told (`dataproc`), what runs there (`driver`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec

from ninetyfive.errors import NinetyfiveError, ServiceError, UsageError
from ninetyfive.managed.identity import content_of
from ninetyfive.managed.jobs import DRIVER, Decision, Service, Work, attempt_of, decide, folder_of, job_id
from ninetyfive.managed.offers import checked, connected, on_this_machine
from ninetyfive.managed.packing import (
    ERROR,
    MAIN,
    PLANS,
    RESULTS,
    Place,
    files_of,
    pack,
    unpack_error,
    unpack_results,
)
from ninetyfive.plan import PARTITION_MEMORY, Plan, Read, walk
from ninetyfive.progress import Reporter, Silent
from ninetyfive.settings import Settings
from ninetyfive.store.crashing import crash_point
from ninetyfive.store.opening import Store
from ninetyfive.store.records import Job

_LOOKS = 6
"""How often a job is looked at whose results are there, before it is stopped."""
_IN_MEMORY = "frame"
"""The url of rows that travel with the plans."""


class Ledger(Protocol):
    """Where jobs are written down: the verbs of a store that this needs."""

    def add_job(self, job: Job) -> Job: ...

    def move_job(self, seen: Job) -> Job: ...

    def jobs(self) -> list[Job]: ...


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs are run: for which `system`, under the url `temporary`, looked at every `poll` seconds.

    `shared_disk`: the workers are on this machine, so that a path of it may be read.
    """

    system: str
    temporary: str
    poll: float = 10.0
    partition_memory: int = PARTITION_MEMORY
    shared_disk: bool = False


class ManagedEngine:
    """An `Engine` on a service; see `plan.Engine` for what `run` gives, and docs/managed.md for how jobs are named.

    Errors are those that the job raised, and `ServiceError`. Files of results are under `temporary` until `clear`.
    """

    def __init__(
        self,
        service: Service,
        ledger: Ledger,
        orders: Orders,
        reporter: Reporter | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.jobs = 0
        self._service = service
        self._ledger = ledger
        self._orders = orders
        self._reporter = reporter or Silent()
        self._sleep = sleep
        self._folders: list[Place] = []
        self._step = ""
        self._ids: list[str] = []

    def run(self, plans: Mapping[str, Plan]) -> dict[str, Any]:
        """Run all plans as one job of the service; what it is doing is told as notices."""
        if not plans:
            return {}
        self.jobs += 1
        if not self._orders.shared_disk:
            check_reachable(plans)
        content = content_of(plans, self._orders.partition_memory)
        first = job_id(self._orders.system, [content, self._service.name("")])  # elsewhere it is another job
        place = Place(folder_of(self._orders.temporary, first))
        self._folders.append(place)
        watched = 0
        while True:
            attempts = self._attempts(first)
            results = self._results(plans, place)
            decision = decide(attempts, results is not None, watched)
            if results is not None:
                self._settle(attempts, place)
                self._ids.append(attempt_of(first, decision.attempt))
                return results
            if decision.act == "stop":
                raise self._ended(attempts[-1], place, decision)
            id = attempt_of(first, decision.attempt)
            watched += 1
            if decision.act == "submit":
                self._submit(id, place, plans, decision)
            else:
                self._reporter.notice(f"job {id}: attached, {decision.why}")
            self._wait(id, place)

    @property
    def submitted(self) -> tuple[str, ...]:
        """The ids of the jobs whose results were read, in order."""
        return tuple(self._ids)

    def telling(self, reporter: Reporter) -> Reporter:
        """A reporter that tells this engine, too, which step is at work: jobs are named for people by it."""
        return _Steps(self, reporter)

    def clear(self) -> None:
        """Remove the folders of the jobs that were run: nothing needs their files any more."""
        for place in self._folders:
            place.remove()
        self._folders.clear()

    def _attempts(self, first: str) -> list[Job]:
        """The attempts that there are, oldest first: as the service knows them, or was known to."""
        known = {job.id: job for job in self._ledger.jobs()}
        found: list[Job] = []
        while True:
            id = attempt_of(first, len(found) + 1)
            seen, before = self._service.look(self._service.name(id)), known.get(id)
            if seen is None and (before is None or before.state == "pending"):
                return found  # pending: it was written down, and the service was never heard to have it
            if seen is None and before is not None:
                forgotten = "lost" if not before.ended else before.state
                seen = msgspec.structs.replace(before, state=forgotten)
            assert seen is not None
            found.append(seen)

    def _results(self, plans: Mapping[str, Plan], place: Place) -> dict[str, Any] | None:
        """The results, where they and all files that they name are there."""
        data = place.read(RESULTS)
        if data is None:
            return None
        results = unpack_results(plans, data, f"{place.url}/{RESULTS}")
        return results if place.there(files_of(results)) else None

    def _submit(self, id: str, place: Place, plans: Mapping[str, Plan], decision: Decision) -> None:
        place.remove(RESULTS)  # of an attempt whose files are gone
        if place.read(PLANS) is None:
            place.write(PLANS, pack(plans, self._orders.partition_memory))
        place.write(DRIVER, MAIN.encode())
        purpose = f"{self._step}: {', '.join(plans)}" if self._step else ", ".join(plans)
        work = Work(id=id, folder=place.url, system=self._orders.system, purpose=purpose)
        request = self._service.render(work)
        name = self._service.name(id)
        self._ledger.add_job(Job(id=id, service=self._service.NAME, name=name, folder=place.url, purpose=purpose))
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
                self._sleep(self._orders.poll)
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
        seen = self._service.look(name)
        if seen is None:
            gone = "the service knows it no more"
            seen = Job(id=id, service=self._service.NAME, name=name, state="lost", message=gone)
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
                self._sleep(self._orders.poll)
                seen = self._look(seen.id, place)

    def _ended(self, job: Job, place: Place, decision: Decision) -> NinetyfiveError:
        """The error that a job wrote, else one in the service's words."""
        written = place.read(f"{job.id}/{ERROR}")
        if written is not None:
            return unpack_error(written)
        return ServiceError(
            f"{job.service}, job {job.id}",
            expected="a job that ends well",
            got=f"{decision.why}: {job.message.rstrip('.') or 'the service says no more'}",
            do=f"look into its logs, {job.link}; then the same command again: what is done is kept",
        )


class _Steps:
    """A reporter that tells the engine, too, which step is at work."""

    def __init__(self, engine: ManagedEngine, told: Reporter) -> None:
        self._engine = engine
        self.rows = told.rows
        self.finished = told.finished
        self.notice = told.notice
        self._started = told.started

    def started(self, step: str) -> None:
        """A step begins."""
        self._engine._step = step
        self._started(step)


def check_reachable(plans: Mapping[str, Plan]) -> None:
    """`UsageError` where a plan reads what only this machine has."""

    def look(plan: Plan) -> None:
        urls = [part.url for part in plan.parts] if isinstance(plan, Read) else []
        here = [url for url in urls if url != _IN_MEMORY and ("://" not in url or url.startswith("file:"))]
        if here:
            raise UsageError(
                f"file {here[0]}",
                expected="a url that workers elsewhere reach, like gs://bucket/file",
                got="a path of this machine",
                do='keep the store in a bucket (store = "gs://…" in ninetyfive.toml) and the files of the source too',
            )

    for plan in plans.values():
        walk(plan, look)


@contextmanager
def engine_on(settings: Settings, system: str, to: str, store: Store, reporter: Reporter) -> Iterator[ManagedEngine]:
    """An engine on a service, while what it is for is done; ended well, nothing of its jobs is left in the bucket."""
    said = checked(settings, to)
    orders = Orders(
        system=system,
        temporary=said.temporary,
        poll=said.poll,
        partition_memory=settings.spark.partition_memory,
        shared_disk=on_this_machine(said, to),
    )
    made = ManagedEngine(connected(to, said), store, orders, reporter)
    yield made
    made.clear()
