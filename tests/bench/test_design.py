"""The synthetic systems of `bench.design` are what they say, and its hindsight counts right."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from bench._design_judge import Judge, Way, tables
from bench._design_systems import DAY, DRIFTS, INPUTS, Asked, Setup, history, requests, setups, stationary

from ninetyfive.design.evidence import Constraints, Measured
from ninetyfive.settings import PriceSettings

COMMIT = "c" * 40
PLAIN = Setup(
    number=1,
    seed=1,
    drift="stationary",
    signal=1.0,
    flips=0.1,
    model="linear",
    rows=20_000,
    days=60,
    delay=1,
    slope=1.0,
    cardinality=1_000,
    new=0.2,
    visits=4,
    changing=1.0,
    moves=0.0,
    requests=100_000,
    log_days=6,
)


def test_systems_follow_from_the_commit_and_keep_their_bounds() -> None:
    systems, histories = setups(COMMIT), stationary(COMMIT)
    assert systems == setups(COMMIT)
    assert systems != setups("d" * 40)
    assert (len(systems), len(histories)) == (60, 200)
    assert Counter(one.drift for one in systems) == dict.fromkeys(DRIFTS, 15)
    assert all(one.rows <= 20_000 and one.requests <= 1_000_000 for one in (*systems, *histories))
    assert min(one.slope for one in systems) < 0.1
    assert max(one.slope for one in systems) > 1.9
    assert min(one.cardinality for one in systems) < 200
    assert max(one.cardinality for one in systems) > 500_000
    assert {one.new == 0 for one in systems} == {True, False}
    assert max(one.new for one in systems) > 0.45


@pytest.mark.parametrize("drift", DRIFTS)
def test_the_relation_moves_as_its_drift_says(drift: str) -> None:
    """By the direction that least squares finds in each twentieth: how far it lies from that of the first."""
    rows = history(replace(PLAIN, drift=drift, signal=3.0, flips=0.0))
    x, p = rows.select(INPUTS).to_numpy(), rows["p"].to_numpy()
    parts = np.array_split(np.arange(rows.height), 20)
    found = [np.linalg.lstsq(x[one], p[one] - 0.5, rcond=None)[0] for one in parts]
    units = [one / np.linalg.norm(one) for one in found]
    angles = np.degrees(np.arccos(np.clip([units[0] @ one for one in units], -1, 1)))
    steps = np.degrees(np.arccos(np.clip([one @ other for one, other in pairwise(units)], -1, 1)))
    told = {
        "stationary": max(angles) < 10,
        "gradual": max(steps) < 20 and max(angles) - angles[-1] < 5 and max(angles) > 55,
        "sudden": float(np.median(steps)) < 6 and max(steps) > 20,
        "seasonal": max(angles) > 25 and min(angles[int(np.argmax(angles)) :]) < 15,
    }
    assert told[drift]


def test_labels_are_drawn_from_their_true_probability() -> None:
    rows = history(PLAIN)
    assert rows["at"].is_sorted()
    assert rows["p"].min() >= PLAIN.flips  # type: ignore[operator]
    for low in np.arange(0.1, 0.9, 0.2):
        here = rows.filter(rows["p"].is_between(low, low + 0.2))
        assert here["y"].mean() == pytest.approx(here["p"].mean(), abs=0.03)


def test_requests_are_as_new_uneven_and_changing_as_they_say() -> None:
    asked = requests(PLAIN)
    assert (np.diff(asked.time) >= 0).all()
    assert asked.time[-1] - asked.time[0] <= PLAIN.log_days * DAY
    late = np.arange(len(asked)) >= len(asked) // 2
    _, first = np.unique(asked.entity, return_index=True)
    is_new = np.zeros(len(asked), dtype=bool)
    is_new[first] = True
    assert is_new[late].mean() == pytest.approx(PLAIN.new, abs=0.01)
    old = asked.entity[asked.entity < PLAIN.cardinality]
    often = np.sort(np.bincount(old))[::-1][:200]
    assert np.polyfit(np.log(np.arange(200) + 1), np.log(often), 1)[0] == pytest.approx(-PLAIN.slope, abs=0.05)
    most = int(np.bincount(old).argmax())
    assert len(np.unique(asked.state[asked.entity == most])) == pytest.approx(PLAIN.log_days * PLAIN.changing, abs=1)
    still = requests(replace(PLAIN, changing=0.0))
    assert len(np.unique(still.state)) == len(np.unique(still.entity))


def test_rows_follow_from_entity_and_state() -> None:
    asked = requests(replace(PLAIN, requests=3_000))
    rows = asked.rows()
    assert rows.height == 3_000
    assert rows.select("user", *INPUTS).unique().height == len(np.unique(asked.state))
    assert rows["x0"].std() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("refresh", [None, 3_600.0])
def test_hindsight_counts_tables_as_one_would_by_hand(refresh: float | None) -> None:
    chance = np.random.default_rng(7)
    time = np.sort(chance.integers(0, 10 * 3_600, 3_000)) * 1_000_000
    entity = chance.zipf(1.6, 3_000) % 50
    asked = Asked(time, entity, (entity * 10 + (time // 7_200_000_000) % 3).astype(np.uint64))
    cut, k = 2_000, 8
    seen = tables(asked, cut, refresh)
    covered = equal = certain = 0
    for place in range(cut, 3_000):
        since = (
            time[cut]
            if refresh is None
            else time[cut] + (time[place] - time[cut]) // int(refresh * 1e6) * int(refresh * 1e6)
        )
        known = cut if refresh is None else max(cut, int(np.searchsorted(time, since)))
        counts = Counter(entity[:known].tolist())
        ranked = sorted(counts.values(), reverse=True)
        if len(ranked) > k and ranked[k - 1] == ranked[k]:
            continue  # which of equal ones is held is chance
        certain += 1
        held = counts[entity[place]] >= ranked[k - 1]
        assert (seen.rank[place - cut] < k) == held
        covered += held
        last = np.flatnonzero(entity[:known] == entity[place])
        same = bool(len(last)) and asked.state[last[-1]] == asked.state[place]
        assert bool(seen.equal[place - cut]) == same
        equal += held and same
    assert certain > 500
    assert 0 < equal < covered < certain


def test_hindsight_takes_the_cheapest_that_keeps_the_constraints() -> None:
    asked = requests(replace(PLAIN, new=0.0, changing=0.0, slope=1.5, cardinality=100))
    cut = len(asked) * 2 // 3
    costs = Measured(
        machine="",
        cpu_model=1e-3,
        cpu_table=1e-5,
        cpu_miss=1e-5,
        p50_model=1e-3,
        p50_table=1e-5,
        p99_model=1e-3,
        p99_table=1e-5,
        cpu_row=1e-3,
        bytes_row=40.0,
        memory=0,
        noise=0.0,
    )
    kept = Constraints(latency=0.1, staleness=86_400.0, misses=0.01, changed=0.01, budget=None)
    judge = Judge(asked, cut, costs, PriceSettings(), kept)
    ways = [Way("dynamic"), *(Way(name, k, 86_400.0) for name in ("static", "hybrid") for k in (1, 10, 100))]
    assert judge.best(ways)[0] == Way("static", 100, 86_400.0)
    assert judge.cost(Way("static", 1, 86_400.0))[1] == ("misses",)
    cheap = msgspec.structs.replace(costs, cpu_model=1e-5)
    assert Judge(asked, cut, cheap, PriceSettings(), kept).best(ways)[0] == Way("dynamic")
