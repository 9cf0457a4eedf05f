"""The sample: the same rows in any order, as row scalars."""

from datetime import date, datetime

import polars as pl

from ninetyfive.hashing import row_hash
from ninetyfive.reducers.sample import Sample


def test_it_keeps_the_smallest_hashes_whatever_the_order():
    frame = pl.DataFrame({"id": range(1000), "x": [float(n) for n in range(1000)]})
    sample = Sample(32, ("id",), ("id", "x"))
    smallest = frame.with_columns(h=pl.Series(row_hash(frame, ["id"]))).sort("h").head(32)
    expected = smallest.select("id", "x").to_dicts()
    assert sample.result(sample.add(sample.zero(), frame)) == expected
    assert sample.result(sample.add(sample.zero(), frame.reverse())) == expected


def test_times_come_back_as_row_scalars_and_nulls_as_none():
    frame = pl.DataFrame({"id": [1], "t": [datetime(1970, 1, 2)], "d": [date(1970, 1, 3)], "n": [None]})
    sample = Sample(5, ("id",), ("t", "d", "n"))
    assert sample.result(sample.add(sample.zero(), frame)) == [{"t": 86_400_000_000, "d": 2, "n": None}]


def test_no_rows_give_no_sample():
    sample = Sample(5, ("id",), ("id",))
    assert sample.result(sample.add(sample.zero(), pl.DataFrame({"id": []}, schema={"id": pl.Int64}))) == []
