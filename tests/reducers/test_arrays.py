"""Columns as arrays: what is left out, what is one value."""

from __future__ import annotations

import math
from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from ninetyfive.errors import PlanError
from ninetyfive.hashing import series_hash
from ninetyfive.reducers.arrays import number_hashes, numbers, runs, series_of, squares_about, total


def test_nulls_and_nan_are_left_out_and_counted() -> None:
    found = numbers(pl.Series([1.5, None, math.nan, -0.0, math.inf]), None)
    assert (found.values.tolist(), found.nulls, found.nans) == ([1.5, 0.0, math.inf], 1, 1)
    assert not np.signbit(found.values[1])


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (pl.Series([3, None], dtype=pl.Int8), [3]),
        (pl.Series([True, False, None]), [1, 0]),
        (pl.Series([date(1970, 1, 3)]), [2]),
        (pl.Series([datetime(1970, 1, 1, 0, 0, 1)]).cast(pl.Datetime("ms")), [1_000_000]),
        (pl.Series([datetime(1970, 1, 1, 0, 0, 1)]).cast(pl.Datetime("us", "UTC")), [1_000_000]),
        (pl.Series([None, None]), []),
        (pl.Series([0.5], dtype=pl.Float32), [0.5]),
    ],
)
def test_what_has_numbers(series: pl.Series, expected: list[float]) -> None:
    found = numbers(series, None).values
    assert found.tolist() == expected
    assert found.dtype == (np.float64 if series.dtype.is_float() else np.int64)
    assert found.flags.c_contiguous


def test_what_has_none_and_what_is_not_there() -> None:
    with pytest.raises(PlanError, match="got String"):
        numbers(pl.Series("x", ["a"]), "Moments('x')")
    with pytest.raises(PlanError, match="did you mean 'distance'"):
        series_of(pl.DataFrame({"distance": [1]}), "distanc", "Moments")


def test_sums_over_blocks() -> None:
    values = np.random.default_rng(1).normal(size=40_000)
    assert total(values) == pytest.approx(math.fsum(values), abs=1e-9)
    assert squares_about(values, 0.5) == pytest.approx(math.fsum((values - 0.5) ** 2))


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Float64])
def test_numbers_hash_as_series_do(dtype: pl.DataType) -> None:
    values = [0, -1, 7, 2**53, -(2**53), 2**53 + 1, 2**62, -(2**63), 2**63 - 1]
    series = pl.Series(values, dtype=dtype)
    assert np.concatenate(list(number_hashes(series.to_numpy()))).tolist() == series_hash(series).tolist()


@pytest.mark.parametrize("values", [[], [1], [1, 1], [1, 2, 3], [1, 1, 2, 3, 3, 3]])
def test_runs(values: list[int]) -> None:
    ordered = np.array(values, dtype=np.int64)
    starts, counts = runs(ordered)
    truth, expected = np.unique(ordered, return_counts=True)
    assert (ordered[starts].tolist(), counts.tolist()) == (truth.tolist(), expected.tolist())
