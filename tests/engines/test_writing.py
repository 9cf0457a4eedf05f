"""Files of spans: the same bytes for the same rows, hashes that are true, nothing left of half a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import fsspec
import polars as pl
import pyarrow.parquet as pq
import pytest
import xxhash

from ninetyfive.engines.writing import Folder, SpanWriter, check_writable
from ninetyfive.errors import PlanError, StoreError
from ninetyfive.hashing import bytes_hash
from ninetyfive.plan import CHECKED_BLOCK, CHUNK_ROWS, WrittenFile
from ninetyfive.testing.engine_plans import numbers, special_values


def written(url: str, *frames: pl.DataFrame, span: str = "abc") -> WrittenFile:
    writer = SpanWriter(Folder(url), span)
    for frame in frames:
        writer.add(frame)
    return writer.close(frames[0].clear())


def test_the_file_is_what_is_said_of_it(tmp_path: Path) -> None:
    noise = pl.DataFrame({"bytes": [os.urandom(CHECKED_BLOCK // 2) for _ in range(5)]})
    file = written(str(tmp_path), noise, noise[:2])
    data = Path(file.url).read_bytes()
    assert file.url == str(tmp_path / "abc.parquet")
    assert file.sha256 == bytes_hash(data)
    assert file.rows == (5, 2)
    blocks = [data[at : at + CHECKED_BLOCK] for at in range(0, len(data), CHECKED_BLOCK)]
    assert len(blocks) > 3
    assert file.checks == "".join(xxhash.xxh3_64_hexdigest(block) for block in blocks)


def test_equal_rows_are_equal_bytes_however_they_lie_in_memory(tmp_path: Path) -> None:
    frame = pl.concat([numbers(50), numbers(50, 3)], rechunk=False)
    views = [frame, frame.rechunk(), pl.concat([frame[:7], frame[7:]], rechunk=False), frame[::-1][::-1]]
    hashes = {written(str(tmp_path / str(number)), view).sha256 for number, view in enumerate(views)}
    assert len(hashes) == 1


def test_pages_have_checksums_and_no_statistics(tmp_path: Path) -> None:
    file = written(str(tmp_path), special_values())
    metadata = pq.ParquetFile(file.url, page_checksum_verification=True).metadata
    column = metadata.row_group(0).column(0)
    assert column.compression == "ZSTD"
    assert column.statistics is None
    assert pq.ParquetFile(file.url, page_checksum_verification=True).read().num_rows == 4


def test_a_chunk_that_grew_is_several_row_groups(tmp_path: Path) -> None:
    file = written(str(tmp_path), pl.DataFrame({"k": pl.int_range(CHUNK_ROWS + 1, eager=True)}))
    assert file.rows == (CHUNK_ROWS, 1)


def test_chunks_of_one_file_have_the_same_columns(tmp_path: Path) -> None:
    writer = SpanWriter(Folder(str(tmp_path)), "abc")
    writer.add(numbers(3))
    with pytest.raises(PlanError, match="its first chunk"):
        writer.add(numbers(3).rename({"x": "y"}))
    writer.abort()


@pytest.mark.parametrize(
    "dtype",
    [pl.Array(pl.Int64, 2), pl.Categorical(), pl.Object(), pl.Int128(), pl.Struct([]), pl.List(pl.Array(pl.Int8, 1))],
)
def test_types_that_do_not_come_back_are_refused(dtype: pl.DataType) -> None:
    with pytest.raises(PlanError, match="column 'odd'"):
        check_writable("Write of x", pl.Schema({"fine": pl.Int64(), "odd": dtype}))


def test_undo_leaves_what_was_there(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    folder = Folder(str(tmp_path))
    writer = SpanWriter(folder, "half")
    writer.add(numbers(3))
    writer.abort()
    writer.abort()
    folder.undo()
    assert list(tmp_path.iterdir()) == [mine]
    fresh = Folder(str(tmp_path / "new"))
    SpanWriter(fresh, "whole").close(numbers(0))
    fresh.undo()
    assert list(tmp_path.iterdir()) == [mine]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    class Full(Folder):
        def create(self, _: str) -> BinaryIO:
            return open("/dev/full", "wb")

    if not Path("/dev/full").exists():
        return
    folder = Full(str(tmp_path))
    writer = SpanWriter(folder, "abc")
    noise = pl.DataFrame({"bytes": [os.urandom(1 << 20), os.urandom(1 << 20)]})
    with pytest.raises(StoreError, match="No space left"):
        writer.add(noise)
    writer.abort()


def test_other_file_systems_are_written_to(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}/out"
    file = written(url, numbers(3))
    files = fsspec.filesystem("memory")
    assert bytes_hash(files.cat_file(f"/{tmp_path.name}/out/abc.parquet")) == file.sha256
    with pytest.raises(StoreError, match="there already"):
        written(url, numbers(3))
    folder = Folder(f"memory://{tmp_path.name}/other")
    SpanWriter(folder, "abc").close(numbers(0))
    folder.undo()
    assert not files.exists(f"/{tmp_path.name}/other/abc.parquet")
