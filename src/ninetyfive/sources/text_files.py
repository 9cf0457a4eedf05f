"""Reading CSV and JSON Lines in chunks, each field as text: what a text means is the schema's business.

    bytes ── blocks of 16 MiB ──▶ rows of text ── at most CHUNK_ROWS rows or 4 blocks ──▶ chunks

CSV fields come as their text (null where empty), JSONL fields as their JSON text (null where null or left out).
Memory is bounded by blocks. Chunk borders depend on the file's bytes alone, not on the columns that are read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.csv as pc

from ninetyfive.errors import SourceError
from ninetyfive.plan import CHUNK_ROWS, Part
from ninetyfive.sources.opening import check_names, unpacked

BLOCK_BYTES = 16 << 20
CHUNK_BLOCKS = 4
_ROW = re.compile(r"Row #(\d+): (.*)", re.DOTALL)
_SHOWN = 80


class CsvFormat(msgspec.Struct, frozen=True):
    """How the CSV files of a source are written."""

    separator: str = ","
    encoding: str = "utf-8"
    null_values: tuple[str, ...] = ()


def csv_header(part: Part, form: CsvFormat) -> tuple[str, ...]:
    """The column names of a CSV file; an empty file, or names that cannot be, raise `SourceError`."""
    with unpacked(part) as stream:
        return _header(stream, part, form)


def read_csv(part: Part, form: CsvFormat, columns: tuple[str, ...] | None) -> Iterator[pl.DataFrame]:
    """All chunks of a CSV file, every column String.

    Ragged rows, text that is not in the encoding, a quote that is never closed, a header without rows and an empty
    file raise `SourceError` with the row where it is known (the header is row 1; blank lines do not count).
    """
    with unpacked(part) as stream:
        names = _header(stream, part, form)
    with unpacked(part) as stream:
        watched = _Quotes(stream)
        rows = 0
        last = None
        for table in _tables(_batches(watched, part, form, names, columns)):
            rows += table.num_rows
            last = table
            frame = pl.from_arrow(table)
            assert isinstance(frame, pl.DataFrame)
            yield frame
        if not rows:
            raise SourceError(part.url, expected="rows", got="a header and no rows", do="remove it from the source")
        ascii_quotes = '"'.encode(form.encoding) == b'"'
        if ascii_quotes and watched.odd and last is not None and _ends_open(last, watched):
            got = f"a quote that is never closed, at or before row {rows + 1}"
            raise SourceError(part.url, expected="quotes in pairs", got=got, do="close it, or fetch the file again")


def _header(stream: BinaryIO, part: Part, form: CsvFormat) -> tuple[str, ...]:
    text = io.TextIOWrapper(stream, encoding=_signed(form.encoding), errors="surrogateescape", newline="")
    try:
        names = next((row for row in csv.reader(text, delimiter=form.separator) if row), None)
    except UnicodeError as error:
        raise _encoding_error(part.url, form.encoding, str(error)) from None
    except csv.Error as error:
        raise SourceError(part.url, expected="a header line", got=str(error), do="correct the first line") from None
    finally:
        text.detach()
    if names is None:
        raise SourceError(part.url, expected="a header line", got="an empty file", do="remove it from the source")
    if any("\udc80" <= character <= "\udcff" for name in names for character in name):
        raise _encoding_error(part.url, form.encoding, "bytes that are not, in the header")
    check_names(names, part.url)
    other = next((mark for mark in ";\t|" if len(names) == 1 and mark in names[0]), None)
    if other is not None:
        got, do = f"the one column {names[0][:_SHOWN]!r}", f"declare separator={other!r} in the source"
        raise SourceError(part.url, expected=f"columns with {form.separator!r} between them", got=got, do=do)
    return tuple(names)


def _batches(
    stream: _Quotes, part: Part, form: CsvFormat, names: tuple[str, ...], columns: tuple[str, ...] | None
) -> Iterator[pa.RecordBatch]:
    wanted = None if columns is None else [name for name in names if name in columns] or list(names[:1])
    read = pc.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, encoding=form.encoding)
    parse = pc.ParseOptions(delimiter=form.separator, newlines_in_values=True)
    convert = pc.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        include_columns=wanted,
        strings_can_be_null=True,
        null_values=["", *form.null_values],
    )
    try:
        reader = pc.open_csv(cast(Any, stream), read_options=read, parse_options=parse, convert_options=convert)
        yield from reader
    except UnicodeDecodeError as error:
        raise _encoding_error(part.url, form.encoding, error.reason) from None
    except pa.ArrowInvalid as error:
        message = str(error)
        if "Empty CSV" in message:
            return
        raise _row_error(part.url, message, form) from None


def _row_error(url: str, message: str, form: CsvFormat) -> SourceError:
    match = _ROW.search(message)
    where = f"{url}, row {match[1]}" if match else url
    reason = (match[2] if match else message).strip()
    if "UTF8" in message:
        return _encoding_error(where, form.encoding, "bytes that are not")
    if "straddling" in message:
        got = f"one of more than {BLOCK_BYTES >> 20} MiB, or a quote that is never closed"
        return SourceError(where, expected="rows of text", got=got, do="close the quote, or shorten the value")
    expected = re.match(r"Expected (\d+) columns, got (\d+)", reason)
    if expected:
        got = f"{expected[2]} ({reason.partition(': ')[2][:_SHOWN]!r})"
        return SourceError(where, expected=f"{expected[1]} fields", got=got, do="correct the row, or its quotes")
    return SourceError(where, expected="CSV", got=reason[:_SHOWN], do="correct the row, or declare its separator=")


def _encoding_error(where: str, encoding: str, reason: str) -> SourceError:
    do = "declare its encoding= (such as 'latin-1' or 'utf-16'), or write it as UTF-8"
    return SourceError(where, expected=f"text in {encoding}", got=reason, do=do)


def _signed(encoding: str) -> str:
    """UTF-8 that also takes a byte order mark."""
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _tables(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of at most `CHUNK_ROWS` rows; a table ends early where `CHUNK_BLOCKS` batches (blocks) are full."""
    held: list[pa.RecordBatch] = []
    rows = blocks = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        blocks += 1
        while rows >= CHUNK_ROWS or (rows and blocks == CHUNK_BLOCKS):
            table = pa.Table.from_batches(held)
            yield table.slice(0, CHUNK_ROWS)
            held = table.slice(CHUNK_ROWS).to_batches()
            rows = max(0, rows - CHUNK_ROWS)
            blocks = min(blocks, CHUNK_BLOCKS - 1) if rows else 0
    if rows:
        yield pa.Table.from_batches(held)


class _Quotes(io.RawIOBase):
    """A stream that counts quotes as it is read: in a CSV file they come in pairs."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.odd = False
        self.tail = b""

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        data = self.stream.read(size)
        self.odd ^= bool(data.count(b'"') % 2)
        if data:
            self.tail = data.rstrip(b"\r\n").rpartition(b"\n")[2]
        return data

    def readable(self) -> bool:
        return True


def _ends_open(last: pa.Table, watched: _Quotes) -> bool:
    """Whether the file's odd quote was still open at its end: its last value spans lines, or its last line has one."""
    fields = (last.column(index)[last.num_rows - 1].as_py() for index in range(last.num_columns))
    return any(field and "\n" in field for field in fields) or watched.tail.count(b'"') % 2 == 1


_decode_line = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_jsonl(part: Part, columns: tuple[str, ...] | None) -> Iterator[pl.DataFrame]:
    """All chunks of a JSON Lines file, every column String: the JSON text of each field; blank lines do not count.

    The columns of a chunk are the keys that occur in it, in the order of their first row; with `columns` those, null
    where they do not occur. A line that is no JSON object, or not UTF-8, raises `SourceError` with its number.
    """
    rows: list[dict[str, msgspec.Raw]] = []
    lines: list[int] = []
    size = total = 0
    with unpacked(part) as stream:
        for number, line in enumerate(_lines(stream, part.url), 1):
            if not line.strip():
                continue
            rows.append(_object(line, part.url, number))
            lines.append(number)
            size += len(line)
            total += 1
            if len(rows) == CHUNK_ROWS or size >= CHUNK_BLOCKS * BLOCK_BYTES:
                yield _text_frame(rows, lines, part.url, columns)
                rows, lines, size = [], [], 0
    if not total:
        raise SourceError(
            part.url, expected="a JSON object a line", got="an empty file", do="remove it from the source"
        )
    if rows:
        yield _text_frame(rows, lines, part.url, columns)


def _lines(stream: BinaryIO, url: str) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(BLOCK_BYTES):
        number += 1
        if len(line) == BLOCK_BYTES and not line.endswith(b"\n"):
            got = f"one of more than {BLOCK_BYTES >> 20} MiB"
            raise SourceError(f"{url}, line {number}", expected="a line", got=got, do="write one object a line")
        yield line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _object(line: bytes, url: str, number: int) -> dict[str, msgspec.Raw]:
    try:
        return _decode_line(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        got = f"{_clipped(line)} ({error})"
        raise SourceError(f"{url}, line {number}", expected="a JSON object", got=got, do="correct the line") from None


def _clipped(line: bytes) -> str:
    text = line.strip().decode(errors="replace")
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _text_frame(
    rows: list[dict[str, msgspec.Raw]], lines: list[int], url: str, columns: tuple[str, ...] | None
) -> pl.DataFrame:
    names = list(columns if columns else dict.fromkeys(name for row in rows for name in row))
    check_names(names, url)
    null = msgspec.Raw(b"null")
    series = []
    for name in names:
        texts = [bytes(row.get(name, null)) for row in rows]
        binary = pl.Series(name, [None if text == b"null" else text for text in texts], dtype=pl.Binary)
        try:
            series.append(binary.cast(pl.String))
        except pl.exceptions.PolarsError:
            line = next(line for line, text in zip(lines, texts, strict=True) if not _is_utf8(text))
            where, do = f"{url}, line {line}, column {name!r}", "write the file as UTF-8: JSON is always that"
            raise SourceError(where, expected="text in utf-8", got="bytes that are not", do=do) from None
    return pl.DataFrame(series) if series else pl.DataFrame(height=len(rows))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
