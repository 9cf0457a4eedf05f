"""What is said of a log, against plain counts, and against an exact cache."""

from __future__ import annotations

from datetime import datetime

import msgspec
import numpy as np
import polars as pl
import pytest
from bench._request_logs import DAY, Log

from ninetyfive.design.requests import Requests, requests_of_arrays, requests_of_frame
from ninetyfive.design.workload import changes, gini, workload, zipf


def renamed(requests: Requests, seed: int) -> Requests:
    """The same requests, entities called otherwise and rows in another order."""
    chance = np.random.default_rng(seed)
    names, place = np.unique(requests.entity, return_inverse=True)
    others = chance.permutation(2 * len(names)).astype(np.uint64)[: len(names)]
    order = chance.permutation(len(requests))
    return requests_of_arrays(requests.time[order], others[place][order], requests.fingerprint[order])


LOGS = {
    "even": Log(requests=3_000, zipf=0.0, cardinality=200, seed=1),
    "peaked": Log(requests=3_000, zipf=1.2, cardinality=1_000, seed=2),
    "growing": Log(requests=3_000, zipf=1.0, cardinality=300, new=0.2, once=False, seed=3),
    "once": Log(requests=3_000, zipf=0.8, cardinality=300, new=0.3, seed=4),
    "moving": Log(requests=3_000, zipf=1.0, cardinality=300, head="daily", seed=5),
}


def test_counts_are_those_of_plain_loops() -> None:
    requests = Log(requests=5_000, zipf=1.0, cardinality=500, new=0.1, changing=3.0, seed=6).requests_of()
    found = workload(requests)
    entities = requests.entity.tolist()
    seen: set[int] = set()
    fresh = [one not in seen and not seen.add(one) for one in entities]  # type: ignore[func-returns-value]
    assert (found.requests, found.entities, found.nameless) == (5_000, len(seen), 0)
    assert found.repeated == pytest.approx(1 - len(seen) / 5_000)
    assert found.growth[-1].entities == len(seen)
    assert found.growth[2].entities == len(set(entities[: found.growth[2].requests]))
    start = requests.occurrences.cuts[1]
    assert found.new_entity_rate == pytest.approx(np.mean(fresh[start:]))
    last: dict[int, int] = {}
    changed = []
    for entity, print in zip(entities, requests.fingerprint.tolist(), strict=True):
        changed += [last[entity] != print] if entity in last else []
        last[entity] = print
    assert found.change_rate == pytest.approx(np.mean(changed))
    assert [window.requests for window in found.windows] == [1_666, 1_667, 1_667]
    assert found.entropy + found.peakedness == pytest.approx(1.0)


def test_coverage_is_of_a_later_window_than_the_one_that_chose() -> None:
    requests = Log(requests=9_000, zipf=1.0, cardinality=200, seed=7).requests_of()
    begin, end = requests.occurrences.cuts
    names, counts = np.unique(requests.entity[:begin], return_counts=True)
    top = names[np.argsort(-counts, kind="stable")[:30]]
    plain = np.isin(requests.entity[begin:end], top).mean()
    (found,) = (one for one in workload(requests).coverage if one.k == 30)
    assert found.covered == pytest.approx(plain, abs=0.01)
    assert workload(requests).coverage[-1].covered > 0.99


@pytest.mark.parametrize("slope", [0.0, 0.6, 1.0, 1.5])
def test_the_slope_is_the_one_that_was_drawn(slope: float) -> None:
    found, fit = zipf(Log(requests=200_000, zipf=slope, cardinality=1_000, seed=8).requests_of().occurrences.counts)
    assert found == pytest.approx(slope, abs=0.1)
    assert fit is not None
    assert slope < 0.5 or fit > 0.97


def test_too_few_ranks_have_no_slope() -> None:
    assert zipf(np.array([5, 5])) == (None, None)
    assert zipf(np.ones(1_000)) == (None, None)
    assert zipf(np.empty(0)) == (None, None)


def test_gini_is_that_of_all_pairs(seed: int) -> None:
    counts = np.random.default_rng(seed).integers(1, 50, 40)
    plain = np.abs(counts[:, None] - counts[None, :]).mean() / (2 * counts.mean())
    assert gini(counts) == pytest.approx(plain)
    assert gini(np.empty(0)) == 0.0


def test_rates_are_by_the_second_and_the_busiest_minute() -> None:
    time = np.concatenate([np.arange(600) * 1_000_000, 90 * 1_000_000 + np.arange(100) * 1_000])
    found = workload(requests_of_arrays(time, np.zeros(700), np.zeros(700)))
    assert found.rate == pytest.approx(700 / 599)
    assert found.peak_rate == pytest.approx(160 / 60)
    assert found.peak_to_mean == pytest.approx(found.peak_rate / found.rate)


def test_changes_rise_with_the_age_of_a_table() -> None:
    known = Log(requests=60_000, zipf=0.0, cardinality=400, changing=0.5, seed=9).requests_of().occurrences
    found = {one.age: one.changed for one in changes(known, (3_600, 86_400, 2 * 86_400))}
    assert found[3_600] < found[86_400] < found[2 * 86_400]
    assert found[86_400] == pytest.approx(0.23, abs=0.06)


@pytest.mark.parametrize("name", LOGS)
def test_names_and_the_order_of_rows_change_nothing(name: str, seed: int) -> None:
    plain = LOGS[name].requests_of()
    coarse = requests_of_arrays(plain.time // (60 * 1_000_000) * 60 * 1_000_000, plain.entity, plain.fingerprint)
    for requests in (plain, coarse):
        one, other = (msgspec.to_builtins(workload(each)) for each in (requests, renamed(requests, seed)))
        assert one == other | {"gini": pytest.approx(one["gini"]), "entropy": pytest.approx(one["entropy"])} | {
            "peakedness": pytest.approx(one["peakedness"])
        }


@pytest.mark.parametrize(
    ("log", "least", "most"),
    [
        (Log(requests=30_000, zipf=1.0, cardinality=1_000, seed=41), 0.95, 1.0),
        (Log(requests=30_000, zipf=1.3, cardinality=1_000_000, new=0.3, seed=42), 0.9, 1.0),
        (Log(requests=30_000, zipf=1.0, cardinality=1_000, head="daily", seed=43), 0.0, 0.1),
        (Log(requests=30_000, zipf=1.0, cardinality=1_000, head=0.3, seed=44), 0.5, 0.9),
    ],
)
def test_how_much_of_a_head_is_left_a_day_later(log: Log, least: float, most: float) -> None:
    kept = workload(log.requests_of()).head_kept
    assert kept is not None
    assert least <= kept <= most


def test_where_all_are_asked_alike_there_is_no_head() -> None:
    assert workload(Log(requests=30_000, zipf=0.0, cardinality=500, seed=45).requests_of()).head_kept is None


def nobody() -> Requests:
    frame = pl.DataFrame({"x": [1.0, 2.0], "at": [datetime(2026, 1, 1), datetime(2026, 1, 2)]})
    return requests_of_frame(frame, [], ["x"], "at")


def arrays(time: np.ndarray, entity: np.ndarray) -> Requests:
    return requests_of_arrays(time, entity, np.zeros(len(time)))


SECONDS = np.arange(6_000) * 1_000_000
ODD = {
    "an empty log": (arrays(SECONDS[:0], SECONDS[:0]), "there are no requests"),
    "no entity": (nobody(), "no request has an entity"),
    "one moment": (arrays(SECONDS * 0, SECONDS % 7), "in one moment"),
    "all unique": (arrays(SECONDS, SECONDS), "no entity was asked about twice"),
    "one entity": (arrays(SECONDS, SECONDS * 0), "about one entity"),
    "a short log": (arrays(SECONDS, SECONDS % 7), "the log lasts 1.7h: nothing is known of tables that are older than"),
    "few": (arrays(SECONDS[:300], SECONDS[:300] % 7), "300 requests are few"),
    "a gap": (arrays(SECONDS + (SECONDS > 3e9) * 9 * DAY, SECONDS % 7), "no request for 9d after 1970-01-01"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_about_a_log_is_told(name: str) -> None:
    requests, words = ODD[name]
    found = workload(requests)
    assert any(words in told for told in found.noticed), found.noticed
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
