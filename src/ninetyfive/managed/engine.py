"""An `Engine` whose jobs a service runs: packs the plans, has one job done, reads its results.

    plans ─▶ id by content ─▶ attending: submit or attach, wait ─▶ results in the folder ─▶ read

What does not belong here: what becomes of a job (`attending`), what a service is told (`dataproc`), what runs there
(`driver`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from ninetyfive.errors import UsageError
from ninetyfive.managed.attending import Attendant, Ledger
from ninetyfive.managed.identity import content_of
from ninetyfive.managed.jobs import DRIVER, Request, Service, Work, folder_of, job_id
from ninetyfive.managed.offers import checked, connected, on_this_machine
from ninetyfive.managed.packing import MAIN, PLANS, RESULTS, Place, files_of, pack, unpack_results
from ninetyfive.plan import PARTITION_MEMORY, Plan, Read, walk
from ninetyfive.progress import Reporter, Silent
from ninetyfive.settings import Settings
from ninetyfive.store.opening import Store
from ninetyfive.store.records import Job

_IN_MEMORY = "frame"
"""The url of rows that travel with the plans."""


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
        self._orders = orders
        self._attendant = Attendant(service, ledger, orders.poll, reporter or Silent(), sleep)
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
        purpose = f"{self._step}: {', '.join(plans)}" if self._step else ", ".join(plans)
        id, results = self._attendant.done(_Job(first, place, purpose, plans, self._service, self._orders))
        self._ids.append(id)
        return results

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


@dataclass(frozen=True, slots=True)
class _Job:
    """Plans as an errand: packed into its folder, run there by `driver`."""

    id: str
    place: Place
    purpose: str
    plans: Mapping[str, Plan]
    service: Service
    orders: Orders

    def results(self, _: Sequence[Job], /) -> dict[str, Any] | None:
        """The results, where they and all files that they name are there."""
        data = self.place.read(RESULTS)
        if data is None:
            return None
        results = unpack_results(self.plans, data, f"{self.place.url}/{RESULTS}")
        return results if self.place.there(files_of(results)) else None

    def prepare(self, id: str) -> Request:
        """The plans and the main file in the folder."""
        self.place.remove(RESULTS)  # of an attempt whose files are gone
        if self.place.read(PLANS) is None:
            self.place.write(PLANS, pack(self.plans, self.orders.partition_memory))
        self.place.write(DRIVER, MAIN.encode())
        work = Work(id=id, folder=self.place.url, system=self.orders.system, purpose=self.purpose)
        return self.service.render(work)


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
