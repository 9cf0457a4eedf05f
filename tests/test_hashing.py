"""Hashes: the same bytes everywhere (constants below), equal for equal values, different for different ones."""

from __future__ import annotations

import io
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.hashing import bytes_hash, content_hash, file_hash, mix, row_hash, series_hash, string_hash

AT = datetime(2026, 1, 2, 3, 4, 5)


def one(value: object, dtype: pl.DataType | type[pl.DataType] | None = None) -> int:
    return int(series_hash(pl.Series([value], dtype=dtype))[0])


def test_content_is_hashed_as_sorted_json() -> None:
    assert content_hash({"b": [1, 2.5, None], "a": "é"}) == content_hash({"a": "é", "b": (1, 2.5, None)})
    assert content_hash([1]) != content_hash(["1"])
    assert content_hash(None) == bytes_hash(b"null")


def test_a_file_hash_is_that_of_its_bytes_over_several_blocks() -> None:
    data = bytes(range(256)) * 5_000
    assert file_hash(io.BytesIO(data)) == bytes_hash(data)
    assert file_hash(io.BytesIO()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_bytes_are_those_of_the_published_functions() -> None:
    """SplitMix64 from 0, and XXH64 with seed 0: these constants hold for every version and machine."""
    assert [hex(word) for word in mix(np.array([0, 1], dtype=np.uint64)).tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x910a2dec89025cc1",
    ]
    assert hex(int(string_hash(["Nobody inspects the spammish repetition"])[0])) == "0xfbcea83c8a378bf1"
    assert hex(one("abc")) == "0x44bc2cf5ad770999"
    assert series_hash(pl.Series([1.5, -2.0])).tolist() == mix(np.array([1.5, -2.0]).view(np.uint64)).tolist()


def test_equal_numbers_hash_alike_whatever_their_type() -> None:
    assert len({one(1), one(1.0), one(True), one(1, pl.Int8), one(1, pl.UInt64), one(1, pl.Float32)}) == 1
    assert one(0.0) == one(-0.0) == one(0) == one(False)
    assert one(math.nan) == one(-math.nan) == int(series_hash(pl.Series([np.nan], dtype=pl.Float32))[0])
    assert one(2**53 + 1) != one(2**53)
    assert one(-(2**63)) != one(2**63 - 1)


def test_times_hash_by_their_moment_and_dates_by_their_day() -> None:
    assert one(AT, pl.Datetime("ms")) == one(AT, pl.Datetime("us")) == one(AT, pl.Datetime("ns"))
    assert one(AT) != one(AT + timedelta(microseconds=1))
    assert one(AT.replace(tzinfo=UTC)) == one(AT)
    assert one(timedelta(seconds=1)) == one(timedelta(seconds=1), pl.Duration("ms"))
    assert one(date(1970, 1, 2)) == one(1)
    assert one(AT.time()) != one(None, pl.Time)


def test_other_types_hash_by_their_text() -> None:
    assert one("a") == one("a", pl.Categorical) == one("a", pl.Enum(["a"])) == one(b"a")
    assert one(Decimal("1.50"), pl.Decimal(10, 2)) == one("1.50")
    assert one([1, 2]) == one([1, 2], pl.List(pl.Int8)) != one([2, 1])
    assert one({"x": 1}) != one({"x": 2})
    assert one([[1]]) != one([[2]])
    assert one(object(), pl.Object) != 0


def test_lists_hash_by_their_elements_in_order() -> None:
    assert one([0.0, math.nan]) == one([-0.0, -math.nan])
    assert one(["a"]) == one(["a"], pl.List(pl.Categorical))
    lists = [[], [None], [None, None], ["a"], ["a", None], [None, "a"], ["a", "b"], ["b", "a"], ["ab"], [""]]
    series = pl.Series([*lists, None], dtype=pl.List(pl.String))
    assert len(set(series_hash(series).tolist())) == len(lists) + 1
    assert series_hash(series[3:]).tolist() == series_hash(series)[3:].tolist()
    assert hex(one([1, 2])) == "0xa2e54c2ffbfb5d11"


def test_null_is_0_and_nothing_else_is() -> None:
    for dtype in (pl.Null, pl.Int64, pl.String, pl.Float64, pl.Datetime("us"), pl.List(pl.Int64), pl.Boolean, pl.Date):
        assert one(None, dtype) == 0, dtype
    assert 0 not in (one(0), one(""), one(0.0), one(False), one(math.nan))
    assert len(series_hash(pl.Series([], dtype=pl.String))) == 0


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.none()))
def test_strings_hash_one_by_one_as_the_scalar_definition(values: list[str | None]) -> None:
    expected = [0 if value is None else int(string_hash([value])[0]) for value in values]
    assert series_hash(pl.Series(values, dtype=pl.String)).tolist() == expected


def test_rows_hash_over_the_named_columns_in_their_order() -> None:
    frame = pl.DataFrame({"a": [1, 1, 2], "b": [2, 3, 1], "c": ["x", "y", "z"]})
    assert len(set(row_hash(frame, ["a", "b"]).tolist())) == 3
    assert row_hash(frame, ["a", "b"]).tolist() != row_hash(frame, ["b", "a"]).tolist()
    assert row_hash(frame, ["a"])[0] == row_hash(frame, ["a"])[1]
    assert row_hash(frame[1:], ["a", "c"]).tolist() == row_hash(frame, ["a", "c"])[1:].tolist()
    assert row_hash(frame, []).tolist() == [0, 0, 0]


@pytest.mark.parametrize("bits", [64, 52])
def test_the_hash_spreads_evenly(bits: int) -> None:
    """20 folds of consecutive ids differ by no more than chance (chi-squared with 19 degrees, 1 in 10,000)."""
    counts = np.bincount((series_hash(pl.Series(range(bits * 500))) % np.uint64(20)).astype(int), minlength=20)
    expected = bits * 500 / 20
    assert float(((counts - expected) ** 2 / expected).sum()) < 50.8
