"""The plane of peakedness × cardinality: which way to serve costs least where.

    Zipf's law of slope s over N entities ─▶ peakedness 1 − H / ln N, coverage of its top K
    measured costs, rate, refresh, constraints ─▶ the cheapest of static, dynamic and hybrid at each point

What a point says holds for a system like this one in all but these two: same rate, costs, new entities and changes, and
requests by Zipf's law. Where this system itself stands is measured. What does not belong here: drawing (`figures`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ninetyfive.design.evidence import Candidate, ServingEvidence, Workload
from ninetyfive.design.serving import NOISE, SIMPLE

PEAKEDNESS = tuple(round(0.04 * step, 2) for step in range(25))
"""From 0 (all asked about equally often) to 0.96."""
DECADES = tuple(0.25 * step for step in range(4, 29))
"""Cardinality as powers of ten, from 10 to 10⁷."""
_EXACT = 2_000
_STEEPEST = 8.0


class Point(NamedTuple):
    """The cheapest way to serve at a point, and how many entities its table holds; "none" keeps the constraints."""

    peakedness: float
    cardinality: float
    paradigm: str
    k: int | None


class _Ranks(NamedTuple):
    """Ranks 1 … N, exact at first, then in growing steps: the middle of each step, and how many ranks it stands for."""

    middle: NDArray[np.float64]
    width: NDArray[np.float64]
    last: NDArray[np.float64]


def plane(evidence: ServingEvidence) -> tuple[Point, ...]:
    """The points of the plane; none where requests or costs, those of a table too, were not measured."""
    cost = evidence.measured
    if evidence.workload is None or cost is None:
        return ()
    if not all(map(math.isfinite, (cost.cpu_model, cost.cpu_table, cost.cpu_miss, cost.cpu_row, cost.p99_model))):
        return ()
    found = []
    for decade in DECADES:
        count = round(10**decade)
        ranks = _ranks(count)
        for peaked in PEAKEDNESS:
            shares = _shares(ranks, _slope(ranks, count, peaked))
            paradigm, k = _cheapest(evidence, ranks, shares, count)
            found.append(Point(peaked, float(count), paradigm, k))
    return tuple(found)


def peakedness_of(slope: float, count: int) -> float:
    """1 − H / ln N of Zipf's law: 0 where all are asked about equally often, near 1 where one takes all.

    >>> round(peakedness_of(0.0, 1000), 6), round(peakedness_of(1.0, 1000), 3)
    (0.0, 0.249)
    """
    ranks = _ranks(count)
    return _peakedness(ranks, count, slope)


def _ranks(count: int) -> _Ranks:
    edges = np.arange(min(count, _EXACT) + 1, dtype=np.float64)
    if count > _EXACT:
        edges = np.unique(np.concatenate([edges, np.floor(np.geomspace(_EXACT, count, 400))]))
    width = np.diff(edges)
    return _Ranks((edges[:-1] + 1 + edges[1:]) / 2, width, edges[1:])


def _shares(ranks: _Ranks, slope: float) -> NDArray[np.float64]:
    """Of requests, the share about the entities of each step."""
    weights = ranks.width * ranks.middle**-slope
    return np.asarray(weights / weights.sum())


def _peakedness(ranks: _Ranks, count: int, slope: float) -> float:
    shares = _shares(ranks, slope)
    some = shares > 0
    entropy = -float(np.sum(shares[some] * np.log(shares[some] / ranks.width[some])))
    return 1.0 - entropy / math.log(count)


def _slope(ranks: _Ranks, count: int, peaked: float) -> float:
    """The slope of Zipf's law with this peakedness, by halving: peakedness grows with the slope."""
    low, high = 0.0, _STEEPEST
    for _ in range(40):
        middle = (low + high) / 2
        if _peakedness(ranks, count, middle) < peaked:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _cheapest(
    evidence: ServingEvidence, ranks: _Ranks, shares: NDArray[np.float64], count: int
) -> tuple[str, int | None]:
    """The simplest of those that take the least CPU a second, of answers and builds, and keep the constraints."""
    workload, cost, limits = evidence.workload, evidence.measured, evidence.constraints
    if workload is None or cost is None:
        return "none", None
    stale = _stale(evidence, workload)
    known = 1.0 - workload.new_entity_rate
    read = workload.requests * cost.cpu_read / limits.staleness
    ways: list[tuple[float, str, int | None]] = []
    if limits.latency is None or cost.p99_model <= limits.latency:
        ways.append((workload.rate * cost.cpu_model, "dynamic", None))
        hits = np.cumsum(shares) * known * (1.0 - stale)
        table = cost.cpu_table + (1.0 - hits) * cost.cpu_after
        answers = workload.rate * (hits * table + (1.0 - hits) * (cost.cpu_model + cost.cpu_look)) + read
        total = answers + ranks.last * cost.cpu_row / limits.staleness
        best = int(np.argmin(total))
        ways.append((float(total[best]), "hybrid", int(ranks.last[best])))
    if 1.0 - known <= limits.misses and stale <= limits.changed:
        builds = count * cost.cpu_row / limits.staleness + read
        ways.append((workload.rate * cost.cpu_table + builds, "static", count))
    if not ways:
        return "none", None
    least = min(used for used, _, _ in ways)
    near = [way for way in ways if way[0] <= least * (1 + NOISE)]
    _, paradigm, k = min(near, key=lambda way: SIMPLE.index(way[1]))
    return paradigm, k


def _stale(evidence: ServingEvidence, workload: Workload) -> float:
    """The share of requests whose features have changed since a table of the allowed age was built."""
    found: list[Candidate] = [one for one in evidence.candidates if one.paradigm == "static"]
    if found:
        return found[0].stale
    ages = [one for one in workload.changes if one.age <= evidence.constraints.staleness]
    return ages[-1].changed if ages else workload.change_rate
