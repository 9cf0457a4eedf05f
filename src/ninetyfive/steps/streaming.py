"""Training rows that are read block by block, for a model function of `params` alone: memory grows with no window.

    files of apply ─ row groups ─▶ RowStream ─▶ fitting, as often as it likes (`models/keras_training`)
                                      └ one pass ─▶ labels counted, and a sample: proof, linear baseline, leaks

A block is a row group of at most 131,072 rows, checked as every file of ours is when it is read. The sample is the rows
that the linear baseline would choose of all, spread evenly, so that it is the same baseline.
What does not belong here: how a model is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl

from ninetyfive.errors import DataError
from ninetyfive.features.encoding import LABEL
from ninetyfive.metrics import Task
from ninetyfive.models.baselines import Constant, fitted_rows
from ninetyfive.models.predictor import Inputs
from ninetyfive.models.training import Labels, labels
from ninetyfive.plan import Part
from ninetyfive.steps.apply import read_block


class Summary(msgspec.Struct, frozen=True):
    """What one pass over the labels tells: how many rows of each class, or the sum of the numbers."""

    task: Task
    rows: int
    counts: dict[str, int]
    total: float

    def constant(self) -> Constant:
        """The constant baseline of all rows."""
        if self.task == "regression":
            return Constant(self.task, (), (self.total / self.rows,))
        if self.task == "binary":
            return Constant(self.task, (), (self.counts["true"] / self.rows,))
        return Constant(self.task, tuple(self.counts), tuple(count / self.rows for count in self.counts.values()))


@dataclass(frozen=True)
class RowStream:
    """The blocks of training rows, with their labels as numbers (`models.keras_training.Stream`)."""

    task: Task
    columns: tuple[str, ...]
    places: tuple[tuple[Part, int], ...]
    blocks: tuple[int, ...]
    summary: Summary

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.summary.counts) if self.task == "multiclass" else ()

    @property
    def counts(self) -> dict[str, int]:
        return self.summary.counts

    def read(self, block: int) -> tuple[Inputs, np.ndarray]:
        """A block: float32 (rows, columns), and the labels as numbers."""
        frame = read_block(*self.places[block])
        return _matrix(frame, self.columns), self._numbers(frame[LABEL])

    def _numbers(self, y: pl.Series) -> np.ndarray:
        if self.task == "multiclass":
            y = y.replace_strict(list(self.classes), range(len(self.classes)), return_dtype=pl.Int32)
        numbers: np.ndarray = y.cast(pl.Float64).to_numpy()
        return numbers


def open_stream(parts: list[Part], task: Task, where: str) -> tuple[RowStream, pl.DataFrame, Labels]:
    """The stream of `parts`, and a sample of its rows, with their labels: one pass over all of them, a block at a time.

    `DataError` where labels are missing, or are of one class only.
    """
    places = tuple((part, group) for part in parts for group in range(len(part.rows or ())))
    blocks = tuple((part.rows or ())[group] for part, group in places)
    chosen: np.ndarray | None = None
    columns: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    start, total = 0, 0.0
    frames: list[pl.DataFrame] = []
    for place, rows in zip(places, blocks, strict=True):
        frame = read_block(*place)
        if chosen is None:
            columns = tuple(name for name in frame.columns if name != LABEL)
            chosen = fitted_rows(sum(blocks), len(columns))
        if task == "regression":
            total += float(labels(frame[LABEL], task, where).values.sum())
        else:
            for word, count in frame[LABEL].cast(pl.String).value_counts().iter_rows():
                counts[word] = counts.get(word, 0) + count
        mine = chosen[(chosen >= start) & (chosen < start + rows)] - start
        frames.append(frame[mine])
        start += rows
    sample = pl.concat(frames, rechunk=True)
    counts = {word: counts[word] for word in sorted(counts)}
    if task != "regression" and len(counts) < 2:
        raise DataError(
            where,
            expected="at least two classes in the training rows",
            got=", ".join(f"only {word!r}, {count} times" for word, count in counts.items()),
            do="widen the window, or look at the label expression: it never changes",
        )
    classes = tuple(counts) if task == "multiclass" else ()
    known = Labels(task, classes, np.array(sample[LABEL].to_list()))
    stream = RowStream(task, columns, places, blocks, Summary(task, sum(blocks), counts, total))
    return stream, sample.select(columns), known


def _matrix(frame: pl.DataFrame, columns: tuple[str, ...]) -> Inputs:
    return np.ascontiguousarray(frame.select(columns).to_numpy(), dtype=np.float32)
