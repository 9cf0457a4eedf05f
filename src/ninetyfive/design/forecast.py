"""What each way to serve is expected to answer, to take and to cost, from what was measured: pure functions.

    Hits: tables of earlier moments ─▶ expected hits of the next table, for each K and refresh ─┐
    Measured: CPU, latencies, bytes ────────────────────────────────────────────────────────────┼─▶ Candidate …
    Constraints, prices ────────────────────────────────────────────────────────────────────────┘

What does not belong here: what a table answers (`expecting`), which one is chosen (`serving`).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from ninetyfive.design.evidence import LEVELS, SOON, Candidate, Constraints, Measured, Range, Workload
from ninetyfive.design.expecting import Expected, forecast, told_of
from ninetyfive.design.hits import HEAD_KEPT, Hits
from ninetyfive.durations import duration_text
from ninetyfive.prices import MONTH
from ninetyfive.settings import PriceSettings

ANSWERS, BUILDING, STORAGE = "answers", "building", "storage"
"""The parts of what a candidate costs."""
_GIB, _P99 = 1 << 30, NormalDist().inv_cdf(0.99)
_NINE_OF_TEN = NormalDist().inv_cdf(0.95) / NormalDist().inv_cdf(0.75)
_MIDDLE = (0.6, 0.4)
"""A p50 may be these quantiles, of few and of many hits: near half of them it is the table's or the model's."""
_STEADY = 0.1
"""By which share two measurements of one thing may differ on any machine."""


def candidates(
    workload: Workload, hits: Hits, measured: Measured, constraints: Constraints, prices: PriceSettings
) -> tuple[Candidate, ...]:
    """The ways to serve: the model; a table of each K of the grid, alone or before the model, each at its best period.

    Where no entity is known there is the model alone.
    """
    return at_best_periods(ways(workload, hits, measured, constraints, prices))


def at_best_periods(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Of each paradigm and K the period that breaks the fewest constraints, then the cheapest, then the longest."""
    best: dict[tuple[str, int | None], Candidate] = {}
    for one in found:
        other = best.setdefault((one.paradigm, one.k), one)
        best[one.paradigm, one.k] = min(
            other, one, key=lambda way: (len(way.broken), way.cost, way.cpu_month, -(way.refresh or 0))
        )
    return tuple(best.values())


def ways(
    workload: Workload, hits: Hits, measured: Measured, constraints: Constraints, prices: PriceSettings
) -> tuple[Candidate, ...]:
    """Every way to serve: as `candidates`, with each period up to the staleness limit."""
    costs = Costs(workload, measured, constraints, prices)
    found = [costs.candidate("dynamic", None, None, NOTHING)]
    periods = [(period, forecast(hits, period)) for period in hits.refreshes]
    known = () if math.isnan(measured.cpu_table) or not periods else hits.k
    for place, k in enumerate(known):
        for paradigm in _TABLES:
            found += [costs.candidate(paradigm, k, period, told.at(place)) for period, told in periods]
    return tuple(found)


def built_once(
    found: Sequence[Candidate],
    workload: Workload,
    hits: Hits,
    measured: Measured,
    constraints: Constraints,
    prices: PriceSettings,
) -> tuple[Candidate, ...]:
    """The same candidates as a replay meets them that builds each table once, at the end of *choose*."""
    costs = Costs(workload, measured, constraints, prices)
    told = forecast(hits, None) if hits.k else None
    return tuple(
        one if one.k is None or told is None else costs.candidate(one.paradigm, one.k, None, told_of(told, hits, one.k))
        for one in found
    )


NOTHING = Expected(0.0, 0.0, (0.0, 0.0), (0.0, 0.0))
"""What no table does."""
_TABLES: tuple[Literal["static", "hybrid"], ...] = ("static", "hybrid")


class Costs(NamedTuple):
    """What turns shares of requests into candidates. A build reads the log as it is long now, and makes K rows."""

    workload: Workload
    measured: Measured
    constraints: Constraints
    prices: PriceSettings

    def candidate(
        self,
        paradigm: Literal["static", "dynamic", "hybrid"],
        k: int | None,
        refresh: float | None,
        shares: Expected,
    ) -> Candidate:
        """A candidate of which so much of the requests is covered, and covered with equal features."""
        m = self.measured
        hit, within = {
            "dynamic": (0.0, (0.0, 0.0)),
            "static": (shares.covered, shares.covered_range),
            "hybrid": (shares.equal, shares.equal_range),
        }[paradigm]
        within = min(within[0], hit), max(within[1], hit)
        miss = 1.0 - hit if paradigm == "static" else 0.0
        stale = max(0.0, shares.covered - shares.equal) if paradigm == "static" else 0.0
        most = (1.0 - within[0], max(stale, shares.covered - shares.equal_range[0]))
        cpu, p50, p99 = cpu_of(paradigm, hit, m), p50_of(paradigm, hit, m), m.p99_model
        if paradigm != "dynamic":
            p99 = mixed_quantile(0.99, hit, m, paradigm)
        size = 0 if k is None else int(k * m.bytes_row)
        answers = cpu * self.workload.rate * MONTH
        build = 0.0 if k is None else k * m.cpu_row + self.workload.requests * m.cpu_read
        building = build * MONTH / refresh if refresh else 0.0
        parts = {
            ANSWERS: answers / 3_600 * self.prices.cpu_hour,
            BUILDING: building / 3_600 * self.prices.cpu_hour,
            STORAGE: size / _GIB * self.prices.storage_gib_month,
        }
        made = Candidate(
            paradigm=paradigm,
            k=k,
            refresh=refresh,
            hit=hit,
            miss=miss,
            stale=stale,
            cpu=cpu,
            p50=p50,
            p99=p99,
            table_bytes=size,
            parts=parts,
            cost=sum(parts.values()),
            cpu_month=answers + building,
            hit_range=within,
            cpu_range=_range([cpu_of(paradigm, one, m) for one in within], m.noise),
            p50_range=_range([p50_of(paradigm, *one) for one in zip(within, (m, m), _MIDDLE, strict=True)], m.noise),
            miss_most=most[0] if paradigm == "static" else None,
            stale_most=most[1] if paradigm == "static" else None,
        )
        return judged(made, self.constraints, self.workload)


def cpu_of(paradigm: Literal["static", "dynamic", "hybrid"], hit: float, measured: Measured) -> float:
    """CPU seconds of a request, of which the share `hit` is answered by a table."""
    if paradigm == "dynamic":
        return measured.cpu_model
    if paradigm == "static":
        return hit * measured.cpu_table + (1.0 - hit) * measured.cpu_miss
    table = measured.cpu_table + (1.0 - hit) * measured.cpu_after
    return hit * table + (1.0 - hit) * (measured.cpu_model + measured.cpu_look)


def p50_of(
    paradigm: Literal["static", "dynamic", "hybrid"], hit: float, measured: Measured, share: float = 0.5
) -> float:
    """The p50 in seconds of requests, of which the share `hit` is answered by a table; or another `share` than half."""
    return measured.p50_model if paradigm == "dynamic" else mixed_quantile(share, hit, measured, paradigm)


def _range(values: Sequence[float], noise: float) -> Range:
    """What lies between these, and as far beyond them as nine of ten rounds do, of which half lie within `noise`."""
    beyond = min(0.9, max(_STEADY, noise * _NINE_OF_TEN))
    return min(values) * (1.0 - beyond), max(values) * (1.0 + beyond)


def judged(candidate: Candidate, constraints: Constraints, workload: Workload) -> Candidate:
    """The candidate with the constraints that it breaks, in words.

    A plain table of a head that is another one a day later breaks one, too, even if it covered all that was asked so
    far: what moves so fast may be something new tomorrow.
    """
    broken = tuple(_broken(candidate, constraints))
    kept = workload.head_kept
    if candidate.paradigm == "static" and kept is not None and kept < HEAD_KEPT:
        broken += (f"head: {kept:.0%} of what is asked about most is so a day later, {HEAD_KEPT:.0%} has to be",)
    return candidate if broken == candidate.broken else msgspec.structs.replace(candidate, broken=broken)


def mixed_quantile(
    share: float, hit: float, measured: Measured, paradigm: Literal["static", "hybrid"] = "hybrid"
) -> float:
    """The quantile of latencies of which `hit` are a table's, in seconds.

    The others are the model's after a look-up, or those of a static service that finds nothing. Of a table's answers
    before which the model answered, those that were measured so count. Between the levels that were measured latencies
    are taken as log-normal; the quantile is found by halving.

    >>> m = Measured(machine="", cpu_model=0, cpu_table=0, cpu_miss=0, p50_model=0.01, p50_table=0.001, p99_model=0.02,
    ...              p99_table=0.002, cpu_row=0, bytes_row=0, memory=0, noise=0)
    >>> round(mixed_quantile(0.5, 0.0, m), 4), round(mixed_quantile(0.5, 1.0, m), 4)
    (0.01, 0.001)
    """
    parts = [(part, _logs(kind, measured)) for part, kind in _mixture(hit, measured, paradigm) if part > 0.0]
    low, high = min(logs[0] for _, logs in parts) - 8.0, max(logs[-1] for _, logs in parts) + 8.0
    for _ in range(60):
        at = (low + high) / 2
        below = sum(part * _normal.cdf(_deviation(at, logs)) for part, logs in parts)
        low, high = (at, high) if below < share else (low, at)
    return math.exp((low + high) / 2)


_normal = NormalDist()
_DEVIATIONS = tuple(map(_normal.inv_cdf, LEVELS))


def _mixture(hit: float, measured: Measured, paradigm: str) -> tuple[tuple[float, str], ...]:
    """Which shares of requests take how long."""
    if paradigm == "static":
        return (hit, "table"), (1.0 - hit, "miss")
    after = hit * (1.0 - hit) if "after" in measured.latencies else 0.0
    soon = hit * (hit - hit ** (SOON - 1)) if "soon" in measured.latencies else 0.0
    return (hit - after - soon, "table"), (after, "after"), (soon, "soon"), (1.0 - hit, "look")


def _logs(kind: str, measured: Measured) -> list[float]:
    """The logarithms of latencies at the levels, each above the one before."""
    m = measured
    p50, p99 = {
        "miss": (m.p50_miss or m.p50_table, m.p99_miss or m.p99_table),
        "look": (m.p50_model + m.p50_look, m.p99_model + m.p50_look),
    }.get(kind, (m.p50_table, m.p99_table))
    spread = math.log(max(p99, 1e-9) / max(p50, 1e-9)) / _P99
    found = [max(p50, 1e-9) * math.exp(spread * deviation) for deviation in _DEVIATIONS]
    logs = np.log(np.maximum(m.latencies.get(kind, found), 1e-9))
    steps = 1e-6 * np.arange(len(logs))
    told: list[float] = (np.maximum.accumulate(logs - steps) + 2 * steps).tolist()
    return told


def _deviation(at: float, logs: Sequence[float]) -> float:
    """At which standard deviation a logarithm of a latency lies, beyond the levels as between the outermost two."""
    place = min(max(bisect.bisect_left(logs, at), 1), len(logs) - 1)
    low, high = logs[place - 1 : place + 1]
    first, last = _DEVIATIONS[place - 1 : place + 1]
    return first + (last - first) * (at - low) / (high - low)


def doubted(candidate: Candidate, constraints: Constraints) -> Candidate:
    """The candidate of a forecast with the constraints that it breaks in one of ten futures, and is not said to."""
    doubts = tuple(
        f"{name}: up to {share:.1%} {what} in nine of ten futures, {most:.1%} may"
        for name, share, most, what in _shares(candidate.miss_most or 0.0, candidate.stale_most or 0.0, constraints)
        if share > most and not any(words.startswith(f"{name}:") for words in candidate.broken)
    )
    return msgspec.structs.replace(candidate, broken=candidate.broken + doubts) if doubts else candidate


def _shares(miss: float, stale: float, constraints: Constraints) -> tuple[tuple[str, float, float, str], ...]:
    changed = "of requests are answered from features that have changed"
    return (
        ("misses", miss, constraints.misses, "of requests get no answer"),
        ("changed", stale, constraints.changed, changed),
    )


def _broken(candidate: Candidate, constraints: Constraints) -> Iterator[str]:
    for name, share, most, what in _shares(candidate.miss, candidate.stale, constraints):
        if share > most:
            yield f"{name}: {share:.1%} {what}, {most:.1%} may"
    if constraints.latency is not None and candidate.p99 > constraints.latency:
        yield f"latency: p99 is {candidate.p99 * 1e3:.3g} ms, {constraints.latency * 1e3:.3g} ms is allowed"
    if candidate.refresh is not None and candidate.refresh > constraints.staleness:
        old, most_old = duration_text(candidate.refresh), duration_text(constraints.staleness)
        yield f"staleness: the table becomes {old} old, {most_old} is allowed"
    if constraints.budget is not None and candidate.cost > constraints.budget:
        yield f"budget: it costs {candidate.cost:.4g} a month, {constraints.budget:.4g} is allowed"


class InForce(NamedTuple):
    """The design in force: its paradigm, and how many entities its table holds (None: all of them, or no table)."""

    paradigm: Literal["static", "dynamic", "hybrid"]
    k: int | None = None


def candidate_of(candidates: Sequence[Candidate], in_force: InForce | None) -> Candidate | None:
    """The candidate of a design, or that of the nearest K of its paradigm; None where none was forecast."""
    alike = [one for one in candidates if in_force is not None and one.paradigm == in_force.paradigm]
    if not alike or in_force is None:
        return None
    wanted = in_force.k if in_force.k is not None else max(one.k or 0 for one in alike)
    return min(alike, key=lambda one: abs(np.log(max(one.k or 1, 1) / max(wanted, 1))))
