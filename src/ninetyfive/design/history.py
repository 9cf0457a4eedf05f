"""The labelled history of a system as one frame in time order: what a backtest goes through.

    spans ─ label, time, moment known, hash of the id ─▶ at most 200,000 rows by that hash ─▶ sorted by time, then hash

Rows without a label, a time, or a moment at which the label was known are left out and counted. Two rows of one moment
stand in the order of their ids' hashes, whatever order they were read in. What does not belong here: any training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ninetyfive.durations import duration
from ninetyfive.features.encoding import FOLD, LABEL
from ninetyfive.features.tree import Node
from ninetyfive.hashing import row_hash
from ninetyfive.metrics import Task
from ninetyfive.plan import Map, Read, Reduce, Write, result_of
from ninetyfive.reducers.keyed_counts import KeyedCounts
from ninetyfive.schema import logical_type
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.labelling import LABEL_DTYPES, fold_of, label_of, microseconds
from ninetyfive.steps.window import Cut, ingested, known_delay, window_parts

TIME, KNOWN, HASH = "__time", "__known", "__hash"
"""Columns beside the label: µs of the row, µs at which its label was known, the hash of its id."""
ROWS = 200_000
"""How many rows a history has at most."""
_WHY = "__why"
_UNLABELLED = {"label": "have no label yet", "time": "have no time", "later": "were labelled after the time asked for"}


@dataclass(frozen=True, slots=True)
class History:
    """Labelled rows in time order: source columns, `__label`, `__time`, `__known`, `__hash`, `__fold`.

    `types` are the logical types of the source columns. `share` of the labelled rows are in it. `cannot` says why there
    is nothing to go through, where there is nothing; `left_out` what is not in it, `noticed` what is odd about it.
    """

    frame: pl.DataFrame
    types: Mapping[str, str]
    task: Task
    share: float = 1.0
    left_out: tuple[str, ...] = ()
    noticed: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()


def history_of(
    frame: pl.DataFrame, label: str, time: str, delay: str | None = None, key: Sequence[str] = ()
) -> History:
    """The history of a frame in memory: its columns `label` and `time`, a `delay` of labels, the `key` of a row.

    The task follows from the type of the label (Boolean, String, a number). Without a key all columns are it.

    >>> from datetime import datetime
    >>> rows = pl.DataFrame({"at": [datetime(2026, 1, 2), datetime(2026, 1, 1)], "x": [1.0, 2.0], "y": [True, False]})
    >>> history_of(rows, "y", "at", "1h").frame["x"].to_list()
    [2.0, 1.0]
    """
    kind = frame[label].dtype
    task: Task = "binary" if kind == pl.Boolean else "multiclass" if kind == pl.String else "regression"
    wait = 0 if delay is None else duration(delay) * 1_000_000
    moment = frame.select(microseconds(time)).to_series()
    rows = frame.with_columns(
        frame[label].cast(LABEL_DTYPES[task]).alias(LABEL),
        moment.alias(TIME),
        (moment + wait).alias(KNOWN),
        pl.Series(HASH, row_hash(frame, key or frame.columns)),
    )
    whole = rows.drop_nulls([LABEL, TIME])
    types = {name: logical_type(dtype) or "opaque" for name, dtype in frame.schema.items()}
    lost = rows.height - whole.height
    return _bounded(whole, types, task, ROWS, [f"{lost:,} rows have no label or no time"] * bool(lost))


def read_history(context: Prepared, spans: dict[str, Any], rows: int = ROWS) -> History:
    """The history of a system from the output of its ingest: of more than `rows` rows those of the least hash.

    Two jobs: one counts the rows that have a label and those that have none, one writes those that are kept. Without a
    time column the history is empty, and `cannot` says so.
    """
    given, system = ingested(spans), context.declaration
    schema, time = given.schema, system.source.time
    types = dict(schema.types)
    if time is None:
        why = "the source declares no time=: without it nothing can be said about how a model ages"
        return History(_empty(dict(schema.dtypes), given.task), types, given.task, cannot=(why,))
    inputs = {name for feature in system.features.values() for name in feature.columns()}
    keep = tuple(name for name in schema.names if name in inputs or name in system.entity)
    key = system.source.id or schema.names
    delay = known_delay(system)
    known = system.label_time if system.label_time is not None else delay or 0
    limit = context.as_of
    told = Told(system.label.node, tuple(schema.types.items()), given.task, key, time, known, keep, limit)
    reads = {*keep, *key, time, *system.label_columns, *([known] if isinstance(known, str) else [])}
    everything = Read(
        window_parts(context.store, given, Cut(None, None, limit, 0.0)),
        SpanReader(),
        columns=tuple(name for name in schema.names if name in reads),
    )
    counting = Reduce(Map(everything, told, ((_WHY, pl.String()),), side="rejected"), KeyedCounts(_WHY))
    chosen = Map(everything, told, told.output(schema.dtypes))
    total = sum(count["accepted"] for count in given.counts.values())
    if total > rows:
        chosen = Map(chosen, Below(min(1.0, 1.02 * rows / total + 64 / total)), chosen.output)
    with context.store.draft() as draft:
        found = context.engine.run({"rows": Write(chosen, f"{draft}/history"), "why": counting})
        frames = [frame for file in found["rows"] if sum(file.rows) for frame in SpanReader().read(part_of(file))]
    frame = pl.concat(frames) if frames else _empty(dict(schema.dtypes), given.task, keep)
    counts = result_of(counting.reducer, found["why"])
    told_out = [f"{count:,} rows {_UNLABELLED[why]}" for why, count in sorted(counts.items())]
    made = _bounded(frame, {name: types[name] for name in keep}, given.task, rows, told_out)
    share = min(1.0, made.frame.height / total) if total > rows else 1.0
    note = f"the history was thinned by a hash of the id: {made.frame.height:,} of {total:,} labelled rows"
    left_out = (note, *told_out) if total > rows else made.left_out
    return History(made.frame, made.types, made.task, share, left_out, made.noticed, made.cannot)


@dataclass(frozen=True, slots=True)
class Told:
    """A row function: rows with their label, time, moment known and hash; rejected are those without, and why.

    `known` is a column, or the delay after `time` in µs; labels known after `limit` (µs; None: no limit) count as none.
    """

    label: Node
    types: tuple[tuple[str, str], ...]
    task: Task
    key: tuple[str, ...]
    time: str
    known: str | int
    keep: tuple[str, ...]
    limit: int | None

    def output(self, dtypes: Sequence[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
        """What comes out of frames with the columns `dtypes`."""
        known = dict(dtypes)
        own = ((LABEL, LABEL_DTYPES[self.task]), (TIME, pl.Int64()), (KNOWN, pl.Int64()), (HASH, pl.UInt64()))
        return (*((name, known[name]) for name in self.keep), *own)

    def __call__(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        moment = microseconds(self.time)
        known = microseconds(self.known) if isinstance(self.known, str) else moment + self.known
        rows = frame.select(
            *self.keep,
            label_of(frame, self.label, self.types, self.task),
            moment.cast(pl.Int64).alias(TIME),
            known.cast(pl.Int64).alias(KNOWN),
            pl.Series(HASH, row_hash(frame, self.key)),
        )
        late = pl.lit(False) if self.limit is None else (pl.col(KNOWN) > self.limit) | (pl.col(TIME) > self.limit)
        why = (
            pl.when(pl.col(TIME).is_null())
            .then(pl.lit("time"))
            .when(pl.col(LABEL).is_null() | pl.col(KNOWN).is_null())
            .then(pl.lit("label"))
            .when(late)
            .then(pl.lit("later"))
        )
        reason = rows.select(why.alias(_WHY)).to_series()
        return rows.filter(reason.is_null()), reason.drop_nulls().to_frame()


@dataclass(frozen=True, slots=True)
class Below:
    """Keeps a share of the rows: those of the least hash."""

    share: float

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        limit = min(int(self.share * 2.0**64), 2**64 - 1)
        return frame.filter(frame[HASH].to_numpy() <= np.uint64(limit))


def _bounded(frame: pl.DataFrame, types: Mapping[str, str], task: Task, rows: int, told: Sequence[str]) -> History:
    """The rows of the least hash, in the order of time and hash, with their folds."""
    share = min(1.0, rows / frame.height) if frame.height else 1.0
    note = f"the history was thinned by a hash of the id: {rows:,} of {frame.height:,} labelled rows"
    left_out = [*([note] if share < 1.0 else []), *told]
    if frame.height > rows:
        frame = frame.sort(HASH, TIME).head(rows)
    frame = frame.sort(TIME, HASH)
    frame = frame.with_columns(pl.Series(FOLD, fold_of(frame[HASH].to_numpy())))
    repeated = frame.height - frame[TIME].n_unique() if frame.height else 0
    noticed = ["all rows are of one moment"] if frame.height > 1 and repeated == frame.height - 1 else []
    return History(frame, dict(types), task, share, tuple(left_out), tuple(noticed))


def _empty(dtypes: Mapping[str, Any], task: Task, keep: Sequence[str] | None = None) -> pl.DataFrame:
    names = dtypes if keep is None else keep
    own = {LABEL: LABEL_DTYPES[task], TIME: pl.Int64(), KNOWN: pl.Int64(), HASH: pl.UInt64()}
    return pl.DataFrame(schema={**{name: dtypes[name] for name in names}, **own, FOLD: pl.Int64()})
