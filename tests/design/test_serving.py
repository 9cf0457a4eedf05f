"""Which way to serve is chosen: from values, and from logs that are drawn."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from bench._request_logs import Log, replayed
from tests.design.test_forecast import CONSTRAINTS, DAY, MEASURED, ways
from tests.design.test_workload import ODD, renamed

from ninetyfive.design.evidence import Candidate, Constraints, Measured, Replayed, ServingChoice, ServingEvidence
from ninetyfive.design.forecast import InForce, built_once, cpu_of, doubted
from ninetyfive.design.hits import table_hits
from ninetyfive.design.requests import Requests, requests_of_arrays
from ninetyfive.design.serving import break_even, choose_serving, with_replayed
from ninetyfive.design.workload import workload
from ninetyfive.settings import PriceSettings


def evidence(
    requests: Requests,
    measured: Measured = MEASURED,
    constraints: Constraints = CONSTRAINTS,
    prices: PriceSettings | None = None,
) -> ServingEvidence:
    """All that is known of a log."""
    return ServingEvidence(
        workload=workload(requests),
        measured=measured,
        constraints=constraints,
        candidates=ways(requests, measured, constraints, prices),
        assumed=requests.assumed,
    )


def chosen(requests: Requests, in_force: InForce | None = None, **changes: object) -> ServingChoice:
    return choose_serving(evidence(requests, **changes), in_force, 0.1)  # type: ignore[arg-type]


NUMBERS = np.arange(6_000)
FEW_ENTITIES = Log(requests=60_000, zipf=1.0, cardinality=100, seed=21)
LONG_TAIL = Log(requests=60_000, zipf=1.1, cardinality=1_000_000, seed=22)
UNIQUE = Log(requests=60_000, zipf=0.0, cardinality=10, new=0.99, seed=23)


def test_a_few_entities_that_stay_are_a_plain_table() -> None:
    found = chosen(FEW_ENTITIES.requests_of())
    assert (found.paradigm, found.k, found.confidence) == ("static", 100, "measured")
    assert found.refresh == "1d"
    assert {one.what.split()[0] for one in found.alternatives} == {"dynamic", "hybrid", "static"}


def test_a_peaked_head_with_a_long_tail_is_a_hybrid() -> None:
    found = chosen(LONG_TAIL.requests_of(), measured=msgspec.structs.replace(MEASURED, cpu_row=10e-6))
    assert found.paradigm == "hybrid"
    assert found.k is not None
    assert any("below a model cost of" in words for words in found.would_change)
    assert any("if misses might be" in words for words in found.would_change)


def test_what_is_never_asked_again_goes_to_the_model() -> None:
    found = chosen(UNIQUE.requests_of())
    assert (found.paradigm, found.k, found.refresh) == ("dynamic", None, None)
    assert any("above a model cost of" in words for words in found.would_change)


@pytest.mark.parametrize("look", [0.0, 40e-6])
def test_the_break_even_is_where_both_cost_the_same(look: float) -> None:
    requests = LONG_TAIL.requests_of()
    measured = msgspec.structs.replace(MEASURED, cpu_look=look)
    known = evidence(requests, measured)
    best = min((one for one in known.candidates if one.paradigm == "hybrid"), key=lambda one: one.cost)
    even = break_even(best, known.candidates, known.workload, measured)  # type: ignore[arg-type]
    assert even is not None
    other = {(one.paradigm, one.k): one for one in ways(requests, msgspec.structs.replace(measured, cpu_model=even))}
    assert other["hybrid", best.k].cost == pytest.approx(other["dynamic", None].cost, rel=1e-6)


def candidate(paradigm: str, k: int | None, cost: float, *broken: str) -> Candidate:
    hit = 0.0 if k is None else 0.5
    return Candidate(
        paradigm=paradigm,  # type: ignore[arg-type]
        k=k,
        refresh=None if k is None else DAY,
        hit=hit,
        miss=0.0,
        stale=0.0,
        cpu=1e-4,
        p50=1e-3,
        p99=2e-3,
        table_bytes=0,
        parts={"answers": cost, "building": 0.0, "storage": 0.0},
        cost=cost,
        broken=broken,
        cpu_month=cost * 1e5,
    )


def among(*found: Candidate) -> ServingEvidence:
    known = evidence(FEW_ENTITIES.requests_of())
    return msgspec.structs.replace(known, candidates=found)


def test_within_noise_the_simplest_is_taken() -> None:
    model, table, small = candidate("dynamic", None, 10.1), candidate("hybrid", 50, 10.0), candidate("hybrid", 5, 10.0)
    assert choose_serving(among(model, table, small), None, 0.1).paradigm == "dynamic"
    dear = candidate("dynamic", None, 10.3)
    assert choose_serving(among(dear, table, small), None, 0.1).k == 5


def test_a_candidate_that_breaks_a_constraint_is_not_taken() -> None:
    model, table = candidate("dynamic", None, 10.0), candidate("static", 50, 1.0, "misses: 3.0% of requests …")
    found = choose_serving(among(model, table), None, 0.1)
    assert found.paradigm == "dynamic"
    assert found.alternatives[0].why_not.startswith("it breaks misses")
    assert any(words.startswith("if misses might be") for words in found.would_change)


def test_where_every_candidate_breaks_one_the_least_harm_is_done() -> None:
    slow = candidate("dynamic", None, 10.0, "latency: p99 is 200 ms, 100 ms is allowed")
    missing = candidate("static", 50, 1.0, "misses: 3.0% of requests get no answer, 1.0% may")
    found = choose_serving(among(slow, missing), None, 0.1)
    assert found.paradigm == "dynamic"
    assert "no way to serve keeps every constraint" in found.reasons[0]


@pytest.mark.parametrize(("cost", "paradigm"), [(9.5, "dynamic"), (8.5, "hybrid")])
def test_what_is_in_force_stays_unless_another_is_cheaper_by_the_share(cost: float, paradigm: str) -> None:
    known = among(candidate("dynamic", None, 10.0), candidate("hybrid", 50, cost))
    assert choose_serving(known, InForce("dynamic"), 0.1).paradigm == paradigm


def test_what_is_in_force_stays_where_the_machine_is_too_busy_to_tell() -> None:
    known = among(candidate("dynamic", None, 100.0), candidate("hybrid", 10, 70.0))
    assert known.measured is not None
    busy = msgspec.structs.replace(known, measured=msgspec.structs.replace(known.measured, noise=0.4))
    assert choose_serving(known, InForce("dynamic"), 0.1).paradigm == "hybrid"
    assert choose_serving(busy, InForce("dynamic"), 0.1).paradigm == "dynamic"
    assert choose_serving(busy, None, 0.1).paradigm == "hybrid"


def test_what_is_in_force_goes_where_it_breaks_a_constraint() -> None:
    known = among(candidate("dynamic", None, 10.0), candidate("static", 50, 9.5, "changed: 3.0% …"))
    found = choose_serving(known, InForce("static", 50), 0.1)
    assert found.paradigm == "dynamic"
    assert "breaks changed" in found.reasons[1]


def test_a_size_in_force_between_those_of_the_grid_stays() -> None:
    known = among(candidate("dynamic", None, 20.0), candidate("hybrid", 50, 10.0), candidate("hybrid", 70, 9.9))
    assert choose_serving(known, InForce("hybrid", 48), 0.1).k == 48


def replay(one: Candidate, hit: float, by: str = "worker code", **changes: float) -> Replayed:
    values: dict[str, object] = {"cpu": one.cpu, "p50": one.p50, "p99": one.p99, "stale": one.stale, "miss": one.miss}
    return Replayed(
        paradigm=one.paradigm,
        k=one.k,
        by=by,
        requests=1_000,
        forecast_hit=one.hit,
        hit=hit,
        forecast_cpu=one.cpu,
        forecast_p50=one.p50,
        **{**values, **changes},  # type: ignore[arg-type]
    )


def test_where_a_replay_disagrees_it_wins_and_the_record_says_so() -> None:
    known = evidence(FEW_ENTITIES.requests_of())
    before = choose_serving(known, None, 0.1)
    table = next(one for one in known.candidates if (one.paradigm, one.k) == ("static", 100))
    found = with_replayed(known, [replay(table, 0.9), replay(table, 0.8, "service")])
    after = next(one for one in found.candidates if (one.paradigm, one.k) == ("static", 100))
    assert (after.hit, after.miss) == (pytest.approx(0.8), pytest.approx(0.2))
    assert len(found.overruled) == 1
    assert "static serving of the top 100: the replay by the service hit 80.0%" in found.overruled[0]
    choice = choose_serving(found, None, 0.1)
    assert (before.paradigm, choice.paradigm) == ("static", "hybrid")
    assert found.overruled[0] in choice.reasons


def test_a_replay_within_the_tolerance_changes_nothing_and_proves() -> None:
    known = evidence(FEW_ENTITIES.requests_of())
    table = next(one for one in known.candidates if (one.paradigm, one.k) == ("static", 100))
    found = with_replayed(known, [replay(table, table.hit - 0.01, "service", cpu=table.cpu * 1.2)])
    assert [(one.hit, one.cpu, one.cost) for one in found.candidates] == [
        (one.hit, one.cpu, one.cost) for one in known.candidates
    ]
    assert not found.overruled
    assert choose_serving(found, None, 0.1).confidence == "proved"


def test_a_plain_table_is_chosen_by_a_forecast_only_where_nine_in_ten_futures_keep_the_constraints() -> None:
    known = evidence(FEW_ENTITIES.requests_of())
    table = next(one for one in known.candidates if (one.paradigm, one.k) == ("static", 100))
    unsure = msgspec.structs.replace(table, miss_most=0.3)
    assert any("up to 30.0% of requests get no answer" in words for words in doubted(unsure, CONSTRAINTS).broken)
    found = with_replayed(known, [replay(unsure, unsure.hit, "service")])
    assert not any(
        doubted(one, CONSTRAINTS).broken != one.broken for one in found.candidates if one.paradigm == "static"
    )


def test_a_replay_that_takes_more_cpu_costs_more() -> None:
    known = evidence(FEW_ENTITIES.requests_of())
    table = next(one for one in known.candidates if (one.paradigm, one.k) == ("hybrid", 100))
    found = with_replayed(known, [replay(table, table.hit, cpu=3 * table.cpu, p50=2 * table.p50)])
    after = next(one for one in found.candidates if (one.paradigm, one.k) == ("hybrid", 100))
    assert after.cpu == pytest.approx(3 * table.cpu)
    assert after.parts["answers"] == pytest.approx(3 * table.parts["answers"])
    assert after.p50 == pytest.approx(2 * table.p50)
    assert len(found.overruled) == 2


def test_fewer_hits_and_the_cpu_that_they_take_are_not_counted_twice() -> None:
    measured = msgspec.structs.replace(MEASURED, cpu_look=40e-6)
    known = evidence(FEW_ENTITIES.requests_of(), measured)
    table = next(one for one in known.candidates if (one.paradigm, one.k) == ("hybrid", 100))
    took = cpu_of("hybrid", 0.5, measured)
    assert took > 1.25 * table.cpu
    found = with_replayed(known, [replay(table, 0.5, cpu=took)])
    after = next(one for one in found.candidates if (one.paradigm, one.k) == ("hybrid", 100))
    assert (after.hit, after.cpu) == (pytest.approx(0.5), pytest.approx(took))


def test_of_sizes_that_cost_the_same_the_replayed_one_is_taken() -> None:
    model, small, large = candidate("dynamic", None, 20.0), candidate("hybrid", 50, 10.1), candidate("hybrid", 70, 10.0)
    known = msgspec.structs.replace(among(model, small, large), replayed=(replay(large, 0.5, "service"),))
    found = choose_serving(known, None, 0.1)
    assert (found.k, found.confidence) == (70, "proved")


def test_where_a_replay_wins_for_one_way_all_are_compared_as_replayed() -> None:
    known = evidence(FEW_ENTITIES.requests_of())
    model, table = (
        next(one for one in known.candidates if (one.paradigm, one.k) == kind)
        for kind in (("dynamic", None), ("static", 100))
    )
    slow = [replay(one, one.hit, "service", cpu=factor * one.cpu) for one, factor in ((model, 1.26), (table, 1.24))]
    found = with_replayed(known, slow)
    for before, factor in ((model, 1.26), (table, 1.24)):
        after = next(one for one in found.candidates if (one.paradigm, one.k) == (before.paradigm, before.k))
        assert after.cpu == pytest.approx(factor * before.cpu)
    assert len(found.overruled) == 1


def test_a_replay_that_is_stale_where_none_was_forecast_breaks_the_constraint() -> None:
    known = evidence(FEW_ENTITIES.requests_of())
    table = next(one for one in known.candidates if (one.paradigm, one.k) == ("static", 100))
    found = with_replayed(known, [replay(table, table.hit, stale=0.05, forecast_stale=0.0)])
    after = next(one for one in found.candidates if (one.paradigm, one.k) == ("static", 100))
    assert after.stale == pytest.approx(0.05)
    assert after.broken[0].startswith("changed: 5.0% of requests")
    assert "was stale in 5.0% where 0.0% was forecast" in found.overruled[0]


def test_zero_prices_compare_cpu() -> None:
    free = PriceSettings(cpu_hour=0.0, memory_gib_hour=0.0, storage_gib_month=0.0)
    found = chosen(FEW_ENTITIES.requests_of(), prices=free)
    assert (found.paradigm, found.cost) == ("static", None)
    assert any("prices are 0" in words for words in found.reasons)
    assert chosen(UNIQUE.requests_of(), prices=free).paradigm == "dynamic"


def test_rows_taken_for_requests_are_no_evidence() -> None:
    requests = FEW_ENTITIES.requests_of()
    assumed = Requests(requests.time, requests.entity, requests.fingerprint, assumed=True)
    found = chosen(assumed)
    assert (found.paradigm, found.confidence) == ("dynamic", "assumed")
    assert [one.what.split()[0] for one in found.alternatives] == ["static", "hybrid"]
    assert all("if requests were like the data it would save" in one.why_not for one in found.alternatives)


def test_a_log_of_some_entities_says_nothing_of_a_table_for_all() -> None:
    known = msgspec.structs.replace(evidence(FEW_ENTITIES.requests_of()), sampled=0.1)
    choice = choose_serving(known, None, 0.1)
    assert (choice.paradigm, choice.confidence) == ("dynamic", "none")
    assert "sample" in choice.reasons[0]
    assert choose_serving(known, InForce("static", 100), 0.1).paradigm == "static"


def test_nothing_known_is_the_model_and_no_confidence() -> None:
    nothing = ServingEvidence(workload=None, measured=None, constraints=CONSTRAINTS)
    found = choose_serving(nothing, None, 0.1)
    assert (found.paradigm, found.cost, found.confidence) == ("dynamic", None, "none")
    kept = choose_serving(nothing, InForce("static", 7), 0.1)
    assert (kept.paradigm, kept.k, kept.confidence) == ("static", 7, "none")


@pytest.mark.parametrize(
    ("name", "paradigm", "confidence"),
    [
        ("an empty log", "dynamic", "none"),
        ("no entity", "dynamic", "none"),
        ("one moment", "dynamic", "none"),
        ("all unique", "dynamic", "measured"),
        ("one entity", "hybrid", "measured"),  # all hangs on when its features change next
        ("few", "dynamic", "none"),
        ("a gap", "static", "measured"),
        ("a second", "dynamic", "none"),
        ("a clock that was set", "hybrid", "measured"),
    ],
)
def test_odd_logs_get_no_more_confidence_than_they_give(name: str, paradigm: str, confidence: str) -> None:
    odd = ODD | {
        "a second": (requests_of_arrays(NUMBERS * 100, NUMBERS % 7, NUMBERS * 0), ""),
        "a clock that was set": (
            requests_of_arrays(NUMBERS * 60_000_000 + (NUMBERS > 5_990) * 10**15, NUMBERS % 7, NUMBERS * 0),
            "",
        ),
    }
    found = chosen(odd[name][0], measured=msgspec.structs.replace(MEASURED, cpu_row=1e-6))
    assert (found.paradigm, found.confidence) == (paradigm, confidence)


@pytest.mark.parametrize("log", [FEW_ENTITIES, LONG_TAIL, UNIQUE])
def test_names_and_the_order_of_rows_change_no_answer(log: Log, seed: int) -> None:
    requests = log.requests_of()
    assert chosen(requests) == chosen(renamed(requests, seed))


HEADS = {
    "dealt anew": Log(requests=40_000, zipf=1.0, cardinality=1_000, head="daily", seed=31),
    "dealt anew among few": Log(requests=40_000, zipf=1.5, cardinality=100, head="daily", seed=32),
    "dealt anew, with nights": Log(requests=40_000, zipf=1.2, cardinality=300, head="daily", wave=0.9, seed=33),
    "new every day": Log(requests=40_000, zipf=1.0, cardinality=200, head="new", seed=34),
    "new every day among many": Log(requests=40_000, zipf=1.3, cardinality=50_000, head="new", seed=35),
    "replaced all the time": Log(requests=40_000, zipf=1.0, cardinality=300, new=0.1, once=False, seed=36),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("days", [4.0, 30.0])
@pytest.mark.parametrize("misses", [0.01, 1.0])
def test_a_head_that_changes_every_day_is_never_a_plain_table(name: str, days: float, misses: float) -> None:
    requests = replace(HEADS[name], days=days).requests_of()
    lenient = msgspec.structs.replace(CONSTRAINTS, misses=misses, changed=1.0)
    cheap = msgspec.structs.replace(MEASURED, cpu_row=1e-7)
    found = choose_serving(evidence(requests, cheap, lenient), InForce("static", 1_000), 0.1)
    assert found.paradigm != "static"
    assert any("head:" in one.why_not for one in found.alternatives)


@pytest.mark.parametrize("log", [FEW_ENTITIES, LONG_TAIL])
def test_a_replay_meets_a_table_that_is_built_once(log: Log) -> None:
    requests = log.requests_of()
    hits, known = table_hits(requests, DAY), evidence(requests)
    found = built_once(known.candidates, workload(requests), hits, MEASURED, CONSTRAINTS, PriceSettings())
    assert [(one.paradigm, one.k) for one in found] == [(one.paradigm, one.k) for one in known.candidates]
    assert {one.refresh for one in found} == {None}
    assert all(one.hit == pytest.approx(replayed(requests, one.k)[0], abs=0.02) for one in found if one.k)


def test_without_costs_of_a_table_there_is_the_model_alone() -> None:
    nothing = math.nan
    without = msgspec.structs.replace(MEASURED, cpu_table=nothing, cpu_miss=nothing, cpu_row=nothing)
    found = evidence(FEW_ENTITIES.requests_of(), without)
    assert [one.paradigm for one in found.candidates] == ["dynamic"]
    assert choose_serving(found, None, 0.1).paradigm == "dynamic"


@pytest.mark.parametrize("zipf", [0.5, 1.1])
@pytest.mark.parametrize("cardinality", [300, 30_000])
def test_twice_the_volume_moves_toward_the_table_only(zipf: float, cardinality: int) -> None:
    once = Log(requests=30_000, zipf=zipf, cardinality=cardinality, new=0.02, seed=24).requests_of()
    twice = requests_of_arrays(*(np.repeat(one, 2) for one in (once.time, once.entity, once.fingerprint)))
    order = ["dynamic", "hybrid", "static"]
    before, after = (chosen(one) for one in (once, twice))
    assert order.index(after.paradigm) >= order.index(before.paradigm)
    assert (after.k or 0) >= (before.k or 0)


def replays(p99: float, noise: float = 0.0) -> ServingEvidence:
    """The evidence of a hybrid that was replayed as forecast, but for its p99 and how much its figures vary."""
    known = evidence(LONG_TAIL.requests_of())
    one = next(one for one in known.candidates if one.paradigm == "hybrid")
    replay = Replayed(
        paradigm="hybrid", k=one.k, by="service", requests=1_000, forecast_hit=one.hit, hit=one.hit, miss=0.0,
        stale=0.0, forecast_cpu=one.cpu, cpu=one.cpu, forecast_p50=one.p50, p50=one.p50, p99=p99,
        forecast_p99=one.p99, noise=noise,
    )  # fmt: skip
    return with_replayed(known, [replay])


def test_a_replayed_p99_that_is_too_long_wins() -> None:
    bound = CONSTRAINTS.latency
    assert bound is not None
    slow, quick = replays(2 * bound), replays(bound / 2)
    assert any("the p99 of a request is" in words and "the replay wins" in words for words in slow.overruled)
    broken = [one for one in slow.candidates if any(words.startswith("latency:") for words in one.broken)]
    assert {one.paradigm for one in broken} == {"hybrid"}
    assert not quick.overruled


def test_what_a_replay_varies_by_is_no_reason_to_change() -> None:
    steady, shaky = replays(0.001), replays(0.001, noise=0.9)
    best = choose_serving(steady, None, 0.1)
    in_force = InForce("dynamic") if best.paradigm != "dynamic" else InForce("hybrid", 1_000)
    assert choose_serving(shaky, in_force, 0.1).paradigm == in_force.paradigm
