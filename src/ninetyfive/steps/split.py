"""Split: where the window begins, where training ends and the test begins. Decided from statistics; no row is read.

After a drop in quality the window begins where the promise was last seen kept, whatever was declared, or sooner where a
release needs more rows to be judged by.
"""

from __future__ import annotations

from datetime import datetime
from math import ceil
from typing import Any

import msgspec

from ninetyfive import clock, values
from ninetyfive.decisions.gates import TEST_ROWS
from ninetyfive.durations import duration
from ninetyfive.errors import DataError
from ninetyfive.plan import result_of
from ninetyfive.reducers.quantiles import Quantiles
from ninetyfive.steps.context import Context
from ninetyfive.steps.window import Cut, Ingested, ingested, kept_states, known_delay, times_key

DAY = 86_400_000_000
"""In µs."""


def split_depends(context: Context) -> Any:
    """What decides the borders beside the data: as-of, the window, the split, and when labels are known."""
    system = context.declaration
    training, chosen = system.effective_training, system.effective_split
    borders = [context.as_of, context.since, training.window]
    return [*borders, chosen.by, chosen.test, system.label_time, system.label_delay]


def split(context: Context, spans: dict[str, Any]) -> dict[str, Any]:
    """Returns a `Cut`; `DataError` where the window holds no rows, or all of them have one time."""
    given, system = ingested(spans), context.declaration
    chosen, time = system.effective_split, system.source.time
    if time is None:
        return _built(Cut(None, None, None, chosen.test))
    newest = [entry.time_max for entry in given.spans if entry.time_max is not None]
    if not newest:
        raise DataError(f"column {time!r}", expected="times", got="none in any row", do="bring rows with times")
    as_of = max(newest) if context.as_of is None else context.as_of
    for notice in ahead(context, spans, clock.now()):
        context.reporter.notice(notice)  # now: what follows may find no rows, and then nothing else would say why
    window = system.effective_training.window
    start = None if window is None else as_of - duration(window) * 1_000_000
    if context.since is not None:
        start = _since(context, given, context.since, as_of)
    cut = _cut(context, given, start, as_of) if chosen.by == "time" else None
    return _built(Cut(start, cut, as_of, chosen.test))


def ahead(context: Context, spans: dict[str, Any], now: datetime) -> list[str]:
    """What to say where the newest time lies after the clock, and decides what the run is as of; [] where it does not.

    A day after it is let pass: a time of no zone may be hours ahead of UTC.
    """
    time = context.declaration.source.time
    dated = [(entry.time_max, entry.url) for entry in ingested(spans).spans if entry.time_max is not None]
    if time is None or context.as_of is not None or not dated:
        return []
    newest, url = max(dated)
    days = (newest - values.micros_of(now)) // DAY
    if days < 1:
        return []
    return [
        f"column {time!r}: the newest time is {values.plain(newest, 'timestamp')}, {days:,} days after the clock, in "
        f"{url}: the run is as of then, and window= and known labels are counted from there. If it is wrong, write "
        f"`maximum` of {time!r} into schema.toml, which puts such rows into quarantine, or run with --as-of"
    ]


def _span_of(given: Ingested) -> tuple[int, int]:
    """The oldest and the newest time of all spans, in µs."""
    oldest = min(entry.time_min for entry in given.spans if entry.time_min is not None)
    return oldest, max(entry.time_max for entry in given.spans if entry.time_max is not None)


def _since(context: Context, given: Ingested, since: int, as_of: int) -> int:
    """The time from which on rows train after a drop: `since`, or where the newest rows are that a release needs."""
    system = context.declaration
    time, delay, chosen = system.source.time, known_delay(system), system.effective_split
    old = [entry for entry in given.spans if entry.time_min is not None and entry.time_min <= as_of]
    oldest, total = _span_of(given)[0], sum(sum(entry.rows) for entry in old)
    latest = max(oldest, as_of - (delay or 0))
    rows = _rank(oldest, as_of, 0.0, old) * total
    unknown = rows - _rank(oldest, latest, 0.0, old) * total  # the newest: by time all of them are held out
    least = (
        ceil((TEST_ROWS + unknown) / chosen.test) if chosen.by == "time" else ceil(TEST_ROWS / chosen.test + unknown)
    )
    if rows <= least:
        return min(since, oldest)
    assert time is not None
    reducer = Quantiles(time)
    times = result_of(reducer, kept_states(context.store, reducer, times_key(given.ingest_key), old))
    moment = times.quantile(_rank(oldest, as_of, least / rows, old))
    return min(since, int(moment or 0) * _unit(given, time))


def _unit(given: Ingested, time: str) -> int:
    """How many µs a unit of the sketch of the time column is."""
    return DAY if given.schema.types[time] == "date" else 1


def _cut(context: Context, given: Ingested, start: int | None, as_of: int) -> int:
    """The time before which a share of 1 − test of the window's rows lies, by the sketch of the time column."""
    time, share = context.declaration.source.time, context.declaration.effective_split.test
    inside = [
        entry
        for entry in given.spans
        if entry.time_min is not None
        and entry.time_max is not None
        and entry.time_min <= as_of
        and (start is None or entry.time_max >= start)
    ]
    if not inside:
        known = [values.plain(moment, "timestamp") for moment in _span_of(given)]
        border = f" from {values.plain(start, 'timestamp')}" if start is not None else ""
        raise DataError(
            f"window{border} to {values.plain(as_of, 'timestamp')}",
            expected="rows in the window",
            got=f"none: the data goes from {known[0]} to {known[1]}",
            do="correct --as-of, or widen window= of the training",
        )
    assert time is not None
    reducer = Quantiles(time)
    times = result_of(reducer, kept_states(context.store, reducer, times_key(given.ingest_key), inside))
    low, high = (min(entry.time_min or 0 for entry in inside), max(entry.time_max or 0 for entry in inside))
    low, high = max(low, start) if start is not None else low, min(high, as_of)
    cut = times.quantile(_rank(low, high, share, inside))
    moment = int(cut or 0) * _unit(given, time)
    if not low < moment <= high:
        moment = high if low < high else low
    if low == high:
        raise DataError(
            f"column {time!r}",
            expected="times that differ, to hold the newest rows out",
            got="one time in all rows of the window",
            do="bring rows of more times, or split by id: split=nf.Split('id')",
        )
    return moment


def _rank(low: int, high: int, share: float, inside: list[Any]) -> float:
    """The rank of the cut among all rows of the spans, of which those outside the window do not count.

    Rows of a span that the window cuts are taken to be spread evenly over its times.
    """
    before = counted = total = 0.0
    for entry in inside:
        rows = sum(entry.rows)
        length = max(1, entry.time_max - entry.time_min)
        early = max(0, min(entry.time_max, low) - entry.time_min) / length
        late = max(0, entry.time_max - max(entry.time_min, high)) / length
        before += rows * early
        counted += rows * (1.0 - early - late)
        total += rows
    return (before + counted * (1.0 - share)) / total


def _built(cut: Cut) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(cut)
    return built
