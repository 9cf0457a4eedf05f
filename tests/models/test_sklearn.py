"""The adapter for scikit-learn: its known traps, its bytes, and what it refuses."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from ninetyfive.errors import IntegrityError, ModelError
from ninetyfive.models import sklearn as adapter
from ninetyfive.models.onnx import OnnxPredictor
from ninetyfive.models.proof import prove
from ninetyfive.testing.adapter_suite import rows, target

COLUMNS = ("a", "b", "c")

TRAIN_TWICE = """
import hashlib, sys, tempfile
from pathlib import Path
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from ninetyfive.models import sklearn as adapter
from ninetyfive.models.training import fit_model, labels
from ninetyfive.testing.adapter_suite import rows, target

unused = [object() for _ in range(int(sys.argv[1]))]
boosting, forest = (HistGradientBoostingClassifier, {"max_iter": 5}), (RandomForestClassifier, {"n_estimators": 5})
for kind, options in (boosting, forest, (LogisticRegression, {})):
    x = rows()
    fitted = fit_model(lambda x, y, params: kind(**params).fit(x, y), x, labels(target(x, "binary")), options, 7)
    with tempfile.TemporaryDirectory() as folder:
        adapter.save(fitted.model, Path(folder))
        print(hashlib.sha256((Path(folder) / "model.skops").read_bytes()).hexdigest())
    print(hashlib.sha256(adapter.export(fitted.model, fitted.columns, "binary", ())).hexdigest())
"""


class OwnModel(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A model of the user's own, built on scikit-learn's classes."""

    def fit(self, _x: Any, _y: Any) -> OwnModel:
        self.classes_ = np.array([False, True])
        return self

    def predict_proba(self, x: Any) -> np.ndarray:
        return np.tile([0.25, 0.75], (len(x), 1))


def with_holes(x: pl.DataFrame, every: int) -> pl.DataFrame:
    hole = pl.int_range(pl.len()) % every == 0
    return x.with_columns(a=pl.when(hole).then(float("nan")).otherwise("a").cast(pl.Float32))


def boosted(x: pl.DataFrame, **options: Any) -> Any:
    return HistGradientBoostingClassifier(max_iter=10, random_state=0, **options).fit(x, target(x, "binary"))


def test_importing_the_served_form_and_the_adapters_loads_no_framework() -> None:
    code = (
        "import sys; import ninetyfive.models.onnx, ninetyfive.models.adapters;"
        "print([name for name in ('sklearn', 'skops', 'skl2onnx', 'onnx', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_two_processes_write_the_same_bytes() -> None:
    outputs = {
        subprocess.run([sys.executable, "-c", TRAIN_TWICE, count], capture_output=True, text=True, check=True).stdout
        for count in ("0", "12345")
    }
    assert len(outputs) == 1
    assert len(set(outputs.pop().split())) == 6


def test_a_file_holds_numbered_ids_fixed_times_and_no_other_types(tmp_path: Path) -> None:
    adapter.save(boosted(rows()), tmp_path)
    with zipfile.ZipFile(tmp_path / "model.skops") as file:
        schema = json.loads(file.read("schema.json"))
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert all(len(entry.filename) < 12 for entry in file.infolist())
    assert 0 < schema["__id__"] < 1000


def test_padding_in_trees_is_not_part_of_the_bytes(tmp_path: Path) -> None:
    x = rows()
    model = RandomForestClassifier(3, random_state=0).fit(x, target(x, "binary"))
    adapter.save(model, tmp_path)
    first = (tmp_path / "model.skops").read_bytes()
    adapter.save(adapter.load(tmp_path), tmp_path)
    assert (tmp_path / "model.skops").read_bytes() == first


def test_categorical_features_are_refused_by_name() -> None:
    model = boosted(rows(), categorical_features=[2])
    with pytest.raises(ModelError, match=r"categorical_features.*native=True") as raised:
        adapter.export(model, COLUMNS, "binary", ())
    assert raised.value.where == "HistGradientBoostingClassifier"


def test_categorical_features_inside_a_pipeline_are_refused_too() -> None:
    x = rows()
    model = make_pipeline(FunctionTransformer(), boosted(x, categorical_features=[2]))
    with pytest.raises(ModelError, match="categorical_features"):
        adapter.export(model, COLUMNS, "binary", ())


def test_parity_would_catch_categorical_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_refuse_known_wrong", lambda _: None)
    x = rows()
    y = pl.Series(x["c"].is_in([0.0, 2.0]))
    model = HistGradientBoostingClassifier(max_iter=10, categorical_features=[2]).fit(x, y)
    served = OnnxPredictor(adapter.export(model, COLUMNS, "binary", ()))
    with pytest.raises(ModelError, match="parity"):
        prove(lambda rows: adapter.predict(model, rows, "binary", ()), served.predict, x.to_numpy(), COLUMNS)


def test_a_scaler_before_trees_is_caught_on_real_rows() -> None:
    x = rows(2000)
    model = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=30)).fit(x, target(x, "binary"))
    served = OnnxPredictor(adapter.export(model, COLUMNS, "binary", ()))
    with pytest.raises(ModelError, match="scale in features") as raised:
        prove(lambda rows: adapter.predict(model, rows, "binary", ()), served.predict, x.to_numpy(), COLUMNS)
    assert "a=" in raised.value.got


def test_missing_values_answer_as_in_training() -> None:
    x = rows(400)
    holes = with_holes(x, 5)
    model = HistGradientBoostingRegressor(max_iter=20).fit(holes, target(x, "regression"))
    served = OnnxPredictor(adapter.export(model, COLUMNS, "regression", ()))
    proof = prove(
        lambda rows: adapter.predict(model, rows, "regression", ()), served.predict, holes.to_numpy(), COLUMNS
    )
    assert proof.missing == "answered"


def test_a_forest_that_saw_missing_values_is_caught() -> None:
    x = rows(400)
    holes = with_holes(x, 3)
    model = RandomForestClassifier(5, random_state=0).fit(holes, holes["a"].is_nan())
    served = OnnxPredictor(adapter.export(model, COLUMNS, "binary", ()))
    with pytest.raises(ModelError, match=r"missing values.*fill_mean"):
        prove(lambda rows: adapter.predict(model, rows, "binary", ()), served.predict, holes.to_numpy(), COLUMNS)


def test_a_model_fitted_on_names_predicts_arrays_without_a_warning() -> None:
    x = rows()
    for data in (x, x.to_numpy()):
        model = LogisticRegression().fit(data, target(x, "binary"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert adapter.predict(model, x.to_numpy(), "binary", ()).shape == (x.height,)


def test_the_file_says_what_it_is() -> None:
    x = rows()
    data = adapter.export(Ridge().fit(x, target(x, "regression")), COLUMNS, "regression", ())
    model = onnx.load_model_from_string(data)
    onnx.checker.check_model(model)
    assert model.graph.name == "ninetyfive"
    assert (len(model.graph.input), len(model.graph.output)) == (1, 1)
    served = OnnxPredictor(data)
    assert (served.task, served.classes, served.columns) == ("regression", (), COLUMNS)


def test_what_cannot_be_converted_says_the_way_out() -> None:
    x = rows()
    model = OwnModel().fit(x, target(x, "binary"))
    with pytest.raises(ModelError, match=r"native=True") as raised:
        adapter.export(model, COLUMNS, "binary", ())
    assert raised.value.where == "OwnModel"


def test_a_type_of_ones_own_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="OwnModel"):
        adapter.save(OwnModel().fit(None, None), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_lambda_in_a_model_is_not_saved(tmp_path: Path) -> None:
    x = rows()
    model = make_pipeline(FunctionTransformer(lambda z: z), LogisticRegression()).fit(x, target(x, "binary"))
    with pytest.raises(ModelError, match="expected"):
        adapter.save(model, tmp_path)


def test_a_file_with_another_type_is_not_loaded(tmp_path: Path) -> None:
    adapter.save(LogisticRegression().fit(rows(), target(rows(), "binary")), tmp_path)
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path) as old:
        contents = {name: old.read(name) for name in old.namelist()}
    schema = json.loads(contents["schema.json"])
    schema["__class__"], schema["__module__"] = "Popen", "subprocess"
    contents["schema.json"] = json.dumps(schema).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        for name, content in contents.items():
            new.writestr(name, content)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(IntegrityError, match=r"trusted by name.*subprocess\.Popen"):
        adapter.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more"], ids=["empty", "truncated"])
def test_a_broken_file_is_not_loaded(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(IntegrityError, match="skops"):
        adapter.load(tmp_path)


def test_classes_that_the_model_does_not_know_are_refused() -> None:
    x = rows()
    model = LogisticRegression().fit(x, target(x, "binary").cast(pl.String))
    with pytest.raises(ModelError, match="classes"):
        adapter.predict(model, x.to_numpy(), "multiclass", ("a", "b", "c"))


def test_hard_answers_of_a_model_without_probabilities_are_numbers() -> None:
    x = rows()
    model = LinearSVC().fit(x, target(x, "binary"))
    assert set(adapter.predict(model, x.to_numpy(), "binary", ())) == {0.0, 1.0}
    served = OnnxPredictor(adapter.export(model, COLUMNS, "binary", ()))
    assert np.array_equal(served.predict(x.to_numpy()), adapter.predict(model, x.to_numpy(), "binary", ()))


def test_equal_models_are_equal_predictors() -> None:
    x = rows()
    one, two = (adapter.export(boosted(x), COLUMNS, "binary", ()) for _ in range(2))
    assert hashlib.sha256(one).digest() == hashlib.sha256(two).digest()
    assert OnnxPredictor(one) == OnnxPredictor(two)
