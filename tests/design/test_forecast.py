"""The forecast of what a table answers, against what one really answers; and what ways to serve cost."""

from __future__ import annotations

import math
from statistics import NormalDist

import msgspec
import numpy as np
import pytest
from bench._request_logs import Log, replayed

from ninetyfive.design.evidence import LEVELS, SOON, Candidate, Constraints, Measured
from ninetyfive.design.expecting import expected
from ninetyfive.design.forecast import at_best_periods, candidates, mixed_quantile
from ninetyfive.design.hits import table_hits
from ninetyfive.design.requests import Requests, requests_of_arrays
from ninetyfive.design.workload import workload
from ninetyfive.prices import MONTH
from ninetyfive.settings import PriceSettings

DAY = 86_400.0
MEASURED = Measured(
    machine="a test",
    cpu_model=500e-6,
    cpu_table=50e-6,
    cpu_miss=40e-6,
    p50_model=2e-3,
    p50_table=0.5e-3,
    p99_model=6e-3,
    p99_table=1e-3,
    cpu_row=100e-6,
    bytes_row=64.0,
    memory=100 << 20,
    noise=0.02,
)
CONSTRAINTS = Constraints(latency=0.1, staleness=DAY, misses=0.01, changed=0.01, budget=None)


def ways(
    requests: Requests,
    measured: Measured = MEASURED,
    constraints: Constraints = CONSTRAINTS,
    prices: PriceSettings | None = None,
) -> tuple[Candidate, ...]:
    """The candidates of a log."""
    hits = table_hits(requests, constraints.staleness)
    return candidates(workload(requests), hits, measured, constraints, prices or PriceSettings())


@pytest.mark.parametrize("refresh", [None, DAY])
@pytest.mark.parametrize(
    "log",
    [
        Log(requests=40_000, zipf=0.0, cardinality=10_000, seed=11),
        Log(requests=40_000, zipf=0.0, cardinality=1_000_000, new=0.05, changing=0.2, seed=16),
        Log(requests=40_000, zipf=1.0, cardinality=100_000, seed=12),
        Log(requests=40_000, zipf=1.3, cardinality=1_000_000, new=0.05, seed=13),
        Log(requests=40_000, zipf=0.8, cardinality=1_000, new=0.5, seed=14),
        Log(requests=40_000, zipf=0.5, cardinality=1_000, changing=2.0, seed=15),
    ],
)
def test_the_forecast_is_within_two_points_of_a_real_table(log: Log, refresh: float | None) -> None:
    requests = log.requests_of()
    hits = table_hits(requests, DAY)
    for k in (hits.k[len(hits.k) // 2], hits.k[-1]):
        found, (covered, equal) = expected(hits, k, refresh), replayed(requests, k, refresh)
        assert found.covered == pytest.approx(covered, abs=0.02)
        assert found.equal == pytest.approx(equal, abs=0.02)


def test_requests_without_an_entity_are_missed_by_every_table() -> None:
    named = Log(requests=6_000, zipf=1.0, cardinality=50, seed=3).requests_of()
    half = Requests(named.time, named.entity, named.fingerprint, nameless=named.time)
    assert expected(table_hits(half, DAY), 50).covered == pytest.approx(
        expected(table_hits(named, DAY), 50).covered / 2
    )


def test_costs_are_work_times_prices() -> None:
    requests = Log(requests=30_000, zipf=1.0, cardinality=100, seed=4).requests_of()
    found = {(one.paradigm, one.k): one for one in ways(requests)}
    rate = workload(requests).rate
    model, table = found["dynamic", None], found["hybrid", 100]
    assert model.cost == pytest.approx(500e-6 * rate * MONTH / 3600 * 0.0316)
    assert (model.hit, model.miss, model.stale, model.p50) == (0.0, 0.0, 0.0, 2e-3)
    assert table.hit == pytest.approx(1.0, abs=0.001)
    assert table.refresh == DAY
    assert table.parts["building"] == pytest.approx(100 * 100e-6 * MONTH / DAY / 3600 * 0.0316)
    assert table.parts["storage"] == pytest.approx(6_400 / 2**30 * 0.1)
    assert table.cost == pytest.approx(sum(table.parts.values()))
    assert table.cpu == pytest.approx(50e-6, rel=0.01)
    plain_table = found["static", 10]
    assert plain_table.miss == pytest.approx(1 - plain_table.hit)
    assert any(words.startswith("misses:") for words in plain_table.broken)
    assert not found["static", 100].broken


@pytest.mark.parametrize(
    ("constraints", "paradigm", "word"),
    [
        ({"latency": 0.005}, "dynamic", "latency"),
        ({"budget": 1e-9}, "dynamic", "budget"),
        ({"changed": 0.0}, "static", "changed"),
        ({"misses": 0.0}, "static", "misses"),
    ],
)
def test_broken_constraints_are_said(constraints: dict[str, float], paradigm: str, word: str) -> None:
    requests = Log(requests=20_000, zipf=0.5, cardinality=2_000, changing=1.0, new=0.02, seed=5).requests_of()
    bound = msgspec.structs.replace(CONSTRAINTS, **constraints)
    found = [one for one in ways(requests, constraints=bound) if one.paradigm == paradigm]
    assert all(any(told.startswith(f"{word}:") for told in one.broken) for one in found)


def test_a_table_that_changes_fast_is_built_more_often() -> None:
    log = Log(requests=60_000, zipf=0.5, cardinality=50, changing=1.0, seed=6)
    slow = msgspec.structs.replace(CONSTRAINTS, changed=0.2)
    found = {one.k: one for one in ways(log.requests_of(), constraints=slow) if one.paradigm == "static"}
    assert found[50].refresh is not None
    assert found[50].refresh < DAY
    assert not found[50].broken


def test_no_table_is_older_than_one_that_was_seen() -> None:
    short = Log(requests=20_000, zipf=1.0, cardinality=100, days=0.25, seed=7).requests_of()
    assert max(one.refresh or 0 for one in ways(short)) <= 0.25 / 3 * DAY


def test_a_quantile_of_a_mixture_lies_between_its_parts() -> None:
    chance = np.random.default_rng(1)
    spread = [math.log(p99 / p50) / 2.3263 for p50, p99 in ((0.5, 1.0), (2.0, 6.0))]
    drawn = np.concatenate(
        [0.5e-3 * np.exp(spread[0] * chance.normal(size=70_000)), 2e-3 * np.exp(spread[1] * chance.normal(size=30_000))]
    )
    for share in (0.5, 0.99):
        assert mixed_quantile(share, 0.7, MEASURED) == pytest.approx(float(np.quantile(drawn, share)), rel=0.03)


@pytest.mark.parametrize("hit", [0.2, 0.57, 0.9])
def test_a_hybrid_is_as_slow_as_its_table_is_between_answers_of_the_model(hit: float) -> None:
    """Requests are drawn in order, each a hit or not; a hit takes what it does so soon after the last that was none."""
    p50s = {"look": 500e-6, "after": 40e-6, "soon": 17e-6, "table": 11e-6}
    deviations = [NormalDist().inv_cdf(level) for level in LEVELS]
    found = {kind: tuple(p50 * math.exp(0.2 * one) for one in deviations) for kind, p50 in p50s.items()}
    measured = msgspec.structs.replace(MEASURED, latencies=found)
    chance = np.random.default_rng(95)
    drawn, ago = [], SOON
    for hits in chance.random(100_000) < hit:
        ago = ago + 1 if hits else 0
        kind = "look" if not hits else "after" if ago == 1 else "soon" if ago < SOON else "table"
        drawn.append(p50s[kind] * math.exp(0.2 * chance.normal()))
    for share in (0.25, 0.5, 0.95):
        assert mixed_quantile(share, hit, measured) == pytest.approx(float(np.quantile(drawn, share)), rel=0.03)
    assert mixed_quantile(0.5, 1.0, measured) == pytest.approx(11e-6, rel=0.01)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 50])
def test_hardly_any_requests_make_no_table_or_one(size: int) -> None:
    time = np.arange(size) * 1_000_000
    for entity in (time, time * 0):
        found = ways(requests_of_arrays(time, entity, time))
        assert found[0].paradigm == "dynamic"
        assert all(0.0 <= one.hit <= 1.0 and one.cost >= 0.0 for one in found)


def test_of_each_way_the_period_is_taken_that_breaks_least_then_costs_least() -> None:
    def way(refresh: float, cost: float, *broken: str) -> Candidate:
        return Candidate(
            paradigm="static",
            k=10,
            refresh=refresh,
            hit=1.0,
            miss=0.0,
            stale=0.0,
            cpu=1e-4,
            p50=1e-4,
            p99=1e-4,
            table_bytes=1,
            parts={"answers": cost},
            cost=cost,
            broken=broken,
        )

    rare, often, oftener = way(4.0, 1.0, "misses: many"), way(2.0, 2.0), way(1.0, 3.0)
    assert at_best_periods([rare, often, oftener]) == (often,)
    assert at_best_periods([way(4.0, 1.0), often, oftener]) == (way(4.0, 1.0),)
    assert at_best_periods([way(2.0, 1.0), way(4.0, 1.0)]) == (way(4.0, 1.0),)
