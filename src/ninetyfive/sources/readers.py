"""Reading a source's files in chunks of raw rows: one reader a kind, all with the protocol of `plan.Reader`.

    Source ── reader_of ──▶ reader ── read(part) ──▶ raw frames ── Conform(schema, reader.text) ──▶ rows

What does not belong here: types and rules (`conform`), our own Parquet files (`spans`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import polars as pl

from ninetyfive.errors import SourceError
from ninetyfive.inference import Guess
from ninetyfive.plan import CHUNK_ROWS, Part
from ninetyfive.schema import logical_type
from ninetyfive.sources import parquet_files, text_files
from ninetyfive.sources.discovery import as_frame, frame_hash
from ninetyfive.sources.files import PUBSUB, Source
from ninetyfive.sources.log_spans import RequestLogReader
from ninetyfive.sources.text_files import CsvFormat
from ninetyfive.values import Text

_FRAME_CELLS = 1 << 23
_PLAIN = CsvFormat()


@dataclass(frozen=True, slots=True)
class ParquetReader:
    """Chunks of Parquet files, as typed columns."""

    @property
    def text(self) -> Text:
        """How `Conform` takes the raw columns."""
        return "typed"

    def count(self, part: Part) -> int:
        """How many chunks the part has."""
        return parquet_files.count(part)

    def read(
        self, part: Part, first: int = 0, last: int | None = None, columns: tuple[str, ...] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The chunks `first` to `last`; best asked for in runs, a row group is decoded once a call."""
        return parquet_files.read(part, first, last, columns)

    def names(self, part: Part) -> dict[str, str | None]:
        """Column → logical type, from the footer."""
        return {guess.name: guess.type for guess in parquet_files.inspect(part)}

    def inspect(self, part: Part) -> tuple[Guess, ...]:
        """What the footer tells of each column."""
        return parquet_files.inspect(part)


@dataclass(frozen=True, slots=True)
class CsvReader:
    """Chunks of CSV files, every column the text of its fields."""

    format: CsvFormat = _PLAIN

    @property
    def text(self) -> Text:
        """How `Conform` takes the raw columns."""
        return "csv"

    def count(self, part: Part) -> None:
        """Only reading tells."""

    def read(
        self, part: Part, first: int = 0, last: int | None = None, columns: tuple[str, ...] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The chunks `first` to `last`; those before `first` are read and dropped."""
        return islice(text_files.read_csv(part, self.format, columns), first, last)

    def names(self, part: Part) -> dict[str, str | None]:
        """Column → None: the header knows no types."""
        return dict.fromkeys(text_files.csv_header(part, self.format))

    def inspect(self, part: Part) -> None:
        """Only reading tells."""


@dataclass(frozen=True, slots=True)
class JsonlReader:
    """Chunks of JSON Lines files, every column the JSON text of its fields; of messages without what nobody named.

    Columns that begin with `without` are left out, but those of `named`.
    """

    without: str = ""
    named: tuple[str, ...] = ()

    @property
    def text(self) -> Text:
        """How `Conform` takes the raw columns."""
        return "json"

    def count(self, part: Part) -> None:
        """Only reading tells."""

    def read(
        self, part: Part, first: int = 0, last: int | None = None, columns: tuple[str, ...] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The chunks `first` to `last`; those before `first` are read and dropped."""
        frames = text_files.read_jsonl(part, columns)
        if self.without:
            frames = map(self._kept, frames)
        return islice(frames, first, last)

    def _kept(self, frame: pl.DataFrame) -> pl.DataFrame:
        kept = [name for name in frame.columns if name in self.named or not name.startswith(self.without)]
        return frame.select(kept) if kept else pl.DataFrame(height=frame.height)

    def names(self, part: Part) -> None:
        """Only reading tells."""

    def inspect(self, part: Part) -> None:
        """Only reading tells."""


@dataclass(frozen=True, slots=True)
class FrameReader:
    """Chunks of an in-memory frame, named by its content hash."""

    sha256: str
    frame: pl.DataFrame = field(compare=False, repr=False)

    @property
    def text(self) -> Text:
        """How `Conform` takes the raw columns."""
        return "typed"

    @property
    def _rows(self) -> int:
        return max(1, min(CHUNK_ROWS, _FRAME_CELLS // max(1, self.frame.width)))

    def count(self, part: Part) -> int:
        """How many chunks the frame has."""
        self._check(part)
        return -(-self.frame.height // self._rows)

    def read(
        self, part: Part, first: int = 0, last: int | None = None, columns: tuple[str, ...] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The chunks `first` to `last`, slices without a copy."""
        count = self.count(part)
        frame = self.frame if not columns else self.frame.select(name for name in self.frame.columns if name in columns)
        for chunk in range(first, count if last is None else min(last, count)):
            yield frame.slice(chunk * self._rows, self._rows)

    def names(self, part: Part) -> dict[str, str | None]:
        """Column → logical type."""
        return {guess.name: guess.type for guess in self.inspect(part)}

    def inspect(self, part: Part) -> tuple[Guess, ...]:
        """What the frame tells of each column."""
        self._check(part)
        if not self.frame.height:
            raise SourceError("frame(...)", expected="rows", got="a frame without any", do="give a frame with rows")
        return tuple(
            Guess(column.name, logical_type(column.dtype), self.frame.height, column.null_count())
            for column in self.frame.iter_columns()
        )

    def _check(self, part: Part) -> None:
        if part.span != self.sha256:
            raise SourceError("frame(...)", expected="the frame of this source", got="another one", do="run again")


SourceReader = ParquetReader | CsvReader | JsonlReader | FrameReader | RequestLogReader


def reader_of(source: Source) -> SourceReader:
    """The reader of a source's files (of an in-memory frame: of its rows; of a request log: without labels)."""
    if source.kind in ("parquet", "bigquery"):
        return ParquetReader()
    if source.kind == "csv":
        return CsvReader(CsvFormat(source.separator, source.encoding, source.null_values))
    if source.kind == "jsonl":
        return JsonlReader()
    if source.kind == "pubsub":
        return JsonlReader(PUBSUB, source.named)
    if source.kind == "request_log":
        return RequestLogReader()
    rows = as_frame(source.frame)
    return FrameReader(frame_hash(rows), rows)
