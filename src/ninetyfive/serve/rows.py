"""Rows of a request: from JSON to row scalars that keep the schema, or a fault that says where.

    body ─ msgspec, a struct from the schema ─▶ fields ─ one compiled function ─▶ {column: row scalar}
                └─ 400, the path of what is no such JSON   └─ 400 wrong type, 422 outside the schema

The rule: what is accepted, and as what, is exactly what `Schema.row` says. The compiled function only knows how to say
yes quickly; whatever it does not like is looked at again by the schema, which words the fault.
What does not belong here: the form of a request round its rows (`tensorflow`, `inference`), and what answers it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from ninetyfive import values
from ninetyfive.errors import DataError
from ninetyfive.schema import ColumnSchema, Schema

Row = dict[str, Any]

_KINDS: dict[str, Any] = {
    "boolean": bool | None,
    "integer": int | float | None,
    "number": float | None,
    "string": str | None,
    "timestamp": str | None,
    "timestamp[UTC]": str | None,
    "date": str | None,
    "list[boolean]": list[bool | None] | None,
    "list[integer]": list[int | float | None] | None,
    "list[number]": list[float | None] | None,
    "list[string]": list[str | None] | None,
}


class Fault(Exception):
    """Why a request is not answered: a status, where, and words for whoever sent it.

    `retry` (seconds) says when to come again, None where that would not help.
    """

    def __init__(self, status: HTTPStatus, where: str, words: str, retry: int | None = None) -> None:
        super().__init__(status, where, words)
        self.status = status
        self.where = where
        self.words = words
        self.retry = retry

    def __str__(self) -> str:
        return f"{self.where}: {self.words}" if self.where else self.words


class Outside(NamedTuple):
    """A row that breaks a rule of the schema (null, range, values): what to answer where there is no default."""

    fault: Fault


class Rows:
    """The rows that a schema of requests takes: `type` is the struct to decode into, `check` makes row scalars of it.

    >>> rows = Rows(Schema((ColumnSchema("hour", "integer", nullable=False, maximum=23),)))
    >>> rows.check(rows.convert({"hour": 7.0}, "$.instances[0]"), "$.instances[0]")
    {'hour': 7}
    >>> rows.check(rows.convert({"hour": 24}, "$.instances[0]"), "$.instances[0]").fault.status
    <HTTPStatus.UNPROCESSABLE_ENTITY: 422>
    >>> rows.check(rows.convert({"hour": 2.5}, "$.instances[0]"), "$.instances[0]")
    Traceback (most recent call last):
    ninetyfive.serve.rows.Fault: $.instances[0].hour: expected an integer, got the number 2.5. To do: send a whole ...
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        fields = [(f"f{place}", _KINDS.get(column.type, Any), None) for place, column in enumerate(schema.columns)]
        self._fields = {f"f{place}": name for place, name in enumerate(schema.names)}
        self.type = msgspec.defstruct("Row", fields, rename=dict(self._fields), forbid_unknown_fields=True)
        self._quick = _compiled(schema)

    def convert(self, given: Any, where: str) -> Any:
        """A mapping of JSON values as the struct; `Fault` 400 at `where` for unknown columns and wrong types."""
        try:
            return msgspec.convert(given, self.type)
        except msgspec.ValidationError as error:
            raise _refused(error, where) from None

    def check(self, given: Any, where: str) -> Row | Outside:
        """The row scalars of a struct; `Outside` where a value breaks a rule, `Fault` 400 where it has a wrong type."""
        try:
            row = self._quick(given)
        except DataError:
            row = None
        return row if row is not None else self._slow(given, where)

    def _slow(self, given: Any, where: str) -> Row | Outside:
        said = {name: getattr(given, field) for field, name in self._fields.items()}
        for column in self.schema.columns:
            value = said[column.name]
            if column.type == "opaque":
                value = said[column.name] = _bytes(value)
            try:
                values.scalar(value, column.type, f"{where}.{column.name}")
            except DataError as error:
                raise Fault(HTTPStatus.BAD_REQUEST, error.where, _words(error)) from None
        row: Row = {}
        for column in self.schema.columns:
            try:
                row |= Schema((column,)).row({column.name: said[column.name]})
            except DataError as error:
                place = f"{where}.{column.name}"
                return Outside(Fault(HTTPStatus.UNPROCESSABLE_ENTITY, place, _words(error)))
        return row


def decoded(decode: Callable[[bytes], Any], body: bytes) -> Any:
    """What `decode` makes of a body; `Fault` 400 says where it is no such JSON, as a path where there is one."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise _refused(error, "$") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        where, what = _place(body, error)
        raise Fault(HTTPStatus.BAD_REQUEST, where, what) from None


def _refused(error: msgspec.ValidationError, root: str) -> Fault:
    words, _, path = str(error).partition(" - at `")
    place = path.rstrip("`").removeprefix("$") if path else ""
    return Fault(HTTPStatus.BAD_REQUEST, root + place, words[:1].lower() + words[1:].replace("`", "'"))


def _words(error: DataError) -> str:
    return f"expected {error.expected}, got {error.got}. To do: {error.do}"


def _place(body: bytes, error: Exception) -> tuple[str, str]:
    """Where a body is no JSON: the path of a NaN, an infinity or a lone surrogate, which other encoders write."""
    import json

    if isinstance(error, RecursionError):
        return "$", "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "$", f"not UTF-8 at byte {error.start} of a text"
    try:
        found = next(_odd(json.loads(body), "$"), None)
    except (ValueError, RecursionError):
        found = None
    return found or ("$", f"not JSON: {error}")


def _odd(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _odd(name, f"{path}.~")
            yield from _odd(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _odd(inner, f"{path}[{place}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, f"{value} is no JSON: send null where a number is missing"
    elif isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        yield path.encode("utf-8", "replace").decode(), "a lone surrogate is no Unicode text: remove it"


def _bytes(value: Any) -> Any:
    """`{"b64": text}` as the bytes that it stands for, anything else as it is."""
    if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        import base64
        import binascii

        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            return value
    return value


def _compiled(schema: Schema) -> Callable[[Any], Row | None]:
    """The function from a struct to row scalars, None (or `DataError`) where the schema has to look at it."""
    lines = ["def check(given):"]
    scope: dict[str, Any] = {"__builtins__": {}, "type": type, "float": float, "int": int, "tuple": tuple}
    cells = []
    for place, column in enumerate(schema.columns):
        value = f"v{place}"
        lines.append(f"    {value} = given.f{place}")
        inner = list(_lines(column, value, place, scope))
        refused = "" if column.nullable else "return None"
        if inner:
            lines.append(f"    if {value} is not None:")
            lines += [f"        {line}" for line in inner]
            if refused:
                lines.append(f"    else: {refused}")
        elif refused:
            lines.append(f"    if {value} is None: {refused}")
        cells.append(f"{column.name!r}: {value}")
    lines.append("    return {" + ", ".join(cells) + "}")
    exec(compile("\n".join(lines), "<rows of a request>", "exec"), scope)
    made: Callable[[Any], Row | None] = scope["check"]
    return made


def _lines(column: ColumnSchema, value: str, place: int, scope: dict[str, Any]) -> Iterator[str]:
    """What is done with one value that is not null."""
    if column.type == "integer":
        yield f"if type({value}) is float:"
        yield f"    if {value} % 1.0 != 0.0: return None"
        yield f"    {value} = int({value})"
        yield f"if not {values.INTEGER_MIN} <= {value} <= {values.INTEGER_MAX}: return None"
    elif column.type in ("list[boolean]", "list[number]", "list[string]"):
        yield f"{value} = tuple({value})"
    elif column.type == "opaque":
        scope["opaque"] = lambda given: values.DECODERS["opaque"](_bytes(given), "")
        yield f"{value} = opaque({value})"
    elif column.type not in ("boolean", "number", "string"):
        decode = values.DECODERS[column.type]
        scope[f"decode{place}"] = decode
        yield f'{value} = decode{place}({value}, "")'
    for which, refused in (("minimum", "<"), ("maximum", ">")):
        bound = column.bound(which)
        if bound is not None:
            scope[f"{which}{place}"] = bound
            yield f"if {value} {refused} {which}{place}: return None"
    if column.values:
        scope[f"values{place}"] = frozenset(column.allowed())
        yield f"if {value} not in values{place}: return None"
