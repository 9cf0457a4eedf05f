"""The adapter for LightGBM: a Booster, or a wrapper of it such as LGBMClassifier.

    Booster ─ save ───▶ model.txt    LightGBM's own text, trees only: equal trees, equal bytes
            ─ export ─▶ ONNX bytes   by onnxmltools, where no split is categorical

Only the Booster is kept: the wrappers add names of classes, which are checked and stand in the release. Of early
stopping the best iteration counts, in every function. LightGBM is imported by whoever made the model, or to load one.
What does not belong here: whether an export is right (`proof.py`), what is common to exported files (`exported.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ninetyfive.errors import IntegrityError, ModelError
from ninetyfive.metrics import Task
from ninetyfive.models.classes import check_classes, check_width, in_classes
from ninetyfive.models.exported import converted, finished
from ninetyfive.models.predictor import Answers, Inputs, answers

NAME = "lightgbm"
FILES: tuple[str, ...] = ("model.txt",)
FORMS: tuple[str, ...] = ("onnx", "native")
NEEDS: tuple[str, ...] = ("lightgbm",)

_START = "tree\n"
_SIZES = "tree_sizes="
_END = "\nend of trees\n"


def recognises(model: object) -> bool:
    """Whether a class of LightGBM stands in the ancestry of the model, or of what a search found; imports nothing.

    >>> recognises({"not": "a model"})
    False
    """
    return any(kind.__module__.partition(".")[0] == "lightgbm" for kind in type(_found(model)).__mro__)


def save(model: Any, folder: Path) -> None:
    """Write `folder/model.txt`: the trees up to the best iteration, without parameters, paths or importances.

    A model that holds categories of pandas raises `ModelError`: it would read other numbers than it was trained on.
    """
    booster = _booster(model)
    if getattr(booster, "pandas_categorical", None):
        raise ModelError(
            _name(model),
            expected="a model fitted on numbers",
            got="one that holds categories of a data frame",
            do="fit on x as it is passed, and name the columns of .vocabulary() in categorical_feature=[...]",
        )
    (folder / FILES[0]).write_text(_text(booster), encoding="utf-8")


def load(folder: Path) -> Any:
    """The Booster that `save` wrote; `IntegrityError` for anything else, which LightGBM would end the process over."""
    path = folder / FILES[0]
    data = path.read_bytes()
    if not _is_whole(data):
        raise IntegrityError(
            str(path),
            expected="a whole model in LightGBM's text (never a pickle)",
            got=f"{len(data)} bytes that start {data[:4]!r}",
            do="restore the release from where it was copied, or train again",
        )
    import lightgbm

    return lightgbm.Booster(model_str=data.decode())


def export(model: Any, columns: Sequence[str], task: Task, classes: Sequence[str]) -> bytes:
    """The model as ONNX bytes: input `x` float32 (rows, columns), one output; task, classes and columns as metadata.

    Equal models give equal bytes. What cannot be converted, and categorical splits, raise `ModelError`.
    """
    text, where = _text(_booster(model)), _name(model)
    check_classes(model, task, classes)
    _refuse_categorical(text, where)
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    bare = lightgbm.Booster(model_str=text)  # the converter would take the objective by the name that params give it
    made = converted(
        lambda: convert_lightgbm(
            bare, name="ninetyfive", initial_types=[("x", FloatTensorType([None, len(columns)]))], zipmap=False
        ),
        where,
        "accept the native form with `@system.model(native=True)`",
    )
    return finished(made, -1, columns, task, classes)


def predict(model: Any, x: Inputs, task: Task, classes: Sequence[str]) -> Answers:
    """The model's own answers for float32 (rows, columns), as float64 in the shape of the task; by one thread."""
    booster = _booster(model)
    check_classes(model, task, classes)
    check_width(booster.num_feature(), x, _name(model))
    given = in_classes(np.asarray(booster.predict(x, num_threads=1)), task, classes)
    return answers(given, task, tuple(classes), len(x), _name(model))


def _found(model: Any) -> Any:
    return getattr(model, "best_estimator_", model)


def _booster(model: Any) -> Any:
    found = _found(model)
    return getattr(found, "booster_", found)


def _text(booster: Any) -> str:
    """The trees up to the best iteration, as text."""
    text: str = booster.model_to_string()
    return text[: text.index(_END) + len(_END)]


def _is_whole(data: bytes) -> bool:
    """Whether the text has all the trees that its head says: LightGBM itself ends the process where one is cut off."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    head, found, rest = text.partition("\n" + _SIZES)
    if not found or not head.startswith(_START) or not text.endswith(_END):
        return False
    sizes, _, trees = rest.partition("\n\n")
    try:
        places = np.cumsum([0, *map(int, sizes.split())]).tolist()
    except ValueError:
        return False
    parts = [trees.encode()[start:end] for start, end in pairwise(places)]
    whole = all(part.startswith(b"Tree=%d\n" % number) for number, part in enumerate(parts))
    return whole and trees[places[-1] :].startswith(_END[1:])


def _refuse_categorical(text: str, where: str) -> None:
    if any(line != "num_cat=0" for line in text.splitlines() if line.startswith("num_cat=")):
        raise ModelError(
            where,
            expected="splits of numbers, to convert to ONNX",
            got="categorical splits, which become one node a category there: many times as large, and no quicker",
            do="accept the native form with `@system.model(native=True)`",
        )


def _name(model: Any) -> str:
    return type(_found(model)).__name__
