"""What ingest knows of every column, in one pass over the rows.

    numbers ─ one sort ─┬─▶ moments, quartiles      strings ─ one group-by ─┐
                        └─▶ runs of equal values ─▶ distinct, top values ◀──┘

Made of the other reducers' states, so its answers and bounds are theirs. What does not belong here: what follows from
the statistics (a schema, a check, drift).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive.errors import PlanError, near_names
from ninetyfive.reducers.arrays import number_hashes, numbers, present, runs, series_of, sorted_numbers
from ninetyfive.reducers.distinct import DistinctState, distinct_error, distinct_of, estimate, merge_distinct
from ninetyfive.reducers.keyed_counts import value_counts
from ninetyfive.reducers.moments import MomentsState, merge_moments, moments_of, near
from ninetyfive.reducers.quantiles import SketchState, merge_sketches, rank_error, sketch_of, values_at, within
from ninetyfive.reducers.text import distinct_texts
from ninetyfive.reducers.top_values import Frequent, TopState, keeps_bounds, merge_top, most_frequent, top_of
from ninetyfive.values import ELEMENTS

_QUARTILES = (0.25, 0.5, 0.75)


class ColumnState(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one column; which parts are used follows from its type."""

    nulls: int = 0
    nans: int = 0
    low: bool | int | float | str | None = None
    high: bool | int | float | str | None = None
    moments: MomentsState = MomentsState()
    sketch: SketchState = SketchState()
    distinct: DistinctState = DistinctState()
    top: TopState = TopState()


class StatisticsState(msgspec.Struct, frozen=True, array_like=True):
    """Rows, and a state for each column in order."""

    rows: int
    columns: tuple[ColumnState, ...]


class ColumnStatistics(msgspec.Struct, frozen=True):
    """What is known of one column; None where its type has no such thing, or where it has no values.

    `min`, `max` and quartiles are values of the column (times in µs, dates in days); `mean` and `std` (population)
    are of numbers and booleans. A list stands for its length: all but `nulls` are of lengths. A quartile's true rank is
    within `rank_error` (fraction of the values) of it; `distinct` is within `distinct_error` (relative, three standard
    deviations; 0 where exact); a value not in `top` occurs at most `top_error` times more than the last value that is,
    or `top_error` times where `top` holds fewer than 20.
    """

    type: str
    nulls: int
    nans: int = 0
    min: bool | int | float | str | None = None
    max: bool | int | float | str | None = None
    mean: float | None = None
    std: float | None = None
    q25: int | float | None = None
    q50: int | float | None = None
    q75: int | float | None = None
    rank_error: float | None = None
    distinct: int | None = None
    distinct_error: float | None = None
    top: list[Frequent] | None = None
    top_error: int | None = None


class RowStatistics(msgspec.Struct, frozen=True):
    """Rows, and what is known of each column."""

    rows: int
    columns: dict[str, ColumnStatistics]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Rows, and per column nulls, NaN, min, max, mean, std, quartiles, distinct and top values: `RowStatistics`.

    `columns` are (name, logical type): boolean, integer, number, string, timestamp, timestamp[UTC], date, a list (told
    by its length) or opaque (rows and nulls only). Null and NaN are counted and else left out; −0.0 is 0.0. No rows
    give None for what needs values. `size` is the buffer of the quantile sketch, `hashes` the number of distinct values
    counted exactly, `kept` that of values with exact counts; `top` how many of them are shown. A column that is not
    there or is of no such type raises `PlanError`.

    >>> reducer = Statistics((("x", "integer"),))
    >>> column = reducer.result(reducer.add(reducer.zero(), pl.DataFrame({"x": [3, 1, 3, None]}))).columns["x"]
    >>> column.nulls, column.min, column.max, column.q50, column.distinct, column.top[0].value
    (1, 1, 3, 3, 2, 3)
    """

    columns: tuple[tuple[str, str], ...]
    size: int = 4096
    hashes: int = 32_768
    kept: int = 4096
    top: int = 20

    def zero(self) -> StatisticsState:
        """No rows."""
        return StatisticsState(0, (ColumnState(),) * len(self.columns))

    def add(self, state: StatisticsState, frame: pl.DataFrame) -> StatisticsState:
        """The state with the rows of `frame`."""
        columns = tuple(self._column(series_of(frame, name, self), kind) for name, kind in self.columns)
        return self.merge(state, StatisticsState(frame.height, columns))

    def merge(self, left: StatisticsState, right: StatisticsState) -> StatisticsState:
        """The state of both."""
        columns = tuple(map(self._merged, left.columns, right.columns))
        return StatisticsState(left.rows + right.rows, columns)

    def result(self, state: StatisticsState) -> RowStatistics:
        """Everything known, as plain data."""
        pairs = zip(self.columns, state.columns, strict=True)
        return RowStatistics(state.rows, {name: self._answer(kind, column) for (name, kind), column in pairs})

    def agrees(self, left: RowStatistics, right: RowStatistics, rows: pl.DataFrame) -> bool:
        """Each column's answers agree as those of the reducers that they are made of."""
        return left.rows == right.rows and all(
            self._agree(left.columns[name], right.columns[name], rows[name]) for name, _ in self.columns
        )

    def encode(self, state: StatisticsState) -> bytes:
        """The state as MessagePack."""
        return msgspec.msgpack.encode(state)

    def decode(self, data: bytes) -> StatisticsState:
        """The state that `encode` wrote."""
        return msgspec.msgpack.decode(data, type=StatisticsState)

    @staticmethod
    def example() -> tuple[Statistics, dict[str, Any]]:
        """For the laws."""
        dtypes: dict[str, Any] = {
            "boolean": pl.Boolean(),
            "integer": pl.Int64(),
            "number": pl.Float64(),
            "string": pl.String(),
            "timestamp": pl.Datetime("us"),
            "timestamp[UTC]": pl.Datetime("us", "UTC"),
            "date": pl.Date(),
            "opaque": pl.Time(),
        }
        dtypes |= {
            "list[string]": pl.Series([None, [], ["a"], ["a", None, "b"]]),
            "list[number]": pl.Series([None, [], [math.nan, 0.5], [None] * 5], dtype=pl.List(pl.Float64)),
        }
        return Statistics(tuple((kind, kind) for kind in dtypes), size=4, hashes=8, kept=4, top=3), dtypes

    def _column(self, series: pl.Series, kind: str) -> ColumnState:
        if kind not in _KERNELS:
            raise PlanError(
                f"column {series.name!r}",
                expected="a logical type",
                got=repr(kind),
                do=f"write one of the types: {near_names(kind, _KERNELS)}",
            )
        return _KERNELS[kind](self, series)

    def _merged(self, left: ColumnState, right: ColumnState) -> ColumnState:
        lows = [state.low for state in (left, right) if state.low is not None]
        highs = [state.high for state in (left, right) if state.high is not None]
        return ColumnState(
            left.nulls + right.nulls,
            left.nans + right.nans,
            min(lows, default=None),
            max(highs, default=None),
            merge_moments(left.moments, right.moments),
            merge_sketches(left.sketch, right.sketch, self.size),
            merge_distinct(left.distinct, right.distinct, self.hashes),
            merge_top(left.top, right.top, self.kept),
        )

    def _answer(self, kind: str, state: ColumnState) -> ColumnStatistics:
        if kind == "opaque":
            return ColumnStatistics(kind, state.nulls)
        moments, sketch = state.moments, state.sketch
        q25, q50, q75 = values_at(sketch, _QUARTILES)
        return ColumnStatistics(
            type=kind,
            nulls=state.nulls,
            nans=state.nans,
            min=state.low,
            max=state.high,
            mean=moments.mean if moments.count else None,
            std=math.sqrt(moments.squares / moments.count) if moments.count else None,
            q25=q25,
            q50=q50,
            q75=q75,
            rank_error=rank_error(sketch) if sketch.count else None,
            distinct=estimate(state.distinct),
            distinct_error=distinct_error(state.distinct),
            top=most_frequent(state.top, self.top),
            top_error=state.top.error,
        )

    def _agree(self, left: ColumnStatistics, right: ColumnStatistics, series: pl.Series) -> bool:
        if left.type in ELEMENTS:
            series = _lengths(series)
        exact = ("type", "nulls", "nans", "min", "max", "distinct", "distinct_error")
        if any(getattr(left, name) != getattr(right, name) for name in exact):
            return False
        if left.mean is not None and left.std is not None:
            scale = 1e-5 * max(abs(numbers(series, self).values), default=0.0)
            if not (near(left.mean, right.mean or 0.0, scale) and near(left.std, right.std or 0.0, scale)):
                return False
        if left.rank_error is not None:
            ordered = np.sort(numbers(series, self).values)
            for column in (left, right):
                slack = (column.rank_error or 0.0) * len(ordered)
                if not all(map(within, (column.q25, column.q50, column.q75), _QUARTILES, (ordered,) * 3, (slack,) * 3)):
                    return False
        if left.top is None or left.top_error == right.top_error == 0:
            return left.top == right.top
        values, counts = value_counts(series)
        truth = dict(zip(values.to_list(), counts.to_list(), strict=True))
        return all(keeps_bounds({"top": one.top, "error": one.top_error}, truth, self.top) for one in (left, right))


def _number(reducer: Statistics, series: pl.Series) -> ColumnState:
    return _sorted(reducer, series, moments=True)


def _time(reducer: Statistics, series: pl.Series) -> ColumnState:
    return _sorted(reducer, series, moments=False)


def _sorted(reducer: Statistics, series: pl.Series, *, moments: bool) -> ColumnState:
    values, nulls, nans = sorted_numbers(series, reducer)
    if not len(values):
        return ColumnState(nulls, nans)
    starts, counts = runs(values)
    found = values[starts] if len(starts) < len(values) else values
    return ColumnState(
        nulls,
        nans,
        values[0].item(),
        values[-1].item(),
        moments_of(values) if moments else MomentsState(),
        sketch_of(values, reducer.size),
        distinct_of(lambda: number_hashes(found), len(found), reducer.hashes),
        top_of(counts, reducer.kept, lambda at: found[at]),
    )


def _boolean(reducer: Statistics, series: pl.Series) -> ColumnState:
    nulls = series.null_count()
    true = int(series.sum() or 0)
    rows = len(series) - nulls
    if not rows:
        return ColumnState(nulls)
    counts = np.array([rows - true, true])
    found = np.flatnonzero(counts)
    return ColumnState(
        nulls,
        0,
        bool(found[0]),
        bool(found[-1]),
        MomentsState(rows, true / rows, true * (rows - true) / rows, int(found[0]), int(found[-1])),
        SketchState(),
        distinct_of(lambda: number_hashes(found), len(found), reducer.hashes),
        top_of(counts[found], reducer.kept, lambda at: found[at].astype(np.bool_)),
    )


def _string(reducer: Statistics, series: pl.Series) -> ColumnState:
    nulls = series.null_count()
    if series.dtype != pl.String:
        series = series.cast(pl.String)
    found = distinct_texts(present(series))
    if not len(found.rows):
        return ColumnState(nulls)
    return ColumnState(
        nulls,
        0,
        found.series.min(),  # type: ignore[arg-type]  # strings
        found.series.max(),  # type: ignore[arg-type]
        distinct=distinct_of(lambda: [found.hashes], len(found.hashes), reducer.hashes),
        top=top_of(found.counts, reducer.kept, lambda at: found.series[found.rows[at]]),
    )


def _lengths(series: pl.Series) -> pl.Series:
    return series.list.len().cast(pl.Int64)


def _list(reducer: Statistics, series: pl.Series) -> ColumnState:
    return _sorted(reducer, _lengths(series), moments=True)


def _opaque(reducer: Statistics, series: pl.Series) -> ColumnState:  # noqa: ARG001
    return ColumnState(series.null_count())


_KERNELS: dict[str, Callable[[Statistics, pl.Series], ColumnState]] = {
    "boolean": _boolean,
    "integer": _number,
    "number": _number,
    "string": _string,
    "timestamp": _time,
    "timestamp[UTC]": _time,
    "date": _time,
    "opaque": _opaque,
    **dict.fromkeys(ELEMENTS, _list),
}
