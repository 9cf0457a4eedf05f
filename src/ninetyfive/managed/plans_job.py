"""Plans as an errand: packed into a folder, run there by `driver` on Spark, their results read from it.

    plans ─ pack ─▶ folder ─ the service runs driver.py ─▶ results in the folder ─ unpack ─▶ results of plans

What does not belong here: what becomes of the job (`attending`), how plans and results are packed (`packing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ninetyfive.managed.jobs import DRIVER, Request, Service, Work
from ninetyfive.managed.packing import MAIN, PLANS, RESULTS, Place, files_of, pack, unpack_results
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.plan import PARTITION_MEMORY, Plan
from ninetyfive.store.records import Job


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs are run: for which `system`, under the url `temporary`, looked at every `poll` seconds.

    `shared_disk`: the workers are on this machine, so that a path of it may be read. `settings` say what workers are,
    where the job says it itself.
    """

    system: str
    temporary: str
    poll: float = 10.0
    partition_memory: int = PARTITION_MEMORY
    shared_disk: bool = False
    settings: ManagedSettings = ManagedSettings()


@dataclass(frozen=True, slots=True)
class PlansErrand:
    """Plans as an errand: packed into its folder, run there by `driver`."""

    id: str
    place: Place
    purpose: str
    plans: Mapping[str, Plan]
    service: Service
    orders: Orders

    def results(self, _: Sequence[Job], /) -> dict[str, Any] | None:
        """As in `Errand`."""
        return self.read()

    def read(self) -> dict[str, Any] | None:
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
