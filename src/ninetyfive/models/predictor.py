"""What every model answers, whatever framework made it.

    x: float32 (rows, columns)  ─ predict ─▶  binary      float64 (rows,)          the probability of true
                                              regression  float64 (rows,)          the number
                                              multiclass  float64 (rows, classes)  probabilities, classes sorted

What does not belong here: anything that knows a framework (`models/<framework>.py`, one adapter each).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ninetyfive.errors import ModelError
from ninetyfive.metrics import TASKS, Task

Inputs = npt.NDArray[np.float32]
Answers = npt.NDArray[np.float64]

_SUM_TOLERANCE = 1e-3


class Predictor(Protocol):
    """Something fitted that answers; picklable, compared by content, so that a plan's `Map` can hold it."""

    @property
    def task(self) -> Task: ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of a multiclass model, sorted; () for the other tasks."""
        ...

    def predict(self, x: Inputs) -> Answers:
        """Answers for float32 (rows, columns), in the shape of the task (see the module)."""
        ...


def inputs(x: Any, columns: int | None, where: str) -> Inputs:
    """`x` as a C-ordered float32 array of two dimensions; `ModelError` if it is not one of `columns` columns.

    >>> inputs([[1, 2]], 2, "here").dtype.name
    'float32'
    """
    array = np.ascontiguousarray(x, dtype=np.float32)
    if array.ndim != 2 or (columns is not None and array.shape[1] != columns):
        raise ModelError(
            where,
            expected=f"rows of {columns if columns is not None else 'some'} columns",
            got=f"an array of shape {array.shape}",
            do="pass every column of the transform, in its order, one row to a line",
        )
    return array


def answers(values: Any, task: Task, classes: tuple[str, ...], rows: int, where: str) -> Answers:
    """What a model gave, as float64 in the shape of the task; `ModelError` for another length, shape or type.

    >>> answers([0.25, 1], "binary", (), 2, "here").tolist()
    [0.25, 1.0]
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(
            where,
            expected="predictions that are numbers",
            got=f"{type(values).__name__} of {_sample(values)}",
            do="return a model whose predictions are floats, or declare the task that fits what it predicts",
        ) from None
    if array.ndim == 2 and array.shape[1] == 1 and task != "multiclass":
        array = array[:, 0]
    shape = (rows, len(classes)) if task == "multiclass" else (rows,)
    if array.shape != shape:
        raise ModelError(
            where,
            expected=f"predictions of shape {shape} for {rows} rows ({task})",
            got=f"shape {array.shape}",
            do="return one prediction for each row" + (", one column for each class" if task == "multiclass" else ""),
        )
    return array


def answer_complete(predict: Callable[[Inputs], Answers], x: Inputs, task: Task, classes: tuple[str, ...]) -> Answers:
    """Answers for the rows of `x` without a NaN, and NaN for the others.

    >>> answer_complete(lambda rows: rows[:, 0] * 2.0, np.array([[1.0], [np.nan]]), "regression", ())
    array([ 2., nan])
    """
    complete = ~np.isnan(x).any(axis=1)
    if complete.all():
        return predict(x)
    result = np.full((len(x), len(classes)) if task == "multiclass" else (len(x),), np.nan)
    if complete.any():
        result[complete] = predict(np.ascontiguousarray(x[complete]))
    return result


def check_answers(values: Answers, task: Task, where: str) -> None:
    """`ModelError` where a prediction is NaN or infinite, or probabilities are outside [0, 1] or do not sum to 1."""
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argmin(finite if finite.ndim == 1 else finite.all(axis=1)))
        raise ModelError(
            where,
            expected="finite predictions",
            got=f"{values[row].tolist()} for row {row} ({int((~finite).sum())} such values)",
            do="keep missing values out with .fill_mean() or .fill_null(), or use a model that takes them",
        )
    if task == "regression" or values.size == 0:
        return
    if values.min() < 0 or values.max() > 1:
        flat = values if values.ndim == 1 else values.reshape(len(values), -1).max(axis=1)
        low = values if values.ndim == 1 else values.min(axis=1)
        row = int(np.argmax(np.maximum(flat - 1, -low)))
        raise ModelError(
            where,
            expected="probabilities between 0 and 1",
            got=f"{values[row].tolist()} for row {row}",
            do="return a model with predict_proba (of Keras: a sigmoid or softmax at the end, "
            "no from_logits), or declare task='regression' if these are not probabilities",
        )
    if task == "multiclass":
        off = np.abs(values.sum(axis=1) - 1)
        if off.max() > _SUM_TOLERANCE:
            row = int(np.argmax(off))
            raise ModelError(
                where,
                expected="probabilities that sum to 1 in each row",
                got=f"{values[row].tolist()} for row {row}",
                do="return a model whose predict_proba is normalised",
            )


def task_of(word: str, where: str = "task") -> Task:
    """The task that a word names; `ModelError` for any other word.

    >>> task_of("binary")
    'binary'
    """
    if word not in TASKS:
        raise ModelError(where, expected="one of " + ", ".join(TASKS), got=repr(word), do="declare one of these tasks")
    return word


def _sample(values: Any) -> str:
    text = repr(values[:3].tolist() if isinstance(values, np.ndarray) else values)
    return text if len(text) <= 80 else text[:77] + "..."
