"""Operations that choose: coalesce, least and greatest among several values, isin from a list.

Null is passed over, as SQL does. NaN is a number that is not missing: coalesce takes it, least and greatest keep it.
What does not belong here: if/else (`missing`), which chooses by a condition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ninetyfive.features import tree
from ninetyfive.features.operation import (
    REQUIRED,
    Argument,
    Frame,
    Operation,
    Polars,
    Site,
    any_nan,
    finite_argument,
    once,
    unify,
    values_argument,
)

MAX_VALUES = 100_000


def _one_type(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return None if {tree.NULL, tree.OPAQUE} & set(types) else unify(types)


def _ordered(types: tuple[str, ...], arguments: Mapping[str, Any]) -> str | None:
    kind = _one_type(types, arguments)
    return None if kind == tree.BOOLEAN else kind


def _frames(pl: Polars, site: Site) -> tuple[Frame, ...]:
    return site.float_frames(pl) if site.result == tree.NUMBER else site.inputs


def _texts(site: Site) -> tuple[str, ...]:
    """Source texts of the inputs in the type of the result, where they are not null."""
    return site.floats() if site.result == tree.NUMBER else site.inputs


def _or_none(site: Site, index: int) -> str:
    """Source text of one input in the type of the result, also where it is null."""
    text, as_result = str(site.inputs[index]), _texts(site)[index]
    return f"(None if {text} is None else {as_result})" if site.nullable[index] and as_result != text else as_result


def _read(site: Site) -> int:
    """How many inputs coalesce reads: up to the first that is never null."""
    return site.nullable.index(False) + 1 if False in site.nullable else len(site.nullable)


def _coalesce_frame(pl: Polars, site: Site) -> Frame:
    first, *others = _frames(pl, site)[: _read(site)]
    if others:
        return pl.coalesce(first, *others)
    column = next(
        frame for frame, node in zip(site.inputs, site.nodes, strict=True) if not isinstance(node, tree.Constant)
    )
    return pl.when(column.is_null()).then(first).otherwise(first)  # a constant too becomes as long as the frame


def _coalesce_row(site: Site) -> str:
    last = _read(site) - 1
    tests = [f"{_texts(site)[index]} if {site.inputs[index]} is not None else " for index in range(last)]
    return "".join(tests) + _or_none(site, last)


def _extreme_frame(word: str) -> Callable[[Polars, Site], Frame]:
    def fold(series: Sequence[Any]) -> Any:
        height = 0 if any(not len(one) for one in series) else max(len(one) for one in series)
        kept, *others = (one.new_from_index(0, height) if len(one) == 1 else one for one in series)
        for one in others:
            better = one < kept if word == "<" else one > kept
            better = better & kept.is_not_nan() | one.is_nan() | kept.is_null()
            kept = one.zip_with(better.fill_null(False) & one.is_not_null(), kept)
        return kept

    def frame(pl: Polars, site: Site) -> Frame:
        if site.result == tree.NUMBER:
            return pl.map_batches(list(_frames(pl, site)), fold, return_dtype=pl.Float64, is_elementwise=True)
        return pl.min_horizontal(*site.inputs) if word == "<" else pl.max_horizontal(*site.inputs)

    return frame


def _extreme_row(word: str) -> Callable[[Site], str]:
    """The inputs one after the other, `_t` the best so far; of equal ones, as 0.0 and -0.0, the first stays."""

    def row(site: Site) -> str:
        body, null = _or_none(site, 0), site.nullable[0]
        for index, text in enumerate(site.inputs[1:], 1):
            plain = index == 1 and not null
            held, start = (body, "") if plain else ("_t", f"(_t := {body}) is not None and ")
            keep = f"not {_texts(site)[index]} {word} {held}"
            keep = f"{text} == {text} and {keep}" if site.nan[index] else keep
            keep = f"({text} is None or {keep})" if site.nullable[index] else keep
            other = _or_none(site, index) if null else _texts(site)[index]
            body = f"({held} if {start}{keep} else {other})"
            null = null and site.nullable[index]
        return body

    return row


def _values(value: Any, where: str) -> tuple[Any, ...]:
    """Strings, integers or booleans of one kind, or, where one is a float, finite floats."""
    if isinstance(value, list | tuple) and any(isinstance(item, float) for item in value):
        value = [finite_argument("values", whole=False)(item, where) for item in value]
        values_argument("values", least=1, most=MAX_VALUES)([repr(item + 0.0) for item in value], where)
        return tuple(value)
    return tuple(values_argument("values", least=1, most=MAX_VALUES)(value, where))


def _isin_result(types: tuple[str, ...], arguments: Mapping[str, Any]) -> str | None:
    kind = tree.constant(arguments["values"][0], "isin").type
    return tree.BOOLEAN if types[0] == kind or (types[0], kind) == (tree.NUMBER, tree.INTEGER) else None


def _isin_frame(pl: Polars, site: Site) -> Frame:
    dtypes = {tree.STRING: pl.String, tree.INTEGER: pl.Int64, tree.NUMBER: pl.Float64, tree.BOOLEAN: pl.Boolean}
    values = pl.lit(pl.Series("", _listed(site), dtype=dtypes[site.types[0]])).implode()
    if not site.nan[0]:
        return site.inputs[0].is_in(values)
    return once(pl, site.inputs, lambda number: pl.when(number.is_not_nan()).then(number.is_in(values)), pl.Boolean)


def _isin_row(site: Site) -> str:
    (text,) = site.inputs
    values = site.bind(f"_values_{site.step}", frozenset(_listed(site)))
    return site.strict(f"{text} in {values}", *([f"{text} != {text}"] if site.nan[0] else []))


def _listed(site: Site) -> list[Any]:
    values = site.arguments["values"]
    return [float(value) for value in values] if site.types[0] == tree.NUMBER else list(values)


_SEVERAL: dict[str, Any] = {"form": "function", "inputs": (2, None)}
_EXTREME: dict[str, Any] = {
    "takes": "two or more numbers, strings or times of one type",
    "gives": "that type, number of integers and numbers",
    "nulls": "nulls are passed over, null where all are; NaN where one is NaN; of equal ones (0.0 and -0.0) the first",
    "hint": "make them one type, with .cast(...)",
    "result": _ordered,
    "nullable": lambda site: all(site.nullable),
    "nan": any_nan,
}

OPERATIONS = (
    Operation(
        name="coalesce",
        example='coalesce(col("a"), col("b"), 0)',
        takes="two or more values of one type",
        gives="that type, number of integers and numbers: the first that is not null",
        nulls="null where all are; NaN is not null",
        hint="make them one type, with .cast(...)",
        result=_one_type,
        nullable=lambda site: all(site.nullable),
        nan=lambda site: any(site.nan[: _read(site)]),
        frame=_coalesce_frame,
        row=_coalesce_row,
        **_SEVERAL,
    ),
    Operation(
        name="least",
        example='least(col("a"), col("b"))',
        frame=_extreme_frame("<"),
        row=_extreme_row("<"),
        **_SEVERAL,
        **_EXTREME,
    ),
    Operation(
        name="greatest",
        example='greatest(col("a"), 0)',
        frame=_extreme_frame(">"),
        row=_extreme_row(">"),
        **_SEVERAL,
        **_EXTREME,
    ),
    Operation(
        name="isin",
        example='col("s").isin(["a", "b"])',
        takes="a string, an integer, a number or a boolean, and values of its type",
        gives="boolean",
        nulls="null stays null, NaN gives null; -0.0 equals 0.0",
        hint='list values of the column\'s type, as in col("s").isin(["a", "b"])',
        arguments=(Argument("values", _values, REQUIRED),),
        result=_isin_result,
        nullable=lambda site: site.nullable[0] or site.nan[0],
        frame=_isin_frame,
        row=_isin_row,
    ),
)
