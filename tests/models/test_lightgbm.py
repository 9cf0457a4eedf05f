"""The adapter for LightGBM: which models convert, which are served natively, and what is not read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest

from ninetyfive.errors import IntegrityError, ModelError
from ninetyfive.models import lightgbm as adapter
from ninetyfive.models.onnx import OnnxPredictor
from ninetyfive.models.proof import Proof, prove
from ninetyfive.models.training import Fitted, fit_model, labels
from ninetyfive.testing.adapter_suite import rows, target

QUIET = {"verbose": -1, "num_threads": 1, "seed": 3}

ANSWER_WITHOUT_SKLEARN = """
import sys
sys.modules["sklearn"] = None
from pathlib import Path
from ninetyfive.models.native import NativePredictor
from ninetyfive.testing.adapter_suite import rows
predictor = NativePredictor.of("lightgbm", Path(sys.argv[1]), "binary")
print(predictor.predict(rows(3).to_numpy()).tolist())
"""


def fit(options: dict[str, Any], dataset: dict[str, Any] | None = None) -> Fitted:
    def model(x: Any, y: Any, params: dict[str, Any]) -> Any:
        return lightgbm.train({**QUIET, **params}, lightgbm.Dataset(x, y, **(dataset or {})), 12)

    x = rows(600)
    task: Any = "binary" if options.get("objective") in ("binary", "cross_entropy") else "regression"
    return fit_model(model, x, labels(target(x, task)), options, seed=7)


def proved(fitted: Fitted) -> Proof:
    served = OnnxPredictor(adapter.export(fitted.model, fitted.columns, fitted.task, fitted.classes))
    return prove(fitted.predict, served.predict, rows(600).to_numpy(), fitted.columns)


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "binary", "boosting": "dart"},
        {"objective": "binary", "use_missing": False},
        {"objective": "regression"},
        {"objective": "huber"},
        {"objective": "l1"},
    ],
    ids=str,
)
def test_these_convert_rightly(options: dict[str, Any]) -> None:
    assert proved(fit(options)).difference < 1e-6


@pytest.mark.parametrize(
    ("options", "dataset", "told"),
    [
        ({"objective": "binary", "sigmoid": 2.0}, {}, "parity"),
        ({"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, {}, "parity"),
        ({"objective": "binary", "zero_as_missing": True}, {}, "parity"),
        ({"objective": "regression", "reg_sqrt": True}, {}, "parity"),
        ({"objective": "regression", "linear_tree": True}, {}, "parity"),
        ({"objective": "cross_entropy"}, {}, "Unsupported"),
        ({"objective": "binary", "min_data_per_group": 1}, {"categorical_feature": ["c"]}, "categorical splits"),
    ],
    ids=str,
)
def test_what_does_not_convert_rightly_is_caught(options: dict[str, Any], dataset: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        proved(fit(options, dataset))


def test_of_early_stopping_only_the_best_iteration_is_kept_exported_and_asked(tmp_path: Path) -> None:
    x = rows(600)
    y = target(x, "regression")
    model = lightgbm.LGBMRegressor(n_estimators=90, learning_rate=0.9, n_jobs=1, verbose=-1)
    stop = [lightgbm.early_stopping(5, verbose=False)]
    model.fit(x[:300], y[:300], eval_X=x[300:], eval_y=y[300:], callbacks=stop)
    best = model.best_iteration_
    assert 0 < best < 90
    adapter.save(model, tmp_path)
    assert adapter.load(tmp_path).num_trees() == best
    expected = model.booster_.predict(x.to_numpy(), num_iteration=best)
    assert np.array_equal(adapter.predict(model, x.to_numpy(), "regression", ()), expected)
    served = OnnxPredictor(adapter.export(model, x.columns, "regression", ()))
    assert np.abs(served.predict(x.to_numpy()) - expected).max() < 1e-5


def test_threads_and_paths_are_not_part_of_the_bytes(tmp_path: Path) -> None:
    saved = []
    for threads in (1, 2):
        given = {"objective": "binary", "deterministic": True, "force_row_wise": True, "num_threads": threads}
        adapter.save(fit(given).model, tmp_path)
        saved.append((tmp_path / "model.txt").read_bytes())
    assert saved[0] == saved[1]
    assert b"num_threads" not in saved[0]


def test_a_native_release_is_answered_without_scikit_learn(tmp_path: Path) -> None:
    fitted = fit({"objective": "binary"})
    adapter.save(fitted.model, tmp_path)
    command = [sys.executable, "-c", ANSWER_WITHOUT_SKLEARN, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(fitted.predict(rows(3).to_numpy()).tolist())


def test_a_text_with_a_tree_that_is_cut_short_is_not_handed_to_the_framework(tmp_path: Path) -> None:
    adapter.save(fit({"objective": "binary"}).model, tmp_path)
    path = tmp_path / "model.txt"
    text = path.read_text()
    path.write_text(text.replace("leaf_value=", "leaf_valu=", 1))
    with pytest.raises(IntegrityError, match="whole model"):
        adapter.load(tmp_path)


def test_classes_and_columns_that_are_others_are_refused() -> None:
    x = rows()
    model = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(x, target(x, "multiclass"))
    with pytest.raises(ModelError, match=r"classes \['a', 'b', 'c'\].*'high'"):
        adapter.predict(model, x.to_numpy(), "multiclass", ("a", "b", "c"))
    with pytest.raises(ModelError, match="fitted on the 2 columns"):
        adapter.predict(model, x.to_numpy()[:, :2], "multiclass", ("high", "low", "mid"))


def test_two_classes_have_two_probabilities() -> None:
    x = rows()
    model = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(x, np.where(target(x, "binary"), "yes", "no"))
    given = adapter.predict(model, x.to_numpy(), "multiclass", ("no", "yes"))
    assert np.allclose(given, OnnxPredictor(adapter.export(model, x.columns, "multiclass", ("no", "yes"))).predict(x))
    assert np.array_equal(given[:, 1], model.booster_.predict(x.to_numpy()))
