"""An ONNX graph rewritten so that equal graphs are equal bytes.

    output ─ what it needs, inputs first ─▶ nodes and weights in the order of their use, each once, numbered

tf2onnx keeps nodes in sets of objects: their order, names, and which of two equal constants stays, differ from call to
call. Here a node stands where it is first needed, and what is computed or held twice is one. What the graph means stays
as it was. What does not belong here: making a graph (`keras`).
"""

from __future__ import annotations

from typing import Any


def canonical_graph(graph: Any) -> None:
    """Order and number a graph of one input, called `x`, and one output, called `prediction`; in place.

    One with graphs inside of it (loops, branches) is left in the order it came in.
    """
    graph.name = "ninetyfive"
    graph.ClearField("doc_string")
    del graph.value_info[:]
    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return
    walk = _Walk(graph)
    last = walk.named(graph.output[0].name)
    nodes, weights = walk.nodes, walk.weights
    for node in nodes:
        node.output[:] = ["prediction" if name == last else name for name in node.output]
        node.input[:] = ["prediction" if name == last else name for name in node.input]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
    for item, name in ((graph.input[0], "x"), (graph.output[0], "prediction")):
        item.name = name
        item.type.tensor_type.shape.dim[0].dim_param = "rows"


class _Walk:
    """From the output to the input, each value named when it is first met; equal ones are met once."""

    def __init__(self, graph: Any) -> None:
        self._makers = {name: node for node in graph.node for name in node.output}
        self._held = {weight.name: weight for weight in graph.initializer}
        self._names = {graph.input[0].name: "x", "": ""}
        self._known: dict[bytes, list[str]] = {}
        self._count = 0
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def named(self, value: str) -> str:
        """The new name of a value, once all that it is made of is in place."""
        waiting = [value]
        while waiting:
            top = waiting[-1]
            node = self._makers.get(top)
            missing = [name for name in node.input if name not in self._names] if node else []
            if top in self._names:
                waiting.pop()
            elif missing:
                waiting.extend(reversed(missing))
            elif node:
                self._place(node)
            else:
                self._hold(self._held[top])
        return self._names[value]

    def _place(self, node: Any) -> None:
        old = list(node.output)
        node.name = ""
        node.ClearField("doc_string")
        node.input[:] = [self._names[name] for name in node.input]
        attributes = sorted(node.attribute, key=lambda attribute: str(attribute.name))
        del node.attribute[:], node.output[:]
        node.attribute.extend(attributes)
        key = b"node" + node.SerializeToString(deterministic=True)
        if key not in self._known:
            self._known[key] = [self._next() for _ in old]
            node.output[:] = self._known[key]
            node.name = f"n{len(self.nodes)}"
            self.nodes.append(node)
        self._names.update(zip(old, self._known[key], strict=True))

    def _hold(self, weight: Any) -> None:
        old, weight.name = weight.name, ""
        weight.ClearField("doc_string")
        key = b"weight" + weight.SerializeToString(deterministic=True)
        if key not in self._known:
            self._known[key] = [self._next()]
            weight.name = self._known[key][0]
            self.weights.append(weight)
        self._names[old] = self._known[key][0]

    def _next(self) -> str:
        self._count += 1
        return f"v{self._count}"
