"""The first schema: types that nearly all values have, and files that agree."""

from __future__ import annotations

import pytest

from ninetyfive.errors import SchemaError
from ninetyfive.inference import Guess, agree, chosen, guess, infer
from ninetyfive.schema import ColumnSchema


@pytest.mark.parametrize(
    ("kinds", "text", "expected"),
    [
        ({"integer": 9}, "csv", ("integer", 0)),
        ({"integer": 9, "number": 1}, "csv", ("number", 0)),
        ({"date": 9, "timestamp": 1}, "csv", ("timestamp", 0)),
        ({"timestamp": 9, "timestamp[UTC]": 1}, "csv", ("string", 0)),
        ({"integer": 99, "string": 1}, "csv", ("integer", 1)),
        ({"integer": 98, "string": 2}, "csv", ("string", 0)),
        ({"integer": 5, "string": 5}, "json", ("opaque", 0)),
        ({"string": 99, "opaque": 1}, "json", ("string", 1)),
        ({"date": 5, "string": 5}, "json", ("string", 0)),
        ({"opaque": 1}, "json", ("opaque", 0)),
        ({"list[]": 5}, "json", ("opaque", 0)),
        ({"list[]": 5, "list[boolean]": 1}, "json", ("list[boolean]", 0)),
        ({"list[integer]": 5, "list[number]": 1}, "json", ("list[number]", 0)),
        ({"list[string]": 99, "opaque": 1}, "json", ("list[string]", 1)),
        ({"list[string]": 5, "string": 5}, "json", ("opaque", 0)),
        ({}, "json", (None, 0)),
    ],
)
def test_the_type_is_what_nearly_all_values_have(kinds: dict[str, int], text: str, expected: tuple[str, int]) -> None:
    assert chosen(kinds, text) == expected


def test_a_guess_shows_what_does_not_fit() -> None:
    found = guess("age", 1_100, {"integer": 999, "string": 1}, "csv", {"string": ("late",), "integer": ("1", "2")})
    assert (found.nulls, found.misfits, found.examples) == (100, 1, ("late",))
    assert found.note == "100 of 1,100 null; 1 do not fit (late)"
    assert Guess("age", "integer", 5).note == ""


def test_integers_meet_numbers_and_dates_timestamps() -> None:
    files = {
        "a": [Guess("x", "integer", 5, 1), Guess("t", "date", 5, 0)],
        "b": [Guess("x", "number", 5, 2), Guess("t", "timestamp", 5)],
    }
    x, t = agree(files)
    assert (x.type, x.rows, x.nulls) == ("number", 10, 3)
    assert (t.type, t.nulls) == ("timestamp", None)


def test_a_column_that_changes_type_between_files_names_both() -> None:
    files = {
        "a.parquet": [Guess("x", None, 5, 5)],
        "b.parquet": [Guess("x", "integer", 5, 0)],
        "c.parquet": [Guess("x", "string", 5, 0)],
    }
    with pytest.raises(SchemaError) as caught:
        agree(files)
    assert "column 'x'" in caught.value.where
    assert "integer in b.parquet" in caught.value.expected
    assert "string in c.parquet" in caught.value.got
    assert agree(files, types={"x": "string"})[0].type == "string"


def test_a_column_that_a_file_lacks_names_both() -> None:
    files = {"a": [Guess("x", "integer", 5, 0), Guess("y", "integer", 5, 1)], "b": [Guess("x", "integer", 5, 0)]}
    with pytest.raises(SchemaError, match="a file without it") as caught:
        agree(files)
    assert "optional=['y']" in caught.value.do
    _, y = agree(files, optional=["y"])
    assert (y.rows, y.nulls) == (10, 6)


def test_text_files_agree_on_their_values_together() -> None:
    good = Guess("x", "integer", 1_000, 0, kinds=(("integer", 1_000),))
    bad = Guess("x", "string", 2, 0, kinds=(("string", 2),))
    assert agree({"a": [good], "b": [bad]}, text="csv")[0].misfits == 2
    codes = Guess("x", "string", 500, 0, kinds=(("string", 500),))
    with pytest.raises(SchemaError, match="one type in all files"):
        agree({"a": [good], "b": [codes]}, text="csv")


def test_the_first_schema_refuses_nulls_only_where_they_cannot_be() -> None:
    schema = infer(
        [
            Guess("id", "string", 100, 0),
            Guess("x", "number", 100, 60),
            Guess("y", None, 100, 100),
            Guess("z", "date", 9),
        ],
        required=["id"],
        optional=["z"],
    )
    assert schema.columns == (
        ColumnSchema("id", "string", nullable=False),
        ColumnSchema("x", "number"),
        ColumnSchema("y", "opaque"),
        ColumnSchema("z", "date", optional=True),
    )
    assert infer([Guess("x", "number", 100, 1)]).columns[0].max_null_fraction == 0.07
    assert not schema.reviewed
