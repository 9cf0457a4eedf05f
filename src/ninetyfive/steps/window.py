"""The window: which spans a run works on, and the plan of their labelled rows. Shared by the steps after ingest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from ninetyfive import values
from ninetyfive.durations import duration
from ninetyfive.errors import DataError, IntegrityError
from ninetyfive.features.document import versions
from ninetyfive.hashing import content_hash
from ninetyfive.metrics import Task
from ninetyfive.plan import Map, Part, Read, Reduce, WrittenFile
from ninetyfive.reducers.keyed_counts import KeyedCounts
from ninetyfive.reducers.reducer import Reducer
from ninetyfive.schema import Schema
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.steps.context import Context
from ninetyfive.steps.labelling import PART, Labelling
from ninetyfive.store.opening import Store
from ninetyfive.system import Declaration


class SpanEntry(msgspec.Struct, frozen=True):
    """A span in the output of ingest: its Parquet (None: no good rows), the rows of its chunks, its times in µs."""

    span: str
    url: str
    artifact: str | None
    rows: tuple[int, ...]
    checks: str
    time_min: int | None
    time_max: int | None


class Ingested(msgspec.Struct, frozen=True):
    """What ingest put out: spans in canonical order, the schema, the task, and rows left out as {span: positions}."""

    spans: tuple[SpanEntry, ...]
    schema: Schema
    task: Task
    ingest_key: str
    counts: dict[str, dict[str, int]]
    without: str | None = None
    notices: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()


class Cut(msgspec.Struct, frozen=True):
    """What split put out, in µs: the window's start, the cut, as-of (None: no such border), and the held-out share.

    `known_after`: of the test rows only those whose label became known after it.
    """

    start: int | None
    cut: int | None
    as_of: int | None
    test: float
    known_after: int | None = None


def statistics_key(ingest_key: str) -> str:
    """Under which key the store keeps the `Statistics` of each span."""
    return content_hash(["statistics", ingest_key])


def times_key(ingest_key: str) -> str:
    """Under which key the store keeps the `Quantiles` of each span's time column."""
    return content_hash(["times", ingest_key])


def ingested(output: dict[str, Any]) -> Ingested:
    """The output of ingest as it was recorded."""
    return msgspec.convert(output, Ingested)


def kept_states(store: Store, reducer: Reducer[Any, Any], key: str, entries: Sequence[SpanEntry]) -> dict[str, Any]:
    """The states of `reducer` that ingest kept, by span; `IntegrityError` where one is gone: less would be a lie."""
    stored = store.states(key, [entry.span for entry in entries])
    lost = [entry.url for entry in entries if entry.span not in stored]
    if lost:
        raise IntegrityError(
            f"store {store.url}, states of {lost[0]}",
            expected="what ingest kept of every span",
            got=f"nothing for {len(lost)} of {len(entries)} spans",
            do="run again with `--from ingest`: it reads those files again",
        )
    return {span: reducer.decode(data) for span, data in stored.items()}


def window_parts(
    store: Store, given: Ingested, cut: Cut, part: Literal["train", "test"] | None = None
) -> tuple[Part, ...]:
    """The spans that may hold rows of the window, or of a part of it, for `SpanReader`; without repeated ids."""
    low, high = cut.start, cut.as_of
    if cut.cut is not None and part == "train":
        high = cut.cut
    elif cut.cut is not None and part == "test":
        low = cut.cut
    without = left_out(store, given)
    return tuple(
        part_of(
            WrittenFile(entry.span, "", entry.artifact, entry.rows, entry.checks),
            store.location(entry.artifact),
            tuple(without.get(entry.span, ())),
        )
        for entry in given.spans
        if entry.artifact is not None
        and (low is None or entry.time_max is None or entry.time_max >= low)
        and (high is None or entry.time_min is None or entry.time_min <= high)
    )


def left_out(store: Store, given: Ingested) -> dict[str, list[int]]:
    """`{span: positions}` of the rows whose id repeats."""
    if given.without is None:
        return {}
    found = msgspec.json.decode(store.read(given.without), type=dict[str, dict[str, list[int]]])
    return {span: sorted(position for rows in kinds.values() for position in rows) for span, kinds in found.items()}


def labelled_depends(context: Context) -> Any:
    """What decides the rows of `labelled` beside spans and borders: the label, when it is known, ids and times."""
    system = context.declaration
    label = [str(system.label), versions([system.label.node]), system.task]
    return [*label, system.label_time, system.label_delay, system.source.id, system.source.time]


def labelled(
    context: Context,
    given: Ingested,
    cut: Cut,
    columns: Iterable[str],
    part: Literal["train", "test"] | None,
    *,
    fold: bool = False,
) -> Map:
    """The plan of the window's rows with `columns` and what `Labelling` adds; of one part only where given."""
    system, schema = context.declaration, given.schema
    keep = tuple(dict.fromkeys(columns))
    delay = known_delay(system)
    labelling = Labelling(
        label=system.label.node,
        types=tuple(schema.types.items()),
        task=given.task,
        key=system.source.id or schema.names,
        time=system.source.time,
        known=system.label_time or delay or 0,
        start=cut.start,
        cut=cut.cut,
        as_of=cut.as_of,
        after=cut.known_after,
        test=cut.test,
        keep=keep,
        part=part,
        fold=fold,
    )
    needed = {*keep, *labelling.reads, *system.label_columns}
    read = tuple(name for name in schema.names if name in needed)
    rows = Read(window_parts(context.store, given, cut, part), SpanReader(), columns=read)
    return Map(rows, labelling, labelling.output(schema.dtypes))


_WHERE_ROWS_ARE = {
    "train": "train",
    "test": "are held out for the test",
    "embargo": "have a label that was not known yet at the cut",
    "unlabelled": "have no label yet",
    "outside": "are outside the window",
}


def count_parts(context: Context, given: Ingested, cut: Cut) -> Reduce:
    """The plan that counts the rows of the spans by `PART`."""
    return Reduce(labelled(context, given, cut, (), None), KeyedCounts(PART))


def no_rows(cut: Cut, found: Mapping[str, int], part: Literal["train", "test"]) -> DataError:
    """The error of a window without a row to train on, or to judge by; `found` {part: rows} says where they are."""
    places = ", ".join(f"{found[name]:,} {where}" for name, where in _WHERE_ROWS_ARE.items() if found.get(name))
    side = "before" if part == "train" else "after"
    border = "" if cut.cut is None else f" {side} {values.plain(cut.cut, 'timestamp')}"
    return DataError(
        "training rows" if part == "train" else "test rows",
        expected=f"rows with a label{border}",
        got=f"none of {sum(found.values()):,}" + (f": {places}" if places else ""),
        do="bring rows with labels, widen window= of the training, or hold out another share with split=",
    )


def known_delay(system: Declaration) -> int | None:
    """How long after `time` a label is known, in µs; None where a column says it."""
    if system.label_time is not None:
        return None
    return 0 if system.label_delay is None else duration(system.label_delay) * 1_000_000
