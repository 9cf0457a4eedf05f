"""Moments against numpy, where naive sums would cancel, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ninetyfive.reducers.moments import Moments, MomentsState

X = Moments("x")


def moments(*pieces: list[float | None]) -> dict[str, float]:
    state = X.zero()
    for piece in pieces:
        state = X.merge(state, X.add(X.zero(), pl.DataFrame({"x": piece}, schema={"x": pl.Float64})))
    return X.result(state)


@given(
    pieces=st.lists(st.lists(st.floats(-1e6, 1e6), max_size=30), min_size=1, max_size=5),
    offset=st.sampled_from([0.0, 1e9, -1e12]),
)
@example(pieces=[[5e-324], [0.0]], offset=0.0)
def test_as_numpy_in_any_pieces(pieces: list[list[float]], offset: float) -> None:
    moved = [[value + offset for value in piece] for piece in pieces]
    values = np.array([value for piece in moved for value in piece])
    found = moments(*moved)
    assert found["count"] == len(values)
    if not len(values):
        assert found["mean"] is found["variance"] is found["std"] is found["min"] is None
        return
    # Below the smallest normal number a half cannot be held, and rounds either way: one step of 5e-324.
    slack = 1e-12 * np.abs(values).max() + 5e-324
    assert found["mean"] == pytest.approx(values.mean(), rel=1e-12, abs=slack)
    assert found["std"] == pytest.approx(values.std(), rel=1e-6, abs=slack)
    assert (found["min"], found["max"]) == (values.min(), values.max())


def test_a_far_offset_does_not_cancel() -> None:
    assert moments([1e15 + 1, 1e15 + 2], [1e15 + 3])["variance"] == pytest.approx(2 / 3, rel=1e-3)


def test_nulls_and_nan_are_counted_and_else_left_out() -> None:
    found = moments([1.0, None, math.nan], [3.0])
    assert (found["count"], found["mean"], found["nulls"], found["nans"]) == (2, 2.0, 1, 1)


def test_infinities_in_any_order() -> None:
    for pieces in ([math.inf], [1.0]), ([1.0], [math.inf]), ([1.0, math.inf],):
        found = moments(*pieces)
        assert found["mean"] == math.inf
        assert math.isnan(found["variance"])
        assert found["max"] == math.inf
    assert math.isnan(moments([math.inf], [-math.inf])["mean"])


def test_large_integers_keep_exact_extremes() -> None:
    frame = pl.DataFrame({"x": [2**62 + 1, 2**53 + 1, None]})
    found = X.result(X.add(X.zero(), frame))
    assert (found["min"], found["max"]) == (2**53 + 1, 2**62 + 1)
    assert found["mean"] == pytest.approx((2**62 + 2**53) / 2)


def test_a_share_of_booleans_and_the_state_of_one_chunk() -> None:
    frame = pl.DataFrame({"x": [True, True, False, None]})
    assert X.result(X.add(X.zero(), frame))["mean"] == pytest.approx(2 / 3)
    assert X.add(X.zero(), frame) == MomentsState(3, 2 / 3, pytest.approx(2 / 3), 0, 1, 1, 0)
