"""TensorFlow Serving's REST protocol, and with it the contract of a Vertex AI container.

    {"instances": [{…}, …]}        ─▶ {"predictions": […], "metadata": {…}}      a row each
    {"inputs": {"hour": […], …}}   ─▶ {"outputs": […], "metadata": {…}}          a column each

The rule: what these clients send is taken as they send it; beside what they expect an answer has `metadata`: the id of
the request, the release, the table and its as-of, and the source of each row.
What does not belong here: how a row is answered (`answering`).
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from ninetyfive.serve.answering import Answered, Root
from ninetyfive.serve.loaded import Answer, Loaded
from ninetyfive.serve.rows import Fault, Rows, decoder

SIGNATURE = "serving_default"
_DTYPES = {"boolean": "DT_BOOL", "integer": "DT_INT64", "number": "DT_DOUBLE"}


class Metadata(msgspec.Struct, omit_defaults=True):
    """What every answer names: `sources` are those of its rows; `stale` of them come from a table of other features."""

    id: str
    release: str
    table: str | None
    as_of: str | None
    sources: list[str]
    stale: int = 0


class Predictions(msgspec.Struct):
    """The answer to rows."""

    predictions: list[Any]
    metadata: Metadata


class Outputs(msgspec.Struct):
    """The answer to columns: a list, of a multiclass model {class: list}."""

    outputs: Any
    metadata: Metadata


class Predict:
    """Reads and writes the bodies of `:predict` for one schema."""

    def __init__(self, rows: Rows, limit: int) -> None:
        self.rows = rows
        self.limit = limit
        self._decode = decoder(_form(rows.quick), _form(rows.loose))

    def read(self, body: bytes) -> tuple[Sequence[Any], Root, bool]:
        """The rows as structs, their paths, and whether they came as columns; `Fault` for what cannot be one."""
        asked = self._decode(body)
        if asked.parameters:
            name = next(iter(asked.parameters))
            raise Fault(HTTPStatus.BAD_REQUEST, f"$.parameters.{name}", "no parameters are known")
        if asked.signature_name not in (None, SIGNATURE):
            raise Fault(HTTPStatus.BAD_REQUEST, "$.signature_name", f"the only signature is {SIGNATURE!r}")
        if (asked.instances is None) == (asked.inputs is None):
            raise Fault(HTTPStatus.BAD_REQUEST, "$", "send one of 'instances' (rows) and 'inputs' (columns)")
        if asked.instances is not None:
            structs, root, columns = asked.instances, "$.instances[{}]".format, False
            check_count(len(structs), self.limit, "$.instances")
        else:
            given = transposed(asked.inputs, "$.inputs", self.limit)
            root, columns = "$.inputs[{}]".format, True
            structs = [self.rows.convert(row, root(place)) for place, row in enumerate(given)]
        return structs, root, columns


def _form(row: type[Any]) -> Any:
    """The struct of a request whose rows are decoded as `row`."""
    return msgspec.defstruct(
        "PredictRequest",
        [
            ("instances", list[row] | None, None),  # type: ignore[valid-type]
            ("inputs", dict[str, Any] | None, None),
            ("parameters", dict[str, Any] | None, None),
            ("signature_name", str | None, None),
        ],
        forbid_unknown_fields=True,
    )


def check_count(rows: int, limit: int, where: str) -> None:
    """`Fault` for no rows at all, and for more than are taken."""
    if not rows:
        raise Fault(HTTPStatus.BAD_REQUEST, where, "send at least one row")
    if rows > limit:
        words = f"at most {limit} rows are taken in one request, got {rows}"
        raise Fault(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, where, words)


def transposed(columns: dict[str, Any], where: str, limit: int) -> list[dict[str, Any]]:
    """Columns of equal length as rows; `Fault` where they are none."""
    height = None
    for name, cells in columns.items():
        if not isinstance(cells, list):
            raise Fault(HTTPStatus.BAD_REQUEST, f"{where}.{name}", "expected a list, with one value for each row")
        if height is not None and len(cells) != height:
            words = f"expected {height} values, as in the columns before, got {len(cells)}"
            raise Fault(HTTPStatus.BAD_REQUEST, f"{where}.{name}", words)
        height = len(cells)
    check_count(height or 0, limit, where)
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def metadata(answered: Answered) -> Metadata:
    """What an answer names."""
    live = answered.loaded.live
    return Metadata(answered.id, live.release, live.table, answered.loaded.as_of, answered.sources, answered.stale)


def write(answered: Answered, columns: bool) -> Predictions | Outputs:
    """The body of the answer."""
    loaded = answered.loaded
    if columns:
        return Outputs(as_columns(loaded, answered.answers), metadata(answered))
    shown = [loaded.shown(answer) for answer in answered.answers] if loaded.classes else answered.answers
    return Predictions(shown, metadata(answered))


def as_columns(loaded: Loaded, answers: Sequence[Answer]) -> Any:
    """Answers as a list, or {class: list}."""
    if not loaded.classes:
        return list(answers)
    return {
        name: [answer[place] if isinstance(answer, tuple) else None for answer in answers]
        for place, name in enumerate(loaded.classes)
    }


def status(loaded: Loaded) -> dict[str, Any]:
    """The state of the one version that is served, as a client of TensorFlow Serving asks for it."""
    fine = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": str(loaded.live.number), "state": "AVAILABLE", "status": fine}]}


def described(loaded: Loaded, system: str) -> dict[str, Any]:
    """The metadata of the model: its one signature, with the columns of a request and the prediction."""
    inputs = {column.name: _tensor(column.name, column.type) for column in loaded.schema.columns}
    names = loaded.classes or ("prediction",)
    outputs = {name: _tensor(name, "number") for name in names}
    signature = {"inputs": inputs, "outputs": outputs, "method_name": "tensorflow/serving/predict", "defaults": {}}
    return {
        "model_spec": {"name": system, "signature_name": "", "version": str(loaded.live.number)},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def _tensor(name: str, type: str) -> dict[str, Any]:
    element = type[5:-1] if type.startswith("list[") else type
    dims = [{"size": "-1", "name": ""}] * (2 if element != type else 1)
    shape = {"dim": dims, "unknown_rank": False}
    return {"dtype": _DTYPES.get(element, "DT_STRING"), "tensor_shape": shape, "name": name}
