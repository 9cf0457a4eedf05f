"""Designs to test with: whole and consistent, as a measurement would give them, with every part that may be missing."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from hypothesis import strategies as st

from ninetyfive.design.evidence import (
    AgePoint,
    Alternative,
    Assumption,
    CacheSize,
    Candidate,
    Change,
    Constraints,
    Coverage,
    Decay,
    Design,
    Growth,
    Interval,
    Measured,
    PolicyScore,
    Replayed,
    ServingChoice,
    ServingEvidence,
    TrainingChoice,
    TrainingEvidence,
    Window,
    WindowScore,
    Workload,
)
from ninetyfive.design.sizing import Load, size
from ninetyfive.settings import PriceSettings

DAY = 86_400.0
KS = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000)
PRICES: dict[str, float | str | None] = msgspec.to_builtins(PriceSettings())


def training_evidence() -> TrainingEvidence:
    """A model that loses half of its gain in about 40 days, and ten policies replayed over 300 days."""
    ages = [1, 7, 14, 28, 56, 112]
    lost = [0.08 * (1 - math.exp(-age / 60)) for age in ages]
    points = tuple(
        AgePoint(age=age * DAY, excess=Interval(value, value - 0.006, value + 0.006), pairs=300 // age, rows=4_000)
        for age, value in zip(ages, lost, strict=True)
    )
    brier = tuple(msgspec.structs.replace(one, excess=Interval(one.excess.value / 3, None, None)) for one in points)
    told = [
        ("never", None, 0, 0.070, False), ("periodic", "56d", 5, 0.030, True), ("periodic", "28d", 10, 0.018, True),
        ("periodic", "7d", 42, 0.006, True), ("periodic", "1d", 300, 0.001, True), ("on drift", None, 12, 0.020, False),
        ("on quality drop", None, 9, 0.016, True), ("cost-aware", None, 14, 0.012, False),
        ("oracle", None, 16, 0.009, False),
    ]  # fmt: skip
    never = 0.070 * 300 * 2.0
    oracle = 0.009 * 300 * 2.0 + 16 * 0.2
    policies = tuple(
        PolicyScore(
            name=name, every=every, window="90d" if every else None, runs=runs or name == "never", trainings=count,
            watch="7d" if name == "on quality drop" else None, drop=0.1 if name == "on quality drop" else None,
            excess=excess, quality_cost=excess * 300 * 2.0, training_cost=count * 0.2, cost=excess * 300 * 2.0 + count *
            0.2, typical=excess * 300 * 2.0 + count * 0.2,
            recovered=(never - excess * 300 * 2.0 - count * 0.2) / (never - oracle),
        )
        for name, every, count, excess, runs in told
    )  # fmt: skip
    return TrainingEvidence(
        metric="auc", task="binary", rows=120_000, first="2025-01-01T00:00:00+00:00", last="2025-12-31T00:00:00+00:00",
        blocks=52, block=7 * DAY, label_delay=6 * 3600.0, gain=0.08,
        decay=(
            Decay(metric="auc", points=points, decays=True, p_value=0.0004, half_life=42 * DAY, reason="it does"),
            Decay(metric="brier", points=brier, decays=False, p_value=None, half_life=None, reason="half is kept"),
        ),
        windows=(
            WindowScore(window=None, excess=Interval(0.004, 0.001, 0.007), trainings=40),
            WindowScore(window="90d", excess=Interval(0.0), trainings=40),
            WindowScore(window="30d", excess=Interval(0.002, -0.001, 0.005), trainings=40),
        ),
        policies=policies, replayed_days=300.0, training_seconds=12.5, training_price=0.2, worth=2.0,
        worth_from="[design] tolerance", trainings=96, noticed=("the clock has a gap of 3d from 2025-04-01",),
        left_out=("window 180d: 40 trainings",), cannot=("the season of a year: there is only one",),
    )  # fmt: skip


def workload(entities: int = 42_000) -> Workload:
    """Requests with a Zipf slope of about 1.1, of which a twentieth is about new entities."""
    return Workload(
        requests=600_000, entities=entities, nameless=12, first="2026-01-01T00:00:00+00:00",
        last="2026-01-31T00:00:00+00:00", days=30.0, rate=0.23, peak_rate=2.1, peak_to_mean=9.1,
        growth=tuple(Growth(n, round(entities * (n / 600_000) ** 0.7)) for n in (1_000, 10_000, 100_000, 600_000)),
        new_entity_rate=0.05, entropy=0.74, peakedness=0.26, zipf_slope=1.1, zipf_fit=0.97, gini=0.81,
        coverage=tuple(
            Coverage(k=k, covered=0.95 * (k / 30_000) ** 0.25, hit=0.93 * (k / 30_000) ** 0.25) for k in KS
        ),
        repeats={"0.1": 60.0, "0.5": 3_600.0, "0.9": 90_000.0}, repeated=0.88,
        lru=tuple(CacheSize(k, 0.9 * (k / 30_000) ** 0.3) for k in KS), change_rate=0.02,
        changes=(Change(3_600.0, 0.004), Change(DAY, 0.02), Change(7 * DAY, 0.06)),
        windows=(
            Window("2026-01-01T00:00:00+00:00", "2026-01-11T00:00:00+00:00", 200_000),
            Window("2026-01-11T00:00:00+00:00", "2026-01-21T00:00:00+00:00", 200_000),
            Window("2026-01-21T00:00:00+00:00", "2026-01-31T00:00:00+00:00", 200_000),
        ),
        noticed=("12 requests named no entity",), left_out=("200,000 older requests",),
    )  # fmt: skip


def measured() -> Measured:
    """A worker whose model takes ten times as long as its table."""
    return Measured(
        machine="2 cores", cpu_model=4e-4, cpu_table=4e-5, cpu_miss=3.5e-5, p50_model=5e-4, p50_table=6e-5,
        p99_model=2e-3, p99_table=3e-4, cpu_row=5e-5, bytes_row=64.0, memory=180 * 2**20, noise=0.04,
        cpu_after=8e-5, latencies={"after": (1e-4, 1.2e-4, 1.4e-4, 1.6e-4, 3e-4, 5e-4)},
    )  # fmt: skip


def candidates() -> tuple[Candidate, ...]:
    """Dynamic, hybrid for each K, and a static one that breaks what must be kept."""
    cost = PRICES["cpu_hour"]
    assert isinstance(cost, float)

    def one(paradigm: Any, k: int | None, hit: float, broken: tuple[str, ...] = ()) -> Candidate:
        cpu = hit * 4e-5 + (1 - hit) * 4e-4
        parts = {"answers": cpu * 600_000 / 3600 * cost, "builds": 30 * (k or 0) * 5e-5 / 3600 * cost}
        return Candidate(
            paradigm=paradigm, k=k, refresh=DAY if k else None, hit=hit, miss=0.05 if paradigm == "static" else 0.0,
            stale=0.02 if paradigm == "static" else 0.0, cpu=cpu, p50=6e-5 if hit > 0.5 else 5e-4, p99=2e-3,
            table_bytes=64 * (k or 0), parts=parts, cost=sum(parts.values()), broken=broken,
        )  # fmt: skip

    table = [one("hybrid", row.k, row.hit) for row in workload().coverage]
    return (one("dynamic", None, 0.0), *table, one("static", 42_000, 0.93, ("misses: 5 % against 1 %",)))


def design(**changes: Any) -> Design:
    """A design that was measured and replayed; `changes` replace fields of it."""
    forecast = next(one for one in candidates() if one.k == 1_000)
    replays = tuple(
        Replayed(
            paradigm=one.paradigm, k=one.k, by=by, requests=20_000, forecast_hit=one.hit, hit=max(0.0, one.hit - 0.008),
            miss=one.miss, stale=one.stale, forecast_cpu=one.cpu, cpu=one.cpu * 1.04, forecast_p50=one.p50,
            p50=one.p50 * 1.1 if by == "service" else None, p99=2.5e-3 if by == "service" else None,
        )
        for by in ("worker code", "service")
        for one in candidates()
        if one.k in (None, 1_000, 42_000)
    )  # fmt: skip
    evidence = ServingEvidence(
        workload=workload(), measured=measured(), candidates=candidates(), replayed=replays,
        constraints=Constraints(latency=0.1, staleness=DAY, misses=0.01, changed=0.01, budget=None),
        overruled=("hybrid, K = 3,000: replayed hits 71 %, forecast 74 %: the replay stands",),
    )  # fmt: skip
    load = Load(
        rows=120_000, bytes=120_000 * 96, training_seconds=12.5, every=7 * DAY, rate=0.23, peak_rate=2.1,
        cpu=forecast.cpu, memory=180 * 2**20, paradigm="hybrid", k=1_000, entities=42_000, refresh=DAY, cpu_row=5e-5,
        bytes_row=64.0,
    )  # fmt: skip
    found = Design(
        number=1, system="trips", made="2026-02-01T12:00:00+00:00", version="0.1.0", release="505d09bad6a6" + "0" * 52,
        training=TrainingChoice(
            paradigm="dynamic", policy="periodic", every="7d", window="90d", half_life=42 * DAY, saves=3.1,
            confidence="measured", reasons=("auc decays: p = 0.0004", "every 7d costs least of what `run` can do"),
            alternatives=(Alternative("never retraining", "it costs 42 USD over 300 days against 12"),),
            would_change=("a training that costs 4 times as much: every 28d",),
        ),
        training_evidence=training_evidence(),
        serving=ServingChoice(
            paradigm="hybrid", k=1_000, refresh="1d", cost=forecast.cost, confidence="proved",
            reasons=("it costs least of all that keep the constraints",),
            alternatives=(Alternative("static, K = 42,000", "misses: 5 % against 1 %"),),
            would_change=("misses of 6 % allowed: static",),
        ),
        serving_evidence=evidence, sizing=size(load, PriceSettings()),
        assumptions=(Assumption("requests come as in January", "a log of another month"),),
        confidence="measured", prices=dict(PRICES), budget=180.0, seconds=92.4,
    )  # fmt: skip
    return msgspec.structs.replace(found, **changes)


def bare() -> Design:
    """A design without any evidence: nothing was measured."""
    constraints = Constraints(latency=None, staleness=DAY, misses=0.01, changed=0.01, budget=None)
    return design(
        release=None, training_evidence=None, confidence="none", assumptions=(), left_out=(),
        training=TrainingChoice(
            paradigm="static", policy="never", every=None, window=None, half_life=None, saves=None, confidence="none",
            reasons=("there are 300 rows",),
        ),
        serving=ServingChoice(
            paradigm="dynamic", k=None, refresh=None, cost=None, confidence="none", reasons=("no log",),
        ),
        serving_evidence=ServingEvidence(workload=None, measured=None, constraints=constraints, cannot=("all",)),
        sizing=size(Load(), PriceSettings()),
    )  # fmt: skip


def generated() -> st.SearchStrategy[Design]:
    """Any design at all: every field drawn from its type; texts with anything in them, numbers finite or not."""
    texts = st.text(st.characters(codec="utf-8"), max_size=20)
    numbers = st.floats(allow_nan=False)
    whole = st.integers(-(2**63), 2**63 - 1)
    st.register_type_strategy(str, texts)
    st.register_type_strategy(float, numbers)
    st.register_type_strategy(int, whole)
    # What has a default that is made is not drawn by its type alone.
    drawn = {one.name: st.from_type(one.type) for one in msgspec.structs.fields(Measured)}
    st.register_type_strategy(Measured, st.builds(Measured, **drawn))
    prices = st.dictionaries(texts, numbers | texts, max_size=3)
    return st.builds(msgspec.structs.replace, st.from_type(Design), prices=prices)
