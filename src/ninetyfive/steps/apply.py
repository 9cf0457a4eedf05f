"""Apply: the training rows through the fitted transform, written as float32. One job, which also counts the parts.

Files stand in the order of their own hashes, so that rows which do not train do not decide the order of those that do.
Where a model is tuned, each row has its place too: when it was, and when its label was known, or its fold.
"""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl

from ninetyfive.features.encoding import FOLD, LABEL
from ninetyfive.features.transform import Transform
from ninetyfive.plan import Map, Part, Plan, Write, WrittenFile, result_of
from ninetyfive.schema import reserved
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.labelling import PARTS
from ninetyfive.steps.window import Cut, count_parts, ingested, labelled, labelled_depends, no_rows
from ninetyfive.store.opening import Store

AT, KNOWN = "__at", "__known"
"""The columns of a training row's place in time: when it was, and the column that says when its label was known."""


class TrainingFile(msgspec.Struct, frozen=True):
    """Training rows of one span: its Parquet in the store, the rows of its row groups, its checks."""

    span: str
    artifact: str
    rows: tuple[int, ...]
    checks: str


def apply_depends(context: Prepared) -> Any:
    """What decides the rows beside spans, borders and transform: the label, and which places they have."""
    return [labelled_depends(context), places_of(context)]


def apply(context: Prepared, spans: dict[str, Any], cut: dict[str, Any], fitted: dict[str, Any]) -> dict[str, Any]:
    """Returns `files` (`TrainingFile`), and under `parts` how many rows of the window are in each of `PARTS`.

    `DataError` where there is no row to train on, or none to judge by.
    """
    given, borders = ingested(spans), msgspec.convert(cut, Cut)
    transform = read_transform(context.store, fitted, training=True)
    keep = {LABEL: LABEL, **places_of(context)}
    reads = [name for name in (*transform.inputs, *keep.values()) if name not in (FOLD, LABEL)]
    rows = labelled(context, given, borders, reads, "train", fold=FOLD in (*transform.inputs, *keep))
    known = dict(rows.output)
    output = (*((name, known[column]) for name, column in keep.items()), *transform.output)
    inputs = Map(rows, transform.frames(keep=keep), output)
    counting = count_parts(context, given, borders)
    with context.store.draft() as draft:
        plans: dict[str, Plan] = {"train": Write(inputs, f"{draft}/train"), "parts": counting}
        found = context.engine.run(plans)
        kept = [_keep(context.store, written) for written in found["train"] if sum(written.rows)]
    files = sorted(kept, key=lambda file: file.artifact)
    counted = result_of(counting.reducer, found["parts"])
    for part in ("train", "test"):
        if not counted.get(part):
            raise no_rows(borders, counted, part)
    return {
        "files": msgspec.to_builtins(files),
        "parts": {name: counted.get(name, 0) for name in PARTS},
        "artifacts": [file.artifact for file in files],
    }


def read_transform(store: Store, fitted: dict[str, Any], *, training: bool = False) -> Transform:
    """The transform that fit put out; that of training rows, where it is another one."""
    files = fitted["artifacts"]
    code = {sha256: store.read(sha256).decode() for sha256 in fitted["code"]}
    return Transform.from_json(
        store.read(files.get("training", files["transform"]) if training else files["transform"]), code
    )


def places_of(context: Prepared) -> dict[str, str]:
    """What is kept of a training row's place, {name: column}: nothing, unless the model is tuned."""
    system = context.declaration
    if context.model.tuning is None:
        return {}
    if system.effective_split.by == "id":
        return {FOLD: FOLD}
    assert system.source.time is not None
    return {AT: system.source.time, **({KNOWN: system.label_time} if system.label_time else {})}


def training_rows(store: Store, applied: dict[str, Any]) -> tuple[pl.DataFrame, pl.Series]:
    """The training rows in the order of their files: the Float32 columns, and the labels."""
    x, own = placed_rows(store, applied)
    return x, own[LABEL]


def placed_rows(store: Store, applied: dict[str, Any]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The training rows in the order of their files: the Float32 columns, and labels with the places of rows."""
    frames = [frame for part in training_parts(store, applied) for frame in SpanReader().read(part)]
    rows = pl.concat(frames, rechunk=True)
    own = [name for name in rows.columns if reserved(name)]
    return rows.drop(own), rows.select(own)


def training_parts(store: Store, applied: dict[str, Any]) -> list[Part]:
    """The files of the training rows, in their order."""
    return [_part(store, file) for file in msgspec.convert(applied["files"], tuple[TrainingFile, ...])]


def read_block(part: Part, block: int) -> pl.DataFrame:
    """One row group of a file of training rows, every byte of it checked: the Float32 columns, and the labels."""
    (frame,) = SpanReader().read(part, block, block + 1)
    return frame.drop([name for name in frame.columns if reserved(name) and name != LABEL])


def _part(store: Store, file: TrainingFile) -> Part:
    return part_of(WrittenFile(file.span, store.location(file.artifact), file.artifact, file.rows, file.checks))


def _keep(store: Store, written: WrittenFile) -> TrainingFile:
    artifact = store.take(written.url, written.sha256)
    return TrainingFile(written.span, artifact, written.rows, written.checks)
