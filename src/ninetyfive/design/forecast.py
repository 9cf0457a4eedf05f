"""What each way to serve is expected to answer, to take and to cost, from what was measured: pure functions.

    Hits: tables of earlier moments ─▶ expected hits of the next table, for each K and refresh ─┐
    Measured: CPU, latencies, bytes ────────────────────────────────────────────────────────────┼─▶ Candidate …
    Constraints, prices ────────────────────────────────────────────────────────────────────────┘

The forecast of what a table of K entities covers: leave one out at its build, plus what tables of earlier moments
covered beyond leaving one out, in the mean (it is mostly below 0). The first is Good and Turing's estimate for requests
that come as those before; the second is what drift and new entities take from it. Of what is covered the share with
equal features is that of the earlier tables, which were asked for as long. What does not belong here: which one is
chosen (`serving`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from ninetyfive.design.evidence import Candidate, Constraints, Measured, Workload
from ninetyfive.design.hits import Hits, Horizon, Shares
from ninetyfive.durations import duration_text
from ninetyfive.settings import PriceSettings

MONTH = 365.25 / 12 * 86_400
"""Seconds of a month."""
ANSWERS, BUILDING, STORAGE = "answers", "building", "storage"
"""The parts of what a candidate costs."""
_GIB, _P99 = 1 << 30, NormalDist().inv_cdf(0.99)


class Expected(NamedTuple):
    """What a table is expected to do with requests: the shares whose entity it holds, and whose features it holds."""

    covered: float
    equal: float


def expected(hits: Hits, k: int, refresh: float | None = None) -> Expected:
    """What a table of `k` entities does, built again every `refresh` seconds; None: built once, at the end of *choose*.

    Shares are of all requests, those without an entity too. A K between two of the grid is interpolated.
    """
    if not hits.k:
        return Expected(0.0, 0.0)
    covered, equal = forecast(hits, horizon(hits, refresh))
    at = np.asarray(hits.k, dtype=np.float64)
    return Expected(float(np.interp(k, at, covered)), float(np.interp(k, at, equal)))


def horizon(hits: Hits, refresh: float | None) -> Horizon:
    """The tables that were asked for as long as a refresh; for longer than the last window lasts: for a window."""
    fitting = [one for one in hits.horizons if one.seconds is not None and refresh is not None]
    nearest = min(fitting, key=lambda one: abs(math.log((one.seconds or 1) / (refresh or 1))), default=None)
    whole = next(one for one in hits.horizons if one.seconds is None)
    if nearest is None or refresh is None or refresh >= hits.lasts:
        return whole
    return nearest


def forecast(hits: Hits, asked: Horizon) -> tuple[Shares, Shares]:
    """The shares of requests that tables asked for so long will cover, and cover with equal features, for each K."""
    built = [one for one in asked.built if one.requests]
    if not built:
        return hits.again * hits.named, hits.again * hits.named
    weights = np.array([one.requests for one in built], dtype=np.float64)
    weights /= weights.sum()
    covered = np.array([one.covered for one in built])
    short = covered - np.array([one.again for one in built])
    expected_covered = np.clip(hits.again + weights @ short, 0.0, 1.0)
    share = weights @ np.array([one.equal for one in built]) / np.maximum(weights @ covered, 1e-12)
    rising = np.maximum.accumulate(expected_covered)
    return rising * hits.named, np.maximum.accumulate(rising * np.clip(share, 0.0, 1.0)) * hits.named


def candidates(
    workload: Workload, hits: Hits, measured: Measured, constraints: Constraints, prices: PriceSettings
) -> tuple[Candidate, ...]:
    """Every way to serve: the model; a table of each K of the grid, alone or before the model.

    Of the refresh periods up to the staleness limit that one is taken which breaks the fewest constraints, then the
    cheapest, then the longest. Where no entity is known there is the model alone.
    """
    costs = _Costs(workload.rate, measured, constraints, prices)
    found = [costs.candidate("dynamic", None, None, Expected(0.0, 0.0))]
    periods = [(period, *forecast(hits, horizon(hits, period))) for period in hits.refreshes]
    for place, k in enumerate(hits.k if periods else ()):
        for paradigm in _TABLES:
            ways = [
                costs.candidate(paradigm, k, period, Expected(float(covered[place]), float(equal[place])))
                for period, covered, equal in periods
            ]
            found.append(min(ways, key=lambda one: (len(one.broken), one.cost, one.cpu_month, -(one.refresh or 0))))
    return tuple(found)


def built_once(
    candidate: Candidate, workload: Workload, hits: Hits, measured: Measured, constraints: Constraints
) -> Candidate:
    """What a candidate does in the window that judges, whose table is built at the beginning and not again."""
    if candidate.k is None:
        return candidate
    costs = _Costs(workload.rate, measured, constraints, PriceSettings())
    return costs.candidate(candidate.paradigm, candidate.k, None, expected(hits, candidate.k))


_TABLES: tuple[Literal["static", "hybrid"], ...] = ("static", "hybrid")


class _Costs(NamedTuple):
    """What turns shares of requests into candidates."""

    rate: float
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
        hit = {"dynamic": 0.0, "static": shares.covered, "hybrid": shares.equal}[paradigm]
        miss = 1.0 - hit if paradigm == "static" else 0.0
        stale = max(0.0, shares.covered - shares.equal) if paradigm == "static" else 0.0
        if paradigm == "dynamic":
            cpu, p50, p99 = m.cpu_model, m.p50_model, m.p99_model
        elif paradigm == "static":
            cpu, p50, p99 = hit * m.cpu_table + miss * m.cpu_miss, m.p50_table, m.p99_table
        else:
            cpu = hit * m.cpu_table + (1.0 - hit) * m.cpu_model
            p50, p99 = (mixed_quantile(share, hit, m) for share in (0.5, 0.99))
        size = int((k or 0) * m.bytes_row)
        builds = MONTH / refresh if refresh else 0.0
        answers, building = cpu * self.rate * MONTH, (k or 0) * m.cpu_row * builds
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
        )
        return judged(made, self.constraints)


def judged(candidate: Candidate, constraints: Constraints) -> Candidate:
    """The candidate with the constraints that it breaks, in words."""
    broken = tuple(_broken(candidate, constraints))
    return candidate if broken == candidate.broken else msgspec.structs.replace(candidate, broken=broken)


def mixed_quantile(share: float, hit: float, measured: Measured) -> float:
    """The quantile of latencies of which `hit` are a table's and the others the model's, in seconds.

    Each of the two is taken as log-normal with the p50 and p99 that were measured; the quantile is found by halving.

    >>> m = Measured(machine="", cpu_model=0, cpu_table=0, cpu_miss=0, p50_model=0.01, p50_table=0.001, p99_model=0.02,
    ...              p99_table=0.002, cpu_row=0, bytes_row=0, memory=0, noise=0)
    >>> round(mixed_quantile(0.5, 0.0, m), 4), round(mixed_quantile(0.5, 1.0, m), 4)
    (0.01, 0.001)
    """
    both = [(hit, measured.p50_table, measured.p99_table), (1.0 - hit, measured.p50_model, measured.p99_model)]
    parts = [(part, math.log(max(p50, 1e-9)), _spread(p50, p99)) for part, p50, p99 in both if part > 0.0]
    low = min(middle - 8 * spread for _, middle, spread in parts) - 1e-6
    high = max(middle + 8 * spread for _, middle, spread in parts) + 1e-6
    for _ in range(60):
        at = (low + high) / 2
        below = sum(part * _normal.cdf((at - middle) / spread) for part, middle, spread in parts)
        low, high = (at, high) if below < share else (low, at)
    return math.exp((low + high) / 2)


_normal = NormalDist()


def _spread(p50: float, p99: float) -> float:
    return max(math.log(max(p99, 1e-9) / max(p50, 1e-9)) / _P99, 1e-6)


def _broken(candidate: Candidate, constraints: Constraints) -> Iterator[str]:
    for name, share, most, what in (
        ("misses", candidate.miss, constraints.misses, "of requests get no answer"),
        ("changed", candidate.stale, constraints.changed, "of requests are answered from features that have changed"),
    ):
        if share > most:
            yield f"{name}: {share:.1%} {what}, {most:.1%} may"
    if constraints.latency is not None and candidate.p99 > constraints.latency:
        yield f"latency: p99 is {candidate.p99 * 1e3:.3g} ms, {constraints.latency * 1e3:.3g} ms is allowed"
    if candidate.refresh is not None and candidate.refresh > constraints.staleness:
        old, most_old = duration_text(candidate.refresh), duration_text(constraints.staleness)
        yield f"staleness: the table becomes {old} old, {most_old} is allowed"
    if constraints.budget is not None and candidate.cost > constraints.budget:
        yield f"budget: it costs {candidate.cost:.4g} a month, {constraints.budget:.4g} is allowed"
