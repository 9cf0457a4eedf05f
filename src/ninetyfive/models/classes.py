"""Whether a fitted model is one of the classes and columns that a release says, and answers in their order.

What does not belong here: the numbers themselves (`predictor`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ninetyfive.errors import ModelError
from ninetyfive.metrics import Task
from ninetyfive.models.predictor import Inputs


def check_classes(model: Any, task: Task, classes: Sequence[str]) -> None:
    """`ModelError` where the model names its classes (`classes_`) and they are others; whole numbers are their places.

    A model of 0, 1, 2 was fitted on the places of the classes in their order, as `np.unique` gives them.
    """
    model = getattr(model, "best_estimator_", model)
    known = getattr(model, "classes_", None)
    if known is None or task == "regression":
        return
    places = np.issubdtype(np.asarray(known).dtype, np.integer)
    if task == "binary":
        found: list[Any] = [bool(word) for word in known]
        expected: list[Any] = [False, True]
    else:
        found = [int(word) if places else str(word) for word in known]
        expected = list(range(len(classes))) if places else list(classes)
    if found != expected:
        raise ModelError(
            type(model).__name__,
            expected=f"a model of the classes {expected}",
            got=f"one of {found}",
            do="fit on all of x and y as they are passed, or filter the rare classes out of the label",
        )


def check_width(width: int, x: Inputs, where: str) -> None:
    """`ModelError` where the model was fitted on another number of columns."""
    if width != x.shape[1]:
        raise ModelError(
            where,
            expected=f"a model fitted on the {x.shape[1]} columns of x, in their order",
            got=f"one of {width}",
            do="fit on x as it is passed; a column is left out, or moved, in features=",
        )


def in_classes(values: np.ndarray, task: Task, classes: Sequence[str]) -> np.ndarray:
    """Probabilities of two classes, where the model gives only that of the second one.

    >>> in_classes(np.array([0.25]), "multiclass", ("no", "yes")).tolist()
    [[0.75, 0.25]]
    """
    if task == "multiclass" and len(classes) == 2 and values.ndim == 1:
        return np.column_stack([1.0 - values.astype(np.float64), values])
    return values
