"""Training: the user's function is called once, seeded, and what it returns is checked before anything trusts it.

    x (Float32 frame), y (labels) ─ labels ─▶ task, classes, a NumPy array ─ function(x, y, params) ─▶ Fitted

What does not belong here: how a fitted model is kept or served (the adapters), or judged (`reducers/scores`).
"""

from __future__ import annotations

import traceback
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ninetyfive.errors import DataError, ModelError, NinetyfiveError
from ninetyfive.features.transform import Kind
from ninetyfive.metrics import Task
from ninetyfive.models import keras
from ninetyfive.models.adapters import Adapter, adapter_for
from ninetyfive.models.keras_inputs import matrix_model
from ninetyfive.models.keras_training import MemoryStream, Stream, fit_stream
from ninetyfive.models.predictor import Answers, Inputs, check_answers
from ninetyfive.models.seeding import seeded
from ninetyfive.models.signatures import params_alone, takes_champion
from ninetyfive.models.training_places import Places

ModelFunction = Callable[..., Any]
Kinds = Mapping[str, Kind]
"""The columns in order, and what each is."""

_CHECKED_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels as a model function gets them: `values` is bool (binary), float64 (regression) or str (multiclass).

    `classes` are the classes of a multiclass label, sorted; () for the other tasks.
    """

    task: Task
    classes: tuple[str, ...]
    values: np.ndarray


@dataclass(frozen=True, slots=True)
class Offered:
    """What a model function may ask for beside rows and params: the fitted `champion` to continue, and `kinds`."""

    champion: Any = None
    kinds: Kinds | None = None


NOTHING = Offered()


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model that was fitted and checked; `warnings` are the distinct texts that were warned while it was fitted."""

    model: Any
    adapter: Adapter
    task: Task
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    warnings: tuple[str, ...]

    def predict(self, x: Inputs) -> Answers:
        """The model's own answers for float32 (rows, columns): the native form in memory."""
        return self.adapter.predict(self.model, x, self.task, self.classes)


def labels(y: pl.Series, task: Task | None = None, where: str = "label") -> Labels:
    """Labels for a task: by their type, or as `task` says.

    Boolean → binary, String → multiclass, a number → regression; `task="multiclass"` takes whole numbers as words,
    `task="binary"` takes 0 and 1. Null, NaN and infinity, no rows, and one class only raise `DataError` with counts.

    >>> labels(pl.Series(["b", "a", "b"])).classes
    ('a', 'b')
    """
    _refuse_missing(y, where)
    numeric = y.dtype.is_numeric()
    chosen: Task = task or ("binary" if y.dtype == pl.Boolean else "regression" if numeric else "multiclass")
    if chosen == "regression" and (numeric or y.dtype == pl.Boolean):
        return Labels("regression", (), y.cast(pl.Float64).to_numpy())
    if chosen == "binary" and (y.dtype == pl.Boolean or (numeric and y.is_in([0, 1]).all())):
        _refuse_one_class(y.cast(pl.Boolean), where)
        return Labels("binary", (), y.cast(pl.Boolean).to_numpy())
    whole = numeric and bool((y.cast(pl.Float64) == y.cast(pl.Float64).round()).all())
    if chosen == "multiclass" and (y.dtype in (pl.String, pl.Boolean) or whole):
        words = (y.cast(pl.Int64) if numeric else y).cast(pl.String)
        _refuse_one_class(words, where)
        return Labels("multiclass", tuple(sorted(words.unique().to_list())), np.array(words.to_list(), dtype=np.str_))
    takes = {"binary": "true and false, or 0 and 1", "multiclass": "text or whole numbers", "regression": "numbers"}
    raise DataError(
        where,
        expected=f"{takes[chosen]} (task {chosen!r})",
        got=f"{y.dtype} such as {y.head(3).to_list()}",
        do="write the label as a comparison for binary, as text for multiclass, or correct task=",
    )


def fit_model(
    function: ModelFunction,
    x: pl.DataFrame,
    y: Labels,
    params: Mapping[str, Any],
    seed: int,
    offered: Offered = NOTHING,
) -> Fitted:
    """Call `function(x, y, params)` with `random` and `numpy` seeded, and check what it returns on up to 1,000 rows.

    One that has an argument `champion` is given that too: a fitted model, or None where there is none to continue.

    `x` is a frame of Float32 columns in the declared order, `y` as `labels` gave it, `params` a fresh dict. What the
    function raises, and what it returns that is no usable model, raises `ModelError` that names its file and line.
    The state of both generators is put back.
    """
    if not x.height:
        raise DataError("training rows", expected="rows with labels", got="none", do="widen the window or bring labels")
    if params_alone(function):
        stream = MemoryStream(y.task, y.classes, tuple(x.columns), x.to_numpy(), y.values)
        return fit_streamed(function, stream, (x, y), with_columns(params, x.columns, offered.kinds), seed)
    more = {"champion": offered.champion} if takes_champion(function) else {}
    model, said = called(function, lambda: function(x, y.values.copy(), dict(params), **more), x, seed)
    if keras.recognises(model):
        model = matrix_model(model, x.columns, place_of(function))
    return checked(function, model, x, y, said)


def fit_streamed(
    function: ModelFunction,
    stream: Stream,
    sample: tuple[pl.DataFrame, Labels],
    params: dict[str, Any],
    seed: int,
    places: Places | None = None,
) -> Fitted:
    """Call `function(params)` for a compiled Keras model, fit it from `stream`, and check it on rows of the sample.

    With `places` a fit that was killed goes on where it was, and each epoch is logged. Errors are those of `fit_model`.
    """
    x, y = sample
    model, said = called(function, lambda: fit_stream(function, stream, params, seed, places), x, seed)
    return checked(function, model, x, y, said)


def with_columns(params: Mapping[str, Any], columns: Sequence[str], kinds: Kinds | None) -> dict[str, Any]:
    """`params` for a function of them alone, with what it cannot see: under "columns" {column: indices, None: number}.

    >>> with_columns({"units": 8}, ["hour", "zone"], {"hour": "number", "zone": ("index", 30)})
    {'units': 8, 'columns': {'hour': None, 'zone': 30}}
    """
    known = kinds or {}
    sizes = {name: kind[1] if isinstance(kind := known.get(name), tuple) else None for name in columns}
    return {**params, "columns": sizes}


def called(function: ModelFunction, run: Callable[[], Any], x: pl.DataFrame, seed: int) -> tuple[Any, tuple[str, ...]]:
    """What `run` gives, which calls the user's `function` on rows such as `x`, seeded; and what was warned there."""
    with seeded(seed), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warnings.filterwarnings("ignore", message=keras.NUMPY_2, category=DeprecationWarning)
        try:
            model = run()
        except (Exception, SystemExit) as cause:
            if isinstance(cause, NinetyfiveError):
                raise
            raise _raised(function, cause, x) from cause
    return model, tuple(dict.fromkeys(f"{item.category.__name__}: {item.message}" for item in caught))


def checked(function: ModelFunction, model: Any, x: pl.DataFrame, y: Labels, said: tuple[str, ...]) -> Fitted:
    """What a function returned, held against the task and up to 1,000 rows; `ModelError` names the function."""
    where = place_of(function)
    fitted = Fitted(model, _adapter(model, where), y.task, y.classes, tuple(x.columns), said)
    _check(fitted, x.head(_CHECKED_ROWS), where)
    return fitted


def _adapter(model: Any, where: str) -> Adapter:
    if isinstance(model, type) or not (hasattr(model, "predict") or hasattr(model, "predict_proba")):
        raise ModelError(
            where,
            expected="a fitted object with predict_proba or predict",
            got=f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__,
            do="end the function with the fitted model, such as `return LogisticRegression(**params).fit(x, y)`",
        )
    return adapter_for(model, where)


def _check(fitted: Fitted, x: pl.DataFrame, where: str) -> None:
    names = getattr(fitted.model, "feature_names_in_", None)
    if names is not None and tuple(map(str, names)) != fitted.columns:
        raise ModelError(
            where,
            expected=f"a model fitted on the {len(fitted.columns)} columns of x, in their order",
            got=f"one of {len(names)}: {', '.join(map(str, names[:5]))}" + (" …" if len(names) > 5 else ""),
            do="fit on x as it is passed; a column is left out, or moved, in features=",
        )
    try:
        predictions = fitted.predict(x.to_numpy().astype(np.float32, copy=False))
        check_answers(predictions, fitted.task, where)
    except ModelError as error:
        raise ModelError(where, expected=error.expected, got=error.got, do=error.do) from error
    except Exception as cause:
        raise ModelError(
            where,
            expected="a fitted model that predicts the rows it was trained on",
            got=f"{type(cause).__name__}: {(str(cause) or 'no words').splitlines()[0]}",
            do=_fill(x, str(cause)) or "call .fit(x, y) in the function and return the result",
        ) from cause


def _refuse_missing(y: pl.Series, where: str) -> None:
    nulls = y.null_count()
    odd = int((~y.is_finite()).sum()) if y.dtype.is_float() else 0
    if nulls or odd or not len(y):
        raise DataError(
            where,
            expected="a label in every training row",
            got=f"{nulls} null and {odd} NaN or infinite of {len(y)} rows" if len(y) else "no rows",
            do="make the label null where it is not known (such rows are counted as unlabelled), and bring more rows",
        )


def _refuse_one_class(y: pl.Series, where: str) -> None:
    if y.n_unique() < 2:
        raise DataError(
            where,
            expected="at least two classes in the training rows",
            got=f"only {y[0]!r}, {len(y)} times",
            do="widen the window, or look at the label expression: it never changes",
        )


def _raised(function: ModelFunction, cause: BaseException, x: pl.DataFrame) -> ModelError:
    own = getattr(function, "__code__", None)
    frames = list(traceback.walk_tb(cause.__traceback__))
    lines = [line for frame, line in frames if own is not None and frame.f_code.co_filename == own.co_filename]
    text = str(cause).strip() or "no words"
    do = _fill(x, text) or "correct the model function; the whole traceback stands above"
    return ModelError(
        place_of(function, lines[-1] if lines else None),
        expected="a fitted model",
        got=f"{type(cause).__name__}: {text.splitlines()[0]}",
        do=do,
    )


def _fill(x: pl.DataFrame, text: str) -> str | None:
    """What to do where a model failed with words about missing values, and columns miss some."""
    holes = [name for name in x.columns if x[name].is_nan().any() or x[name].null_count()]
    if not holes or not ("NaN" in text or "missing" in text):
        return None
    shown = ", ".join(map(repr, holes[:5])) + (f" and {len(holes) - 5} more" if len(holes) > 5 else "")
    return f"fill what is missing in {shown} with .fill_mean() or .fill_null(), or use a model that takes NaN"


def place_of(function: ModelFunction, line: int | None = None) -> str:
    """Where a model function stands, for errors."""
    name = getattr(function, "__qualname__", None)
    if name is None:
        return str(function)
    code = getattr(function, "__code__", None)
    if not isinstance(code, types.CodeType):
        return f"model function {name!r}"
    return f"model function {name!r} ({Path(code.co_filename).name}, line {line or code.co_firstlineno})"
