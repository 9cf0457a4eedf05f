"""The JSON form of a transform: a version, and one list of nodes that refer to earlier ones by their number.

    {"version": 2, "depends": {}, "inputs": [["distance", "number"]], "operations": {"log1p": 1},
     "nodes": [{"column": "distance"}, {"operation": "log1p", "inputs": [0]}], "features": [["far", 1]]}

`operations` holds the meaning number of each operation used: a transform is never read with another meaning than the
one it was fitted with. `depends` holds the versions of what they depend on, such as {"unicode": "14.0.0"}; a machine
with other ones does not read it. All is checked as strictly as when it was recorded. `VERSION` counts changes of this
form. The source of a user's function is not in it, only its sha256: the document is data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ninetyfive.errors import DeclarationError, FeatureError, near_names
from ninetyfive.features import machine, tree
from ninetyfive.features.functions import FUNCTION, SOURCE
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.hashing import bytes_hash

VERSION = 2

Trees = tuple[tuple[str, tree.Node], ...]
Types = tuple[tuple[str, str], ...]


class _Node(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    column: str | None = None
    constant: str | None = None
    value: Any = None
    operation: str | None = None
    inputs: list[int] = msgspec.field(default_factory=list)
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    learned: dict[str, Any] | None = None


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    depends: dict[str, str]
    inputs: list[tuple[str, str]]
    operations: dict[str, int]
    nodes: list[_Node]
    features: list[tuple[str, int]]


class _Head(msgspec.Struct):
    version: int


def encode(trees: Trees, types: Types) -> str:
    """The JSON text, indented; equal transforms give equal text."""
    nodes = tree.distinct(root for _, root in trees)
    number = {node: index for index, node in enumerate(nodes)}
    document = _Document(
        version=VERSION,
        depends=machine.stated(root for _, root in trees),
        inputs=list(types),
        operations=meanings(nodes),
        nodes=[_encoded(node, number) for node in nodes],
        features=[(name, number[root]) for name, root in trees],
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode()


def meanings(roots: Iterable[tree.Node]) -> dict[str, int]:
    """The number of the meaning of each operation under `roots`, by name."""
    used = sorted({node.operation for node in tree.distinct(roots) if isinstance(node, tree.Call)})
    return {name: OPERATIONS[name].meaning for name in used}


def versions(roots: Iterable[tree.Node]) -> list[Any]:
    """What else decides the values of trees than their words: the meanings of operations, and this machine's tables."""
    nodes = list(roots)
    return [meanings(nodes), machine.stated(nodes)]


def decode(text: str | bytes, code: Mapping[str, str]) -> tuple[Trees, Types]:
    """What `encode` was given; `FeatureError` for anything else. `code` holds the functions' sources by sha256."""
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.version != VERSION:
            raise _unreadable(
                f"version {VERSION}",
                f"version {head.version}",
                "read it with the ninetyfive that wrote it, or fit again",
            )
        document = msgspec.json.decode(text, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable("the JSON form of a transform", str(error)) from None
    for name, meaning in document.operations.items():
        if name not in OPERATIONS:
            raise _unreadable("an operation of this version", repr(name), near_names(name, OPERATIONS))
        if OPERATIONS[name].meaning != meaning:
            raise _unreadable(
                f"meaning {OPERATIONS[name].meaning} of operation {name}",
                f"meaning {meaning}",
                "read it with the ninetyfive that wrote it, or fit again",
            )
    for name, kind in document.inputs:
        if kind not in tree.TYPES:
            raise _unreadable(f"a logical type of column {name!r}", repr(kind), near_names(kind, tree.TYPES))
    nodes: list[tree.Node] = []
    for item in document.nodes:
        nodes.append(_decoded(_with_source(item, code), nodes, document.operations))
    trees = tuple((name, _at(nodes, index)) for name, index in document.features)
    machine.check(document.depends, [root for _, root in trees])
    return trees, tuple(document.inputs)


def _encoded(node: tree.Node, number: Mapping[tree.Node, int]) -> _Node:
    if isinstance(node, tree.Column):
        return _Node(column=node.name)
    if isinstance(node, tree.Constant):
        odd = isinstance(node.value, float) and not math.isfinite(node.value)
        return _Node(constant=node.type, value=str(node.value) if odd else node.value)
    arguments = dict(node.arguments)
    if node.operation == FUNCTION:
        arguments[SOURCE] = bytes_hash(arguments[SOURCE].encode())
    return _Node(
        operation=node.operation,
        inputs=[number[item] for item in node.inputs],
        arguments=arguments,
        learned=None if node.constants is None else dict(node.constants),
    )


def _with_source(item: _Node, code: Mapping[str, str]) -> _Node:
    """The node with the source of its function in the place of its hash."""
    if item.operation != FUNCTION:
        return item
    sha256 = item.arguments.get(SOURCE)
    text = code.get(sha256) if isinstance(sha256, str) else None
    if text is None or bytes_hash(text.encode()) != sha256:
        got = "none" if text is None else "another text"
        raise _unreadable(f"the source of function {item.arguments.get('name')!r}, sha256 {sha256}", got)
    return msgspec.structs.replace(item, arguments={**item.arguments, SOURCE: text})


def _decoded(item: _Node, nodes: list[tree.Node], declared: Mapping[str, int]) -> tree.Node:
    match item:
        case _Node(column=str(name), constant=None, operation=None):
            return tree.Column(name)
        case _Node(constant=str(kind), column=None, operation=None):
            return tree.Constant(kind, _value(kind, item.value))
        case _Node(operation=str(name), column=None, constant=None) if name in declared:
            return _call(name, item, nodes)
        case _:
            raise _unreadable("a column, a constant or a declared operation", str(item)[:200])


def _call(name: str, item: _Node, nodes: list[tree.Node]) -> tree.Call:
    operation = OPERATIONS[name]
    least, most = operation.inputs
    if len(item.inputs) < least or (most is not None and len(item.inputs) > most):
        raise _unreadable(f"operation {name} with its inputs", f"{len(item.inputs)} inputs")
    names = {argument.name for argument in operation.arguments}
    if set(item.arguments) != names or (item.learned is not None) != operation.learned:
        raise _unreadable(f"operation {name} with its arguments and what it learned", str(item)[:200])
    try:
        arguments = operation.checked_arguments(item.arguments, "transform")
        learned = None if item.learned is None else operation.checked_constants(item.learned, "transform")
    except DeclarationError as error:
        raise _unreadable(error.expected, error.got) from None
    call = tree.Call(name, tuple(_at(nodes, index) for index in item.inputs), arguments, learned)
    if call.depth > tree.MAX_DEPTH or call.size > tree.MAX_SIZE:
        raise _unreadable(f"trees of depth {tree.MAX_DEPTH} at most", f"depth {call.depth}, size {call.size}")
    return call


def _at(nodes: list[tree.Node], index: int) -> tree.Node:
    if not 0 <= index < len(nodes):
        raise _unreadable("the number of an earlier node", str(index))
    return nodes[index]


def _value(kind: str, value: Any) -> Any:
    """The value of a constant; its Python type must be the one of its logical type."""
    if kind == tree.NUMBER and value in ("inf", "-inf", "nan"):
        return float(value)
    wanted = {tree.NULL: type(None), tree.BOOLEAN: bool, tree.NUMBER: float, tree.STRING: str}.get(kind, int)
    known = kind in (*tree.TYPES, tree.NULL) and kind not in (*tree.LISTS, tree.OPAQUE)
    if not known or type(value) is not wanted:
        raise _unreadable(f"a constant of type {kind}", repr(value)[:200])
    if isinstance(value, int) and not tree.INT64_MIN <= value <= tree.INT64_MAX:
        raise _unreadable("an integer of 64 bits", repr(value))
    return value


def _unreadable(expected: str, got: str, do: str = "restore the file, or fit the transform again") -> FeatureError:
    return FeatureError("transform", expected=expected, got=got, do=do)
