"""Requests that can be asked again: rows of a log or of the history, in order, as a worker is sent them.

    spans of a log ─▶ rows that keep the schema of a request ─┬─ up to `as_of` ─▶ the table is made of them (`steps`)
    a frame of rows ─▶                                        └─ after it, by time ─▶ bodies ─▶ the worker

The rule: what is asked again keeps the schema of the release that answers; what does not is counted, not asked.
What does not belong here: who is asked (`worker`), what is counted (`rehearsal`, `proof`).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ninetyfive.conform import Conform
from ninetyfive.models.release import OpenRelease
from ninetyfive.schema import ColumnSchema, Schema
from ninetyfive.sources.discovery import discover
from ninetyfive.sources.files import Source, frame, request_log
from ninetyfive.sources.log_spans import about
from ninetyfive.sources.readers import reader_of
from ninetyfive.steps.population import REQUEST_TIME
from ninetyfive.supervise.replay import body_of


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests, and those after a moment: `rows` in the order they came, with `request_time` and a request's columns.

    `source` is what a table is made of. Of the records after `as_of` (µs UTC) `refused` have a row that breaks the
    schema of the release; `rowless` records of their spans have none.
    """

    source: Source
    as_of: int
    rows: pl.DataFrame
    rowless: int = 0
    refused: int = 0


def of_log(log: str, release: OpenRelease, after: int, until: int | None = None) -> Traffic:
    """The requests of a log (a folder of spans) that came after `after` (µs UTC), and not after `until`.

    `SchemaError` where a span lacks a column that a request of the release holds, `SourceError` where there is no log.
    """
    source = request_log(log)
    reader = reader_of(source)
    found: list[pl.DataFrame] = []
    rowless = refused = 0
    for file in discover(source):
        span = about(file.part)
        if span.last <= after or (until is not None and span.first > until):
            continue
        rowless += span.rowless
        for raw in reader.read(file.part):
            rows, broken = _conformed(_between(raw, after, until), release)
            found.append(rows)
            refused += broken.height
    return Traffic(source, after, _in_order(found, release), rowless, refused)


def of_frame(rows: pl.DataFrame, release: OpenRelease, after: int) -> Traffic:
    """The requests of a frame (`request_time` in UTC, and the columns of a request) that came after `after` (µs)."""
    kept, broken = _conformed(_between(rows, after, None), release)
    return Traffic(frame(rows), after, _in_order([kept], release), 0, broken.height)


def newest(log: str, release: OpenRelease, most: int) -> pl.DataFrame:
    """The `most` latest rows of a log that keep the schema, the earliest first."""
    source = request_log(log)
    reader = reader_of(source)
    found: list[pl.DataFrame] = []
    have = 0
    spans = sorted(((about(file.part).last, file) for file in discover(source)), key=lambda one: one[0], reverse=True)
    for _, file in spans:
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
