"""An entity as a path names it: the values that JSON would hold, and no others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ninetyfive.schema import ColumnSchema, Schema
from ninetyfive.serve.entities import row_of
from ninetyfive.serve.loaded import Loaded
from ninetyfive.serve.rows import Fault


def named(type: str, text: bytes) -> Any:
    """The value of an entity of one column that a path names; the status where it names none."""
    about = SimpleNamespace(entity=("e",))
    loaded = SimpleNamespace(schema=Schema((ColumnSchema("e", type),)), release=SimpleNamespace(about=about))
    try:
        return row_of(cast(Loaded, loaded), text)["e"]
    except Fault as fault:
        return fault.status.value


@pytest.mark.parametrize(
    ("type", "text", "value"),
    [
        ("boolean", b"true", True),
        ("integer", b"-7", -7),
        ("number", b"1.5", 1.5),
        ("number", b"7", 7.0),
        ("string", b"a%2Cb%00", "a,b\0"),
        ("date", b"2026-01-01", 20454),
        ("opaque", b"_-8=", b"\xff\xef"),
        ("opaque", b"_w==", b"\xff"),
    ],
)
def test_a_path_names_a_value(type: str, text: bytes, value: Any) -> None:
    assert named(type, text) == value


@pytest.mark.parametrize(
    ("type", "text"),
    [
        *(("number", text) for text in (b"nan", b"inf", b"1e999", b"1_000", b"%D9%A3", b"")),
        *(("integer", text) for text in (b"1.0", b"9" * 30, b"%D9%A3", b"+1")),
        ("boolean", b"1"),
        ("string", b"%ff"),
    ],
)
def test_a_path_that_names_none_is_refused(type: str, text: bytes) -> None:
    assert named(type, text) == 400


def test_two_paths_name_no_one_value() -> None:
    assert named("opaque", b"Y%7BQ==") != named("opaque", b"YQ==") == b"a"
