"""Explain the features: the tree of each, what it learned, its cost, how often it is missing, what the model sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import polars as pl

from ninetyfive.features.costs import measure, row_seconds
from ninetyfive.features.frames import frame_of, scalars
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.recording import Expr
from ninetyfive.features.source import source
from ninetyfive.features.transform import Transform, needed
from ninetyfive.features.tree import Call, Node, distinct
from ninetyfive.models.release import OpenRelease
from ninetyfive.plan import WrittenFile
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.store.opening import Store

ROWS = 20_000
"""The most rows that null rates are taken from."""
TIMED = 200


def explain_declared(features: Mapping[str, Expr]) -> dict[str, Any]:
    """The document of features that no release has fitted yet: what is written, and nothing that is measured."""
    return {
        "release": None,
        "rows": 0,
        "features": [{"feature": name, "tree": str(feature)} for name, feature in features.items()],
    }


def explain(release: OpenRelease, store: Store) -> dict[str, Any]:
    """`{release, rows, code, features, costs}` of a release: measured now, on rows that it was made from.

    Of each feature `tree` (source text), `learned` (constants of each learned operation), `nanoseconds` of a row alone,
    `null_rate` (share of rows in which a column of it is NaN), `columns` and `sees`. `costs` are those of all together.
    """
    frame = _sample(release, store)
    transform = release.transform
    rows = scalars(frame.head(TIMED), transform.inputs)
    made = transform.frames()(frame)
    return {
        "release": release.hash,
        "rows": frame.height,
        "code": release.about.code,
        "features": [_feature(transform, name, root, rows, made) for name, root in transform.trees],
        "costs": msgspec.to_builtins(measure(transform, rows)),
    }


def _feature(
    transform: Transform, name: str, root: Node, rows: list[dict[str, Any]], made: pl.DataFrame
) -> dict[str, Any]:
    alone = Transform(((name, root),), needed([root], transform.inputs))
    missing = made.select(pl.any_horizontal(pl.col(column).is_nan() for column in alone.columns).mean().alias("rate"))
    return {
        "feature": name,
        "tree": source(root),
        "learned": [
            {"operation": node.operation, "constants": dict(node.constants)}
            for node in distinct([root])
            if isinstance(node, Call) and node.constants is not None and OPERATIONS[node.operation].learned
        ],
        "nanoseconds": round(row_seconds(alone, rows) * 1e9),
        "null_rate": missing["rate"][0],
        "columns": list(alone.columns),
        "sees": _sees(alone),
    }


def _sees(alone: Transform) -> str:
    """In words, what stands in the model's columns of a feature."""
    if len(alone.columns) > 1:
        return f"{len(alone.columns):,} numbers"
    (kind,) = alone.kinds.values()
    return kind if isinstance(kind, str) else f"index 0 to {kind[1] - 1}"


def _sample(release: OpenRelease, store: Store) -> pl.DataFrame:
    """Rows of the release's spans, the newest first, as far as the store still has them; else its golden requests."""
    lineage = release.lineage
    names = list(release.transform.inputs)
    frames: list[pl.DataFrame] = []
    there = store.known_spans(lineage.ingest)
    for span in reversed(store.spans(lineage.ingest)):
        if span.span not in lineage.spans or span.span not in there or span.artifact is None:
            continue
        file = WrittenFile(span.span, "", span.artifact, span.chunks, span.details["checks"])
        for chunk in SpanReader().read(part_of(file, store.location(span.artifact))):
            frames.append(chunk.select(names))
            if sum(frame.height for frame in frames) >= ROWS:
                return pl.concat(frames).head(ROWS)
    if frames:
        return pl.concat(frames)
    return frame_of([golden.row for golden in release.golden], release.transform.inputs)
