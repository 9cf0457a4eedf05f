"""A transform: its columns and kinds, its JSON, its trace, and what it refuses."""

from __future__ import annotations

import json
import math
import pickle
import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from ninetyfive.errors import FeatureError
from ninetyfive.features.document import VERSION
from ninetyfive.features.fitting import Fitting
from ninetyfive.features.frames import FrameFunction, scalars
from ninetyfive.features.recording import Expr, col, concat, when
from ninetyfive.features.transform import TraceStep, Transform

TYPES = {"a": "number", "i": "integer", "s": "string", "b": "boolean", "t": "timestamp", "d": "date"}
FRAME = pl.DataFrame(
    {
        "a": [1.0, None, math.nan, 4.0],
        "i": [1, 2, None, 2],
        "s": ["x", "y", None, "x"],
        "b": [True, None, False, True],
        "t": [datetime(2013, 1, 1, 5), None, datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)],
        "d": [date(2013, 1, 1), None, date(1, 1, 1), date(9999, 12, 31)],
    }
)


def fit(features: dict[str, Expr], types: dict[str, str] | None = None, frame: pl.DataFrame = FRAME) -> Transform:
    fitting = Fitting(features, types or TYPES)
    while (phase := fitting.phase()) is not None:
        columns = phase.function(frame)
        fitting.advance({name: it.add(it.zero(), columns) for name, it in phase.reducers.items()})
    return fitting.transform()


ALL = {
    "hour": col("t").hour(),
    "weekday": col("d").weekday(),
    "month hot": col("t").month().one_hot([1, 12]),
    "a": col("a").fill_mean().zscore(),
    "bins": col("a").quantile_bins(2),
    "s": concat(col("s"), "-", col("s")).vocabulary(top=1),
    "hot": col("s").vocabulary().one_hot(),
    "b": col("b"),
    "b hot": col("b").one_hot(),
    "rich": when(col("a") > 2).then(None).otherwise(col("i") + 1),
    "early": col("t") < datetime(2013, 1, 2),
}


def test_columns_kinds_and_inputs() -> None:
    transform = fit(ALL)
    assert transform.inputs == dict(sorted(TYPES.items()))
    assert transform.kinds == {
        "hour": ("index", 24),
        "weekday": ("index", 8),
        "month hot=1": "number",
        "month hot=12": "number",
        "a": "number",
        "bins": ("index", 2),
        "s": ("index", 2),
        "hot=x": "number",
        "hot=y": "number",
        "b": "number",
        "b hot=false": "number",
        "b hot=true": "number",
        "rich": "number",
        "early": "number",
    }
    assert transform.columns == tuple(transform.kinds)
    assert transform.features["s"] == 'concat(col("s"), "-", col("s")).vocabulary(top=1)'


def test_frames_and_rows_of_a_known_table() -> None:
    transform = fit(ALL)
    frame = transform.frames()(FRAME)
    assert tuple(frame.schema.items()) == transform.output
    nan = math.nan
    assert frame.row(0)[:3] == (5.0, 2.0, 1.0)
    assert [str(value) for value in frame.row(1)] == [
        str(x) for x in (nan, nan, 0.0, 0.0, 0.0, nan, 0.0, 0.0, 1.0, nan, 0.0, 0.0, 3.0, nan)
    ]
    rows = [transform.rows()(row) for row in scalars(FRAME, transform.inputs)]
    assert [[str(x) for x in row] for row in frame.rows()] == [[str(x) for x in row] for row in rows]
    assert "v0 = row[" in transform.rows().source


def test_keep_stands_first_and_may_be_renamed() -> None:
    transform = fit(ALL)
    kept = transform.frames(keep={"id": "s", "label": "b"})(FRAME)
    assert kept.columns == ["id", "label", *transform.columns]
    assert kept["id"].to_list() == FRAME["s"].to_list()
    assert transform.frames(keep=("i",))(FRAME).columns[0] == "i"
    with pytest.raises(FeatureError, match="'s' twice"):
        transform.frames(keep=("s",))


def test_a_feature_may_not_be_named_like_a_one_hot_column() -> None:
    with pytest.raises(FeatureError, match="'b=true' twice"):
        fit({"b": col("b").one_hot(), "b=true": col("b")}).frames()


def test_no_rows_give_no_rows() -> None:
    transform = fit(ALL)
    empty = transform.frames()(FRAME.clear())
    assert empty.height == 0
    assert tuple(empty.schema.items()) == transform.output


def test_shared_steps_are_computed_once() -> None:
    route = concat(col("s"), "-", col("s"))
    features = {"a": route.vocabulary(), "b": route.lower().vocabulary(), "c": route.vocabulary().one_hot()}
    transform = fit(features)
    *before, last = transform.frames().stages
    assert [len(stage.expressions) for stage in before] == [1, 1]
    assert len(last.expressions) == 4
    assert transform.rows().source.count("'-'") == 1
    rows = [transform.rows()(row) for row in scalars(FRAME, transform.inputs)]
    assert transform.frames()(FRAME).rows() == [tuple(row) for row in rows]


def test_values_by_way_of_the_distinct_ones() -> None:
    frame = pl.DataFrame({"s": ["ΑΣ", None, "12", "İ", "x"] * 100})
    function = FrameFunction(
        (("lower", col("s").lower().node), ("int", col("s").cast("integer").node)), (("s", "string"),)
    )
    made = function(frame)
    assert made["lower"].to_list() == ["ας", None, "12", "i̇", "x"] * 100
    assert made["int"].to_list() == [None, None, 12, None, None] * 100
    nothing = function(pl.DataFrame({"s": pl.Series([None] * 300, dtype=pl.String)}))
    assert nothing["lower"].null_count() == nothing["int"].null_count() == 300


@pytest.mark.parametrize("name", ["*", "^a$", "^.*$", "ünïcödé", "a b", 'qu"ote', "x" * 300, "r'\\n"])
def test_any_column_name_means_that_column(name: str) -> None:
    frame = pl.DataFrame({"a": [9.0], name: [1.0], "other": [7.0]})
    transform = fit({"f": col(name) + 1}, {name: "number"}, frame)
    assert transform.frames(keep={"k": name})(frame).rows() == [(1.0, 2.0)]
    assert transform.rows()({name: 1.0}) == [2.0]
    assert Transform.from_json(transform.to_json()) == transform


def test_overflow_is_refused_with_operation_and_values() -> None:
    transform = fit({"i": col("i") * 2 + 1})
    frame = pl.DataFrame({"i": [1, 2**62]})
    for compute in (
        lambda: transform.frames()(frame),
        lambda: transform.rows()({"i": 2**62}),
        lambda: transform.trace({"i": 2**62}),
    ):
        with pytest.raises(FeatureError, match=r"feature 'i', operation multiply: .* of 4611686018427387904 and 2\."):
            compute()


@pytest.mark.parametrize(
    ("feature", "value", "message"),
    [
        (col("i").abs(), -(2**63), r"operation abs: .*col\(\"i\"\)\.abs\(\) of -9223372036854775808\."),
        (col("i").round(-1), 2**63 - 1, r"operation round: .* of 9223372036854775807\."),
        (col("i") ** 2, 2**32, r"operation power: .* of 4294967296 and 2\."),
        (col("i") ** 63, 2, r"operation power: .* of 2 and 63\."),
        (2 ** col("i"), 63, r"operation power: .* of 2 and 63\."),
        (2 ** col("i"), 2**62, r"operation power: .* of 2 and 4611686018427387904\."),
        (col("i") ** col("i"), -1, r"operation power: .* of -1 and -1\."),
    ],
)
def test_integers_that_leave_64_bits_are_refused_by_name(feature: Expr, value: int, message: str) -> None:
    transform = fit({"i": feature})
    for compute in (
        lambda: transform.frames()(pl.DataFrame({"i": [1, value]})),
        lambda: transform.rows()({"i": value}),
    ):
        with pytest.raises(FeatureError, match=message):
            compute()


def test_missing_columns_are_named() -> None:
    transform = fit({"i": col("i") + col("a")})
    with pytest.raises(FeatureError, match=r"column 'i'.*did you mean|column 'i'.*there are: a"):
        transform.frames()(pl.DataFrame({"a": [1.0]}))
    with pytest.raises(FeatureError, match=r"row, column 'a'"):
        transform.rows()({"i": 1})


def test_trace_shows_each_step_of_each_feature() -> None:
    transform = fit(
        {"z": col("a").log1p().fill_mean(), "big": (col("a") > 2) & col("b"), "hot": col("s").one_hot(["x"])}
    )
    steps = transform.trace({"a": math.e - 1, "b": None, "s": "x"})
    assert steps == [
        TraceStep("z", 'col("a")', "number", math.e - 1),
        TraceStep("z", 'col("a").log1p()', "number", 1.0),
        TraceStep("z", 'col("a").log1p().fill_mean()', "number", 1.0),
        TraceStep("big", 'col("a")', "number", math.e - 1),
        TraceStep("big", 'col("a") > 2', "boolean", False),
        TraceStep("big", 'col("b")', "boolean", None),
        TraceStep("big", '(col("a") > 2) & col("b")', "boolean", False),
        TraceStep("hot", 'col("s")', "string", "x"),
        TraceStep("hot", 'col("s").one_hot(values=["x"])', "columns", (1.0,)),
    ]


def test_a_transform_and_its_function_cross_a_process_border() -> None:
    transform = fit(ALL)
    function = transform.frames(keep={"id": "s"})
    assert function(FRAME).height == 4
    transform.rows()
    transform.trace(scalars(FRAME, TYPES)[0])
    again = pickle.loads(pickle.dumps(transform))
    assert again == transform
    assert "program" not in vars(again)
    other = pickle.loads(pickle.dumps(function))
    assert other == function
    assert hash(other) == hash(function)
    assert other(FRAME).equals(function(FRAME))
    assert len({function, other, transform.frames()}) == 2
    assert function.identity == other.identity == transform.frames().identity


def test_json_is_data_and_comes_back() -> None:
    transform = fit(ALL | {"odd": col("a") < math.inf, "zero": col("a") + -0.0})
    text = transform.to_json()
    document = json.loads(text)
    assert document["version"] == VERSION
    assert document["depends"] == {}
    assert document["operations"]["zscore"] == 1
    again = Transform.from_json(text)
    assert again == transform
    assert again.to_json() == text
    assert Transform.from_json(text.encode()).frames()(FRAME).equals(transform.frames()(FRAME))


def _nodes(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda document: change(document["nodes"])


def _call(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(node for node in document["nodes"] if node.get("operation") == name)


ALTERED: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda d: d.update(version=3), r"version 2, got version 3.*fit again"),
    (lambda d: d.pop("version"), r"missing required field"),
    (lambda d: d.update(extra=1), r"unknown field"),
    (lambda d: d["operations"].update(zscore=2), r"meaning 1 of operation zscore, got meaning 2"),
    (lambda d: d["operations"].update(logp1=1), r"'logp1'.*did you mean 'log1p'"),
    (lambda d: d["operations"].pop("zscore"), r"a declared operation"),
    (lambda d: d["inputs"].append(["a", "float"]), r"logical type of column 'a'"),
    (lambda d: d["inputs"].append(["unused", "number"]), r"'unused' that no feature reads"),
    (lambda d: d.update(inputs=[]), r"column 'a'"),
    (lambda d: d.update(features=[]), r"that no feature reads"),
    (lambda d: d.update(features=[], inputs=[], nodes=[], operations={}), r"reads none"),
    (
        lambda d: (d["nodes"].append({"constant": "integer", "value": 1}), d["features"].append(["one", 5])),
        r"reads none",
    ),
    (lambda d: d["features"].append(["x", 99]), r"an earlier node"),
    (lambda d: _call(d, "zscore").update(inputs=[]), r"zscore with its inputs"),
    (lambda d: _call(d, "zscore").update(inputs=[50]), r"an earlier node"),
    (lambda d: _call(d, "zscore").update(arguments={"x": 1}), r"zscore with its arguments"),
    (lambda d: _call(d, "zscore").pop("learned"), r"what it learned"),
    (lambda d: _call(d, "zscore")["learned"].update(std=-1.0), r"std: a finite number"),
    (lambda d: _call(d, "zscore")["learned"].pop("mean"), r"mean: a finite number"),
    (lambda d: _call(d, "quantile_bins")["learned"].update(edges=[2.0, 1.0]), r"ascending"),
    (lambda d: _call(d, "quantile_bins")["arguments"].update(n=1), r"n: an integer"),
    (lambda d: _call(d, "vocabulary")["learned"].update(values=["x", "x"]), r"each value once"),
    (_nodes(lambda nodes: nodes.append({"operation": "log1p", "column": "a"})), r"a column, a constant or"),
    (_nodes(lambda nodes: nodes.append({"constant": "integer", "value": 1.5})), r"a constant of type integer"),
    (_nodes(lambda nodes: nodes.append({"constant": "integer", "value": 2**63})), r"an integer of 64 bits"),
    (_nodes(lambda nodes: nodes.append({"constant": "opaque", "value": 1})), r"a constant of type opaque"),
]


@pytest.mark.parametrize(("alter", "message"), ALTERED)
def test_an_altered_document_is_refused(alter: Callable[[dict[str, Any]], object], message: str) -> None:
    document = json.loads(
        fit({"a": col("a").zscore(), "q": col("a").quantile_bins(2), "s": col("s").vocabulary()}).to_json()
    )
    alter(document)
    with pytest.raises(FeatureError, match=message):
        Transform.from_json(json.dumps(document))


def test_what_a_transform_depends_on_stands_in_it_and_must_be_the_same() -> None:
    plain, document = fit({"s": col("s").vocabulary()}), json.loads(fit({"s": col("s").lower().vocabulary()}).to_json())
    here = unicodedata.unidata_version
    assert document["depends"] == {"unicode": here}
    assert json.loads(plain.to_json())["depends"] == {}
    said = (
        rf"operation lower: expected the Unicode tables of 1\.2\.3, with which it was fitted, got {re.escape(here)}\."
    )
    for depends, message in (
        ({"unicode": "1.2.3"}, said + " To do: run it on a Python of the minor version that fitted it, or fit"),
        ({}, f"Unicode tables of no version, with which it was fitted, got {re.escape(here)}"),
        ({"unicode": here, "tzdata": "2026a"}, r"time zone data \(tzdata\) of 2026a.* got no operation that depends"),
        ({"unicode": here, "moon": "full"}, "the moon of full"),
    ):
        with pytest.raises(FeatureError, match=message):
            Transform.from_json(json.dumps(document | {"depends": depends}))


def test_a_document_too_deep_is_refused() -> None:
    document = json.loads(fit({"a": -col("a")}).to_json())
    document["nodes"] += [{"operation": "negate", "inputs": [index]} for index in range(1, 200)]
    document["features"] = [["a", 200]]
    with pytest.raises(FeatureError, match="depth"):
        Transform.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"version": "1"}'])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(FeatureError, match="the JSON form of a transform"):
        Transform.from_json(text)


def test_nested_operations_cost_as_much_as_they_are_many() -> None:
    nested = col("a")
    for level in range(30):
        nested = nested / (level + 0.5)
    transform = fit({"a": nested})
    rows = [tuple(transform.rows()(row)) for row in scalars(FRAME, {"a": "number"})]
    assert repr(transform.frames()(FRAME).rows()) == repr(rows)


def test_bytes_that_are_no_text_are_refused() -> None:
    data = fit({"a": col("a")}).to_json().encode()
    with pytest.raises(FeatureError, match="the JSON form of a transform"):
        Transform.from_json(data.replace(b'"column"', b'"col\xb2mn"'))
