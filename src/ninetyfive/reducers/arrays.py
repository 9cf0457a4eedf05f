"""Columns as numpy arrays: what is missing is left out and counted, zero has one sign.

    series ─ numbers ─▶ int64 or float64, contiguous, no null, no NaN, −0.0 as 0.0

Times become microseconds, dates days, booleans 0 and 1. Sums run over fixed blocks, so that the same values in the same
order give the same bits. What does not belong here: any summary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ninetyfive.errors import PlanError, near_names
from ninetyfive.hashing import mix

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK = 16_384  # rows worked on at a time, so that what is in between stays in the processor's cache
_EXACT = 2**53  # whole numbers up to here are exact as float64


class Numbers(NamedTuple):
    """The values of a numeric column that are there, and how many are not."""

    values: Array
    nulls: int
    nans: int


def series_of(frame: pl.DataFrame, column: str, reducer: object) -> pl.Series:
    """The column of a frame; `PlanError` where there is none."""
    if column not in frame.columns:
        raise PlanError(
            repr(reducer),
            expected=f"a column {column!r}",
            got="a frame without it",
            do=f"name a column that the plan has here: {near_names(column, frame.columns)}",
        )
    return frame[column]


def numbers(series: pl.Series, reducer: object) -> Numbers:
    """The numbers of a series: float64 for floats, else int64 (times in µs, dates in days, booleans as 0 and 1).

    Nulls and NaN are left out and counted. A dtype without numbers raises `PlanError`.
    """
    dtype, nulls = series.dtype, series.null_count()
    if isinstance(dtype, pl.Datetime) and dtype.time_unit != "us":
        series = series.dt.cast_time_unit("us")
    elif not (dtype.is_float() or dtype.is_integer() or dtype in (pl.Boolean, pl.Date, pl.Datetime, pl.Null)):
        raise PlanError(
            repr(reducer),
            expected=f"numbers, booleans or times in column {series.name!r}",
            got=str(dtype),
            do="cast the column, or choose a reducer that takes any value",
        )
    series = present(series)
    if dtype not in (pl.Float64, pl.Int64):
        series = series.cast(pl.Float64 if dtype.is_float() else pl.Int64)
    values = np.ascontiguousarray(series.to_numpy())
    if values.dtype != np.float64:
        return Numbers(values, nulls, 0)
    missing = np.isnan(values)
    nans = int(np.count_nonzero(missing))
    if nans:
        values = values[~missing]
        values += 0.0  # turns −0.0 into 0.0
    else:
        values = values + 0.0
    return Numbers(values, nulls, nans)


def sorted_numbers(series: pl.Series, reducer: object) -> Numbers:
    """`numbers` in ascending order."""
    found = numbers(series, reducer)
    if found.values.dtype == np.float64:  # these are our own copy
        found.values.sort()
        return found
    return found._replace(values=np.sort(found.values))


def present(series: pl.Series) -> pl.Series:
    """The series without its nulls."""
    return series.drop_nulls() if series.null_count() else series


def total(values: Array) -> float:
    """The sum as float64, by blocks."""
    return sum(float(values[start : start + BLOCK].sum(dtype=np.float64)) for start in range(0, len(values), BLOCK))


def squares_about(values: Array, centre: float) -> float:
    """The sum of squared distances from `centre`, by blocks."""
    result = 0.0
    for start in range(0, len(values), BLOCK):
        distance = np.subtract(values[start : start + BLOCK], centre, dtype=np.float64)
        result += float(np.multiply(distance, distance, out=distance).sum())
    return result


def number_hashes(values: Array) -> Iterator[Array]:
    """64-bit hashes of what `numbers` gives, in blocks, as `hashing.series_hash` has them: 1 and 1.0 agree."""
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        bits = block.astype(np.float64).view(np.uint64)
        if block.dtype == np.int64:
            exact = (block >= -_EXACT) & (block <= _EXACT)
            if not exact.all():
                bits = np.where(exact, bits, block.view(np.uint64))
        yield mix(bits)


def runs(ordered: Array) -> tuple[Array, Array]:
    """Where each run of equal values of a sorted array begins, and how long it is (int64)."""
    first = np.empty(len(ordered), dtype=np.bool_)
    first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    if len(starts) == len(ordered):
        return starts, np.broadcast_to(np.int64(1), ordered.shape)
    counts = np.empty(len(starts), dtype=np.int64)
    np.subtract(starts[1:], starts[:-1], out=counts[:-1])
    counts[-1:] = len(ordered) - starts[-1:]
    return starts, counts
