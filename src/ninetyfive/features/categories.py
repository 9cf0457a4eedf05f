"""one_hot: one number column per outcome, named `feature=outcome`. It stands last, since nothing takes many columns.

A tree model reads a vocabulary as it is (an order by frequency, which splits well); a linear model needs `.one_hot()`,
because the index of a word is no quantity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ninetyfive.errors import FeatureError
from ninetyfive.features import tree
from ninetyfive.features.learned import label
from ninetyfive.features.operation import (
    COLUMNS,
    MAX_COLUMNS,
    Argument,
    Frame,
    Operation,
    Outcome,
    Polars,
    Site,
    never,
    values_argument,
)

_HINT = 'name the values, as in .one_hot(["a", "b"]), or use .vocabulary().one_hot()'
_KINDS = (tree.STRING, tree.INTEGER, tree.BOOLEAN)


def _hot_values(site: Site) -> tuple[Outcome, ...]:
    """The values that get a column, each with its name: those written down, else those that can come out."""
    written = site.arguments["values"]
    if written is not None:
        return tuple((value, label(value)) for value in written)
    return site.outcomes[0] or ()


def _result(types: tuple[str, ...], arguments: Mapping[str, Any]) -> str | None:
    written = arguments["values"]
    if types[0] not in _KINDS:
        return None
    return COLUMNS if written is None or all(_kind(value) == types[0] for value in written) else None


def _kind(value: Any) -> str:
    return tree.constant(value, "one_hot").type


def _frames(pl: Polars, site: Site) -> list[Frame]:
    return [site.inputs[0].eq_missing(pl.lit(value)).cast(pl.Float32) for value, _ in _hot_values(site)]


def _row(site: Site) -> str:
    values = _hot_values(site)
    place = site.bind(f"_place_{site.step}", {value: index for index, (value, _) in enumerate(values)}.get)
    zeros = site.bind(f"_zeros_{site.step}", (0.0,) * len(values))
    return f"{zeros} if (_i := {place}({site.inputs[0]})) is None else (*{zeros}[:_i], 1.0, *{zeros}[_i + 1 :])"


def _names(site: Site) -> tuple[str, ...]:
    return tuple(name for _, name in _hot_values(site))


def _refuse(site: Site, where: str) -> None:
    """`FeatureError` where the outcomes are not known, or there is none."""
    node = site.nodes[0]
    if site.arguments["values"] is None and site.outcomes[0] is None:
        raise FeatureError(
            where,
            expected="something whose outcomes are known (a vocabulary, bins, buckets, parts of a time, a boolean)",
            got=f"a value of type {site.types[0]}",
            do=_HINT,
        )
    fitted = not isinstance(node, tree.Call) or node.constants is not None
    if fitted and not _hot_values(site):
        raise FeatureError(
            where,
            expected="at least one value to make a column of",
            got="none that was learned",
            do="remove the feature, or lower min_count",
        )


OPERATIONS = (
    Operation(
        name="one_hot",
        example='col("s").one_hot(values=["a", "b"])',
        takes="a string, an integer or a boolean; without values something whose outcomes are known",
        gives="one number column per value, named feature=value; it must stand last",
        nulls="null, and any other value, gives 0.0 in all columns",
        hint=_HINT,
        arguments=(Argument("values", values_argument("values", optional=True, least=1, most=MAX_COLUMNS), None),),
        result=_result,
        nullable=never,
        frame=_frames,
        row=_row,
        columns=_names,
        refuse=_refuse,
    ),
)
