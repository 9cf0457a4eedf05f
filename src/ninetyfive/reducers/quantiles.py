"""Quantiles from a sketch that is deterministic and knows its own error.

    chunk ─ sort ─ cut ─▶ buffers of exactly `size` sorted values; at level L each stands for 2^L rows
                     └──▶ a tail of fewer than `size` raw values
    merge: tails join; two buffers of one level collapse into one of the next (every other value of their merged sort)

The rank of a value is estimated by the weight of the buffered values up to it. Cutting every s-th value of a sorted
run, from the one at s/2, errs by −s/2 … s/2 − 1 rows, and a chunk is cut into runs of disjoint ranges, so only one of
them errs for any one value. A collapse at level L errs by 0 … 2^L (even positions kept) or −2^L … 0 (odd): the state
adds both ends up and each collapse takes the side that balances them. So the stated error is a proof about this very
state, not an expectation: about log2(n / size) / (4 · size) + 1 / (2 · size) of the rows at worst, nothing while
there are fewer than `size`.

After Munro and Paterson (1980) and Manku, Rajagopalan, Lindsay: Approximate Medians in One Pass (1998), without
randomness. What does not belong here: what a quantile is used for.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive.errors import PlanError
from ninetyfive.reducers.arrays import Array, series_of, sorted_numbers

Number = int | float


class SketchState(msgspec.Struct, frozen=True, array_like=True):
    """`levels[L]` holds 0 or `size` sorted values of weight 2^L, `tail` fewer than `size` of weight 1, as raw bytes.

    Estimated minus true rank lies between `low` and `high`. `integers` tells int64 from float64 bytes.
    """

    count: int = 0
    low: int = 0
    high: int = 0
    integers: bool = False
    least: Number | None = None
    greatest: Number | None = None
    levels: tuple[bytes, ...] = ()
    tail: bytes = b""


class Quantile(msgspec.Struct, frozen=True):
    """Quantiles of `count` values; `rank_error` is a fraction of them, 0.0 where the answers are exact."""

    count: int
    rank_error: float
    min: Number | None
    max: Number | None
    values: list[Number]
    ranks: list[int]

    def quantile(self, q: float) -> Number | None:
        """The smallest kept value whose rank reaches q · count (0 ≤ q ≤ 1), a value of the column; None of no values.

        Its true rank is within `rank_error` · count of q · count. As numpy's `inverted_cdf` where `rank_error` is 0.
        """
        if not 0.0 <= q <= 1.0:
            raise PlanError("quantile", expected="a share from 0 to 1", got=repr(q), do="ask for 0.5 to get the median")
        if not self.count:
            return None
        if q in (0.0, 1.0):
            return self.max if q else self.min
        return self.values[bisect.bisect_left(self.ranks, wanted_rank(q, self.count))]

    def quantiles(self, qs: Iterable[float]) -> list[Number | None]:
        """`quantile` of each."""
        return [self.quantile(q) for q in qs]


def wanted_rank(q: float, count: int) -> int:
    """The rank from 1 that quantile q of `count` values asks for."""
    return min(count, max(1, math.ceil(q * count)))


def sketch_of(ordered: Array, size: int) -> SketchState:
    """The state of a sorted int64 or float64 array without NaN."""
    count, integers = len(ordered), ordered.dtype == np.int64
    if not count:
        return SketchState(integers=bool(integers))
    full, start, stride = count // size, 0, 1
    levels = [b""] * full.bit_length()
    for level in reversed(range(full.bit_length())):
        if full >> level & 1:
            step = 1 << level
            stop = start + size * step
            levels[level] = ordered[start + (step >> 1) : stop : step].tobytes()
            start, stride = stop, max(stride, step)
    low, high = (-(stride // 2), stride // 2 - 1) if stride > 1 else (0, 0)
    least, greatest = ordered[0].item(), ordered[-1].item()
    return SketchState(count, low, high, bool(integers), least, greatest, tuple(levels), ordered[start:].tobytes())


def merge_sketches(left: SketchState, right: SketchState, size: int) -> SketchState:
    """The state of the values of both."""
    if not left.count or not right.count:
        return left if left.count else right
    integers = left.integers and right.integers
    low, high = left.low + right.low, left.high + right.high
    tail = np.sort(np.concatenate([_array(left, left.tail, integers), _array(right, right.tail, integers)]))
    carried: list[Array] = []
    if len(tail) >= size:
        carried, tail = [tail[:size]], tail[size:]
    levels: list[bytes] = []
    level = 0
    while level < max(len(left.levels), len(right.levels)) or carried:
        raws = [(state, raw) for state in (left, right) for raw in state.levels[level : level + 1] if raw]
        buffers = [_array(state, raw, integers) for state, raw in raws] + carried
        carried = []
        if len(buffers) > 1:
            odd = high > -low
            low, high = (low - (1 << level), high) if odd else (low, high + (1 << level))
            carried = [np.sort(np.concatenate(buffers[:2]))[int(odd) :: 2]]
            buffers = buffers[2:]
        levels.append(buffers[0].tobytes() if buffers else b"")
        level += 1
    least = min(left.least, right.least)  # type: ignore[type-var]  # a state with values has extremes
    greatest = max(left.greatest, right.greatest)  # type: ignore[type-var]
    return SketchState(left.count + right.count, low, high, integers, least, greatest, tuple(levels), tail.tobytes())


def rank_error(state: SketchState) -> float:
    """The bound on the error of a rank, as a fraction of the values."""
    return max(-state.low, state.high) / state.count if state.count else 0.0


def ranked(state: SketchState) -> tuple[Array, Array]:
    """The kept values in order, and the estimated rank of each."""
    parts = [_array(state, raw, state.integers) for raw in (state.tail, *state.levels)]
    weights = np.repeat([1, *(1 << level for level in range(len(state.levels)))], [len(part) for part in parts])
    values = np.concatenate(parts)
    order = np.argsort(values, kind="stable")
    return values[order], np.cumsum(weights[order])


def values_at(state: SketchState, qs: Sequence[float]) -> list[Number | None]:
    """The quantiles of a state, as `Quantile.quantile` defines them for 0 < q < 1."""
    if not state.count:
        return [None] * len(qs)
    values, ranks = ranked(state)
    return [values[np.searchsorted(ranks, wanted_rank(q, state.count))].item() for q in qs]


def within(value: Number | None, q: float, ordered: Array, slack: float) -> bool:
    """Whether `value` is quantile q of a sorted array to within `slack` ranks."""
    if value is None or not len(ordered):
        return value is None and not len(ordered)
    wanted = wanted_rank(q, len(ordered))
    below, upto = np.searchsorted(ordered, value, "left"), np.searchsorted(ordered, value, "right")
    return bool(below - slack < wanted <= upto + slack)


def _array(state: SketchState, raw: bytes, integers: bool) -> Array:
    values = np.frombuffer(raw, dtype="<i8" if state.integers else "<f8")
    return values if state.integers == integers else values.astype(np.float64)


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Quantiles of a column, with a bound on the rank error that the result states and keeps.

    Takes numbers, booleans, times (µs) and dates (days); answers are values of the column (int or float). Null and
    NaN are left out, ±inf are values. No values: every quantile is None. A state holds `size` values (8 bytes each)
    per doubling of the rows.

    >>> reducer = Quantiles("x")
    >>> result = reducer.result(reducer.add(reducer.zero(), pl.DataFrame({"x": [4, 1, 3, 2, None]})))
    >>> result.quantiles([0.25, 0.5, 1.0]), result.rank_error
    ([1, 2, 4], 0.0)
    """

    column: str
    size: int = 4096

    def zero(self) -> SketchState:
        """No rows."""
        return SketchState()

    def add(self, state: SketchState, frame: pl.DataFrame) -> SketchState:
        """The state with the rows of `frame`."""
        ordered = sorted_numbers(series_of(frame, self.column, self), self).values
        return merge_sketches(state, sketch_of(ordered, self.size), self.size)

    def merge(self, left: SketchState, right: SketchState) -> SketchState:
        """The state of both."""
        return merge_sketches(left, right, self.size)

    def result(self, state: SketchState) -> Quantile:
        """The quantiles, to be asked for."""
        values, ranks = ranked(state)
        return Quantile(state.count, rank_error(state), state.least, state.greatest, values.tolist(), ranks.tolist())

    def agrees(self, left: Quantile, right: Quantile, rows: pl.DataFrame) -> bool:
        """Counts and extremes equal, and quantiles of both right to within their own bound."""
        if (left.count, left.min, left.max) != (right.count, right.min, right.max):
            return False
        ordered = sorted_numbers(rows[self.column], self).values
        return all(
            within(result.quantile(step / 20), step / 20, ordered, result.rank_error * result.count)
            for result in (left, right)
            for step in range(21)
        )

    def encode(self, state: SketchState) -> bytes:
        """The state as MessagePack."""
        return msgspec.msgpack.encode(state)

    def decode(self, data: bytes) -> SketchState:
        """The state that `encode` wrote."""
        return msgspec.msgpack.decode(data, type=SketchState)

    @staticmethod
    def example() -> tuple[Quantiles, dict[str, Any]]:
        """For the laws."""
        return Quantiles("x", size=4), {"x": pl.Float64()}
