"""Distinct counts: exact while few, within the stated bound beyond, whatever the order."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.reducers.distinct import Distinct, distinct_of, estimate


@given(st.lists(st.lists(st.one_of(st.none(), st.text(max_size=2))), min_size=1, max_size=4))
def test_few_are_exact(pieces: list[list[str | None]]) -> None:
    reducer = Distinct("x")
    state = reducer.zero()
    for piece in pieces:
        state = reducer.add(state, pl.DataFrame({"x": piece}, schema={"x": pl.String}))
    truth = {value for piece in pieces for value in piece if value is not None}
    assert reducer.result(state) == {"distinct": len(truth), "exact": True, "error": 0.0}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, -0.0, math.nan, None, math.inf, -math.inf], 3),
        ([2**53, 2**53 + 1, 2**53 + 2], 3),
        ([True, None, True], 1),
        ([date(2020, 1, 1), date(2020, 1, 2)], 2),
        ([None, None], 0),
    ],
)
def test_what_is_one_value(values: list[object], expected: int) -> None:
    reducer = Distinct("x")
    assert reducer.result(reducer.add(reducer.zero(), pl.DataFrame({"x": values})))["distinct"] == expected


@pytest.mark.parametrize("true", [32_769, 40_000, 100_000, 300_000])
@pytest.mark.parametrize("kind", ["ascending", "random", "text"])
def test_many_are_within_2_percent(true: int, kind: str) -> None:
    reducer = Distinct("x")
    values = pl.Series("x", np.arange(true))
    if kind == "random":
        values = pl.Series("x", np.random.default_rng(true).permutation(true) * 1e-3)
    elif kind == "text":
        values = ("user-" + values.cast(pl.String)).alias("x")
    state = reducer.zero()
    for start in range(0, true, 60_000):
        state = reducer.merge(state, reducer.add(reducer.zero(), values[start : start + 60_000].to_frame()))
    result = reducer.result(state)
    assert not result["exact"]
    assert result["error"] < 0.017
    assert abs(result["distinct"] - true) <= 0.02 * true
    assert state == reducer.add(reducer.zero(), values.reverse().to_frame())


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(3, 12))
def test_the_state_is_the_smallest_hashes_of_the_set(numbers: list[int], size: int) -> None:
    reducer = Distinct("x", size)
    pieces = [reducer.add(reducer.zero(), pl.DataFrame({"x": [number]})) for number in numbers]
    state = reducer.zero()
    for piece in pieces:
        state = reducer.merge(piece, state)
    assert state == reducer.add(reducer.zero(), pl.DataFrame({"x": numbers}, schema={"x": pl.Int64}))
    assert state.more == (len(set(numbers)) > size)


def test_hashes_that_lie_high_are_not_lost() -> None:
    high = np.arange(2**64 - 1000, 2**64 - 1, dtype=np.uint64)
    state = distinct_of(lambda: [high], len(high), 10)
    assert np.frombuffer(state.hashes, dtype="<u8").tolist() == high[:10].tolist()
    assert estimate(state) == 9
