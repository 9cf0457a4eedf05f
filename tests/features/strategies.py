"""Random features and rows: what Hypothesis draws for each operation of the table.

An operation with arguments needs its entry in ARGUMENTS, a learned one in CONSTANTS; tests fail until it has them.
`samples` are a few drawn arguments that are always the same. What does not belong here: comparing what comes out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from functools import cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.features.value_classes import CLASSES, DAY, KINDS, LISTS, TYPES, YEAR_1, YEAR_10000, values_of

from ninetyfive.features import tree
from ninetyfive.features.operation import Operation
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.recording import Expr, col, feature, record


def doubled(a: Any, *others: Any) -> Any:
    """A function of a user's own: what is missing stays missing."""
    import polars as pl

    return (
        a.cast(pl.Float64, strict=False) * 2.0 if a.dtype.is_numeric() else pl.Series([None] * len(a), dtype=pl.Float64)
    )


def shouted(a: Any, *others: Any) -> Any:
    import polars as pl

    if isinstance(a.dtype, pl.List):
        return pl.Series(["A LIST"] * len(a), dtype=pl.String)
    return a.cast(pl.String).str.to_uppercase().fill_null("NOTHING")


FUNCTIONS = [feature(doubled, [col("x")], returns="number"), feature(shouted, [col("x")], returns="string")]
NULLS = {tree.NULL}
MANY = 100
ALL = list(HealthCheck)


def _of_classes(kind: str) -> st.SearchStrategy[Any]:
    return st.sampled_from([value for value in values_of(kind, large=False) if value is not None])


integers = _of_classes(tree.INTEGER) | st.integers(-50, 50)
floats = _of_classes(tree.NUMBER) | st.floats() | st.floats(-10, 10)
strings = _of_classes(tree.STRING) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
times = st.integers(YEAR_1, YEAR_10000 - 1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    tree.BOOLEAN: st.booleans(),
    tree.INTEGER: integers,
    tree.NUMBER: floats,
    tree.STRING: strings,
    tree.TIMESTAMP: _of_classes(tree.TIMESTAMP) | times,
    tree.TIMESTAMP_UTC: _of_classes(tree.TIMESTAMP_UTC) | times,
    tree.DATE: _of_classes(tree.DATE) | times.map(lambda value: value // DAY),
}
for _kind in LISTS:
    _elements = VALUES[tree.LISTS[_kind]]
    VALUES[_kind] = _of_classes(_kind) | st.lists(st.none() | _elements, max_size=3).map(tuple)
finite = floats.filter(math.isfinite)
bounds = st.none() | finite | integers

zones = st.sampled_from(["Europe/Paris", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"])
grams = st.just({"buckets": 4, "shortest": 1, "longest": 2, "of": "characters"})

ARGUMENTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "clip": st.tuples(bounds, bounds)
    .filter(lambda pair: pair != (None, None))
    .map(lambda pair: sorted(pair) if None not in pair else pair)
    .map(lambda pair: {"low": pair[0], "high": pair[1]}),
    "cast": st.fixed_dictionaries({"to": st.sampled_from(["integer", "number", "string", "date", "timestamp"])}),
    "list_element": st.fixed_dictionaries({"index": st.integers(-4, 4)}),
    "round": st.fixed_dictionaries({"digits": st.integers(-15, 15)}),
    "isin": st.sampled_from([strings, integers, finite, st.booleans()])
    .flatmap(lambda values: st.lists(values, min_size=1, max_size=4, unique=True))
    .map(lambda values: {"values": values}),
    "bucketize": st.fixed_dictionaries(
        {
            "edges": st.lists(finite | integers, min_size=1, max_size=5, unique_by=float).map(
                lambda x: sorted(x, key=float)
            ),
            "left_closed": st.booleans(),
        }
    ),
    "hash_bucket": st.fixed_dictionaries({"n": st.sampled_from([2, 1000, 100_000])}),
    "slice": st.fixed_dictionaries({"start": st.integers(-4, 4), "length": st.none() | st.integers(1, 4)}),
    "contains": st.fixed_dictionaries({"text": strings.filter(bool)}),
    "starts_with": st.fixed_dictionaries({"prefix": strings.filter(bool)}),
    "ends_with": st.fixed_dictionaries({"suffix": strings.filter(bool)}),
    "replace": st.fixed_dictionaries({"old": strings.filter(bool), "new": strings}),
    "split_part": st.fixed_dictionaries({"separator": strings.filter(bool), "index": st.integers(-3, 3)}),
    "since": st.fixed_dictionaries(
        {"unit": st.sampled_from(["seconds", "minutes", "hours", "days", "weeks", "years"])}
    ),
    "in_zone": st.fixed_dictionaries({"zone": zones}),
    "from_zone": st.fixed_dictionaries({"zone": zones}),
    "quantile_bins": st.fixed_dictionaries({"n": st.integers(2, 5)}),
    "vocabulary": st.fixed_dictionaries({"top": st.none() | st.integers(1, 5), "min_count": st.integers(1, 2)}),
    "winsorize": st.just({"low": 0.1, "high": 0.9}),
    "quantile_transform": st.fixed_dictionaries(
        {"n": st.integers(2, 5), "output": st.sampled_from(["uniform", "normal"])}
    ),
    "frequency": st.fixed_dictionaries({"top": st.none() | st.integers(1, 5)}),
    "target_encode": st.fixed_dictionaries({"folds": st.integers(2, 4), "smooth": st.sampled_from([0, 1.5, 20])}),
    "cyclic": st.fixed_dictionaries({"period": st.sampled_from([24, 7, 0.1, 1e300])}),
    "pca": st.fixed_dictionaries({"components": st.integers(1, 2)}),
    "ngram_counts": st.fixed_dictionaries({"buckets": st.integers(1, 9)}) | grams,
    "tfidf": st.fixed_dictionaries({"top": st.integers(1, 5), "min_count": st.integers(1, 2)}),
    "feature": st.sampled_from(FUNCTIONS).map(lambda made: dict(made.node.arguments)),
    "one_hot": st.none().map(lambda values: {"values": values})
    | st.sampled_from([strings, integers, st.booleans()])
    .flatmap(lambda values: st.lists(values, min_size=1, max_size=4, unique_by=repr))
    .map(lambda values: {"values": values}),
}
ranges = st.lists(finite.map(lambda x: x + 0.0), min_size=2, max_size=2).map(sorted)
CONSTANTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "zscore": st.fixed_dictionaries({"mean": finite, "std": st.just(0.0) | finite.map(abs)}),
    "fill_mean": st.fixed_dictionaries({"mean": finite}),
    "quantile_bins": st.lists(finite.map(lambda x: x + 0.0), max_size=5, unique=True).map(
        lambda x: {"edges": tuple(sorted(x))}
    ),
    "minmax": ranges.map(lambda pair: {"low": pair[0], "high": pair[1]}),
    "winsorize": ranges.map(lambda pair: {"least": pair[0], "most": pair[1]}),
    "robust_scale": st.fixed_dictionaries({"median": finite, "spread": st.just(0.0) | finite.map(abs)}),
    "fill_median": st.fixed_dictionaries({"median": finite}),
    "quantile_transform": st.sets(finite.map(lambda x: x + 0.0), min_size=1, max_size=4).map(
        lambda x: {"values": tuple(sorted(x)), "shares": tuple(sorted((i + 1) / 8 for i in range(len(x))))}
    ),
    "tfidf": st.sampled_from(
        [
            {"terms": ("UA", "a", "é"), "documents": (1, 3, 2), "rows": 4},
            {"terms": ("12",), "documents": (1,), "rows": 1},
        ]
    ),
}
LEARNED = {*CONSTANTS, "vocabulary", "fill_mode", "frequency", "target_encode", "pca"}
"""Learned operations; the constants of the latter depend on inputs and arguments: see `constants`."""


@st.composite
def constants(draw: st.DrawFn, operation: Operation, kinds: tuple[str, ...], arguments: dict[str, Any]) -> Any:
    """What a learned operation on inputs of types `kinds` may have learned."""
    name, words = operation.name, st.lists(VALUES[kinds[0]], min_size=1, max_size=4, unique_by=repr).map(tuple)
    if name == "vocabulary":
        made = {"values": draw(st.just(()) | words)}
    elif name == "fill_mode":
        made = {"mode": draw(VALUES[kinds[0]])}
    elif name == "frequency":
        values = draw(words)
        made = {"values": values, "counts": tuple(range(1, len(values) + 1)), "rows": 30}
    elif name == "target_encode":
        values, folds = draw(words), arguments["folds"] if len(kinds) == 2 else 1
        means = draw(st.lists(finite, min_size=len(values) * folds, max_size=len(values) * folds))
        made = {"values": values, "means": tuple(means), "priors": tuple(draw(finite) for _ in range(folds))}
    elif name == "pca":
        size = len(kinds) * arguments["components"]
        made = {"means": tuple(draw(finite) for _ in kinds), "axes": tuple(draw(finite) for _ in range(size))}
    else:
        made = draw(CONSTANTS[name])
    return operation.checked_constants(made, "test")


def rows_of(columns: Iterable[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows with values, or null, in these columns, and null in the others."""
    drawn = st.fixed_dictionaries({name: st.none() | VALUES[TYPES[name]] for name in sorted(columns)})
    return st.lists(drawn.map(lambda row: dict.fromkeys(TYPES) | row), max_size=6)


@cache
def _fitting(name: str, arity: int, written: str, arguments: Any) -> tuple[tuple[tuple[str, ...], str], ...]:
    """The types of inputs that an operation takes, each with its result; `written` tells arguments apart."""
    operation = OPERATIONS[name]
    choices = [*KINDS, tree.NULL] if name == "if_else" else KINDS
    found = []
    for kinds in itertools.product(choices, repeat=arity) if arity <= 3 else [(kind,) * arity for kind in KINDS]:
        result = None if set(kinds[1:]) == NULLS else operation.result(kinds, dict(arguments.value))
        if result is not None:
            found.append((kinds, result))
    return tuple(found)


class _Arguments:
    """Arguments for the cache of `_fitting`: all are equal, since their text stands beside them."""

    def __init__(self, value: tuple[tuple[str, Any], ...]) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def fitting_types(operation: Operation, arity: int, arguments: dict[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """The types of `arity` inputs that an operation takes with these arguments, each with the type it gives."""
    checked = operation.checked_arguments(arguments, "test")
    return list(_fitting(operation.name, arity, repr(checked), _Arguments(checked)))


def call(operation: Operation, inputs: list[Any], arguments: dict[str, Any], learned: Any) -> Expr:
    """A recorded call, with the constants `learned` where the operation learns."""
    node = record(operation.name, inputs, arguments).node
    if operation.learned:
        assert isinstance(node, tree.Call)
        node = tree.Call(node.operation, node.inputs, node.arguments, learned)
    return Expr(node)


@st.composite
def calls(draw: st.DrawFn, operation: Operation, depth: int, wanted: str | None = None) -> Expr:
    """A call of `operation` (of result type `wanted`), learned constants drawn; one input is of `depth - 1`."""
    least, most = operation.inputs
    arity = draw(st.integers(least, most or 4))
    arguments = draw(ARGUMENTS[operation.name]) if operation.arguments else {}
    fits = [kinds for kinds, result in fitting_types(operation, arity, arguments) if wanted in (None, result)]
    if not fits:  # this operation gives the wanted type with other arguments only
        assert wanted is not None
        return call(
            OPERATIONS["fill_null"], [Expr(tree.Column(f"{wanted} 1")), draw(trees(wanted, depth - 1))], {}, None
        )
    kinds = draw(st.sampled_from(fits))
    deep = draw(st.integers(0, arity - 1))
    inputs: list[Any] = []
    for index, kind in enumerate(kinds):
        below = depth - 1 if index == deep else min(depth - 1, draw(st.integers(0, 2)))
        if operation.name == "target_encode":  # it may stand below no other
            below = 0
        inputs.append(draw(trees(kind, below)) if kind != tree.NULL else None)
    if all(not isinstance(item, Expr) or isinstance(item.node, tree.Constant) for item in inputs):
        inputs[0] = Expr(tree.Column(f"{kinds[0]} 1"))
    if operation.name == "one_hot" and arguments["values"] is None and "boolean" not in kinds:
        arguments = {"values": [draw(VALUES[kinds[0]])]}
    learned = draw(constants(operation, kinds, arguments)) if operation.learned else None
    return call(operation, inputs, arguments, learned)


@st.composite
def trees(draw: st.DrawFn, kind: str, depth: int) -> Expr:
    """A random tree of logical type `kind`: `depth` operations above one another, where the type has any."""
    if depth <= 0 or not giving(kind):
        if kind not in LISTS and draw(st.integers(0, 3)) == 0:
            return Expr(tree.Constant(kind, draw(VALUES[kind])))
        return Expr(tree.Column(f"{kind} {draw(st.integers(1, 2))}"))
    return draw(calls(OPERATIONS[draw(st.sampled_from(giving(kind)))], depth, kind))


@cache
def giving(kind: str) -> list[str]:
    """The operations that may give a type, with some of their sampled arguments; none gives a list."""
    found = []
    for name, operation in OPERATIONS.items():
        if operation.many or operation.call is not None:
            continue  # what stands last, and a user's own function, which costs a row as much as a frame
        least, _ = operation.inputs
        given_types = {
            result for arguments in samples(name, 12) for _, result in fitting_types(operation, least, arguments)
        }
        found += [name] if kind in given_types else []
    return found


@cache
def samples(name: str, most: int) -> tuple[dict[str, Any], ...]:
    """At most `most` different arguments of an operation, drawn the same way each time; `({},)` where it has none."""
    operation = OPERATIONS[name]
    if not operation.arguments:
        return ({},)
    return tuple(_drawn(ARGUMENTS[name], most))


def drawn_constants(name: str, kinds: tuple[str, ...], arguments: dict[str, Any], most: int) -> tuple[Any, ...]:
    """At most `most` different constants that a learned operation may have on inputs of types `kinds`; else None."""
    operation = OPERATIONS[name]
    return tuple(_drawn(constants(operation, kinds, arguments), most)) if operation.learned else (None,)


def _drawn(strategy: st.SearchStrategy[Any], most: int) -> list[Any]:
    found: dict[str, Any] = {}

    @seed(95)
    @settings(max_examples=4 * most, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=ALL)
    @given(strategy)
    def collect(value: Any) -> None:
        found.setdefault(repr(value), value)

    collect()
    return list(found.values())[:most]


def combinations(operation: Operation, arguments: dict[str, Any]) -> list[tuple[str, ...]]:
    """The types of inputs to try: all that fit, for each number of inputs from the least to three.

    An operation that takes anything gets inputs of one type, not all that could stand together.
    """
    least, most = operation.inputs
    arities = range(least, 1 + (max(least, 3) if most is None else most))
    found = [kinds for arity in arities for kinds, _ in fitting_types(operation, arity, arguments)]
    return found if len(found) < MANY else [kinds for kinds in found if len(set(kinds)) == 1]


def columns(kinds: tuple[str, ...]) -> list[Any]:
    """A column of its own for each input."""
    return [None if kind == tree.NULL else Expr(tree.Column(f"{kind} {place}")) for place, kind in enumerate(kinds, 1)]


def known_outcomes(kinds: tuple[str, ...], arguments: dict[str, Any]) -> bool:
    """Whether one_hot knows its columns: it is told the values, or reads a boolean."""
    return arguments.get("values") is not None or kinds[0] == tree.BOOLEAN


def expressions(name: str, most: int) -> list[tuple[tuple[str, ...], Expr]]:
    """An operation on columns of each combination of types, with at most `most` arguments and constants."""
    operation, made = OPERATIONS[name], []
    for arguments in samples(name, most):
        for kinds in combinations(operation, arguments):
            if name == "one_hot" and not known_outcomes(kinds, arguments):
                continue
            for learned in drawn_constants(name, kinds, arguments, most):
                made.append((kinds, call(operation, columns(kinds), arguments, learned)))
    return made


assert set(VALUES) == set(CLASSES)
