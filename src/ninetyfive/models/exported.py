"""What every exported ONNX file has in common: one input `x`, one output, and metadata that says what it is.

    a framework's converter ─▶ graph with labels, maps, random names ─ finished ─▶ bytes; equal models, equal bytes

What does not belong here: the converters (one adapter each), how such a file is run (`onnx`), whether it is right
(`proof`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ninetyfive.errors import ModelError
from ninetyfive.metrics import Task
from ninetyfive.models.onnx import CLASSES_KEY, COLUMNS_KEY, TASK_KEY

CONVERT_ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    NameError,
    AssertionError,
    NotImplementedError,
)
"""What converters raise on a model that they cannot convert (their own exceptions derive from RuntimeError)."""


def converted(convert: Callable[[], Any], where: str, do: str) -> Any:
    """What a converter gives; what it raises, as a `ModelError` whose way out is `do`."""
    try:
        return convert()
    except CONVERT_ERRORS as cause:
        raise ModelError(
            where,
            expected="a model that converts to ONNX",
            got=f"{type(cause).__name__}: {str(cause).splitlines()[0][:300] if str(cause) else 'no words'}",
            do=do,
        ) from cause


def finished(model: Any, output: int, columns: Sequence[str], task: Task, classes: Sequence[str]) -> bytes:
    """The bytes of a converted model: only the output of that number, and task, classes and columns as metadata."""
    _keep_one_output(model.graph, output)
    said = {
        TASK_KEY: task,
        CLASSES_KEY: msgspec.json.encode(list(classes)).decode(),
        COLUMNS_KEY: msgspec.json.encode(list(columns)).decode(),
    }
    del model.metadata_props[:]
    for key, value in sorted(said.items()):
        model.metadata_props.add(key=key, value=value)
    return bytes(model.SerializeToString(deterministic=True))


def _keep_one_output(graph: Any, index: int) -> None:
    """Keep one output of the graph, and drop the nodes and weights that nothing needs then."""
    kept = graph.output[index].name
    for output in [item for item in graph.output if item.name != kept]:
        graph.output.remove(output)
    needed = {kept}
    nodes = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    for weights in [item for item in graph.initializer if item.name not in needed]:
        graph.initializer.remove(weights)
