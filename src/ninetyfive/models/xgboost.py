"""The adapter for XGBoost: a Booster, or a wrapper of it such as XGBClassifier.

    Booster ─ save ───▶ model.json   XGBoost's own format, trees only: equal trees, equal bytes
            ─ export ─▶ ONNX bytes   by onnxmltools, where no split is categorical

Only the Booster is kept: the wrappers add classes, which are checked and stand in the release. Of early stopping the
best iteration counts, in every function. XGBoost is imported by whoever made the model, or to load one.
What does not belong here: whether an export is right (`proof.py`), what is common to exported files (`exported.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ninetyfive.errors import IntegrityError, ModelError
from ninetyfive.metrics import Task
from ninetyfive.models.classes import check_classes, check_width, in_classes
from ninetyfive.models.exported import converted, finished
from ninetyfive.models.predictor import Answers, Inputs, answers

NAME = "xgboost"
FILES: tuple[str, ...] = ("model.json",)
FORMS: tuple[str, ...] = ("onnx", "native")
NEEDS: tuple[str, ...] = ("xgboost-cpu" if sys.platform == "linux" else "xgboost",)


def recognises(model: object) -> bool:
    """Whether a class of XGBoost stands in the ancestry of the model, or of what a search found; imports nothing.

    >>> recognises({"not": "a model"})
    False
    """
    return any(kind.__module__.partition(".")[0] == "xgboost" for kind in type(_found(model)).__mro__)


def save(model: Any, folder: Path) -> None:
    """Write `folder/model.json`: the trees up to the best iteration, without attributes.

    A model that holds categories of a data frame raises `ModelError`: it would read other numbers than it was
    trained on. So does a `missing=` other than NaN, which XGBoost keeps outside its trees.
    """
    booster = _booster(model)
    _refuse_what_is_not_kept(model, booster)
    (folder / FILES[0]).write_bytes(bytes(_bare(booster).save_raw("json")))


def load(folder: Path) -> Any:
    """The Booster that `save` wrote, set to one thread; anything else raises `IntegrityError`."""
    path = folder / FILES[0]
    data = path.read_bytes()
    try:
        json.loads(data)  # XGBoost may end the process over what is cut off
    except ValueError:
        wrong = f"{len(data)} bytes that start {data[:4]!r}"
    else:
        import xgboost

        booster = xgboost.Booster()
        try:
            booster.load_model(bytearray(data))
            booster.set_param({"nthread": 1})
            booster.save_config()  # settles the parameters, before threads meet
            return booster
        except xgboost.core.XGBoostError as cause:
            wrong = str(cause).splitlines()[0]
    raise IntegrityError(
        str(path),
        expected="a whole model in XGBoost's JSON (never a pickle)",
        got=wrong,
        do="restore the release from where it was copied, or train again",
    )


def export(model: Any, columns: Sequence[str], task: Task, classes: Sequence[str]) -> bytes:
    """The model as ONNX bytes: input `x` float32 (rows, columns), one output; task, classes and columns as metadata.

    Equal models give equal bytes. What cannot be converted, and categorical splits, raise `ModelError`.
    """
    booster = _booster(model)
    check_classes(model, task, classes)
    where = _name(model)
    _refuse_categorical(booster, where)
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    bare = _bare(booster)
    bare.feature_names = None  # the converter reads the places of columns out of their names
    made = converted(
        lambda: convert_xgboost(bare, name="ninetyfive", initial_types=[("x", FloatTensorType([None, len(columns)]))]),
        where,
        "accept the native form with `@system.model(native=True)`",
    )
    return finished(made, -1, columns, task, classes)


def predict(model: Any, x: Inputs, task: Task, classes: Sequence[str]) -> Answers:
    """The model's own answers for float32 (rows, columns), as float64 in the shape of the task.

    A loaded model answers by one thread, one that was just fitted by as many as it was fitted with: the bits are equal.
    """
    booster = _booster(model)
    check_classes(model, task, classes)
    check_width(booster.num_features(), x, _name(model))
    given = booster.inplace_predict(x, iteration_range=(0, _best(booster)), validate_features=False)
    return answers(in_classes(given, task, classes), task, tuple(classes), len(x), _name(model))


def _found(model: Any) -> Any:
    return getattr(model, "best_estimator_", model)


def _booster(model: Any) -> Any:
    found = _found(model)
    return found.get_booster() if hasattr(found, "get_booster") else found


def _best(booster: Any) -> int:
    """How many rounds count: up to the best one where training stopped early; 0, which is all of them, elsewhere."""
    best = booster.attr("best_iteration")
    return 0 if best is None else int(best) + 1


def _bare(booster: Any) -> Any:
    """The trees that count, without attributes."""
    best = _best(booster)
    bare = booster[:best] if best else booster.copy()
    for name in bare.attributes():
        bare.set_attr(**{name: None})
    return bare


def _refuse_what_is_not_kept(model: Any, booster: Any) -> None:
    missing = getattr(_found(model), "missing", None)
    got = None
    if missing is not None and missing == missing:
        got, do = f"missing={missing!r}, which is not part of its trees", "leave missing= out: what is missing is NaN"
    elif not booster.get_categories().empty():
        got, do = (
            "one that holds categories of a data frame",
            'fit on x as it is passed, and name the columns of .vocabulary() by feature_types=["q", "c", ...]',
        )
    if got:
        raise ModelError(_name(model), expected="a model that its trees tell whole", got=got, do=do)


def _refuse_categorical(booster: Any, where: str) -> None:
    if "c" in (booster.feature_types or ()):
        raise ModelError(
            where,
            expected="splits of numbers, to convert to ONNX",
            got="categorical splits, which become one node a category there: many times as large, in minutes",
            do="accept the native form with `@system.model(native=True)`",
        )


def _name(model: Any) -> str:
    return type(_found(model)).__name__
