"""The OpenAPI document of a service, from its schema: what a row is, what every route takes and gives.

What does not belong here: whether a request keeps it (`rows`).
"""

from __future__ import annotations

from typing import Any

from ninetyfive.schema import ColumnSchema
from ninetyfive.serve.loaded import Loaded
from ninetyfive.serve.messages import WorkerConfig
from ninetyfive.version import __version__

_TYPES: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(1 << 63), "maximum": (1 << 63) - 1},
    "number": {"type": "number"},
    "string": {"type": "string"},
    "timestamp": {"type": "string", "description": "a time without a zone, ISO 8601", "examples": ["2026-01-31T12:00"]},
    "timestamp[UTC]": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "opaque": {"description": 'any JSON, or {"b64": text} for bytes'},
}
_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
_BAD = {
    "400": "the request cannot be read: the path of what is wrong",
    "401": "no token that is known",
    "403": "a token of another scope",
    "404": "no such model, version or entity",
    "405": "another method",
    "408": "the request came too slowly",
    "409": "the table was computed from other features, and the policy refuses",
    "413": "too large, or too many rows",
    "415": "no JSON, or another encoding than gzip",
    "421": "a host that this service does not answer for",
    "422": "a value that breaks a rule of the schema",
    "431": "headers too large",
    "500": "the model gave no answer",
    "501": "not spoken here",
    "503": "overloaded, not ready, or the table is too old: come again later",
    "504": "the deadline passed",
}


def row_schema(loaded: Loaded) -> dict[str, Any]:
    """JSON Schema of one row of a request."""
    columns = loaded.schema.columns
    return {
        "type": "object",
        "properties": {column.name: _column(column) for column in columns},
        "required": [column.name for column in columns if not column.nullable],
        "additionalProperties": False,
    }


def document(config: WorkerConfig, loaded: Loaded) -> dict[str, Any]:
    """The document: OpenAPI 3.1, JSON-able."""
    said = {
        "title": config.system,
        "version": str(loaded.live.number),
        "description": f"Served by ninetyfive {__version__}.",
    }
    components = {
        "schemas": _schemas(config, loaded),
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }
    return {"openapi": "3.1.0", "info": said, "paths": _paths(config.system), "components": components}


def _paths(system: str) -> dict[str, Any]:
    model, v2 = f"/v1/models/{system}", f"/v2/models/{system}"
    version = [{"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}]
    label = [{"name": "label", "in": "path", "required": True, "schema": {"enum": ["champion", "live", "stable"]}}]
    key = [{"name": "key", "in": "path", "required": True, "schema": {"type": "string"}}]
    predict = _operation("answer rows", {"$ref": "#/components/schemas/Predict"}, "Predictions")
    infer = _operation("answer tensors", {"$ref": "#/components/schemas/Infer"}, "Inferred")
    return {
        "/v1/models": {"get": _read("the model that is served")},
        model: {"get": _read("its state")},
        f"{model}/metadata": {"get": _read("its signature")},
        f"{model}/versions/{{version}}": {"get": _read("the state of a version", version)},
        f"{model}/labels/{{label}}": {"get": _read("the state of what a label means", label)},
        f"{model}:predict": {"post": predict},
        f"{model}/versions/{{version}}:predict": {"post": {**predict, "parameters": version}},
        f"{model}/labels/{{label}}:predict": {"post": {**predict, "parameters": label}},
        f"{model}/entities/{{key}}": {"get": _read("the answer of the table for an entity", key)},
        "/v2": {"get": _read("the server")},
        "/v2/health/live": {"get": _read("whether the process answers")},
        "/v2/health/ready": {"get": _read("whether it may be sent requests")},
        "/v2/models": {"get": _read("the model that is served")},
        v2: {"get": _read("its tensors")},
        f"{v2}/ready": {"get": _read("whether it may be sent requests")},
        f"{v2}/infer": {"post": infer},
        f"{v2}/versions/{{version}}/infer": {"post": {**infer, "parameters": version}},
        "/openapi.json": {"get": _read("this document")},
    }


def _schemas(config: WorkerConfig, loaded: Loaded) -> dict[str, Any]:
    most = config.limits.rows
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, "minItems": 1, "maxItems": most}
    answer: dict[str, Any] = {"type": ["number", "null"]}
    if loaded.classes:
        answer = {"type": ["object", "null"], "properties": {name: {"type": "number"} for name in loaded.classes}}
    predictions = {"predictions": {"type": "array", "items": answer}, "outputs": {}, "metadata": _METADATA}
    inferred = {"model_name": {"const": config.system}, "outputs": {"type": "array"}, "id": {"type": "string"}}
    return {
        "Row": row_schema(loaded),
        "Predict": {"oneOf": [_closed({"instances": rows}), _closed({"inputs": _columns(loaded, most)})]},
        "Predictions": {"type": "object", "properties": predictions, "required": ["metadata"]},
        "Infer": _infer(loaded),
        "Inferred": {"type": "object", "properties": inferred, "required": ["model_name", "outputs", "id"]},
        "Error": _ERROR,
    }


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    """An object with these properties and no other."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


_METADATA = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "release": {"type": "string"},
        "table": {"type": ["string", "null"]},
        "as_of": {"type": ["string", "null"]},
        "sources": {"type": "array", "items": {"enum": ["table", "cache", "model", "default"]}},
        "stale": {"type": "integer"},
    },
    "required": ["id", "release", "table", "as_of", "sources"],
}


def _column(column: ColumnSchema) -> dict[str, Any]:
    element = column.type[5:-1] if column.type.startswith("list[") else column.type
    made = dict(_TYPES[element])
    if element != column.type:
        made = {"type": "array", "items": {"anyOf": [made, {"type": "null"}]}}
    if column.type in ("integer", "number"):
        made |= {word: bound for word in ("minimum", "maximum") if (bound := getattr(column, word)) is not None}
    if column.values:
        made["enum"] = list(column.values)
    return {"anyOf": [made, {"type": "null"}]} if column.nullable else made


def _columns(loaded: Loaded, most: int) -> dict[str, Any]:
    columns = loaded.schema.columns
    made = {
        column.name: {"type": "array", "items": _column(column), "minItems": 1, "maxItems": most} for column in columns
    }
    required = [column.name for column in columns if not column.nullable]
    return {
        "type": "object",
        "properties": made,
        "required": required,
        "additionalProperties": False,
        "minProperties": 1,
    }


def _infer(loaded: Loaded) -> dict[str, Any]:
    tensor = {
        "type": "object",
        "properties": {
            "name": {"enum": list(loaded.schema.names)},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "data": {"type": "array"},
        },
        "required": ["name", "shape", "datatype", "data"],
    }
    properties = {"inputs": {"type": "array", "items": tensor, "minItems": 1}, "id": {"type": "string"}}
    return {"type": "object", "properties": properties, "required": ["inputs"]}


def _read(summary: str, parameters: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    answers = {"200": {"description": summary, "content": {"application/json": {"schema": {}}}}, **_faults()}
    return {"summary": summary, "responses": answers, **({"parameters": parameters} if parameters else {})}


def _operation(summary: str, body: dict[str, Any], answer: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{answer}"}
    answers = {"200": {"description": summary, "content": {"application/json": {"schema": schema}}}, **_faults()}
    asked = {"required": True, "content": {"application/json": {"schema": body}}}
    return {"summary": summary, "requestBody": asked, "responses": answers, "security": [{}, {"token": []}]}


def _faults() -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {code: {"description": words, "content": error} for code, words in _BAD.items()}
