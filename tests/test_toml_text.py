"""toml_text.py: what it writes is TOML, and says what went in."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.toml_text import toml_text

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
PLAIN = TEXTS | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans()
VALUES = st.recursive(
    PLAIN | st.lists(PLAIN, max_size=3),
    lambda below: (
        st.dictionaries(TEXTS, below, max_size=3) | st.lists(st.dictionaries(TEXTS, below, max_size=2), max_size=2)
    ),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_any_document_is_read_back(document: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(document)) == document
