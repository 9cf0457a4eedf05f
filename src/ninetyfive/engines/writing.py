"""How a span is written: one Parquet file, a row group per chunk, the same bytes for the same rows.

    chunks in order ─▶ SpanWriter ─▶ <folder>/<span>.parquet + WrittenFile (sha256, rows, check of each 256 KiB)

zstd level 1, dictionaries for strings only (measured: twice as fast as for all, and smaller), page checksums, no
statistics; fsynced on a local disk. Shared by all engines.

What does not belong here: reading (`sources.spans`), and when a written file counts (the store's manifest).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from fsspec.implementations.local import LocalFileSystem

from ninetyfive.clients import client_errors
from ninetyfive.errors import PlanError, StoreError
from ninetyfive.plan import CHECKED_BLOCK, CHUNK_ROWS, WrittenFile

_WRITABLE = (
    *(pl.Null, pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
    *(pl.Float32, pl.Float64, pl.String, pl.Binary, pl.Date, pl.Datetime, pl.Duration, pl.Time, pl.Decimal, pl.Enum),
)


class Folder:
    """A folder that a `Write` fills, on a local disk or wherever fsspec reaches; `undo` takes back what was made.

    `make=False`: a folder that somebody else made, and may remove; a local one is not made again.
    """

    def __init__(self, url: str, make: bool = True) -> None:
        self.url = url.rstrip("/")
        self._files, path = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        self._path = str(path).rstrip("/")
        self.local = isinstance(self._files, LocalFileSystem)
        self._made: list[str] = []
        self._created = False
        if make:
            with file_errors(self.url):
                self._created = not self._files.exists(self._path)
                self._files.makedirs(self._path, exist_ok=True)

    def create(self, name: str) -> BinaryIO:
        """A new file to write to; one that is there already is an error."""
        path = f"{self._path}/{name}"
        with file_errors(f"{self.url}/{name}"):
            if self.local:
                stream: BinaryIO = open(path, "xb")  # noqa: SIM115
            elif self._files.exists(path):
                raise FileExistsError("the file is there already")
            else:
                stream = self._files.open(path, "wb")
            self._made.append(path)
            return stream

    def open(self, name: str) -> BinaryIO:
        """A file of the folder to read from."""
        with file_errors(f"{self.url}/{name}"):
            return cast(BinaryIO, self._files.open(f"{self._path}/{name}", "rb"))

    def adopt(self, attempt: Folder, name: str, new: str) -> str:
        """Have file `name` of an attempt below here, as `new`; its url. One that is there already is an error."""
        with file_errors(f"{self.url}/{new}"):
            if self._files.exists(f"{self._path}/{new}"):
                raise FileExistsError("the file is there already")
            give = self._files.mv if self.local else self._files.cp_file  # a bucket copies, and the attempt is cleared
            give(f"{attempt._path}/{name}", f"{self._path}/{new}")
            self._made.append(f"{self._path}/{new}")
        return f"{self.url}/{new}"

    def missing(self, names: Iterable[str]) -> None:
        """`StoreError` if one of the files is there already."""
        for name in names:
            with file_errors(f"{self.url}/{name}"):
                if self._files.exists(f"{self._path}/{name}"):
                    raise FileExistsError("the file is there already")

    def clear(self) -> None:
        """Remove the folder with all that is in it, while others may still write into it: they no longer find it."""
        with suppress(FileNotFoundError):
            if self.local:
                gone = f"{self._path}.gone"
                os.rename(self._path, gone)
                shutil.rmtree(gone, ignore_errors=True)
            else:
                self._files.invalidate_cache()
                self._files.rm(self._path, recursive=True)

    def sync(self) -> None:
        """Make the names of the new files last (a local folder is fsynced; a bucket needs nothing)."""
        if not self.local:
            return
        with file_errors(self.url):
            handle = os.open(self._path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def undo(self) -> None:
        """Remove the files that were made, and the folder if this made it and it is empty."""
        for path in self._made:
            if self._files.exists(path):
                self._files.rm_file(path)
        self._made.clear()
        if self._created and self._files.exists(self._path) and not self._files.ls(self._path, detail=False):
            self._files.rmdir(self._path)


def file_name(span: str) -> str:
    """The name of the file that holds the rows of a span ("": those after a `Shuffle`)."""
    return f"{span or 'shuffled'}.parquet"


class SpanWriter:
    """Writes the chunks of one span, in order; `close` gives the `WrittenFile`, `abort` leaves half a file closed."""

    def __init__(self, folder: Folder, span: str, attempt: tuple[str, str] | None = None) -> None:
        """`attempt`: the name of a file that gets its own name later, and the url by which errors speak of it."""
        self._folder = folder
        self._span = span
        self._name, self._url = attempt or (file_name(span), f"{folder.url}/{file_name(span)}")
        self._schema: pl.Schema | None = None
        self._sink: _Sink | None = None
        self._writer: pq.ParquetWriter | None = None
        self._rows: list[int] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Write a chunk as a row group (as several, where it has more than `CHUNK_ROWS` rows)."""
        writer = self._open(frame)
        if frame.schema != self._schema:
            raise PlanError(
                f"Write of {self._url}",
                expected=f"the columns of its first chunk: {self._schema}",
                got=f"{frame.schema}",
                do="put a Map with declared output before the Write",
            )
        for piece in frame.iter_slices(CHUNK_ROWS):
            with file_errors(self._url):
                writer.write_table(piece.to_arrow(compat_level=pl.CompatLevel.oldest()), row_group_size=piece.height)
            self._rows.append(piece.height)

    def close(self, empty: pl.DataFrame) -> WrittenFile:
        """Finish the file (a span without rows gets the columns of `empty`) and fsync it."""
        writer = self._open(empty)
        with file_errors(self._url):
            writer.close()
            assert self._sink is not None
            digest, checks = self._sink.finish(sync=self._folder.local)
        return WrittenFile(self._span, f"{self._folder.url}/{self._name}", digest, tuple(self._rows), checks)

    def abort(self) -> None:
        """Let go of the file; what was written is worth nothing. Does nothing after `close`."""
        if self._sink is not None:
            self._sink.abandon()

    def _open(self, frame: pl.DataFrame) -> pq.ParquetWriter:
        if self._writer is None:
            check_writable(f"Write of {self._url}", frame.schema)
            self._schema = frame.schema
            self._sink = _Sink(self._folder.create(self._name))
            with file_errors(self._url):
                self._writer = pq.ParquetWriter(
                    pa.PythonFile(self._sink, mode="w"),
                    frame.clear().to_arrow(compat_level=pl.CompatLevel.oldest()).schema,
                    compression="zstd",
                    compression_level=1,
                    use_dictionary=[name for name, dtype in frame.schema.items() if dtype == pl.String],
                    write_statistics=False,
                    write_page_checksum=True,
                )
        return self._writer


class _Sink:
    """A binary file that hashes what goes through it: sha256 of all, XXH3-64 of each block."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self._block = xxhash.xxh3_64()
        self._room = CHECKED_BLOCK
        self._checks: list[str] = []
        self._length = 0
        self._abandoned = False
        self.closed = False

    def write(self, data: Any) -> int:
        if self._abandoned:
            return len(data)
        view = memoryview(data).cast("B")
        self._stream.write(view)
        self._sha256.update(view)
        self._length += len(view)
        written = len(view)
        while len(view) >= self._room:
            self._block.update(view[: self._room])
            view = view[self._room :]
            self._end_block()
        self._block.update(view)
        self._room -= len(view)
        return written

    def tell(self) -> int:
        return self._length

    def flush(self) -> None:
        """Parquet asks for it; the one flush that counts is in `finish`."""

    def close(self) -> None:
        """Parquet may close its sink; the file is closed by `finish` or `abandon`."""

    def finish(self, sync: bool) -> tuple[str, str]:
        if self._room < CHECKED_BLOCK:
            self._end_block()
        self._stream.flush()
        if sync:
            os.fsync(self._stream.fileno())
        self._stream.close()
        return self._sha256.hexdigest(), "".join(self._checks)

    def abandon(self) -> None:
        self._abandoned = True
        with suppress(OSError):  # a full disk says so again; the file is removed next
            self._stream.close()

    def _end_block(self) -> None:
        self._checks.append(self._block.hexdigest())
        self._block = xxhash.xxh3_64()
        self._room = CHECKED_BLOCK


def check_writable(where: str, schema: pl.Schema) -> None:
    """Raise `PlanError` if a column has a type that Parquet does not give back as it was."""
    for name, dtype in schema.items():
        if not _writable(dtype):
            raise PlanError(
                f"{where}, column {name!r}",
                expected="a type that Parquet gives back as it was",
                got=str(dtype),
                do="cast it in a Map before the Write (Array to List, Categorical to String), or drop it",
            )


def _writable(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.List):
        return _writable(dtype.inner)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return bool(dtype.fields) and all(_writable(field.dtype) for field in dtype.fields)  # type: ignore[arg-type]
    return isinstance(dtype, _WRITABLE)


@contextmanager
def file_errors(where: str) -> Iterator[None]:
    """Turn what a disk or bucket says into a `StoreError` that names the file."""
    try:
        yield
    except client_errors() as error:
        raise StoreError(
            where,
            expected="a new file in a folder with room and permission to write",
            got=f"{type(error).__name__}: {error}",
            do="free space, check permissions, or use an empty folder for the attempt",
        ) from error
