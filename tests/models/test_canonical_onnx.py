"""Equal graphs are equal bytes, in whatever order and by whatever names they came, and mean what they meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ninetyfive.models.canonical_onnx import canonical_graph


def graph(names: list[str], *, twice: bool) -> Any:
    """(x + 1) * (x + 1), with the sum made once or twice."""
    x, one, other, left, right, y = names
    rows = ["batch", 2]
    nodes = [helper.make_node("Add", [x, one], [left], name=left)]
    weights = [numpy_helper.from_array(np.float32([1.0]), one)]
    if twice:
        nodes.insert(0, helper.make_node("Add", [x, other], [right], name=right))
        weights.insert(0, numpy_helper.from_array(np.float32([1.0]), other))
    nodes.append(helper.make_node("Mul", [left, right if twice else left], [y], name=y, doc_string=y))
    given = helper.make_tensor_value_info(x, TensorProto.FLOAT, rows)
    return helper.make_graph(nodes, "g", [given], [helper.make_tensor_value_info(y, TensorProto.FLOAT, rows)], weights)


def test_equal_graphs_are_equal_bytes_and_answer_as_before() -> None:
    made = [graph(list("abcdef"), twice=True), graph(list("uvwxyz"), twice=False)]
    for one in made:
        canonical_graph(one)
    assert made[0].SerializeToString(deterministic=True) == made[1].SerializeToString(deterministic=True)
    model = helper.make_model(made[0], opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x = np.float32([[1.0, 2.0], [3.0, -4.0]])
    assert np.array_equal(session.run(["prediction"], {"x": x})[0], (x + 1) ** 2)
