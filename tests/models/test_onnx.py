"""The served form: what it takes, what it answers, how it compares and travels."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from ninetyfive.errors import ModelError
from ninetyfive.metrics import Task
from ninetyfive.models import sklearn as adapter
from ninetyfive.models.native import NativePredictor
from ninetyfive.models.onnx import OnnxPredictor
from ninetyfive.testing.adapter_suite import rows, target


@pytest.fixture(scope="module")
def exported() -> bytes:
    x = rows()
    return adapter.export(LogisticRegression().fit(x, target(x, "multiclass")), ("a", "b", "c"), "multiclass", CLASSES)


CLASSES = ("high", "low", "mid")


def test_no_rows_have_no_answers(exported: bytes) -> None:
    assert OnnxPredictor(exported).predict(np.zeros((0, 3), dtype=np.float32)).shape == (0, 3)


def test_other_columns_are_refused(exported: bytes) -> None:
    with pytest.raises(ModelError, match=r"rows of 3 columns.*\(2, 4\)"):
        OnnxPredictor(exported).predict(np.zeros((2, 4), dtype=np.float32))
    with pytest.raises(ModelError, match=r"\(3,\)"):
        OnnxPredictor(exported).predict(np.zeros(3, dtype=np.float32))


def test_a_path_and_its_bytes_are_the_same_predictor(exported: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(exported)
    assert OnnxPredictor(path) == OnnxPredictor(exported)
    assert len({OnnxPredictor(path), OnnxPredictor(exported)}) == 1
    assert OnnxPredictor(path).size == len(exported)


def test_an_opened_predictor_travels(exported: bytes) -> None:
    predictor = OnnxPredictor(exported, refuses_missing=True)
    x = rows(4).to_numpy()
    before = predictor.predict(x)
    copy = pickle.loads(pickle.dumps(predictor))
    assert copy == predictor
    assert copy != OnnxPredictor(exported)
    assert np.array_equal(copy.predict(x), before)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("refuses", [False, True])
def test_a_row_alone_has_the_bits_that_predict_gives_it(task: Task, refuses: bool) -> None:
    x = rows()
    model = LinearRegression() if task == "regression" else LogisticRegression()
    classes = CLASSES if task == "multiclass" else ()
    data = adapter.export(model.fit(x, target(x, task)), ("a", "b", "c"), task, classes)
    predictor = OnnxPredictor(data, refuses_missing=refuses)
    alone, matrix = predictor.alone(), x.to_numpy().copy()
    matrix[1, 1] = np.nan
    for row in matrix[:20]:
        [expected] = predictor.predict(row.reshape(1, -1)).tolist()
        found = alone(row.tolist())
        missing = np.isnan(expected).any()
        assert found is None if missing else repr(found) == repr(tuple(expected) if classes else expected)


def test_a_row_with_a_nan_has_no_answer_where_the_model_refuses_it(exported: bytes, tmp_path: Path) -> None:
    x = rows(3).to_numpy().copy()
    x[1, 2] = np.nan
    plain = OnnxPredictor(exported).predict(rows(3).to_numpy())
    answer = OnnxPredictor(exported, refuses_missing=True).predict(x)
    assert np.isnan(answer[1]).all()
    assert np.allclose(answer[[0, 2]], plain[[0, 2]])
    frame = rows()
    adapter.save(LogisticRegression().fit(frame, target(frame, "multiclass")), tmp_path)
    native = NativePredictor.of("sklearn", tmp_path, "multiclass", CLASSES, refuses_missing=True)
    assert np.isnan(native.predict(x)[1]).all()
    assert np.isnan(native.predict(x[1:2])).all()
    assert pickle.loads(pickle.dumps(native)) == native


def test_an_onnx_file_of_somebody_else_is_refused() -> None:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 1])
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "other", [value], [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ModelError, match=r"metadata ninetyfive\.classes"):
        OnnxPredictor(model.SerializeToString()).predict(np.zeros((1, 1), dtype=np.float32))


def test_broken_bytes_are_refused(exported: bytes) -> None:
    with pytest.raises(ModelError, match="cannot open"):
        OnnxPredictor(exported[: len(exported) // 2]).predict(np.zeros((1, 3), dtype=np.float32))


def test_onnx_runtime_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", "import ninetyfive.models.onnx"], check=True, env=environment)
    assert list(tmp_path.rglob("*")) == []
