"""Text: what the frame form takes for a blank is what Python's `str.strip` removes, on this Python too."""

from __future__ import annotations

import sys

from ninetyfive.features.texts import BLANKS


def test_blanks_are_those_of_this_python() -> None:
    assert [chr(code) for code in range(sys.maxunicode + 1) if not chr(code).strip()] == list(BLANKS)
