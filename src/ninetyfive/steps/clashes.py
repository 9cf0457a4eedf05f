"""Ids that stand for rows of different content: how many there may be, and what to do about more.

    verdicts of ingest ─▶ a few such rows, read again ─▶ which ids, which columns tell them apart

What does not belong here: finding them (`repeats`), counting them (`ingest`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ninetyfive.errors import DataError
from ninetyfive.plan import CHUNK_ROWS, Part
from ninetyfive.relations import CONFLICT
from ninetyfive.schema import dtype
from ninetyfive.sources.spans import SpanReader
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.repeats import Verdicts

SHARE = 0.01
"""The share of rows with conflicting ids above which the id is taken to be wrong."""

_ROWS = 200
_SHOWN = 3


def judge_clashes(
    context: Prepared, counts: Mapping[str, Mapping[str, int]], parts: Mapping[str, Part], verdicts: Verdicts
) -> list[str]:
    """What to tell about clashing ids: nothing, one notice, or above `SHARE` of the rows a `DataError`.

    `parts` {span: its good rows}. The error names ids and the columns that tell their rows apart.
    """
    rows, clashing = (sum(count[name] for count in counts.values()) for name in ("read", "conflict"))
    if not clashing:
        return []
    ids, found = list(context.declaration.source.id), _rows(parts, verdicts)
    examples = "; ".join(
        ", ".join(f"{name}={value}" for name, value in row.items())
        for row in found.select(ids).unique(maintain_order=True).head(_SHOWN).iter_rows(named=True)
    )
    told = f"{clashing:,} of {rows:,} rows share their id with other content, such as {examples}"
    if clashing <= SHARE * rows:
        return [f"{told}: they are left out, in quarantine by rule 'id'"]
    raise DataError(
        f"source {context.declaration.source}, id={ids}",
        expected="columns that name a row: an id stands once, or again with the same content",
        got=told,
        do=_remedy(context, found, ids),
    )


def _rows(parts: Mapping[str, Part], verdicts: Verdicts) -> pl.DataFrame:
    """Some of the rows whose id clashes, whole, of each span those in its first chunk that has any."""
    frames: list[pl.DataFrame] = []
    for span, part in sorted(parts.items()):
        positions = verdicts.get(span, {}).get(CONFLICT, ())
        if positions:
            chunk = positions[0] // CHUNK_ROWS
            here = [position % CHUNK_ROWS for position in positions if position // CHUNK_ROWS == chunk][:_ROWS]
            frames += (frame[here] for frame in SpanReader().read(part, chunk, chunk + 1))
        if sum(frame.height for frame in frames) >= _ROWS:
            break
    return pl.concat(frames)


def _remedy(context: Prepared, rows: pl.DataFrame, ids: Sequence[str]) -> str:
    """Which columns would name these rows: the fewest are asked for, those that are no measurements come first."""
    system = context.declaration
    differing = [
        name
        for name in rows.columns
        if name not in ids and rows.select(pl.struct(name).n_unique().over(list(ids)).max()).item() > 1
    ]
    keyless = (dtype("opaque"), pl.List)
    usable = [name for name in differing if name not in system.hindsight and rows.schema[name] not in keyless]
    usable.sort(key=lambda name: rows.schema[name].is_float())
    telling = [name for name in usable if rows.select([*ids, name]).is_unique().all()]
    if not usable:
        return f"write each row once: such rows differ only in {', '.join(map(repr, differing[:_SHOWN]))}"
    proposed = " or ".join(map(repr, telling[:_SHOWN])) or " and ".join(map(repr, usable[:_SHOWN]))
    return f"if {proposed} belongs to the name of a row, add it to id=; if not, write each row once"
