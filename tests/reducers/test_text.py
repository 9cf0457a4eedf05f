"""Hashes of strings are XXH64, and both ways of telling strings apart agree."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.hashing import string_hash
from ninetyfive.reducers.text import distinct_texts, text_hash


@given(st.lists(st.text(max_size=50)), st.integers(0, 80))
def test_as_the_scalar_definition(words: list[str], copies: int) -> None:
    many = words + [f"{word}{number}" for word in words[:3] for number in range(copies)]
    assert text_hash(pl.Series(many, dtype=pl.String)).tolist() == string_hash(many).tolist()


def test_every_length_and_a_slice() -> None:
    words = [chr(97 + number % 26) * length for length in range(40) for number in range(70)]
    assert text_hash(pl.Series(words)).tolist() == string_hash(words).tolist()
    assert text_hash(pl.Series(words)[71:2500]).tolist() == string_hash(words[71:2500]).tolist()
    assert text_hash(pl.Series(["x" * 1_000_000])).tolist() == string_hash(["x" * 1_000_000]).tolist()


@pytest.mark.parametrize("values", [50, 1_000_000])
def test_distinct_strings_by_text_and_by_hash(values: int) -> None:
    numbers = np.random.default_rng(values).integers(0, values, 20_000)
    series = pl.Series("x", numbers).cast(pl.String)
    found = distinct_texts(series)
    counted = dict(zip(found.series[found.rows].to_list(), found.counts.tolist(), strict=True))
    assert counted == dict(series.value_counts().iter_rows())
    assert found.hashes.tolist() == string_hash(counted).tolist()
