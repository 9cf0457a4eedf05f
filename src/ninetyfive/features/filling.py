"""Operations that fill what is missing with what was learned: fill_mean, fill_median, fill_mode.

The mean and the median replace NaN too, as scikit-learn's imputers do; the mode is of words, where there is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ninetyfive.features import tree
from ninetyfive.features.learned import (
    KEYED_COUNTS,
    MAX_WORDS,
    MEAN,
    MOMENTS,
    NUMBER_HINT,
    QUANTILES,
    SKETCH,
    WORD_HINT,
    WORDS,
    learn_mean,
    nothing,
    number,
)
from ninetyfive.features.operation import (
    Argument,
    Frame,
    Operation,
    Polars,
    Site,
    coherent,
    fail,
    finite_argument,
    never,
    of_type,
)


def _learn_median(result: Any, _: Mapping[str, Any], where: str) -> dict[str, Any]:
    median = result.quantile(0.5)
    if median is None or not math.isfinite(median):
        raise nothing(where)
    return {"median": float(median) + 0.0}


def _learn_mode(result: Mapping[Any, int], _: Mapping[str, Any], where: str) -> dict[str, Any]:
    if not result:
        raise nothing(where)
    return {"mode": min(result, key=lambda value: (-result[value], value))}


def _frame(pl: Polars, site: Site) -> Frame:
    assert site.constants is not None
    (frame,) = site.float_frames(pl)
    known = frame.fill_nan(None) if site.nan[0] else frame
    (value,) = site.constants.values()
    return known.fill_null(value)


def _row(site: Site) -> str:
    assert site.constants is not None
    (text,), (as_float,) = site.inputs, site.floats()
    missing = [f"{text} is None"] if site.nullable[0] else []
    missing += [f"{text} != {text}"] if site.nan[0] else []
    (value,) = site.constants.values()
    return f"{value!r} if {' or '.join(missing)} else {as_float}" if missing else as_float


def _mode_frame(pl: Polars, site: Site) -> Frame:
    assert site.constants is not None
    kind = tree.constant(site.constants["mode"], "fill_mode").type
    dtypes = {tree.STRING: pl.String, tree.INTEGER: pl.Int64, tree.BOOLEAN: pl.Boolean}
    return site.inputs[0].fill_null(pl.lit(site.constants["mode"], dtype=dtypes[kind]))


def _mode_row(site: Site) -> str:
    assert site.constants is not None
    (text,), mode = site.inputs, site.constants["mode"]
    return f"{mode!r} if {text} is None else {text}" if site.nullable[0] else str(text)


def _mode_result(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return types[0] if types[0] in WORDS else None


def _mode(value: Any, where: str) -> Any:
    if tree.constant(value, where).type not in WORDS:
        raise fail(where, "mode: a string, an integer or a boolean", value, "fit the transform again")
    return value


OPERATIONS = (
    Operation(
        name="fill_mean",
        example='col("a").fill_mean()',
        takes="a number",
        gives="number, never null",
        nulls="null and NaN become the mean of the training rows",
        hint=NUMBER_HINT,
        result=number,
        nullable=never,
        nan=never,
        frame=_frame,
        row=_row,
        analyzer=lambda _: (MOMENTS, ()),
        learn=learn_mean,
        constants=(MEAN,),
    ),
    Operation(
        name="fill_median",
        example='col("a").fill_median()',
        takes="a number",
        gives="number, never null",
        nulls="null and NaN become the median of the training rows (of two in the middle the lower one)",
        hint=NUMBER_HINT,
        result=number,
        nullable=never,
        nan=never,
        frame=_frame,
        row=_row,
        analyzer=lambda _: (QUANTILES, (SKETCH,)),
        learn=_learn_median,
        constants=(Argument("median", finite_argument("median", whole=False)),),
    ),
    Operation(
        name="fill_mode",
        example='col("s").fill_mode()',
        takes="a string, an integer or a boolean",
        gives="the same type, never null",
        nulls="null becomes the most frequent value of the training rows, of equally frequent ones the smallest",
        hint=WORD_HINT,
        result=_mode_result,
        nullable=never,
        frame=_mode_frame,
        row=_mode_row,
        analyzer=lambda _: (KEYED_COUNTS, (MAX_WORDS,)),
        learn=_learn_mode,
        refuse=coherent(lambda site, known: of_type([known["mode"]], site.types[0])),
        constants=(Argument("mode", _mode),),
    ),
)
