"""Which rows train and which rows judge: label, part and fold of every row, decided row by row.

    time ──────── start ───────────────── cut ─────────────── as of ──▶
           outside │  train   (embargo)   │   test             │ outside
                      label known by cut      label known by as-of; else unlabelled

A row before the cut whose label was not known at the cut is under *embargo*: training then could not have seen it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from ninetyfive.features.encoding import FOLD, FOLDS, LABEL
from ninetyfive.features.frames import FrameFunction
from ninetyfive.features.transform import needed
from ninetyfive.features.tree import Node
from ninetyfive.hashing import mix, row_hash
from ninetyfive.metrics import Task

PART = "__part"
PARTS = ("train", "test", "embargo", "unlabelled", "outside")
LABEL_DTYPES: dict[Task, pl.DataType] = {"binary": pl.Boolean(), "multiclass": pl.String(), "regression": pl.Float64()}
Output = tuple[tuple[str, pl.DataType], ...]

_SALT = np.uint64(0x95)


@dataclass(frozen=True, slots=True)
class Labelling:
    """A row function that adds `__label` and `__part` (one of `PARTS`) to the columns `keep`.

    `label` is lowered by `types` (column → logical type). `time` and `known` name columns, or `known` is the delay of
    the label after `time` in µs. `start`, `cut` and `as_of` are µs (None: no such border). Without a cut rows are
    split by a hash of `key`, a share `test` of them held out. With `part` only the rows of that part come out, without
    `__part`; with `fold` they have `__fold` (0 to 19, by a hash of `key`). With `after` only rows whose label became
    known after it are test rows.
    NaN labels count as null: unlabelled.
    """

    label: Node
    types: tuple[tuple[str, str], ...]
    task: Task
    key: tuple[str, ...]
    time: str | None = None
    known: str | int = 0
    start: int | None = None
    cut: int | None = None
    as_of: int | None = None
    after: int | None = None
    test: float = 0.2
    keep: tuple[str, ...] = ()
    part: Literal["train", "test"] | None = None
    fold: bool = False

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        rows = frame.with_columns(label_of(frame, self.label, self.types, self.task))
        if self.cut is None:
            rows = rows.with_columns(__held_out=row_hash(frame, self.key) < np.uint64(self.test * 2.0**64))
        rows = rows.with_columns(self._part().alias(PART))
        if self.part is None:
            return rows.select(*self.keep, LABEL, PART)
        rows = rows.filter(pl.col(PART) == self.part)
        if not self.fold:
            return rows.select(*self.keep, LABEL)
        return rows.select(*self.keep, LABEL, pl.Series(FOLD, fold_of(row_hash(rows, self.key))))

    def output(self, dtypes: Output) -> Output:
        """What comes out of frames with the columns `dtypes`."""
        known = dict(dtypes)
        last = ((PART, pl.String()),) if self.part is None else ((FOLD, pl.Int64()),) if self.fold else ()
        return (
            *((name, known[name]) for name in self.keep),
            (LABEL, LABEL_DTYPES[self.task]),
            *last,
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that the decision itself needs."""
        known = (self.known,) if isinstance(self.known, str) else ()
        key = self.key if self.cut is None or self.fold else ()
        return tuple(dict.fromkeys((*key, *((self.time,) if self.time else ()), *known)))

    def _part(self) -> pl.Expr:
        moment = microseconds(self.time) if self.time else pl.lit(0, pl.Int64)
        known = microseconds(self.known) if isinstance(self.known, str) else moment + self.known
        outside = moment.is_null()
        if self.start is not None:
            outside |= moment < self.start
        unlabelled = pl.col(LABEL).is_null() | known.is_null()
        if self.as_of is not None:
            outside |= moment > self.as_of
            unlabelled |= known > self.as_of
        if self.cut is None:
            test, embargo = pl.col("__held_out"), pl.lit(False)
        else:
            test, embargo = moment >= self.cut, known > self.cut
        if self.after is not None:
            test &= known > self.after
        return (
            pl.when(outside)
            .then(pl.lit("outside"))
            .when(unlabelled)
            .then(pl.lit("unlabelled"))
            .when(test)
            .then(pl.lit("test"))
            .when(embargo)
            .then(pl.lit("embargo"))
            .otherwise(pl.lit("train"))
        )


@dataclass(frozen=True, slots=True)
class LabelOnly:
    """A row function: frame → its `__label` alone, in the dtype of the task, null where there is none."""

    label: Node
    types: tuple[tuple[str, str], ...]
    task: Task

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        return label_of(frame, self.label, self.types, self.task).to_frame()


def label_of(frame: pl.DataFrame, label: Node, types: tuple[tuple[str, str], ...], task: Task) -> pl.Series:
    """The label of each row as a column `__label` in the dtype of the task; NaN is null.

    An int64 overflow raises `FeatureError`, as it does in a feature.
    """
    function = FrameFunction((("label", label),), needed((label,), dict(types)))
    made = function(frame)["label"].cast(LABEL_DTYPES[task]).alias(LABEL)
    return made.fill_nan(None) if task == "regression" else made


def fold_of(hashes: np.ndarray) -> np.ndarray:
    """The fold (0 to 19, int64) of rows whose key hashes (uint64) are given."""
    return (mix(hashes ^ _SALT) % np.uint64(FOLDS)).astype(np.int64)


def microseconds(column: str) -> pl.Expr:
    """A time or date column as Int64 µs since 1970 (a zoned one in UTC, a naive one by its wall clock)."""
    return pl.col(column).cast(pl.Datetime("us")).to_physical()
