"""The declaration: what it keeps, and everything that can be seen to be wrong without data."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

import ninetyfive as nf
from ninetyfive import col
from ninetyfive.errors import DeclarationError
from ninetyfive.system import Declaration


def declare(**words: Any) -> nf.System:
    """A system that is right but for `words`."""
    given: dict[str, Any] = {
        "name": "flights",
        "source": nf.parquet("data/*.parquet", time="at", id=["carrier", "at"]),
        "label": col("delay") > 15,
        "features": {"hour": col("at").hour()},
    }
    given |= words
    return nf.System(given.pop("name"), **given)


def model(x: Any, y: Any, params: Any) -> Any:
    """Never called."""


TIMELESS = nf.parquet("a.parquet", id="key")

WRONG: list[tuple[Callable[[], Any], str, str, str]] = [
    # names
    (lambda: declare(name="Flights"), "System(name)", "lower-case letters", "'Flights'"),
    (lambda: declare(name=""), "System(name)", "lower-case letters", "''"),
    (lambda: declare(name=7), "System(name)", "lower-case letters", "7"),
    (lambda: declare(name="a" * 64), "System(name)", "lower-case letters", "aaa"),
    (lambda: declare(features={"__x": col("a")}), "feature '__x'", "a name that is free", "are reserved"),
    (lambda: declare(features={"": col("a")}), "feature ''", "a name", "''"),
    (lambda: declare(features={1: col("a")}), "feature 1", "a name", "1"),
    (lambda: declare(entity=["a", "a"]), "entity=", "each name once", "['a', 'a']"),
    (lambda: declare(entity=[""]), "entity=", "a list of names", "''"),
    (lambda: declare(later=5), "later=", "a name or a list of names", "5"),
    (lambda: declare(slices=[7]), "slices=", "a list of names", "7"),
    # what is declared at all
    (lambda: declare(source="data/*.parquet"), "source=", "nf.parquet(...)", "data/*.parquet"),
    (lambda: declare(label="delay"), "label=", "an expression such as", "'delay'"),
    (lambda: declare(label=True), "label=", "an expression such as", "True"),
    (lambda: declare(label=col("delay").zscore() > 1), "label=", "learn nothing from others", "'zscore'"),
    (lambda: declare(label=col("delay").one_hot(["a"])), "label=", "learn nothing from others", "'one_hot'"),
    (lambda: declare(features={}), "features=", "a dict of name → expression", "{}"),
    (lambda: declare(features=[col("a")]), "features=", "a dict of name → expression", "col"),
    (lambda: declare(features={"a": "a"}), "feature 'a'", "an expression such as", "'a'"),
    # what is known only afterwards
    (
        lambda: declare(features={"d": col("delay") / 60}),
        "feature 'd'",
        "known when the request",
        "the label is made of",
    ),
    (lambda: declare(later=["air"], features={"x": col("air") + 1}), "feature 'x'", "known when", "`later` says"),
    (lambda: declare(label_time="known", features={"x": col("known").hour()}), "feature 'x'", "known", "`label_time`"),
    (lambda: declare(label=col("carrier") == "UA"), "column 'carrier'", "id, entity and time", "a label or later"),
    (lambda: declare(later=["at"], features={"a": col("a")}), "column 'at'", "id, entity and time", "a label or later"),
    (lambda: declare(label_time="at", features={"a": col("a")}), "column 'at'", "id, entity and time", "a label"),
    (lambda: declare(entity=["e"], later=["e"]), "column 'e'", "id, entity and time", "a label or later"),
    # operations and their arguments
    (lambda: col("a").zscor(), 'col("a").zscor', "an operation", "'zscor'"),
    (lambda: col("a").quantile_bins(0), "quantile_bins", "", "0"),
    (lambda: col("a").clip(5, 1), "clip", "", ""),
    (lambda: col("a").cast("float"), "cast", "", "'float'"),
    # times and durations
    (lambda: declare(label_delay="6 hours"), "label_delay=", "a whole number from 1 and a unit", "'6 hours'"),
    (lambda: declare(label_delay="6h", label_time="known"), "system 'flights'", "one of label_time=", "both"),
    (lambda: declare(label_time=5), "label_time=", "the name of a column", "5"),
    (lambda: declare(source=TIMELESS, label_delay="6h"), "label_delay=", "a source with time=", "without"),
    (lambda: nf.DynamicTraining(every="daily"), "DynamicTraining(every=)", "a unit", "'daily'"),
    (lambda: nf.DynamicTraining(every=None), "DynamicTraining(every=)", "a unit", "None"),
    (lambda: nf.DynamicTraining(every="1d", window="0d"), "DynamicTraining(window=)", "from 1", "'0d'"),
    (lambda: nf.StaticTraining(window="1y"), "StaticTraining(window=)", "a unit", "'1y'"),
    (lambda: nf.StaticTraining(watch="often"), "StaticTraining(watch=)", "a unit", "'often'"),
    (lambda: nf.StaticTraining(watch="3d", drop=0), "StaticTraining(drop=)", "a share above 0", "0"),
    (lambda: nf.StaticTraining(watch="3d", drop=True), "StaticTraining(drop=)", "a share above 0", "True"),
    # the split
    (lambda: nf.Split("random"), "Split(by=)", "'time' or 'id'", "'random'"),
    (lambda: nf.Split("time", test=0.0), "Split(test=)", "between 0 and 1", "0.0"),
    (lambda: nf.Split("time", test=1), "Split(test=)", "between 0 and 1", "1"),
    (lambda: nf.Split("time", test="half"), "Split(test=)", "between 0 and 1", "'half'"),
    (lambda: declare(split="time"), "split=", "nf.Split('time')", "'time'"),
    (lambda: declare(source=TIMELESS, split=nf.Split("time")), "split=", "time= in the source", "without time="),
    (lambda: declare(source=nf.parquet("a")), "source", "time= (the newest", "neither"),
    (lambda: declare(source=nf.parquet("a", time="at"), split=nf.Split("id")), "source", "id=", "without id="),
    # judgement
    (lambda: declare(task="ranking"), "task=", "'binary' or 'multiclass' or 'regression'", "'ranking'"),
    (lambda: declare(metrics=["acu"]), "metrics=", "a metric", "'acu'"),
    (lambda: declare(metrics=["auc", "auc"]), "metrics=", "each name once", "['auc', 'auc']"),
    (lambda: declare(task="regression", metrics=["auc"]), "metrics= or gates=", "of the task 'regression'", "'auc'"),
    (lambda: declare(task="binary", gates=[nf.Gate("mae", at_most=1)]), "gates=", "of the task 'binary'", "'mae'"),
    (lambda: nf.Gate("acu", at_least=0.5), "Gate('acu')", "a metric", "'acu'"),
    (lambda: nf.Gate(["auc"], at_least=0.5), "Gate(['auc'])", "a metric", "['auc']"),
    (lambda: nf.Gate("auc"), "Gate('auc')", "one of at_least=", "none"),
    (lambda: nf.Gate("auc", at_least=0.5, may_lose=0), "Gate('auc')", "one of at_least=", "at_least, may_lose"),
    (lambda: nf.Gate("auc", may_lose=-0.1), "Gate('auc'), may_lose=", "a number from 0", "-0.1"),
    (lambda: nf.Gate("auc", at_least="high"), "Gate('auc'), at_least=", "a number", "'high'"),
    (lambda: nf.Gate("auc", at_most=math.nan), "Gate('auc'), at_most=", "a number", "nan"),
    (lambda: nf.Gate("auc", at_least=0.5, rows=0), "Gate('auc'), rows=", "a whole number from 1", "0"),
    (lambda: declare(gates=[0.5]), "gates=", "a list of nf.Gate(...)", "[0.5]"),
    (
        lambda: declare(gates=[nf.Gate("auc", at_least=0.5, slice="a")], slices=["b"]),
        "Gate(slice='a')",
        "slices=",
        "['b']",
    ),
    # paradigms
    (lambda: declare(training="dynamic"), "training=", "'measured'", "'dynamic'"),
    (lambda: declare(training=nf.StaticTraining), "training=", "nf.StaticTraining()", "class"),
    (lambda: declare(serving="static"), "serving=", "'measured'", "'static'"),
    (lambda: declare(serving=nf.StaticTraining()), "serving=", "nf.StaticServing", "StaticTraining"),
    (lambda: declare(serving=nf.StaticServing("p.parquet")), "serving=StaticServing", "entity=", "none"),
    (lambda: declare(serving=nf.HybridServing(top=5)), "serving=HybridServing", "entity=", "none"),
    (lambda: declare(source=TIMELESS, training=nf.StaticTraining("9d")), "training window", "time=", "without"),
    (lambda: declare(source=TIMELESS, training=nf.StaticTraining(watch="9d")), "training watch", "time=", "without"),
    (lambda: nf.StaticServing(""), "StaticServing(population=)", "the path or URL", "''"),
    (lambda: nf.StaticServing("p", on_change="wait"), "StaticServing(on_change=)", "'stale' or 'refuse'", "'wait'"),
    (lambda: nf.StaticServing("p", on_missing=None), "StaticServing(on_missing=)", "404", "None"),
    (nf.StaticServing, "StaticServing(...)", "one of top= and population=", "population=None"),
    (lambda: nf.StaticServing("p", top=5), "StaticServing(...)", "one of top= and population=", "population=p"),
    (lambda: nf.StaticServing(top=0), "StaticServing(top=)", "a whole number from 1", "0"),
    (nf.HybridServing, "HybridServing(...)", "one of top= and population=", "top=None"),
    (lambda: nf.HybridServing(top=5, population="p"), "HybridServing(...)", "one of top= and population=", "top=5"),
    (lambda: nf.HybridServing(top=0), "HybridServing(top=)", "a whole number from 1", "0"),
    (lambda: nf.HybridServing(top=True), "HybridServing(top=)", "a whole number from 1", "True"),
    (lambda: nf.HybridServing(population=7), "HybridServing(population=)", "the path or URL", "7"),
    (lambda: nf.StaticServing("p", on_outside=None), "StaticServing(on_outside=)", "422, or the answer", "None"),
    (
        lambda: nf.StaticServing("p", max_age="old"),
        "StaticServing(max_age=)",
        "a whole number from 1 and a unit",
        "old",
    ),
    (lambda: nf.DynamicServing(on_outside=True), "DynamicServing(on_outside=)", "422, or the answer", "True"),
    (lambda: nf.HybridServing(top=5, on_outside=""), "HybridServing(on_outside=)", "422, or the answer", "''"),
    (lambda: nf.HybridServing(top=5, max_age="0d"), "HybridServing(max_age=)", "a whole number from 1", "0d"),
    (
        lambda: declare(task="binary", serving=nf.DynamicServing(on_outside="no")),
        "DynamicServing(on_outside=)",
        "a number (the task is binary)",
        "no",
    ),
    (
        lambda: declare(task="binary", serving=nf.DynamicServing(on_outside=2.5)),
        "DynamicServing(on_outside=)",
        "a probability from 0 to 1",
        "2.5",
    ),
    (
        lambda: declare(task="multiclass", entity="carrier", serving=nf.StaticServing("p", on_missing=0.5)),
        "StaticServing(on_missing=)",
        "the name of a class (the task is multiclass)",
        "0.5",
    ),
    (lambda: nf.HybridServing(top=5, cache=-1), "HybridServing(cache=)", "a whole number from 0", "-1"),
    # the model
    (lambda: declare().model(declare), "model 'declare'", "a function of (x, y, params)", "(**words"),
    (lambda: declare().model(7), "model 7", "a function of (x, y, params)", "7"),
    (lambda: declare().model(model, params=["max_iter"]), "params=", "a mapping", "['max_iter']"),
    (lambda: declare().model(model, params={"x": object()}), "params=", "values that JSON can hold", "object"),
    (lambda: declare().model(model, params={"x": math.nan}), "params['x']", "a finite number", "nan"),
    (lambda: declare().model(model, params={"x": {"y": [1.0, -math.inf]}}), "params['x']['y'][1]", "finite", "-inf"),
    (lambda: declare().model(model, seed=-1), "seed=", "a whole number from 0", "-1"),
    (lambda: declare().model(model, seed=2**32), "seed=", "a whole number from 0", "4294967296"),
]


@pytest.mark.parametrize(("make", "where", "expected", "got"), WRONG)
def test_what_is_wrong_without_data_fails_when_it_is_declared(
    make: Callable[[], Any], where: str, expected: str, got: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        make()
    error = caught.value
    assert where in error.where, error
    assert expected in error.expected, error
    assert got in error.got, error
    assert error.do
    assert error.exit_code == 2


def test_names_that_are_nearly_right_are_proposed() -> None:
    with pytest.raises(DeclarationError, match="did you mean 'auc'"):
        declare(metrics=["acu"])
    with pytest.raises(DeclarationError, match="did you mean 'zscore'"):
        col("a").zscor()


def test_a_system_has_one_model() -> None:
    system = declare()
    assert system.model(model) is model
    with pytest.raises(DeclarationError, match="expected one model, got a second one"):
        system.model(model)


def test_the_model_is_declared_with_its_parameters() -> None:
    bare, full = declare(), declare()
    bare.model(model)
    assert bare.declared_model is not None
    assert (bare.declared_model.params, bare.declared_model.native, bare.declared_model.seed) == ({}, False, 95)
    assert full.model(params={"depth": 3}, native=True, seed=7)(model) is model
    assert full.declared_model is not None
    assert (full.declared_model.params, full.declared_model.native, full.declared_model.seed) == ({"depth": 3}, True, 7)


def test_four_ideas_are_enough_and_the_rest_has_a_default() -> None:
    system = declare()
    assert system.effective_training == nf.StaticTraining()
    assert system.effective_serving == nf.DynamicServing()
    assert (system.training, system.serving) == ("measured", "measured")
    assert system.effective_split == nf.Split("time", 0.2)
    assert declare(source=TIMELESS).effective_split == nf.Split("id", 0.2)
    assert (system.entity, system.later, system.metrics, system.slices, system.gates) == ((), (), (), (), ())
    assert system.task is None


def test_the_production_form_is_kept_as_it_was_said() -> None:
    gates = [nf.Gate("auc", at_least=0.6), nf.Gate("log_loss", may_lose=0.01, slice="carrier", rows=2_000)]
    system = declare(
        entity="carrier",
        later=["air_time"],
        label_delay="6h",
        task="binary",
        metrics=["auc", "log_loss"],
        slices=["carrier"],
        gates=gates,
        split=nf.Split("id", 0.3),
        training=nf.DynamicTraining(every="1d", window="90d"),
        serving=nf.HybridServing(top=10_000, cache=100),
    )
    assert system.entity == ("carrier",)
    assert system.hindsight == {"delay", "air_time"}
    assert system.label_columns == {"delay"}
    assert system.gates == tuple(gates)
    assert system.effective_split == nf.Split("id", 0.3)
    assert system.effective_training == nf.DynamicTraining(every="1d", window="90d")
    assert system.effective_serving == nf.HybridServing(top=10_000, cache=100)
    assert declare(gates=gates[0]).gates == (gates[0],)
    assert declare(label_time="known").hindsight == {"delay", "known"}
    static = nf.StaticServing("all.parquet", on_missing="unknown", on_change="refuse")
    assert declare(entity=["carrier"], serving=static).effective_serving == static


def test_where_a_system_is_declared_is_known() -> None:
    assert declare().origin == __file__
    words: dict[str, Any] = {"__name__": "notebook", "nf": nf, "col": col}
    exec("s = nf.System('s', source=nf.parquet('a', id='k'), label=col('y') > 1, features={'a': col('a')})", words)
    assert words["s"].origin is None
    bare = Declaration("s", source=TIMELESS, label=col("y") > 1, features={"a": col("a")})
    assert bare.origin == __file__


def test_a_frame_is_a_source() -> None:
    system = declare(source=nf.frame(pl.DataFrame({"a": [1]}), id="a"), features={"a": col("a")})
    assert system.effective_split.by == "id"
