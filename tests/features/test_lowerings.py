"""The law of features: the frame lowering and the row lowering of every operation of the table give the same values."""

from __future__ import annotations

import itertools
import math
import struct
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ninetyfive.errors import FeatureError
from ninetyfive.features import tree
from ninetyfive.features.frames import FrameFunction, frame_of, scalars
from ninetyfive.features.operation import COLUMNS, Operation
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.program import program
from ninetyfive.features.recording import Expr, coalesce, col, cross, feature, greatest, least, record, when
from ninetyfive.features.rows import every_value
from ninetyfive.features.source import source
from ninetyfive.features.transform import Transform, needed


def doubled(a: Any, *others: Any) -> Any:
    """A function of a user's own: what is missing stays missing."""
    import polars as pl

    return (
        a.cast(pl.Float64, strict=False) * 2.0 if a.dtype.is_numeric() else pl.Series([None] * len(a), dtype=pl.Float64)
    )


def shouted(a: Any, *others: Any) -> Any:
    import polars as pl

    flat = a.list.len() if a.dtype.is_nested() else a
    return flat.cast(pl.String).str.to_uppercase().fill_null("NOTHING")


FUNCTIONS = [feature(doubled, [col("x")], returns="number"), feature(shouted, [col("x")], returns="string")]
KINDS = [kind for kind in tree.TYPES if kind != tree.OPAQUE]
TYPES = {f"{kind} {index}": kind for kind in KINDS for index in (1, 2)}
YEAR_1, YEAR_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000
DAY = 86_400_000_000

integers = st.sampled_from([0, 1, -1, 2, 2**53 + 1, -(2**53) - 1, 2**62, 2**63 - 1, -(2**63)]) | st.integers(-50, 50)
floats = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 0.1, 5e-324, -2e-310, 1e308, 3.5e38, math.inf, -math.inf, math.nan, 2.0**53]
)
floats |= st.floats() | st.floats(-10, 10)
words = st.sampled_from(
    ["", "a", "A", "b", "UA", "ΑΣ", "Σ", "İ", "ß", "ǅ", "ﬀ", "é", "e\u0301", "12", "-7", "1e3", " 1", "1_0", "٣", "nan"]
)
strings = words | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
times = st.sampled_from([YEAR_1, YEAR_10000 - 1, 0, -1, DAY - 1]) | st.integers(YEAR_1, YEAR_10000 - 1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    tree.BOOLEAN: st.booleans(),
    tree.INTEGER: integers,
    tree.NUMBER: floats,
    tree.STRING: strings,
    tree.TIMESTAMP: times,
    tree.TIMESTAMP_UTC: times,
    tree.DATE: times.map(lambda value: value // DAY),
}
grams = st.just({"buckets": 4, "shortest": 1, "longest": 2, "of": "characters"})
VALUES |= {
    kind: st.lists(st.none() | VALUES[element], max_size=3).map(tuple) | st.just((None,) * 3)
    for kind, element in tree.LISTS.items()
}
finite = floats.filter(math.isfinite)
bounds = st.none() | finite | integers
zones = st.sampled_from(["Europe/Paris", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"])

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
KNOWN = {*CONSTANTS, "vocabulary", "fill_mode", "frequency", "target_encode", "pca"}
rows_of_all = st.lists(
    st.fixed_dictionaries({name: st.none() | VALUES[kind] for name, kind in TYPES.items()}), max_size=6
)


def bits(value: Any) -> Any:
    """A value that compares as bits do; every NaN is one."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, tuple):
        return tuple(bits(element) for element in value)
    return (type(value).__name__, value)


def result_of(operation: Operation, kinds: tuple[str, ...], arguments: dict[str, Any]) -> str | None:
    return operation.result(kinds, dict(operation.checked_arguments(arguments, "test")))


def leaf(draw: st.DrawFn, kind: str, *, constant: bool) -> object:
    if kind == tree.NULL:
        return None
    if constant and kind not in tree.LISTS and draw(st.integers(0, 3)) == 0:
        return Expr(tree.Constant(kind, draw(VALUES[kind])))
    return Expr(tree.Column(f"{kind} {draw(st.integers(1, 2))}"))


@st.composite
def calls(draw: st.DrawFn, operation: Operation, depth: int, wanted: str | None = None) -> Expr:
    """A call of `operation` (of result type `wanted`), learned constants drawn, on trees of at most `depth - 1`."""
    least, most = operation.inputs
    arity = draw(st.integers(least, most or 4))
    arguments = draw(ARGUMENTS[operation.name]) if operation.arguments else {}
    choices = [*KINDS, tree.NULL] if operation.name == "if_else" else KINDS
    fits = []
    for kinds in itertools.product(choices, repeat=arity) if arity <= 3 else [(kind,) * arity for kind in KINDS]:
        result = None if kinds[1:] == (tree.NULL, tree.NULL) else result_of(operation, kinds, arguments)
        if result is not None and wanted in (None, result):
            fits.append(kinds)
    if not fits:
        return Expr(tree.Column(f"{wanted} 1"))
    kinds = draw(st.sampled_from(fits))
    inputs = [draw(trees(kind, depth - 1)) if kind != tree.NULL else None for kind in kinds]
    if all(not isinstance(item, Expr) or isinstance(item.node, tree.Constant) for item in inputs):
        inputs[0] = Expr(tree.Column(f"{kinds[0]} 1"))
    if operation.name == "one_hot" and arguments["values"] is None and "boolean" not in kinds:
        arguments = {"values": [draw(VALUES[kinds[0]])]}
    node = record(operation.name, inputs, arguments).node
    if operation.learned:
        assert isinstance(node, tree.Call)
        node = tree.Call(node.operation, node.inputs, node.arguments, draw(constants(operation, kinds, arguments)))
    return Expr(node)


@st.composite
def constants(draw: st.DrawFn, operation: Operation, kinds: tuple[str, ...], arguments: dict[str, Any]) -> Any:
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


@st.composite
def trees(draw: st.DrawFn, kind: str, depth: int) -> Expr:
    """A random tree of logical type `kind`."""
    if depth <= 0 or draw(st.integers(0, 4)) == 0:
        made = leaf(draw, kind, constant=True)
        assert isinstance(made, Expr)
        return made
    names = [name for name, operation in OPERATIONS.items() if not operation.many]
    operation = OPERATIONS[draw(st.sampled_from(names))]
    return draw(calls(operation, depth, kind))


def check(features: dict[str, tree.Node], rows: list[dict[str, Any]]) -> None:
    """Frames and rows agree on every value of every step, on the model's inputs, and on what they refuse."""
    frame = frame_of(rows, TYPES)
    made = program(features, TYPES)
    steps = {
        f"step {index}": step.node
        for index, step in enumerate(made.steps)
        if isinstance(step.node, tree.Call) and step.type != COLUMNS
    }
    types = needed(features.values(), TYPES)
    names = list(steps)
    function = FrameFunction(tuple(steps.items()), types)
    values = every_value(made)
    records = scalars(frame, TYPES)
    assert [{name: bits(value) for name, value in row.items()} for row in records] == [
        {name: bits(value) for name, value in row.items()} for row in rows
    ]
    try:
        expected = [values(row) for row in records]
    except FeatureError:
        with pytest.raises(FeatureError, match="an integer of 64 bits"):
            [values(row) for row in records]
        with pytest.raises(FeatureError, match="an integer of 64 bits"):
            function(frame)
        return
    if names:
        computed = function(frame)
        assert tuple(computed.schema.items()) == function.output
        for index in range(frame.height):
            alone = function(pl.concat([frame.slice(index, 1)] * 3, rechunk=True))
            want = [[bits(value) for value in row] for row in computed.slice(index, 1).rows()] * 3
            assert [[bits(value) for value in row] for row in alone.rows()] == want, "a row depends on its neighbours"
        kinds = {name: made.steps[int(name.split()[1])].type for name in names}
        for got, want in zip(scalars(computed, kinds), expected, strict=True):
            for name in names:
                index = int(name.split()[1])
                assert bits(got[name]) == bits(want[index]), (source(steps[name]), got[name], want[index])
    numeric = {
        name: index for name, index in made.outputs if made.steps[index].type in (*tree.NUMERIC, tree.BOOLEAN, COLUMNS)
    }
    if numeric:
        chosen = {name: features[name] for name in numeric}
        transform = Transform(tuple(chosen.items()), needed(chosen.values(), TYPES))
        whole, row_of = transform.frames()(frame), transform.rows()
        assert tuple(whole.schema.items()) == transform.output
        assert [[bits(x) for x in row] for row in whole.rows()] == [[bits(x) for x in row_of(row)] for row in records]
        restored = Transform.from_json(transform.to_json(), transform.code)
        assert restored == transform
        assert restored.to_json() == transform.to_json()


def test_every_operation_has_its_strategies() -> None:
    assert set(ARGUMENTS) == {name for name, operation in OPERATIONS.items() if operation.arguments}
    assert {name for name, operation in OPERATIONS.items() if operation.learned} == KNOWN


@pytest.mark.parametrize("name", list(OPERATIONS))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_frames_equal_rows_for_each_operation(name: str, data: st.DataObject) -> None:
    expression = data.draw(calls(OPERATIONS[name], 1))
    check({"x": expression.node}, data.draw(rows_of_all))


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_frames_equal_rows_for_random_trees(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    features = {str(index): data.draw(trees(kind, 4)).node for index, kind in enumerate(kinds)}
    calls_only = {name: node for name, node in features.items() if isinstance(node, tree.Call)}
    if calls_only:
        check(calls_only, data.draw(rows_of_all))


NAN = math.nan
WORDS, FLOATS = "list[string] 1", "list[number] 1"
HASH_OF_NOTHING, HASH_OF_A = (
    0x2D06800538D394C2,
    0xE6C632B61E964E1F,
)  # XXH3-64 with seed 0, as xxHash's own tests have it
A, N, S, U = "number 1", "integer 1", "string 1", "timestamp[UTC] 1"


def day(*parts: int) -> int:
    return (date(*parts) - date(1970, 1, 1)).days


def clock(*parts: int) -> int:
    return (datetime(*parts) - datetime(1970, 1, 1)) // timedelta(microseconds=1)  # type: ignore[arg-type]


EDGES = [
    (col(A) + 0.0, {A: -0.0}, 0.0),
    (col(A) + col("number 2"), {A: -0.0, "number 2": 0.0}, 0.0),
    (col(A) - 0.0, {A: -0.0}, -0.0),
    (0 - col(A), {A: 0.0}, 0.0),
    (-col(A), {A: 0.0}, -0.0),
    (col(A) / 3.0, {A: 7.1}, 7.1 / 3.0),
    (col(A) / when(col("boolean 1")).then(7.1).otherwise(2.0), {A: 3.0, "boolean 1": True}, 3.0 / 7.1),
    (col(A) / 0, {A: -1.0}, -math.inf),
    (1 / col(N), {N: 0}, math.inf),
    (col(N) / col("integer 2"), {N: 0, "integer 2": 0}, math.nan),
    (col(N) / col("integer 2"), {N: 2**63 - 1, "integer 2": 3}, float(2**63 - 1) / 3.0),
    (col(N) + 1, {N: 2**53}, 2**53 + 1),
    (col(A) == NAN, {A: 1.0}, None),
    (col(A) > 1, {A: math.nan}, None),
    (col(A) == 0.0, {A: -0.0}, True),
    (col(N) == float(2**53), {N: 2**53 + 1}, True),
    (col(N) == 2**53, {N: 2**53 + 1}, False),
    ((col(A) > 1) & (col("number 2") > 1), {A: 0.0, "number 2": None}, False),
    ((col(A) > 1) & (col("number 2") > 1), {A: 2.0, "number 2": None}, None),
    ((col(A) > 1) | (col("number 2") > 1), {A: 2.0, "number 2": None}, True),
    (col(A).log1p(), {A: -1.0}, -math.inf),
    (col(A).log1p(), {A: -1.5}, math.nan),
    (col(A).log1p(), {A: -0.0}, -0.0),
    (col(A).clip(low=0, high=2), {A: math.nan}, math.nan),
    (col(A).clip(low=0), {A: -0.0}, -0.0),
    (col(A).fill_null(1), {A: math.nan}, math.nan),
    (col(A).is_null(), {A: math.nan}, False),
    (col(A).cast("integer"), {A: -1.9}, -1),
    (col(A).cast("integer"), {A: 2.0**63}, None),
    (col(A).cast("number"), {A: 1.5}, 1.5),
    (col(S).cast("number"), {S: "1e3"}, 1000.0),
    (col(S).cast("number"), {S: " 1"}, None),
    (col(S).cast("integer"), {S: "٣"}, None),
    (col("boolean 1").cast("string"), {"boolean 1": True}, "true"),
    (col(S).lower(), {S: "ΑΣ İ"}, "ας i̇"),
    (col("timestamp 1").cast("date"), {"timestamp 1": -1}, -1),
    (col("timestamp 1").hour(), {"timestamp 1": -1}, 23),
    (col("timestamp 1").weekday(), {"timestamp 1": YEAR_1}, 1),
    (col("date 1").month(), {"date 1": YEAR_1 // DAY}, 1),
    (col("timestamp 1").month(), {"timestamp 1": YEAR_10000 - 1}, 12),
    (col("timestamp 1") - col("timestamp 2"), {"timestamp 1": DAY, "timestamp 2": 1_500_000}, 86_398.5),
    (col("date 1") - col("date 2"), {"date 1": 2, "date 2": 1}, 86_400.0),
    (when(col("boolean 1")).then(1).otherwise(0.5), {"boolean 1": None}, 0.5),
    (col(WORDS).list_length(), {WORDS: ()}, 0),
    (col(WORDS).list_length(), {WORDS: (None, "a")}, 2),
    (col(WORDS).list_length(), {WORDS: None}, None),
    (col(WORDS).is_null(), {WORDS: ()}, False),
    (col(WORDS).list_contains("a"), {WORDS: (None, "a")}, True),
    (col(WORDS).list_contains("a"), {WORDS: (None, "A")}, False),
    (col(WORDS).list_contains("a"), {WORDS: None}, None),
    (col(WORDS).list_contains(col(S)), {WORDS: (None, "a"), S: None}, None),
    (col(FLOATS).list_contains(0.0), {FLOATS: (-0.0,)}, True),
    (col(FLOATS).list_contains(1), {FLOATS: (math.nan, 1.0)}, True),
    (col(FLOATS).list_contains(1), {FLOATS: (math.nan, None)}, False),
    (col(FLOATS).list_contains(NAN), {FLOATS: (math.nan,)}, None),
    (col(FLOATS).list_contains(col(A)), {FLOATS: (math.nan,), A: math.nan}, None),
    (col(FLOATS).list_contains(col(N)), {FLOATS: (2.0**53,), N: 2**53 + 1}, True),
    (col("list[integer] 1").list_contains(2**53), {"list[integer] 1": (2**53 + 1,)}, False),
    (col("list[boolean] 1").list_contains(value=True), {"list[boolean] 1": (False, None)}, False),
    (col(FLOATS).list_element(0), {FLOATS: (-0.0, 1.0)}, -0.0),
    (col(FLOATS).list_element(-1), {FLOATS: (-0.0, math.nan)}, math.nan),
    (col(FLOATS).list_element(2), {FLOATS: (1.0, 2.0)}, None),
    (col(FLOATS).list_element(-3), {FLOATS: (1.0, 2.0)}, None),
    (col(A).abs(), {A: -0.0}, 0.0),
    (col(N).abs(), {N: -(2**63) + 1}, 2**63 - 1),
    (col(A).sign(), {A: -0.0}, -0.0),
    (col(A).sign(), {A: -5e-324}, -1.0),
    (col(N).sign(), {N: -(2**63)}, -1),
    (col(A).round(), {A: 2.5}, 2.0),
    (col(A).round(), {A: -0.4}, -0.0),
    (col(A).round(2), {A: 2.675}, 2.67),
    (col(A).round(2), {A: 1.115}, 1.11),
    (col(A).round(1), {A: 4503599627370495.5}, 4503599627370495.5),
    (col(A).round(2), {A: -math.inf}, -math.inf),
    (col(A).round(-2), {A: -250.0}, -200.0),
    (col(N).round(-1), {N: 15}, 20),
    (col(N).round(2), {N: 2**63 - 1}, 2**63 - 1),
    (col(A).floor(), {A: -5e-324}, -1.0),
    (col(A).floor(), {A: -0.0}, -0.0),
    (col(A).ceil(), {A: -0.5}, -0.0),
    (col(A).ceil(), {A: math.inf}, math.inf),
    (col(A).sqrt(), {A: -0.0}, -0.0),
    (col(A).sqrt(), {A: -5e-324}, math.nan),
    (col(N).sqrt(), {N: 2**63 - 1}, 3037000499.97605),
    (col(A).exp(), {A: 709.782712893384}, math.exp(709.782712893384)),
    (col(A).exp(), {A: 709.7827128933841}, math.inf),
    (col(A).exp(), {A: -745.2}, 0.0),
    (col(A).exp(), {A: -math.inf}, 0.0),
    (col(A).exp(), {A: math.nan}, math.nan),
    (col(A).log(), {A: -0.0}, -math.inf),
    (col(A).log(), {A: -1.0}, math.nan),
    (col(A).log(), {A: math.inf}, math.inf),
    (col(A).log(), {A: 5e-324}, math.log(5e-324)),
    (col(A) ** 2, {A: 1.1953255671579764e-54}, 1.428803211501538e-108),
    (col(A) ** 2, {A: -math.inf}, math.inf),
    (col(A) ** 3, {A: -45537.46454963499}, math.pow(-45537.46454963499, 3)),
    (col(A) ** 0.5, {A: -0.0}, 0.0),
    (col(A) ** 0.5, {A: -math.inf}, math.inf),
    (col(A) ** 0.5, {A: -1.0}, math.nan),
    (col(A) ** 0, {A: math.nan}, 1.0),
    (col(A) ** -1, {A: -0.0}, -math.inf),
    (col(A) ** -2, {A: -0.0}, math.inf),
    (col(A) ** 3, {A: -1e300}, -math.inf),
    (col(N) ** -1, {N: 4}, 0.25),
    (col(N) ** 63, {N: -2}, -(2**63)),
    (col(N) ** 2, {N: -3_037_000_499}, 9_223_372_030_926_249_001),
    (col(N) ** (2**62 + 1), {N: -1}, -1),
    (2 ** col(N), {N: 62}, 2**62),
    (2.0 ** col(N), {N: -1074}, 5e-324),
    (col(N) ** 0.5, {N: 9}, 3.0),
    (col(N).isin([1, 2**53 + 1]), {N: 2**53}, False),
    (col(A).isin([0, 1]), {A: -0.0}, True),
    (col(A).isin([0.5]), {A: math.nan}, None),
    (col(S).isin(["é"]), {S: "e\u0301"}, False),
    (coalesce(col(N), col(A)), {N: None, A: 0.5}, 0.5),
    (coalesce(col(N), col(A)), {N: 2**53 + 1, A: 0.5}, 2.0**53),
    (coalesce(col(A), 0), {A: math.nan}, math.nan),
    (coalesce(1, col(N)), {N: 2}, 1),
    (coalesce(col(S), col("string 2"), "x"), {}, "x"),
    (least(col(A), 0.0), {A: -0.0}, -0.0),
    (least(0.0, col(A)), {A: -0.0}, 0.0),
    (least(col(A), col("number 2"), 1), {A: math.nan, "number 2": None}, math.nan),
    (least(col(A), col("number 2"), 1), {A: 0.5, "number 2": math.nan}, math.nan),
    (greatest(col(A), col("number 2")), {A: None, "number 2": -math.inf}, -math.inf),
    (greatest(col(N), 0.5), {N: 2**53 + 1}, 2.0**53),
    (greatest(col(N), col("integer 2")), {N: 2**63 - 1, "integer 2": 2**63 - 2}, 2**63 - 1),
    (greatest(col(S), "z"), {S: "\U0001f600"}, "\U0001f600"),
    (least(col("date 1"), col("date 2")), {"date 1": None, "date 2": None}, None),
    (col(A).bucketize([0, 10]), {A: -0.0}, 0),
    (col(A).bucketize([0, 10], left_closed=True), {A: -0.0}, 1),
    (col(A).bucketize([0, 10]), {A: math.inf}, 2),
    (col(A).bucketize([0, 10]), {A: math.nan}, None),
    (col(N).bucketize([2**53]), {N: 2**53 + 1}, 0),
    (col(S).hash_bucket(100_000), {S: ""}, HASH_OF_NOTHING % 100_000),
    (col(S).hash_bucket(100_000), {S: "a"}, HASH_OF_A % 100_000),
    (cross(col(S), col("string 2")), {S: "a|b", "string 2": "\\"}, "a\\|b|\\\\"),
    (cross(col(S), col(N), col("boolean 1")), {S: "", N: -1, "boolean 1": True}, "|-1|true"),
    (col(S).upper(), {S: "\u1c8aß\u0131"}, "\u1c8a".upper() + "SSI"),
    (col(S).strip(), {S: "\x1c\u3000\u212a\x1f\u200b"}, "\u212a\x1f\u200b"),
    (col(S).length(), {S: "e\u0301\U0001f600"}, 3),
    (col(S).slice(-2, 1), {S: "e\u0301"}, "e"),
    (col(S).slice(-5, 3), {S: "abcd"}, "ab"),
    (col(S).slice(-5, 9), {S: "abcd"}, "abcd"),
    (col(S).slice(1), {S: "a"}, ""),
    (col(S).contains("$."), {S: "a$.b"}, True),
    (col(S).contains("K"), {S: "\u212a"}, False),
    (col(S).starts_with("e"), {S: "e\u0301"}, True),
    (col(S).ends_with("e"), {S: "e\u0301"}, False),
    (col(S).replace("aa", "$1"), {S: "aaa"}, "$1a"),
    (col(S).replace("\u0301", ""), {S: "e\u0301"}, "e"),
    (col(S).split_part("-", 1), {S: "a--b"}, ""),
    (col(S).split_part("-", -3), {S: "a--b"}, "a"),
    (col(S).split_part("-", 3), {S: "a--b"}, None),
    (col(S).split_part("aa", 0), {S: ""}, ""),
    (col(S).split_part("aa", -1), {S: "aaa"}, "a"),
    (col(S).split_part("aa", -2), {S: "aaa"}, ""),
    (col("timestamp 1").year(), {"timestamp 1": YEAR_1}, 1),
    (col("timestamp 1").year(), {"timestamp 1": YEAR_10000 - 1}, 9999),
    (col("date 1").week(), {"date 1": day(2021, 1, 3)}, 53),
    (col("date 1").week(), {"date 1": day(2024, 12, 30)}, 1),
    (col("date 1").quarter(), {"date 1": day(9999, 12, 31)}, 4),
    (col("date 1").day_of_year(), {"date 1": day(2024, 12, 31)}, 366),
    (col("date 1").day(), {"date 1": day(1, 1, 31)}, 31),
    (col("timestamp 1").second(), {"timestamp 1": -1}, 59),
    (col("timestamp 1").minute(), {"timestamp 1": -60_000_001}, 58),
    (col("timestamp 1").since(col("timestamp 2")), {"timestamp 1": -DAY, "timestamp 2": DAY // 2}, -1.5),
    (col("timestamp 1").since(col("timestamp 2"), "seconds"), {"timestamp 1": 1_500_001, "timestamp 2": 0}, 1.500001),
    (col("date 1").since(date(1970, 1, 1), "weeks"), {"date 1": 1}, 1 / 7),
    (col("date 1").since(date(1970, 1, 1), "hours"), {"date 1": 1}, 24.0),
    (col("date 1").since(date(2000, 2, 29), "years"), {"date 1": day(2021, 2, 28)}, 20),
    (col("date 1").since(date(2000, 2, 29), "years"), {"date 1": day(2021, 3, 1)}, 21),
    (col("date 1").since(date(2000, 1, 1), "years"), {"date 1": day(1999, 12, 31)}, -1),
    (col("timestamp 1").since(datetime(1970, 1, 1), "years"), {"timestamp 1": YEAR_1}, -1969),
    (col("timestamp 1").since(datetime(1968, 1, 1, 0, 0, 1), "years"), {"timestamp 1": 0}, 1),
    (col(U).in_zone("Europe/Paris"), {U: clock(2024, 3, 31, 0, 59)}, clock(2024, 3, 31, 1, 59)),
    (col(U).in_zone("Europe/Paris"), {U: clock(2024, 3, 31, 1)}, clock(2024, 3, 31, 3)),
    (col(U).in_zone("Europe/Paris"), {U: clock(2024, 10, 27, 1)}, clock(2024, 10, 27, 2)),
    (col(U).in_zone("Europe/Paris"), {U: clock(2500, 7, 1)}, clock(2500, 7, 1, 2)),
    (col(U).in_zone("Asia/Kathmandu"), {U: clock(2024, 1, 1)}, clock(2024, 1, 1, 5, 45)),
    (col(U).in_zone("Pacific/Apia"), {U: clock(2011, 12, 30, 10)}, clock(2011, 12, 31)),
    (col(U).in_zone("Europe/Paris"), {U: YEAR_1}, YEAR_1 + 561_000_000),
    (col(U).in_zone("America/New_York"), {U: YEAR_1}, None),
    (col(U).in_zone("America/New_York"), {U: YEAR_1 + 17_762_000_000}, YEAR_1),
    (col(U).in_zone("America/New_York"), {U: YEAR_1 + 17_761_999_999}, None),
    (col(U).in_zone("Europe/Paris"), {U: YEAR_10000 - 1}, None),
    (
        col("timestamp 1").from_zone("Europe/Paris"),
        {"timestamp 1": clock(2024, 3, 31, 2, 30)},
        clock(2024, 3, 31, 1, 30),
    ),
    (
        col("timestamp 1").from_zone("Europe/Paris"),
        {"timestamp 1": clock(2024, 10, 27, 2, 30)},
        clock(2024, 10, 27, 0, 30),
    ),
    (col("timestamp 1").from_zone("Europe/Paris"), {"timestamp 1": clock(2024, 10, 27, 3)}, clock(2024, 10, 27, 2)),
    (col("timestamp 1").from_zone("America/New_York"), {"timestamp 1": YEAR_10000 - 1}, None),
    (col("timestamp 1").from_zone("America/New_York"), {"timestamp 1": YEAR_1}, YEAR_1 + 17_762_000_000),
]


@pytest.mark.parametrize(
    ("expression", "row", "expected"), EDGES, ids=[str(edge[0])[:60] + str(edge[1]) for edge in EDGES]
)
def test_known_values(expression: Expr, row: dict[str, Any], expected: Any) -> None:
    whole_row = dict.fromkeys(TYPES) | row
    made = program({"x": expression.node}, TYPES)
    assert bits(every_value(made)(whole_row)[made.outputs[0][1]]) == bits(expected)
    check({"x": expression.node}, [whole_row])
