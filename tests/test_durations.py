"""Lengths of time in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ninetyfive.durations import duration, duration_text, duration_word
from ninetyfive.errors import DeclarationError


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("30m", 1800), ("6h", 21_600), ("90d", 7_776_000), ("2w", 1_209_600)]
)
def test_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "6", "h", "1.5h", "-1d", "0d", "1 d", "1y", "1D", "P1D", None, 3600, "٣d"])
def test_anything_else_is_refused_where_it_stands(text: Any) -> None:
    with pytest.raises(DeclarationError, match="number from 1 and a unit") as raised:
        duration(text, "DynamicTraining(every=)")
    assert raised.value.where == "DynamicTraining(every=)"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (90, "1.5m"), (3600, "1h"), (86_400 * 90, "90d")]
)
def test_in_words_again(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@given(some.integers(1, 86_400 * 999_999))
def test_a_word_is_read_as_the_length_it_says(seconds: int) -> None:
    read = duration(duration_word(seconds))
    assert read == seconds if seconds <= 999_999 else read <= seconds < read + 86_400
