"""Spans and the states of reducers over them, in the catalog.

A span is the pair (source content, how it was read): the same content read the same way again adds nothing.
What does not belong here: how a span is read, and what a state means (`steps`, `reducers`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select
from sqlalchemy.engine import RowMapping

from ninetyfive.errors import IntegrityError
from ninetyfive.hashing import bytes_hash
from ninetyfive.store import catalog
from ninetyfive.store.accounts import row_hash
from ninetyfive.store.catalog import from_json, to_json
from ninetyfive.store.records import SpanRecord
from ninetyfive.store.shelf import Shelf

_INLINE = 1 << 16


class Spans(Shelf):
    """The verbs on spans and states."""

    def add_spans(
        self, records: Sequence[SpanRecord], states: Mapping[tuple[str, str], bytes] | None = None
    ) -> list[SpanRecord]:
        """Add spans, and states `{(span, key): bytes}` with them, in one transaction; returns the spans that were new.

        A span that is there stays as it is, unless its files are gone: then the new record takes its place and number.
        """
        stored = self._put_large(states or {})
        with self.catalog.write() as connection:
            added = [values for values in (self._add(connection, each) for each in records) if values]
            changed = self._put_states(connection, states or {}, stored)
            if added or changed:
                details = {
                    "states": len(states or {}),
                    "spans": [[values["span"], values["sequence"], values["read"]] for values in added],
                    "rows": [row_hash(values, catalog.spans) for values in added],
                }
                self._audit(connection, "spans.add", f"{len(added)} spans", details)
        return [_span(values) for values in added]

    def spans(self, ingest_key: str) -> list[SpanRecord]:
        """All spans that were read in one way, in order of number; their files may be gone (see `known_spans`)."""
        table = catalog.spans
        with self.catalog.read() as connection:
            rows = connection.execute(select(table).where(table.c.ingest_key == ingest_key).order_by(table.c.sequence))
            return [_span(row) for row in rows.mappings()]

    def span_count(self) -> int:
        """How many spans there are, however they were read."""
        with self.catalog.read() as connection:
            return connection.scalar(select(func.count()).select_from(catalog.spans)) or 0

    def known_spans(self, ingest_key: str) -> frozenset[str]:
        """Content hashes of sources that need no reading again: their spans are recorded and all their files there."""
        spans = self.spans(ingest_key)
        there = self._present(name for span in spans for name in _files(span))
        return frozenset(span.span for span in spans if there.issuperset(_files(span)))

    def put_states(self, states: Mapping[tuple[str, str], bytes]) -> None:
        """Store reducer states `{(span, key): bytes}` in one transaction; a state that is there is replaced."""
        stored = self._put_large(states)
        with self.catalog.write() as connection:
            if self._put_states(connection, states, stored):
                self._audit(
                    connection, "states.put", f"{len(states)} states", {"keys": sorted({key for _, key in states})}
                )

    def states(self, key: str, spans: Collection[str]) -> dict[str, bytes]:
        """The states of `spans` under `key` as `{span: bytes}`; spans without one are left out.

        So are those of which the bytes, in the catalog or in a file, are gone or not what was stored: they are to be
        computed anew, and the doctor names them.
        """
        wanted = sorted(spans)
        found: dict[str, bytes] = {}
        table = catalog.states
        with self.catalog.read() as connection:
            rows: list[Row[str, str, bytes | None, str | None]] = []
            for start in range(0, len(wanted), 500):
                some = wanted[start : start + 500]
                query = select(table.c.span, table.c.sha256, table.c.blob, table.c.artifact)
                rows += connection.execute(query.where(table.c.key == key, table.c.span.in_(some)))
        for span, sha256, blob, artifact in rows:
            if blob is None and artifact is not None:
                with suppress(IntegrityError):
                    blob = self.read(artifact)
            if blob is not None and bytes_hash(blob) == sha256:
                found[span] = blob
        return found

    def _add(self, connection: Connection, record: SpanRecord) -> dict[str, Any] | None:
        """The row as it was added, None where it was there."""
        table = catalog.spans
        here = (table.c.ingest_key == record.ingest_key) & (table.c.span == record.span)
        old = connection.execute(select(table).where(here)).mappings().one_or_none()
        if old is not None and all(self.artifacts.size(name) is not None for name in _files(_span(old))):
            return None
        self._name(connection, _files(record))
        if old is None:
            number = (connection.scalar(select(func.max(table.c.sequence))) or 0) + 1
        else:
            number = old["sequence"]
            connection.execute(delete(table).where(here))
        values = {name: getattr(record, name) for name in SpanRecord.__struct_fields__}
        values.update(sequence=number, chunks=to_json(record.chunks), details=to_json(record.details))
        connection.execute(insert(table).values(**values))
        return values

    def _put_large(self, states: Mapping[tuple[str, str], bytes]) -> dict[tuple[str, str], str]:
        return {place: self.put_bytes(data) for place, data in states.items() if len(data) > _INLINE}

    def _put_states(
        self, connection: Connection, states: Mapping[tuple[str, str], bytes], stored: Mapping[tuple[str, str], str]
    ) -> bool:
        """Whether any state is new or other than before."""
        table = catalog.states
        self._name(connection, stored.values())
        rows: list[dict[str, object]] = []
        for (span, key), data in states.items():
            artifact = stored.get((span, key))
            blob = None if artifact else data
            rows.append({"key": key, "span": span, "sha256": bytes_hash(data), "blob": blob, "artifact": artifact})
        changed: list[dict[str, object]] = []
        for start in range(0, len(rows), 500):
            some = rows[start : start + 500]
            same = table.c.key.in_({row["key"] for row in some}) & table.c.span.in_({row["span"] for row in some})
            old = [dict(row) for row in connection.execute(select(table).where(same)).mappings()]
            changed += [row for row in some if row not in old]
        if changed:
            here = (table.c.key == bindparam("_key")) & (table.c.span == bindparam("_span"))
            places = [{"_key": row["key"], "_span": row["span"]} for row in changed]
            connection.execute(delete(table).where(here), places)
            connection.execute(insert(table), changed)
        return bool(changed)


def _files(span: SpanRecord) -> tuple[str, ...]:
    return tuple(name for name in (span.artifact, span.quarantine) if name is not None)


def _span(row: RowMapping | Mapping[str, object]) -> SpanRecord:
    values = dict(row)
    chunks, details = str(values["chunks"]), str(values["details"])
    values.update(chunks=tuple(from_json(chunks)), details=from_json(details))
    return SpanRecord(**values)
