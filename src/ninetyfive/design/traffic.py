"""Requests that can be asked again: rows of a log or of the history, in order, as a worker is sent them.

    spans of a log ─▶ rows that keep the schema of a request ─┬─ up to `as_of` ─▶ the table is made of them (`steps`)
    a frame of rows ─▶                                        └─ after it, by time ─▶ bodies ─▶ the worker

The rule: what is asked again keeps the schema of the release that answers; what does not is counted, not asked.
What does not belong here: who is asked (`worker`), what is counted (`rehearsal`, `proof`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from ninetyfive.conform import Conform
from ninetyfive.design.evidence import Window
from ninetyfive.errors import SchemaError
from ninetyfive.models.release import OpenRelease
from ninetyfive.schema import ColumnSchema, Schema
from ninetyfive.sources.discovery import FileFound, discover
from ninetyfive.sources.files import Source, frame, request_log
from ninetyfive.sources.log_spans import RequestLogReader, about
from ninetyfive.sources.readers import reader_of
from ninetyfive.steps.population import REQUEST_TIME
from ninetyfive.supervise.replay import body_of
from ninetyfive.values import micros_of


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests, and those after a moment: `rows` in the order they came, with `request_time` and a request's columns.

    `source` is what a table is made of, so many `records`. Of the records after `as_of` (µs UTC) `refused` have a row
    that breaks the schema of the release; of their spans `rowless` records have none, and `foreign` ones lack a column.
    """

    source: Source
    as_of: int
    rows: pl.DataFrame
    records: int = 0
    rowless: int = 0
    refused: int = 0
    foreign: int = 0


def of_windows(log: str, release: OpenRelease, windows: Sequence[Window]) -> Traffic:
    """The requests of the last of the windows of a log: tables are made of those before it. Errors as `of_log`.

    Spans that ended before the first window began are not read.
    """
    *before, last = windows
    ends = [_micros(window.last) for window in before if window.last]
    first = next((_micros(window.first) for window in windows if window.first), -1)
    until = _micros(last.last) if last.last else None
    spans = [file.url for file in discover(request_log(log)) if about(file.part).last >= first]
    return of_log(spans or log, release, max(ends, default=-1), until)


def of_log(log: str | list[str], release: OpenRelease, after: int, until: int | None = None) -> Traffic:
    """The requests of a log (a folder of spans, or some of them) after `after` (µs UTC), and not after `until`.

    Spans that lack a column which a request of the release holds are left out; where all do, it is a `SchemaError`.
    `SourceError` where there is no log.
    """
    source = request_log(log)
    reader = reader_of(source)
    found: list[pl.DataFrame] = []
    records = rowless = refused = foreign = 0
    for file in discover(source):
        span = about(file.part)
        records += span.records
        if span.last <= after or (until is not None and span.first > until):
            continue
        rowless += span.rowless
        if not _whole(file, release):
            foreign += span.records
            continue
        for raw in reader.read(file.part):
            rows, broken = _conformed(_between(raw, after, until), release)
            found.append(rows)
            refused += broken.height
    if foreign and not found:
        raise _foreign(source, release, foreign)
    return Traffic(source, after, _in_order(found, release), records, rowless, refused, foreign)


def of_frame(rows: pl.DataFrame, release: OpenRelease, after: int) -> Traffic:
    """The requests of a frame (`request_time` in UTC, and the columns of a request) that came after `after` (µs)."""
    kept, broken = _conformed(_between(rows, after, None), release)
    return Traffic(frame(rows), after, _in_order([kept], release), rows.height, 0, broken.height)


def newest(log: str, release: OpenRelease, most: int) -> pl.DataFrame:
    """The `most` latest rows of a log that keep the schema, the earliest first; spans are left out as by `of_log`."""
    source = request_log(log)
    reader = reader_of(source)
    found: list[pl.DataFrame] = []
    have = 0
    spans = [(about(file.part), file) for file in discover(source)]
    whole = sorted((one for one in spans if _whole(one[1], release)), key=lambda one: one[0].last, reverse=True)
    if not whole:
        raise _foreign(source, release, sum(span.records for span, _ in spans))
    for _, file in whole:
        if have >= most:
            break
        for raw in reader.read(file.part):
            rows, _ = _conformed(raw, release)
            found.append(rows)
            have += rows.height
    return _in_order(found, release).tail(most)


def conformed(rows: pl.DataFrame, release: OpenRelease) -> pl.DataFrame:
    """The rows of a frame that keep the schema of a request, its columns alone."""
    return Conform(release.request)(rows)[0]


def bodies(rows: pl.DataFrame, release: OpenRelease) -> list[bytes]:
    """The body of a request for each row, without its nulls."""
    names = list(release.request.names)
    return [body_of(names, row) for row in rows.select(names).iter_rows()]


def spread(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """At most so many of the rows, evenly spread over them, in order."""
    if rows.height <= most:
        return rows
    return rows[[place * rows.height // most for place in range(most)]]


def _whole(file: FileFound, release: OpenRelease) -> bool:
    """Whether a span holds every column of a request."""
    needed = {column.name for column in release.request.columns if not column.optional}
    return needed <= (RequestLogReader().names(file.part)).keys()


def _foreign(source: Source, release: OpenRelease, records: int) -> SchemaError:
    return SchemaError(
        ", ".join(source.urls),
        expected=f"requests of release {release.hash[:12]}",
        got=f"{records:,} records, all without a column of them",
        do="name the log of this system, and let it keep the columns that the features and the entity need",
    )


def _micros(text: str) -> int:
    return micros_of(datetime.fromisoformat(text))


def _schema(release: OpenRelease) -> Schema:
    return Schema((*release.request.columns, ColumnSchema(REQUEST_TIME, "timestamp[UTC]", nullable=False)))


def _conformed(raw: pl.DataFrame, release: OpenRelease) -> tuple[pl.DataFrame, pl.DataFrame]:
    return Conform(_schema(release))(raw)


def _between(raw: pl.DataFrame, after: int, until: int | None) -> pl.DataFrame:
    moment = raw[REQUEST_TIME].to_physical()
    keep = moment > after
    return raw.filter(keep if until is None else keep & (moment <= until))


def _in_order(found: list[pl.DataFrame], release: OpenRelease) -> pl.DataFrame:
    if not found:
        return pl.DataFrame(schema=dict(_schema(release).dtypes))
    return pl.concat(found).sort(REQUEST_TIME, maintain_order=True)
