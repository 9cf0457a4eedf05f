"""Checks of a whole span: what blocks, what is only shown, and what to do."""

from __future__ import annotations

import pytest

from ninetyfive.errors import SchemaError
from ninetyfive.schema import ColumnSchema, Schema
from ninetyfive.span_checks import SpanCounts, check_columns, check_span

SCHEMA = Schema(
    (
        ColumnSchema("at", "timestamp[UTC]"),
        ColumnSchema("distance", "number", max_null_fraction=0.1),
        ColumnSchema("wind", "number", optional=True),
        ColumnSchema("notes", "opaque"),
    )
)
GOOD = {"at": "timestamp[UTC]", "distance": "integer", "wind": None, "notes": "string"}


def rules(schema: Schema, nulls: dict[str, int], counts: SpanCounts) -> list[tuple[str, str, bool]]:
    return [(found.rule, found.column, found.blocking) for found in check_span(schema, nulls, counts, "a")]


def test_good_columns_have_no_findings() -> None:
    assert check_columns(SCHEMA, GOOD, "a") == []
    assert check_columns(SCHEMA, {name: type for name, type in GOOD.items() if name != "wind"}, "a") == []


def test_a_missing_column_blocks_and_names_what_is_near() -> None:
    found = check_columns(
        SCHEMA, {"distnce" if name == "distance" else name: type for name, type in GOOD.items()}, "b.csv"
    )
    assert [(one.rule, one.column, one.blocking) for one in found] == [
        ("missing", "distance", True),
        ("new", "distnce", False),
    ]
    assert "did you mean 'distnce'?" in found[0].do
    with pytest.raises(SchemaError, match=r"b\.csv, column 'distance'"):
        raise found[0].error()


def test_times_without_a_zone_are_said_plainly() -> None:
    (found,) = check_columns(SCHEMA, GOOD | {"at": "timestamp"}, "b.parquet")
    assert (found.rule, found.expected, found.got) == ("type", "timestamp[UTC]", "timestamp")
    assert "with their zone" in found.do
    naive = Schema((ColumnSchema("at", "timestamp"),))
    assert "without a zone" in check_columns(naive, {"at": "timestamp[UTC]"}, "b")[0].do
    assert check_columns(naive, {"at": "date"}, "b") == []
    assert "write the file again" in check_columns(naive, {"at": "boolean"}, "b")[0].do


def test_lists_meet_as_their_elements_do() -> None:
    lists = Schema((ColumnSchema("l", "list[integer]"), ColumnSchema("m", "list[string]")))
    assert check_columns(lists, {"l": "list[number]", "m": None}, "a") == []
    found = check_columns(lists, {"l": "list[string]", "m": "opaque"}, "a")
    assert [(one.rule, one.column, one.blocking) for one in found] == [("type", "l", True), ("type", "m", True)]


def test_shares_that_block_and_shares_that_do_not() -> None:
    whole = SpanCounts(1_000, 1_000, 0)
    assert rules(SCHEMA, {"distance": 100}, whole) == []
    assert rules(SCHEMA, {"distance": 101}, whole) == [("null_fraction", "distance", True)]
    assert rules(SCHEMA, {"distance": 1_000}, whole) == [("all_null", "distance", True)]
    assert rules(SCHEMA, {"wind": 1_000}, whole) == [("all_null", "wind", False)]
    assert rules(SCHEMA, {"distance": 5}, SpanCounts(10, 10, 0)) == [("null_fraction", "distance", False)]
    assert rules(SCHEMA, {}, SpanCounts(1_000, 990, 10)) == []
    assert rules(SCHEMA, {}, SpanCounts(1_000, 989, 11)) == [("quarantined", "", True)]
    assert rules(SCHEMA, {}, SpanCounts(5, 0, 5)) == [("quarantined", "", True)]
    assert rules(SCHEMA, {}, SpanCounts(0, 0, 0)) == [("empty", "", True)]


def test_quarantine_names_its_causes() -> None:
    counts = SpanCounts(100, 80, 20, {("type", "hour"): 15, ("range", "x"): 5})
    (found,) = check_span(SCHEMA, {}, counts, "a.csv")
    assert found.got == "20 of 100 rows in quarantine (15 by type of 'hour', 5 by range of 'x')"
    assert found.error().where == "a.csv"
