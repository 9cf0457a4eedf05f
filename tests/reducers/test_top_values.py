"""Top values: exact while few, and every stated count bound holds beyond."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.reducers.top_values import Frequent, TopValues, keeps_bounds

PIECES = st.lists(st.lists(st.integers(0, 12), max_size=40), min_size=1, max_size=6)


def run(reducer: TopValues, pieces: list[list[int]]) -> tuple[dict[str, object], Counter[int]]:
    state = reducer.zero()
    for piece in pieces:
        rows = pl.DataFrame({"x": piece}, schema={"x": pl.Int64})
        state = reducer.merge(state, reducer.add(reducer.zero(), rows))
    return reducer.result(state), Counter(value for piece in pieces for value in piece)


@given(PIECES)
def test_few_values_are_exact_and_in_order(pieces: list[list[int]]) -> None:
    result, truth = run(TopValues("x", top=5, size=13), pieces)
    expected = sorted(truth.items(), key=lambda pair: (-pair[1], pair[0]))[:5]
    assert result == {"top": [Frequent(value, count, 0) for value, count in expected], "error": 0, "exact": True}


@given(PIECES, st.integers(1, 6), st.integers(1, 6))
def test_the_stated_bounds_hold(pieces: list[list[int]], size: int, top: int) -> None:
    result, truth = run(TopValues("x", top=top, size=size), pieces)
    assert keeps_bounds(result, truth, top)
    assert result["error"] <= sum(truth.values()) / (size + 1)


def test_a_value_that_was_never_left_out_has_an_exact_count() -> None:
    pieces = [[7] * 5 + list(range(100 * piece, 100 * piece + 20)) for piece in range(1, 9)]
    result, _ = run(TopValues("x", size=4), pieces)
    assert result == {"top": [Frequent(7, 40, 0)], "error": 8, "exact": False}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["b", "a", None, "b"], [("b", 2), ("a", 1)]),
        ([0.0, -0.0, float("nan"), 2.5], [(0.0, 2), (2.5, 1)]),
        ([True, False, True], [(True, 2), (False, 1)]),
        ([None, None], []),
    ],
)
def test_kinds_of_values(values: list[object], expected: list[tuple[object, int]]) -> None:
    reducer = TopValues("x")
    result = reducer.result(reducer.add(reducer.zero(), pl.DataFrame({"x": values})))
    assert [(one.value, one.count) for one in result["top"]] == expected
