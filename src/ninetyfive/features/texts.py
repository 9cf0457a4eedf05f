"""Operations on strings: case, strip, length, slice, search, replace, split_part and concat (also `+` on strings).

Python's `str` is the truth, Unicode version and all, and characters are code points. A frame maps over its distinct
values wherever Polars differs, which for case is any text that is not ASCII. What is searched for is literal: there are
no patterns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ninetyfive.features import tree
from ninetyfive.features.operation import (
    REQUIRED,
    Argument,
    Frame,
    Operation,
    Polars,
    Site,
    fail,
    integer_argument,
    over_distinct,
)

BLANKS = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What Python's `str.strip` removes: Polars leaves U+001C to U+001F."""
_FARTHEST = 1_000_000_000
_HINT = 'cast it first, a number by way of an integer: .cast("integer").cast("string")'


def _strings(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.STRING if set(types) == {tree.STRING} else None


def _of_string(kind: str) -> Callable[[tuple[str, ...], Mapping[str, Any]], str | None]:
    return lambda types, _: kind if types[0] == tree.STRING else None


def concat_frame(pl: Polars, site: Site) -> Frame:
    """The strings one after the other; null where one is null."""
    return pl.concat_str(*site.inputs, ignore_nulls=False)


def concat_row(site: Site) -> str:
    """The strings one after the other; null where one is null."""
    return site.strict(" + ".join(site.inputs))


def _python_frame(function: Callable[[str], str]) -> Callable[[Polars, Site], Frame]:
    return lambda pl, site: over_distinct(pl, site.inputs[0], function, pl.String)


def _slice_row(site: Site) -> str:
    start, length = site.arguments["start"], site.arguments["length"]
    stop = None if length is None or start < 0 <= start + length else start + length
    return site.strict(f"{site.inputs[0]}[{start}:{'' if stop is None else stop}]")


def _part_frame(_: Polars, site: Site) -> Frame:
    parts = site.inputs[0].str.split(site.arguments["separator"])
    return parts.list.get(site.arguments["index"], null_on_oob=True)


def _part_row(site: Site) -> str:
    (text,), separator, index = site.inputs, site.arguments["separator"], site.arguments["index"]
    if index == 0:
        return site.strict(f"{text}.partition({separator!r})[0]")
    if index == -1:  # not rpartition, which cuts from the right: the last part of "aaa" by "aa" is "a"
        return site.strict(f"{text}.split({separator!r})[-1]")
    cut = f"{text}.split({separator!r}, {index + 1})" if index > 0 else f"{text}.split({separator!r})"
    enough = f"{site.bind('_len', len)}(_t := {cut}) >= {index + 1 if index > 0 else -index}"
    return site.strict(f"(_t[{index}] if {enough} else None)")


def text_argument(name: str, *, empty: bool = False) -> Callable[[Any, str], str]:
    """A check for a string that UTF-8 can hold, of at least one character unless `empty`."""

    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or not (value or empty):
            raise fail(where, f"{name}: a string" + ("" if empty else " that is not empty"), value, f'write {name}="-"')
        return str(tree.constant(value, where).value)

    return check


def _search(name: str, argument: str, gives: str, frame: Callable[[Frame, str], Frame], row: str) -> Operation:
    return Operation(
        name=name,
        example=f'col("s").{name}("a")',
        arguments=(Argument(argument, text_argument(argument)),),
        gives=f"boolean: whether {gives}",
        result=_of_string(tree.BOOLEAN),
        frame=lambda _, site: frame(site.inputs[0], site.arguments[argument]),
        row=lambda site: site.strict(row.format(site.inputs[0], repr(site.arguments[argument]))),
        **_STRING,
    )


_STRING: dict[str, Any] = {"takes": "a string", "nulls": "null stays null", "hint": _HINT}

OPERATIONS = (
    Operation(
        name="lower",
        example='col("s").lower()',
        gives="string, as Python's str.lower gives it",
        depends=("unicode",),
        result=_strings,
        frame=_python_frame(str.lower),
        row=lambda site: site.strict(f"{site.inputs[0]}.lower()"),
        **_STRING,
    ),
    Operation(
        name="upper",
        example='col("s").upper()',
        gives="string, as Python's str.upper gives it",
        depends=("unicode",),
        result=_strings,
        frame=_python_frame(str.upper),
        row=lambda site: site.strict(f"{site.inputs[0]}.upper()"),
        **_STRING,
    ),
    Operation(
        name="strip",
        example='col("s").strip()',
        gives="string without blanks at both ends, as Python's str.strip gives it",
        result=_strings,
        frame=lambda _, site: site.inputs[0].str.strip_chars(BLANKS),
        row=lambda site: site.strict(f"{site.inputs[0]}.strip({BLANKS!r})"),
        **_STRING,
    ),
    Operation(
        name="length",
        example='col("s").length()',
        gives="integer: its characters (code points)",
        result=_of_string(tree.INTEGER),
        frame=lambda pl, site: site.inputs[0].str.len_chars().cast(pl.Int64),
        row=lambda site: site.strict(f"{site.bind('_len', len)}({site.inputs[0]})"),
        **_STRING,
    ),
    Operation(
        name="slice",
        example='col("s").slice(0, length=3)',
        gives="string: length characters from start on (0 is the first, -1 the last), or what there is of them",
        arguments=(
            Argument("start", integer_argument("start", -_FARTHEST, _FARTHEST)),
            Argument("length", integer_argument("length", 1, _FARTHEST, optional=True), None),
        ),
        result=_strings,
        frame=lambda _, site: site.inputs[0].str.slice(site.arguments["start"], site.arguments["length"]),
        row=_slice_row,
        **_STRING,
    ),
    _search(
        "contains",
        "text",
        "the text is in it",
        lambda frame, text: frame.str.contains(text, literal=True),
        "{1} in {0}",
    ),
    _search(
        "starts_with", "prefix", "it begins so", lambda frame, text: frame.str.starts_with(text), "{0}.startswith({1})"
    ),
    _search("ends_with", "suffix", "it ends so", lambda frame, text: frame.str.ends_with(text), "{0}.endswith({1})"),
    Operation(
        name="replace",
        example='col("s").replace("-", " ")',
        gives="string: each old, from the left, replaced by new",
        arguments=(
            Argument("old", text_argument("old")),
            Argument("new", text_argument("new", empty=True), REQUIRED),
        ),
        result=_strings,
        frame=lambda _, site: site.inputs[0].str.replace_all(
            site.arguments["old"], site.arguments["new"], literal=True
        ),
        row=lambda site: site.strict(f"{site.inputs[0]}.replace({site.arguments['old']!r}, {site.arguments['new']!r})"),
        **_STRING,
    ),
    Operation(
        name="split_part",
        example='col("s").split_part("-", 0)',
        gives="string: the part at index (0 is the first, -1 the last) of what the separator cuts it into",
        arguments=(
            Argument("separator", text_argument("separator")),
            Argument("index", integer_argument("index", -1000, 1000)),
        ),
        result=_strings,
        nullable=lambda site: site.nullable[0] or site.arguments["index"] not in (0, -1),
        frame=_part_frame,
        row=_part_row,
        **_STRING | {"nulls": "null stays null; null where there are fewer parts"},
    ),
    Operation(
        name="concat",
        form="function",
        inputs=(2, None),
        example='concat(col("s"), "-", col("u"))',
        takes="two or more strings",
        gives="string",
        nulls="null where one is null",
        hint=_HINT,
        result=_strings,
        frame=concat_frame,
        row=concat_row,
    ),
)
