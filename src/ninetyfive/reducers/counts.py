"""How many rows, and how many of each column are missing: exact.

    rows ─▶ rows, nulls and NaN of each column

What does not belong here: which values occur (`keyed_counts`, `top_values`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from ninetyfive.reducers.arrays import series_of


class CountsState(msgspec.Struct, frozen=True, array_like=True):
    """Rows, and nulls and NaN in the order of the columns."""

    rows: int
    nulls: tuple[int, ...]
    nans: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows, and nulls and NaN per column: `{"rows": n, "nulls": {column: n}, "nans": {column: n}}`.

    `columns` may be of any dtype; only floats have NaN. No rows give zeros. An unknown column raises `PlanError`.

    >>> reducer = Counts(("x",))
    >>> frame = pl.DataFrame({"x": [1.0, None, float("nan")]})
    >>> reducer.result(reducer.add(reducer.zero(), frame))
    {'rows': 3, 'nulls': {'x': 1}, 'nans': {'x': 1}}
    """

    columns: tuple[str, ...] = ()

    def zero(self) -> CountsState:
        """No rows."""
        empty = (0,) * len(self.columns)
        return CountsState(0, empty, empty)

    def add(self, state: CountsState, frame: pl.DataFrame) -> CountsState:
        """The state with the rows of `frame`."""
        series = [series_of(frame, column, self) for column in self.columns]
        nulls = tuple(one.null_count() for one in series)
        nans = tuple(int(one.is_nan().sum()) if one.dtype.is_float() else 0 for one in series)
        return self.merge(state, CountsState(frame.height, nulls, nans))

    def merge(self, left: CountsState, right: CountsState) -> CountsState:
        """The sums."""
        return CountsState(
            left.rows + right.rows,
            tuple(map(sum, zip(left.nulls, right.nulls, strict=True))),
            tuple(map(sum, zip(left.nans, right.nans, strict=True))),
        )

    def result(self, state: CountsState) -> dict[str, Any]:
        """`{"rows", "nulls", "nans"}`."""
        return {
            "rows": state.rows,
            "nulls": dict(zip(self.columns, state.nulls, strict=True)),
            "nans": dict(zip(self.columns, state.nans, strict=True)),
        }

    def encode(self, state: CountsState) -> bytes:
        """The state as MessagePack."""
        return msgspec.msgpack.encode(state)

    def decode(self, data: bytes) -> CountsState:
        """The state that `encode` wrote."""
        return msgspec.msgpack.decode(data, type=CountsState)

    @staticmethod
    def example() -> tuple[Counts, dict[str, Any]]:
        """For the laws."""
        return Counts(("x", "word")), {"x": pl.Float64(), "word": pl.String()}
