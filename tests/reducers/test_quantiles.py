"""The sketch keeps the rank error that it states, on hostile orders too, and is exact while rows are few."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ninetyfive.errors import PlanError
from ninetyfive.reducers.quantiles import Quantile, Quantiles, within

ORDERS = {
    "sorted": np.arange,
    "reversed": lambda n: np.arange(n)[::-1],
    "sawtooth": lambda n: np.arange(n) % 17,
    "zigzag": lambda n: np.where(np.arange(n) % 2, np.arange(n), -np.arange(n)),
    "constant": lambda n: np.zeros(n, dtype=np.int64),
    "random": lambda n: np.random.default_rng(n).permutation(n),
    "heavy": lambda n: np.random.default_rng(n).zipf(1.2, n) % 1000,
    "huge": lambda n: 2**62 + np.random.default_rng(n).permutation(n),
}


def sketch(values: np.ndarray, chunk: int, size: int) -> Quantile:
    reducer = Quantiles("x", size)
    state = reducer.zero()
    for start in range(0, len(values), chunk):
        state = reducer.merge(state, reducer.add(reducer.zero(), pl.DataFrame({"x": values[start : start + chunk]})))
    assert len(state.tail) < 8 * size
    assert all(len(level) in (0, 8 * size) for level in state.levels)
    kept = [len(level) // 8 << number for number, level in enumerate(state.levels)]
    assert sum(kept) + len(state.tail) // 8 == state.count == len(values)
    return reducer.result(state)


@settings(max_examples=60)
@given(
    order=st.sampled_from(sorted(ORDERS)),
    rows=st.integers(1, 3000),
    chunk=st.integers(1, 700),
    size=st.sampled_from([1, 2, 7, 16, 64]),
    floats=st.booleans(),
)
def test_the_stated_bound_holds(order: str, rows: int, chunk: int, size: int, floats: bool) -> None:
    values = ORDERS[order](rows)
    values = values.astype(np.float64) if floats else values
    result = sketch(values, chunk, size)
    ordered = np.sort(values)
    slack = result.rank_error * rows
    assert result.rank_error <= (math.log2(max(rows / size, 1)) / 4 + 2) / size
    for q in (0.0, 0.01, 0.25, 1 / 3, 0.5, 0.75, 0.99, 1.0):
        found = result.quantile(q)
        assert type(found) is (float if floats else int)
        assert within(found, q, ordered, slack)
    assert (result.quantile(0.0), result.quantile(1.0)) == (ordered[0], ordered[-1])


@given(st.lists(st.one_of(st.none(), st.floats(width=32)), max_size=60))
def test_few_rows_are_exact(values: list[float | None]) -> None:
    reducer = Quantiles("x")
    result = reducer.result(reducer.add(reducer.zero(), pl.DataFrame({"x": values}, schema={"x": pl.Float64})))
    there = np.array([value for value in values if value is not None and not math.isnan(value)])
    assert (result.count, result.rank_error) == (len(there), 0.0)
    for q in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0):
        expected = float(np.quantile(there, q, method="inverted_cdf")) if len(there) else None
        assert result.quantile(q) == expected


def test_integers_beyond_floats_stay_exact() -> None:
    assert sketch(np.array([2**53 + 1, 2**53 + 3, 2**53 + 5]), 1, 2).quantile(0.5) in (2**53 + 1, 2**53 + 3, 2**53 + 5)


def test_a_column_that_turned_into_floats_merges() -> None:
    reducer = Quantiles("x", 4)
    ints, floats = (
        reducer.add(reducer.zero(), pl.DataFrame({"x": pl.Series(range(9), dtype=dtype)}))
        for dtype in (pl.Int64, pl.Float64)
    )
    both = reducer.result(reducer.merge(ints, floats))
    assert both.count == 18
    assert within(both.quantile(0.5), 0.5, np.repeat(np.arange(9.0), 2), both.rank_error * 18)


def test_a_share_outside_0_to_1_is_an_error() -> None:
    with pytest.raises(PlanError, match="a share from 0 to 1"):
        sketch(np.arange(3), 3, 4).quantile(25)


def test_a_full_chunk_is_cut_to_one_buffer() -> None:
    result = sketch(np.arange(131_072), 131_072, 4096)
    assert result.rank_error == 16 / 131_072
    assert len(result.values) == 4096
