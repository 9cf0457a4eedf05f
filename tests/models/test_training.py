"""Training: labels and their tasks, seeds, and everything a model function may do wrong."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from ninetyfive.errors import DataError, ModelError
from ninetyfive.models.training import Offered, fit_model, labels
from ninetyfive.testing.adapter_suite import rows, target

X = rows()
BINARY = labels(target(X, "binary"))


def fit(function: Any, y: Any = BINARY, x: pl.DataFrame = X) -> Any:
    return fit_model(function, x, y, {"C": 2.0}, seed=1)


def test_the_type_of_the_label_makes_the_task() -> None:
    assert labels(pl.Series([True, False])).task == "binary"
    assert labels(pl.Series([True, False])).values.dtype == np.bool_
    assert labels(pl.Series([1, 2])).task == "regression"
    assert labels(pl.Series([1.5, 1.5])).values.dtype == np.float64
    words = labels(pl.Series(["b", "a"]))
    assert (words.task, words.classes, words.values.tolist()) == ("multiclass", ("a", "b"), ["b", "a"])


def test_a_task_overrides_the_type() -> None:
    assert labels(pl.Series([10, 9, 10]), "multiclass").classes == ("10", "9")
    assert labels(pl.Series([1.0, 2.0]), "multiclass").classes == ("1", "2")
    assert labels(pl.Series([0, 1]), "binary").values.tolist() == [False, True]
    assert labels(pl.Series([True, False]), "regression").values.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("y", "task"),
    [(pl.Series(["a", "b"]), "binary"), (pl.Series(["a", "b"]), "regression"), (pl.Series([0.5, 1.0]), "multiclass")],
)
def test_a_task_that_the_label_cannot_be_is_refused(y: pl.Series, task: Any) -> None:
    with pytest.raises(DataError, match=f"task '{task}'"):
        labels(y, task)


def test_missing_labels_are_counted() -> None:
    with pytest.raises(DataError, match="1 null and 2 NaN or infinite of 4 rows"):
        labels(pl.Series([None, float("nan"), float("inf"), 1.0]))
    with pytest.raises(DataError, match="no rows"):
        labels(pl.Series([], dtype=pl.Boolean))


@pytest.mark.parametrize("y", [pl.Series([True, True, True]), pl.Series(["x", "x", "x"])])
def test_one_class_only_is_refused_with_its_count(y: pl.Series) -> None:
    with pytest.raises(DataError, match=r"two classes.*3 times"):
        labels(y)


def test_a_model_is_fitted_on_named_float32_columns() -> None:
    seen: dict[str, Any] = {}

    def model(x: pl.DataFrame, y: Any, params: dict[str, Any]) -> Any:
        seen.update(x=x, y=y, params=params)
        return LogisticRegression(**params).fit(x, y)

    fitted = fit(model)
    assert seen["x"].schema == {"a": pl.Float32, "b": pl.Float32, "c": pl.Float32}
    assert (seen["y"].dtype, seen["params"]) == (np.dtype(bool), {"C": 2.0})
    assert (fitted.adapter.NAME, fitted.task, fitted.columns, fitted.warnings) == (
        "sklearn",
        "binary",
        ("a", "b", "c"),
        (),
    )
    assert fitted.predict(X.to_numpy()).shape == (X.height,)


def test_the_function_cannot_change_labels_or_parameters() -> None:
    def model(x: pl.DataFrame, y: Any, params: dict[str, Any]) -> Any:
        params["C"], kept = 9.0, y.copy()
        y[:] = True
        return LogisticRegression().fit(x, kept)

    params = {"C": 2.0}
    before = BINARY.values.copy()
    fit_model(model, X, BINARY, params, seed=1)
    assert params == {"C": 2.0}
    assert np.array_equal(BINARY.values, before)


def test_both_generators_are_seeded_and_put_back() -> None:
    drawn: list[tuple[float, float]] = []

    def model(x: pl.DataFrame, y: Any, params: dict[str, Any]) -> Any:
        drawn.append((random.random(), float(np.random.rand())))
        return LogisticRegression().fit(x, y)

    random.seed(3)
    np.random.seed(3)
    expected = (random.random(), float(np.random.rand()))
    random.seed(3)
    np.random.seed(3)
    fit(model)
    assert (random.random(), float(np.random.rand())) == expected
    fit(model)
    fit_model(model, X, BINARY, {}, seed=2)
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_is_warned_is_kept() -> None:
    def model(x: pl.DataFrame, y: Any, params: dict[str, Any]) -> Any:
        warnings.warn("slow today", UserWarning, stacklevel=1)
        return LogisticRegression().fit(x, y)

    assert fit(model).warnings == ("UserWarning: slow today",)


def test_a_function_that_raises_is_named_with_its_line() -> None:
    def model(x: pl.DataFrame, y: Any, params: dict[str, Any]) -> Any:
        return 1 / 0

    with pytest.raises(ModelError, match="ZeroDivisionError") as raised:
        fit(model)
    assert f"test_training.py, line {model.__code__.co_firstlineno + 1}" in raised.value.where
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_nan_that_the_model_does_not_take_names_the_columns() -> None:
    holes = X.with_columns(b=pl.lit(float("nan"), dtype=pl.Float32))
    with pytest.raises(ModelError, match=r"fill what is missing in 'b'"):
        fit(lambda x, y, _: LogisticRegression().fit(x, y), x=holes)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "got NoneType"),
        ({"model": 1}, "got dict"),
        (LogisticRegression, "got the class LogisticRegression"),
        (LogisticRegression(), "NotFittedError"),
        (StopIteration(), "predict_proba or predict"),
    ],
    ids=["None", "a dict", "a class", "not fitted", "anything"],
)
def test_what_is_no_fitted_model_is_refused(returned: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words) as raised:
        fit(lambda *_: returned)
    assert "test_training.py" in raised.value.where


def test_a_function_that_takes_a_champion_is_given_one_or_none() -> None:
    given: list[Any] = []

    def continues(x: Any, y: Any, params: dict[str, Any], champion: Any) -> Any:
        given.append(champion)
        return LogisticRegression().fit(x, y)

    before = fit_model(continues, X, BINARY, {}, seed=1)
    fit_model(continues, X, BINARY, {}, 1, Offered(before.model))
    assert given == [None, before.model]


def test_a_model_of_no_known_framework_is_refused() -> None:
    class Mine:
        def predict(self, x: Any) -> Any:
            return np.zeros(len(x))

    with pytest.raises(ModelError, match=r"one of: lightgbm, xgboost, sklearn, keras, imported, got Mine"):
        fit(lambda *_: Mine())


class _Predicts(DummyRegressor):  # type: ignore[misc]
    answer: Any

    def predict(self, X: Any) -> Any:
        return type(self).answer(X)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: np.zeros(len(x) - 1), "shape"),
        (lambda x: np.full(len(x), np.nan), "finite predictions"),
        (lambda x: np.full(len(x), 1.5), "between 0 and 1"),
        (lambda x: ["yes"] * len(x), "predictions that are numbers"),
    ],
    ids=["wrong length", "NaN", "outside [0, 1]", "words"],
)
def test_predictions_that_are_none_are_refused(answer: Any, words: str) -> None:
    kind = type("Predicts", (_Predicts,), {"answer": staticmethod(answer)})
    with pytest.raises(ModelError, match=words):
        fit(lambda *_: kind())


def test_a_model_of_one_class_is_refused() -> None:
    with pytest.raises(ModelError, match=r"classes \[False, True\], got one of \[True\]"):
        fit(lambda x, *_: HistGradientBoostingClassifier(max_iter=2).fit(x[:30], np.ones(30, dtype=bool)))


def test_several_classes_need_probabilities() -> None:
    y = labels(target(X, "multiclass"))
    with pytest.raises(ModelError, match="LinearRegression without it"):
        fit(lambda x, *_: LinearRegression().fit(x, np.zeros(x.height)), y=y)


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="got none"):
        fit(lambda *_: None, x=X.clear())
