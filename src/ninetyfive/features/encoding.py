"""Operations that turn a word into a number that was learned about it: frequency, target_encode.

Target encoding learns from the label, so a training row must not see its own: rows are dealt into folds by a hash of
their id, and a training row gets what the other folds say. What serves knows all folds. Both are the same operation:

    target_encode(x)         one mean a word, of all training rows       what is served, and what judges
    target_encode(x, fold)   one mean a word and fold, of the others     what trains, and what learns above it

`Fitting` makes both from one pass. What does not belong here: which fold a row is in (the step that labels rows).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ninetyfive.errors import FeatureError
from ninetyfive.features import tree
from ninetyfive.features.learned import KEYED_COUNTS, MAX_WORDS, WORD_HINT, WORDS, nothing
from ninetyfive.features.operation import (
    Argument,
    Frame,
    Operation,
    Polars,
    Site,
    coherent,
    counts_argument,
    finite_argument,
    floats_argument,
    integer_argument,
    never,
    of_type,
    values_argument,
)

LABEL, FOLD = "__label", "__fold"
"""The columns that a fit of target encodings reads beside its words."""
FOLDS = 20
"""How many folds rows are dealt into; an encoding that wants fewer joins some."""
TARGET_MEANS, TARGET_ENCODE = "TargetMeans", "target_encode"


def _word_number(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.NUMBER if types[0] in WORDS and types[1:] in ((), (tree.INTEGER,)) else None


def _learn_frequency(result: Mapping[Any, int], arguments: Mapping[str, Any], where: str) -> dict[str, Any]:
    if not result:
        raise nothing(where)
    counted = sorted(result.items(), key=lambda pair: (-pair[1], pair[0]))[: arguments["top"]]
    return {
        "values": tuple(value for value, _ in counted),
        "counts": tuple(count for _, count in counted),
        "rows": sum(result.values()),
    }


def _shares(site: Site) -> list[float]:
    assert site.constants is not None
    return [count / site.constants["rows"] for count in site.constants["counts"]]


def _lookup_frame(pl: Polars, frame: Frame, kind: str, values: Sequence[Any], numbers: Sequence[float]) -> Frame:
    dtypes = {tree.STRING: pl.String, tree.INTEGER: pl.Int64, tree.BOOLEAN: pl.Boolean}
    old, new = pl.Series("", values, dtype=dtypes[kind]), pl.Series("", numbers, dtype=pl.Float64)
    return frame.replace_strict(old, new, default=None, return_dtype=pl.Float64)


def _frequency_frame(pl: Polars, site: Site) -> Frame:
    assert site.constants is not None
    known = _lookup_frame(pl, site.inputs[0], site.types[0], site.constants["values"], _shares(site))
    return known.fill_null(0.0)


def _frequency_row(site: Site) -> str:
    assert site.constants is not None
    shares = dict(zip(site.constants["values"], _shares(site), strict=True))
    return f"{site.bind(f'_share_{site.step}', shares.get)}({site.inputs[0]}, 0.0)"


def learn_targets(
    result: Mapping[Any, Sequence[float]], arguments: Mapping[str, Any], where: str, by_fold: bool
) -> dict[str, Any]:
    """Smoothed means of the label from `{word: (count, sum) of fold 0, of fold 1, …}`; of the other folds `by_fold`.

    (sum + smooth · prior) / (count + smooth), where the prior is the mean label of all rows looked at. After
    Micci-Barreca: A Preprocessing Scheme for High-Cardinality Categorical Attributes (2001), with a fixed weight.
    """
    folds, smooth = arguments["folds"], arguments["smooth"]
    totals = [math.fsum(found[place] for found in result.values()) for place in range(2 * folds)]
    rows, labels = sum(totals[::2]), math.fsum(totals[1::2])
    apart = [(totals[2 * fold], totals[2 * fold + 1]) for fold in range(folds)] if by_fold else [(0.0, 0.0)]
    if not rows:
        raise nothing(where)
    if not math.isfinite(labels):
        raise FeatureError(
            where,
            expected="finite labels",
            got=f"a sum of {labels}",
            do="bound the label first, as in .clip(low=..., high=...)",
        )
    if any(out == rows for out, _ in apart):
        raise FeatureError(
            where,
            expected="words in more than one fold of the training rows",
            got=f"{int(rows)} rows, all in one",
            do="bring more rows, or take .frequency() or .vocabulary() instead",
        )
    others = [math.fsum(said for at, said in enumerate(totals[1::2]) if at != fold) for fold in range(folds)]
    priors = tuple(others[at] / (rows - out) for at, (out, _) in enumerate(apart)) if by_fold else (labels / rows,)
    values = tuple(sorted(result))
    means = []
    for place, prior in enumerate(priors):
        for value in values:
            found = result[value]
            count = sum(found[::2]) - (found[2 * place] if by_fold else 0.0)
            said = math.fsum(label for at, label in enumerate(found[1::2]) if not by_fold or at != place)
            means.append((said + smooth * prior) / (count + smooth) if count + smooth else prior)
    return {"values": values, "means": tuple(means), "priors": priors}


def _places(site: Site) -> list[tuple[int, list[float]]]:
    """For each fold (one, where there are none) its means, in the order of the words."""
    assert site.constants is not None
    width, means = len(site.constants["values"]), site.constants["means"]
    return [(fold, list(means[fold * width : (fold + 1) * width])) for fold in range(len(site.constants["priors"]))]


def _targets_frame(pl: Polars, site: Site) -> Frame:
    assert site.constants is not None
    values, priors = site.constants["values"], site.constants["priors"]
    parts = [
        _lookup_frame(pl, site.inputs[0], site.types[0], values, means).fill_null(priors[fold])
        for fold, means in _places(site)
    ]
    if len(site.inputs) == 1:
        return parts[0]
    chosen, fold = pl.lit(None, dtype=pl.Float64), site.inputs[1] % len(parts)
    for place, part in reversed(list(enumerate(parts))):
        chosen = pl.when(fold == place).then(part).otherwise(chosen)
    return chosen


def _targets_row(site: Site) -> str:
    assert site.constants is not None
    values, priors = site.constants["values"], site.constants["priors"]
    if len(site.inputs) == 1:
        means = dict(zip(values, site.constants["means"], strict=True))
        return f"{site.bind(f'_mean_{site.step}', means.get)}({site.inputs[0]}, {priors[0]!r})"
    known = {(fold, value): mean for fold, means in _places(site) for value, mean in zip(values, means, strict=True)}
    word, fold = site.inputs
    place = f"_f := {fold} % {len(priors)}"
    of_fold = site.bind(f"_priors_{site.step}", priors)
    found = f"{site.bind(f'_mean_{site.step}', known.get)}(({place}, {word}), {of_fold}[_f])"
    return f"None if {fold} is None else {found}" if site.nullable[1] else found


def _targets_fit(site: Site, known: Mapping[str, Any]) -> bool:
    folds = 1 if len(site.nodes) == 1 else site.arguments["folds"]
    lengths = len(known["priors"]) == folds and len(known["means"]) == folds * len(known["values"])
    return lengths and of_type(known["values"], site.types[0])


_VALUES = Argument("values", values_argument("values", most=MAX_WORDS))

OPERATIONS = (
    Operation(
        name="frequency",
        example='col("s").frequency()',
        takes="a string, an integer or a boolean",
        gives="number from 0 to 1: the share of this value among those of the training rows; 0.0 for an unknown one",
        nulls="null gives 0.0; it is not counted when it learns",
        hint=WORD_HINT,
        arguments=(Argument("top", integer_argument("top", 1, MAX_WORDS, optional=True), None),),
        result=_word_number,
        nullable=never,
        nan=never,
        frame=_frequency_frame,
        row=_frequency_row,
        analyzer=lambda _: (KEYED_COUNTS, (MAX_WORDS,)),
        learn=_learn_frequency,
        refuse=coherent(
            lambda site, known: (
                of_type(known["values"], site.types[0])
                and len(known["values"]) == len(known["counts"])
                and sum(known["counts"]) <= known["rows"]
            )
        ),
        constants=(
            _VALUES,
            Argument("counts", counts_argument("counts")),
            Argument("rows", integer_argument("rows", 1, tree.INT64_MAX)),
        ),
    ),
    Operation(
        name=TARGET_ENCODE,
        example='col("s").target_encode(folds=10, smooth=5)',
        inputs=(1, 2),
        takes="a string, an integer or a boolean; the label is boolean or a number",
        gives="number: the mean label of this value, drawn towards the mean of all as if `smooth` rows had it; "
        "a training row gets what the other folds of the training rows say",
        nulls="null and an unknown value give the mean of all; null is not counted when it learns",
        hint=WORD_HINT,
        arguments=(
            Argument("folds", integer_argument("folds", 2, FOLDS), 5),
            Argument("smooth", finite_argument("smooth", low=0.0), 20),
        ),
        result=_word_number,
        nullable=lambda site: site.nullable[1:] == (True,),
        nan=never,
        frame=_targets_frame,
        row=_targets_row,
        analyzer=lambda arguments: (TARGET_MEANS, (arguments["folds"], MAX_WORDS)),
        refuse=coherent(_targets_fit),
        learn=lambda result, arguments, where: learn_targets(result, arguments, where, by_fold=False),
        constants=(_VALUES, Argument("means", floats_argument("means")), Argument("priors", floats_argument("priors"))),
    ),
)
