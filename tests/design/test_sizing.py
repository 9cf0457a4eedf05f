"""sizing.py and prices.py: each figure is a product that can be repeated here in the simplest way."""

from __future__ import annotations

import math
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.design.sizing import FEATURES_RATE, MACHINE_MEMORY, STATISTICS_RATE, UTILISATION, Load, size
from ninetyfive.prices import HOURS, Price, price_table
from ninetyfive.settings import PriceSettings

PRICES = PriceSettings()
DAY = 86_400.0
SERVED = Load(
    rows=1_000_000, bytes=200_000_000, training_seconds=30.0, every=DAY, rate=10.0, peak_rate=100.0, cpu=5e-4,
    memory=200 * 2**20, entities=1_000, refresh=DAY, cpu_row=5e-5, bytes_row=64.0,
)  # fmt: skip


def changed(**words: object) -> Load:
    return msgspec.structs.replace(SERVED, **words)


def test_the_table_of_prices_is_dated_sourced_and_positive() -> None:
    table = price_table()
    assert (table.currency, table.region) == ("USD", "us-central1")
    assert re.fullmatch(r"\d{4}-\d{2}", table.dated)
    prices: list[Price] = [getattr(table.prices, name) for name in type(table.prices).__struct_fields__]
    for price in prices:
        assert price.value > 0
        assert price.source.startswith("https://cloud.google.com/")
        assert re.fullmatch(r"\d{4}-\d{2}|undated", price.as_of)
        assert (price.seen == "undated") <= (price.as_of == "undated")


@pytest.mark.parametrize(
    ("rate", "cpu", "workers"), [(1.0, 5e-4, 1), (1_200.0, 5e-4, 1), (1_201.0, 5e-4, 2), (100_000.0, 5e-4, 84)]
)
def test_workers_are_as_many_as_the_peak_needs(rate: float, cpu: float, workers: int) -> None:
    sizing = size(changed(rate=rate / 10, peak_rate=rate, cpu=cpu), PRICES)
    assert sizing.workers == workers
    assert rate * cpu / workers <= UTILISATION


def test_money_is_work_storage_and_what_is_kept_ready() -> None:
    sizing = size(SERVED, PRICES)
    gib = 200 * 2**20 / 2**30
    ready = HOURS * (PRICES.cpu_hour + gib * PRICES.memory_gib_hour)
    data = 1e6 / STATISTICS_RATE + 1e6 / FEATURES_RATE
    training = HOURS * 3600 / DAY * (30 + data) / 3600 * PRICES.cpu_hour
    storage = 200_000_000 / 2**30 * PRICES.storage_gib_month
    assert sizing.month == pytest.approx(ready + training + storage)
    assert sizing.idle == pytest.approx(ready * (1 - 10 * 5e-4))
    assert sizing.memory == 3 * 200_000_000


def test_a_table_is_counted_with_its_builds_and_bytes() -> None:
    plain, tabled = size(SERVED, PRICES), size(changed(paradigm="hybrid", k=10**6), PRICES)
    builds = HOURS * 3600 / DAY * 1e6 * 5e-5 / 3600 * PRICES.cpu_hour
    table = 64e6 / 2**30
    kept = table * (HOURS * PRICES.memory_gib_hour + PRICES.storage_gib_month)
    assert tabled.month - plain.month == pytest.approx(builds + kept)


def test_trained_once_costs_no_training_a_month() -> None:
    sizing = size(changed(every=None), PRICES)
    training = next(one for one in sizing.managed if one.service == "Vertex AI training")
    assert training.month == 0.0
    assert "once" in training.amount


@pytest.mark.parametrize(
    ("load", "engine", "said"),
    [
        (SERVED, "local", "one machine does it"),
        (changed(rows=0, bytes=0), "local", "not known"),
        (changed(rows=10**11, bytes=10**9), "beam", "one machine of 16 cores would need"),
        (changed(bytes=MACHINE_MEMORY), "beam", "trained in one process on any engine"),
        (changed(training_seconds=7_200.0), "beam", "no engine shortens it"),
    ],
)
def test_the_engine_is_local_while_one_machine_does_it_in_time(load: Load, engine: str, said: str) -> None:
    sizing = size(load, PRICES)
    assert sizing.engine == engine
    assert any(said in reason for reason in sizing.reasons)


def test_of_managed_engines_the_cheaper_one_is_taken() -> None:
    table = price_table()
    dear = msgspec.structs.replace(table.prices.beam_core_hour, value=10.0)
    prices = msgspec.structs.replace(table, prices=msgspec.structs.replace(table.prices, beam_core_hour=dear))
    assert size(changed(rows=10**11), PRICES, prices).engine == "spark"


@pytest.mark.parametrize(
    ("load", "should"),
    [
        (changed(static_keeps=True), True),
        (changed(static_keeps=False), False),
        (changed(static_keeps=True, entities=None), False),
        # Ten million rows, built every minute: dearer than a worker.
        (changed(static_keeps=True, entities=10**7, refresh=60.0), False),
        # What a row costs is not known, but few are asked about rarely.
        (changed(static_keeps=True, cpu_row=None, rate=0.1), True),
        (changed(static_keeps=True, cpu_row=None, rate=100.0), False),
        (changed(static_keeps=True, cpu_row=None, rate=0.1, entities=100_001), False),
        (changed(static_keeps=True, cpu_row=None, rate=None), False),
    ],
)
def test_an_endpoint_should_be_a_table_where_that_keeps_the_constraints_and_is_cheap(load: Load, should: bool) -> None:
    sizing = size(load, PRICES)
    assert sizing.should_be_table is should
    assert any("this endpoint should be a table" in reason for reason in sizing.reasons) is should


NUMBERS = st.none() | st.floats(1e-6, 1e6)


@given(
    st.builds(
        Load, rows=st.integers(0, 10**12), bytes=st.integers(0, 10**15), training_seconds=st.floats(0, 1e6),
        every=st.none() | st.floats(1, 1e8), rate=NUMBERS, peak_rate=NUMBERS, cpu=st.none() | st.floats(1e-7, 10),
        memory=st.none() | st.integers(1, 2**40), k=st.none() | st.integers(1, 10**9),
        entities=st.none() | st.integers(1, 10**9), refresh=st.none() | st.floats(1, 1e8),
        cpu_row=st.none() | st.floats(0, 1), bytes_row=st.none() | st.floats(0, 1e6),
        paradigm=st.sampled_from(["static", "dynamic", "hybrid"]), static_keeps=st.booleans(),
    )
)  # fmt: skip
def test_whatever_is_known_there_is_an_answer(load: Load) -> None:
    sizing = size(load, PRICES)
    assert sizing.workers >= 1
    assert 0 <= sizing.idle <= sizing.month * (1 + 1e-9)
    assert all(math.isfinite(one.month) and one.month >= 0 for one in sizing.managed)
    assert sizing.reasons


def test_what_could_not_be_measured_counts_as_not_known() -> None:
    nan = float("nan")
    odd = changed(
        paradigm="hybrid", k=100, cpu=nan, rate=nan, peak_rate=nan, cpu_row=nan, bytes_row=nan, cpu_log=nan, refresh=nan
    )
    unknown = changed(
        paradigm="hybrid", k=100, cpu=None, rate=None, peak_rate=None, cpu_row=None, bytes_row=None, refresh=None
    )
    assert size(odd, PRICES) == size(unknown, PRICES)
