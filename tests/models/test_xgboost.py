"""The adapter for XGBoost: which models convert, which are served natively, and what is not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from ninetyfive.errors import IntegrityError, ModelError
from ninetyfive.models import xgboost as adapter
from ninetyfive.models.onnx import OnnxPredictor
from ninetyfive.models.proof import Proof, prove
from ninetyfive.models.training import Fitted, fit_model, labels
from ninetyfive.testing.adapter_suite import rows, target

BINARY = {"objective": "binary:logistic"}


def fit(task: Any, options: dict[str, Any], rounds: int = 12, **dataset: Any) -> Fitted:
    def model(x: Any, y: Any, params: dict[str, Any]) -> Any:
        known = np.unique(y, return_inverse=True)[1] if task == "multiclass" else y
        return xgboost.train({"nthread": 1, "seed": 3, **params}, xgboost.DMatrix(x, known, **dataset), rounds)

    x = rows(600)
    return fit_model(model, x, labels(target(x, task)), options, seed=7)


def proved(fitted: Fitted) -> Proof:
    served = OnnxPredictor(adapter.export(fitted.model, fitted.columns, fitted.task, fitted.classes))
    return prove(fitted.predict, served.predict, rows(600).to_numpy(), fitted.columns)


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("binary", {**BINARY, "num_parallel_tree": 3, "subsample": 0.6}),
        ("regression", {"base_score": 100.0}),
        ("multiclass", {"objective": "multi:softprob", "num_class": 3}),
    ],
    ids=str,
)
def test_these_convert_rightly(task: str, options: dict[str, Any]) -> None:
    proof = proved(fit(task, options))
    assert proof.difference < proof.tolerance


@pytest.mark.parametrize(
    ("task", "options", "dataset", "told"),
    [
        ("binary", {**BINARY, "booster": "dart", "rate_drop": 0.3}, {}, "gbtree_model_param"),
        ("binary", BINARY, {"feature_types": ["q", "q", "c"], "enable_categorical": True}, "categorical splits"),
        (
            "multiclass",
            {"objective": "multi:softprob", "num_class": 3, "multi_strategy": "multi_output_tree"},
            {},
            "multi-target",
        ),
    ],
    ids=str,
)
def test_what_does_not_convert_is_named_and_keeps_its_native_form(
    tmp_path: Path, task: str, options: dict[str, Any], dataset: dict[str, Any], told: str
) -> None:
    fitted = fit(task, options, **dataset)
    with pytest.raises(ModelError, match=told):
        proved(fitted)
    adapter.save(fitted.model, tmp_path)
    loaded, x = adapter.load(tmp_path), rows(50).to_numpy()
    assert np.array_equal(adapter.predict(loaded, x, fitted.task, fitted.classes), fitted.predict(x))


@pytest.mark.parametrize(
    ("task", "options", "told"),
    [
        ("multiclass", {"objective": "multi:softmax", "num_class": 3}, "shape"),
        ("binary", {"objective": "binary:logitraw"}, "probabilities between 0 and 1"),
        ("binary", {**BINARY, "booster": "gblinear"}, r"not supported by the current booster\.\. To do"),
    ],
    ids=str,
)
def test_answers_that_are_no_probabilities_are_refused(task: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        fit(task, options)


def test_of_early_stopping_only_the_best_iteration_is_kept_exported_and_asked(tmp_path: Path) -> None:
    x = rows(600)
    y = target(x, "regression")
    held = [(xgboost.DMatrix(x[300:], y[300:]), "held")]
    given = {"eta": 0.9, "nthread": 1}
    model = xgboost.train(
        given, xgboost.DMatrix(x[:300], y[:300]), 90, evals=held, early_stopping_rounds=5, verbose_eval=False
    )
    best = model.best_iteration + 1
    assert 0 < best < model.num_boosted_rounds()
    adapter.save(model, tmp_path)
    assert adapter.load(tmp_path).num_boosted_rounds() == best
    expected = model.inplace_predict(x.to_numpy(), iteration_range=(0, best))
    assert np.array_equal(adapter.predict(model, x.to_numpy(), "regression", ()), expected)
    served = OnnxPredictor(adapter.export(model, x.columns, "regression", ()))
    assert np.abs(served.predict(x.to_numpy()) - expected).max() < 1e-5


def test_threads_are_not_part_of_the_bytes_and_a_loaded_model_has_one(tmp_path: Path) -> None:
    saved = []
    for threads in (1, 2):
        adapter.save(fit("binary", {**BINARY, "nthread": threads}).model, tmp_path)
        saved.append((tmp_path / "model.json").read_bytes())
    assert saved[0] == saved[1]
    assert '"nthread":"1"' in adapter.load(tmp_path).save_config()


def test_json_that_is_no_model_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"learner": {}}')
    with pytest.raises(IntegrityError, match="XGBoost's JSON"):
        adapter.load(tmp_path)


def test_classes_that_are_not_the_places_of_those_of_y_are_refused() -> None:
    x = rows()
    places = np.unique(target(x, "multiclass"), return_inverse=True)[1]
    model = xgboost.XGBClassifier(n_estimators=2, n_jobs=1).fit(x, places)
    assert adapter.predict(model, x.to_numpy(), "multiclass", ("high", "low", "mid")).shape == (x.height, 3)
    with pytest.raises(ModelError, match=r"classes \[0, 1, 2, 3\], got one of \[0, 1, 2\]"):
        adapter.predict(model, x.to_numpy(), "multiclass", ("a", "b", "c", "d"))
