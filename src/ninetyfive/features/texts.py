"""Operations on strings: lower and concat (also `+` on strings).

Python's `str` is the truth, Unicode version and all; a frame maps over its distinct values wherever Polars could
differ, which for `lower` is any text that is not ASCII.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ninetyfive.features import tree
from ninetyfive.features.operation import Frame, Operation, Polars, Site, over_distinct


def _strings(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.STRING if set(types) == {tree.STRING} else None


def concat_frame(pl: Polars, site: Site) -> Frame:
    """The strings one after the other; null where one is null."""
    return pl.concat_str(*site.inputs, ignore_nulls=False)


def concat_row(site: Site) -> str:
    """The strings one after the other; null where one is null."""
    return site.strict(" + ".join(site.inputs))


def _lower_frame(pl: Polars, site: Site) -> Frame:
    return over_distinct(pl, site.inputs[0], str.lower, pl.String)


OPERATIONS = (
    Operation(
        name="lower",
        example='col("s").lower()',
        takes="a string",
        gives="string, as Python's str.lower gives it",
        nulls="null stays null",
        hint='cast it first: .cast("string")',
        depends=("unicode",),
        result=_strings,
        frame=_lower_frame,
        row=lambda site: site.strict(f"{site.inputs[0]}.lower()"),
    ),
    Operation(
        name="concat",
        form="function",
        inputs=(2, None),
        example='concat(col("s"), "-", col("u"))',
        takes="two or more strings",
        gives="string",
        nulls="null where one is null",
        hint='cast what is no string: .cast("string")',
        result=_strings,
        frame=concat_frame,
        row=concat_row,
    ),
)
