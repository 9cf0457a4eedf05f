"""The adapter for scikit-learn: an estimator, or a pipeline of them, with `predict_proba` or `predict`.

    fitted estimator ─ save ───▶ model.skops   data only: types from a pinned list, equal models give equal bytes
                     ─ export ─▶ ONNX bytes    one float32 input, one output, equal models give equal bytes

Every adapter is one file with the same functions in the same order: recognises, save, load, export, predict.
scikit-learn is imported by whoever made the model, skops and skl2onnx in the function that needs them. No pickle.
What does not belong here: the rewriting of skops files (`canonical.py`), what is common to exported files
(`exported.py`), whether an export is right (`proof.py`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ninetyfive.errors import IntegrityError, ModelError
from ninetyfive.metrics import Task
from ninetyfive.models.canonical import canonical_skops
from ninetyfive.models.classes import check_classes
from ninetyfive.models.exported import converted, finished
from ninetyfive.models.predictor import Answers, Inputs, answers

NAME = "sklearn"
FILES: tuple[str, ...] = ("model.skops",)
FORMS: tuple[str, ...] = ("onnx",)
NEEDS: tuple[str, ...] = ("scikit-learn", "skops")

TRUSTED = (
    "numpy.dtype",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
"""Types that skops does not trust by itself and that hold data only, by exact name. A file cannot add to them."""

_OPSETS = {"": 17, "ai.onnx.ml": 3}
_NATIVE = (
    "accept the native form with `@system.model(native=True)`, or use an estimator that skl2onnx converts "
    "(a ColumnTransformer must name columns by position)"
)


def recognises(model: object) -> bool:
    """Whether a class of scikit-learn stands in the model's ancestry; never imports scikit-learn.

    >>> recognises({"not": "a model"})
    False
    """
    return any(kind.__module__.partition(".")[0] == "sklearn" for kind in type(model).__mro__)


def save(model: Any, folder: Path) -> None:
    """Write `folder/model.skops`; a type outside the pinned list raises `ModelError`. Equal models, equal bytes."""
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    model = _found(model)
    try:
        data = skops.io.dumps(model)
    except (UnsupportedTypeException, TypeError, AttributeError, ValueError) as cause:
        raise ModelError(
            _name(model),
            expected="a model that skops can write",
            got=f"{type(cause).__name__}: {cause}",
            do="keep lambdas, local classes and open resources out of the model",
        ) from cause
    strange = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED))
    if strange:
        raise ModelError(
            _name(model),
            expected="only types of scikit-learn and numpy inside the model",
            got=", ".join(strange),
            do="build the model from scikit-learn's own classes and functions: other types cannot be loaded safely",
        )
    (folder / FILES[0]).write_bytes(canonical_skops(data))


def load(folder: Path) -> Any:
    """The model that `save` wrote; no skops file, or one with a type outside the list, raises `IntegrityError`."""
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    path = folder / FILES[0]
    data = path.read_bytes()
    try:
        return skops.io.loads(data, trusted=list(TRUSTED))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as cause:
        raise IntegrityError(
            str(path),
            expected="a skops file (a zip of data, never a pickle)",
            got=f"{len(data)} bytes that start {data[:4]!r}",
            do="restore the release from where it was copied, or train again",
        ) from cause
    except UntrustedTypesFoundException as cause:
        raise IntegrityError(
            str(path),
            expected="only the types of scikit-learn that are trusted by name",
            got=str(cause).splitlines()[0],
            do="do not load this file: it was not written by this version of ninetyfive",
        ) from cause


def export(model: Any, columns: Sequence[str], task: Task, classes: Sequence[str]) -> bytes:
    """The model as ONNX bytes: input `x` float32 (rows, columns), one output; task, classes and columns as metadata.

    Equal models give equal bytes. What cannot be converted, or is known to convert wrongly, raises `ModelError`.
    """
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    model = _found(model)
    _refuse_known_wrong(model)
    probabilities = hasattr(model, "predict_proba") and task != "regression"
    if probabilities:
        check_classes(model, task, classes)
    made = converted(
        lambda: skl2onnx.convert_sklearn(
            model,
            name="ninetyfive",
            initial_types=[("x", FloatTensorType([None, len(columns)]))],
            options={id(model): {"zipmap": False}} if probabilities else None,
            custom_conversion_functions=_conversions(),
            target_opset=_OPSETS,
        ),
        _name(model),
        _NATIVE,
    )
    return finished(made, -1 if probabilities else 0, columns, task, classes)


def predict(model: Any, x: Inputs, task: Task, classes: Sequence[str]) -> Answers:
    """The model's own answers for float32 (rows, columns), as float64 in the shape of the task.

    A model that was fitted on named columns is given named columns. What scikit-learn raises is passed on.
    """
    model = _found(model)
    rows = _as_fitted(model, x)
    if task == "multiclass" and not hasattr(model, "predict_proba"):
        raise ModelError(
            _name(model),
            expected="a model with predict_proba, for a label of several classes",
            got=f"{_name(model)} without it",
            do="use a model that gives probabilities, or wrap it in CalibratedClassifierCV",
        )
    if task == "regression" or not hasattr(model, "predict_proba"):
        return answers(model.predict(rows), task, tuple(classes), len(x), _name(model))
    given = np.asarray(model.predict_proba(rows))
    check_classes(model, task, classes)
    if task == "binary" and given.ndim == 2 and given.shape[1] == 2:
        given = given[:, 1]
    return answers(given, task, tuple(classes), len(x), _name(model))


def _found(model: Any) -> Any:
    """What a search found, for GridSearchCV and its like: the search itself holds how long each trial took."""
    return getattr(model, "best_estimator_", model)


def _as_fitted(model: Any, x: Inputs) -> Any:
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return x
    import polars as pl

    return pl.DataFrame(x, schema=[str(name) for name in names], orient="row")


def _refuse_known_wrong(model: Any) -> None:
    for part in _parts(model):
        categorical = getattr(part, "is_categorical_", None)
        if type(part).__name__.startswith("HistGradientBoosting") and categorical is not None and np.any(categorical):
            raise ModelError(
                _name(part),
                expected="a model that converts to ONNX rightly",
                got="categorical_features, which skl2onnx converts to other predictions without a word",
                do="drop categorical_features (trees split the numbers of .vocabulary() well), or use .one_hot(), "
                "or accept the native form with `@system.model(native=True)`",
            )


def _parts(model: Any) -> Iterator[Any]:
    """The model and every estimator inside it."""
    waiting, seen = [model], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, list | tuple):
            waiting.extend(part)
        elif isinstance(part, np.ndarray) and part.dtype == object:
            waiting.extend(part.ravel().tolist())
        elif recognises(part) and hasattr(part, "__dict__"):
            yield part
            waiting.extend(vars(part).values())


class _PlainAttributes:
    """A container of skl2onnx whose nodes take plain integers and floats.

    Protobuf 7 refuses booleans and numpy numbers among integers; skl2onnx 1.20 passes both for trees.
    """

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, op_type: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        plain = {name: _plain(value) for name, value in attributes.items()}
        self._container.add_node(op_type, inputs, outputs, **plain)


def _plain(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        return value
    numbers = [item.item() if isinstance(item, np.generic) else item for item in value]
    return [int(item) if isinstance(item, bool) else item for item in numbers]


def _conversions() -> dict[type, Any]:
    from skl2onnx._supported_operators import _get_sklearn_operator_name
    from skl2onnx.common._registration import get_converter
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    def plain(kind: type) -> Any:
        converter = get_converter(_get_sklearn_operator_name(kind))
        return lambda scope, operator, container: converter(scope, operator, _PlainAttributes(container))

    return {kind: plain(kind) for kind in (HistGradientBoostingClassifier, HistGradientBoostingRegressor)}


def _name(model: Any) -> str:
    return type(model).__name__
