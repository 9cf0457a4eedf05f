"""Repeated ids: which rows of a source share their id with another row, and what becomes of each.

    ids of all spans ─ Shuffle ─▶ rows that share an id           in the job of ingest; mostly there are none
    those rows, read again ─ Shuffle on the id ─▶ verdicts        one job more, only where there are any

A row whose id stands before it with the same content is a duplicate; rows of one id with different contents are all in
conflict. Rows with a null in their id repeat nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ninetyfive.features.encoding import LABEL
from ninetyfive.plan import CHUNK_ROWS, POSITION, SPAN, Map, Part, Plan, Read
from ninetyfive.relations import CONFLICT, DUPLICATE, VERDICT, repeated_ids, shared_ids
from ninetyfive.sources.spans import SpanReader
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.declared import task_of
from ninetyfive.steps.labelling import label_of

Places = dict[str, list[int]]
"""{span: positions, ascending}."""
Verdicts = dict[str, dict[str, list[int]]]
"""{span: {verdict: positions, ascending}}."""

__all__ = ["CONFLICT", "DUPLICATE", "Places", "Verdicts", "judge", "places_of", "shared_plan"]


def shared_plan(context: Prepared, fresh: Plan | None, known: Sequence[Part]) -> Plan | None:
    """The plan of `__span` and `__position` of rows that share their id; None where there is no id or nothing to read.

    `fresh` are rows with `__span` and `__position`, `known` spans of the store, of which only the ids are read.
    """
    ids = _ids(context)
    plans: list[Plan] = [] if fresh is None else [fresh]
    if known:
        plans.append(Read(tuple(known), SpanReader(), columns=tuple(ids), position=True))
    return shared_ids(plans, ids) if ids and plans else None


def places_of(shared: pl.DataFrame, chunks: Mapping[str, Mapping[int, int]]) -> Places:
    """The rows of `shared_plan` as positions in the stored files.

    `chunks` is {span: {raw chunk: row group}} of fresh spans: a chunk of which no row was good has no row group, so
    that those after it move up.
    """
    places: Places = {}
    for span, position in shared.select(SPAN, POSITION).rows():
        chunk, row = divmod(position, CHUNK_ROWS)
        group = chunks[span][chunk] if span in chunks else chunk
        places.setdefault(span, []).append(group * CHUNK_ROWS + row)
    return {span: sorted(rows) for span, rows in sorted(places.items())}


def judge(context: Prepared, places: Places, parts: Mapping[str, Part]) -> tuple[Verdicts, dict[str, int]]:
    """The verdicts on rows that share their id, and how many of the rows left out have no label: {span: rows}."""
    if not places:
        return {}, {}
    schema = context.schema
    chosen = Chosen(tuple((span, np.array(rows, dtype=np.int64).tobytes()) for span, rows in places.items()))
    here = ((SPAN, pl.String()), (POSITION, pl.Int64()))
    rows = Map(
        Read(tuple(parts[span] for span in places), SpanReader(), position=True), chosen, (*schema.dtypes, *here)
    )
    task = task_of(context.declaration, schema)
    found = context.engine.run({"verdicts": repeated_ids([rows], _ids(context)), "rows": rows})
    verdicts: Verdicts = {}
    for span, position, verdict in found["verdicts"].select(SPAN, POSITION, VERDICT).rows():
        verdicts.setdefault(span, {}).setdefault(verdict, []).append(position)
    ordered = {
        span: {kind: sorted(rows) for kind, rows in sorted(kinds.items())} for span, kinds in sorted(verdicts.items())
    }
    label = label_of(found["rows"], context.declaration.label.node, tuple(schema.types.items()), task)
    missing = found["rows"].with_columns(label).filter(pl.col(LABEL).is_null())
    without = missing.join(found["verdicts"], on=[SPAN, POSITION], how="semi")
    unlabelled = dict(without.group_by(SPAN).len().rows())
    return ordered, unlabelled


@dataclass(frozen=True, slots=True)
class Chosen:
    """A row function that keeps the rows at the given places: (span, positions as little-endian int64 bytes)."""

    places: tuple[tuple[str, bytes], ...]

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        positions = np.frombuffer(dict(self.places)[frame[SPAN][0]], dtype=np.int64)
        return frame.filter(pl.Series(np.isin(frame[POSITION].to_numpy(), positions)))


def _ids(context: Prepared) -> dict[str, pl.DataType]:
    return {name: kind for name, kind in context.schema.dtypes if name in context.declaration.source.id}
