"""Ingest: files become spans. One job reads every new file once: good rows, quarantine, statistics, repeated ids.

    raw rows ─ Conform ─┬─ accepted ─┬─▶ Parquet of the span       one file a span, a row group a chunk
                        │            ├─▶ statistics, labels, nulls  states, kept per span
                        │            └─▶ ids ─ Shuffle ─▶ which rows repeat, over all spans of the source
                        └─ rejected ───▶ Parquet of the quarantine

Rows are conserved: read = accepted + quarantined + unlabelled + duplicate, each counted. A repeated id with equal
content is a duplicate, all but the first in canonical order are left out; with other content all its rows are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive.conform import Conform
from ninetyfive.features.encoding import LABEL
from ninetyfive.hashing import content_hash
from ninetyfive.plan import CHUNK_ROWS, POSITION, SPAN, Map, Part, Plan, Read, Reduce, Write, WrittenFile, result_of
from ninetyfive.reducers.counts import Counts
from ninetyfive.reducers.keyed_counts import KeyedCounts
from ninetyfive.reducers.quantiles import Quantiles
from ninetyfive.reducers.statistics import Statistics
from ninetyfive.relations import CONFLICT, DUPLICATE, rows_of
from ninetyfive.schema import RESERVED, Schema
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.span_checks import Finding, SpanCounts, causes_text, check_columns, check_span
from ninetyfive.steps.clashes import judge_clashes
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.declared import task_of
from ninetyfive.steps.labelling import LABEL_DTYPES, LabelOnly
from ninetyfive.steps.repeats import Verdicts, judge, places_of, shared_plan
from ninetyfive.steps.window import Ingested, SpanEntry, statistics_key, times_key
from ninetyfive.store.records import SpanRecord

VERSION = 2
CHUNK = "__chunk"
EXAMPLE = 80
"""How much of a value is shown."""
NAME = "name"
NOTICED = 5
"""How many files with rows in quarantine, or columns that are not known, are told of one by one."""


def ingest_depends(context: Prepared) -> Any:
    """What decides the output of ingest: the files, how they are read, and the label, by which rows are counted."""
    system = context.declaration
    return [ingest_key(context), [file.sha256 for file in context.files], str(system.label), system.task]


def ingest_key(context: Prepared) -> str:
    """How files are read: two equal keys give the same rows of the same file."""
    source = context.declaration.source
    read = [source.kind, source.separator, source.encoding, source.null_values, source.id, source.time]
    return content_hash([VERSION, read, context.schema.columns])


def ingest(context: Prepared) -> dict[str, Any]:
    """Read the files that are not spans yet; returns `Ingested`. Raises what `judge_clashes` and a reader raise."""
    key, statistics = ingest_key(context), Statistics(tuple(context.schema.types.items()))
    done = _whole(context, key)
    fresh = [file for file in context.files if file.sha256 not in done]
    notices = _check_names(context, [file.part for file in fresh])
    work = _Work(context, key, statistics, Conform(context.schema, context.reader.text))
    with context.store.draft() as draft:
        found = work.read([file.part for file in fresh], draft)
    spans = {record.span: record for record in context.store.spans(key)}
    window = [spans[file.sha256] for file in context.files]
    parts = {record.span: _part(context, record) for record in window if record.artifact}
    verdicts, unlabelled = work.verdicts(found, parts)
    counts = work.counts(window, verdicts, unlabelled)
    notices += [*_unknown(found), *_in_quarantine(window), *judge_clashes(context, counts, parts, verdicts)]
    without = context.store.put_bytes(msgspec.json.encode(verdicts, order="deterministic")) if verdicts else None
    put_out = Ingested(
        spans=tuple(_entry(record) for record in sorted(window, key=lambda record: record.span)),
        # Whether the schema was reviewed changes no row: it is told by the release alone.
        schema=msgspec.structs.replace(context.schema, reviewed=False, version=1),
        task=task_of(context.declaration, context.schema),
        ingest_key=key,
        counts=counts,
        without=without,
        notices=tuple(notices),
        artifacts=tuple(
            sorted(
                {name for record in window for name in (record.artifact, record.quarantine) if name}
                | ({without} if without else set())
            )
        ),
    )
    built: dict[str, Any] = msgspec.to_builtins(put_out)
    return built


@dataclass(frozen=True, slots=True)
class Placed:
    """A row function: `Conform`, whose accepted rows keep `__span` and get the `__position` they have in the good file.

    `__chunk` is the number of the raw chunk. Rejected rows keep the place they had in the raw file.
    """

    conform: Conform

    def __call__(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        accepted, rejected = self.conform(frame)
        chunk = (frame[POSITION][0] // CHUNK_ROWS) if frame.height else 0
        position = np.arange(accepted.height, dtype=np.int64) + chunk * CHUNK_ROWS
        span = frame[SPAN][0] if frame.height else None
        places = pl.DataFrame(
            {SPAN: pl.repeat(span, accepted.height, dtype=pl.String, eager=True), POSITION: position},
            schema={SPAN: pl.String, POSITION: pl.Int64},
        ).with_columns(pl.lit(chunk, pl.Int64).alias(CHUNK))
        return pl.concat([accepted, places], how="horizontal"), rejected

    @property
    def accepted(self) -> tuple[tuple[str, pl.DataType], ...]:
        """(name, dtype) of the accepted rows."""
        return (*self.conform.accepted, (SPAN, pl.String()), (POSITION, pl.Int64()), (CHUNK, pl.Int64()))


@dataclass(frozen=True, slots=True)
class _Work:
    """One ingest: what its parts share."""

    context: Prepared
    key: str
    statistics: Statistics
    conform: Conform

    def read(self, parts: Sequence[Part], draft: str) -> dict[str, Any]:
        """Read new files in one job, and record their spans; {} where there are none."""
        if not parts:
            return {}
        context, schema = self.context, self.context.schema
        raw = Read(tuple(parts), context.reader, position=True)
        placed = Placed(self.conform)
        rows = Map(raw, placed, placed.accepted)
        rejected = Map(raw, placed, self.conform.rejected(position=True), side="rejected")
        task = task_of(context.declaration, schema)
        label = LabelOnly(context.declaration.label.node, tuple(schema.types.items()), task)
        plans: dict[str, Plan] = {
            "good": Write(rows_of(rows, dict(schema.dtypes)), f"{draft}/good"),
            "quarantine": Write(rejected, f"{draft}/quarantine"),
            "causes": Reduce(rejected, Counts(), by=("rule", "column")),
            "statistics": Reduce(rows, self.statistics),
            "labels": Reduce(Map(rows, label, ((LABEL, LABEL_DTYPES[task]),)), Counts((LABEL,))),
            "chunks": Reduce(rows, KeyedCounts(CHUNK)),
        }
        if context.declaration.source.time:
            plans["times"] = Reduce(rows, Quantiles(context.declaration.source.time))
        if context.reader.text == "json":
            plans["unknown"] = Reduce(Map(raw, Unknown(schema.names), ((NAME, pl.String()),)), KeyedCounts(NAME))
        shared = shared_plan(context, rows, self._known({part.span for part in parts}))
        if shared is not None:
            plans["shared"] = shared
        found = context.engine.run(plans)
        self._record(parts, found)
        return found

    def verdicts(self, found: Mapping[str, Any], parts: Mapping[str, Part]) -> tuple[Verdicts, dict[str, int]]:
        """The verdicts on repeated ids over all spans of the source, and the unlabelled rows among those left out."""
        if not found:
            plan = shared_plan(self.context, None, self._known(set()))
            found = {} if plan is None else self.context.engine.run({"shared": plan})
        if "shared" not in found:
            return {}, {}
        chunks = {span: _ordinals(counts) for span, counts in found.get("chunks", {}).items()}
        return judge(self.context, places_of(found["shared"], chunks), parts)

    def counts(
        self, window: Sequence[SpanRecord], verdicts: Verdicts, left_out: Mapping[str, int]
    ) -> dict[str, dict[str, int]]:
        """`{span: {read, accepted, quarantined, unlabelled, duplicate}}`; `left_out`: unlabelled rows that repeat."""
        counts = {}
        for record in window:
            kinds = verdicts.get(record.span, {})
            duplicate, conflict = len(kinds.get(DUPLICATE, ())), len(kinds.get(CONFLICT, ()))
            unlabelled = record.details["unlabelled"] - left_out.get(record.span, 0)
            counts[record.span] = {
                "read": record.read,
                "accepted": record.accepted - duplicate - conflict - unlabelled,
                "quarantined": record.quarantined + conflict,
                "unlabelled": unlabelled,
                "duplicate": duplicate,
                "conflict": conflict,
            }
        return counts

    def _known(self, fresh: set[str]) -> list[Part]:
        """The spans of the source that the store has, but those that are read anew."""
        window = {file.sha256 for file in self.context.files} - fresh
        records = self.context.store.spans(self.key)
        return [_part(self.context, record) for record in records if record.span in window and record.artifact]

    def _record(self, parts: Sequence[Part], found: Mapping[str, Any]) -> None:
        """Move the written files into the store and record their spans, all in one transaction."""
        context = self.context
        good = {file.span: file for file in found["good"]}
        bad = {file.span: file for file in found["quarantine"]}
        records, states = [], {}
        time = context.declaration.source.time
        for part in parts:
            state = found["statistics"][part.span]
            columns = self.statistics.result(state).columns
            column = columns.get(time) if time else None
            accepted, quarantined = sum(good[part.span].rows), sum(bad[part.span].rows)
            causes = {key: reduced.rows for key, reduced in found["causes"][part.span].items()}
            nulls = {name: seen.nulls for name, seen in columns.items()}
            records.append(
                SpanRecord(
                    span=part.span,
                    ingest_key=self.key,
                    url=part.url,
                    read=accepted + quarantined,
                    accepted=accepted,
                    quarantined=quarantined,
                    artifact=_keep(context, good[part.span]),
                    quarantine=_keep(context, bad[part.span]),
                    chunks=good[part.span].rows,
                    time_min=_microseconds(context.schema, time, column.min if column else None),
                    time_max=_microseconds(context.schema, time, column.max if column else None),
                    schema_version=context.schema.version,
                    details={
                        "checks": good[part.span].checks,
                        "unlabelled": found["labels"][part.span].nulls[0],
                        "nulls": nulls,
                        "causes": [[rule, name, rows] for (rule, name), rows in sorted(causes.items())],
                        "rejected": [bad[part.span].rows, bad[part.span].checks],
                        "run": holder.run if (holder := context.store.holder()) else "",
                    },
                )
            )
            states[part.span, statistics_key(self.key)] = self.statistics.encode(state)
            if time:
                states[part.span, times_key(self.key)] = Quantiles(time).encode(found["times"][part.span])
        context.store.add_spans(records, states)


def findings(context: Prepared) -> list[dict[str, Any]]:
    """What is wrong with the spans of the window, by the schema: `span_checks.Finding` as plain data."""
    window = {file.sha256 for file in context.files}
    found = []
    for record in context.store.spans(ingest_key(context)):
        if record.span in window:
            counts = SpanCounts(record.read, record.accepted, record.quarantined, _causes(record))
            for finding in check_span(context.schema, record.details["nulls"], counts, record.url):
                found.append(_with_example(context, record, finding) if finding.rule == "quarantined" else finding)
    built: list[dict[str, Any]] = msgspec.to_builtins(found)
    return built


def ingested_by(context: Prepared, run: str) -> frozenset[str]:
    """The spans of the source that a run has read, before it was killed and resumed too."""
    return frozenset(
        record.span for record in context.store.spans(ingest_key(context)) if record.details.get("run") == run
    )


def _with_example(context: Prepared, record: SpanRecord, finding: Finding) -> Finding:
    """The finding with one value that is in quarantine, and where the others are."""
    if record.quarantine is None:
        return finding
    path = context.store.location(record.quarantine)
    rows, checks = record.details["rejected"]
    part = part_of(WrittenFile(record.span, path, record.quarantine, tuple(rows), checks))
    first = next(SpanReader().read(part, 0, 1)).row(0, named=True)
    example = f", such as {str(first['value'])[:EXAMPLE]!r} in {first['column']!r}"
    return msgspec.structs.replace(
        finding,
        got=finding.got + (example if first["value"] is not None else ""),
        do=f"look at the rows in {path}, then correct the file, the rules in schema.toml, or max_quarantined there",
    )


def _causes(record: SpanRecord) -> dict[tuple[str, str], int]:
    return {(rule, column): rows for rule, column, rows in record.details["causes"]}


def _in_quarantine(window: Sequence[SpanRecord]) -> list[str]:
    """What to tell of rows in quarantine: how many of which file, why, and where they are, wherever the store is."""
    some = [record for record in window if record.quarantine]
    told = [
        f"{record.url}: {record.quarantined:,} of {record.read:,} rows in quarantine"
        f" ({causes_text(_causes(record))}), kept in artifacts/{record.quarantine} of the store"
        for record in some[:NOTICED]
    ]
    return told + [f"and {len(some) - NOTICED} more files with rows in quarantine"] * (len(some) > NOTICED)


def _check_names(context: Prepared, parts: Sequence[Part]) -> list[str]:
    """Hold the columns of new files against the schema before they are read; what only differs is told."""
    notices: dict[str, int] = Counter()
    for part in parts:
        names = context.reader.names(part)
        for finding in check_columns(context.schema, names, part.url) if names is not None else ():
            if finding.blocking:
                raise finding.error()
            notices[f"column {finding.column!r} is not in schema.toml and is left out"] += 1
    return [f"{text} ({files} files)" for text, files in notices.items()]


def _whole(context: Prepared, key: str) -> frozenset[str]:
    """The spans that need no reading: their files are there, and the states that the steps after this one merge."""
    known = context.store.known_spans(key) & {file.sha256 for file in context.files}
    kept = [statistics_key(key)]
    if context.declaration.source.time:
        kept.append(times_key(key))
    for name in kept:
        known &= context.store.states(name, known).keys()
    return known


@dataclass(frozen=True, slots=True)
class Unknown:
    """A row function: raw rows of JSON → the name of each of their fields that is none of `names`."""

    names: tuple[str, ...]

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        new = [name for name in frame.columns if name not in self.names and not name.startswith(RESERVED)]
        if not new:
            return pl.DataFrame(schema={NAME: pl.String})
        fields = pl.concat_list(pl.when(pl.col(name).is_not_null()).then(pl.lit(name)) for name in new)
        return frame.select(fields.alias(NAME)).explode(NAME).drop_nulls()


def _unknown(found: Mapping[str, Any]) -> list[str]:
    """What to tell of fields of JSON that the schema does not know: only reading tells them."""
    counts = result_of(KeyedCounts(NAME), found.get("unknown", {}))
    told = [f"column {name!r} is not in schema.toml and is left out ({rows:,} rows)" for name, rows in counts.items()]
    return told[:NOTICED] + [f"and {len(told) - NOTICED} more such columns"] * (len(told) > NOTICED)


def _keep(context: Prepared, written: WrittenFile) -> str | None:
    """The id of a written file in the store; None where it has no rows."""
    return context.store.take(written.url, written.sha256) if sum(written.rows) else None


def _part(context: Prepared, record: SpanRecord) -> Part:
    assert record.artifact is not None
    written = WrittenFile(record.span, "", record.artifact, record.chunks, record.details["checks"])
    return part_of(written, context.store.location(record.artifact))


def _entry(record: SpanRecord) -> SpanEntry:
    return SpanEntry(
        span=record.span,
        url=record.url,
        artifact=record.artifact,
        rows=record.chunks,
        checks=record.details["checks"],
        time_min=record.time_min,
        time_max=record.time_max,
    )


def _ordinals(counts: Mapping[Any, int]) -> dict[int, int]:
    """`{raw chunk: row group}`, of the chunks that have good rows."""
    return {chunk: place for place, chunk in enumerate(sorted(counts))}


def _microseconds(schema: Schema, time: str | None, value: Any) -> int | None:
    if time is None or value is None:
        return None
    return int(value) * (86_400_000_000 if schema.types[time] == "date" else 1)
