"""Fitting: phases, what is learned against plain Polars, and what only the schema knows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.errors import DeclarationError, FeatureError, NinetyfiveError, PlanError
from ninetyfive.features.fitting import REDUCERS, Fitting
from ninetyfive.features.frames import FrameFunction, scalars
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.recording import Expr, col, pca, when
from ninetyfive.features.transform import Transform

TYPES = {
    "a": "number",
    "i": "integer",
    "s": "string",
    "b": "boolean",
    "t": "timestamp",
    "u": "timestamp[UTC]",
    "d": "date",
    "l": "list[string]",
    "o": "opaque",
}


def fit(features: Mapping[str, Expr], frame: pl.DataFrame, chunks: int = 1) -> tuple[Transform, int]:
    """The transform fitted on `frame` in chunks, and the number of phases."""
    fitting, phases = Fitting(features, TYPES), 0
    while (phase := fitting.phase()) is not None:
        phases += 1
        parts = [phase.function(part) for part in split(frame, chunks)]
        assert all(tuple(part.schema.items()) == phase.output for part in parts)
        states = {}
        for name, reducer in phase.reducers.items():
            state = reducer.zero()
            for part in parts:
                state = reducer.merge(state, reducer.add(reducer.zero(), part))
            states[name] = reducer.decode(reducer.encode(state))
        fitting.advance(states)
    return fitting.transform(), phases


def split(frame: pl.DataFrame, chunks: int) -> list[pl.DataFrame]:
    borders = np.linspace(0, frame.height, chunks + 1).astype(int).tolist()
    return [frame.slice(start, stop - start) for start, stop in pairwise(borders)]


def constants_of(transform: Transform, feature: str) -> dict[str, Any]:
    return dict(dict(transform.trees)[feature].constants)  # type: ignore[union-attr,arg-type]


numbers = st.none() | st.just(math.nan) | st.floats(-1e6, 1e6).map(lambda x: round(x, 3)) | st.sampled_from([1.0, 2.0])
letters = st.none() | st.sampled_from(["b", "a", "é", "z", "", "𝔞", "ab"])
tables = st.lists(
    st.tuples(numbers, st.none() | st.integers(-3, 3), letters, st.none() | st.booleans()), min_size=1, max_size=40
)


@given(tables, st.integers(1, 3), st.integers(2, 6), st.none() | st.integers(1, 4), st.integers(1, 3))
def test_what_is_learned_equals_plain_polars(
    rows: list[tuple[Any, ...]], chunks: int, bins: int, top: int | None, least: int
) -> None:
    schema = {"a": pl.Float64, "i": pl.Int64, "s": pl.String, "b": pl.Boolean}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    known = frame["a"].fill_nan(None).drop_nulls()
    words = {name: col(name).vocabulary(top=top, min_count=least) for name in ("i", "s", "b")}
    transform, phases = fit(words, frame, chunks)
    assert phases == 1
    for name in words:
        counts: dict[Any, int] = {}
        for value in frame[name].drop_nulls().to_list():
            counts[value] = counts.get(value, 0) + 1
        order = sorted(counts, key=lambda v: (-counts[v], v.encode() if isinstance(v, str) else v))
        expected = [value for value in order if counts[value] >= least][:top]
        assert list(constants_of(transform, name)["values"]) == expected
        index = {value: i for i, value in enumerate(expected, 1)}
        assert transform.frames()(frame)[name].to_list() == [index.get(value, 0) for value in frame[name].to_list()]
    features = {"z": col("a").zscore(), "m": col("a").fill_mean(), "q": col("a").quantile_bins(bins)}
    if not len(known):
        for name, feature in features.items():
            with pytest.raises(FeatureError, match="only null and NaN"):
                fit({name: feature}, frame)
        return
    transform, _ = fit(features, frame, chunks)
    learned_z, scale = constants_of(transform, "z"), float(known.abs().max() or 0) + 1e-300  # type: ignore[arg-type]
    assert learned_z["mean"] == pytest.approx(known.mean(), abs=1e-9 * scale)
    assert learned_z["std"] == pytest.approx(known.std(ddof=0), abs=1e-7 * scale)
    assert constants_of(transform, "m")["mean"] == learned_z["mean"]
    quantiles = np.quantile(known.to_numpy(), [i / bins for i in range(1, bins)], method="inverted_cdf")
    edges = {float(edge) + 0.0 for edge in quantiles}
    assert list(constants_of(transform, "q")["edges"]) == sorted(edges)
    below = [None if x is None or x != x else sum(e < x for e in edges) for x in frame["a"].to_list()]
    assert transform.frames()(frame)["q"].fill_nan(None).to_list() == below


def test_nested_operations_take_one_pass_a_phase_and_equal_analyzers_are_one() -> None:
    frame = pl.DataFrame({"a": [1.0, None, 4.0, 10.0], "s": ["x", "y", "x", None]})
    filled = col("a").fill_mean()
    features = {
        "filled": filled,
        "again": col("a").zscore(),
        "scaled": filled.zscore(),
        "bins": filled.zscore().quantile_bins(2),
        "s": col("s").vocabulary(),
        "s top": col("s").vocabulary(top=1),
    }
    fitting = Fitting(features, TYPES)
    phase = fitting.phase()
    assert phase is not None
    assert list(phase.reducers) == ['Moments of col("a")', 'KeyedCounts[1000000] of col("s")']
    assert [name for name, _ in phase.output] == ['col("a")', 'col("s")']
    _, phases = fit(features, frame)
    assert phases == 3


def test_features_that_learn_nothing_have_no_phase() -> None:
    transform, phases = fit({"a": col("a") + 1}, pl.DataFrame({"a": [1.0]}))
    assert phases == 0
    assert transform.rows()({"a": 2.0}) == [3.0]


def test_equal_values_have_no_spread() -> None:
    frame = pl.DataFrame({"a": [0.1] * 7 + [None, math.nan]})
    transform, _ = fit({"z": col("a").zscore()}, frame, chunks=3)
    assert constants_of(transform, "z") == {"mean": 0.1, "std": 0.0}
    rows = [transform.rows()(row)[0] for row in scalars(frame, {"a": "number"})]
    assert rows[:7] == [0.0] * 7
    assert all(math.isnan(value) for value in rows[7:])


def test_infinite_values_cannot_be_scaled() -> None:
    frame = pl.DataFrame({"a": [1.0, math.inf]})
    with pytest.raises(FeatureError, match=r"feature 'z', col\(\"a\"\)\.zscore\(\): .*finite mean.*\.clip"):
        fit({"z": col("a").zscore()}, frame)


def test_a_vocabulary_of_nothing_is_always_0_but_has_no_columns() -> None:
    frame = pl.DataFrame({"s": ["a", None]})
    transform, _ = fit({"s": col("s").vocabulary(min_count=2)}, frame)
    assert transform.frames()(frame)["s"].to_list() == [0.0, 0.0]
    with pytest.raises(FeatureError, match="lower min_count"):
        fit({"s": col("s").vocabulary(min_count=2).one_hot()}, frame)


def test_no_training_rows_teach_nothing() -> None:
    with pytest.raises(FeatureError, match="only null and NaN"):
        fit({"z": col("a").zscore()}, pl.DataFrame({"a": []}, schema={"a": pl.Float64}))


def test_label_and_fold_stand_before_what_a_target_encoding_reads() -> None:
    phase = Fitting({"z": col("s").target_encode(), "a": col("a").zscore()}, TYPES).phase()
    assert phase is not None
    assert phase.keep == ("__label", "__fold")
    assert phase.fold
    assert phase.reads == ("a", "s")
    frame = pl.DataFrame({"a": [1.0], "s": ["x"], "__label": [True], "__fold": [3]})
    assert phase.function(frame).columns == ["__label", "__fold", 'col("s")', 'col("a")']


def test_each_analyzer_has_its_reducer() -> None:
    kinds = set()
    for operation in OPERATIONS.values():
        if operation.analyzer is not None:
            example = eval(operation.example, {"col": col, "pca": pca})
            kinds.add(operation.analyzer(dict(example.node.arguments))[0])
    assert kinds == set(REDUCERS)


def test_steps_out_of_order() -> None:
    fitting = Fitting({"z": col("a").zscore()}, TYPES)
    with pytest.raises(PlanError, match="one to come"):
        fitting.transform()
    with pytest.raises(PlanError, match="none of Moments of"):
        fitting.advance({})
    with pytest.raises(FeatureError, match="a label cannot use what is learned"):
        FrameFunction((("label", col("a").zscore().node),), (("a", "number"),)).stages  # noqa: B018


WRONG: list[tuple[Any, str]] = [
    (col("aa").log1p(), r"feature 'x': expected a column of the schema, got column 'aa'.*did you mean 'a'"),
    (col("s").log1p(), r"feature 'x', operation log1p: expected a number, got col\(\"s\"\) of type string"),
    (col("s") + 1, r"two numbers, or two strings, got col\(\"s\"\) of type string and 1 of type integer"),
    (col("b") * 2, r"\.cast\(\"integer\"\)"),
    (col("s") > 1, r"got col\(\"s\"\) of type string and 1 of type integer"),
    (col("b") > True, r"of type boolean and True of type boolean"),
    (col("t") - col("u"), r"of type timestamp and col\(\"u\"\) of type timestamp\[UTC\]"),
    (col("t") - col("d"), r"of type timestamp and col\(\"d\"\) of type date"),
    (col("t") + 1, r"of type timestamp"),
    (col("a").hour(), r"operation hour: expected a timestamp"),
    (col("d").hour(), r"operation hour: expected a timestamp"),
    (col("a").lower(), r"operation lower: expected a string.*\.cast\(\"string\"\)"),
    (col("a").cast("string"), r"operation cast"),
    (col("i").fill_null("x"), r"operation fill_null.*col\(\"i\"\) of type integer and \"x\" of type string"),
    (when(col("a")).then(1).otherwise(2), r"operation if_else: expected a boolean"),
    (when(col("b")).then(1).otherwise("x"), r"operation if_else"),
    (col("a").vocabulary(), r"operation vocabulary.*col\(\"a\"\) of type number"),
    (col("s").zscore(), r"operation zscore"),
    (col("s").one_hot(), r"whose outcomes are known.*vocabulary"),
    (col("i").one_hot(["a"]), r"operation one_hot"),
    (col("l") == col("l"), r"operation equal.*type list\[string\]"),
    (col("l").fill_null(col("l")), r"operation fill_null.*type list\[string\]"),
    (col("l").list_contains(1), r"operation list_contains: expected a list and a value.*1 of type integer"),
    (col("o").list_length(), r"operation list_length.*type = \"list\[string\]\" in schema.toml"),
    (col("l"), r"of type list\[string\].*add \.list_length\(\)"),
    (col("l").list_element(0), r"of type string.*add \.vocabulary\(\)"),
    (col("o").is_null(), r"no operation takes an opaque column|anything but opaque"),
    (col("s"), r"feature 'x': expected a number.*of type string.*add \.vocabulary\(\)"),
    (col("t"), r"of type timestamp.*add \.hour\(\)"),
    (col("u"), r"of type timestamp\[UTC\].*add \.hour\(\)"),
    (col("d"), r"of type date.*add \.weekday\(\)"),
    (col("o"), r"of type opaque.*leave the column out"),
    (when(col("b")).then(1), r"expected a column expression, got Then.*end when"),
    (lambda frame: frame, r"expected a column expression"),
    (3, r"expected a column expression"),
]


@pytest.mark.parametrize(("feature", "message"), WRONG)
def test_what_only_the_schema_knows_fails_at_once(feature: Any, message: str) -> None:
    with pytest.raises(NinetyfiveError, match=message) as caught:
        Fitting({"fine": col("a"), "x": feature}, TYPES)
    assert isinstance(caught.value, FeatureError | DeclarationError)


def test_features_have_names() -> None:
    for name in ("", "__x"):
        with pytest.raises(FeatureError, match="rename the feature"):
            Fitting({name: col("a")}, TYPES)
    with pytest.raises(FeatureError, match="at least one feature"):
        Fitting({}, TYPES)


def test_a_vocabulary_too_large_for_columns() -> None:
    frame = pl.DataFrame({"i": range(10_001)})
    with pytest.raises(FeatureError, match=r"at most 10,000 columns.*top=300"):
        fit({"i": col("i").vocabulary().one_hot()}, frame)
