"""Count, mean and variance of a column, with its extremes.

    chunk ─▶ (n, mean, M2) ─┐     M2 = Σ (x − mean)², summed about the chunk's own mean,
    chunk ─▶ (n, mean, M2) ─┴─▶   never Σx² − n·mean², which cancels

Merge after Chan, Golub, LeVeque: Updating Formulae and a Pairwise Algorithm for Computing Sample Variances (1979),
eq. 2.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive.reducers.arrays import Array, numbers, series_of, squares_about, total

_EPSILON = 1e-11


class MomentsState(msgspec.Struct, frozen=True, array_like=True):
    """Values seen, their mean, M2 and extremes; what was missing."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: int | float | None = None
    high: int | float | None = None
    nulls: int = 0
    nans: int = 0


def moments_of(values: Array, nulls: int = 0, nans: int = 0) -> MomentsState:
    """The state of an int64 or float64 array without NaN."""
    count = len(values)
    if not count:
        return MomentsState(nulls=nulls, nans=nans)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = total(values) / count
        squares = squares_about(values, mean)
    return MomentsState(count, mean, squares, values.min().item(), values.max().item(), nulls, nans)


def merge_moments(left: MomentsState, right: MomentsState) -> MomentsState:
    """The state of the values of both."""
    nulls, nans = left.nulls + right.nulls, left.nans + right.nans
    if not left.count or not right.count:
        some = left if left.count else right
        return MomentsState(some.count, some.mean, some.squares, some.low, some.high, nulls, nans)
    count = left.count + right.count
    if math.isfinite(left.mean) and math.isfinite(right.mean):
        distance = right.mean - left.mean
        mean = left.mean + distance * (right.count / count)
        squares = left.squares + right.squares + distance * distance * (left.count * (right.count / count))
    else:
        mean, squares = left.mean + right.mean, math.nan
    low = min(left.low, right.low)  # type: ignore[type-var]  # a state with values has extremes
    high = max(left.high, right.high)  # type: ignore[type-var]
    return MomentsState(count, mean, squares, low, high, nulls, nans)


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean, population variance and std, min and max of a column, and its nulls and NaN.

    Takes numbers, booleans (0, 1), times (µs) and dates (days); null and NaN are left out and counted. Mean, variance
    and std are float64 (None of no values; beyond about 1e150 they overflow to inf or NaN, as they are NaN or inf
    where ±inf occurs); min and max are exact, of the column's own kind. Two merge trees agree to a relative 1e-11 of
    the largest value.

    >>> reducer = Moments("x")
    >>> state = reducer.add(reducer.zero(), pl.DataFrame({"x": [1, 3, None]}))
    >>> reducer.result(state)
    {'count': 2, 'mean': 2.0, 'variance': 1.0, 'std': 1.0, 'min': 1, 'max': 3, 'nulls': 1, 'nans': 0}
    """

    column: str

    def zero(self) -> MomentsState:
        """No rows."""
        return MomentsState()

    def add(self, state: MomentsState, frame: pl.DataFrame) -> MomentsState:
        """The state with the rows of `frame`."""
        return merge_moments(state, moments_of(*numbers(series_of(frame, self.column, self), self)))

    def merge(self, left: MomentsState, right: MomentsState) -> MomentsState:
        """The state of both."""
        return merge_moments(left, right)

    def result(self, state: MomentsState) -> dict[str, Any]:
        """`{"count", "mean", "variance", "std", "min", "max", "nulls", "nans"}`."""
        variance = state.squares / state.count if state.count else None
        return {
            "count": state.count,
            "mean": state.mean if state.count else None,
            "variance": variance,
            "std": None if variance is None else math.sqrt(variance),
            "min": state.low,
            "max": state.high,
            "nulls": state.nulls,
            "nans": state.nans,
        }

    def agrees(self, left: dict[str, Any], right: dict[str, Any], rows: pl.DataFrame) -> bool:  # noqa: ARG002
        """Counts and extremes equal, mean and variance to a relative 1e-11 of the largest value (and of its square)."""
        if any(left[name] != right[name] for name in ("count", "min", "max", "nulls", "nans")):
            return False
        if not left["count"]:
            return True
        scale = max(abs(left["min"]), abs(left["max"]))
        bounds = {"mean": _EPSILON * scale, "variance": _EPSILON * scale * scale}
        return all(near(left[name], right[name], bound) for name, bound in bounds.items())

    def encode(self, state: MomentsState) -> bytes:
        """The state as MessagePack."""
        return msgspec.msgpack.encode(state)

    def decode(self, data: bytes) -> MomentsState:
        """The state that `encode` wrote."""
        return msgspec.msgpack.decode(data, type=MomentsState)

    @staticmethod
    def example() -> tuple[Moments, dict[str, Any]]:
        """For the laws."""
        return Moments("x"), {"x": pl.Float64()}


def near(left: float, right: float, bound: float) -> bool:
    """Whether two floats are equal (NaN and NaN, inf and inf too) or not more than `bound` apart."""
    if math.isfinite(left) and math.isfinite(right):
        return abs(left - right) <= bound
    return left == right or (math.isnan(left) and math.isnan(right))
