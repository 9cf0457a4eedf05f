"""Apply: the training rows through the fitted transform, written as float32. One job, which also counts the parts.

Files stand in the order of their own hashes, so that rows which do not train do not decide the order of those that do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from ninetyfive.features.encoding import FOLD, LABEL
from ninetyfive.features.transform import Transform
from ninetyfive.plan import Map, Part, Plan, Write, WrittenFile, result_of
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.steps.context import Context
from ninetyfive.steps.labelling import PARTS
from ninetyfive.steps.window import Cut, count_parts, ingested, labelled, no_rows
from ninetyfive.store.opening import Store


class TrainingFile(msgspec.Struct, frozen=True):
    """Training rows of one span: its Parquet in the store, the rows of its row groups, its checks."""

    span: str
    artifact: str
    rows: tuple[int, ...]
    checks: str


def apply(context: Context, spans: dict[str, Any], cut: dict[str, Any], fitted: dict[str, Any]) -> dict[str, Any]:
    """Returns `files` (`TrainingFile`), and under `parts` how many rows of the window are in each of `PARTS`.

    `DataError` where there is no row to train on, or none to judge by.
    """
    given, borders = ingested(spans), msgspec.convert(cut, Cut)
    transform = read_transform(context.store, fitted, training=True)
    reads = [name for name in transform.inputs if name != FOLD]
    rows = labelled(context, given, borders, reads, "train", fold=FOLD in transform.inputs)
    function = transform.frames(keep=(LABEL,))
    label = next(pair for pair in rows.output if pair[0] == LABEL)
    inputs = Map(rows, function, (label, *transform.output))
    counting = count_parts(context, given, borders)
    with context.store.attempt() as folder:
        plans: dict[str, Plan] = {"train": Write(inputs, str(folder / "train")), "parts": counting}
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


def training_rows(store: Store, applied: dict[str, Any]) -> tuple[pl.DataFrame, pl.Series]:
    """The training rows in the order of their files: the Float32 columns, and the labels."""
    frames = [frame for part in training_parts(store, applied) for frame in SpanReader().read(part)]
    rows = pl.concat(frames, rechunk=True)
    return rows.drop(LABEL), rows[LABEL]


def training_parts(store: Store, applied: dict[str, Any]) -> list[Part]:
    """The files of the training rows, in their order."""
    return [_part(store, file) for file in msgspec.convert(applied["files"], tuple[TrainingFile, ...])]


def read_block(part: Part, block: int) -> pl.DataFrame:
    """One row group of a file of training rows, every byte of it checked: the Float32 columns, and the labels."""
    (frame,) = SpanReader().read(part, block, block + 1)
    return frame


def _part(store: Store, file: TrainingFile) -> Part:
    return part_of(WrittenFile(file.span, str(store.path(file.artifact)), file.artifact, file.rows, file.checks))


def _keep(store: Store, written: WrittenFile) -> TrainingFile:
    artifact = store.put_file(Path(written.url), take=True, sha256=written.sha256)
    return TrainingFile(written.span, artifact, written.rows, written.checks)
