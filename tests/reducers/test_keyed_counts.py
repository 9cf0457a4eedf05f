"""Exact counts per value, and what happens when they are too many."""

from __future__ import annotations

import math
from collections import Counter
from datetime import date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.errors import DataError
from ninetyfive.reducers.keyed_counts import KeyedCounts

X = KeyedCounts("x")


@given(st.lists(st.lists(st.one_of(st.none(), st.text(max_size=3))), min_size=1, max_size=4))
def test_as_a_counter_in_any_pieces(pieces: list[list[str | None]]) -> None:
    state = X.zero()
    for piece in pieces:
        state = X.add(state, pl.DataFrame({"x": piece}, schema={"x": pl.String}))
    truth = Counter(value for piece in pieces for value in piece if value is not None)
    assert X.result(state) == truth
    assert list(X.result(state)) == sorted(truth)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, -0.0, math.nan, None, math.inf], {0.0: 2, math.inf: 1}),
        ([2**53 + 1, 2**53 + 1, 2**53], {2**53: 1, 2**53 + 1: 2}),
        ([True, False, True], {False: 1, True: 2}),
        ([datetime(1970, 1, 1, 0, 0, 1)], {1_000_000: 1}),
        ([date(1970, 1, 2), date(1970, 1, 2)], {1: 2}),
        (pl.Series(["a", "b", "a"], dtype=pl.Categorical), {"a": 2, "b": 1}),
        ([None, None], {}),
    ],
)
def test_values_are_row_scalars(values: list[object], expected: dict[object, int]) -> None:
    found = X.result(X.add(X.zero(), pl.DataFrame({"x": values})))
    assert found == expected
    assert [type(key) for key in found] == [type(key) for key in expected]


def test_more_values_than_the_limit_is_an_error_that_says_what_to_do() -> None:
    reducer = KeyedCounts("x", limit=2)
    state = reducer.add(reducer.zero(), pl.DataFrame({"x": ["a", "b"]}))
    with pytest.raises(DataError, match="at most 2 distinct values to count exactly, got 3") as caught:
        reducer.add(state, pl.DataFrame({"x": ["c"]}))
    assert "raise the limit" in caught.value.do
