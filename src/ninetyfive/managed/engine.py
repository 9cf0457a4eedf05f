"""An `Engine` whose jobs a service runs: packs the plans, has one job done, reads its results.

    plans ─▶ id by content ─▶ errand ─▶ attending: submit or attach, wait ─▶ results in the folder ─▶ read

What does not belong here: how plans become a job (`plans_job`, `graph_job`), what becomes of it (`attending`), what a
service is told (a file a service).
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ninetyfive.errors import UsageError
from ninetyfive.managed.attending import Attendant, Ledger
from ninetyfive.managed.identity import content_of
from ninetyfive.managed.jobs import Service, folder_of, job_id
from ninetyfive.managed.offers import checked, connected, offer, on_this_machine
from ninetyfive.managed.packing import Place
from ninetyfive.managed.plans_job import Orders, PlansErrand
from ninetyfive.plan import Plan, Read, walk
from ninetyfive.progress import Reporter, Silent
from ninetyfive.settings import Settings
from ninetyfive.store.opening import Store

_IN_MEMORY = "frame"
"""The url of rows that travel with the plans."""


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
        errand: type[PlansErrand] = PlansErrand,
    ) -> None:
        self.jobs = 0
        self._service = service
        self._orders = orders
        self._errand = errand
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
        id, results = self._attendant.done(self._errand(first, place, purpose, plans, self._service, self._orders))
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


def errand_of(to: str) -> type[PlansErrand]:
    """How plans become a job of a service: Beam is loaded only where a graph is wanted."""
    graphs = offer(to).graphs
    errand: type[PlansErrand] = importlib.import_module(graphs).GraphErrand if graphs else PlansErrand
    return errand


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
        settings=said,
    )
    made = ManagedEngine(connected(to, said), store, orders, reporter, errand=errand_of(to))
    yield made
    made.clear()
