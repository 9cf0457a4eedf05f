"""Recording: what is written becomes a tree, and wrong words fail where they are written."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timezone
from functools import reduce
from typing import Any

import numpy as np
import pytest

from ninetyfive.errors import DeclarationError
from ninetyfive.features import tree
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.recording import Expr, coalesce, col, concat, cross, feature, greatest, least, pca, when


def distance_km(a: Any, b: Any) -> Any:
    return (a * a + b * b).sqrt()


FUNCTIONS = (coalesce, col, concat, cross, distance_km, feature, greatest, least, pca, when, date, datetime, timezone)
SCOPE = {function.__name__: function for function in FUNCTIONS}

TEXTS = [
    'col("distance").log1p().zscore()',
    '(col("origin") + "-" + col("dest")).vocabulary(top=300)',
    '(col("a") + 1) * 2 - -col("b") / 3',
    'col("a") - (col("b") - col("c"))',
    'col("a") / (col("b") * col("c"))',
    '-(col("a") + col("b"))',
    '(-col("a")).log1p()',
    '(col("a") > 1) & ~(col("b") == 2.0) | (col("c") != "x")',
    '(col("a") > 1) & ((col("b") > 1) | (col("c") > 1))',
    '(col("a") < 1) == (col("b") > 1)',
    'when(col("a") > 0).then(1).otherwise(None)',
    'when(col("a") > 0).then(col("b") + 1).otherwise(-1.5)',
    'concat(col("a"), "\\"\\\\-ß", col("b"))',
    'col("a").clip(low=-1, high=2.5)',
    'col("a").clip(high=3)',
    'col("a").fill_null(col("b"))',
    'col("a").cast("integer").one_hot(values=[1, 2])',
    'col("b").one_hot(values=[True])',
    'col("t") - datetime(2013, 1, 1, 0, 0)',
    'col("t") >= datetime(2013, 1, 1, 5, 0, tzinfo=timezone.utc)',
    'col("d") == date(2013, 1, 1)',
    'col("a") < float("inf")',
    'col("s").lower().vocabulary(top=3, min_count=2).one_hot()',
    'col("a").quantile_bins(10)',
    '(col("a") ** 2) ** col("b")',
    'col("a") ** col("b") ** -1.0',
    '-col("a") ** 2 * 3',
    '(-col("a")) ** -col("b")',
    '(col("a") * 2) ** (col("b") + 1)',
    '(-2) ** col("a")',
    '2 ** col("a")',
    '(col("a") ** 0.5).round(digits=-2)',
    'col("a").round()',
    'col("a").isin([0.5, 1.0])',
    'col("a").bucketize([-1.0, 2.5], left_closed=True).one_hot()',
    'cross(col("a"), col("b").hour(), True).hash_bucket(1000)',
    'coalesce(1, col("a"), least(col("b"), greatest(col("c"), 2.5)))',
    'col("s").slice(-3).replace("\\"", "").split_part("-", -1)',
    'col("t").since(datetime(2013, 1, 1, 0, 0))',
    'col("t").in_zone("America/New_York").since(col("u"), unit="years")',
]


@pytest.mark.parametrize("text", TEXTS)
def test_an_expression_prints_as_the_source_that_records_it(text: str) -> None:
    expression = eval(text, dict(SCOPE))
    assert str(expression) == repr(expression) == text
    assert pickle.loads(pickle.dumps(expression.node)) == expression.node
    assert hash(pickle.loads(pickle.dumps(expression.node))) == hash(expression.node)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_the_example_of_each_operation_records_it(operation: Any) -> None:
    expression = eval(operation.example, dict(SCOPE))
    assert str(expression) == operation.example
    assert expression.node.operation == operation.name


def test_methods_and_table_agree() -> None:
    methods = {name for name, _ in inspect.getmembers(Expr, inspect.isfunction) if not name.startswith("_")}
    table = {operation.name for operation in OPERATIONS.values() if operation.form == "method"}
    assert methods - {"columns"} == table
    for name in table:
        assert getattr(Expr, name).__doc__
        parameters = list(inspect.signature(getattr(Expr, name)).parameters.values())[1:]
        written = [argument.name for argument in OPERATIONS[name].arguments]
        others = {"fill_null": ["value"], "list_contains": ["value"], "since": ["other"]}.get(name, [])
        assert [parameter.name for parameter in parameters] == [*others, *written]


def test_reflected_operators_keep_their_order() -> None:
    assert str(1 - col("a")) == '1 - col("a")'
    assert str("x" + col("s")) == '"x" + col("s")'
    assert str(2 / (3 * col("a"))) == '2 / (3 * col("a"))'
    assert str(col("a") > 1) == 'col("a") > 1'
    assert str(True & (col("a") > 1)) == 'True & (col("a") > 1)'
    assert str(False | (col("a") > 1)) == 'False | (col("a") > 1)'


def test_numpy_scalars_are_constants() -> None:
    assert (np.float64(1.5) + col("a")).node == (1.5 + col("a")).node
    assert (col("a") * np.int32(2)).node == (col("a") * 2).node


def test_constants_compare_by_type_and_sign() -> None:
    nodes = [(col("a") + value).node for value in (1, 1.0, 0.0, -0.0, float("nan"))]
    assert len(set(nodes)) == 5
    assert nodes[4] == (col("a") + float("nan")).node
    moment = datetime(2013, 1, 1)
    assert (col("t") > moment).node != (col("t") > moment.replace(tzinfo=UTC)).node


def test_columns_are_those_that_are_read() -> None:
    assert when(col("a") > col("b")).then(1).otherwise(col("a")).columns() == frozenset({"a", "b"})


def test_an_expression_is_no_key() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(col("a"))


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: col("x").logp1(), r'col\("x"\)\.logp1: .* did you mean \'log1p\''),
    (lambda: col("x").clip(), r"low, high or both"),
    (lambda: col("x").clip(5, 1), r"low not above high.*\.clip\(low=1, high=5\)"),
    (lambda: col("x").clip(low=float("nan")), r"low: a finite number"),
    (lambda: col("x").clip(low="a"), r"low: a finite number"),  # type: ignore[arg-type]
    (lambda: col("x").cast("float"), r"to: one of integer, number"),  # type: ignore[arg-type]
    (lambda: col("x").quantile_bins(1), r"n: an integer from 2 to 1000"),
    (lambda: col("x").quantile_bins(True), r"n: an integer from 2"),
    (lambda: col("x").vocabulary(top=0), r"top: an integer from 1"),
    (lambda: col("x").vocabulary(min_count=0), r"min_count: an integer from 1"),
    (lambda: col("x").one_hot("ab"), r"values: a list"),
    (lambda: col("x").one_hot([]), r"values: 1 to"),
    (lambda: col("x").one_hot(["a", "a"]), r"values: each value once"),
    (lambda: col("x").one_hot(["a", 1]), r"values: strings, integers or booleans of one kind"),  # type: ignore[list-item]
    (lambda: col("x").one_hot([1.5]), r"of one kind"),  # type: ignore[list-item]
    (lambda: col("x").one_hot() + 1, r"let one_hot stand last"),
    (lambda: col("x") + None, r"expected a value, got None.*is_null"),  # type: ignore[operator]
    (lambda: col("x") == None, r"is_null"),  # type: ignore[operator]  # noqa: E711
    (lambda: col("x") * [1], r"got list"),  # type: ignore[operator]
    (lambda: col("x") + 2**63, r"an integer of 64 bits"),
    (lambda: col("x") == "\ud800", r"UTF-8"),
    (lambda: col("x") and col("y"), r"write & \| ~"),
    (lambda: not col("x"), r"write & \| ~"),
    (lambda: 1 < col("x") < 5, r"chained comparison"),
    (lambda: col("x") in [col("y")], r"write & \| ~"),
    (lambda: col(""), r"the name of a source column"),
    (lambda: col(3), r"the name of a source column"),  # type: ignore[arg-type]
    (lambda: col("__x"), r"reserved"),
    (lambda: when(True), r"a recorded condition"),  # type: ignore[arg-type]
    (lambda: when(col("x") > 1).then(None).otherwise(None), r"None twice"),
    (lambda: when(col("x") > 1).then(1).zscore(), r"otherwise"),  # type: ignore[attr-defined]
    (lambda: col("y") + when(col("x") > 1).then(1), r"a finished when"),  # type: ignore[operator]
    (lambda: concat(col("x")), r"at least 2 inputs"),
    (lambda: concat("a", "b"), r"only constants"),
    (lambda: cross(col("x")), r"at least 2 inputs"),
    (lambda: coalesce(col("x"), None), r"expected a value, got None"),  # type: ignore[arg-type]
    (lambda: least(1, 2), r"only constants"),
    (lambda: col("x").round(16), r"digits: an integer from -15 to 15"),
    (lambda: col("x").isin([]), r"values: 1 to 100000 values"),
    (lambda: col("x").isin("ab"), r"values: a list"),
    (lambda: col("x").isin([1, True]), r"of one kind"),
    (lambda: col("x").isin([0.0, -0.0]), r"values: each value once"),
    (lambda: col("x").isin([0.5, float("nan")]), r"values: a finite number"),
    (lambda: col("x").bucketize(5), r"edges: a list of numbers"),  # type: ignore[arg-type]
    (lambda: col("x").bucketize([]), r"edges: 1 to 10,000 numbers, got '0 numbers'"),
    (lambda: col("x").bucketize([1, 1.0]), r"edges: each above the one before"),
    (lambda: col("x").bucketize([1, float("inf")]), r"edges: finite numbers"),
    (lambda: col("x").bucketize(["a"]), r"edges: finite numbers"),  # type: ignore[list-item]
    (lambda: col("x").bucketize([1], left_closed=1), r"left_closed: True or False"),  # type: ignore[arg-type]
    (lambda: col("x").hash_bucket(1), r"n: an integer from 2 to 100000"),
    (lambda: col("x").slice(0, 0), r"length: an integer from 1"),
    (lambda: col("x").contains(""), r"text: a string that is not empty"),
    (lambda: col("x").replace("a", None), r"new: a string"),  # type: ignore[arg-type]
    (lambda: col("x").starts_with("\ud800"), r"UTF-8"),
    (lambda: col("x").split_part("-", 1.0), r"index: an integer from -1000 to 1000"),  # type: ignore[arg-type]
    (lambda: col("x").since(col("y"), "months"), r"unit: one of seconds, minutes"),  # type: ignore[arg-type]
    (lambda: col("x").in_zone("Europe/Pariss"), r"did you mean 'Europe/Paris'"),
    (lambda: col("x").in_zone("../zones"), r"zone: the name of a time zone"),
    (lambda: col("x").from_zone(2), r"zone: the name of a time zone"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("record", "message"), WRONG)
def test_wrong_words_fail_when_written(record: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as caught:
        record()
    assert all((caught.value.where, caught.value.expected, caught.value.got, caught.value.do))


def test_private_names_stay_attribute_errors() -> None:
    assert not hasattr(col("x"), "__array__")
    assert not hasattr(when(col("x") > 1).then(1), "_x")
    with pytest.raises(TypeError, match="not iterable"):
        iter(col("x"))  # type: ignore[call-overload]


def test_trees_are_bounded() -> None:
    deep = reduce(lambda so_far, _: so_far + 1, range(tree.MAX_DEPTH - 1), col("x"))
    with pytest.raises(DeclarationError, match="split the feature"):
        deep.__add__(1)
    wide = reduce(lambda so_far, _: so_far * so_far, range(12), col("x"))
    with pytest.raises(DeclarationError, match="split the feature"):
        wide.__mul__(wide)


def test_recording_loads_nothing_heavy() -> None:
    code = (
        "import sys, ninetyfive.features.recording\n"
        "print([name for name in ('polars', 'numpy', 'pyarrow', 'ninetyfive.reducers.moments') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
