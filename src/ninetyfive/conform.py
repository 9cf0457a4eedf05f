"""Raw frame → rows that conform to the schema, and rows that do not.

    raw frame ── Conform(schema) ──▶ accepted   exactly the schema's columns and dtypes, in its order
                        └──────────▶ rejected   the raw row as JSON, and the first rule it breaks (column, value)

The rule: rows are conserved (accepted + rejected = raw), and a value is accepted here exactly when `Schema.row` accepts
it. CSV fields are text and parsed by the schema's types; JSONL fields are JSON text, so that 5 and "5" stay apart.
What does not belong here: columns as types (`parsing`), what the rules are (`schema`), whole spans (`span_checks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive import values
from ninetyfive.errors import SchemaError, near_names
from ninetyfive.parsing import Parsed, parse
from ninetyfive.schema import RESERVED, ColumnSchema, Schema, dtype
from ninetyfive.values import Text


@dataclass(frozen=True, slots=True)
class Conform:
    """Row function raw frame → (accepted, rejected) for `schema`; `text` says what the raw columns are.

    Accepted: `schema.dtypes`. Rejected: `REJECTED` (`Conform.rejected`), preceded by `__span` and `__position` where
    the raw frame has them: `rule` (type, overflow, time, null, range, values), `column` and `value` of the first
    column in the schema's order that breaks one (of a list its first misfit, as in `tags[2]: 7`, counted from 0), `row`
    all raw columns as one JSON object. Raw columns that the schema
    does not know are left out. A column that is missing and not optional raises `SchemaError` (typed and CSV).

    >>> schema = Schema((ColumnSchema("hour", "integer", maximum=23),))
    >>> accepted, rejected = Conform(schema, "csv")(pl.DataFrame({"hour": ["7", "NA", "24", "late"]}))
    >>> accepted["hour"].to_list()
    [7, None]
    >>> rejected.rows()
    [('range', 'hour', '24', '{"hour":"24"}'), ('type', 'hour', 'late', '{"hour":"late"}')]
    """

    schema: Schema
    text: Text = "typed"

    @property
    def accepted(self) -> tuple[tuple[str, pl.DataType], ...]:
        """(name, dtype) of the accepted rows."""
        return self.schema.dtypes

    def rejected(self, position: bool = False) -> tuple[tuple[str, pl.DataType], ...]:
        """(name, dtype) of the rejected rows; `position`: the raw rows carry `__span` and `__position`."""
        return (*((("__span", pl.String()), ("__position", pl.Int64())) if position else ()), *REJECTED)

    def __call__(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        raw = {column.name: column for column in frame.iter_columns()}
        columns: list[pl.Series] = []
        faults: list[Fault] = []
        for column in self.schema.columns:
            value, broken = self._column(column, raw, frame.height)
            columns.append(value.alias(column.name))
            faults += [(rule, column.name, mask) for rule, mask in broken if mask.any()]
        accepted = pl.DataFrame(columns) if columns else pl.DataFrame(height=frame.height)
        if not faults:
            return accepted, self._rejected_rows(frame.clear(), [])
        bad = pl.Series(np.logical_or.reduce([mask.to_numpy() for _, _, mask in faults]))
        firsts = [(rule, column, mask.filter(bad)) for rule, column, mask in faults]
        return accepted.filter(~bad), self._rejected_rows(frame.filter(bad), firsts)

    def _column(self, column: ColumnSchema, raw: Mapping[str, pl.Series], rows: int) -> Parsed:
        """The values of one column, and for each rule that a value could break which rows do."""
        given = raw.get(column.name)
        if given is None:
            if not column.optional and self.text != "json":
                raise _missing(column.name, raw)
            given = pl.repeat(None, rows, dtype=pl.Null, eager=True)
        value, faults = parse(given, column.type, self.text)
        if not column.nullable and value.null_count():
            faults = [*faults, ("null", value.is_null())]
        rules = _rules(column, pl.col("value"))
        if rules:
            checked = value.to_frame("value").select(mask.fill_null(False).alias(rule) for rule, mask in rules)
            faults = [*faults, *((rule, checked[rule]) for rule, _ in rules)]
        return value, faults

    def _rejected_rows(self, raw: pl.DataFrame, firsts: list[Fault]) -> pl.DataFrame:
        """The rejected rows as `rejected()` declares them, from their raw rows and the masks of broken rules."""
        first = np.full(raw.height, -1)
        for number, (_, _, mask) in enumerate(firsts):
            first[(first < 0) & mask.to_numpy()] = number
        kept = [name for name in ("__span", "__position") if name in raw.columns]
        places = raw.select(kept)
        names = [name for name in raw.columns if name not in kept]
        fields = [_readable(raw[name]) for name in names]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*fields, strict=True)] or [{}] * raw.height
        records = []
        for number, row in zip(first, rows, strict=True):
            rule, column, _ = firsts[number]
            records.append((rule, column, self._broken(column, row.get(column)), self._shown(row)))
        rejected = pl.DataFrame(records, schema=[name for name, _ in REJECTED], orient="row")
        rejected = rejected.cast(dict(REJECTED))
        return pl.concat([places, rejected], how="horizontal") if kept else rejected

    def _broken(self, column: str, value: Any) -> str | None:
        """The value that breaks a rule; of a list its first element that does not fit, with its place."""
        type = self.schema.types[column]
        if value is None or type not in values.ELEMENTS:
            return self._shown(value)
        whole = _from_json(value) if self.text == "json" else _undecimal(value)
        place = values.misfit(whole, type)
        if place is None:
            return self._shown(value)
        return f"{values.element_of(column, place)}: {_as_json(whole[place])}"

    def _shown(self, value: object) -> str | None:
        """A raw value or row as text: text as it is, everything else as JSON."""
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, dict) and self.text == "json":
            value = {name: None if part is None else msgspec.Raw(part.encode()) for name, part in value.items()}
        return _as_json(value)


REJECTED: tuple[tuple[str, pl.DataType], ...] = (
    ("rule", pl.String()),
    ("column", pl.String()),
    ("value", pl.String()),
    ("row", pl.String()),
)
"""The columns of rejected rows."""

Fault = tuple[str, str, pl.Series]
"""A rule, a column, and the mask of the rows that break it."""


def _missing(name: str, raw: Iterable[str]) -> SchemaError:
    hint = near_names(name, [given for given in raw if not given.startswith(RESERVED)])
    return SchemaError(
        f"column {name!r}",
        expected="this column of schema.toml in the data",
        got="no such column",
        do=f"add it, rename it ({hint}), or set optional = true on it in schema.toml",
    )


def _readable(column: pl.Series) -> list[Any]:
    """The values of a raw column for people: times and days as ISO 8601 text, as numbers where they have none."""
    kind = column.dtype
    if kind == pl.Date():
        days = column.to_physical().to_list()
        return [
            d if d is None or not values.DAYS_MIN <= d <= values.DAYS_MAX else values.plain(d, "date") for d in days
        ]
    if not isinstance(kind, pl.Datetime):
        return column.to_list()
    type = "timestamp[UTC]" if kind.time_zone else "timestamp"
    ticks = [None if t is None else _micros(t, kind.time_unit) for t in column.to_physical().to_list()]
    return [t if t is None or not values.MICROS_MIN <= t <= values.MICROS_MAX else values.plain(t, type) for t in ticks]


def _micros(ticks: int, unit: str) -> int:
    return ticks * 1_000 if unit == "ms" else ticks // 1_000 if unit == "ns" else ticks


def _nan_as_text(value: object) -> object:
    """JSON has no NaN and no infinity: they become text, so that a rejected row shows what it held."""
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _nan_as_text(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_nan_as_text(part) for part in value]
    return value


def _undecimal(value: Any) -> Any:
    """A list with its decimals as the integers and floats that they are read as."""
    if not isinstance(value, list):
        return value
    return [(float(one) if one % 1 else int(one)) if isinstance(one, Decimal) else one for one in value]


def _as_json(value: object) -> str:
    return msgspec.json.encode(_nan_as_text(value), enc_hook=str).decode()


def _from_json(text: str) -> Any:
    """The value of a JSON text; None where the decoder does not take it."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


def _rules(column: ColumnSchema, value: pl.Expr) -> list[tuple[str, pl.Expr]]:
    """The rules `range` and `values` of a column as expressions that are true where one is broken."""
    rules = []
    low, high = column.bound("minimum"), column.bound("maximum")
    kind = dtype(column.type)
    outside = [value < _literal(low, kind)] if low is not None else []
    outside += [value > _literal(high, kind)] if high is not None else []
    if outside:
        nan = [value.is_nan()] if column.type == "number" else []
        rules.append(("range", pl.any_horizontal(*outside, *nan)))
    if column.values:
        allowed = pl.Series(list(column.allowed()), dtype=_physical(kind)).cast(kind)
        rules.append(("values", ~value.is_in(allowed.implode())))
    return rules


def _physical(kind: pl.DataType) -> pl.DataType:
    """The dtype that holds row scalars of a column: µs and days are integers."""
    if isinstance(kind, pl.Datetime):
        return pl.Int64()
    return pl.Int32() if kind == pl.Date() else kind


def _literal(scalar: values.Scalar, kind: pl.DataType) -> pl.Expr:
    return pl.lit(pl.Series([scalar], dtype=_physical(kind)).cast(kind)).first()
