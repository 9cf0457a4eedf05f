"""Reading Parquet files in chunks whose borders depend on the file alone.

    row groups ── decoded page by page ──▶ batches ── cut at every n-th row ──▶ chunks of n rows

n is `CHUNK_ROWS`, or less where rows are so wide that a chunk would be over 64 MiB. Pages with a checksum are verified.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ninetyfive.errors import SourceError
from ninetyfive.inference import Guess
from ninetyfive.plan import CHUNK_ROWS, Part
from ninetyfive.schema import logical_type
from ninetyfive.sources.opening import check_names, failures, unchanged

CHUNK_BYTES = 64 << 20
_LOCAL = ("file", "local")


@contextmanager
def opened(part: Part) -> Iterator[pq.ParquetFile]:
    """The Parquet file of a part; one that is no Parquet, is cut off or has a broken page raises `SourceError`."""
    system, path = unchanged(part)
    protocols = (system.protocol,) if isinstance(system.protocol, str) else system.protocol
    local = any(protocol in _LOCAL for protocol in protocols)
    try:
        with failures(part.url):
            stream: Any = path if local else system.open(path, "rb")
        with pq.ParquetFile(stream, page_checksum_verification=True, pre_buffer=not local) as file:
            check_names(file.schema_arrow.names, part.url)
            yield file
        unchanged(part)
    except (pa.ArrowException, OSError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        got = f"a broken or truncated one ({first_line})"
        raise SourceError(part.url, expected="a whole Parquet file", got=got, do="write or fetch it again") from None
    finally:
        if not local and "stream" in locals():
            stream.close()


def chunk_rows(metadata: pq.FileMetaData) -> int:
    """Rows of each chunk but the last: at most `CHUNK_ROWS` and about `CHUNK_BYTES` of uncompressed data."""
    total: int = metadata.num_rows
    size: int = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    return max(1, min(CHUNK_ROWS, CHUNK_BYTES * total // size)) if total and size else CHUNK_ROWS


def count(part: Part) -> int:
    """How many chunks the file has."""
    with opened(part) as file:
        total: int = file.metadata.num_rows
        return -(-total // chunk_rows(file.metadata))


def read(part: Part, first: int, last: int | None, columns: tuple[str, ...] | None) -> Iterator[pl.DataFrame]:
    """The chunks `first` to `last`; only the row groups that hold them are opened, only `columns` decoded."""
    with opened(part) as file:
        rows = chunk_rows(file.metadata)
        total = file.metadata.num_rows
        start, stop = min(first * rows, total), total if last is None else min(last * rows, total)
        if start >= stop:
            return
        groups, skip = _groups(file.metadata, start, stop)
        wanted = _wanted(file, columns)
        batches = file.iter_batches(rows, row_groups=groups, columns=wanted, use_threads=False)
        for table in _cut(batches, skip, stop - start, rows):
            frame = pl.from_arrow(table)
            assert isinstance(frame, pl.DataFrame)
            yield frame if wanted is None else frame.select(wanted)


def _wanted(file: pq.ParquetFile, columns: tuple[str, ...] | None) -> list[str] | None:
    """The columns to decode: those that the file has; at least one, so that rows can be counted."""
    if columns is None:
        return None
    names = file.schema_arrow.names
    return [name for name in names if name in columns] or names[:1]


def _groups(metadata: pq.FileMetaData, start: int, stop: int) -> tuple[list[int], int]:
    """The row groups that hold the rows `start` to `stop`, and how many of their rows come before `start`."""
    groups: list[int] = []
    skip = at = 0
    for group in range(metadata.num_row_groups):
        after = at + metadata.row_group(group).num_rows
        if after > start and at < stop:
            if not groups:
                skip = start - at
            groups.append(group)
        at = after
    return groups, skip


def _cut(batches: Iterator[pa.RecordBatch], skip: int, total: int, rows: int) -> Iterator[pa.Table]:
    """Tables of `rows` rows each (the last one fewer) from batches of any size, after `skip` rows, `total` in all."""
    held: list[pa.RecordBatch] = []
    missing = min(rows, total)
    for batch in batches:
        skipped = min(skip, batch.num_rows)
        skip -= skipped
        batch = batch.slice(skipped)
        while batch.num_rows and missing:
            taken = batch.slice(0, missing)
            held.append(taken)
            batch = batch.slice(taken.num_rows)
            missing -= taken.num_rows
            total -= taken.num_rows
            if not missing:
                yield pa.Table.from_batches(held)
                held, missing = [], min(rows, total)


def inspect(part: Part) -> tuple[Guess, ...]:
    """What the footer tells of each column: logical type, rows and, where it has statistics, nulls."""
    with opened(part) as file:
        metadata = file.metadata
        if not metadata.num_rows:
            raise SourceError(
                part.url, expected="rows", got="a Parquet file without any", do="remove it from the source"
            )
        empty = pl.from_arrow(file.schema_arrow.empty_table())
        assert isinstance(empty, pl.DataFrame)
        nulls = _nulls(metadata)
        return tuple(
            Guess(name, logical_type(kind), metadata.num_rows, nulls.get(name)) for name, kind in empty.schema.items()
        )


def _nulls(metadata: pq.FileMetaData) -> dict[str, int]:
    """Column → nulls, for flat columns with statistics in every row group."""
    counted: dict[str, int] = {}
    for leaf in range(metadata.num_columns):
        known = [metadata.row_group(group).column(leaf).statistics for group in range(metadata.num_row_groups)]
        if all(part is not None and part.has_null_count for part in known):
            counted[metadata.schema.column(leaf).path] = sum(part.null_count for part in known)
    return counted
