"""Answers for frames: the transform and one or several predictors as one row function, for every engine.

    raw rows ─ transform ─▶ float32 ─┬─ model ────▶ model
                                     ├─ constant ─▶ constant      one column a predictor, one a class
                                     └─ linear ───▶ linear

What does not belong here: what a prediction is worth (`reducers.scores`), one row alone (`models.release`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ninetyfive.metrics import Task
from ninetyfive.models.predictor import Answers, Inputs, Predictor
from ninetyfive.plan import RowFunction

if TYPE_CHECKING:
    import polars as pl

Output = tuple[tuple[str, "pl.DataType"], ...]


@dataclass(frozen=True, slots=True)
class Scorer:
    """Who answers: a name for its columns, the transform of raw rows to its inputs, the predictor."""

    name: str
    transform: RowFunction
    predictor: Predictor


@dataclass(frozen=True, slots=True)
class Score:
    """A row function: frame → the columns `keep`, then the answers of each scorer as Float64 columns.

    The transform of several scorers runs once where it is equal.
    """

    scorers: tuple[Scorer, ...]
    keep: tuple[str, ...]
    task: Task
    classes: tuple[str, ...] = ()

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        made: dict[RowFunction, Inputs] = {}
        columns: list[pl.Series] = []
        for scorer in self.scorers:
            if scorer.transform not in made:
                made[scorer.transform] = matrix(scorer.transform(frame))
            answers = scorer.predictor.predict(made[scorer.transform])
            columns += answer_columns(answers, scorer.name, self.task, self.classes)
        return frame.select(*self.keep, *columns)

    def output(self, dtypes: Output) -> Output:
        """What comes out of frames with the columns `dtypes`."""
        import polars as pl

        known = dict(dtypes)
        names = [name for scorer in self.scorers for name in prediction_columns(scorer.name, self.task, self.classes)]
        return (*((name, known[name]) for name in self.keep), *((name, pl.Float64()) for name in names))


def prediction_columns(name: str, task: Task, classes: Sequence[str]) -> tuple[str, ...]:
    """The columns that a scorer's answers stand in: its name, or one a class.

    >>> prediction_columns("model", "multiclass", ["a", "b"])
    ('model:a', 'model:b')
    """
    return tuple(f"{name}:{label}" for label in classes) if task == "multiclass" else (name,)


def matrix(frame: pl.DataFrame | tuple[pl.DataFrame, pl.DataFrame]) -> Inputs:
    """A frame of Float32 columns as a C-ordered float32 array (rows, columns)."""
    rows = frame[0] if isinstance(frame, tuple) else frame
    return np.ascontiguousarray(rows.to_numpy(), dtype=np.float32)


def answer_columns(answers: Answers, name: str, task: Task, classes: Sequence[str]) -> list[pl.Series]:
    """The answers of a predictor as the Float64 columns that `prediction_columns` names."""
    import polars as pl

    names = prediction_columns(name, task, classes)
    values = answers.reshape(len(answers), len(names))
    return [pl.Series(name, np.ascontiguousarray(values[:, index])) for index, name in enumerate(names)]
