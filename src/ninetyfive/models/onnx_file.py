"""An ONNX file that somebody else made, and whether a release can hold it.

    model.onnx ─ read ─▶ whole? no files outside, no operators of its own, one answer to one row of float32 columns
                         └─▶ Description: its inputs, the output that answers, the classes as it orders them

The rule: what cannot be proved to be right is refused by name, with the way to export it otherwise. Nothing here runs
the model. What does not belong here: how it answers and is served (`imported`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ninetyfive.errors import ModelError

MOST_BYTES = 512 * 1024**2
"""The largest file that is taken: every worker holds it in memory."""
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Whose operators ONNX Runtime brings."""
_FLOAT, _INT64, _STRING, _DOUBLE = 1, 7, 8, 11
"""Types of elements, as onnx.TensorProto numbers them."""


class Input(msgspec.Struct, frozen=True):
    """An input of the file: its name, whether it takes doubles, and how many dimensions it has."""

    name: str
    double: bool
    rank: int


class Description(msgspec.Struct, frozen=True):
    """What of a file answers: one input of all columns or one a column, an output, and its classes if it says them."""

    inputs: tuple[Input, ...]
    output: str
    classes: tuple[str, ...] | None


def describe(data: bytes, where: str, columns: Sequence[str], output: str | None = None) -> Description:
    """Read the file and say what of it answers; `ModelError` for one that a release cannot hold.

    `output` names the output that answers, where several could.
    """
    model = parse(data, where)
    _refuse_what_is_outside(model, where)
    return Description(_inputs(model, where, columns), _output(model, where, output), _classes(model))


def parse(data: bytes, where: str) -> Any:
    """The file as a message; `ModelError` where it is none, or too large."""
    if len(data) > MOST_BYTES:
        raise _refused(where, f"a file of at most {MOST_BYTES:,} bytes", f"{len(data):,}", "export a smaller model")
    from google.protobuf.message import DecodeError
    from onnx import load_model_from_string

    try:
        model = load_model_from_string(data)
    except DecodeError as cause:
        raise _no_model(data, where) from cause
    if not model.graph.node or not model.graph.output:
        raise _no_model(data, where)
    return model


def _no_model(data: bytes, where: str) -> ModelError:
    return _refused(where, "an ONNX model", f"{len(data):,} bytes that start {data[:8]!r}", "name the file of a model")


def _refuse_what_is_outside(model: Any, where: str) -> None:
    own = {function.domain for function in model.functions}
    strange = sorted({one.domain for one in _nodes(model.graph)} - set(_DOMAINS) - own)
    if strange:
        raise _refused(
            where,
            "operators of ONNX, which ONNX Runtime brings",
            f"some of the domain {strange[0]!r}",
            "export it with standard operators: code of one's own is not loaded",
        )
    if any(tensor.data_location == 1 or tensor.external_data for tensor in _tensors(model.graph)):
        raise _refused(
            where,
            "one file that holds its weights",
            "weights in files outside it",
            "save it as one file: onnx.save(onnx.load(path), path, save_as_external_data=False)",
        )


def _inputs(model: Any, where: str, columns: Sequence[str]) -> tuple[Input, ...]:
    weights = {one.name for one in model.graph.initializer}
    given = {one.name: one for one in model.graph.input if one.name not in weights}
    if len(given) != 1 and set(given) != set(columns):
        raise _refused(
            where,
            f"one input of (rows, {len(columns)}), or one of each name in features=",
            f"{len(given)} inputs: {', '.join(given)}",
            "put the features into one matrix before the model, or name the inputs like the features",
        )
    width = len(columns) if len(given) == 1 else 1
    names = list(given) if len(given) == 1 else list(columns)
    return tuple(_input(given[name], where, width) for name in names)


def _input(value: Any, where: str, width: int) -> Input:
    tensor, at = value.type.tensor_type, f"{where}, input {value.name!r}"
    kind = tensor.elem_type
    if kind not in (_FLOAT, _DOUBLE):
        got = {_STRING: "strings", _INT64: "whole numbers"}.get(kind, f"elements of type {kind}")
        raise _refused(
            at,
            "float32 (or float64, which is cast)",
            got,
            "encode in features (.vocabulary(), .one_hot()), and export a model of numbers",
        )
    shape = [(one.dim_value if one.HasField("dim_value") else None) for one in tensor.shape.dim]
    if len(shape) not in ((2,) if width > 1 else (1, 2)):
        raise _refused(at, f"rows of {width} columns", f"{len(shape)} dimensions", "export it for a matrix of rows")
    if shape[0] is not None:
        raise _refused(
            at, "any number of rows", f"{shape[0]}, fixed", "export it with a first dimension that is left open"
        )
    if len(shape) == 2 and shape[1] not in (None, width):
        raise _refused(
            at, f"{width} columns, which the features give", f"{shape[1]}", "declare the features that it was fitted on"
        )
    return Input(value.name, kind == _DOUBLE, len(shape))


def _output(model: Any, where: str, output: str | None) -> str:
    every = {one.name: one.type for one in model.graph.output}
    numbers = [name for name, kind in every.items() if kind.tensor_type.elem_type in (_FLOAT, _DOUBLE)]
    if output is not None:
        if output in numbers:
            return output
        raise _refused(where, "an output of numbers", f"{output!r}", f"name one of: {', '.join(numbers) or 'none'}")
    if not numbers:
        maps = [name for name, kind in every.items() if kind.WhichOneof("value") == "sequence_type"]
        raise _refused(
            where,
            "an output of numbers",
            f"{maps[0]!r}, a sequence of maps" if maps else f"only {', '.join(every)}",
            "export it with zipmap=False, so that probabilities are a matrix"
            if maps
            else "export the probabilities too",
        )
    likely = [name for name in numbers if "prob" in name.lower()]
    found = numbers if len(numbers) == 1 else likely
    if len(found) != 1:
        raise _refused(where, "one output that answers", ", ".join(numbers), f"name it, such as --output {numbers[0]}")
    return str(found[0])


def _classes(model: Any) -> tuple[str, ...] | None:
    """The classes in the order of the file, where a classifier in it says them."""
    for node in _nodes(model.graph):
        for one in node.attribute:
            if one.name == "classlabels_strings" and one.strings:
                return tuple(word.decode() for word in one.strings)
            if one.name in ("classlabels_int64s", "classlabels_ints") and one.ints:
                return tuple(str(number) for number in one.ints)
    return None


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for one in node.attribute:
            for inner in (*([one.g] if one.HasField("g") else ()), *one.graphs):
                yield from _nodes(inner)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in _nodes(graph):
        for one in node.attribute:
            yield from (*([one.t] if one.HasField("t") else ()), *one.tensors)
            for inner in (*([one.g] if one.HasField("g") else ()), *one.graphs):
                yield from inner.initializer


def _refused(where: str, expected: str, got: str, do: str) -> ModelError:
    return ModelError(where, expected=expected, got=got, do=do)
