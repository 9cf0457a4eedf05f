"""A schema: what a row must look like. The same object checks each span of data and each request.

    schema.toml ⇄ Schema ── row(values) ──▶ one request, decoded or refused
                    └────── Conform(schema) ──▶ accepted rows + rejected rows of a span, by the same rules

Rules a value can break, in the order they are looked at: `type`, `overflow`, `time` (outside the years 1 to 9999),
`null`, `range`, `values`. What does not belong here: files (`sources`), TOML (`schema_toml`), frames (`conform`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ninetyfive import values
from ninetyfive.errors import DataError, SchemaError, near_names
from ninetyfive.values import Scalar

if TYPE_CHECKING:
    import polars as pl

RESERVED = "__"
"""Column names that start with this are the system's own."""


def reserved(name: str) -> str | None:
    """Why no column may be called so; None where it may.

    >>> reserved("__x"), reserved("x__"), reserved("*")
    ('names that start with __ are reserved', None, 'reserved: Polars takes * and ^…$ for patterns')
    """
    if name.startswith(RESERVED):
        return "names that start with __ are reserved"
    if name == "*" or (name.startswith("^") and name.endswith("$")):
        return "reserved: Polars takes * and ^…$ for patterns"
    return None


LOGGED = {
    "request_id": "string",
    "request_time": "timestamp[UTC]",
    "request_client_id": "string",
    "request_entity": "opaque",
    "request_fingerprint": "integer",
    "request_answer": "list[number]",
    "request_release": "string",
    "request_table": "string",
    "request_source": "string",
    "request_cpu": "number",
}
"""The columns that the request log puts before those of a request, and their types (a fingerprint is unsigned)."""

Plain = bool | int | float | str
"""A value as schema.toml writes it: times and days as ISO 8601 text."""

ORDERED = ("integer", "number", "string", "timestamp", "timestamp[UTC]", "date")
"""The types that have a minimum and a maximum (strings by their code points)."""


class ColumnSchema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One column: its name, logical type and rules.

    `nullable`: null is allowed. `optional`: the whole column may be missing, and is null then. `minimum`, `maximum`
    (inclusive) and `values` (all that are allowed; empty: any) hold for values that are not null; NaN breaks a
    minimum or maximum. `max_null_fraction`: the share of nulls above which a span is refused (None: any).
    """

    name: str
    type: str
    nullable: bool = True
    optional: bool = False
    minimum: Plain | None = None
    maximum: Plain | None = None
    values: tuple[Plain, ...] = ()
    max_null_fraction: float | None = None

    def bound(self, which: str) -> Scalar:
        """The row scalar of `which` ("minimum" or "maximum"), None where there is none."""
        return values.scalar(getattr(self, which), self.type, f"column {self.name!r}, {which}")

    def allowed(self) -> tuple[Scalar, ...]:
        """The row scalars of `values`, in their order."""
        return tuple(values.scalar(value, self.type, f"column {self.name!r}, values") for value in self.values)


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The columns of a row, in order, and how much of a span may break their rules.

    `version` grows by one with each accepted change; `reviewed` is false while nobody has accepted what was inferred;
    `max_quarantined` is the share of a span's rows in quarantine above which the span is refused.

    >>> schema = Schema((ColumnSchema("hour", "integer", minimum=0, maximum=23), ColumnSchema("origin", "string")))
    >>> schema.types
    {'hour': 'integer', 'origin': 'string'}
    >>> schema.row({"hour": 5.0, "origin": None})
    {'hour': 5, 'origin': None}
    >>> schema.row({"hour": 24, "origin": "JFK"})
    Traceback (most recent call last):
    ninetyfive.errors.DataError: row 1, column 'hour': expected at most 23, got the integer 24. To do: send ...
    """

    columns: tuple[ColumnSchema, ...]
    version: int = 1
    reviewed: bool = False
    max_quarantined: float = 0.01

    def __post_init__(self) -> None:
        _check(self)

    @property
    def names(self) -> tuple[str, ...]:
        """The column names in order."""
        return tuple(column.name for column in self.columns)

    @property
    def types(self) -> dict[str, str]:
        """Name → logical type, in order."""
        return {column.name: column.type for column in self.columns}

    @property
    def dtypes(self) -> tuple[tuple[str, pl.DataType], ...]:
        """(name, Polars dtype) in order: what a frame that conforms has, as `plan.Map.output` wants it."""
        return tuple((column.name, dtype(column.type)) for column in self.columns)

    def column(self, name: str, where: str = "schema.toml") -> ColumnSchema:
        """The column called `name`; an unknown one raises `SchemaError` at `where` with near names."""
        for column in self.columns:
            if column.name == name:
                return column
        raise SchemaError(
            where,
            expected=f"a column {name!r}",
            got="no such column",
            do=f"correct the name ({near_names(name, self.names)})",
        )

    def request(self, without: Collection[str]) -> Schema:
        """The schema of a request: this one without the label and what is known only later. Unknown names raise."""
        for name in without:
            self.column(name)
        kept = tuple(column for column in self.columns if column.name not in without)
        return msgspec.structs.replace(self, columns=kept)

    def row(self, given: Mapping[str, Any], where: str = "row 1") -> dict[str, Scalar]:
        """Decode and check one row of JSON or Python values into row scalars, in the schema's order.

        A column left out is null. Unknown columns, and values that break a rule, raise `DataError` naming the place.
        """
        known = self.types
        for name in given:
            if name not in known:
                raise DataError(
                    where,
                    expected="the columns of the schema",
                    got=f"an unknown column {name!r}",
                    do=f"correct the name or leave it out ({near_names(name, known)})",
                )
        return {column.name: _decoded(column, given.get(column.name), where) for column in self.columns}

    def to_json(self) -> bytes:
        """The schema as canonical JSON: equal schemas, equal bytes."""
        return msgspec.json.encode(self)

    @staticmethod
    def from_json(data: bytes) -> Schema:
        """The schema that `to_json` wrote; anything else raises `SchemaError`."""
        try:
            return msgspec.json.decode(data, type=Schema)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise SchemaError(
                "schema.json", expected="a schema", got=str(error), do="take it from the release again"
            ) from None


class Change(msgspec.Struct, frozen=True):
    """One difference between two schemas: `what` is "added", "removed", "moved" or the field that changed."""

    column: str
    what: str
    old: Any = None
    new: Any = None

    def __str__(self) -> str:
        if self.what in ("added", "removed", "moved"):
            return f"column {self.column!r} {self.what}"
        place = f"column {self.column!r}, {self.what}" if self.column else self.what
        return f"{place}: {self.old!r} → {self.new!r}"


def diff(old: Schema, new: Schema) -> tuple[Change, ...]:
    """What differs from `old` to `new`: removed columns, then added and changed ones in the order of `new`.

    `version` and `reviewed` are not differences. Columns that are in both but in another order are "moved".

    >>> old = Schema((ColumnSchema("a", "integer"), ColumnSchema("b", "string")))
    >>> new = Schema((ColumnSchema("a", "number"), ColumnSchema("c", "string")))
    >>> [str(change) for change in diff(old, new)]
    ["column 'b' removed", "column 'a', type: 'integer' → 'number'", "column 'c' added"]
    """
    before = {column.name: column for column in old.columns}
    after = {column.name: column for column in new.columns}
    changes = [Change(name, "removed") for name in before if name not in after]
    kept = [name for name in before if name in after]
    places = dict(zip((name for name in after if name in before), kept, strict=True))
    for name, column in after.items():
        if name not in before:
            changes.append(Change(name, "added"))
            continue
        if places[name] != name:
            changes.append(Change(name, "moved"))
        for field in ColumnSchema.__struct_fields__:
            was, now = getattr(before[name], field), getattr(column, field)
            if was != now:
                changes.append(Change(name, field, was, now))
    if old.max_quarantined != new.max_quarantined:
        changes.append(Change("", "max_quarantined", old.max_quarantined, new.max_quarantined))
    return tuple(changes)


def dtype(type: str) -> pl.DataType:
    """The Polars dtype of a logical type; an unknown one raises `DeclarationError`."""
    import polars as pl

    known: dict[str, pl.DataType] = {
        "boolean": pl.Boolean(),
        "integer": pl.Int64(),
        "number": pl.Float64(),
        "string": pl.String(),
        "timestamp": pl.Datetime("us"),
        "timestamp[UTC]": pl.Datetime("us", "UTC"),
        "date": pl.Date(),
        "opaque": pl.Binary(),
    }
    if type in values.ELEMENTS:
        return pl.List(known[values.ELEMENTS[type]])
    if type not in known:
        raise values.unknown_type(type, "column type")
    return known[type]


def logical_type(dtype: pl.DataType) -> str | None:
    """The logical type that a Polars dtype is read as; None for a column of nulls or empty lists only: no type yet.

    Decimals without a scale are integers, with one numbers (the nearest 64-bit float). Lists and arrays of booleans,
    integers, numbers or strings are lists; of anything else opaque.
    """
    import polars as pl

    if isinstance(dtype, pl.Decimal):
        return "number" if dtype.scale else "integer"
    if isinstance(dtype, pl.Datetime):
        return "timestamp[UTC]" if dtype.time_zone else "timestamp"
    if isinstance(dtype, (pl.List, pl.Array)):
        element = logical_type(dtype.inner)  # type: ignore[arg-type]
        listed = f"list[{element}]"
        return listed if listed in values.ELEMENTS else None if element is None else "opaque"
    if isinstance(dtype, (pl.Categorical, pl.Enum, pl.String)):
        return "string"
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "number"
    simple = {pl.Boolean(): "boolean", pl.Date(): "date", pl.Null(): None}
    return simple.get(dtype, "opaque")


def _decoded(column: ColumnSchema, value: Any, row: str) -> Scalar:
    """One value of a row, decoded and held against its column's rules."""
    where = f"{row}, column {column.name!r}"
    decoded = values.scalar(value, column.type, where)
    if decoded is None:
        if not column.nullable:
            raise DataError(
                where, expected="a value", got="null", do="send a value, or set nullable = true in schema.toml"
            )
        return None
    low, high = column.bound("minimum"), column.bound("maximum")
    if low is not None and not decoded >= low:  # type: ignore[operator]
        raise _outside(where, f"at least {column.minimum}", value, "minimum")
    if high is not None and not decoded <= high:  # type: ignore[operator]
        raise _outside(where, f"at most {column.maximum}", value, "maximum")
    if column.values and decoded not in column.allowed():
        known = near_names(decoded, [str(v) for v in column.values]) if isinstance(decoded, str) else "see schema.toml"
        raise DataError(
            where, expected="one of the allowed values", got=values.shown(value), do=f"send one of them ({known})"
        )
    return decoded


def _outside(where: str, expected: str, value: Any, which: str) -> DataError:
    do = f"send a value in the range, or change {which} in schema.toml"
    return DataError(where, expected=expected, got=values.shown(value), do=do)


def _check(schema: Schema) -> None:
    """Refuse a schema that contradicts itself."""
    if not 0.0 <= schema.max_quarantined <= 1.0:
        raise _wrong("max_quarantined", "a share from 0 to 1", schema.max_quarantined, "write it like 0.01")
    seen: set[str] = set()
    for column in schema.columns:
        where = f"column {column.name!r}"
        if column.name in seen:
            raise _wrong(where, "each column once", "it twice", "remove one of them")
        seen.add(column.name)
        why = reserved(column.name) if column.name else "empty"
        if why:
            raise _wrong(where, "a name that is free", f"{column.name!r} ({why})", "rename the column")
        if column.type not in values.TYPES:
            hint = near_names(column.type, values.TYPES)
            raise _wrong(where, "a column type", repr(column.type), f"use one of them ({hint})")
        if column.max_null_fraction is not None and not 0.0 <= column.max_null_fraction <= 1.0:
            fraction = column.max_null_fraction
            raise _wrong(f"{where}, max_null_fraction", "a share from 0 to 1", fraction, "write it like 0.05")
        _check_rules(column, where)


def _check_rules(column: ColumnSchema, where: str) -> None:
    """Refuse bounds and allowed values that are not of the column's type, or that exclude everything."""
    if (column.minimum is not None or column.maximum is not None) and column.type not in ORDERED:
        raise _wrong(where, "no minimum or maximum", f"one on a column of type {column.type}", "remove it")
    if column.values and column.type in ("opaque", *values.ELEMENTS):
        raise _wrong(where, f"no allowed values on a column of type {column.type}", "some", "remove values")
    try:
        low, high = column.bound("minimum"), column.bound("maximum")
        allowed = column.allowed()
    except DataError as error:
        raise _wrong(error.where, error.expected, error.got, "write a value of the column's type") from None
    if any(isinstance(value, float) and math.isnan(value) for value in (low, high, *allowed)):
        raise _wrong(where, "bounds and values that are not NaN", "NaN", "remove it")
    if low is not None and high is not None and low > high:  # type: ignore[operator]
        got = f"{column.minimum!r} and {column.maximum!r}"
        raise _wrong(where, "a minimum that is not above the maximum", got, "correct one of them")


def _wrong(where: str, expected: str, got: Any, do: str) -> SchemaError:
    return SchemaError(f"schema.toml, {where}", expected=expected, got=str(got), do=do)
