"""The law of features: the frame lowering and the row lowering of every operation of the table give the same values."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.features.equality import check
from tests.features.strategies import ARGUMENTS, LEARNED, calls, rows_of
from tests.features.value_classes import DAY, TYPES, YEAR_1, YEAR_10000, bits

from ninetyfive.features import tree
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.program import program
from ninetyfive.features.recording import Expr, coalesce, col, cross, greatest, least, when
from ninetyfive.features.rows import every_value


def test_every_operation_has_its_strategies() -> None:
    assert set(ARGUMENTS) == {name for name, operation in OPERATIONS.items() if operation.arguments}
    assert {name for name, operation in OPERATIONS.items() if operation.learned} == LEARNED


@pytest.mark.parametrize("name", list(OPERATIONS))
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_frames_equal_rows_for_each_operation(name: str, data: st.DataObject) -> None:
    expression = data.draw(calls(OPERATIONS[name], 1))
    check({"x": expression.node}, data.draw(rows_of(expression.columns())))


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
