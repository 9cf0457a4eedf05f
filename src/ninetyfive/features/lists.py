"""Operations on lists of plain values: how long one is, what is in it, one element of it.

    ("new", None, "sale") ─▶ list_length 3, list_contains("sale") true, list_element(0) "new"

A row holds a list as a tuple (or as the list that JSON gave). Null is no list; an empty list is one. Elements may be
null: they count, and are no value. What does not belong here: lists of anything else, which are opaque.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ninetyfive.features import tree
from ninetyfive.features.operation import Argument, Frame, Operation, Polars, Site, integer_argument

_LONGEST = 1_000_000
_HINT = 'use it on a list; a column of lists that is opaque becomes one with type = "list[string]" in schema.toml'


def _length_result(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.INTEGER if types[0] in tree.LISTS else None


def _contains_result(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    fits = tree.LISTS.get(types[0]), types[1]
    return tree.BOOLEAN if fits[0] == fits[1] or fits == (tree.NUMBER, tree.INTEGER) else None


def _contains_frame(pl: Polars, site: Site) -> Frame:
    lists, value = site.inputs
    if site.types[0] == "list[number]":
        value = value.cast(pl.Float64)
        value = pl.when(value.is_not_nan()).then(value)
    found = lists.list.contains(value, nulls_equal=False)
    return pl.when(lists.is_not_null() & value.is_not_null()).then(found)


def _contains_row(site: Site) -> str:
    lists, value = site.inputs[0], site.floats()[1] if site.types[0] == "list[number]" else site.inputs[1]
    return site.strict(f"{value} in {lists}", *([f"{value} != {value}"] if site.nan[1] else []))


def _element_result(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.LISTS.get(types[0])


def _element_row(site: Site) -> str:
    text, index = site.inputs[0], site.arguments["index"]
    least = index + 1 if index >= 0 else -index
    return site.strict(f"({text}[{index}] if {site.bind('_len', len)}({text}) >= {least} else None)")


OPERATIONS = (
    Operation(
        name="list_length",
        example='col("l").list_length()',
        takes="a list",
        gives="integer from 0: how many elements it has",
        nulls="null stays null; null elements count",
        hint=_HINT,
        result=_length_result,
        frame=lambda pl, site: site.inputs[0].list.len().cast(pl.Int64),
        row=lambda site: site.strict(f"{site.bind('_len', len)}({site.inputs[0]})"),
    ),
    Operation(
        name="list_contains",
        inputs=(2, 2),
        example='col("l").list_contains("new")',
        takes="a list and a value of its elements' type (an integer for numbers too)",
        gives="boolean",
        nulls="null where the list or the value is null, or the value NaN; null and NaN elements are no value; "
        "-0.0 equals 0.0",
        hint="give a list and a value of its elements' type; cast the value where it is an expression",
        result=_contains_result,
        nullable=lambda site: any(site.nullable) or site.nan[1],
        frame=_contains_frame,
        row=_contains_row,
    ),
    Operation(
        name="list_element",
        example='col("l").list_element(0)',
        takes="a list",
        gives="the type of its elements: the one at the index, from 0, or from the end: -1 is the last",
        nulls="null where the list is null, has no such element, or the element is null",
        hint=_HINT,
        arguments=(Argument("index", integer_argument("index", -_LONGEST, _LONGEST)),),
        result=_element_result,
        nullable=lambda _: True,
        frame=lambda _, site: site.inputs[0].list.get(site.arguments["index"], null_on_oob=True),
        row=_element_row,
    ),
)
