"""How many distinct values a column has: exact up to `size`, then an estimate.

    values ─ hash ─▶ 64 bits, uniform ─▶ keep the `size` smallest;   the closer they lie, the more values there are

The state is a function of the set of values and of nothing else, so every split and order gives the same bytes. With
the k-th smallest of the hashes at h (as a fraction of 2^64), (k − 1) / h is an unbiased estimate with relative
standard deviation 1 / √(k − 2): Beyer, Haas, Reinwald, Sismanis, Gemulla: On Synopses for Distinct-Value Estimation
(2007), eq. 4 and 5. What does not belong here: which values they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive.hashing import series_hash
from ninetyfive.reducers.arrays import Array, present, series_of
from ninetyfive.reducers.text import text_hash

_SPACE = 2**64
_SIGMAS = 3


class DistinctState(msgspec.Struct, frozen=True, array_like=True):
    """The smallest distinct hashes in order (uint64, little-endian); `more` tells that others were left out."""

    hashes: bytes = b""
    more: bool = False


def distinct_of(blocks: Callable[[], Iterable[Array]], count: int, size: int) -> DistinctState:
    """The state of `count` distinct uint64 hashes in any order, given by `blocks`, which may be called twice."""
    # A uniform hash is below `limit` with a probability of just over size / count: most need not be kept, nor sorted.
    limit = int(_SPACE * (size + 8 * math.sqrt(size)) / max(count, 1))
    found = np.zeros(0, dtype=np.uint64)
    if limit < _SPACE:
        found = np.concatenate([block[block < np.uint64(limit)] for block in blocks()])
    if len(found) < min(count, size):
        found = np.concatenate(list(blocks()))
    return DistinctState(np.sort(found)[:size].tobytes(), count > size)


def merge_distinct(left: DistinctState, right: DistinctState, size: int) -> DistinctState:
    """The state of the values of both."""
    if not left.hashes or not right.hashes:
        return left if left.hashes else right
    parts = [_array(left), _array(right)]
    full = [part[-1] for part, state in zip(parts, (left, right), strict=True) if state.more]
    if full:  # a full side has `size` hashes up to its last one, so none above that can be among the smallest
        parts = [part[: np.searchsorted(part, min(full), "right")] for part in parts]
    both = np.sort(np.concatenate(parts))
    both = both[np.concatenate(([True], both[1:] != both[:-1]))]
    return DistinctState(both[:size].tobytes(), left.more or right.more or len(both) > size)


def estimate(state: DistinctState) -> int:
    """The number of distinct values; exact where nothing was left out."""
    hashes = _array(state)
    if not state.more:
        return len(hashes)
    return round((len(hashes) - 1) * _SPACE / (int(hashes[-1]) + 1))


def distinct_error(state: DistinctState) -> float:
    """The relative error that the estimate keeps at three standard deviations; 0.0 where it is exact."""
    return _SIGMAS / math.sqrt(len(state.hashes) // 8 - 2) if state.more else 0.0


def _array(state: DistinctState) -> Array:
    return np.frombuffer(state.hashes, dtype="<u8")


@dataclass(frozen=True, slots=True)
class Distinct:
    """The number of distinct values: `{"distinct": n, "exact": bool, "error": relative bound}`.

    Any dtype that `hashing.series_hash` takes. Null and NaN are left out; −0.0 is 0.0, 1 is 1.0. Exact up to `size`
    values (as 64-bit hashes are), then within `error` at three standard deviations: 1.7 % for the default. A state is
    8 bytes a hash.

    >>> reducer = Distinct("x")
    >>> reducer.result(reducer.add(reducer.zero(), pl.DataFrame({"x": ["a", "b", "a", None]})))
    {'distinct': 2, 'exact': True, 'error': 0.0}
    """

    column: str
    size: int = 32_768

    def zero(self) -> DistinctState:
        """No rows."""
        return DistinctState()

    def add(self, state: DistinctState, frame: pl.DataFrame) -> DistinctState:
        """The state with the rows of `frame`."""
        series = series_of(frame, self.column, self)
        if series.dtype.is_float():
            series = series.fill_nan(None)
        series = present(series)
        hashes = np.unique(text_hash(series) if series.dtype == pl.String else series_hash(series))
        return merge_distinct(state, distinct_of(lambda: [hashes], len(hashes), self.size), self.size)

    def merge(self, left: DistinctState, right: DistinctState) -> DistinctState:
        """The state of both."""
        return merge_distinct(left, right, self.size)

    def result(self, state: DistinctState) -> dict[str, Any]:
        """`{"distinct", "exact", "error"}`."""
        return {"distinct": estimate(state), "exact": not state.more, "error": distinct_error(state)}

    def encode(self, state: DistinctState) -> bytes:
        """The state as MessagePack."""
        return msgspec.msgpack.encode(state)

    def decode(self, data: bytes) -> DistinctState:
        """The state that `encode` wrote."""
        return msgspec.msgpack.decode(data, type=DistinctState)

    @staticmethod
    def example() -> tuple[Distinct, dict[str, Any]]:
        """For the laws."""
        return Distinct("x", size=8), {"x": pl.Float64()}
