"""Who meets whom, and in which order."""

from __future__ import annotations

import math
from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.engines.partitioning import ROW, in_order, piece_number, split_by, spread
from ninetyfive.errors import PlanError

VALUES = st.sampled_from([None, math.nan, -math.nan, 0.0, -0.0, 1.0, -1.0, math.inf])


@given(values=st.lists(VALUES, min_size=1, max_size=30), cut=st.integers(0, 30), partitions=st.integers(1, 5))
def test_rows_with_equal_keys_share_a_partition_wherever_they_are(
    values: list[float | None], cut: int, partitions: int
) -> None:
    frame = pl.DataFrame({"k": values, "n": range(len(values))}, schema={"k": pl.Float64, "n": pl.Int64})
    places: dict[str, set[int]] = {}
    total = 0
    for chunk, part in enumerate((frame[:cut], frame[cut:])):
        if not part.height:
            continue
        rows, borders = spread(part, ("k",), partitions, rank=3, chunk=chunk)
        assert len(borders) == partitions + 1
        assert borders[-1] == part.height
        for partition in range(partitions):
            for value in rows["k"][borders[partition] : borders[partition + 1]]:
                if value is not None:
                    places.setdefault(str(abs(value) if value == 0 or math.isnan(value) else value), set()).add(
                        partition
                    )
        total += rows.height
        mine = rows.sort(ROW)
        assert mine["n"].to_list() == part["n"].to_list()
        assert set((mine[ROW].to_numpy() >> np.uint64(46)).tolist()) == {3}
    assert total == len(values)
    assert all(len(found) == 1 for found in places.values())


def test_the_spread_is_stable() -> None:
    """These numbers may never change: files of a shuffle have their rows in this order."""
    frame = pl.DataFrame({"k": [1, 2, 3, None, 5, None], "s": ["a", "b", None, "d", "é", None]})
    rows, borders = spread(frame, ("k", "s"), 4, rank=1, chunk=2)
    first = (1 << 46) + (2 << 24)
    assert (rows[ROW].to_numpy().astype(np.int64) - first).tolist() == [4, 3, 0, 1, 5, 2]
    assert borders == (0, 1, 2, 5, 6)


def test_a_partition_is_sorted_by_keys_order_and_row() -> None:
    frame = pl.DataFrame(
        {"k": [None, math.nan, 0.0, -0.0, 0.0, -1.0], "t": [1, 1, 2, None, 1, 5], ROW: [0, 1, 2, 3, 4, 5]},
        schema_overrides={ROW: pl.UInt64},
    )
    done = in_order(frame[::-1], ("k",), ("t",))
    assert done.columns == ["k", "t"]
    assert done["t"].to_list() == [5, 1, 2, None, 1, 1]


def test_keys_are_split_in_the_order_they_occur() -> None:
    frame = pl.DataFrame(
        {
            "f": [-0.0, math.nan, None, 0.0, math.nan],
            "d": [date(1970, 1, 3)] * 5,
            "t": [datetime(1970, 1, 1, 0, 0, 0, 5)] * 5,
            "n": range(5),
        }
    ).with_columns(pl.col("t").cast(pl.Datetime("ns")))
    parts = [(key, rows["n"].to_list()) for key, rows in split_by(frame, ("f", "d", "t"))]
    assert parts == [((0.0, 2, 5), [0, 3]), ((math.nan, 2, 5), [1, 4]), ((None, 2, 5), [2])]
    assert str(parts[0][0][0]) == "0.0"


def test_a_partition_may_not_have_too_many_chunks() -> None:
    assert piece_number(3, 1023) == 4095
    with pytest.raises(PlanError, match="1024 chunks"):
        piece_number(3, 1024)
