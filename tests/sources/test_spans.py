"""Files that we wrote are read back as they were, or not at all."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ninetyfive.engines.local import LocalEngine
from ninetyfive.errors import IntegrityError, PlanError
from ninetyfive.plan import CHECKED_BLOCK, Part, Read, Write, WrittenFile
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.testing.engine_plans import numbers, read_of, special_values


def written(folder: Path, *frames: pl.DataFrame, chunk: int = 3) -> WrittenFile:
    """One file of the first frame, written by the engine in chunks of a few rows."""
    (file,) = LocalEngine().run({"files": Write(read_of(*frames, chunk=chunk), str(folder))})["files"]
    assert isinstance(file, WrittenFile)
    return file


def test_row_groups_are_chunks(tmp_path: Path) -> None:
    frame = numbers(10)
    part = part_of(written(tmp_path / "out", frame))
    reader = SpanReader()
    assert reader.count(part) == 4
    assert pl.concat(reader.read(part)).equals(frame)
    assert [chunk.height for chunk in reader.read(part, 1, 3)] == [3, 3]
    assert next(reader.read(part, 3, 4)).equals(frame[9:])
    assert list(reader.read(part, 4)) == []


def test_columns_are_given_as_asked(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1], "a.b": [2], "c": [{"a": 3}], "d": [[4]]})
    part = part_of(written(tmp_path / "out", frame))
    for columns in (("d", "a"), ("a.b",), ("c",)):
        assert next(SpanReader().read(part, columns=columns)).equals(frame.select(columns))
    assert next(SpanReader().read(part, columns=("nothing", "d"))).columns == ["d"]
    assert next(SpanReader().read(part, columns=())).height == 1


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    """Data, page headers and footer alike: the whole small file is one block."""
    frame = special_values().drop("string")
    part = part_of(written(tmp_path / "out", frame))
    path = Path(part.url)
    good = path.read_bytes()
    chance = random.Random(95)
    for at in [*range(0, len(good), 23), *range(len(good) - 12, len(good))]:
        bad = bytearray(good)
        bad[at] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        with pytest.raises(IntegrityError, match="delete it and run again"):
            list(SpanReader().read(part))
    path.write_bytes(good)
    assert pl.concat(SpanReader().read(part)).schema == frame.schema


def test_damage_in_a_large_file_is_found_or_not_read(tmp_path: Path) -> None:
    rows = 40
    frame = pl.DataFrame({"noise": [os.urandom(CHECKED_BLOCK // 8) for _ in range(rows)], "k": range(rows)})
    part = part_of(written(tmp_path / "out", frame, chunk=10))
    path = Path(part.url)
    good = path.read_bytes()
    assert len(good) > 4 * CHECKED_BLOCK
    chance = random.Random(95)
    found = 0
    for _ in range(40):
        at = chance.randrange(len(good))
        bad = bytearray(good)
        bad[at] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        with pytest.raises(IntegrityError, match=f"bytes {at // CHECKED_BLOCK * CHECKED_BLOCK} to "):
            list(SpanReader().read(part))
        chunk = chance.randrange(4)
        try:
            rows_read = next(SpanReader().read(part, chunk, chunk + 1, ("k",)))
        except IntegrityError:
            found += 1
        else:
            assert rows_read["k"].equals(frame["k"][chunk * 10 : chunk * 10 + 10])
    assert 0 < found < 40


@pytest.mark.parametrize("cut", [0, 1, 4, 8, CHECKED_BLOCK, CHECKED_BLOCK + 1, -1, -8])
def test_truncated_files_are_found(tmp_path: Path, cut: int) -> None:
    frame = pl.DataFrame({"noise": [os.urandom(CHECKED_BLOCK // 2) for _ in range(6)]})
    part = part_of(written(tmp_path / "out", frame))
    path = Path(part.url)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(IntegrityError, match=str(path)):
        list(SpanReader().read(part))


def test_longer_other_and_missing_files_are_found(tmp_path: Path) -> None:
    file = written(tmp_path / "out", numbers(10))
    other = written(tmp_path / "other", numbers(10, 1))
    part = part_of(file)
    path = Path(file.url)
    good = path.read_bytes()
    for bad in (good + b"x", Path(other.url).read_bytes(), b"PAR1 is not Parquet", good[:-1] + b"\0"):
        path.write_bytes(bad)
        with pytest.raises(IntegrityError, match=str(path)):
            list(SpanReader().read(part))
    path.unlink()
    with pytest.raises(IntegrityError, match="no file"):
        list(SpanReader().read(part))


def test_rows_that_were_not_written_are_found(tmp_path: Path) -> None:
    part = part_of(written(tmp_path / "out", numbers(10)))
    with pytest.raises(IntegrityError, match="row groups of"):
        list(SpanReader().read(replace(part, rows=(3, 3, 4))))


def test_parts_are_made_of_written_files(tmp_path: Path) -> None:
    file = written(tmp_path / "out", numbers(10))
    moved = tmp_path / "moved.parquet"
    Path(file.url).rename(moved)
    part = part_of(file, str(moved), without=(1, 2))
    rows = LocalEngine().run({"rows": Read((part,), SpanReader())})["rows"]
    assert rows["k"].to_list() == [0, *range(3, 10)]
    with pytest.raises(PlanError, match="part_of"):
        SpanReader().count(Part("abc", str(moved)))


def test_other_file_systems_are_read(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}/spans"
    (file,) = LocalEngine().run({"files": Write(read_of(numbers(10)), url)})["files"]
    assert pl.concat(SpanReader().read(part_of(file))).equals(numbers(10))
    with pytest.raises(IntegrityError, match="no file"):
        list(SpanReader().read(part_of(file, url + "/nothing.parquet")))
