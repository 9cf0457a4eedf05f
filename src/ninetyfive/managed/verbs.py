"""What `ninetyfive jobs` does: list, look at, cancel and wait for jobs that were submitted.

    catalog: as last seen ─ show, attach, cancel: the service is asked ─▶ catalog: as it is now

What does not belong here: how a command gets results: the same `submit` again reads them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from ninetyfive.managed.jobs import gone
from ninetyfive.managed.offers import service_for
from ninetyfive.managed.packing import Place
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.progress import Reporter
from ninetyfive.store.opening import Store
from ninetyfive.store.records import Job


def listed(store: Store) -> list[dict[str, Any]]:
    """Every job, newest first, as it was last seen."""
    return [plain(job) for job in store.jobs()]


def shown(store: Store, said: ManagedSettings, words: str) -> dict[str, Any]:
    """One job, as the service knows it now."""
    return plain(_seen(store, said, store.job(words)))


def cancelled(
    store: Store, said: ManagedSettings, words: str, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """Stop a job, wait until nothing of it runs, and remove its folder; one that has ended stays as it ended."""
    job = store.job(words)
    service = service_for(job, said)
    seen = service.cancel(job.name)
    while seen is not None and not seen.ended:
        sleep(said.poll)
        seen = service.look(job.name)
    found = store.move_job(seen or gone(job))
    shared = any(other.folder == job.folder and not other.ended for other in store.jobs())  # by another attempt
    if job.folder and found.state != "done" and not shared:  # results that are there stay until they are read
        Place(job.folder).remove()
    return plain(found)


def attached(
    store: Store,
    said: ManagedSettings,
    words: str,
    reporter: Reporter,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Wait until a job has ended, and say how."""
    job = store.job(words)
    told = None
    while True:
        seen = _seen(store, said, job)
        if seen.state != told:
            reporter.notice(f"job {seen.id}: {seen.state}")
            told = seen.state
        if seen.ended:
            return plain(seen)
        sleep(said.poll)


def plain(job: Job) -> dict[str, Any]:
    """A job as plain data."""
    return dict(msgspec.to_builtins(job))


def _seen(store: Store, said: ManagedSettings, job: Job) -> Job:
    """A job as it is now, written down; one that has ended is not asked for again."""
    if job.ended:
        return job
    return store.move_job(service_for(job, said).look(job.name) or gone(job))
