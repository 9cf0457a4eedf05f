"""Operations on what is missing and on types: fill_null, is_null, cast, and when/then/otherwise.

Null is missing. NaN is a number that is not missing: `is_null` is false on it and `fill_null` keeps it
(`fill_mean` replaces both). In the model's input both are NaN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ninetyfive.features import tree
from ninetyfive.features.operation import (
    Argument,
    Frame,
    Operation,
    Polars,
    Site,
    any_nan,
    never,
    over_distinct,
    unify,
    word_argument,
)

_DAY = 86_400_000_000
_INTEGER_TEXT = re.compile(r"[+-]?[0-9]{1,40}")
_NUMBER_TEXT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

CASTS = {
    (tree.BOOLEAN, tree.INTEGER): "false is 0, true is 1",
    (tree.BOOLEAN, tree.NUMBER): "false is 0.0, true is 1.0",
    (tree.BOOLEAN, tree.STRING): '"false" or "true"',
    (tree.INTEGER, tree.NUMBER): "the nearest float64",
    (tree.INTEGER, tree.STRING): "its decimal digits",
    (tree.NUMBER, tree.INTEGER): "towards zero; null for NaN and for what int64 cannot hold",
    (tree.STRING, tree.INTEGER): "decimal digits with an optional sign; anything else is null",
    (tree.STRING, tree.NUMBER): "a decimal number, also with an exponent; anything else is null",
    (tree.TIMESTAMP, tree.DATE): "its day",
    (tree.TIMESTAMP_UTC, tree.DATE): "its day in UTC",
    (tree.DATE, tree.TIMESTAMP): "midnight",
}
_TARGETS = (tree.INTEGER, tree.NUMBER, tree.STRING, tree.DATE, tree.TIMESTAMP)
_MAY_FAIL = {(tree.NUMBER, tree.INTEGER), (tree.STRING, tree.INTEGER), (tree.STRING, tree.NUMBER)}


def parse_integer(text: str) -> int | None:
    """The integer that a text is, or None.

    >>> parse_integer("-07"), parse_integer("7.0"), parse_integer("9223372036854775808")
    (-7, None, None)
    """
    if _INTEGER_TEXT.fullmatch(text) is None:
        return None
    value = int(text)
    return value if tree.INT64_MIN <= value <= tree.INT64_MAX else None


def parse_number(text: str) -> float | None:
    """The float64 nearest to the decimal number that a text is, or None.

    >>> parse_number("1.5e3"), parse_number(" 1"), parse_number("nan")
    (1500.0, None, None)
    """
    return float(text) if _NUMBER_TEXT.fullmatch(text) is not None else None


def _cast_result(types: tuple[str, ...], arguments: Mapping[str, Any]) -> str | None:
    to: str = arguments["to"]
    return to if types[0] == to or (types[0], to) in CASTS else None


def _cast_frame(pl: Polars, site: Site) -> Frame:
    (frame,), (kind,), to = site.inputs, site.types, site.result
    match kind, to:
        case _ if kind == to:
            return frame
        case "string", "integer":
            return over_distinct(pl, frame, parse_integer, pl.Int64)
        case "string", "number":
            return over_distinct(pl, frame, parse_number, pl.Float64)
        case _, "integer":
            return frame.cast(pl.Int64, strict=False)
        case _, "number":
            return frame.cast(pl.Float64)
        case _, "string":
            return frame.cast(pl.String)
        case _, "date":
            return frame.dt.date()
        case _:
            return frame.cast(pl.Datetime("us"))


def _cast_row(site: Site) -> str:
    (text,), (kind,), to = site.inputs, site.types, site.result
    match kind, to:
        case _ if kind == to:
            return str(text)
        case "string", "integer":
            return site.strict(f"{site.bind('_parse_integer', parse_integer)}({text})")
        case "string", "number":
            return site.strict(f"{site.bind('_parse_number', parse_number)}({text})")
        case "boolean", "string":
            return site.strict(f"('true' if {text} else 'false')")
        case "boolean", _:
            return site.strict(f"({text} * {'1' if to == tree.INTEGER else '1.0'})")
        case "integer", "string":
            return site.strict(f"{site.bind('_str', str)}({text})")
        case "number", _:
            low, high = -(2.0**63), 2.0**63
            return site.strict(f"({site.bind('_int', int)}({text}) if {low!r} <= {text} < {high!r} else None)")
        case "date", _:
            return site.strict(f"{text} * {_DAY}")
        case _, "date":
            return site.strict(f"{text} // {_DAY}")
        case _:
            return site.strict(f"{text} * 1.0")


def _cast_nullable(site: Site) -> bool:
    return site.nullable[0] or (site.types[0], site.result) in _MAY_FAIL


def _fill_result(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return None if tree.NULL in types or tree.OPAQUE in types else unify(types)


def _when_result(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return None if types[0] != tree.BOOLEAN or tree.OPAQUE in types else unify(types[1:])


def _same_frames(pl: Polars, site: Site) -> tuple[Frame, ...]:
    return site.float_frames(pl) if site.result == tree.NUMBER else site.inputs


def _same_texts(site: Site) -> tuple[str, ...]:
    return tuple(
        f"(None if {text} is None else {text} * 1.0)" if kind == tree.INTEGER and may else as_float
        for text, as_float, kind, may in zip(site.inputs, site.floats(), site.types, site.nullable, strict=True)
    )


def _fill_frame(pl: Polars, site: Site) -> Frame:
    first, second = _same_frames(pl, site)
    return first.fill_null(second)


def _fill_row(site: Site) -> str:
    if not site.nullable[0]:
        return str(_same_texts(site)[0] if site.result == tree.NUMBER else site.inputs[0])
    if site.result != tree.NUMBER:
        return f"{site.inputs[1]} if {site.inputs[0]} is None else {site.inputs[0]}"
    return f"{_same_texts(site)[1]} if {site.inputs[0]} is None else {site.floats()[0]}"


def _when_frame(pl: Polars, site: Site) -> Frame:
    condition, then, otherwise = _same_frames(pl, site)
    return pl.when(condition).then(then).otherwise(otherwise)


def _when_row(site: Site) -> str:
    condition, then, otherwise = _same_texts(site) if site.result == tree.NUMBER else site.inputs
    return f"{then} if {condition} else {otherwise}"


OPERATIONS = (
    Operation(
        name="fill_null",
        inputs=(2, 2),
        example='col("a").fill_null(0)',
        takes="a value and its replacement of one type",
        gives="that type, number of an integer and a number",
        nulls="null becomes the replacement; NaN stays NaN",
        hint="give a replacement of the column's type",
        result=_fill_result,
        nan=any_nan,
        nullable=lambda site: all(site.nullable),
        frame=_fill_frame,
        row=_fill_row,
    ),
    Operation(
        name="is_null",
        example='col("a").is_null()',
        takes="anything but opaque",
        gives="boolean, never null",
        nulls="null is true; NaN is a number, so false",
        result=lambda types, _: None if types[0] in (tree.OPAQUE, tree.NULL) else tree.BOOLEAN,
        nullable=never,
        frame=lambda _, site: site.inputs[0].is_null(),
        row=lambda site: f"{site.inputs[0]} is None" if site.nullable[0] else "False",
    ),
    Operation(
        name="cast",
        example='col("a").cast("number")',
        takes="see the table of casts",
        gives="the type named",
        nulls="null stays null; what cannot be cast is null",
        hint='for a boolean write a comparison, as in col("a") != 0',
        arguments=(Argument("to", word_argument("to", _TARGETS)),),
        result=_cast_result,
        nan=any_nan,
        nullable=_cast_nullable,
        frame=_cast_frame,
        row=_cast_row,
    ),
    Operation(
        name="if_else",
        form="when",
        inputs=(3, 3),
        example='when(col("a") > 0).then(1).otherwise(col("b"))',
        takes="a boolean and two values of one type (None for null)",
        gives="that type, number of an integer and a number",
        nulls="where the condition is null, the value of otherwise",
        hint="make both values one type, with .cast(...)",
        result=_when_result,
        nan=any_nan,
        nullable=lambda site: any(site.nullable[1:]),
        frame=_when_frame,
        row=_when_row,
    ),
)
