"""Labels come late, in files of their own: read, one an id, and joined to the spans of a request log.

    labels.csv ─ typed ─ one a request_id ─┬─▶ RequestLogReader
    spans ─ their ids ─────────────────────┴─▶ files, each named by its content and by its labels

The rule: labels read = joined + waiting + repeated + replaced + quarantined. A span whose labels changed is another
span, and is read again; the others are not. What does not belong here: what a label means (`steps.labelling`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import polars as pl

from ninetyfive.errors import SourceError, near_names
from ninetyfive.hashing import content_hash, row_hash
from ninetyfive.inference import Guess, agree
from ninetyfive.parsing import parse
from ninetyfive.reducers.type_guess import TypeGuess
from ninetyfive.schema import LOGGED
from ninetyfive.sources.discovery import FileFound, discover, frame_hash
from ninetyfive.sources.files import Source
from ninetyfive.sources.log_spans import ID, RequestLogReader, about
from ninetyfive.sources.readers import SourceReader, reader_of

_HASH = "__hash"
_NOTHING = pl.DataFrame(schema={ID: pl.String})


class LabelCounts(msgspec.Struct, frozen=True):
    """What became of the labels that were `read`.

    `joined` to a row of the log; `waiting` for one; `repeated`: the same again; `replaced` by a later one of the same
    id; `quarantined`: without an id, or with a value that its column cannot hold.
    """

    read: int
    joined: int
    waiting: int
    repeated: int
    replaced: int
    quarantined: int

    def __str__(self) -> str:
        told = (
            (self.joined, "joined to a request"),
            (self.waiting, "of requests of which the log has no row (yet)"),
            (self.repeated, "repeated"),
            (self.replaced, "replaced by a later one of the same request"),
            (self.quarantined, "without an id, or with a value that is none"),
        )
        return f"{self.read:,} labels: " + ", ".join(f"{count:,} {what}" for count, what in told if count)


def join_labels(
    source: Source, files: Sequence[FileFound], folder: str = ""
) -> tuple[tuple[FileFound, ...], RequestLogReader, LabelCounts | None]:
    """The spans of a request log with the labels that are known now, their reader, and what became of the labels.

    A span is named by its content and its own labels. Without `labels=` the files are as they were. Spans without any
    row are left out. No span with rows, labels without a `request_id`, or with a column that the log has too, raise
    `SourceError`.
    """
    files = [file for file in files if (known := about(file.part)).records > known.rowless]
    if not files:
        do = "let the service be asked with rows, or name another log"
        raise SourceError(str(source), expected="requests with their rows", got="none", do=do)
    if source.labels is None:
        return tuple(files), RequestLogReader(), None
    labels, repeated, replaced, quarantined = _read(source.labels, folder)
    _check(source.labels, labels.columns, files)
    reader = RequestLogReader(frame_hash(labels), labels)
    found, joined = [], 0
    for file in files:
        ids = pl.concat([_NOTHING, *RequestLogReader().read(file.part, columns=(ID,))])
        there = labels.with_columns(pl.lit(value=True).alias(_HASH))
        rows = ids.join(there, on=ID, how="left", maintain_order="left")
        joined += int(rows[_HASH].fill_null(value=False).sum())
        own = content_hash([file.sha256, frame_hash(rows.select(reader.label_columns))])
        found.append(replace(file, sha256=own, labels=reader.labels))
    total = labels.height + repeated + replaced + quarantined
    counts = LabelCounts(total, joined, labels.height - joined, repeated, replaced, quarantined)
    return tuple(sorted(found, key=lambda file: file.sha256)), reader, counts


def rowless(files: Sequence[FileFound]) -> int:
    """How many records of the spans have no row, which are left out."""
    return sum(about(file.part).rowless for file in files)


def hashed_columns(files: Sequence[FileFound]) -> tuple[str, ...]:
    """The request columns that some span of a log holds as hashes only."""
    return tuple(sorted({name for file in files for name, kept in about(file.part).policy.items() if kept == "hash"}))


def _read(source: Source, folder: str) -> tuple[pl.DataFrame, int, int, int]:
    """Ids and labels, one row an id, ordered by it; how many rows were repeated, replaced, quarantined."""
    reader = reader_of(source)
    files = sorted(discover(source, folder), key=lambda file: file.url)
    guesses = {file.url: _guesses(reader, file) for file in files}
    columns = agree(guesses, text=reader.text, types={**dict(source.types), ID: "string"}, optional=source.optional)
    frames, quarantined = [], 0
    for file in files:
        for raw in reader.read(file.part):
            rows, broken = _typed(raw, columns, reader)
            frames.append(rows)
            quarantined += broken
    if ID not in {column.name for column in columns}:
        names = near_names(ID, [column.name for column in columns])
        do = f"name the column of ids {ID!r} ({names})"
        raise SourceError(str(source), expected=f"a column {ID!r}", got="none", do=do)
    every = pl.concat(frames)
    every = every.with_columns(pl.Series(_HASH, row_hash(every, every.columns), dtype=pl.UInt64))
    last = pl.col(_HASH).last().over(ID)
    same = int(every.select((pl.col(_HASH) == last).sum()).item()) if every.height else 0
    known = every.unique(ID, keep="last", maintain_order=True).drop(_HASH).sort(ID)
    return known, same - known.height, every.height - same, quarantined


def _guesses(reader: SourceReader, file: FileFound) -> tuple[Guess, ...]:
    known = reader.inspect(file.part)
    if known is not None:
        return known
    guess = TypeGuess(reader.text)
    state = guess.zero()
    for frame in reader.read(file.part):
        state = guess.add(state, frame)
    return guess.result(state)


def _typed(raw: pl.DataFrame, columns: Sequence[Guess], reader: SourceReader) -> tuple[pl.DataFrame, int]:
    """The rows of which every value is of its column's type, and how many are not, or have no id."""
    made, good = [], pl.repeat(value=True, n=raw.height, eager=True)
    for column in columns:
        series = raw[column.name] if column.name in raw.columns else pl.Series([None] * raw.height, dtype=pl.Null)
        value, faults = parse(series, column.type or "opaque", reader.text)
        made.append(value.alias(column.name))
        for _, mask in faults:
            good &= ~mask
        if column.name == ID:
            good &= value.is_not_null()
    rows = pl.DataFrame(made).filter(good)
    return rows, raw.height - rows.height


def _check(labels: Source, columns: Sequence[str], files: Sequence[FileFound]) -> None:
    """Refuse labels that are called as a column of the log."""
    taken = set(LOGGED) - {ID}
    for file in files:
        taken |= set(RequestLogReader().names(file.part)) - {ID}
    for name in columns:
        if name in taken:
            do = "rename or leave out that column of the labels"
            raise SourceError(str(labels), expected="columns that the log has not", got=repr(name), do=do)
