"""Rows, nulls and NaN."""

from __future__ import annotations

import math

import polars as pl
import pytest

from ninetyfive.errors import PlanError
from ninetyfive.reducers.counts import Counts


def test_what_is_missing_is_counted_by_kind() -> None:
    frame = pl.DataFrame({"x": [1.0, None, math.nan, math.nan], "word": ["a", None, None, ""]})
    reducer = Counts(("x", "word"))
    state = reducer.add(reducer.add(reducer.zero(), frame), frame)
    assert reducer.result(state) == {"rows": 8, "nulls": {"x": 2, "word": 4}, "nans": {"x": 4, "word": 0}}


def test_rows_alone_and_unknown_columns() -> None:
    rows = Counts()
    assert rows.result(rows.add(rows.zero(), pl.DataFrame({"x": [1, 2]})))["rows"] == 2
    with pytest.raises(PlanError, match="a column 'y'"):
        Counts(("y",)).add(Counts(("y",)).zero(), pl.DataFrame({"x": [1]}))
