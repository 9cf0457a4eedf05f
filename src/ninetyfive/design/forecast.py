"""What each way to serve is expected to answer, to take and to cost, from what was measured: pure functions.

    Hits: tables of earlier moments ─▶ expected hits of the next table, for each K and refresh ─┐
    Measured: CPU, latencies, bytes ────────────────────────────────────────────────────────────┼─▶ Candidate …
    Constraints, prices ────────────────────────────────────────────────────────────────────────┘

What a table of K entities will cover is forecast as leave-one-out × what earlier tables covered ÷ what leaving one out
had said of those (where they covered more, that is added instead). The first is Good and Turing's estimate for requests
that come as those before (`left_one_out`); the quotient, of each age of a table and then their mean, is what drift and
new entities leave of it. A table counts by its requests and the square of those before it: late ones count more. Where
entities become more, "K" of an earlier table may mean as many as K, or as many as K is among those of then (log K in
the proportion of log entities): that is taken which forecast the later of the earlier tables better from those before
them. Of what is covered the share with equal features is that of earlier tables of the same ages. What does not belong
here: which one is chosen (`serving`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from ninetyfive.design.evidence import Candidate, Constraints, Measured, Workload
from ninetyfive.design.hits import HEAD_KEPT, Built, Hits, Horizon, Shares
from ninetyfive.durations import duration_text
from ninetyfive.prices import MONTH
from ninetyfive.settings import PriceSettings

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
    if not asked.built or not hits.k:
        return hits.again * hits.named, hits.again * hits.named
    now = _State(hits.again, hits.k[-1])
    entities = now.entities if asked.seconds is None else _grown(hits)
    fixed, scaled = (_backtest(hits, asked, way) for way in (False, True))
    covered, share = _projected(hits, asked.built, now, entities, scaled=scaled < _BETTER * fixed)
    rising = np.maximum.accumulate(np.clip(covered.mean(axis=0), 0.0, 1.0))
    equal = np.maximum.accumulate(rising * np.clip(share, 0.0, 1.0))
    return rising * hits.named, equal * hits.named


class _State(NamedTuple):
    """What is known when a table is built: what leaving one out says for each K, and how many entities there are."""

    again: Shares
    entities: int


_BETTER = 0.85
"""How much less wrong the scaled K has to have been, to be taken."""
_BEFORE, _BEFORE_OFTEN = 0.7, 0.82


def _projected(
    hits: Hits, built: Sequence[Built], state: _State, entities: float, *, scaled: bool
) -> tuple[Shares, Shares]:
    """What a table that is built when there are so many `entities` covers (age × K), and the share of it that is equal.

    It is made from tables that were `built` before, and the `state` that is known.
    """
    ages = max(len(one.requests) for one in built)
    sums = np.zeros((3, ages, len(hits.k)))
    weights = np.zeros((ages, 1))
    for one in built:
        seen, weight = len(one.requests), (one.requests * (one.begin / hits.requests) ** 2)[:, None]
        at = _sizes(hits, entities, one.entities, scaled)
        covered, equal = (_at(hits, shares, at) for shares in (one.covered, one.equal))
        again = _at(hits, one.again[None, :], at)
        weights[:seen] += weight
        for place, shares in enumerate((covered, equal, again)):
            sums[place, :seen] += weight * shares
    known = weights[:, 0] > 0
    covered, equal, again = sums[:, known] / weights[known]
    now = _at(hits, state.again[None, :], _sizes(hits, entities, state.entities, scaled))
    share: Shares = equal.mean(axis=0) / np.maximum(covered.mean(axis=0), 1e-12)
    left = now * covered / np.maximum(again, 1e-12)
    return np.where(covered < again, left, now + covered - again), share


def _sizes(hits: Hits, entities: float, then: int, scaled: bool) -> Shares:
    """The logarithm of how many of the entities of then answer to each K among so many entities."""
    sizes: Shares = np.log(np.asarray(hits.k, dtype=np.float64))
    if not scaled or min(entities, then) < 2:
        return sizes
    return sizes * (math.log(then) / math.log(entities))


def _at(hits: Hits, shares: Shares, sizes: Shares) -> Shares:
    """Shares of each K (age × K), interpolated at the logarithms of other sizes."""
    grid = np.log(np.asarray(hits.k, dtype=np.float64))
    return np.array([np.interp(sizes, grid, one) for one in shares])


def _grown(hits: Hits) -> float:
    """How many entities there will be in the middle of the last window, if they go on to come as they did."""
    whole = next(one for one in hits.horizons if one.seconds is None)
    if not whole.built:
        return float(hits.k[-1])
    early = min(whole.built, key=lambda one: abs(one.begin - hits.requests / 2))
    rate = (hits.k[-1] - early.entities) / max(1, hits.requests - early.begin)
    return hits.k[-1] + rate * hits.requests / 4


def _backtest(hits: Hits, asked: Horizon, scaled: bool) -> float:
    """How wrong it was to project later tables from those well before them: mean over requests and K, of `covered`."""
    wrong = total = 0.0
    for one in asked.built:
        before = _BEFORE if asked.seconds is None else _BEFORE_OFTEN
        earlier = [other for other in asked.built if other.begin <= before * one.begin]
        if not earlier:
            continue
        then = one if asked.seconds is None else earlier[-1]
        state = _State(then.again, then.entities)
        found, _ = _projected(hits, earlier, state, one.entities, scaled=scaled)
        seen = min(len(found), len(one.requests))
        wrong += float(one.requests[:seen] @ np.abs(found[:seen] - one.covered[:seen]).mean(axis=1))
        total += float(one.requests[:seen].sum())
    return wrong / total if total else 0.0


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
    found = [costs.candidate("dynamic", None, None, Expected(0.0, 0.0))]
    periods = [(period, *forecast(hits, horizon(hits, period))) for period in hits.refreshes]
    known = () if math.isnan(measured.cpu_table) or not periods else hits.k
    for place, k in enumerate(known):
        for paradigm in _TABLES:
            found += [
                costs.candidate(paradigm, k, period, Expected(float(covered[place]), float(equal[place])))
                for period, covered, equal in periods
            ]
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
    return tuple(
        one if one.k is None else costs.candidate(one.paradigm, one.k, None, expected(hits, one.k)) for one in found
    )


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
        hit = {"dynamic": 0.0, "static": shares.covered, "hybrid": shares.equal}[paradigm]
        miss = 1.0 - hit if paradigm == "static" else 0.0
        stale = max(0.0, shares.covered - shares.equal) if paradigm == "static" else 0.0
        cpu = cpu_of(paradigm, hit, m)
        if paradigm == "dynamic":
            p50, p99 = m.p50_model, m.p99_model
        else:
            p50, p99 = (mixed_quantile(share, hit, m, paradigm) for share in (0.5, 0.99))
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
        )
        return judged(made, self.constraints, self.workload)


def cpu_of(paradigm: Literal["static", "dynamic", "hybrid"], hit: float, measured: Measured) -> float:
    """CPU seconds of a request, of which the share `hit` is answered by a table."""
    if paradigm == "dynamic":
        return measured.cpu_model
    missed = measured.cpu_miss if paradigm == "static" else measured.cpu_model + measured.cpu_look
    return hit * measured.cpu_table + (1.0 - hit) * missed


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

    The others are the model's after a look-up, or those of a static service that finds nothing. Each of the two is
    taken as log-normal with the p50 and p99 that were measured; the quantile is found by halving.

    >>> m = Measured(machine="", cpu_model=0, cpu_table=0, cpu_miss=0, p50_model=0.01, p50_table=0.001, p99_model=0.02,
    ...              p99_table=0.002, cpu_row=0, bytes_row=0, memory=0, noise=0)
    >>> round(mixed_quantile(0.5, 0.0, m), 4), round(mixed_quantile(0.5, 1.0, m), 4)
    (0.01, 0.001)
    """
    look = measured.p50_look
    rest = (measured.p50_model + look, measured.p99_model + look)
    if paradigm == "static":
        rest = (measured.p50_miss or measured.p50_table, measured.p99_miss or measured.p99_table)
    both = [(hit, measured.p50_table, measured.p99_table), (1.0 - hit, *rest)]
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
