"""How often each value of a column occurs: exact, and refused where that would not fit.

    rows ─▶ {value: count}      never more than `limit` values in a state

What a model depends on is counted here; what is only reported may be estimated (`top_values`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from ninetyfive.errors import DataError
from ninetyfive.reducers.arrays import present, series_of

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class KeyedCounts:
    """Exact counts `{value: count}` of a column's values, in ascending order of the values.

    Takes strings, booleans, numbers, times (µs) and dates (days). Null and NaN are left out; −0.0 counts as 0.0. No
    rows give `{}`. More than `limit` distinct values raise `DataError`. A state holds at most `limit` values.

    >>> reducer = KeyedCounts("carrier")
    >>> reducer.result(reducer.add(reducer.zero(), pl.DataFrame({"carrier": ["UA", "AA", None, "UA"]})))
    {'AA': 1, 'UA': 2}
    """

    column: str
    limit: int = 1_000_000

    def zero(self) -> dict[Value, int]:
        """No rows."""
        return {}

    def add(self, state: dict[Value, int], frame: pl.DataFrame) -> dict[Value, int]:
        """The state with the rows of `frame`."""
        series = series_of(frame, self.column, self)
        values, counts = value_counts(series)
        return self.merge(state, dict(zip(values.to_list(), counts.to_list(), strict=True)))

    def merge(self, left: dict[Value, int], right: dict[Value, int]) -> dict[Value, int]:
        """The sums; `DataError` beyond `limit` values."""
        merged = dict(left)
        for value, count in right.items():
            merged[value] = merged.get(value, 0) + count
        if len(merged) > self.limit:
            raise DataError(
                f"column {self.column!r}",
                expected=f"at most {self.limit:,} distinct values to count exactly",
                got=f"{len(merged):,}",
                do="group the values into fewer, leave the column out, or raise the limit",
            )
        return merged

    def result(self, state: dict[Value, int]) -> dict[Value, int]:
        """`{value: count}`, ascending by value."""
        return dict(sorted(state.items()))

    def encode(self, state: dict[Value, int]) -> bytes:
        """The state as MessagePack: pairs, ascending by value."""
        return msgspec.msgpack.encode(sorted(state.items()))

    def decode(self, data: bytes) -> dict[Value, int]:
        """The state that `encode` wrote."""
        return dict(msgspec.msgpack.decode(data, type=list[tuple[Value, int]]))

    @staticmethod
    def example() -> tuple[KeyedCounts, dict[str, Any]]:
        """For the laws."""
        return KeyedCounts("word"), {"word": pl.String()}


def value_counts(series: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The distinct values of a series and their counts (Int64), in no stated order; null and NaN left out, −0.0 is 0.0.

    Times come as their microseconds, dates as days, categories as strings.
    """
    if isinstance(series.dtype, pl.Datetime):
        series = series.dt.cast_time_unit("us").to_physical()
    elif series.dtype == pl.Date:
        series = series.to_physical().cast(pl.Int64)
    elif series.dtype.is_float():
        series = series.cast(pl.Float64).fill_nan(None) + 0.0
    elif isinstance(series.dtype, pl.Categorical | pl.Enum):
        series = series.cast(pl.String)
    counted = present(series.alias("value")).value_counts(name="count")
    return counted["value"], counted["count"].cast(pl.Int64)
