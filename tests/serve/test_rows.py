"""What a request's row is decoded to, or refused with, is what `Schema.row` says, whatever it holds."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive import values
from ninetyfive.errors import DataError
from ninetyfive.schema import ColumnSchema, Schema
from ninetyfive.serve.rows import Fault, Outside, Rows, decoder

SCHEMA = Schema(
    (
        *(ColumnSchema(f"a {type}", type) for type in values.TYPES),
        ColumnSchema("class", "integer", nullable=False, minimum=-5, maximum=5),
        ColumnSchema("share", "number", minimum=0.0, maximum=1.0),
        ColumnSchema("word", "string", minimum="b", maximum="y"),
        ColumnSchema("kind", "string", values=("a", "é", "")),
        ColumnSchema("day", "date", minimum="2026-01-01"),
        ColumnSchema("flag", "boolean", values=(True,)),
    )
)
ROWS = Rows(SCHEMA)
decode = decoder(ROWS.quick, ROWS.loose)
scalars_of = ROWS.cells(SCHEMA.names)

texts = st.sampled_from(
    [
        "",
        "a",
        "é",
        "b",
        "zz",
        "2026-01-31",
        "2026-01-31T12:00",
        "2026-01-31T12:00:00Z",
        "2025-12-31",
        "2026-02-30",
        "0001-01-01T00:00+23:00",
    ]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-7, 7),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
    st.text(max_size=4),
)
cells = st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(st.text(max_size=2), scalars, max_size=2))
rows = st.dictionaries(st.sampled_from(SCHEMA.names), cells, max_size=len(SCHEMA.names)).map(
    lambda row: {"class": 1} | row
)


def judged(body: bytes) -> dict[str, Any] | Fault:
    """The row scalars that a body is decoded to, or the fault."""
    try:
        found = ROWS.check(decode(body), "$")
    except Fault as fault:
        return fault
    return found.fault if isinstance(found, Outside) else dict(zip(SCHEMA.names, scalars_of(found), strict=True))


@given(rows)
def test_the_same_rows_are_taken_as_the_same_scalars(row: dict[str, Any]) -> None:
    body = json.dumps(row).encode()
    found = judged(body)
    try:
        expected: Any = SCHEMA.row(row)
    except DataError:
        assert isinstance(found, Fault), body
        assert found.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
        assert found.where.startswith("$.")
    else:
        assert repr(found) == repr(expected), body


@pytest.mark.parametrize(
    ("row", "status", "where"),
    [
        ({"class": 6}, 422, "$.class"),
        ({}, 422, "$.class"),
        ({"class": 1, "share": 1.5}, 422, "$.share"),
        ({"class": 1, "kind": "b"}, 422, "$.kind"),
        ({"class": True}, 400, "$.class"),
        ({"class": 1, "a date": "2026-02-30"}, 400, "$.a date"),
        ({"class": 1, "a list[integer]": [1, 2.5]}, 400, "$.a list[integer][1]"),
        ({"class": 6, "a boolean": 1}, 400, "$.a boolean"),
    ],
)
def test_a_wrong_type_is_400_and_a_broken_rule_422_at_its_path(row: dict[str, Any], status: int, where: str) -> None:
    found = judged(json.dumps(row).encode())
    assert isinstance(found, Fault)
    assert (found.status, found.where) == (status, where)


def test_bytes_may_come_as_base64() -> None:
    row = judged(b'{"class": 1, "a opaque": {"b64": "AP8="}}')
    assert isinstance(row, dict)
    assert row["a opaque"] == b"\x00\xff"
    other = judged(b'{"class": 1, "a opaque": {"b64": "?"}}')
    assert isinstance(other, dict)
    assert other["a opaque"] == b'{"b64":"?"}'


def test_values_of_any_form_are_nested_so_deep_and_no_deeper() -> None:
    assert isinstance(judged(b'{"class": 1, "a opaque": ' + b"[" * 32 + b"]" * 32 + b"}"), dict)
    for deep in (b"[" * 33 + b"]" * 33, b'{"a":' * 33 + b"1" + b"}" * 33):
        found = judged(b'{"class": 1, "a opaque": ' + deep + b"}")
        assert isinstance(found, Fault)
        assert (found.status, str(found)) == (400, "$.a opaque: nested more than 32 deep")
