"""schema.toml: the schema as people read and edit it, one line a column.

What does not belong here: what the words mean (`schema`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from ninetyfive.errors import SchemaError, near_names
from ninetyfive.schema import ColumnSchema, Schema
from ninetyfive.toml_text import toml_key, toml_value

T = TypeVar("T")

FORMAT = 1
_HEAD = (
    "# What a row must look like: checked on every span of data and on every request.",
    "# A column: type (boolean, integer, number, string, timestamp, timestamp[UTC], date, opaque, or a list such as",
    "# list[string], of one of the first four), and where wanted nullable, optional, minimum, maximum, values,",
    "# max_null_fraction. Docs: docs/schema.md.",
)
UNREVIEWED = "# Inferred, not reviewed: read it, edit it, then run `ninetyfive schema accept`."


def to_toml(schema: Schema, notes: Mapping[str, str] | None = None) -> str:
    """The text of schema.toml; `notes` are comments at the ends of columns' lines (what was seen in the data).

    >>> print(to_toml(Schema((ColumnSchema("hour", "integer", minimum=0),)), {"hour": "0 of 12 null"})[-91:], end="")
    max_quarantined = 0.01
    <BLANKLINE>
    [columns]
    hour = { type = "integer", minimum = 0 }  # 0 of 12 null
    """
    lines = [*_HEAD, *(() if schema.reviewed else (UNREVIEWED,)), f"format = {FORMAT}", f"version = {schema.version}"]
    lines += [f"reviewed = {toml_value(schema.reviewed)}", f"max_quarantined = {toml_value(schema.max_quarantined)}"]
    lines += ["", "[columns]"]
    for column in schema.columns:
        note = (notes or {}).get(column.name)
        comment = f"  # {_one_line(note)}" if note else ""
        lines.append(f"{toml_key(column.name)} = {{ {', '.join(_fields(column))} }}{comment}")
    return "\n".join(lines) + "\n"


def from_toml(text: str | bytes, where: str = "schema.toml") -> Schema:
    """The schema that `text` holds (bytes in UTF-8); what cannot be raises `SchemaError` at `where`, with near names.

    >>> schema = Schema((ColumnSchema("heure d'été", "timestamp"), ColumnSchema("x", "number", values=(0.5, 1.0))))
    >>> from_toml(to_toml(schema)) == schema
    True
    """
    try:
        data = tomllib.loads(text if isinstance(text, str) else text.decode())
    except UnicodeDecodeError as error:
        do = "save it in UTF-8, or delete it: the next run infers it anew"
        raise SchemaError(where, expected="TOML in UTF-8", got=str(error), do=do) from None
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(where, expected="TOML", got=str(error), do="correct that line") from None
    _only(data, ("format", "version", "reviewed", "max_quarantined", "columns"), where)
    if data.pop("format", FORMAT) != FORMAT:
        raise SchemaError(
            where, expected=f"format = {FORMAT}", got="another one", do="use the ninetyfive that wrote it"
        )
    columns = data.pop("columns", None)
    if not isinstance(columns, dict):
        raise SchemaError(where, expected="a table [columns]", got="none", do="add it, one line a column")
    rows = [_column(name, fields, where) for name, fields in columns.items()]
    return _converted({**data, "columns": rows}, Schema, where)


def _column(name: str, fields: Any, where: str) -> ColumnSchema:
    place = f"{where}, column {name!r}"
    if not isinstance(fields, dict) or "type" not in fields:
        raise SchemaError(place, expected='a table like { type = "integer" }', got=repr(fields), do="write its type")
    _only(fields, ColumnSchema.__struct_fields__[1:], place)
    plain = {key: _from_toml_value(value) for key, value in fields.items()}
    return _converted({"name": name, **plain}, ColumnSchema, place)


def _from_toml_value(value: Any) -> Any:
    """TOML times without quotes are taken as the text they stand for."""
    if isinstance(value, list):
        return [_from_toml_value(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _converted(data: dict[str, Any], kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise SchemaError(where, expected="a value of the right type", got=str(error), do="correct it") from None


def _only(data: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in data:
        if key not in known:
            hint = near_names(key, known)
            raise SchemaError(where, expected="a known key", got=repr(key), do=f"correct it ({hint})")


def _fields(column: ColumnSchema) -> list[str]:
    fields = [f"type = {toml_value(column.type)}"]
    for name in ColumnSchema.__struct_fields__[2:]:
        value = getattr(column, name)
        default = {"nullable": True, "optional": False, "values": ()}.get(name)
        if value != default:
            fields.append(f"{name} = {toml_value(value)}")
    return fields


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
