"""Operations that bring a number into a known range by what was learned: zscore, minmax, robust_scale, winsorize,
quantile_transform.

    x ─ minus a learned centre ─ by a learned spread ─▶ number

The first rows say what the range is; a later value may leave it. What is NaN stays NaN, null stays null.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import Any

from ninetyfive.errors import FeatureError
from ninetyfive.features.learned import (
    MEAN,
    MOMENTS,
    NUMBER_HINT,
    QUANTILES,
    SKETCH,
    ascending,
    learn_moments,
    nothing,
    number,
)
from ninetyfive.features.operation import (
    Argument,
    Frame,
    Operation,
    Polars,
    Site,
    any_nan,
    coherent,
    divided_by,
    fail,
    finite_argument,
    integer_argument,
    over_distinct,
    word_argument,
)

_NULLS = "null stays null, NaN stays NaN; neither is counted when it learns"
_EDGE = 1e-7  # where the normal distribution is cut off, as in scikit-learn: 5.2 standard deviations
_inverse = NormalDist().inv_cdf


def _learn_range(result: Mapping[str, Any], _: Mapping[str, Any], where: str) -> dict[str, Any]:
    if not result["count"]:
        raise nothing(where)
    return _finite(where, low=result["min"], high=result["max"])


def _learn_quartiles(result: Any, _: Mapping[str, Any], where: str) -> dict[str, Any]:
    low, median, high = _quantiles(result, (0.25, 0.5, 0.75), where)
    return _finite(where, median=median, spread=high - low)


def _learn_bounds(result: Any, arguments: Mapping[str, Any], where: str) -> dict[str, Any]:
    low, high = _quantiles(result, (arguments["low"], arguments["high"]), where)
    return _finite(where, least=low, most=high)


def _learn_landmarks(result: Any, arguments: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Distinct quantiles, each with the middle of the shares at which it stands (a value that is frequent has many)."""
    last = arguments["n"] - 1
    shares: dict[float, list[float]] = {}
    for index, value in enumerate(_quantiles(result, [index / last for index in range(last + 1)], where)):
        shares.setdefault(float(value) + 0.0, []).append(index / last)
    known = sorted((value, (found[0] + found[-1]) / 2) for value, found in shares.items() if math.isfinite(value))
    if not known:
        raise nothing(where)
    return {"values": tuple(value for value, _ in known), "shares": tuple(share for _, share in known)}


def _quantiles(result: Any, shares: Sequence[float], where: str) -> list[float]:
    found = result.quantiles(shares)
    if None in found:
        raise nothing(where)
    return [float(value) for value in found]


def _finite(where: str, **values: float) -> dict[str, Any]:
    """The constants as floats; `FeatureError` where one is infinite."""
    if not all(math.isfinite(value) for value in values.values()):
        raise FeatureError(
            where,
            expected="finite " + " and ".join(values),
            got=", ".join(f"{name} {value}" for name, value in values.items()),
            do="bound the values first, as in .clip(low=..., high=...)",
        )
    return {name: float(value) + 0.0 for name, value in values.items()}


def _zscore_frame(pl: Polars, site: Site) -> Frame:
    assert site.constants is not None
    (frame,) = site.float_frames(pl)
    scale = _reciprocal(site.constants["std"])
    if scale is None:
        return _flat(pl, frame)
    return (frame - site.constants["mean"]) * scale


def _zscore_row(site: Site) -> str:
    assert site.constants is not None
    (text,) = site.inputs
    mean, scale = site.constants["mean"], _reciprocal(site.constants["std"])
    if scale is None:
        return site.strict(f"(0.0 if {text} == {text} else {text})")
    return site.strict(f"({text} - {mean!r}) * {scale!r}")


def _reciprocal(std: float) -> float | None:
    """1 / std, by which both lowerings multiply (it is one rounding apart from dividing); None for a std of 0."""
    return None if std < sys.float_info.min else 1.0 / std


def _flat(pl: Polars, frame: Frame) -> Frame:
    """0.0, NaN where it is NaN, null where it is null."""
    return pl.when(frame.is_not_nan()).then(0.0).otherwise(frame)


def _minmax_frame(pl: Polars, site: Site) -> Frame:
    assert site.constants is not None
    (frame,) = site.float_frames(pl)
    low, width = site.constants["low"], site.constants["high"] - site.constants["low"]
    return divided_by(pl, frame - low, width) if 0 < width < math.inf else _flat(pl, frame)


def _minmax_row(site: Site) -> str:
    assert site.constants is not None
    (text,) = site.inputs
    low, width = site.constants["low"], site.constants["high"] - site.constants["low"]
    if not 0 < width < math.inf:
        return site.strict(f"(0.0 if {text} == {text} else {text})")
    return site.strict(f"({text} - {low!r}) / {width!r}")


def _robust_frame(pl: Polars, site: Site) -> Frame:
    assert site.constants is not None
    (frame,) = site.float_frames(pl)
    centred = frame - site.constants["median"]
    spread = site.constants["spread"]
    return divided_by(pl, centred, spread) if spread else centred


def _robust_row(site: Site) -> str:
    assert site.constants is not None
    centred = f"({site.inputs[0]} - {site.constants['median']!r})"
    spread = site.constants["spread"]
    return site.strict(f"{centred} / {spread!r}" if spread else centred)


def _winsorize_frame(pl: Polars, site: Site) -> Frame:
    assert site.constants is not None
    (frame,) = site.float_frames(pl)
    low, high = site.constants["least"], site.constants["most"]
    return pl.when(frame < low).then(low).when((frame > high) & frame.is_not_nan()).then(high).otherwise(frame)


def _winsorize_row(site: Site) -> str:
    assert site.constants is not None
    (text,), (as_float,) = site.inputs, site.floats()
    low, high = site.constants["least"], site.constants["most"]
    return site.strict(f"({low!r} if {text} < {low!r} else {high!r} if {text} > {high!r} else {as_float})")


def _slopes(values: Sequence[float], shares: Sequence[float]) -> list[float]:
    """How the share grows from each landmark to the next; 0.0 after the last, and where the distance overflows."""
    found = [(share - before) / (value - last) for (last, value), (before, share) in _pairs(values, shares)]
    return [slope if math.isfinite(slope) else 0.0 for slope in found] + [0.0]


def _pairs(values: Sequence[float], shares: Sequence[float]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    return list(zip(pairwise(values), pairwise(shares), strict=True))


def _normal(share: float) -> float:
    """The value below which this share of a standard normal distribution lies, cut off at 5.2 either way."""
    return _inverse(min(max(share, _EDGE), 1.0 - _EDGE)) if share == share else share


def _share_frame(pl: Polars, site: Site) -> Frame:
    assert site.constants is not None
    (frame,) = site.float_frames(pl)
    values, shares = site.constants["values"], site.constants["shares"]
    edges = pl.lit(pl.Series("", values, dtype=pl.Float64))
    place = (edges.search_sorted(frame, side="right").cast(pl.Int64) - 1).clip(0, len(values) - 1)

    def at(numbers: Sequence[float]) -> Frame:
        return pl.lit(pl.Series("", numbers, dtype=pl.Float64)).gather(place)

    risen = at(shares) + (frame - at(values)) * at(_slopes(values, shares))
    share = pl.min_horizontal(risen, at((*shares[1:], shares[-1])))
    outside = pl.when(frame < values[0]).then(0.0).when(frame > values[-1]).then(1.0).otherwise(share)
    result = pl.when(frame.is_not_nan()).then(outside).otherwise(frame)
    return over_distinct(pl, result, _normal, pl.Float64) if site.arguments["output"] == "normal" else result


def _share(values: Sequence[float], shares: Sequence[float], normal: bool) -> Callable[[float], float]:
    slopes, after, least, most = _slopes(values, shares), (*shares[1:], shares[-1]), values[0], values[-1]

    def share(value: float) -> float:
        if value != value:
            return value
        if value < least:
            return 0.0
        if value > most:
            return 1.0
        place = bisect_right(values, value) - 1
        return min(shares[place] + (value - values[place]) * slopes[place], after[place])

    return (lambda value: _normal(share(value))) if normal else share


def _share_row(site: Site) -> str:
    assert site.constants is not None
    normal = site.arguments["output"] == "normal"
    function = _share(list(site.constants["values"]), list(site.constants["shares"]), normal)
    return site.strict(f"{site.bind(f'_share_{site.step}', function)}({site.floats()[0]})")


def _winsorize_check(arguments: Mapping[str, Any], where: str) -> None:
    low, high = arguments["low"], arguments["high"]
    if not 0.0 <= low < high <= 1.0:
        raise fail(where, "shares from 0 to 1, low below high", (low, high), "write low=0.01, high=0.99")


OPERATIONS = (
    Operation(
        name="zscore",
        example='col("a").zscore()',
        takes="a number",
        gives="number: (x - mean) * (1 / std), population std over the training rows; 0.0 where that is 0",
        nulls=_NULLS,
        hint=NUMBER_HINT,
        result=number,
        nan=any_nan,
        frame=_zscore_frame,
        row=_zscore_row,
        analyzer=lambda _: (MOMENTS, ()),
        learn=learn_moments,
        constants=(MEAN, Argument("std", finite_argument("std", whole=False, low=0.0))),
    ),
    Operation(
        name="minmax",
        example='col("a").minmax()',
        takes="a number",
        gives="number: (x - min) / (max - min) over the training rows, 0 to 1 for them; 0.0 where all are equal",
        nulls=_NULLS,
        hint=NUMBER_HINT,
        result=number,
        frame=_minmax_frame,
        row=_minmax_row,
        analyzer=lambda _: (MOMENTS, ()),
        learn=_learn_range,
        refuse=coherent(lambda _, known: known["low"] <= known["high"]),
        constants=tuple(Argument(name, finite_argument(name, whole=False)) for name in ("low", "high")),
    ),
    Operation(
        name="robust_scale",
        example='col("a").robust_scale()',
        takes="a number",
        gives="number: (x - median) / (third quartile - first) over the training rows; x - median where that is 0",
        nulls=_NULLS,
        hint=NUMBER_HINT,
        result=number,
        frame=_robust_frame,
        row=_robust_row,
        analyzer=lambda _: (QUANTILES, (SKETCH,)),
        learn=_learn_quartiles,
        constants=(
            Argument("median", finite_argument("median", whole=False)),
            Argument("spread", finite_argument("spread", whole=False, low=0.0)),
        ),
    ),
    Operation(
        name="winsorize",
        example='col("a").winsorize(low=0.05, high=0.95)',
        takes="a number",
        gives="number: not below and not above these quantiles of the training rows",
        nulls=_NULLS,
        hint=NUMBER_HINT,
        arguments=(
            Argument("low", finite_argument("low", whole=False), 0.01),
            Argument("high", finite_argument("high", whole=False), 0.99),
        ),
        check=_winsorize_check,
        result=number,
        nan=any_nan,
        frame=_winsorize_frame,
        row=_winsorize_row,
        analyzer=lambda _: (QUANTILES, (SKETCH,)),
        learn=_learn_bounds,
        refuse=coherent(lambda _, known: known["least"] <= known["most"]),
        constants=tuple(Argument(name, finite_argument(name, whole=False)) for name in ("least", "most")),
    ),
    Operation(
        name="quantile_transform",
        example='col("a").quantile_transform(n=100, output="normal")',
        takes="a number",
        gives="number: its share of the training rows, 0 to 1, between n quantiles on a line; "
        'output="normal" the normal value of that share, -5.2 to 5.2',
        nulls=_NULLS,
        hint=NUMBER_HINT,
        arguments=(
            Argument("n", integer_argument("n", 2, 10_000), 1000),
            Argument("output", word_argument("output", ("uniform", "normal")), "uniform"),
        ),
        result=number,
        nan=any_nan,
        frame=_share_frame,
        row=_share_row,
        analyzer=lambda _: (QUANTILES, (SKETCH,)),
        learn=_learn_landmarks,
        refuse=coherent(
            lambda _, known: (
                len(known["values"]) == len(known["shares"]) and 0 <= known["shares"][0] <= known["shares"][-1] <= 1
            )
        ),
        constants=(Argument("values", ascending("values", least=1)), Argument("shares", ascending("shares", least=1))),
    ),
)
