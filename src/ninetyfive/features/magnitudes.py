"""Operations that change a number's size and keep its type: abs, sign, round, floor, ceil.

`round` is Python's, which rounds the exact value; Polars multiplies by a power of ten first and gets some wrong: only
what is far from a half goes that way. What does not belong here: what turns an integer into a number (`powers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ninetyfive.features import tree
from ninetyfive.features.operation import (
    Argument,
    Frame,
    Operation,
    Polars,
    Site,
    any_nan,
    divided_by,
    integer_argument,
    integral,
    once,
    over_each,
)

MAX_DIGITS = 15


def _numeric(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return types[0] if types[0] in tree.NUMERIC else None


def _abs_frame(pl: Polars, site: Site) -> Frame:
    (frame,) = site.inputs
    return frame.cast(pl.Int128).abs().cast(pl.Int64) if site.result == tree.INTEGER else frame.abs()


def _abs_row(site: Site) -> str:
    body = f"{site.bind('_abs', abs)}({site.inputs[0]})"
    return site.strict(site.checked(body) if site.result == tree.INTEGER else body)


def _sign_row(site: Site) -> str:
    (text,) = site.inputs
    if site.result == tree.INTEGER:
        return site.strict(f"(1 if {text} > 0 else -1 if {text} else 0)")
    return site.strict(f"(1.0 if {text} > 0.0 else -1.0 if {text} < 0.0 else {text})")


def _round_frame(pl: Polars, site: Site) -> Frame:
    (frame,), digits = site.inputs, site.arguments["digits"]
    if site.result == tree.INTEGER:
        in_python = partial(_rounded, digits=digits)
        return frame if digits >= 0 else over_each(pl, [frame], in_python, pl.Int128).cast(pl.Int64)
    if digits == 0:
        return frame.round(0, mode="half_to_even")
    return once(pl, [frame], partial(_round_once, pl, digits), pl.Float64)


def _round_once(pl: Polars, digits: int, frame: Frame) -> Frame:
    scaled = frame * 10.0**digits if digits > 0 else divided_by(pl, frame, 10.0**-digits)
    return once(pl, [frame, scaled], partial(_round_scaled, pl, digits), pl.Float64)


def _round_scaled(pl: Polars, digits: int, frame: Frame, scaled: Frame) -> Frame:
    """Python's round, in Python only where it is needed.

    Below 2^40 the scaled value is wrong by 2^-13 at most, so that one this far from a half has the right neighbour.
    That and the scale are exact, so that one operation on them gives the float64 nearest to the decimal.
    """
    nearest = scaled.round(0, mode="half_to_even")
    exact = divided_by(pl, nearest, 10.0**digits) if digits > 0 else nearest * 10.0**-digits
    sure = (scaled.abs() < 2.0**40) & ((scaled - nearest).abs() < 0.499)
    in_python = over_each(pl, [pl.when(~sure).then(frame)], partial(_rounded, digits=digits), pl.Float64)
    return pl.when(sure).then(exact).otherwise(in_python)


def _rounded(value: float, *, digits: int) -> float:
    return round(value, digits)


def _round_row(site: Site) -> str:
    (text,), digits = site.inputs, site.arguments["digits"]
    if site.result == tree.INTEGER and digits >= 0:
        return str(text)
    body = f"{site.bind('_round', round)}({text}, {digits})"
    return site.strict(site.checked(body) if site.result == tree.INTEGER else body)


def _floor_row(site: Site) -> str:
    (text,) = site.inputs
    if site.result == tree.INTEGER:
        return str(text)
    return site.strict(f"({text} // 1.0 if {text} - {text} == 0.0 else {text})")


def _ceil_row(site: Site) -> str:
    (text,) = site.inputs
    if site.result == tree.INTEGER:
        return str(text)
    return site.strict(f"(-(-{text} // 1.0) if {text} - {text} == 0.0 else {text})")


_SAME: dict[str, Any] = {
    "takes": "a number",
    "gives": "the same type",
    "result": _numeric,
    "nan": any_nan,
}

OPERATIONS = (
    Operation(
        name="abs",
        example='col("a").abs()',
        nulls="null stays null, NaN stays NaN; the smallest int64 rejects the row",
        refuses=integral,
        frame=_abs_frame,
        row=_abs_row,
        **_SAME,
    ),
    Operation(
        name="sign",
        example='col("a").sign()',
        nulls="null stays null, NaN stays NaN, -0.0 stays -0.0",
        frame=lambda _, site: site.inputs[0].sign(),
        row=_sign_row,
        **_SAME | {"gives": "-1, 0 or 1, of the same type"},
    ),
    Operation(
        name="round",
        example='col("a").round(digits=2)',
        nulls="null stays null, NaN and inf stay; an integer that leaves int64 rejects the row",
        arguments=(Argument("digits", integer_argument("digits", -MAX_DIGITS, MAX_DIGITS), 0),),
        refuses=integral,
        frame=_round_frame,
        row=_round_row,
        **_SAME | {"gives": "the same type, as Python's round gives it: to the nearest, a half to the even digit"},
    ),
    Operation(
        name="floor",
        example='col("a").floor()',
        nulls="null stays null, NaN and inf stay",
        frame=lambda _, site: site.inputs[0] if site.result == tree.INTEGER else site.inputs[0].floor(),
        row=_floor_row,
        **_SAME,
    ),
    Operation(
        name="ceil",
        example='col("a").ceil()',
        nulls="null stays null, NaN and inf stay; what lies between -1 and 0 gives -0.0",
        frame=lambda _, site: site.inputs[0] if site.result == tree.INTEGER else site.inputs[0].ceil(),
        row=_ceil_row,
        **_SAME,
    ),
)
