"""Conform: rows are conserved, and a frame takes exactly the values that a request takes."""

from __future__ import annotations

import json
import math
import pickle
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ninetyfive.conform import REJECTED, Conform
from ninetyfive.errors import DataError, SchemaError
from ninetyfive.schema import ColumnSchema, Schema
from ninetyfive.values import INTEGER_TEXT, MISSING_WORDS, NUMBER_TEXT, TYPES, Text

RULES = ("type", "overflow", "time", "null", "range", "values")


def conform(raw: pl.DataFrame, *columns: ColumnSchema, text: Text = "typed") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Accepted and rejected rows, with what must hold for any of them."""
    schema = Schema(columns)
    function = Conform(schema, text)
    accepted, rejected = function(raw)
    assert accepted.height + rejected.height == raw.height
    assert tuple(accepted.schema.items()) == function.accepted
    assert tuple(rejected.schema.items()) == function.rejected("__span" in raw.columns)
    assert set(rejected["rule"]) <= set(RULES)
    return accepted, rejected


def physical(column: pl.Series) -> list[Any]:
    values = column.to_physical().to_list()
    return [tuple(value) if isinstance(value, list) else value for value in values]


# --- one value: frames and rows agree ---

CLOCK = r"([T ]([0-2][0-9]):([0-6][0-9])(:[0-6][0-9](\.[0-9]{0,9})?)?(Z|[+-]([0-2][0-9]):?[0-6][0-9])?)?"
TIMES = st.from_regex(r"(2013|0000|0001|9999|1969)-(0[0-3]|1[0-3])-([0-3][0-9])" + CLOCK, fullmatch=True)
EDGES = [
    0,
    5,
    5.0,
    5.5,
    -0.0,
    2**63,
    -(2**63),
    2**63 - 1,
    2.0**63,
    2**53 + 1,
    10**30,
    1e300,
    True,
    False,
    None,
    "",
    "5",
    "true",
    "é",
    '"\\\n',
]
JSON = st.one_of(
    st.sampled_from(EDGES),
    TIMES,
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.lists(st.integers(0, 3), max_size=2),
    st.lists(
        st.sampled_from([None, 1, 2.0, 2.5, True, "a", '\\"é,]', 2**63, 10**400, 1e300, [1], {"a": 1}, "2013-01-01"]),
        max_size=3,
    ),
    st.dictionaries(st.text(max_size=2), st.booleans(), max_size=2),
)
BOUNDED = {
    "integer": {"minimum": -5, "maximum": 10**6},
    "number": {"minimum": -5.5, "maximum": 1e9},
    "string": {"minimum": "", "maximum": "q"},
    "timestamp": {"minimum": "1970-01-01T00:00", "maximum": "2013-07-01"},
    "timestamp[UTC]": {"minimum": "1970-01-01T00:00Z", "maximum": "2013-07-01T00:00+02:00"},
    "date": {"minimum": "1970-01-01"},
}


def row_answer(schema: Schema, value: Any) -> tuple[bool, Any]:
    try:
        return True, schema.row({"x": value})["x"]
    except DataError:
        return False, None


def agrees(raw: pl.DataFrame, given: list[Any], column: ColumnSchema, text: Text) -> None:
    """Hold a raw column against the row answers for the same values (opaque text may be spelled otherwise)."""
    accepted, _ = conform(raw, column, text=text)
    answers = [row_answer(Schema((column,)), value) for value in given]
    expected = [decoded for taken, decoded in answers if taken]
    assert accepted.height == len(expected), (given, accepted.rows())
    if column.type != "opaque":
        assert repr(physical(accepted["x"])) == repr(expected)


@pytest.mark.parametrize("type", TYPES)
@settings(max_examples=40)
@given(given=st.lists(st.one_of(JSON, TIMES), min_size=1, max_size=12), nullable=st.booleans(), bounded=st.booleans())
@example(given=["2013-01-01T10:00:00.1234567+01:30", "0001-01-01T00:00:00+01:00"], nullable=True, bounded=False)
@example(given=["2013-02-29", "2012-02-29", *EDGES], nullable=True, bounded=False)
def test_json_text_and_rows_take_the_same_values(type: str, given: list[Any], nullable: bool, bounded: bool) -> None:
    column = ColumnSchema("x", type, nullable=nullable, **(BOUNDED.get(type, {}) if bounded else {}))
    texts = [None if one is None else json.dumps(one, ensure_ascii=bounded, separators=(",", ":")) for one in given]
    agrees(pl.DataFrame({"x": texts}, schema={"x": pl.String}), given, column, "json")


TYPED: dict[pl.DataType, st.SearchStrategy[Any]] = {
    pl.Boolean(): st.booleans(),
    pl.Int64(): st.integers(-(2**63), 2**63 - 1),
    pl.Int8(): st.integers(-128, 127),
    pl.UInt64(): st.integers(0, 2**64 - 1),
    pl.Float64(): st.one_of(st.floats(), st.sampled_from([5.0, -0.0, 2.0**63, -(2.0**63), 2.0**53])),
    pl.Float32(): st.floats(width=32),
    pl.String(): st.one_of(TIMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
    pl.Categorical(): st.sampled_from(["a", "2013-01-01", "5"]),
    pl.Datetime("us"): st.datetimes(),
    pl.Datetime("ms"): st.datetimes().map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)),
    pl.Datetime("us", "UTC"): st.datetimes(timezones=st.just(UTC)),
    pl.Datetime("us", "Asia/Kolkata"): st.datetimes(datetime(1900, 1, 1), timezones=st.just(UTC)),
    pl.Date(): st.dates(),
    pl.Binary(): st.binary(max_size=3),
}
LISTED = (pl.Boolean, pl.Int64, pl.Int8, pl.UInt64, pl.Float64, pl.Float32, pl.String, pl.Categorical, pl.Date)
TYPED |= {pl.List(kind): st.lists(st.none() | TYPED[kind()], max_size=3) for kind in LISTED}
TYPED[pl.Array(pl.Int8, 2)] = st.lists(st.none() | st.integers(-128, 127), min_size=2, max_size=2)
TYPED[pl.List(pl.Null)] = st.lists(st.none(), max_size=2)
TYPED[pl.List(pl.List(pl.Int64))] = st.lists(st.lists(st.integers(0, 2), max_size=1), max_size=2)


@pytest.mark.parametrize("type", TYPES)
@settings(max_examples=60)
@given(data=st.data(), nullable=st.booleans(), bounded=st.booleans())
def test_typed_columns_and_rows_take_the_same_values(type: str, data: Any, nullable: bool, bounded: bool) -> None:
    kinds = [kind for kind in TYPED if (type == "opaque") == (kind == pl.Binary())]  # JSON has no bytes
    kind = data.draw(st.sampled_from(kinds))
    given = data.draw(st.lists(st.one_of(st.none(), TYPED[kind]), min_size=1, max_size=12))
    column = ColumnSchema("x", type, nullable=nullable, **(BOUNDED.get(type, {}) if bounded else {}))
    agrees(pl.DataFrame({"x": pl.Series(given, dtype=kind)}), given, column, "typed")


@given(
    st.lists(
        st.sampled_from(
            [None, "7", " 7", "07", "7.0", "7.5", "x", "NA", "", "1e2", "99999999999999999999", "+7", "-7"]
        ),
        max_size=20,
    )
)
def test_csv_is_row_wise(fields: list[str | None]) -> None:
    raw = pl.DataFrame({"x": fields}, schema={"x": pl.String})
    column = ColumnSchema("x", "integer", minimum=0)
    whole, rejected = conform(raw, column, text="csv")
    parts = [conform(raw[at : at + 1], column, text="csv") for at in range(raw.height)]
    assert whole["x"].to_list() == [value for part, _ in parts for value in part["x"]]
    assert rejected.rows() == [row for _, part in parts for row in part.rows()]


# --- CSV text ---


def csv_answer(field: str, type: str) -> Any:
    """What the docs say of a CSV field of numbers, in plain Python; "refused" where it is none."""
    text = field.strip(" \t")
    if text in MISSING_WORDS:
        return None
    if not re.fullmatch(NUMBER_TEXT, text):
        return "refused"
    if type == "integer" and re.fullmatch(INTEGER_TEXT, text):
        return int(text) if -(2**63) <= int(text) < 2**63 else "refused"
    number = float(text)
    if not math.isfinite(number):
        return "refused"
    if type == "number":
        return number
    return int(number) if number.is_integer() and -(2.0**63) <= number < 2.0**63 else "refused"


FIELDS = st.one_of(
    st.text("0123456789+-.eE_ \txXinfa", max_size=8),
    st.from_regex(NUMBER_TEXT, fullmatch=True),
    st.sampled_from(
        ["9223372036854775808", "-9223372036854775808", "1e19", "infinity", "-inf", "1_0", "٥", "NA", "1d5"]
    ),
)


@pytest.mark.parametrize("type", ["integer", "number"])
@given(st.lists(FIELDS, min_size=1, max_size=20))
def test_csv_numbers_are_what_the_grammar_says(type: str, fields: list[str]) -> None:
    accepted, rejected = conform(pl.DataFrame({"x": fields}), ColumnSchema("x", type), text="csv")
    answers = [csv_answer(field, type) for field in fields]
    assert repr(accepted["x"].to_list()) == repr([answer for answer in answers if answer != "refused"])
    assert rejected["value"].to_list() == [
        field for field, answer in zip(fields, answers, strict=True) if answer == "refused"
    ]


@pytest.mark.parametrize(
    ("type", "fields", "expected", "rules"),
    [
        ("integer", ["7", "+7", " 7 ", "007", "7.0", "7e1", "NA", ""], [7, 7, 7, 7, 7, 70, None, None], []),
        (
            "integer",
            ["7.5", "x", "9223372036854775808", "1e30", "0x7", "1_0"],
            [],
            ["type", "type", "overflow", "overflow", "type", "type"],
        ),
        ("number", ["1", ".5", "5.", "-1e-3", "nan", "NULL"], [1.0, 0.5, 5.0, -0.001, None, None], []),
        ("number", ["1e999", "inf", "1,5", "--1"], [], ["overflow", "type", "type", "type"]),
        ("boolean", ["true", "FALSE", "True", "NA"], [True, False, True, None], []),
        ("boolean", ["1", "yes"], [], ["type", "type"]),
        ("string", ["NA", "nan", " x "], ["NA", "nan", " x "], []),
        ("date", ["1970-01-02", " 1970-01-02", "n/a"], [1, 1, None], []),
        ("opaque", ["x"], [b"x"], []),
    ],
)
def test_csv_fields_are_parsed_by_the_schema(
    type: str, fields: list[str], expected: list[Any], rules: list[str]
) -> None:
    accepted, rejected = conform(pl.DataFrame({"x": fields}), ColumnSchema("x", type), text="csv")
    assert physical(accepted["x"]) == expected
    assert rejected["rule"].to_list() == rules


# --- rows ---


def test_rejected_rows_keep_their_place_all_they_held_and_the_first_rule() -> None:
    raw = pl.DataFrame(
        {
            "__span": ["s", "s", "s"],
            "__position": [4, 5, 6],
            "a": [1.5, 2.0, math.nan],
            "b": ["x", None, "z"],
            "extra": [date(2013, 1, 1), None, None],
        }
    )
    accepted, rejected = conform(raw, ColumnSchema("b", "string", nullable=False), ColumnSchema("a", "integer"))
    assert accepted.is_empty()
    assert rejected.rows() == [
        ("s", 4, "type", "a", "1.5", '{"a":1.5,"b":"x","extra":"2013-01-01"}'),
        ("s", 5, "null", "b", None, '{"a":2.0,"b":null,"extra":null}'),
        ("s", 6, "type", "a", '"nan"', '{"a":"nan","b":"z","extra":null}'),
    ]


def test_json_rows_keep_their_json() -> None:
    raw = pl.DataFrame({"a": ['"x"', "7"], "b": ['{"c":1}', None]})
    _, rejected = conform(raw, ColumnSchema("a", "integer"), text="json")
    assert rejected.rows() == [("type", "a", '"x"', '{"a":"x","b":{"c":1}}')]


def test_a_list_that_does_not_fit_tells_its_first_element_that_does_not() -> None:
    column = ColumnSchema("tags", "list[integer]", nullable=False)
    fields = ["[1, null, 2.0]", "[]", '[1, "a", true]', "[99999999999999999999]", "7", None, "[[1]]", '["\\ud800"]']
    accepted, rejected = conform(pl.DataFrame({"tags": fields}), column, text="json")
    assert accepted["tags"].to_list() == [[1, None, 2], []]
    assert rejected.rows()[0] == ("type", "tags", 'tags[1]: "a"', '{"tags":[1, "a", true]}')
    assert rejected.select("rule", "value").rows()[1:] == [
        ("overflow", "tags[0]: 99999999999999999999"),
        ("type", "7"),
        ("null", None),
        ("type", "tags[0]: [1]"),
        ("type", '["\\ud800"]'),
    ]
    typed = pl.DataFrame({"tags": [[1.0, math.nan], [2.0, None], None, [0.5]]})
    accepted, rejected = conform(typed, column)
    assert accepted["tags"].to_list() == [[2, None]]
    assert rejected["value"].to_list() == ['tags[1]: "nan"', None, "tags[0]: 0.5"]
    assert rejected["row"][0] == '{"tags":[1.0,"nan"]}'
    money = pl.DataFrame({"tags": pl.Series([[Decimal(1), Decimal(10**20)]], dtype=pl.List(pl.Decimal(30, 0)))})
    assert conform(money, column)[1]["value"].to_list() == ["tags[1]: 100000000000000000000"]
    accepted, rejected = conform(pl.DataFrame({"tags": ["", "[1]"]}), column, text="csv")
    assert rejected["rule"].to_list() == ["type", "type"]


def test_a_rule_is_the_first_one_in_order() -> None:
    raw = pl.DataFrame({"a": [5, 50, None, 7], "b": ["x", "x", "x", "y"]})
    columns = (
        ColumnSchema("a", "integer", nullable=False, minimum=0, maximum=9, values=(5, 6, 50)),
        ColumnSchema("b", "string", values=("x",)),
    )
    accepted, rejected = conform(raw, *columns)
    assert accepted.rows() == [(5, "x")]
    assert rejected["rule"].to_list() == ["range", "null", "values"]
    assert rejected["column"].to_list() == ["a", "a", "a"]


def test_missing_columns() -> None:
    raw = pl.DataFrame({"distnce": [1]})
    with pytest.raises(SchemaError, match="did you mean 'distnce'"):
        conform(raw, ColumnSchema("distance", "integer"))
    accepted, _ = conform(raw, ColumnSchema("distance", "integer", optional=True))
    assert accepted.rows() == [(None,)]
    _, rejected = conform(raw, ColumnSchema("distance", "integer", optional=True, nullable=False))
    assert rejected["rule"].to_list() == ["null"]
    accepted, _ = conform(raw, ColumnSchema("distance", "integer"), text="json")
    assert accepted.rows() == [(None,)]


def test_no_rows_no_columns_and_only_extra_columns() -> None:
    conform(pl.DataFrame({"a": []}, schema={"a": pl.String}), ColumnSchema("a", "integer", values=(1,)))
    accepted, _ = conform(pl.DataFrame({"a": [1, 2]}))
    assert accepted.height == 2
    accepted, _ = conform(pl.DataFrame(height=3), ColumnSchema("a", "integer"), text="json")
    assert accepted.height == 3


def test_columns_of_null_take_any_type() -> None:
    raw = pl.DataFrame({"a": [None, None]})
    for type in TYPES:
        accepted, _ = conform(raw, ColumnSchema("a", type))
        assert accepted["a"].null_count() == 2


def test_other_numbers_and_nested_values() -> None:
    raw = pl.DataFrame(
        {
            "money": pl.Series([Decimal("1.25"), None], dtype=pl.Decimal(10, 2)),
            "key": pl.Series([Decimal(7), Decimal(10**20)], dtype=pl.Decimal(30, 0)),
            "list": [[1, 2], None],
            "took": pl.Series([1, None], dtype=pl.Duration("us")),
        }
    )
    columns = (ColumnSchema("money", "number"), ColumnSchema("key", "integer"), ColumnSchema("list", "opaque"))
    accepted, rejected = conform(raw, *columns, ColumnSchema("took", "opaque"))
    assert accepted.row(0)[:3] == (1.25, 7, b"[1,2]")
    assert rejected["rule"].to_list() == ["overflow"]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_with_and_without_zone(unit: Any) -> None:
    naive = pl.DataFrame({"at": pl.Series([datetime(2013, 7, 1, 12)]).dt.cast_time_unit(unit)})
    zoned = naive.select(pl.col("at").dt.replace_time_zone("America/New_York"))
    assert conform(naive, ColumnSchema("at", "timestamp"))[0].rows() == [(datetime(2013, 7, 1, 12),)]
    assert conform(zoned, ColumnSchema("at", "timestamp[UTC]"))[0].rows() == [(datetime(2013, 7, 1, 16, tzinfo=UTC),)]
    for raw, type in ((naive, "timestamp[UTC]"), (zoned, "timestamp")):
        assert conform(raw, ColumnSchema("at", type))[1]["rule"].to_list() == ["type"]


def test_times_outside_the_years_1_to_9999() -> None:
    for kind in (pl.Datetime("us"), pl.Datetime("ms"), pl.Datetime("ms", "UTC")):
        raw = pl.DataFrame({"at": pl.Series([2**62, 0, None], dtype=pl.Int64).cast(kind)})
        type = "timestamp[UTC]" if kind.time_zone else "timestamp"
        accepted, rejected = conform(raw, ColumnSchema("at", type))
        assert physical(accepted["at"]) == [0, None]
        assert rejected["rule"].to_list() == ["time"]
    days = pl.DataFrame({"at": pl.Series([2**30, 0], dtype=pl.Int32).cast(pl.Date)})
    for type in ("date", "timestamp"):
        assert conform(days, ColumnSchema("at", type))[1]["rule"].to_list() == ["time"]


def test_json_strings_that_are_no_unicode_are_refused() -> None:
    accepted, rejected = conform(
        pl.DataFrame({"a": ['"\\ud800"', '"\\u00e9\\n"', '"plain"']}), ColumnSchema("a", "string"), text="json"
    )
    assert accepted["a"].to_list() == ["é\n", "plain"]
    assert rejected["rule"].to_list() == ["type"]


def test_two_thousand_columns_a_megabyte_and_any_name() -> None:
    names = [f"c{number}" for number in range(2_000)]
    raw = pl.DataFrame({name: [0.5, None] for name in names} | {'naïve ☂ "x"': ["x" * 1_000_000, "y"]})
    columns = [ColumnSchema(name, "number") for name in names]
    accepted, _ = conform(raw, *columns, ColumnSchema('naïve ☂ "x"', "string", values=("y",)))
    assert accepted.height == 1
    text = raw.cast(pl.String)
    accepted, _ = conform(text, *columns, ColumnSchema('naïve ☂ "x"', "string"), text="csv")
    assert accepted.height == 2


def test_it_is_a_value() -> None:
    function = Conform(Schema((ColumnSchema("a", "integer", values=(1,)),)), "csv")
    assert pickle.loads(pickle.dumps(function)) == function
    assert len({function, pickle.loads(pickle.dumps(function))}) == 1
    assert [name for name, _ in REJECTED] == ["rule", "column", "value", "row"]
