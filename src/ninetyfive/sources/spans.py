"""Reads the Parquet files that we wrote, and nothing from them that is not what was written.

    file ─▶ blocks of 256 KiB, each against its check ─▶ Parquet pages, each against its CRC ─▶ frame of a row group

Guarantee: every byte that reaches the Parquet reader, data and footer alike, was compared with the XXH3-64 that the
`Write` node took of its block, so damage by a disk, a bucket or a copy (flipped bits, lost or added bytes, another
file in its place) raises `IntegrityError` or lies in a block that was not asked for. It is no protection against
somebody who forges both file and checks: that is what the sha256 in the manifest is for.

What does not belong here: files of others (`files`), writing (`engines.writing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from fsspec.implementations.local import LocalFileSystem

from ninetyfive.clients import client_errors
from ninetyfive.errors import IntegrityError, PlanError, StoreError
from ninetyfive.plan import CHECKED_BLOCK, Part, WrittenFile

_DIGITS = 16


def part_of(written: WrittenFile, url: str | None = None, without: tuple[int, ...] = ()) -> Part:
    """The part that `SpanReader` reads a written file by; `url` if the file has moved since; `without`: see `Part`.

    The span is the one that was written; of a file that a `Shuffle` made, the sha256 of the file.
    """
    options = (("checks", written.checks),)
    return Part(written.span or written.sha256, url or written.url, options, without, written.rows)


@dataclass(frozen=True, slots=True)
class SpanReader:
    """A `Reader` of files that a `Write` node made; parts come from `part_of`; a chunk is a row group.

    Gives the columns and dtypes that were written (those of `columns`, in that order, where given). Reads any url of
    fsspec. `IntegrityError`: the file is missing or is not what was written. `StoreError`: it could not be opened.
    """

    def count(self, part: Part) -> int:
        """How many row groups the file has; known without opening it."""
        if part.rows is None or not dict(part.options).get("checks"):
            raise PlanError(
                f"SpanReader of {part.url}",
                expected="a part with rows and checks",
                got="a part without",
                do="make the part with sources.spans.part_of",
            )
        return len(part.rows)

    def read(
        self, part: Part, first: int = 0, last: int | None = None, columns: tuple[str, ...] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The row groups `first` to `last` (exclusive; None: to the end), each one frame."""
        chunks = range(self.count(part))[first:last]
        if not chunks:
            return
        assert part.rows is not None
        with _trusted(part.url), _opened(part.url) as stream:
            blocks = _Blocks(part.url, stream, str(dict(part.options)["checks"]))
            file = pq.ParquetFile(
                pa.PythonFile(blocks, mode="r"), page_checksum_verification=True, pre_buffer=False, memory_map=False
            )
            _check_footer(part, file)
            names = file.schema_arrow.names
            wanted = None if columns is None else [name for name in columns if name in names] or names[:1]
            for chunk in chunks:
                frame = pl.from_arrow(file.read_row_group(chunk, columns=wanted, use_threads=False))
                assert isinstance(frame, pl.DataFrame)
                yield frame if wanted is None else frame.select(wanted)


def _check_footer(part: Part, file: pq.ParquetFile) -> None:
    metadata = file.metadata
    rows = tuple(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
    if rows != part.rows:
        raise _damaged(part.url, f"row groups of {part.rows} rows", f"row groups of {rows}")


class _Blocks:
    """A file of which every block is compared with its check before any of it is given away; keeps one block."""

    def __init__(self, url: str, stream: BinaryIO, checks: str) -> None:
        self._url = url
        self._stream = stream
        self._checks = checks
        self._size = stream.seek(0, 2)
        self._at = 0
        self._kept = (-1, b"")
        self.closed = False
        blocks = -(-self._size // CHECKED_BLOCK)
        if blocks * _DIGITS != len(checks):
            raise _damaged(url, f"{len(checks) // _DIGITS} blocks", f"{blocks} blocks ({self._size} bytes)")

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._at + size, self._size)
        if end <= self._at:
            return b""
        start, self._at = self._at, end
        first, last = start // CHECKED_BLOCK, (end - 1) // CHECKED_BLOCK
        pieces = []
        if first == self._kept[0]:
            pieces.append(self._kept[1])
        if last >= first + len(pieces):
            pieces.append(self._verified(first + len(pieces), last + 1))
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._kept = (last, data[(last - first) * CHECKED_BLOCK :])
        return data[start - first * CHECKED_BLOCK : end - first * CHECKED_BLOCK]

    def close(self) -> None:
        """Parquet may close what it reads; the file is closed by who opened it."""

    def _verified(self, first: int, end: int) -> bytes:
        with _reached(self._url):
            self._stream.seek(first * CHECKED_BLOCK)
            data = self._stream.read((end - first) * CHECKED_BLOCK)
        view = memoryview(data)
        for block in range(first, end):
            at = (block - first) * CHECKED_BLOCK
            found = xxhash.xxh3_64_hexdigest(view[at : at + CHECKED_BLOCK])
            if found != self._checks[block * _DIGITS : (block + 1) * _DIGITS]:
                where = f"bytes {block * CHECKED_BLOCK} to {min((block + 1) * CHECKED_BLOCK, self._size) - 1}"
                raise _damaged(self._url, f"{where} as they were written", "other bytes there")
        return data


@contextmanager
def _opened(url: str) -> Iterator[BinaryIO]:
    files, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    try:
        stream: BinaryIO = open(path, "rb") if isinstance(files, LocalFileSystem) else files.open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        raise _damaged(url, "the file that was written", "no file") from None
    except client_errors() as error:
        raise StoreError(url, expected="a file that can be opened", got=str(error), do="check permissions") from error
    with stream:
        yield stream


@contextmanager
def _reached(url: str) -> Iterator[None]:
    """Tell a bucket that does not answer from bytes that are damaged; what a disk says has a number."""
    try:
        yield
    except client_errors() as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        got = f"{type(error).__name__}: {error}"
        do = "check the network and the permissions of who reads it, then run again"
        raise StoreError(url, expected="a bucket that answers", got=got, do=do) from error


@contextmanager
def _trusted(url: str) -> Iterator[None]:
    """Turn what Parquet says of bytes it cannot decode into an `IntegrityError`."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise _damaged(url, "Parquet as we write it", f"{type(error).__name__}: {error}") from error


def _damaged(url: str, expected: str, got: str) -> IntegrityError:
    return IntegrityError(
        url,
        expected=expected,
        got=got,
        do="restore the file from a backup, or delete it and run again: its source is then read anew",
    )
