"""Means and covariances of several columns.

    chunk ─▶ (n, means, Σ (x − mean)(y − mean)) ─┐     about the chunk's own means, as `moments` does for one column
    chunk ─▶ (n, means, Σ (x − mean)(y − mean)) ─┴─▶

Merge after Chan, Golub, LeVeque: Updating Formulae and a Pairwise Algorithm for Computing Sample Variances (1979),
whose eq. 2.1 holds for products of two columns as it does for squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive.reducers.arrays import BLOCK, Array, series_of
from ninetyfive.reducers.moments import near

_EPSILON = 1e-11


class CovarianceState(msgspec.Struct, frozen=True, array_like=True):
    """Rows seen, the mean of each column, and the sums of products about the means, row by row; `largest` value."""

    count: int = 0
    means: tuple[float, ...] = ()
    products: tuple[tuple[float, ...], ...] = ()
    largest: float = 0.0


@dataclass(frozen=True, slots=True)
class Covariance:
    """Means and population covariances of `columns`, over the rows in which none is null or NaN.

    Takes numbers. An infinite value makes all of them NaN, values beyond about 1e150 infinite. Without such rows the
    count is 0. A state holds as many floats as the square of the number of columns. Two merge trees agree to a
    relative 1e-11 of the largest value (and of its square).

    >>> reducer = Covariance(("x", "y"))
    >>> state = reducer.add(reducer.zero(), pl.DataFrame({"x": [1.0, 3.0, None], "y": [2.0, 2.0, 9.0]}))
    >>> reducer.result(state)
    {'count': 2, 'means': [2.0, 2.0], 'covariance': [[1.0, 0.0], [0.0, 0.0]], 'largest': 3.0}
    """

    columns: tuple[str, ...]

    def zero(self) -> CovarianceState:
        """No rows."""
        return CovarianceState()

    def add(self, state: CovarianceState, frame: pl.DataFrame) -> CovarianceState:
        """The state with the rows of `frame`."""
        series = [series_of(frame, name, self).cast(pl.Float64).fill_null(float("nan")) for name in self.columns]
        values = np.ascontiguousarray(np.column_stack([one.to_numpy() for one in series]) + 0.0)
        return self.merge(state, _state(values[~np.isnan(values).any(axis=1)]))

    def merge(self, left: CovarianceState, right: CovarianceState) -> CovarianceState:
        """The state of both."""
        if not left.count or not right.count:
            return left if left.count else right
        count = left.count + right.count
        means, after = np.array(left.means), np.array(right.means)
        with np.errstate(over="ignore", invalid="ignore"):
            distance = after - means
            products = np.array(left.products) + np.array(right.products)
            products += np.outer(distance, distance) * (left.count * (right.count / count))
            means = means + distance * (right.count / count)
        return _packed(count, means, products, max(left.largest, right.largest))

    def result(self, state: CovarianceState) -> dict[str, Any]:
        """`{"count", "means", "covariance", "largest"}`; means and covariance are lists in the order of the columns."""
        known = math.isfinite(state.largest)
        return {
            "count": state.count,
            "means": [mean if known else math.nan for mean in state.means],
            "covariance": [[value / state.count if known else math.nan for value in row] for row in state.products],
            "largest": state.largest,
        }

    def agrees(self, left: dict[str, Any], right: dict[str, Any], rows: pl.DataFrame) -> bool:  # noqa: ARG002
        """Counts equal, means and covariances to a relative 1e-11 of the largest value (and of its square)."""
        if left["count"] != right["count"] or left["largest"] != right["largest"]:
            return False
        scale = left["largest"]
        pairs = [(_EPSILON * scale, zip(left["means"], right["means"], strict=True))]
        for one, other in zip(left["covariance"], right["covariance"], strict=True):
            pairs.append((_EPSILON * scale * scale, zip(one, other, strict=True)))
        return all(near(one, other, bound) for bound, values in pairs for one, other in values)

    def encode(self, state: CovarianceState) -> bytes:
        """The state as MessagePack."""
        return msgspec.msgpack.encode(state)

    def decode(self, data: bytes) -> CovarianceState:
        """The state that `encode` wrote."""
        return msgspec.msgpack.decode(data, type=CovarianceState)

    @staticmethod
    def example() -> tuple[Covariance, dict[str, Any]]:
        """For the laws."""
        return Covariance(("x", "y")), {"x": pl.Float64(), "y": pl.Float64()}


def _state(values: Array) -> CovarianceState:
    """The state of float64 rows without NaN, summed by blocks in their order."""
    count, width = values.shape
    if not count:
        return CovarianceState()
    products = np.zeros((width, width))
    with np.errstate(over="ignore", invalid="ignore"):
        means = sum((values[at : at + BLOCK].sum(axis=0) for at in range(0, count, BLOCK)), np.zeros(width)) / count
        for at in range(0, count, BLOCK):
            centred = values[at : at + BLOCK] - means
            products += np.einsum("ri,rj->ij", centred, centred)  # one thread, one order: the same bits everywhere
    return _packed(count, means, products, float(np.abs(values).max()))


def _packed(count: int, means: Array, products: Array, largest: float) -> CovarianceState:
    return CovarianceState(count, tuple(means.tolist()), tuple(map(tuple, products.tolist())), largest)
