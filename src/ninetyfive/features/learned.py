"""Learning constants from the training rows, and what becomes an index by it: quantile_bins, vocabulary.

    analyzer ─▶ a reducer reads the input ─▶ learn(its result) ─▶ constants ─▶ the same two lowerings as all others

The reducers are named here and built in `fitting`: this file is on the path of `import ninetyfive` and loads none.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from ninetyfive.errors import FeatureError
from ninetyfive.features import tree
from ninetyfive.features.operation import (
    Argument,
    Frame,
    Operation,
    Outcome,
    Polars,
    Site,
    coherent,
    fail,
    finite_argument,
    integer_argument,
    never,
    of_type,
    values_argument,
)

MOMENTS, QUANTILES, KEYED_COUNTS = "Moments", "Quantiles", "KeyedCounts"
WORDS = (tree.STRING, tree.INTEGER, tree.BOOLEAN)
MAX_WORDS = 1_000_000
SKETCH = 2048
NUMBER_HINT = 'it learns from numbers: cast first, as in .cast("number")'
WORD_HINT = 'it learns from strings, integers and booleans: cast first, as in .cast("integer")'


def number(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.NUMBER if set(types) <= set(tree.NUMERIC) else None


def _bin(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.INTEGER if set(types) <= set(tree.NUMERIC) else None


def _index(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.INTEGER if types[0] in WORDS else None


def learn_moments(result: Mapping[str, Any], _: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Mean and population std. Equal values have std 0.0 and themselves as mean, whatever rounding made of them."""
    if not result["count"]:
        raise nothing(where)
    same = result["min"] == result["max"]
    mean, std = (float(result["min"]), 0.0) if same else (result["mean"], result["std"])
    if not (math.isfinite(mean) and math.isfinite(std)):
        raise FeatureError(
            where,
            expected="a finite mean and standard deviation of the training rows",
            got=f"mean {mean} and standard deviation {std}",
            do="bound the values first, as in .clip(low=..., high=...)",
        )
    return {"mean": mean + 0.0, "std": std}


def learn_mean(result: Mapping[str, Any], arguments: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {"mean": learn_moments({**result, "std": 0.0}, arguments, where)["mean"]}


def _learn_edges(result: Any, arguments: Mapping[str, Any], where: str) -> dict[str, Any]:
    bins: int = arguments["n"]
    quantiles = result.quantiles([i / bins for i in range(1, bins)])
    known = [value for value in quantiles if value is not None and not math.isnan(value)]
    if not known:
        raise nothing(where)
    return {"edges": tuple(sorted({float(value) + 0.0 for value in known if math.isfinite(value)}))}


def _learn_words(result: Mapping[Any, int], arguments: Mapping[str, Any], _: str) -> dict[str, Any]:
    counted = [(value, count) for value, count in result.items() if count >= arguments["min_count"]]
    counted.sort(key=lambda pair: (-pair[1], pair[0]))
    return {"values": tuple(value for value, _ in counted[: arguments["top"]])}


def nothing(where: str) -> FeatureError:
    return FeatureError(
        where,
        expected="a value to learn from in the training rows",
        got="only null and NaN",
        do="remove the feature, or fill the column first, as in .fill_null(0)",
    )


def _bins_frame(pl: Polars, site: Site) -> Frame:
    assert site.constants is not None
    (frame,) = site.float_frames(pl)
    edges = pl.lit(pl.Series("", site.constants["edges"], dtype=pl.Float64))
    index = edges.search_sorted(frame, side="left").cast(pl.Int64)
    if site.nan[0]:
        return pl.when(frame.is_not_nan()).then(index)
    return pl.when(frame.is_not_null()).then(index) if site.nullable[0] else index


def _bins_row(site: Site) -> str:
    assert site.constants is not None
    (text,), (as_float,) = site.inputs, site.floats()
    edges = site.bind(f"_edges_{site.step}", list(site.constants["edges"]))
    nan = [f"{text} != {text}"] if site.nan[0] else []
    return site.strict(f"{site.bind('_bisect_left', bisect_left)}({edges}, {as_float})", *nan)


def _bins_outcomes(site: Site) -> tuple[Outcome, ...]:
    count = 1 + len(site.constants["edges"]) if site.constants is not None else 0
    return tuple((index, str(index)) for index in range(count))


def _words_frame(pl: Polars, site: Site) -> Frame:
    assert site.constants is not None
    (frame,), words = site.inputs, site.constants["values"]
    if not words:
        return frame.is_null().cast(pl.Int64) * 0
    if site.types[0] == tree.STRING:
        return (frame.cast(pl.Enum(words), strict=False).to_physical().cast(pl.Int64) + 1).fill_null(0)
    old = pl.Series("", words, dtype=pl.Int64 if site.types[0] == tree.INTEGER else pl.Boolean)
    new = pl.Series("", range(1, len(words) + 1), dtype=pl.Int64)
    return frame.replace_strict(old, new, default=0, return_dtype=pl.Int64)


def _words_row(site: Site) -> str:
    assert site.constants is not None
    indexes = {word: index for index, word in enumerate(site.constants["values"], 1)}
    return f"{site.bind(f'_index_{site.step}', indexes.get)}({site.inputs[0]}, 0)"


def _words_outcomes(site: Site) -> tuple[Outcome, ...]:
    words = site.constants["values"] if site.constants is not None else ()
    return tuple((index, label(word)) for index, word in enumerate(words, 1))


def label(value: Any) -> str:
    """A value as it stands in the name of a one-hot column.

    >>> label(True), label(3), label("UA")
    ('true', '3', 'UA')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def ascending(name: str, least: int = 0) -> Callable[[Any, str], Any]:
    """A check for at least `least` finite floats, each above the one before; gives a tuple."""

    def check(value: Any, where: str) -> tuple[float, ...]:
        right = isinstance(value, list | tuple) and len(value) >= least
        right = right and all(isinstance(item, float) and math.isfinite(item) for item in value)
        if not right or any(left >= after for left, after in pairwise(value)):
            raise fail(where, f"{name}: finite floats, ascending", value, "fit the transform again")
        return tuple(value)

    return check


MEAN = Argument("mean", finite_argument("mean", whole=False))

OPERATIONS = (
    Operation(
        name="quantile_bins",
        example='col("a").quantile_bins(10)',
        takes="a number",
        gives="integer from 0 to n-1: how many of the distinct edges at 1/n, 2/n, ... lie below the value",
        nulls="null and NaN give null; neither is counted when it learns",
        hint=NUMBER_HINT,
        arguments=(Argument("n", integer_argument("n", 2, 1000)),),
        result=_bin,
        nullable=lambda site: site.nullable[0] or site.nan[0],
        frame=_bins_frame,
        row=_bins_row,
        outcomes=_bins_outcomes,
        analyzer=lambda _: (QUANTILES, (SKETCH,)),
        learn=_learn_edges,
        constants=(Argument("edges", ascending("edges")),),
    ),
    Operation(
        name="vocabulary",
        example='col("s").vocabulary(top=300)',
        takes="a string, an integer or a boolean",
        gives="integer from 1 by descending count, ties by value; 0 for what is not in the vocabulary",
        nulls="null gives 0; it is not counted when it learns",
        hint=WORD_HINT,
        arguments=(
            Argument("top", integer_argument("top", 1, MAX_WORDS, optional=True), None),
            Argument("min_count", integer_argument("min_count", 1, tree.INT64_MAX), 1),
        ),
        result=_index,
        nullable=never,
        frame=_words_frame,
        row=_words_row,
        outcomes=_words_outcomes,
        analyzer=lambda _: (KEYED_COUNTS, (MAX_WORDS,)),
        learn=_learn_words,
        refuse=coherent(lambda site, known: of_type(known["values"], site.types[0])),
        constants=(Argument("values", values_argument("values", most=MAX_WORDS)),),
    ),
)
