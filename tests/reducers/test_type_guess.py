"""Type guesses: what kinds of text are there, and which words are none."""

from __future__ import annotations

import polars as pl
import pytest

from ninetyfive.reducers.type_guess import TypeGuess
from ninetyfive.values import Text


def types(text: Text, **columns: list[str | None]) -> dict[str, str | None]:
    reducer = TypeGuess(text)
    state = reducer.add(reducer.zero(), pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)))
    return {guess.name: guess.type for guess in reducer.result(state)}


@pytest.mark.parametrize(
    ("fields", "type"),
    [
        (["1", "-2", "+3", "0"], "integer"),
        (["1", "2.5"], "number"),
        (["1e3", ".5"], "number"),
        (["007", "8"], "string"),
        (["12345678901234567890"], "string"),
        (["True", "false"], "boolean"),
        (["2013-01-01", "NA"], "date"),
        (["2013-01-01", "2013-01-01 10:00"], "timestamp"),
        (["2013-01-01T10:00Z", "2013-01-01T10:00:00.5+01:00"], "timestamp[UTC]"),
        (["01/02/2013"], "string"),
        (["NA", "", "null", None], None),
        (["x"], "string"),
        (["[1]"], "string"),
    ],
)
def test_csv_fields(fields: list[str | None], type: str | None) -> None:
    assert types("csv", x=fields) == {"x": type}


@pytest.mark.parametrize(
    ("fields", "type"),
    [
        (["1", "2"], "integer"),
        (['"1"', '"2"'], "string"),
        (["1", '"2"'], "opaque"),
        (["true"], "boolean"),
        (['"2013-01-01T10:00Z"'], "timestamp[UTC]"),
        (['"NA"'], "string"),
        (['{"a":1}', "[1]"], "opaque"),
        (["[1, 2]", "[ ]", "[null]"], "list[integer]"),
        (["[1,2.5e3]", "[1]"], "list[number]"),
        (["[true , null]"], "list[boolean]"),
        (['["a\\"],","2013-01-01"]', "[]"], "list[string]"),
        (["[]", "[null, null]"], "opaque"),
        (['[1,"a"]'], "opaque"),
        (["[1]", '["a"]'], "opaque"),
        (["[[1]]"], "opaque"),
        (["[1]", "1"], "opaque"),
        ([None], None),
    ],
)
def test_json_fields(fields: list[str | None], type: str | None) -> None:
    assert types("json", x=fields) == {"x": type}


def test_typed_frames_and_columns_that_a_chunk_lacks() -> None:
    reducer = TypeGuess("typed")
    state = reducer.add(reducer.zero(), pl.DataFrame({"__position": [1], "b": [1.5], "a": ["x"]}))
    state = reducer.add(state, pl.DataFrame({"b": [None, 2]}))
    b, a = reducer.result(state)
    assert (b.name, b.type, b.rows, b.nulls) == ("b", "number", 3, 1)
    assert (a.name, a.type, a.rows, a.nulls) == ("a", "string", 3, 2)


def test_long_values_do_not_fill_the_state() -> None:
    reducer = TypeGuess("csv")
    state = reducer.add(reducer.zero(), pl.DataFrame({"x": [f"{n}" + "x" * 10_000 for n in range(50)]}))
    assert len(reducer.encode(state)) < 500
