"""Operations on numbers and truth: + - * / and unary minus, comparisons, & | ~, log1p, clip.

Floats follow IEEE 754; integers are int64, and a row whose integer leaves int64 is rejected, also in a branch that is
not taken. A comparison with null or NaN is null. What does not belong here: times and texts, but for `-` and `+`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from ninetyfive.features import texts, times, tree
from ninetyfive.features.operation import (
    Argument,
    Frame,
    Operation,
    Polars,
    Site,
    any_nan,
    divided_by,
    fail,
    finite_argument,
    integral,
    unify,
    whole,
)

_ARITHMETIC_NULLS = (
    "null where either is null; NaN and inf as IEEE 754 says; an integer that leaves int64 rejects the row"
)


Binary: TypeAlias = Callable[[Frame, Frame], Frame]

_MIRRORED: Mapping[Binary, Binary] = MappingProxyType(
    {
        operator.eq: operator.eq,
        operator.ne: operator.ne,
        operator.lt: operator.gt,
        operator.le: operator.ge,
        operator.gt: operator.lt,
        operator.ge: operator.le,
    }
)


def _numeric(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return unify(types) if set(types) <= set(tree.NUMERIC) else None


def _number(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.NUMBER if set(types) <= set(tree.NUMERIC) else None


def _add_result(types: tuple[str, ...], arguments: Mapping[str, Any]) -> str | None:
    return tree.STRING if set(types) == {tree.STRING} else _numeric(types, arguments)


def _subtract_result(types: tuple[str, ...], arguments: Mapping[str, Any]) -> str | None:
    return times.difference_result(types) or _numeric(types, arguments)


def _arithmetic_frame(apply: Binary, *, signed_zero: bool = False) -> Callable[[Polars, Site], Frame]:
    """The frame lowering of + - *; `signed_zero` says that Polars loses the sign of a zero beside a scalar."""

    def frame(pl: Polars, site: Site) -> Frame:
        if site.result == tree.INTEGER:
            left, right = site.inputs
            return apply(left.cast(pl.Int128), right.cast(pl.Int128)).cast(pl.Int64)
        left, right = site.float_frames(pl)
        written = [value for value in (site.constant(0), site.constant(1)) if value is not None]
        if signed_zero and (not written or 0 in written):
            left, right = whole(pl, site)
        return apply(left, right)

    return frame


def _arithmetic_row(symbol: str) -> Callable[[Site], str]:
    def row(site: Site) -> str:
        body = f"{site.inputs[0]} {symbol} {site.inputs[1]}"
        return site.strict(site.checked(body) if site.result == tree.INTEGER else body)

    return row


def _add_frame(pl: Polars, site: Site) -> Frame:
    return texts.concat_frame(pl, site) if site.result == tree.STRING else _number_add(pl, site)


def _add_row(site: Site) -> str:
    return texts.concat_row(site) if site.result == tree.STRING else _arithmetic_row("+")(site)


def _subtract_frame(pl: Polars, site: Site) -> Frame:
    is_time = times.difference_result(site.types) is not None
    return times.difference_frame(pl, site) if is_time else _number_subtract(pl, site)


def _subtract_row(site: Site) -> str:
    is_time = times.difference_result(site.types) is not None
    return times.difference_row(site) if is_time else _arithmetic_row("-")(site)


_number_add = _arithmetic_frame(operator.add, signed_zero=True)
_number_subtract = _arithmetic_frame(operator.sub, signed_zero=True)
_number_multiply = _arithmetic_frame(operator.mul)


def _divide_frame(pl: Polars, site: Site) -> Frame:
    left, right = site.float_frames(pl)
    divisor = site.constant(1)
    if divisor is not None and math.isfinite(divisor) and divisor:
        return divided_by(pl, left, float(divisor))
    left, right = whole(pl, site)
    return left / right


def divide_by_zero(left: float, right: float) -> float:
    """IEEE 754 division by 0.0 or -0.0, which Python refuses.

    >>> divide_by_zero(-1.0, 0.0), divide_by_zero(1.0, -0.0)
    (-inf, -inf)
    """
    if left == 0 or left != left:
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _divide_row(site: Site) -> str:
    left, right = site.inputs
    if site.types == (tree.INTEGER, tree.INTEGER):
        left = site.floats()[0]
    slow = site.bind("_divide_by_zero", divide_by_zero)
    return site.strict(f"({left} / {right} if {right} else {slow}({left}, {right}))")


def _negate_frame(pl: Polars, site: Site) -> Frame:
    (frame,) = site.inputs
    return (0 - frame.cast(pl.Int128)).cast(pl.Int64) if site.result == tree.INTEGER else -frame


def _negate_row(site: Site) -> str:
    body = f"-{site.inputs[0]}"
    return site.strict(site.checked(body) if site.result == tree.INTEGER else body)


def _comparison_result(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    kind = None if tree.NULL in types else unify(types)
    return None if kind in (None, tree.OPAQUE, tree.BOOLEAN) else tree.BOOLEAN


def _equality_result(types: tuple[str, ...], arguments: Mapping[str, Any]) -> str | None:
    return tree.BOOLEAN if types == (tree.BOOLEAN, tree.BOOLEAN) else _comparison_result(types, arguments)


def _comparison_frame(apply: Binary) -> Callable[[Polars, Site], Frame]:
    def frame(pl: Polars, site: Site) -> Frame:
        left, right = site.float_frames(pl) if tree.NUMBER in site.types else site.inputs
        written = site.constant(0) is not None  # a literal on the left may lose the rows of a column that is all null
        compared = _MIRRORED[apply](right, left) if written else apply(left, right)
        conditions = [_not_nan(site, index) for index, may in enumerate(site.nan) if may]
        return pl.when(*conditions).then(compared) if conditions else compared

    return frame


def _comparison_row(symbol: str) -> Callable[[Site], str]:
    def row(site: Site) -> str:
        if tree.NUMBER not in site.types:
            return site.strict(f"{site.inputs[0]} {symbol} {site.inputs[1]}")
        left, right = site.floats()
        nan = [f"{text} != {text}" for text, may in zip(site.inputs, site.nan, strict=True) if may]
        return site.strict(f"{left} {symbol} {right}", *nan)

    return row


def _not_nan(site: Site, index: int) -> Frame:
    """Whether an input is not NaN, in every row (a constant NaN is it in none)."""
    if site.constant(index) is None:
        return site.inputs[index].is_not_nan()
    other = site.inputs[1 - index]
    return other.is_null() & other.is_not_null()


def _comparison_nullable(site: Site) -> bool:
    return any(site.nullable) or any(site.nan)


def _logic_result(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.BOOLEAN if set(types) == {tree.BOOLEAN} else None


def _logic_row(decides: str, other: str) -> Callable[[Site], str]:
    """Kleene's three values: one operand can decide alone, else null hides what the other would say."""
    word = "and" if decides == "False" else "or"

    def row(site: Site) -> str:
        left, right = site.inputs
        if not any(site.nullable):
            return f"{left} {word} {right}"
        nulls = " or ".join(f"{text} is None" for text, may in zip(site.inputs, site.nullable, strict=True) if may)
        return f"{decides} if {left} is {decides} or {right} is {decides} else None if {nulls} else {other}"

    return row


def _log1p_row(site: Site) -> str:
    (text,) = site.inputs
    log1p, inf = site.bind("_log1p", math.log1p), site.bind("_inf", math.inf)
    return site.strict(
        f"({log1p}({text}) if {text} > -1.0 else -{inf} if {text} == -1.0 else {site.bind('_nan', math.nan)})"
    )


def _clip_check(arguments: Mapping[str, Any], where: str) -> None:
    low, high = arguments["low"], arguments["high"]
    if low is None and high is None:
        raise fail(where, "low, high or both", None, "write .clip(low=0)")
    if low is not None and high is not None and low > high:
        raise fail(where, "low not above high", (low, high), f"write .clip(low={high}, high={low})")


def _clip_result(types: tuple[str, ...], arguments: Mapping[str, Any]) -> str | None:
    if types[0] not in tree.NUMERIC:
        return None
    whole = types[0] == tree.INTEGER and not any(isinstance(value, float) for value in arguments.values())
    return tree.INTEGER if whole else tree.NUMBER


def _clip_frame(pl: Polars, site: Site) -> Frame:
    dtype = pl.Int64 if site.result == tree.INTEGER else pl.Float64
    frame = site.inputs[0] if site.result == tree.INTEGER else site.float_frames(pl)[0]
    low, high = site.arguments["low"], site.arguments["high"]
    return frame.clip(
        None if low is None else pl.lit(low, dtype=dtype), None if high is None else pl.lit(high, dtype=dtype)
    )


def _clip_row(site: Site) -> str:
    text = site.inputs[0] if site.result == tree.INTEGER else site.floats()[0]
    convert: Callable[[Any], Any] = int if site.result == tree.INTEGER else float
    body = text
    if (high := site.arguments["high"]) is not None:
        body = f"{convert(high)!r} if {text} > {convert(high)!r} else {body}"
    if (low := site.arguments["low"]) is not None:
        body = f"{convert(low)!r} if {text} < {convert(low)!r} else {body}"
    return site.strict(f"({body})")


def _infix(name: str, symbol: str, precedence: int, **more: Any) -> Operation:
    example = more.pop("example", f'col("a") {symbol} col("b")')
    return Operation(
        name=name, symbol=symbol, precedence=precedence, form="infix", inputs=(2, 2), example=example, **more
    )


def _comparison(name: str, symbol: str, apply: Binary, *, equality: bool = False) -> Operation:
    return _infix(
        name,
        symbol,
        2,
        takes="two numbers, strings or times of one type" + (", or two booleans" if equality else ""),
        gives="boolean",
        nulls="null where either is null or NaN; -0.0 equals 0.0; strings in the order of their UTF-8 bytes",
        result=_equality_result if equality else _comparison_result,
        nullable=_comparison_nullable,
        frame=_comparison_frame(apply),
        row=_comparison_row(symbol),
    )


_LOGIC: dict[str, Any] = {
    "takes": "two booleans",
    "gives": "boolean",
    "hint": 'make a boolean first, as in (col("a") > 0) & (col("b") > 0)',
    "result": _logic_result,
}

OPERATIONS = (
    _infix(
        "add",
        "+",
        6,
        takes="two numbers, or two strings",
        gives="integer of two integers, string of two strings, else number",
        nulls=_ARITHMETIC_NULLS,
        result=_add_result,
        refuses=integral,
        frame=_add_frame,
        row=_add_row,
    ),
    _infix(
        "subtract",
        "-",
        6,
        takes="two numbers, or two times of one type",
        gives="integer of two integers, number (seconds) of two times, else number",
        nulls=_ARITHMETIC_NULLS,
        result=_subtract_result,
        refuses=integral,
        frame=_subtract_frame,
        row=_subtract_row,
    ),
    _infix(
        "multiply",
        "*",
        7,
        takes="two numbers",
        gives="integer of two integers, else number",
        nulls=_ARITHMETIC_NULLS,
        result=_numeric,
        refuses=integral,
        frame=_number_multiply,
        row=_arithmetic_row("*"),
    ),
    _infix(
        "divide",
        "/",
        7,
        takes="two numbers",
        gives="number",
        nulls="null where either is null; x / 0 is inf, -inf or NaN as IEEE 754 says, also for integers",
        result=_number,
        frame=_divide_frame,
        row=_divide_row,
    ),
    Operation(
        name="negate",
        symbol="-",
        precedence=8,
        form="prefix",
        example='-col("a")',
        takes="a number",
        gives="the same type",
        nulls="null stays null; the negative of the smallest int64 rejects the row",
        result=_numeric,
        nan=any_nan,
        refuses=integral,
        frame=_negate_frame,
        row=_negate_row,
    ),
    _comparison("equal", "==", operator.eq, equality=True),
    _comparison("not_equal", "!=", operator.ne, equality=True),
    _comparison("less", "<", operator.lt),
    _comparison("less_equal", "<=", operator.le),
    _comparison("greater", ">", operator.gt),
    _comparison("greater_equal", ">=", operator.ge),
    _infix(
        "and",
        "&",
        5,
        example='(col("a") > 0) & (col("b") > 0)',
        nulls="Kleene: false and null is false, true and null is null",
        frame=lambda _, site: site.inputs[0] & site.inputs[1],
        row=_logic_row("False", "True"),
        **_LOGIC,
    ),
    _infix(
        "or",
        "|",
        4,
        example='(col("a") > 0) | (col("b") > 0)',
        nulls="Kleene: true or null is true, false or null is null",
        frame=lambda _, site: site.inputs[0] | site.inputs[1],
        row=_logic_row("True", "False"),
        **_LOGIC,
    ),
    Operation(
        name="not",
        symbol="~",
        precedence=8,
        form="prefix",
        example='~(col("a") > 0)',
        nulls="null stays null",
        frame=lambda _, site: ~site.inputs[0],
        row=lambda site: site.strict(f"not {site.inputs[0]}"),
        **_LOGIC | {"takes": "a boolean"},
    ),
    Operation(
        name="log1p",
        example='col("a").log1p()',
        takes="a number",
        gives="number",
        nulls="null stays null; below -1 gives NaN, -1 gives -inf, -0.0 stays -0.0",
        result=_number,
        frame=lambda pl, site: site.float_frames(pl)[0].log1p(),
        row=_log1p_row,
    ),
    Operation(
        name="clip",
        example='col("a").clip(low=0, high=100)',
        takes="a number",
        gives="integer of integers between integers, else number",
        nulls="null stays null, NaN stays NaN; a value equal to a bound is kept as it is (-0.0 under low=0.0)",
        arguments=(
            Argument("low", finite_argument("low", optional=True), None),
            Argument("high", finite_argument("high", optional=True), None),
        ),
        check=_clip_check,
        result=_clip_result,
        nan=any_nan,
        frame=_clip_frame,
        row=_clip_row,
    ),
)
