"""Operations that lay numbers out on several axes: cyclic on a circle, pca on the axes of greatest variance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ninetyfive.errors import FeatureError
from ninetyfive.features import tree
from ninetyfive.features.learned import NUMBER_HINT, nothing
from ninetyfive.features.operation import (
    COLUMNS,
    Argument,
    Frame,
    Operation,
    Polars,
    Site,
    coherent,
    fail,
    finite_argument,
    floats_argument,
    integer_argument,
    never,
    whole,
)

COVARIANCE = "Covariance"
MOST_INPUTS = 500


def _numbers(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return COLUMNS if set(types) <= set(tree.NUMERIC) else None


def _cyclic_frames(pl: Polars, site: Site) -> list[Frame]:
    (frame,) = site.float_frames(pl)
    angle = frame * (math.tau / site.arguments["period"])
    return [axis.fill_null(math.nan) for axis in (angle.sin(), angle.cos())]


def _cyclic_row(site: Site) -> str:
    (text,) = site.inputs
    infinite = f"not -{site.bind('_inf', math.inf)} < (_a := {text} * {math.tau / site.arguments['period']!r}) < _inf"
    missing = f"{text} is None or {infinite}" if site.nullable[0] else infinite
    nan = site.bind("_nan", math.nan)
    return f"({nan}, {nan}) if {missing} else ({site.bind('_sin', math.sin)}(_a), {site.bind('_cos', math.cos)}(_a))"


def _period(value: Any, where: str) -> float:
    period: float = finite_argument("period")(value, where)
    if period <= 0 or not math.isfinite(math.tau / period):
        raise fail(where, "period: a number above 0", value, "write .cyclic(24) for hours")
    return period


def _pca_result(types: tuple[str, ...], arguments: Mapping[str, Any]) -> str | None:
    return _numbers(types, arguments) if arguments["components"] <= len(types) <= MOST_INPUTS else None


def _learn_axes(result: Mapping[str, Any], arguments: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The means, and the eigenvectors of the covariance by falling eigenvalue; the largest part of each is positive."""
    import numpy as np  # this file is on the path of `import ninetyfive`

    if not result["count"]:
        raise nothing(where)
    covariance = np.array(result["covariance"])
    if not np.isfinite(covariance).all():
        raise FeatureError(
            where,
            expected="a finite covariance of the training rows",
            got="values so large or infinite that it is not",
            do="bound the values first, as in .clip(low=..., high=...)",
        )
    _, vectors = np.linalg.eigh(covariance)
    axes = []
    for place in range(arguments["components"]):
        axis = vectors[:, -1 - place] + 0.0
        axes += (axis if axis[np.argmax(np.abs(axis))] > 0 else -axis).tolist()
    return {"means": tuple(result["means"]), "axes": tuple(axis + 0.0 for axis in axes)}


def _axes(site: Site) -> list[tuple[float, ...]]:
    assert site.constants is not None
    width, axes = len(site.nodes), site.constants["axes"]
    return [axes[start : start + width] for start in range(0, len(axes), width)]


def _pca_frames(pl: Polars, site: Site) -> list[Frame]:
    assert site.constants is not None
    centred = [frame - mean for frame, mean in zip(whole(pl, site), site.constants["means"], strict=True)]
    found = []
    for axis in _axes(site):
        total = centred[0] * axis[0]
        for frame, weight in zip(centred[1:], axis[1:], strict=True):
            total = total + frame * weight
        found.append(total.fill_null(math.nan))
    return found


def _pca_row(site: Site) -> str:
    assert site.constants is not None
    centred = [f"_c{place}" for place in range(len(site.inputs))]
    made = ", ".join(
        f"({name} := {text} - {mean!r})"
        for name, text, mean in zip(centred, site.inputs, site.constants["means"], strict=True)
    )
    sums = [
        " + ".join(f"{name} * {weight!r}" for name, weight in zip(centred, axis, strict=True)) for axis in _axes(site)
    ]
    nulls = [f"{text} is None" for text, may in zip(site.inputs, site.nullable, strict=True) if may]
    body = f"({made}, {', '.join(sums)})[{len(centred)}:]"
    missing = ", ".join([site.bind("_nan", math.nan)] * len(sums))
    return f"({missing},) if {' or '.join(nulls)} else {body}" if nulls else body


OPERATIONS = (
    Operation(
        name="cyclic",
        example='col("t").hour().cyclic(24)',
        takes="a number",
        gives="two number columns, feature=sin and feature=cos of 2π · x / period; it must stand last",
        nulls="null, NaN and infinities give NaN in both",
        hint='it takes a number, as in col("t").hour().cyclic(24)',
        arguments=(Argument("period", _period),),
        result=_numbers,
        nullable=never,
        frame=_cyclic_frames,
        row=_cyclic_row,
        columns=lambda _: ("sin", "cos"),
    ),
    Operation(
        name="pca",
        example='pca(col("a"), col("b"), components=1)',
        form="function",
        inputs=(2, None),
        takes=f"two to {MOST_INPUTS} numbers, at least as many as components",
        gives="number columns feature=1, feature=2, …: the rows' places along the axes of greatest variance of the "
        "training rows, centred but not scaled; it must stand last",
        nulls="null or NaN in one input gives NaN in all; such rows are not counted when it learns",
        hint=f"give at least as many numbers as components, at most {MOST_INPUTS}; {NUMBER_HINT}",
        arguments=(Argument("components", integer_argument("components", 1, MOST_INPUTS), 2),),
        result=_pca_result,
        nullable=never,
        frame=_pca_frames,
        row=_pca_row,
        columns=lambda site: tuple(str(place) for place in range(1, site.arguments["components"] + 1)),
        analyzer=lambda _: (COVARIANCE, ()),
        learn=_learn_axes,
        refuse=coherent(
            lambda site, known: (
                len(known["means"]) == len(site.nodes)
                and len(known["axes"]) == len(site.nodes) * site.arguments["components"]
            )
        ),
        constants=(Argument("means", floats_argument("means")), Argument("axes", floats_argument("axes"))),
    ),
)
