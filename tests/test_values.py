"""Values: each logical type takes what it means and nothing near it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.errors import DataError, DeclarationError
from ninetyfive.values import DECODERS, INTEGER_MAX, TYPES, cell, micros_of, misfit, plain, scalar, shown

WHERE = "row 3, column 'x'"
HOUR = 3_600_000_000

TAKEN: list[tuple[str, Any, Any]] = [
    ("boolean", True, True),
    ("integer", 5, 5),
    ("integer", 5.0, 5),
    ("integer", -(2**63), -(2**63)),
    ("integer", -(2.0**63), -(2**63)),
    ("number", 5, 5.0),
    ("number", 0.5, 0.5),
    ("number", math.inf, math.inf),
    ("string", "", ""),
    ("string", "Zürich", "Zürich"),
    ("timestamp", "1970-01-01T01:00", HOUR),
    ("timestamp", "1970-01-01 00:00:00.1234567", 123_456),
    ("timestamp", "1970-01-02", 24 * HOUR),
    ("timestamp", datetime(1970, 1, 1, 1), HOUR),
    ("timestamp", date(1970, 1, 2), 24 * HOUR),
    ("timestamp", "0001-01-01", -62_135_596_800_000_000),
    ("timestamp[UTC]", "1970-01-01T01:00:00Z", HOUR),
    ("timestamp[UTC]", "1970-01-01T01:00+01:00", 0),
    ("timestamp[UTC]", "1970-01-01T00:00:00.5-00:30", HOUR // 2 + 500_000),
    ("timestamp[UTC]", datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0),
    ("date", "1970-01-02", 1),
    ("date", date(1969, 12, 31), -1),
    ("list[boolean]", [True, None], (True, None)),
    ("list[integer]", [5.0, 7], (5, 7)),
    ("list[number]", (5, 0.5), (5.0, 0.5)),
    ("list[string]", [], ()),
    ("opaque", b"\xff", b"\xff"),
    ("opaque", {"a": [1]}, b'{"a":[1]}'),
]

REFUSED: list[tuple[str, Any]] = [
    ("boolean", 1),
    ("boolean", "true"),
    ("integer", True),
    ("integer", 5.5),
    ("integer", math.nan),
    ("integer", math.inf),
    ("integer", "5"),
    ("integer", 2**63),
    ("integer", 2.0**63),
    ("number", True),
    ("number", "NaN"),
    ("number", "1.5"),
    ("number", 10**400),
    ("string", 5),
    ("string", b"x"),
    ("string", "\ud800"),
    ("timestamp", 0),
    ("timestamp", "1970-01-01T00:00:00Z"),
    ("timestamp", datetime(1970, 1, 1, tzinfo=UTC)),
    ("timestamp", "2013-02-30"),
    ("timestamp", "2013-01-01T24:00"),
    ("timestamp", "2013-01-01T10"),
    ("timestamp", "20130101"),
    ("timestamp", "0000-01-01"),
    ("timestamp", " 2013-01-01"),
    ("timestamp", "٢٠١٣-01-01"),
    ("timestamp[UTC]", "1970-01-01T00:00:00"),
    ("timestamp[UTC]", "1970-01-01"),
    ("timestamp[UTC]", datetime(1970, 1, 1)),
    ("timestamp[UTC]", date(1970, 1, 1)),
    ("timestamp[UTC]", "0001-01-01T00:00+01:00"),
    ("timestamp[UTC]", "9999-12-31T23:59-01:00"),
    ("timestamp[UTC]", "1970-01-01T00:00:00+0100"),
    ("date", "1970-01-02T00:00"),
    ("date", datetime(1970, 1, 1)),
    ("date", 0),
    ("list[string]", "a"),
    ("list[string]", {"a": 1}),
    ("list[integer]", 5),
    ("opaque", object()),
]

MISFITS: list[tuple[str, list[Any], int, str]] = [
    ("list[boolean]", [True, 1], 1, "a boolean"),
    ("list[integer]", [None, 1, "2"], 2, "an integer"),
    ("list[integer]", [2**63], 0, "64 bits"),
    ("list[integer]", [1, [2]], 1, "an integer"),
    ("list[number]", [0.5, "NaN", True], 1, "a number"),
    ("list[string]", ["a", "\ud800"], 1, "valid Unicode"),
    ("list[string]", ["2013-01-01", {}], 1, "a string"),
]


@pytest.mark.parametrize(("type", "value", "expected"), TAKEN)
def test_a_type_takes_what_it_means(type: str, value: Any, expected: Any) -> None:
    decoded = scalar(value, type, WHERE)
    assert decoded == expected
    assert decoded.__class__ is expected.__class__


@pytest.mark.parametrize(("type", "value"), REFUSED)
def test_a_type_refuses_what_is_only_near_it(type: str, value: Any) -> None:
    with pytest.raises(DataError) as caught:
        scalar(value, type, WHERE)
    assert caught.value.where == WHERE
    assert caught.value.expected
    assert caught.value.do


def test_nan_stays_nan() -> None:
    decoded = scalar(math.nan, "number", WHERE)
    assert isinstance(decoded, float)
    assert math.isnan(decoded)


@pytest.mark.parametrize("type", TYPES)
def test_null_is_null_in_every_type(type: str) -> None:
    assert scalar(None, type, WHERE) is None
    assert plain(None, type) is None
    assert type in DECODERS


def test_an_unknown_type_names_near_ones() -> None:
    with pytest.raises(DeclarationError, match="did you mean 'integer'"):
        scalar(1, "integr", WHERE)


def test_zones_are_named_in_what_to_do() -> None:
    with pytest.raises(DataError, match="leave the zone out"):
        scalar("2013-01-01T00:00Z", "timestamp", WHERE)
    with pytest.raises(DataError, match="say the zone"):
        scalar("2013-01-01T00:00", "timestamp[UTC]", WHERE)


def test_a_megabyte_is_not_printed() -> None:
    with pytest.raises(DataError) as caught:
        scalar("x" * 1_000_000, "number", WHERE)
    assert len(str(caught.value)) < 300


@given(st.datetimes())
def test_times_come_back(moment: datetime) -> None:
    for type, zoned in (("timestamp", moment), ("timestamp[UTC]", moment.replace(tzinfo=UTC))):
        micros = scalar(zoned, type, WHERE)
        assert micros == micros_of(zoned)
        assert scalar(plain(micros, type), type, WHERE) == micros


@pytest.mark.parametrize(("type", "value", "place", "expected"), MISFITS)
def test_an_element_of_a_list_is_refused_at_its_place(type: str, value: list[Any], place: int, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        scalar(value, type, WHERE)
    assert caught.value.where == f"row 3, column 'x[{place}]'"
    assert expected in caught.value.expected
    assert misfit(value, type) == place
    assert plain((1, None), "list[integer]") == [1, None]


@given(st.dates())
def test_days_come_back(day: date) -> None:
    days = scalar(day, "date", WHERE)
    assert plain(days, "date") == day.isoformat()
    assert scalar(plain(days, "date"), "date", WHERE) == days


def test_words_for_people() -> None:
    assert plain(b"text", "opaque") == "text"
    assert plain(b"\xff", "opaque") == "/w=="
    assert plain(True, "boolean") is True
    assert plain(INTEGER_MAX, "integer") == INTEGER_MAX
    assert cell(1, "é") == "row 1, column 'é'"
    assert shown([1]) == "the list [1]"
    assert micros_of(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == 0
