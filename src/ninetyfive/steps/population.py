"""Population: who a table is made for, and the latest row of each.

    file    every row of it                                         ┐ Conform ─▶ key, fingerprint ─▶ one row an entity,
    log     the entities asked about most often, as of a time       ┘            the latest; the others are counted

The latest row is the one of the greatest time, where rows have one, else the last in canonical order. A row with a null
in its entity has no key: no request could find it. What does not belong here: answers (`table`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ninetyfive.conform import Conform
from ninetyfive.errors import SourceError, UsageError
from ninetyfive.features.frames import column, scalars
from ninetyfive.hashing import content_hash
from ninetyfive.models.release import OpenRelease
from ninetyfive.paradigms import DynamicServing, Serving
from ninetyfive.plan import Engine, Map, Part, Plan, Read, Reduce, Shuffle, Write, WrittenFile, merge_keyed, result_of
from ninetyfive.reducers.counts import Counts
from ninetyfive.schema import ColumnSchema, Schema
from ninetyfive.settings import Settings
from ninetyfive.sources.discovery import discover
from ninetyfive.sources.files import Source, request_log, source_of
from ninetyfive.sources.readers import SourceReader, reader_of
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.steps.predict import left_out
from ninetyfive.store.opening import work_folder
from ninetyfive.tables.about import Population
from ninetyfive.tables.keys import entity_key, fingerprint, whole_key

KEY, WHOLE, FINGERPRINT, TIME, REQUESTS = "__key", "__whole", "__fingerprint", "__time", "__requests"
KEY_TEXT = "latin-1"
"""How a key stands in a column of text, one sign a byte, since a shuffle meets no bytes; its order stays."""
REQUEST_TIME = "request_time"
"""The column of a request log that says when a request came."""

_NEVER = -(2**63)


@dataclass(frozen=True, slots=True)
class Named:
    """A population as it was asked for: its files, and how many entities of them, if it is a request log."""

    source: Source
    folder: str = ""
    top: int | None = None


@dataclass(frozen=True, slots=True)
class Latest:
    """One row an entity: the files that hold them with their columns, whose they are, how many rows became what.

    `counts`: read = accepted + rejected + later + nameless; accepted = entities + repeated. `notices` say it in words.
    """

    files: tuple[WrittenFile, ...]
    columns: tuple[tuple[str, pl.DataType], ...]
    population: Population
    counts: dict[str, int]
    notices: tuple[str, ...]


def log_folder(settings: Settings) -> str:
    """Where the request log of a project is kept: as `[serve.log]` says, else in the store's local folder."""
    said = settings.serve.log.folder
    return settings.absolute(said) if said else str(work_folder(settings.store_url, settings.catalog) / "requests")


def population_of(serving: Serving, settings: Settings) -> Named | None:
    """The population by which a run builds a table: the declared one, or the log where it has spans; None: neither."""
    if isinstance(serving, DynamicServing):
        return None
    log = log_folder(settings)
    if serving.population is None and not any(Path(log).glob("*.parquet")):
        return None
    return named(serving, settings.folder, None, log)


def named(serving: Serving, folder: Path, file: str | None, log: str | None) -> Named:
    """The population that is given, else the declared one, whose path starts at `folder`; `UsageError` for neither."""
    if file is not None:
        return Named(source_of(file))
    if isinstance(serving, DynamicServing) or (serving.population is None and log is None):
        need = isinstance(serving, DynamicServing)
        raise UsageError(
            "table build",
            expected="a population",
            got="dynamic serving, which has none"
            if need
            else f"{type(serving).__name__}(top=), which takes it from a request log",
            do="name a file of rows: --population FILE" if need else "name the folder of the log: --log FOLDER",
        )
    if serving.population is not None:
        return Named(source_of(serving.population), str(folder))
    assert log is not None
    return Named(request_log(log), top=serving.top)


def latest_rows(asked: Named, release: OpenRelease, engine: Engine, draft: str, as_of: int) -> Latest:
    """One job: the latest row of each entity into files under `draft`; of a log, of requests up to `as_of` (µs, UTC).

    A column that the request needs and a file lacks raises `SchemaError`; a span of a log that lacks one is left out.
    """
    reader, found = reader_of(asked.source), discover(asked.source, asked.folder)
    if asked.top is None:
        parts, schema, notices = _of_files([file.part for file in found], reader, release)
        time = release.about.time
    else:
        parts, schema, notices = _of_log([file.part for file in found], reader, release)
        time = REQUEST_TIME
    conform = Conform(schema, reader.text)
    raw = Read(parts, reader)
    rejected = Map(raw, conform, conform.rejected(), side="rejected")
    rows: Map = Map(raw, conform, conform.accepted)
    later: dict[str, Plan] = {}
    if asked.top is not None:
        until = Until(REQUEST_TIME, as_of)
        later["later"] = Reduce(Map(rows, until, rows.output, side="rejected"), Counts())
        rows = Map(rows, until, rows.output)
    keyed = Keyed(_typed(release.about.entity, schema), tuple(release.transform.inputs.items()), time)
    entities, columns = Map(rows, keyed, keyed.output(schema)), keyed.output(schema)
    output = (*columns, (REQUESTS, pl.Int64()))
    met = Shuffle((entities,), ((KEY,),), LatestRow(), output, order=((TIME,),))
    done = engine.run(
        {
            "latest": Write(met, f"{draft}/latest"),
            "rejected": Reduce(rejected, Counts(), by=("rule", "column")),
            "nameless": Reduce(Map(rows, keyed, rows.output, side="rejected"), Counts()),
            "accepted": Reduce(entities, Counts()),
            **later,
        }
    )
    counts, broken = _counted(done)
    population = Population(
        kind="file" if asked.top is None else "log",
        urls=asked.source.urls,
        sha256=content_hash([part.span for part in parts]),
        read=counts["read"],
        top=asked.top,
    )
    return Latest(done["latest"], output, population, counts, (*notices, *_told(counts, broken)))


def head_of(latest: Latest, top: int) -> Head:
    """Which entities are the `top` ones: those of most requests, of equal ones those of the least key."""
    best = pl.DataFrame(schema={KEY: pl.String(), REQUESTS: pl.Int64()})
    for file in latest.files:
        for frame in SpanReader().read(part_of(file), columns=(KEY, REQUESTS)):
            both = pl.concat([best, frame.select(KEY, REQUESTS)])
            best = both.sort(REQUESTS, KEY, descending=[True, False]).head(top)
    key, requests = best.row(-1) if best.height else ("", 0)
    return Head(requests, key)


@dataclass(frozen=True, slots=True)
class Until:
    """Keeps rows whose `column` is at most `moment` (µs)."""

    column: str
    moment: int

    def __call__(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        keep = frame[self.column].to_physical() <= self.moment
        return frame.filter(keep), frame.filter(~keep)


@dataclass(frozen=True, slots=True)
class Keyed:
    """Rows with their key, the whole key where that is hashed, fingerprint and time; the rejected ones have no key.

    `entity` and `inputs` are (column, logical type) of what keys and fingerprints are made of; `time` is a column or
    None. Of the columns only the inputs are kept.
    """

    entity: tuple[tuple[str, str], ...]
    inputs: tuple[tuple[str, str], ...]
    time: str | None

    def output(self, schema: Schema) -> tuple[tuple[str, pl.DataType], ...]:
        """What comes out of rows of `schema`."""
        known = dict(schema.dtypes)
        own = ((KEY, pl.String()), (WHOLE, pl.Binary()), (FINGERPRINT, pl.UInt64()), (TIME, pl.Int64()))
        return (*own, *((name, known[name]) for name, _ in self.inputs))

    def __call__(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        keys: list[str | None] = []
        wholes: list[bytes | None] = []
        for row in scalars(frame, dict(self.entity)):
            values = tuple(row.values())
            key, whole = entity_key(values), whole_key(values)
            keys.append(None if key is None else key.decode(KEY_TEXT))
            wholes.append(None if whole is None or key == whole else whole)
        prints = [fingerprint(tuple(row.values())) for row in scalars(frame, dict(self.inputs))]
        # A row without a time is older than every other: nulls would be sorted last.
        times = column(self.time).to_physical().cast(pl.Int64).fill_null(_NEVER) if self.time else pl.lit(_NEVER)
        made = frame.select(
            pl.Series(KEY, keys, dtype=pl.String),
            pl.Series(WHOLE, wholes, dtype=pl.Binary),
            pl.Series(FINGERPRINT, prints, dtype=pl.UInt64),
            times.alias(TIME),
            *(column(name) for name, _ in self.inputs),
        )
        named = made[KEY].is_not_null()
        return made.filter(named), frame.filter(~named)


@dataclass(frozen=True, slots=True)
class LatestRow:
    """Of each key the last row, by the order of the shuffle, and how many rows it has."""

    def __call__(self, frames: tuple[pl.DataFrame, ...]) -> pl.DataFrame:
        (rows,) = frames
        counted = rows.with_columns(pl.len().over(KEY).cast(pl.Int64).alias(REQUESTS))
        return counted.filter(pl.col(KEY).ne_missing(pl.col(KEY).shift(-1)))


@dataclass(frozen=True, slots=True)
class Head:
    """Keeps the entities with more than `requests` requests, or as many and a key up to `key`."""

    requests: int
    key: str

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        requests, key = pl.col(REQUESTS), pl.col(KEY)
        return frame.filter((requests > self.requests) | ((requests == self.requests) & (key <= pl.lit(self.key))))


def _of_files(
    parts: Sequence[Part], reader: SourceReader, release: OpenRelease
) -> tuple[tuple[Part, ...], Schema, list[str]]:
    told: dict[str, None] = {}
    for part in parts:
        told |= dict.fromkeys(left_out(release, reader.names(part), part.url))
    return tuple(parts), release.request, list(told)


def _of_log(
    parts: Sequence[Part], reader: SourceReader, release: OpenRelease
) -> tuple[tuple[Part, ...], Schema, list[str]]:
    """The spans of a log that hold every column of a request of this release, and the schema of their rows."""
    needed = {column.name for column in release.request.columns if not column.optional} | {REQUEST_TIME}
    names = {part: reader.names(part) or {} for part in parts}
    whole = tuple(part for part, held in names.items() if needed <= held.keys())
    if not whole:
        first = next(iter(names))
        raise SourceError(
            first.url,
            expected="a span of a request log that holds what a request of this release holds",
            got=f"none with column {min(needed - names[first].keys())!r}",
            do="name the folder of the log, and let the log keep the columns that the features and the entity need",
        )
    kind = str(names[whole[0]][REQUEST_TIME])
    request = release.request
    schema = Schema((*request.columns, ColumnSchema(REQUEST_TIME, kind, nullable=False)))
    missing = len(parts) - len(whole)
    return whole, schema, [f"{missing} spans of the log lack a column of a request: left out"] * bool(missing)


def _typed(columns: Sequence[str], schema: Schema) -> tuple[tuple[str, str], ...]:
    return tuple((name, schema.types[name]) for name in columns)


def _counted(done: Mapping[str, Any]) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """How many rows became what, and of the rejected ones how many by (rule, column)."""
    broken = {key: Counts().result(state)["rows"] for key, state in merge_keyed(Counts(), done["rejected"]).items()}
    plain = ("later", "nameless", "accepted")
    counts = {name: result_of(Counts(), done[name])["rows"] if name in done else 0 for name in plain}
    entities = sum(sum(file.rows) for file in done["latest"])
    counts |= {"rejected": sum(broken.values()), "entities": entities, "repeated": counts["accepted"] - entities}
    counts["read"] = counts["accepted"] + counts["rejected"] + counts["later"] + counts["nameless"]
    return counts, broken


def _told(counts: Mapping[str, int], broken: Mapping[tuple[str, str], int]) -> list[str]:
    told = [
        f"{rows:,} rows break the schema: rule {rule} of column {column!r}"
        for (rule, column), rows in sorted(broken.items(), key=lambda one: (-one[1], one[0]))
    ]
    for name, words in (
        ("nameless", "have a null in the entity: no request could find them"),
        ("repeated", "are of an entity that has a later one"),
        ("later", "are later than the table is as of"),
    ):
        told += [f"{counts[name]:,} rows {words}"] * bool(counts[name])
    return told
