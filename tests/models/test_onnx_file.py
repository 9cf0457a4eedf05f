"""ONNX files of others: which are refused, by what name, and that what is taken answers as it came."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.linear_model import LogisticRegression

from ninetyfive.errors import ModelError
from ninetyfive.models import imported as adapter
from ninetyfive.models import onnx_file
from ninetyfive.models.imported import OnnxFile
from ninetyfive.models.onnx import OnnxPredictor
from ninetyfive.models.proof import prove
from ninetyfive.models.training import Fitted, fit_model, labels
from ninetyfive.testing.adapter_suite import rows, target

X = rows()


def logistic(task: Any = "binary", *, zipmap: Any = False, kind: Any = FloatTensorType, width: int = 3) -> bytes:
    names = {"w": 0} if width == 3 else {"w": 1}
    model = LogisticRegression().fit(X.to_numpy()[:, : 3 - names["w"]], target(X, task))
    made = convert_sklearn(
        model, initial_types=[("input", kind([None, width]))], options={id(model): {"zipmap": zipmap}}, target_opset=17
    )
    return bytes(made.SerializeToString())


def graph(nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: Any = (), domain: str = "") -> bytes:
    made = helper.make_graph(nodes, "g", inputs, outputs, list(weights))
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return bytes(helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString())


def floats(name: str, *shape: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def summed(inputs: list[Any], first: Any = "sum") -> bytes:
    names = [one.name for one in inputs]
    return graph([helper.make_node("Sum", names, ["total"])], inputs, [floats("total", None, 1)])


def soft(scale: float) -> bytes:
    weights = numpy_helper.from_array(np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32), "w")
    factor = numpy_helper.from_array(np.array(scale, dtype=np.float32), "f")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Softmax", ["z"], ["s"], axis=1),
        helper.make_node("Mul", ["s", "f"], ["answer"]),
    ]
    return graph(nodes, [floats("x", None, 3)], [floats("answer", None, 3)], [weights, factor])


def outside() -> bytes:
    model = onnx.load_model_from_string(soft(1.0))
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret")
    return bytes(model.SerializeToString())


def own_operator() -> bytes:
    node = helper.make_node("Mine", ["x"], ["y"], domain="com.mine")
    return graph([node], [floats("x", None, 3)], [floats("y", None, 1)], domain="com.mine")


def newer() -> bytes:
    model = onnx.load_model_from_string(soft(1.0))
    model.opset_import[0].version = 999
    return bytes(model.SerializeToString())


def two_answers() -> bytes:
    nodes = [helper.make_node("Identity", ["x"], [name]) for name in ("one", "two")]
    return graph(nodes, [floats("x", None, 3)], [floats("one", None, 3), floats("two", None, 3)])


def take(data: bytes, task: Any = "binary", **words: Any) -> Fitted:
    return fit_model(OnnxFile("their.onnx", data, **words), X, labels(target(X, task)), {}, seed=1)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"not a model", "expected an ONNX model, got 11 bytes"),
        (b"", "expected an ONNX model"),
        (logistic()[:-40], "expected an ONNX model"),
        (summed([floats("p", None, 1), floats("q", None, 1)]), r"2 inputs: p, q"),
        (logistic(width=2), r"input 'input': expected 3 columns.*got 2"),
        (graph([helper.make_node("Identity", ["x"], ["y"])], [floats("x", 1, 3)], [floats("y", 1, 3)]), "1, fixed"),
        (summed([floats("x", None, 3, kind=TensorProto.STRING)]), "got strings"),
        (summed([floats("x", None, 3, kind=TensorProto.INT64)]), "got whole numbers"),
        (logistic(zipmap=True), "sequence of maps.*zipmap=False"),
        (two_answers(), "one output that answers, got one, two.*--output one"),
        (own_operator(), "operators of ONNX.*'com.mine'"),
        (outside(), "weights in files outside"),
        (newer(), "cannot open .*[Oo]pset 999"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_that_no_release_can_hold_are_refused_by_name(data: bytes, told: str) -> None:
    with pytest.raises(ModelError, match=told) as raised:
        take(data)
    assert raised.value.where.startswith("their.onnx")
    assert raised.value.do


def test_a_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MOST_BYTES", 100)
    with pytest.raises(ModelError, match="a file of at most 100 bytes"):
        take(soft(1.0))


def test_probabilities_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(ModelError, match=r"their\.onnx.*sum to 1"):
        take(soft(0.5), "multiclass", classes=("high", "low", "mid"))


def test_the_order_of_classes_has_to_be_known_and_is_kept() -> None:
    with pytest.raises(ModelError, match=r"does not say the order.*--classes high,low,mid"):
        take(soft(1.0), "multiclass")
    with pytest.raises(ModelError, match="got one of a, b, c"):
        take(soft(1.0), "multiclass", classes=("a", "b", "c"))
    sorted_as_it_is, other = (
        take(soft(1.0), "multiclass", classes=order) for order in (("high", "low", "mid"), ("mid", "high", "low"))
    )
    x = X.to_numpy()
    assert np.array_equal(other.predict(x), sorted_as_it_is.predict(x)[:, [1, 2, 0]])
    assert proved(other) == 0.0


def proved(fitted: Fitted) -> float:
    served = OnnxPredictor(adapter.export(fitted.model, fitted.columns, fitted.task, fitted.classes))
    assert served.columns == fitted.columns
    return prove(fitted.predict, served.predict, X.to_numpy(), fitted.columns).difference


@pytest.mark.parametrize(
    ("data", "task"),
    [
        (logistic(), "binary"),
        (logistic("multiclass"), "multiclass"),
        (logistic(kind=DoubleTensorType), "binary"),
        (summed([floats("c", None, 1), floats("a", None, 1), floats("b", None, 1)]), "regression"),
    ],
    ids=["float32", "classes that it says itself", "float64 is cast", "one input a column, by name"],
)
def test_what_is_taken_is_served_as_it_answers(data: bytes, task: str) -> None:
    assert proved(take(data, task)) == 0.0


def test_columns_of_their_own_are_met_by_name() -> None:
    difference = helper.make_node("Sub", ["c", "a"], ["d"])
    data = graph([difference], [floats(name, None, 1) for name in "cab"], [floats("d", None, 1)])
    expected = X.select(pl.col("c") - pl.col("a")).to_series().to_numpy()
    assert np.allclose(take(data, "regression").predict(X.to_numpy()), expected)


def test_an_output_is_chosen_by_name() -> None:
    data = graph(
        [helper.make_node("ReduceSum", ["x"], ["one"]), helper.make_node("ReduceMean", ["x"], ["two"], axes=[1])],
        [floats("x", None, 3)],
        [floats("one", 1, 1), floats("two", None, 1)],
    )
    answer = take(data, "regression", output="two").predict(X.to_numpy())
    assert np.allclose(answer, X.to_numpy().mean(axis=1), atol=1e-6)
    with pytest.raises(ModelError, match=r"'three'.*name one of: one, two"):
        take(data, "regression", output="three")
