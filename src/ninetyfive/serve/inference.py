"""The Open Inference Protocol, version 2, as JSON: a tensor for each column in, the tensor `prediction` out.

    {"inputs": [{"name": "hour", "shape": [2], "datatype": "INT64", "data": [7, 9]}, …]}
        ─▶ {"model_name", "model_version", "id", "parameters", "outputs": [{"name": "prediction", …}]}

Source of the forms: the specification of the Open Inference Protocol (V2), and KServe for what it leaves open.
What does not belong here: how a row is answered (`answering`).
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from ninetyfive.serve.answering import Answered, Root
from ninetyfive.serve.http import ID_LENGTH
from ninetyfive.serve.loaded import Loaded
from ninetyfive.serve.rows import Fault, Rows, decoded
from ninetyfive.serve.tensorflow import check_count
from ninetyfive.version import __version__

OUTPUT = "prediction"
_WHOLE = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})
_NUMBERS = frozenset({"FP16", "FP32", "FP64"})
_TAKEN = {"boolean": frozenset({"BOOL"}), "integer": _WHOLE, "number": _WHOLE | _NUMBERS}
_TEXT = frozenset({"BYTES"})
_SAID = {"boolean": "BOOL", "integer": "INT64", "number": "FP64"}


class Tensor(msgspec.Struct):
    """One input: a column. `data` is flat or nested, row by row; null is missing."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] | None = None


class Wanted(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `/infer`; `id` is echoed."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Wanted] | None = None


_decode = msgspec.json.Decoder(InferRequest).decode


def read(rows: Rows, body: bytes, limit: int) -> tuple[Sequence[Any], Root, str | None]:
    """The rows as structs, their paths, and the id to echo; `Fault` for what cannot be one."""
    asked: InferRequest = decoded(_decode, body)
    if asked.id is not None and len(asked.id) > ID_LENGTH:
        raise Fault(HTTPStatus.BAD_REQUEST, "$.id", f"at most {ID_LENGTH} characters are taken")
    for place, wanted in enumerate(asked.outputs or ()):
        if wanted.name != OUTPUT:
            raise Fault(HTTPStatus.BAD_REQUEST, f"$.outputs[{place}].name", f"the only output is {OUTPUT!r}")
    types = rows.schema.types
    columns: dict[str, list[Any]] = {}
    height = None
    for place, tensor in enumerate(asked.inputs):
        where = f"$.inputs[{place}]"
        if tensor.name not in types or tensor.name in columns:
            what = "given twice" if tensor.name in columns else "no column of the schema"
            raise Fault(HTTPStatus.BAD_REQUEST, f"{where}.name", f"{tensor.name!r} is {what}")
        columns[tensor.name] = cells = _cells(tensor, types[tensor.name], where)
        if height not in (None, len(cells)):
            raise Fault(HTTPStatus.BAD_REQUEST, f"{where}.shape", f"expected {height} rows, as in the inputs before")
        height = len(cells)
    check_count(height or 0, limit, "$.inputs")
    root = "$.inputs[*].data[{}]".format
    structs = [
        rows.convert({name: cells[place] for name, cells in columns.items()}, root(place))
        for place in range(height or 0)
    ]
    return structs, root, asked.id


def write(answered: Answered, system: str, client_id: str | None) -> dict[str, Any]:
    """The body of the answer; `id` is the client's where it gave one, the server's stands in `parameters`."""
    loaded, answers = answered.loaded, answered.answers
    output: dict[str, Any] = {"name": OUTPUT, "shape": [len(answers)], "datatype": "FP64", "data": answers}
    if loaded.classes:
        width = len(loaded.classes)
        flat = [cell for answer in answers for cell in (answer if isinstance(answer, tuple) else (None,) * width)]
        output |= {"shape": [len(answers), width], "data": flat, "parameters": {"classes": list(loaded.classes)}}
    live = loaded.live
    return {
        "model_name": system,
        "model_version": str(live.number),
        "id": answered.id if client_id is None else client_id,
        "parameters": {
            "id": answered.id,
            "release": live.release,
            "table": live.table,
            "as_of": loaded.as_of,
            "sources": answered.sources,
            **({"stale": answered.stale} if answered.stale else {}),
        },
        "outputs": [output],
    }


def server() -> dict[str, Any]:
    """What the server says of itself."""
    return {"name": "ninetyfive", "version": __version__, "extensions": []}


def described(loaded: Loaded, system: str) -> dict[str, Any]:
    """What the server says of the model."""
    inputs = []
    for column in loaded.schema.columns:
        element = column.type[5:-1] if column.type.startswith("list[") else column.type
        shape = [-1] if element == column.type else [-1, -1]
        inputs.append({"name": column.name, "datatype": _SAID.get(element, "BYTES"), "shape": shape})
    shape = [-1, len(loaded.classes)] if loaded.classes else [-1]
    return {
        "name": system,
        "versions": [str(loaded.live.number)],
        "platform": f"ninetyfive_{loaded.release.about.form}",
        "inputs": inputs,
        "outputs": [{"name": OUTPUT, "datatype": "FP64", "shape": shape}],
    }


def _cells(tensor: Tensor, type: str, where: str) -> list[Any]:
    """The values of a column, one a row; of a list column the list of each row."""
    element = type[5:-1] if type.startswith("list[") else type
    taken = _TAKEN.get(element, _TEXT)
    if tensor.datatype not in taken:
        words = f"a column of type {type} takes {' or '.join(sorted(taken))}, got {tensor.datatype[:20]!r}"
        raise Fault(HTTPStatus.BAD_REQUEST, f"{where}.datatype", words)
    shape, listed = tensor.shape, element != type
    fits = len(shape) == 2 if listed else len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if not fits or any(size < 0 for size in shape):
        raise Fault(HTTPStatus.BAD_REQUEST, f"{where}.shape", f"expected {'[rows, n]' if listed else '[rows]'}")
    width = shape[1] if len(shape) == 2 else 1
    data = tensor.data
    if len(shape) == 2 and len(data) == shape[0] and all(isinstance(row, list) for row in data):
        if any(len(row) != width for row in data):
            raise Fault(HTTPStatus.BAD_REQUEST, f"{where}.data", f"expected {width} values in each row")
        data = [cell for row in data for cell in row]
    if len(data) != shape[0] * width:
        raise Fault(HTTPStatus.BAD_REQUEST, f"{where}.data", f"expected {shape[0] * width} values, got {len(data)}")
    if listed:
        return [data[start : start + width] for start in range(0, len(data), width)] if width else [[]] * shape[0]
    return data
