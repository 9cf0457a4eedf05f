"""Serving, measured: from a request log and a release to evidence that was replayed.

    log ─ requests ─▶ workload, hits ─┐
    this machine ─ costs ─────────────┴▶ candidates ─ choose ─▶ the best of each paradigm ─ proof ─▶ candidates again

The rule: each part has its share of the time, and what one cannot do is said, so that the others still tell what they
know. What does not belong here: any of the parts, and what follows (`serving`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from ninetyfive.design import costs, proof, traffic
from ninetyfive.design.evidence import Candidate, Constraints, ServingEvidence
from ninetyfive.design.forecast import at_best_periods, built_once, ways
from ninetyfive.design.ground import Ground
from ninetyfive.design.hits import table_hits
from ninetyfive.design.requests import Requests
from ninetyfive.design.serving import SIMPLE, best_of, with_replayed
from ninetyfive.design.workload import workload
from ninetyfive.durations import duration
from ninetyfive.errors import NinetyfiveError
from ninetyfive.features.frames import frame_of
from ninetyfive.models.release import OpenRelease
from ninetyfive.plan import Engine
from ninetyfive.progress import Reporter, telling
from ninetyfive.settings import DesignSettings, Settings
from ninetyfive.timing import slower

COSTS, PROOF = 0.15, 0.25
"""The shares of the budget by which costs and the replay end, from when they begin."""
LEAST, LEAST_REPLAY = 10.0, 3.0
"""Seconds without which no cost is measured, and nothing is replayed."""
RESERVE, MOST_RESERVE = 4.0, 0.4
"""Seconds that are kept for deciding, drawing and writing, on a machine that does nothing else; the largest share."""
_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Given:
    """What serving is measured on: requests, the log that they are of (None: there is none), release, where to work.

    `folder` lends a folder that is gone afterwards, and after a kill by the next run: it holds rows of the log.
    """

    requests: Requests
    log: str | None
    release: OpenRelease | None
    engine: Engine
    folder: Callable[[], AbstractContextManager[Path]]
    settings: Settings
    budget: float
    until: float
    reporter: Reporter

    @property
    def left(self) -> float:
        """Seconds that are left of the budget, but for what is kept back."""
        return self.until - reserve(self.budget) - time.monotonic()


def reserve(budget: float) -> float:
    """Seconds of a budget to keep for what follows the measurements, on this machine as busy as it is."""
    return min(MOST_RESERVE * budget, RESERVE * slower())


def measure_serving(given: Given) -> ServingEvidence:
    """All that can be known of serving within about 0.4 of the budget; what cannot is said."""
    bounds = constraints_of(given.settings.design)
    with telling(given.reporter, "workload"):
        found, hits = workload(given.requests), table_hits(given.requests, bounds.staleness)
    kept = 1.0 if given.log is None else given.settings.serve.log.sample
    evidence = ServingEvidence(
        workload=found,
        measured=None,
        constraints=bounds,
        currency=given.settings.prices.currency,
        assumed=given.requests.assumed,
        sampled=kept,
    )
    if given.release is None:
        why = "there is no release, so what an answer costs is not known: `ninetyfive run` makes one"
        return msgspec.structs.replace(evidence, cannot=(why,))
    if not given.left > LEAST:
        cut = f"what an answer costs: {max(0.0, given.left):.2g} s of the budget were left, {LEAST:g} s are the least"
        return msgspec.structs.replace(evidence, left_out=(cut,))
    with given.folder() as folder:
        place = ground(given.release, given.engine, folder, given.settings)
        rows = _rows(given, given.release)
        try:
            with telling(given.reporter, "costs"):
                until = time.monotonic() + min(COSTS * given.budget, given.left)
                measured = costs.measure(place, rows, until)
        except NinetyfiveError as error:
            return msgspec.structs.replace(evidence, cannot=(f"what an answer costs was not measured: {error}",))
        every = ways(found, hits, measured, bounds, given.settings.prices)
        evidence = msgspec.structs.replace(evidence, measured=measured, candidates=at_best_periods(every))
        if given.log is None or not found.entities:
            return evidence
        rivals = contestants(evidence.candidates)
        forecast = built_once(rivals, found, hits, measured, bounds, given.settings.prices)
        evidence = msgspec.structs.replace(evidence, candidates=every)
        with telling(given.reporter, "replay"):
            evidence = _proved(given, place, evidence, forecast, rows)
        # A replay moves what a period breaks or costs, so the best one is looked for again.
        return msgspec.structs.replace(evidence, candidates=at_best_periods(evidence.candidates))


def constraints_of(said: DesignSettings) -> Constraints:
    """What the settings bound."""
    return Constraints(
        latency=said.latency,
        staleness=float(duration(said.staleness)),
        misses=said.misses,
        changed=said.changed,
        budget=said.budget,
    )


def ground(release: OpenRelease, engine: Engine, folder: Path, settings: Settings) -> Ground:
    """A folder for tables and workers, with the limits and the log of the service."""
    log = settings.serve.log
    key = None if log.key_file is None else settings.absolute(log.key_file)
    kept = msgspec.structs.replace(log, key_file=key)
    return Ground(release, engine, folder, settings.serve.limits, kept)


def contestants(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """What is replayed: of each paradigm the one that would be chosen if there were no other."""
    each = ([one for one in found if one.paradigm == paradigm] for paradigm in SIMPLE)
    return tuple(best_of(alike) for alike in each if alike)


def _rows(given: Given, release: OpenRelease) -> pl.DataFrame:
    """Requests to ask: the latest of the log, else the golden ones of the release."""
    if given.log is not None:
        rows = traffic.newest(given.log, release, _ROWS)
        if rows.height:
            return rows
    return frame_of([golden.row for golden in release.golden], release.request.types)


def _proved(
    given: Given, place: Ground, evidence: ServingEvidence, forecast: Sequence[Candidate], asked: pl.DataFrame
) -> ServingEvidence:
    """The evidence with what the window that judges gave."""
    assert given.log is not None
    assert evidence.measured is not None
    assert evidence.workload is not None
    seconds = min(PROOF * given.budget, given.left)
    if not seconds > LEAST_REPLAY:
        return msgspec.structs.replace(evidence, left_out=(*evidence.left_out, "the replay: the time was over"))
    until = time.monotonic() + seconds
    try:
        held_out = traffic.of_windows(given.log, place.release, evidence.workload.windows)
        reference = proof.Reference(evidence.measured, asked)
        done = proof.prove(place, held_out, forecast, until, reference=reference)
    except NinetyfiveError as error:
        return msgspec.structs.replace(evidence, cannot=(*evidence.cannot, f"nothing was replayed: {error}"))
    told = msgspec.structs.replace(
        evidence,
        noticed=(*evidence.noticed, *done.noticed),
        left_out=(*evidence.left_out, *done.left_out),
        cannot=(*evidence.cannot, *done.cannot),
    )
    return with_replayed(told, done.replayed)
