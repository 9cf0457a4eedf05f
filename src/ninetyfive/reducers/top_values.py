"""The most frequent values of a column: exact while they are few, then with an error that is stated for each.

    value ─▶ (count seen, slack)     a true count lies in [count, count + slack];
                                     a value that is not kept occurs at most `error` times

At most `size` values are kept. When there are more, those whose upper bound (count + slack) is not above that of the
(size + 1)-th are left out together, and that bound becomes `error`; a value that comes back starts with it as its
slack. Equal bounds go together, so no order decides, and error ≤ rows / (size + 1): it is the summary of Misra and
Gries, merged after Agarwal, Cormode, Huang, Phillips, Wei, Yi: Mergeable Summaries (2012), §2, with exact counts for
what was never left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress, repeat
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive.reducers.arrays import Array, series_of
from ninetyfive.reducers.keyed_counts import value_counts

Value = bool | int | float | str


class TopState(msgspec.Struct, frozen=True, array_like=True):
    """Kept values with counts and slacks (int64 bytes), and the most that any other value can occur."""

    values: tuple[Value, ...] = ()
    counts: bytes = b""
    slacks: bytes = b""
    error: int = 0


class Frequent(msgspec.Struct, frozen=True):
    """A value that occurs between `count` and `count + error` times."""

    value: Value
    count: int
    error: int


def heavy(bounds: Array, size: int) -> tuple[Array | None, int]:
    """Which upper bounds to keep (positions; None: all), and the error that leaving the others out makes."""
    if len(bounds) <= size:
        return None, 0
    repeated = np.flatnonzero(bounds > 1)
    if len(repeated) <= size:  # the usual case of long columns: most values occur once
        return repeated, 1
    error = int(np.partition(bounds, len(bounds) - size - 1)[len(bounds) - size - 1])
    return np.flatnonzero(bounds > error), error


def top_of(counts: Array, size: int, take: Callable[[Array], Array | pl.Series]) -> TopState:
    """The state of distinct values by their exact counts; `take` gives the values at some positions."""
    keep, error = heavy(counts, size)
    values = take(np.arange(len(counts)) if keep is None else keep)
    counts = counts if keep is None else counts[keep]
    if isinstance(values, pl.Series):  # values in no stated order: give them one
        order = values.arg_sort().to_numpy()
        values, counts = values[order], counts[order]
    listed = values.to_list() if isinstance(values, pl.Series) else values.tolist()
    return TopState(tuple(listed), _raw(counts), bytes(8 * len(counts)), error)


def merge_top(left: TopState, right: TopState, size: int) -> TopState:
    """The state of the rows of both."""
    if not left.counts and not left.error:
        return right
    if not right.counts and not right.error:
        return left
    place = dict(zip(left.values, range(len(left.values)), strict=True))
    found = np.fromiter(map(place.get, right.values, repeat(-1)), dtype=np.int64, count=len(right.values))
    both, new = found >= 0, found < 0
    counts = np.concatenate([_array(left.counts), _array(right.counts)[new]])
    slacks = np.concatenate([_array(left.slacks) + right.error, _array(right.slacks)[new] + left.error])
    counts[found[both]] += _array(right.counts)[both]
    slacks[found[both]] += _array(right.slacks)[both] - right.error
    values = left.values + tuple(compress(right.values, new.tolist()))
    keep, error = heavy(counts + slacks, size)
    if keep is not None:
        values = tuple(map(values.__getitem__, keep.tolist()))
        counts, slacks = counts[keep], slacks[keep]
    return TopState(values, _raw(counts), _raw(slacks), max(error, left.error + right.error))


def most_frequent(state: TopState, top: int) -> list[Frequent]:
    """The `top` values by count, equal counts in ascending order of the value."""
    counts, slacks = _array(state.counts), _array(state.slacks)
    found = sorted(zip((-counts).tolist(), state.values, slacks.tolist(), strict=True))[:top]
    return [Frequent(value, -count, slack) for count, value, slack in found]


def _array(raw: bytes) -> Array:
    return np.frombuffer(raw, dtype="<i8")


def _raw(counts: Array) -> bytes:
    return counts.astype("<i8", copy=False).tobytes()


@dataclass(frozen=True, slots=True)
class TopValues:
    """The `top` most frequent values: `{"top": [Frequent(value, count, error)], "error": n, "exact": bool}`.

    Takes strings, booleans, numbers, times (µs) and dates (days); null and NaN are left out, −0.0 is 0.0. Exact (all
    errors 0) up to `size` distinct values; beyond, a true count lies between `count` and `count + error`, and any
    value that is not kept occurs at most `error` ≤ rows / (size + 1) times. A state holds at most `size` values.

    >>> reducer = TopValues("x", top=1)
    >>> reducer.result(reducer.add(reducer.zero(), pl.DataFrame({"x": ["a", "b", "a", None]})))
    {'top': [Frequent(value='a', count=2, error=0)], 'error': 0, 'exact': True}
    """

    column: str
    top: int = 20
    size: int = 4096

    def zero(self) -> TopState:
        """No rows."""
        return TopState()

    def add(self, state: TopState, frame: pl.DataFrame) -> TopState:
        """The state with the rows of `frame`."""
        values, counts = value_counts(series_of(frame, self.column, self))
        return merge_top(state, top_of(counts.to_numpy(), self.size, lambda at: values[at]), self.size)

    def merge(self, left: TopState, right: TopState) -> TopState:
        """The state of both."""
        return merge_top(left, right, self.size)

    def result(self, state: TopState) -> dict[str, Any]:
        """`{"top", "error", "exact"}`."""
        return {"top": most_frequent(state, self.top), "error": state.error, "exact": state.error == 0}

    def agrees(self, left: dict[str, Any], right: dict[str, Any], rows: pl.DataFrame) -> bool:
        """Equal where both are exact; else every count and every value left out keeps its stated bound."""
        if left["exact"] and right["exact"]:
            return bool(left == right)
        values, counts = value_counts(rows[self.column])
        truth = dict(zip(values.to_list(), counts.to_list(), strict=True))
        return keeps_bounds(left, truth, self.top) and keeps_bounds(right, truth, self.top)

    def encode(self, state: TopState) -> bytes:
        """The state as MessagePack."""
        return msgspec.msgpack.encode(state)

    def decode(self, data: bytes) -> TopState:
        """The state that `encode` wrote."""
        return msgspec.msgpack.decode(data, type=TopState)

    @staticmethod
    def example() -> tuple[TopValues, dict[str, Any]]:
        """For the laws."""
        return TopValues("x", top=3, size=3), {"x": pl.String()}


def keeps_bounds(result: dict[str, Any], truth: dict[Value, int], top: int) -> bool:
    """Whether a `TopValues` result is right about `{value: true count}` within what it states."""
    found = {one.value: one for one in result["top"]}
    right = all(one.count <= truth[one.value] <= one.count + one.error for one in found.values())
    most = result["error"] + (min(one.count for one in found.values()) if len(found) == top else 0)
    return right and all(count <= most for value, count in truth.items() if value not in found)
