"""The schema: its words, its checks of itself and of a row, and schema.toml."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.errors import DataError, DeclarationError, SchemaError
from ninetyfive.schema import Change, ColumnSchema, Schema, diff, dtype, logical_type, reserved
from ninetyfive.schema_toml import from_toml, to_toml
from ninetyfive.values import TYPES

FLIGHTS = Schema(
    (
        ColumnSchema("at", "timestamp[UTC]", nullable=False, minimum="2013-01-01T00:00Z"),
        ColumnSchema("hour", "integer", minimum=0, maximum=23, max_null_fraction=0.05),
        ColumnSchema("origin", "string", values=("JFK", "LGA", "EWR")),
        ColumnSchema("wind", "number", optional=True),
        ColumnSchema("late", "boolean"),
    ),
    version=3,
    reviewed=True,
)


def test_dtypes_are_those_of_frames_in_order() -> None:
    assert FLIGHTS.dtypes[:2] == (("at", pl.Datetime("us", "UTC")), ("hour", pl.Int64()))
    assert list(FLIGHTS.types) == list(FLIGHTS.names) == ["at", "hour", "origin", "wind", "late"]
    for type in TYPES:
        assert logical_type(dtype(type)) == type
    with pytest.raises(DeclarationError):
        dtype("float")


@pytest.mark.parametrize(
    ("kind", "type"),
    [
        (pl.UInt64(), "integer"),
        (pl.Int8(), "integer"),
        (pl.Float32(), "number"),
        (pl.Decimal(10, 2), "number"),
        (pl.Decimal(10, 0), "integer"),
        (pl.Categorical(), "string"),
        (pl.Enum(["a"]), "string"),
        (pl.Datetime("ns", "Europe/Zurich"), "timestamp[UTC]"),
        (pl.Datetime("ms"), "timestamp"),
        (pl.List(pl.Int8()), "list[integer]"),
        (pl.List(pl.Decimal(10, 2)), "list[number]"),
        (pl.Array(pl.Float32(), 8), "list[number]"),
        (pl.List(pl.Categorical()), "list[string]"),
        (pl.List(pl.Boolean()), "list[boolean]"),
        (pl.List(pl.Date()), "opaque"),
        (pl.List(pl.List(pl.Int64())), "opaque"),
        (pl.Array(pl.Int8(), (2, 3)), "opaque"),
        (pl.List(pl.Struct({"a": pl.Int64()})), "opaque"),
        (pl.List(pl.Null()), None),
        (pl.Time(), "opaque"),
        (pl.Duration(), "opaque"),
        (pl.Null(), None),
    ],
)
def test_narrower_dtypes_have_a_logical_type(kind: pl.DataType, type: str | None) -> None:
    assert logical_type(kind) == type


def test_a_request_lacks_label_and_later_columns() -> None:
    assert FLIGHTS.request(["late", "wind"]).names == ("at", "hour", "origin")
    with pytest.raises(SchemaError, match="did you mean 'late'"):
        FLIGHTS.request(["lat"])


def test_a_row_is_decoded_in_the_schemas_order() -> None:
    row = FLIGHTS.row({"origin": "JFK", "at": "2013-01-01T00:00:01Z", "hour": 5.0})
    assert row == {"at": 1_356_998_401_000_000, "hour": 5, "origin": "JFK", "wind": None, "late": None}
    assert list(row) == list(FLIGHTS.names)


@pytest.mark.parametrize(
    ("given", "where", "said"),
    [
        ({}, "row 1, column 'at'", "got null"),
        ({"at": "2012-12-31T00:00Z"}, "row 1, column 'at'", "at least 2013-01-01T00:00Z"),
        ({"at": "2013-01-01T00:00Z", "hour": 24}, "row 1, column 'hour'", "at most 23"),
        ({"at": "2013-01-01T00:00Z", "origin": "JFX"}, "row 1, column 'origin'", "did you mean 'JFK'"),
        ({"at": "2013-01-01T00:00Z", "hours": 3}, "row 1", "did you mean 'hour'"),
        ({"at": "2013-01-01T00:00Z", "late": 1}, "row 1, column 'late'", "a boolean"),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused(given: dict[str, Any], where: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        FLIGHTS.row(given)
    assert caught.value.where == where
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "columns",
    [
        [ColumnSchema("a", "integer"), ColumnSchema("a", "number")],
        [ColumnSchema("__span", "integer")],
        [ColumnSchema("", "integer")],
        [ColumnSchema("a", "float")],
        [ColumnSchema("a", "integer", minimum=2, maximum=1)],
        [ColumnSchema("a", "integer", minimum="2")],
        [ColumnSchema("a", "boolean", minimum=0)],
        [ColumnSchema("a", "number", maximum=float("nan"))],
        [ColumnSchema("a", "date", values=("2013-02-30",))],
        [ColumnSchema("a", "opaque", values=("x",))],
        [ColumnSchema("a", "list[string]", values=("x",))],
        [ColumnSchema("a", "list[integer]", minimum=0)],
        [ColumnSchema("a", "list[date]")],
        [ColumnSchema("a", "integer", max_null_fraction=5.0)],
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(columns: list[ColumnSchema]) -> None:
    with pytest.raises(SchemaError):
        Schema(tuple(columns))


def test_max_quarantined_is_a_share() -> None:
    with pytest.raises(SchemaError, match="a share from 0 to 1"):
        Schema((), max_quarantined=2.0)


def test_json_comes_back_and_other_json_is_refused() -> None:
    assert Schema.from_json(FLIGHTS.to_json()) == FLIGHTS
    assert hash(Schema.from_json(FLIGHTS.to_json())) == hash(FLIGHTS)
    with pytest.raises(SchemaError):
        Schema.from_json(b"{}")


def test_diff_says_what_changed() -> None:
    new = Schema(
        (ColumnSchema("hour", "number"), FLIGHTS.column("at"), ColumnSchema("dest", "string")), max_quarantined=0.5
    )
    assert [str(change) for change in diff(FLIGHTS, new)] == [
        "column 'origin' removed",
        "column 'wind' removed",
        "column 'late' removed",
        "column 'hour' moved",
        "column 'hour', type: 'integer' → 'number'",
        "column 'hour', minimum: 0 → None",
        "column 'hour', maximum: 23 → None",
        "column 'hour', max_null_fraction: 0.05 → None",
        "column 'at' moved",
        "column 'dest' added",
        "max_quarantined: 0.01 → 0.5",
    ]
    assert diff(FLIGHTS, FLIGHTS) == ()
    assert Change("a", "added").column == "a"


# --- schema.toml ---


def test_toml_comes_back_and_says_that_nobody_reviewed() -> None:
    assert from_toml(to_toml(FLIGHTS)) == FLIGHTS
    assert "not reviewed" not in to_toml(FLIGHTS)
    text = to_toml(Schema((ColumnSchema("a", "integer"),)), {"a": "3 of 9 null;\nan example"})
    assert "Inferred, not reviewed" in text
    assert text.splitlines()[-1] == 'a = { type = "integer" }  # 3 of 9 null; an example'


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: reserved(name) is None
)


@given(
    st.lists(names, unique=True, max_size=5),
    st.booleans(),
    st.floats(0, 1),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_any_name_and_value_survives_toml(columns: list[str], flag: bool, share: float, word: str) -> None:
    schema = Schema(
        tuple(
            ColumnSchema(name, "string", nullable=flag, optional=not flag, values=(word,), max_null_fraction=share)
            for name in columns
        ),
        max_quarantined=share,
    )
    assert from_toml(to_toml(schema, dict.fromkeys(columns, word))) == schema


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[columns", "correct that line"),
        ("version = 1", r"a table \[columns\]"),
        ("format = 2\n[columns]", "format = 1"),
        ('[columns]\na = "integer"', "a table like"),
        ("[columns]\na = { typ = 'integer' }", "a table like"),
        ("[columns]\na = { type = 'integr' }", "did you mean 'integer'"),
        ("[columns]\na = { type = 'integer', minimun = 3 }", "did you mean 'minimum'"),
        ("[columns]\na = { type = 'integer', nullable = 'yes' }", "right type"),
        ("[columns]\na = { type = 'integer' }\na = { type = 'number' }", "correct that line"),
        ("reviewd = true\n[columns]", "did you mean 'reviewed'"),
        ("version = 'one'\n[columns]", "right type"),
    ],
)
def test_toml_that_cannot_be_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(SchemaError, match=said) as caught:
        from_toml(text, "schema.toml")
    assert caught.value.where.startswith("schema.toml")


def test_toml_times_need_no_quotes() -> None:
    schema = from_toml("[columns]\nday = { type = 'date', minimum = 2013-01-01, values = [2013-01-01] }")
    assert schema.column("day").minimum == "2013-01-01"
    assert schema.column("day").values == ("2013-01-01",)
