"""The composite against Polars: every type, nulls and NaN, and the answers of its parts."""

from __future__ import annotations

import json
import math
from datetime import date, datetime

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.errors import PlanError
from ninetyfive.reducers.distinct import Distinct
from ninetyfive.reducers.moments import Moments
from ninetyfive.reducers.quantiles import Quantiles
from ninetyfive.reducers.statistics import ColumnStatistics, RowStatistics, Statistics
from ninetyfive.reducers.top_values import Frequent, TopValues


def statistics(frame: pl.DataFrame, columns: dict[str, str], chunk: int = 1000) -> RowStatistics:
    reducer = Statistics(tuple(columns.items()))
    state = reducer.zero()
    for piece in frame.iter_slices(chunk):
        state = reducer.merge(state, reducer.add(reducer.zero(), piece))
    return reducer.result(state)


def test_a_column_of_each_type() -> None:
    frame = pl.DataFrame(
        {
            "flag": [True, True, False, None],
            "whole": [5, 5, None, -2],
            "number": [0.5, math.nan, None, -0.0],
            "word": ["b", "a", "b", None],
            "at": [datetime(1970, 1, 1, 0, 0, 2), None, datetime(1970, 1, 1), datetime(1970, 1, 1)],
            "day": [date(1970, 1, 3), date(1970, 1, 2), None, None],
            "bytes": [b"x", None, b"y", b"z"],
            "list": [["a", None], None, [], []],
        }
    )
    kinds = ("boolean", "integer", "number", "string", "timestamp", "date", "opaque", "list[string]")
    found = statistics(frame, dict(zip(frame.columns, kinds, strict=True)))
    assert found.rows == 4
    assert found.columns["flag"] == ColumnStatistics(
        *("boolean", 1, 0, False, True, 2 / 3, pytest.approx(math.sqrt(2) / 3)),
        distinct=2,
        distinct_error=0.0,
        top=[Frequent(True, 2, 0), Frequent(False, 1, 0)],
        top_error=0,
    )
    assert found.columns["whole"] == ColumnStatistics(
        *("integer", 1, 0, -2, 5, 8 / 3, pytest.approx(math.sqrt(98) / 3), -2, 5, 5, 0.0, 2, 0.0),
        [Frequent(5, 2, 0), Frequent(-2, 1, 0)],
        0,
    )
    assert found.columns["number"] == ColumnStatistics(
        *("number", 1, 1, 0.0, 0.5, 0.25, 0.25, 0.0, 0.0, 0.5, 0.0, 2, 0.0),
        [Frequent(0.0, 1, 0), Frequent(0.5, 1, 0)],
        0,
    )
    assert found.columns["word"] == ColumnStatistics(
        *("string", 1, 0, "a", "b"),
        distinct=2,
        distinct_error=0.0,
        top=[Frequent("b", 2, 0), Frequent("a", 1, 0)],
        top_error=0,
    )
    assert found.columns["at"] == ColumnStatistics(
        *("timestamp", 1, 0, 0, 2_000_000, None, None, 0, 0, 2_000_000, 0.0, 2, 0.0),
        [Frequent(0, 2, 0), Frequent(2_000_000, 1, 0)],
        0,
    )
    assert (found.columns["day"].min, found.columns["day"].max, found.columns["day"].q50) == (1, 2, 1)
    assert found.columns["bytes"] == ColumnStatistics("opaque", 1)
    assert found.columns["list"] == ColumnStatistics(
        *("list[string]", 1, 0, 0, 2, 2 / 3, pytest.approx(math.sqrt(8) / 3), 0, 0, 2, 0.0, 2, 0.0),
        [Frequent(0, 2, 0), Frequent(2, 1, 0)],
        0,
    )


def test_no_rows_and_all_null() -> None:
    empty = pl.DataFrame(schema={"x": pl.Float64, "word": pl.String, "flag": pl.Boolean})
    kinds = {"x": "number", "word": "string", "flag": "boolean"}
    for frame, nulls in (empty, 0), (empty.clear(3), 3):
        for name, column in statistics(frame, kinds).columns.items():
            assert (column.type, column.nulls, column.distinct, column.top) == (kinds[name], nulls, 0, [])
            assert column.min is column.max is column.mean is column.std is column.q50 is None


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-5, 5)), max_size=80))
def test_the_parts_answer_as_the_reducers_do(values: list[int | None]) -> None:
    frame = pl.DataFrame({"x": values}, schema={"x": pl.Int64})
    found = statistics(frame, {"x": "integer"}, chunk=30).columns["x"]
    moments, top, distinct = Moments("x"), TopValues("x"), Distinct("x")
    expected = moments.result(moments.add(moments.zero(), frame))
    assert (found.min, found.max, found.nulls) == (expected["min"], expected["max"], expected["nulls"])
    assert found.mean == pytest.approx(expected["mean"])
    assert found.top == top.result(top.add(top.zero(), frame))["top"]
    assert found.distinct == distinct.result(distinct.add(distinct.zero(), frame))["distinct"]
    quantiles = Quantiles("x")
    assert [found.q25, found.q50, found.q75] == quantiles.result(quantiles.add(quantiles.zero(), frame)).quantiles(
        [0.25, 0.5, 0.75]
    )


def test_long_columns_keep_their_bounds() -> None:
    rng = np.random.default_rng(5)
    rows = 150_000
    frame = pl.DataFrame(
        {
            "many": rng.normal(size=rows),
            "skewed": rng.zipf(1.5, rows) % 100_000,
            "user": np.char.add("user-", rng.integers(0, 10**6, rows).astype("U7")),
        }
    )
    found = statistics(frame, {"many": "number", "skewed": "integer", "user": "string"}, chunk=40_000).columns
    for name, column in found.items():
        distinct = frame[name].n_unique()
        assert abs((column.distinct or 0) - distinct) <= 0.02 * distinct
        counts = dict(frame[name].value_counts().iter_rows())
        assert column.top is not None
        assert all(one.count <= counts[one.value] <= one.count + one.error for one in column.top)
        assert (column.min, column.max) == (frame[name].min(), frame[name].max())
    assert found["skewed"].top is not None
    assert found["skewed"].top[0] == Frequent(1, frame["skewed"].eq(1).sum(), 0)
    ordered, slack = frame["many"].sort(), (found["many"].rank_error or 1) * rows
    rank = ordered.search_sorted(found["many"].q50 or 0.0)
    assert abs(rank - rows / 2) <= slack + 1
    assert slack / rows < 0.001


def test_the_order_of_a_chunk_does_not_change_a_byte() -> None:
    rng = np.random.default_rng(6)
    numbers = rng.integers(0, 50_000, 20_000)
    frame = pl.DataFrame({"x": numbers * 0.1, "few": (numbers % 5000).astype("U4"), "many": numbers.astype("U5")})
    reducer = Statistics((("x", "number"), ("few", "string"), ("many", "string")))
    shuffled = frame[rng.permutation(frame.height)]
    once, twice = (reducer.encode(reducer.add(reducer.zero(), rows)) for rows in (frame, shuffled))
    assert once == twice


def test_the_answer_is_plain_data_and_the_state_is_small() -> None:
    frame = pl.DataFrame({"x": np.random.default_rng(1).normal(size=100_000)})
    reducer = Statistics((("x", "number"),))
    state = reducer.add(reducer.zero(), frame)
    assert len(reducer.encode(state)) < 450_000
    read = json.loads(msgspec.json.encode(reducer.result(state)))
    assert msgspec.convert(read, RowStatistics) == reducer.result(state)


def test_categories_are_strings_and_unknown_types_are_errors() -> None:
    frame = pl.DataFrame({"x": pl.Series(["b", "a", "b"], dtype=pl.Categorical)})
    assert statistics(frame, {"x": "string"}).columns["x"].min == "a"
    with pytest.raises(PlanError, match="did you mean 'integer'"):
        statistics(frame, {"x": "integr"})
    with pytest.raises(PlanError, match="a column 'y'"):
        statistics(frame, {"y": "string"})
