"""Raw frame → rows that conform to the schema, and rows that do not.

    raw frame ── Conform(schema) ──▶ accepted   exactly the schema's columns and dtypes, in its order
                        └──────────▶ rejected   the raw row as JSON, and the first rule it breaks (column, value)

The rule: rows are conserved (accepted + rejected = raw), and a value is accepted here exactly when `Schema.row` accepts
it. CSV fields are text and parsed by the schema's types; JSONL fields are JSON text, so that 5 and "5" stay apart.
What does not belong here: what the values of a type are (`values`), the rules (`schema`), whole spans (`span_checks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive import values
from ninetyfive.errors import SchemaError, near_names
from ninetyfive.schema import RESERVED, ColumnSchema, Schema, dtype, logical_type
from ninetyfive.values import FALSE_WORDS, INTEGER_TEXT, MISSING_WORDS, NUMBER_TEXT, TRUE_WORDS, Text

_UNITS = {"ms": 1_000, "us": 1, "ns": 1}


@dataclass(frozen=True, slots=True)
class Conform:
    """Row function raw frame → (accepted, rejected) for `schema`; `text` says what the raw columns are.

    Accepted: `schema.dtypes`. Rejected: `REJECTED` (`Conform.rejected`), preceded by `__span` and `__position` where
    the raw frame has them: `rule` (type, overflow, time, null, range, values), `column` and `value` of the first
    column in the schema's order that breaks one, `row` all raw columns as one JSON object. Raw columns that the schema
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

    def _column(
        self, column: ColumnSchema, raw: Mapping[str, pl.Series], rows: int
    ) -> tuple[pl.Series, list[tuple[str, pl.Series]]]:
        """The values of one column, and for each rule that a value could break which rows do."""
        given = raw.get(column.name)
        if given is None:
            if not column.optional and self.text != "json":
                raise _missing(column.name, raw)
            given = pl.repeat(None, rows, dtype=pl.Null, eager=True)
        parsed, rules = self._parsed(given.dtype, column.type)
        value = _RAW if parsed is None else parsed
        if not column.nullable:
            rules = [*rules, ("null", value.is_null())]
        if parsed is not None:
            rules = [*rules, *_rules(column, value)]
            if value is _RAW and not rules:
                return given, []
        masks = [mask.fill_null(False).alias(f"{number}") for number, (_, mask) in enumerate(rules)]
        checked = given.alias("raw").to_frame().lazy().select(value.alias("value"), *masks).collect()
        nothing = pl.repeat(None, rows, dtype=dtype(column.type), eager=True) if parsed is None else None
        found = checked["value"] if nothing is None else nothing
        return found, [(rule, checked[f"{number}"]) for number, (rule, _) in enumerate(rules)]

    def _parsed(self, kind: pl.DataType, type: str) -> Checked:
        """A raw column of dtype `kind` as `type` (None: it can only be null), and what breaks `type`."""
        if logical_type(kind) is None:
            return None, []
        if self.text == "csv":
            return _from_csv(type)
        return _from_json(type) if self.text == "json" else _from_typed(kind, type)

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
            records.append((rule, column, self._shown(row.get(column)), self._shown(row)))
        rejected = pl.DataFrame(records, schema=[name for name, _ in REJECTED], orient="row")
        rejected = rejected.cast(dict(REJECTED))
        return pl.concat([places, rejected], how="horizontal") if kept else rejected

    def _shown(self, value: object) -> str | None:
        """A raw value or row as text: text as it is, everything else as JSON."""
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, dict) and self.text == "json":
            value = {name: None if part is None else msgspec.Raw(part.encode()) for name, part in value.items()}
        return msgspec.json.encode(_nan_as_text(value), enc_hook=str).decode()


REJECTED: tuple[tuple[str, pl.DataType], ...] = (
    ("rule", pl.String()),
    ("column", pl.String()),
    ("value", pl.String()),
    ("row", pl.String()),
)
"""The columns of rejected rows."""

Fault = tuple[str, str, pl.Series]
"""A rule, a column, and the mask of the rows that break it."""
Checked = tuple[pl.Expr | None, list[tuple[str, pl.Expr]]]
"""The value of a column, and for each rule the expression that is true where the value breaks it."""
_RAW = pl.col("raw")


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
    return value


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


def _from_typed(kind: pl.DataType, type: str) -> Checked:
    """A column of a Polars dtype as logical type `type`; what cannot be one is refused row by row (`type`)."""
    target = dtype(type)
    found, raw = logical_type(kind), _RAW
    if type == "opaque":
        return (raw, []) if kind == pl.Binary() else (raw.map_batches(_json_bytes, return_dtype=pl.Binary()), [])
    if isinstance(kind, (pl.Categorical, pl.Enum)):
        raw, kind = raw.cast(pl.String), pl.String()
    if type in ("timestamp", "timestamp[UTC]") and found == type:
        return _times(raw, kind)
    if type == "date" and found == "date":
        days = raw.to_physical()
        return raw, [("time", (days < values.DAYS_MIN) | (days > values.DAYS_MAX))]
    if type == "timestamp" and found == "date":
        days = raw.to_physical()
        outside = (days < values.DAYS_MIN) | (days > values.DAYS_MAX)
        return pl.when(~outside).then(raw).cast(target), [("time", outside)]
    if type in ("timestamp", "timestamp[UTC]", "date") and kind == pl.String():
        return _from_iso(raw, type)
    if found == type:
        return _same(raw, kind, target)
    if type == "number" and found == "integer":
        return raw.cast(pl.Float64), []
    if type == "integer" and found == "number":
        return _whole(raw.cast(pl.Float64), raw.is_not_null())
    return None, [("type", raw.is_not_null())]


def _same(raw: pl.Expr, kind: pl.DataType, target: pl.DataType) -> Checked:
    """A column that has the right logical type, widened; of integers wider than 64 bits some do not fit."""
    if kind == target:
        return raw, []
    if target == pl.Int64() and kind not in (pl.Int8(), pl.Int16(), pl.Int32(), pl.UInt8(), pl.UInt16(), pl.UInt32()):
        whole = raw.cast(pl.Int64, strict=False)
        return whole, [("overflow", raw.is_not_null() & whole.is_null())]
    return raw.cast(target), []


def _whole(floats: pl.Expr, given: pl.Expr) -> Checked:
    """Floats that are whole as integers; others break `type`, too large ones `overflow`."""
    finite = floats.is_finite() & (floats == floats.floor())
    fits = finite & (floats >= -(2.0**63)) & (floats < 2.0**63)
    value = pl.when(fits).then(floats).cast(pl.Int64, strict=False)
    return value, [("type", given & ~finite.fill_null(False)), ("overflow", finite & ~fits)]


def _times(raw: pl.Expr, kind: pl.DataType) -> Checked:
    """Times of any unit and zone as µs (in UTC where they have a zone); the years 1 to 9999 only."""
    assert isinstance(kind, pl.Datetime)
    ticks = raw.to_physical()
    faults: list[tuple[str, pl.Expr]] = []
    if kind.time_unit != "ns":
        unit = _UNITS[kind.time_unit]
        outside = (ticks < values.MICROS_MIN // unit) | (ticks > values.MICROS_MAX // unit)
        faults.append(("time", outside))
        raw = pl.when(~outside).then(raw) if kind.time_unit == "ms" else raw
    value = raw if kind.time_unit == "us" else raw.dt.cast_time_unit("us")
    return (value.dt.convert_time_zone("UTC") if kind.time_zone not in (None, "UTC") else value), faults


def _from_iso(text: pl.Expr, type: str) -> Checked:
    """ISO 8601 text (the grammar of `values`) as `type`; a day that does not exist breaks `type` as well."""
    given = text.is_not_null()
    if type == "date":
        value = pl.when(text.str.contains(f"^{values.DATE_TEXT}$")).then(text).str.to_date("%Y-%m-%d", strict=False)
        good = value.to_physical() >= values.DAYS_MIN
        return pl.when(good).then(value), [("type", given & ~good.fill_null(False))]
    zoned = type == "timestamp[UTC]"
    pattern = values.ZONED_TEXT if zoned else values.NAIVE_TEXT
    clock = pl.when(text.str.contains(f"^{pattern}$")).then(text)
    day = clock.str.slice(0, 10)
    rest = clock.str.slice(11)
    offset = pl.lit(0, dtype=pl.Int64)
    if zoned:
        signs = rest.str.extract(r"(Z|[+-][0-9]{2}:[0-9]{2})$", 1)
        hours = signs.str.slice(1, 2).cast(pl.Int64, strict=False)
        minutes = signs.str.slice(4, 2).cast(pl.Int64, strict=False)
        seconds = (hours * 3600 + minutes * 60).fill_null(0)
        offset = pl.when(signs.str.starts_with("-")).then(-seconds).otherwise(seconds) * 1_000_000
        rest = rest.str.replace(r"(?:Z|[+-][0-9]{2}:[0-9]{2})$", "")
    days = day.str.to_date("%Y-%m-%d", strict=False).to_physical().cast(pl.Int64)
    digits = rest.str.slice(9, 6).str.pad_end(6, "0").cast(pl.Int64, strict=False).fill_null(0)
    parts = [rest.str.slice(at, 2).cast(pl.Int64, strict=False).fill_null(0) for at in (0, 3, 6)]
    seconds_of_day = parts[0] * 3600 + parts[1] * 60 + parts[2]
    local = (days * 86_400 + seconds_of_day) * 1_000_000 + digits
    exists = (local >= values.MICROS_MIN).fill_null(False)
    micros = local - offset
    inside = (micros >= values.MICROS_MIN) & (micros <= values.MICROS_MAX)
    value = pl.when(exists & inside).then(micros).cast(dtype(type))
    return value, [("type", given & ~exists), ("time", exists & ~inside)]


def _from_csv(type: str) -> Checked:
    """CSV fields as `type`. Blanks around numbers, words and times do not count; `MISSING_WORDS` are null there."""
    if type == "string":
        return _RAW, []
    if type == "opaque":
        return _RAW.cast(pl.Binary), []
    text = _RAW.str.strip_chars(values.BLANKS)
    text = pl.when(~text.is_in(MISSING_WORDS)).then(text)
    if type == "boolean":
        known = text.is_in(TRUE_WORDS + FALSE_WORDS)
        return pl.when(known).then(text.is_in(TRUE_WORDS)), [("type", ~known)]
    return _from_number_text(text, type) if type in ("integer", "number") else _from_iso(text, type)


def _from_number_text(text: pl.Expr, type: str) -> Checked:
    """Text of numbers as integers or floats; not a number breaks `type`, one too large for 64 bits `overflow`."""
    numeric = text.str.contains(f"^{NUMBER_TEXT}$")
    floats = pl.when(numeric).then(text).str.strip_prefix("+").cast(pl.Float64, strict=False)
    if type == "number":
        finite = floats.is_finite()
        return pl.when(finite).then(floats), [("type", ~numeric), ("overflow", numeric & ~finite.fill_null(False))]
    digits = text.str.contains(f"^{INTEGER_TEXT}$")
    exact = pl.when(digits).then(text).str.strip_prefix("+").cast(pl.Int64, strict=False)
    value, faults = _whole(pl.when(~digits).then(floats), text.is_not_null() & ~digits)
    return pl.coalesce(exact, value), [*faults, ("overflow", digits & exact.is_null())]


def _from_json(type: str) -> Checked:
    """JSON text of one field each as `type`, as strictly as `values.scalar` takes the decoded value."""
    raw = _RAW
    given = raw.is_not_null()
    if type == "opaque":
        return raw.cast(pl.Binary), []
    if type == "boolean":
        known = raw.is_in(("true", "false"))
        return pl.when(known).then(raw == "true"), [("type", ~known)]
    if type in ("integer", "number"):
        return _from_number_text(raw, type)
    quoted = raw.str.starts_with('"')
    inner = pl.when(quoted).then(raw).str.strip_prefix('"').str.strip_suffix('"')
    text = inner.map_batches(_unescaped, return_dtype=pl.String())
    if type == "string":
        return text, [("type", given & text.is_null())]
    value, faults = _from_iso(text, type)
    return value, [("type", given & text.is_null()), *faults]


def _unescaped(inner: pl.Series) -> pl.Series:
    """JSON string contents without their quotes, decoded; what is not valid Unicode becomes null."""
    escaped = inner.str.contains("\\", literal=True).fill_null(False)
    if not escaped.any():
        return inner
    decoded: list[str | None] = []
    for text in inner.filter(escaped).to_list():
        try:
            decoded.append(msgspec.json.decode(f'"{text}"'.encode(), type=str))
        except msgspec.DecodeError:
            decoded.append(None)
    return inner.scatter(escaped.arg_true(), pl.Series(decoded, dtype=pl.String))


def _json_bytes(series: pl.Series) -> pl.Series:
    """Each value as the bytes of its JSON text; null stays null."""
    encode = msgspec.json.Encoder(enc_hook=str).encode
    texts = [None if value is None else encode(value) for value in series.to_list()]
    return pl.Series(series.name, texts, dtype=pl.Binary)
