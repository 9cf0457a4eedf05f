"""Scores: the metrics are scikit-learn's, AUC within its stated bound, and what cannot be scored is counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from ninetyfive.metrics import METRICS
from ninetyfive.reducers.scores import BinaryScores, ClassScores, NumberScores


def score(reducer: Any, frame: pl.DataFrame, pieces: int = 3) -> Any:
    state: Any = reducer.zero()
    step = max(1, -(-frame.height // pieces))
    for start in range(0, frame.height, step):
        state = reducer.merge(state, reducer.add(reducer.zero(), frame[start : start + step]))
    return reducer.result(state)


def binary(count: int = 4000) -> pl.DataFrame:
    random = np.random.default_rng(0)
    p = random.beta(0.5, 3, count)
    return pl.DataFrame({"label": random.random(count) < p, "prediction": p})


def test_binary_metrics_are_those_of_the_reference() -> None:
    frame = binary()
    y, p = frame["label"].to_numpy(), frame["prediction"].to_numpy()
    result = score(BinaryScores(), frame)
    assert result["auc"] == pytest.approx(reference.roc_auc_score(y, p), abs=result["auc_bound"])
    assert result["auc_bound"] < 1e-3
    for name, value in {
        "log_loss": reference.log_loss(y, p),
        "brier": reference.brier_score_loss(y, p),
        "accuracy": reference.accuracy_score(y, p >= 0.5),
        "precision": reference.precision_score(y, p >= 0.5),
        "recall": reference.recall_score(y, p >= 0.5),
        "f1": reference.f1_score(y, p >= 0.5),
        "mean_prediction": p.mean(),
        "base_rate": y.mean(),
    }.items():
        assert result[name] == pytest.approx(value, rel=1e-9), name
    assert sum(result["confusion"].values()) == result["rows"] == frame.height


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=60))
def test_auc_lies_within_its_bound(rows: list[tuple[bool, float]]) -> None:
    frame = pl.DataFrame(rows, schema={"label": pl.Boolean, "prediction": pl.Float64}, orient="row")
    result = score(BinaryScores(), frame)
    if frame["label"].n_unique() < 2:
        assert result["auc"] is None
        return
    exact = reference.roc_auc_score(frame["label"].to_numpy(), frame["prediction"].to_numpy())
    assert abs(result["auc"] - exact) <= result["auc_bound"] + 1e-12


def test_equal_predictions_have_the_auc_of_chance() -> None:
    frame = pl.DataFrame({"label": [True, False, True, False], "prediction": [0.3] * 4})
    assert score(BinaryScores(), frame)["auc"] == 0.5


def test_rare_events_keep_their_order() -> None:
    random = np.random.default_rng(1)
    p = random.uniform(1e-5, 2e-3, 5000)
    frame = pl.DataFrame({"label": random.random(5000) < p * 20, "prediction": p})
    result = score(BinaryScores(), frame)
    exact = reference.roc_auc_score(frame["label"].to_numpy(), p)
    assert result["auc"] == pytest.approx(exact, abs=result["auc_bound"])
    assert result["auc_bound"] < 2e-3


def test_thresholds_are_all_reported() -> None:
    result = score(BinaryScores(thresholds=(0.2, 0.5)), binary())
    assert set(result["thresholds"]) == {"0.2", "0.5"}
    assert result["recall"] == result["thresholds"]["0.2"]["recall"] > result["thresholds"]["0.5"]["recall"]


def test_what_cannot_be_scored_is_counted() -> None:
    frame = pl.DataFrame(
        {
            "label": [True, None, False, True, False, True],
            "prediction": [0.5, 0.5, None, float("nan"), 1.5, 1.0],
        }
    )
    result = score(BinaryScores(), frame)
    assert (result["rows"], result["unlabelled"], result["unpredicted"]) == (2, 1, 3)


@pytest.mark.parametrize("reducer", [BinaryScores(), ClassScores(("p",), ("a",)), NumberScores()])
def test_no_rows_have_no_metrics(reducer: Any) -> None:
    result = reducer.result(reducer.zero())
    assert result["rows"] == 0
    assert all(result[name] is None for name in METRICS if name in result)


def test_one_class_has_no_auc_and_nothing_predicted_no_precision() -> None:
    result = score(BinaryScores(), pl.DataFrame({"label": [True, True], "prediction": [0.1, 0.2]}))
    assert (result["auc"], result["auc_bound"], result["precision"], result["recall"]) == (None, None, None, 0.0)


def classes(count: int = 900) -> tuple[pl.DataFrame, np.ndarray]:
    random = np.random.default_rng(2)
    p = random.dirichlet([1.0, 2.0, 0.5], count)
    names = np.array(["a", "b", "c"])
    label = names[[random.choice(3, p=row) for row in p]]
    frame = pl.DataFrame({"label": label, "p:a": p[:, 0], "p:b": p[:, 1], "p:c": p[:, 2]})
    return frame, p


def test_class_metrics_are_those_of_the_reference() -> None:
    frame, p = classes()
    y = frame["label"].to_numpy()
    predicted = np.array(["a", "b", "c"])[p.argmax(axis=1)]
    result = score(ClassScores(("p:a", "p:b", "p:c"), ("a", "b", "c")), frame)
    assert result["accuracy"] == pytest.approx(reference.accuracy_score(y, predicted))
    assert result["log_loss"] == pytest.approx(reference.log_loss(y, p, labels=["a", "b", "c"]))
    assert result["macro_f1"] == pytest.approx(reference.f1_score(y, predicted, average="macro"))
    matrix = reference.confusion_matrix(y, predicted, labels=["a", "b", "c"])
    assert result["confusion"]["a"] == {name: int(n) for name, n in zip("abc", matrix[0], strict=True) if n}


def test_a_label_of_no_class_is_never_right() -> None:
    frame = pl.DataFrame({"label": ["a", "z"], "p": [1.0, 1.0]})
    result = score(ClassScores(("p",), ("a",)), frame)
    assert (result["unknown"], result["accuracy"]) == (1, 0.5)
    assert result["confusion"] == {"a": {"a": 1}, "(unknown)": {"a": 1}}
    assert result["log_loss"] == pytest.approx(-np.log(1e-15) / 2)


def test_number_metrics_are_those_of_the_reference() -> None:
    random = np.random.default_rng(3)
    y = random.normal(1e4, 50, 3000)
    p = y + random.normal(2, 20, 3000)
    result = score(NumberScores(), pl.DataFrame({"label": y, "prediction": p}), pieces=7)
    assert result["mae"] == pytest.approx(reference.mean_absolute_error(y, p))
    assert result["rmse"] == pytest.approx(reference.root_mean_squared_error(y, p))
    assert result["r2"] == pytest.approx(reference.r2_score(y, p), rel=1e-9)
    assert result["bias"] == pytest.approx((p - y).mean())
    assert result["mean_prediction"] == pytest.approx(p.mean())


def test_equal_labels_have_no_r2() -> None:
    frame = pl.DataFrame({"label": [0.1] * 10, "prediction": [0.2] * 10})
    assert score(NumberScores(), frame)["r2"] is None


def test_infinite_numbers_are_not_scored() -> None:
    frame = pl.DataFrame({"label": [1.0, float("inf"), 2.0, None], "prediction": [1.0, 1.0, float("-inf"), 3.0]})
    result = score(NumberScores(), frame)
    assert (result["rows"], result["unlabelled"], result["unpredicted"]) == (1, 2, 1)


def test_every_metric_of_a_task_is_answered() -> None:
    answered = {
        "binary": BinaryScores().result(BinaryScores().zero()),
        "multiclass": ClassScores(("p",), ("a",)).result(ClassScores(("p",), ("a",)).zero()),
        "regression": NumberScores().result(NumberScores().zero()),
    }
    for name, metric in METRICS.items():
        assert all(name in answered[task] for task in metric.tasks), name
