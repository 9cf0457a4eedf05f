"""The law of features: the frame lowering and the row lowering of every operation of the table give the same values."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.features.equality import check
from tests.features.strategies import ARGUMENTS, LEARNED, calls, rows_of_all
from tests.features.value_classes import DAY, TYPES, YEAR_1, YEAR_10000, bits

from ninetyfive.features import tree
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.program import program
from ninetyfive.features.recording import Expr, col, when
from ninetyfive.features.rows import every_value


def test_every_operation_has_its_strategies() -> None:
    assert set(ARGUMENTS) == {name for name, operation in OPERATIONS.items() if operation.arguments}
    assert {name for name, operation in OPERATIONS.items() if operation.learned} == LEARNED


@pytest.mark.parametrize("name", list(OPERATIONS))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_frames_equal_rows_for_each_operation(name: str, data: st.DataObject) -> None:
    expression = data.draw(calls(OPERATIONS[name], 1))
    check({"x": expression.node}, data.draw(rows_of_all))


NAN = math.nan
A, N, S = "number 1", "integer 1", "string 1"
WORDS, FLOATS = "list[string] 1", "list[number] 1"
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
]


@pytest.mark.parametrize(
    ("expression", "row", "expected"), EDGES, ids=[str(edge[0])[:60] + str(edge[1]) for edge in EDGES]
)
def test_known_values(expression: Expr, row: dict[str, Any], expected: Any) -> None:
    whole_row = dict.fromkeys(TYPES) | row
    made = program({"x": expression.node}, TYPES)
    assert bits(every_value(made)(whole_row)[made.outputs[0][1]]) == bits(expected)
    check({"x": expression.node}, [whole_row])


REFUSING = [
    when(col("boolean 1")).then(col(N) + col(N)).otherwise(0),
    when(col("boolean 1")).then(0).otherwise(1 - (col(N) * 2)),
    (-(col(N) + col(N))).fill_mean() == col(A),
    (col(N) + col(N)).quantile_bins(2) > col(A),
]


@pytest.mark.parametrize("expression", REFUSING, ids=str)
def test_a_branch_that_is_not_taken_refuses_the_row_too(expression: Expr) -> None:
    """Polars leaves out what no row of a frame takes."""
    learned = {"fill_mean": (("mean", 0.0),), "quantile_bins": (("edges", (1.0,)),)}
    new = {
        node: tree.Call(node.operation, node.inputs, node.arguments, learned[node.operation])
        for node in tree.distinct([expression.node])
        if isinstance(node, tree.Call) and node.operation in learned
    }
    features = tree.replace({"x": expression.node}, new)
    row = dict.fromkeys(TYPES) | {N: 2**62, A: math.nan, "boolean 1": False}
    assert check(features, [row, row | {"boolean 1": True, A: 1.0}]) >= 1
