"""Rows that gather: in memory or in files, none is lost."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ninetyfive.engines.partitioning import ROW, spread
from ninetyfive.engines.spilling import Buffers
from ninetyfive.errors import EngineError
from ninetyfive.testing.engine_plans import numbers, special_values


@pytest.mark.parametrize("memory", [0, 3_000, 1 << 30])
def test_all_rows_come_back(tmp_path: Path, memory: int) -> None:
    buffers = Buffers(tmp_path, memory)
    frames = [numbers(rows, seed) for seed, rows in enumerate((5, 90, 1, 33))]
    for chunk, frame in enumerate(frames):
        buffers.add((7, 0), spread(frame, ("k",), 4, 0, chunk))
        buffers.add((8, 1), spread(frame, ("x",), 2, 0, chunk))
    assert (buffers.spilled > 0) == (memory < 1 << 30)
    whole = pl.concat(frames)
    for meeting, partitions in (((7, 0), 4), ((8, 1), 2)):
        taken = [buffers.take(meeting, partition) for partition in range(partitions)]
        rows = pl.concat([rows for rows in taken if rows is not None]).sort(ROW).drop(ROW)
        assert rows.equals(whole)
        buffers.drop(meeting)
        assert buffers.take(meeting, 0) is None
    assert list(tmp_path.iterdir()) == []


def test_values_come_back_as_they_were(tmp_path: Path) -> None:
    frame = special_values()
    buffers = Buffers(tmp_path, 0)
    buffers.add((0, 0), spread(frame, ("id",), 1, 0, 0))
    back = buffers.take((0, 0), 0)
    assert back is not None
    assert back.schema == {**frame.schema, ROW: pl.UInt64}
    assert [repr(row) for row in back.drop(ROW).rows()] == [repr(row) for row in frame.rows()]


def test_a_folder_without_room_is_told(tmp_path: Path) -> None:
    buffers = Buffers(tmp_path / "missing", 0)
    with pytest.raises(EngineError, match="temporary folder"):
        buffers.add((0, 0), spread(numbers(3), ("k",), 1, 0, 0))
