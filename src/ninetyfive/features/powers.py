"""Powers and their inverses: `**`, sqrt, exp, log.

All but the square are those of the C library, which Polars calls too, but for the exponents that it knows shortcuts
for: `**` on numbers runs in Python in both forms. The square is x * x, rounded once, which the C library's is not
always. Source of the special values of `**`: C17, annex F.10.4.4. What does not belong here: `log1p` (`arithmetic`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ninetyfive.features import tree
from ninetyfive.features.operation import Frame, Operation, Polars, Site, any_nan, integral, once, over_each, unify

_MAX_EXPONENT = 709.782712893384  # the largest float64 of which exp is one too
_OUTSIDE = tree.INT64_MAX + 1


def power(base: float, exponent: float) -> float:
    """`base` to the power of `exponent` as C's `pow` gives it, where Python raises.

    >>> power(-8.0, 1 / 3), power(0.0, -2.0), power(-0.0, -1.0), power(-10.0, 999.0)
    (nan, inf, -inf, -inf)
    """
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and _odd(exponent) else math.inf
    except ValueError:
        if base:
            return math.nan
        return math.copysign(math.inf, base) if _odd(exponent) else math.inf


def _odd(exponent: float) -> bool:
    return abs(math.fmod(exponent, 2)) == 1


def integer_power(base: int, exponent: int) -> int:
    """`base` to the power of `exponent`; where that is no int64, something that is none either.

    >>> integer_power(-2, 63), integer_power(-1, 2**62 + 1), integer_power(2, -1) > tree.INT64_MAX
    (-9223372036854775808, -1, True)
    """
    if exponent > 63 and -1 <= base <= 1:
        exponent = 2 + exponent % 2
    if not 0 <= exponent <= 63:
        return _OUTSIDE
    value: int = base**exponent
    return value if tree.INT64_MIN <= value <= tree.INT64_MAX else _OUTSIDE


def _number(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.NUMBER if set(types) <= set(tree.NUMERIC) else None


def _power_result(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return unify(types) if set(types) <= set(tree.NUMERIC) else None


def _power_frame(pl: Polars, site: Site) -> Frame:
    square = site.constant(1) == 2
    if site.result == tree.INTEGER:
        if square:
            return once(pl, [site.inputs[0].cast(pl.Int128)], _square, pl.Int128).cast(pl.Int64)
        return over_each(pl, site.inputs, integer_power, pl.Int128).cast(pl.Int64)
    base, exponent = site.float_frames(pl)
    return once(pl, [base], _square, pl.Float64) if square else over_each(pl, (base, exponent), power, pl.Float64)


def _square(base: Frame) -> Frame:
    return base * base


def _power_row(site: Site) -> str:
    base, exponent = site.inputs
    square = site.constant(1) == 2
    if site.result == tree.INTEGER:
        written = site.constant(1)
        if square:
            return site.strict(site.checked(f"{base} * {base}"))
        if written is not None and 0 <= written <= 63:
            return site.strict(site.checked(f"{base} ** {exponent}"))
        return site.strict(site.checked(f"{site.bind('_integer_power', integer_power)}({base}, {exponent})"))
    if square:
        return site.strict("{0} * {0}".format(site.floats()[0]))
    return site.strict(f"{site.bind('_power', power)}({base}, {exponent})")


def _power_nan(site: Site) -> bool:
    base, exponent = site.constant(0), site.constant(1)
    whole = exponent is not None and math.isfinite(exponent) and exponent == math.floor(exponent)
    return any_nan(site) or not (whole or (base is not None and base > 0))


def _sqrt_row(site: Site) -> str:
    (text,) = site.inputs
    return site.strict(f"({site.bind('_sqrt', math.sqrt)}({text}) if {text} >= 0 else {site.bind('_nan', math.nan)})")


def _exp_row(site: Site) -> str:
    (text,), exp, inf = site.inputs, site.bind("_exp", math.exp), site.bind("_inf", math.inf)
    return site.strict(f"({exp}({text}) if {text} <= {_MAX_EXPONENT!r} else {text} * {inf})")


def _log_row(site: Site) -> str:
    (text,), log, inf = site.inputs, site.bind("_log", math.log), site.bind("_inf", math.inf)
    return site.strict(f"({log}({text}) if {text} > 0 else {site.bind('_nan', math.nan)} if {text} else -{inf})")


_OF_NUMBER: dict[str, Any] = {"takes": "a number", "gives": "number", "result": _number}

OPERATIONS = (
    Operation(
        name="power",
        symbol="**",
        precedence=9,
        form="infix",
        inputs=(2, 2),
        example='col("a") ** 2',
        takes="two numbers",
        gives="integer of two integers, else number; a negative constant as exponent makes it a number",
        nulls="null where either is null; NaN and inf as C's pow says, so x ** 0 is 1 also of NaN; an integer that "
        "leaves int64, or has a negative integer column as exponent, rejects the row",
        result=_power_result,
        nan=_power_nan,
        refuses=integral,
        frame=_power_frame,
        row=_power_row,
    ),
    Operation(
        name="sqrt",
        example='col("a").sqrt()',
        nulls="null stays null; below 0 gives NaN, -0.0 stays -0.0",
        frame=lambda pl, site: site.float_frames(pl)[0].sqrt(),
        row=_sqrt_row,
        **_OF_NUMBER,
    ),
    Operation(
        name="exp",
        example='col("a").exp()',
        nulls="null stays null, NaN stays NaN; what is too large for a float64 gives inf",
        nan=any_nan,
        frame=lambda pl, site: site.float_frames(pl)[0].exp(),
        row=_exp_row,
        **_OF_NUMBER,
    ),
    Operation(
        name="log",
        example='col("a").log()',
        nulls="null stays null; below 0 gives NaN, 0 gives -inf",
        frame=lambda pl, site: site.float_frames(pl)[0].log(),
        row=_log_row,
        **_OF_NUMBER,
    ),
)
