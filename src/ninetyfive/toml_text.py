"""Data as TOML: tables, arrays of tables, numbers, texts; None is left out, as TOML has no word for it.

    {"number": 1, "training": {"every": None, "reasons": ["…"]}} ─▶ number = 1 ⏎ [training] ⏎ reasons = ["…"]

The standard library reads TOML and writes none. What does not belong here: what a file says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(document: Mapping[str, Any]) -> str:
    """The text of a document of mappings, sequences, text, numbers and booleans; mappings in sequences stand in tables.

    >>> print(toml_text({"a": 1, "b": {"c": [1.5, None], "d": None}, "e": [{"f": "x"}, {}]}), end="")
    a = 1
    <BLANKLINE>
    [b]
    c = [1.5]
    <BLANKLINE>
    [[e]]
    f = "x"
    <BLANKLINE>
    [[e]]
    """
    return "\n".join(_table((), document)) + "\n"


def _table(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a table without its header: plain values first, as those after a header belong to it."""
    below = []
    for key, value in table.items():
        if value is None:
            continue
        if isinstance(value, Mapping) or _tables(value):
            below.append((key, value))
        else:
            yield f"{toml_key(key)} = {toml_value(value)}"
    for key, value in below:
        here = (*path, toml_key(key))
        many = not isinstance(value, Mapping)
        for one in value if many else (value,):
            yield ""
            yield f"[[{'.'.join(here)}]]" if many else f"[{'.'.join(here)}]"
            yield from _table(here, one)


def _tables(value: Any) -> bool:
    return _many(value) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _many(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def toml_value(value: Any) -> str:
    """A plain value, or a list of them, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int | float):
        return repr(value)
    return "[" + ", ".join(toml_value(one) for one in value if one is not None) + "]"


def toml_key(key: str) -> str:
    """A name, in quotes where TOML asks for them."""
    return key if _BARE.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    """A basic string: JSON's escapes are TOML's too, which also asks for that of delete."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
