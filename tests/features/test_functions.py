"""A user's own function as a feature: its source is shipped, it stands alone, and what it gives is checked."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ninetyfive.errors import DeclarationError, FeatureError
from ninetyfive.features.fitting import Fitting
from ninetyfive.features.recording import col, feature
from ninetyfive.features.transform import Transform
from ninetyfive.hashing import bytes_hash

TYPES = {"a": "number", "s": "string", "t": "timestamp[UTC]", "d": "date"}
OUTSIDE = 3


def squared(a: Any) -> Any:
    return a * a


def days_since_start(when: pl.Series, day: pl.Series) -> pl.Series:
    from datetime import date

    return when.dt.date().cast(pl_int()) - day.cast(pl_int()) if date else when


def initial(s: Any) -> Any:
    def first(text: Any) -> Any:
        return text.str.slice(0, 1)

    return first(s)


def weekend(t: Any, d: Any) -> Any:
    return (t.dt.weekday() > 5) | (d.dt.weekday() > 5)


def uses_outside(a: Any) -> Any:
    return a * OUTSIDE


def uses_outside_inside(a: Any) -> Any:
    def inner() -> Any:
        return pl.lit(1)

    return a + inner()


def with_default(a: Any, by: int = 2) -> Any:
    return a * by


@functools.cache
def decorated(a: Any) -> Any:
    return a


def closure(by: int) -> Any:
    def scaled(a: Any) -> Any:
        return a * by

    return scaled


def pl_int() -> Any:
    return pl.Int32


def transform_of(**features: Any) -> Transform:
    return Fitting(features, TYPES).transform()


def test_a_function_runs_on_frames_and_on_rows_alike() -> None:
    made = transform_of(
        squared=feature(squared, [col("a")], returns="number") + 1,
        initial=feature(initial, [col("s")], returns="string") == "x",
        weekend=feature(weekend, [col("t"), col("d")], returns="boolean"),
    )
    frame = pl.DataFrame(
        {"a": [2.0, None], "s": ["xy", "yx"], "t": [5 * 86_400_000_000, 0], "d": [0, 1]},
        schema={"a": pl.Float64, "s": pl.String, "t": pl.Int64, "d": pl.Int32},
    ).with_columns(pl.col("t").cast(pl.Datetime("us", "UTC")), pl.col("d").cast(pl.Date))
    assert made.frames()(frame).fill_nan(None).rows() == [(5.0, 1.0, 0.0), (None, 0.0, 0.0)]
    assert made.rows()({"a": 2.0, "s": "xy", "t": 2 * 86_400_000_000, "d": 0}) == [5.0, 1.0, 1.0]


def test_the_document_holds_the_hash_and_the_code_stands_beside_it() -> None:
    made = transform_of(x=feature(squared, [col("a")], returns="number"))
    ((sha256, text),) = made.code.items()
    assert text.startswith("def squared(a")
    assert sha256 == bytes_hash(text.encode())
    assert sha256 in made.to_json()
    assert "def " not in made.to_json()
    assert Transform.from_json(made.to_json(), made.code) == made
    with pytest.raises(FeatureError, match=r"the source of function 'squared'.*got none"):
        Transform.from_json(made.to_json())
    with pytest.raises(FeatureError, match=r"another text"):
        Transform.from_json(made.to_json(), {sha256: text.replace("a * a", "a + a")})


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda a: a, "a lambda"),
        (len, "builtin_function_or_method"),
        (closure(2), "'by' of the function round it"),
        (with_default, "default values"),
        (uses_outside, "'OUTSIDE' from outside"),
        (uses_outside_inside, "'pl' from outside"),
        (decorated, "made by def"),
        (days_since_start, "'pl_int' from outside"),
    ],
)
def test_a_function_that_does_not_stand_alone_is_refused(function: Any, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        feature(function, [col("a")] * (2 if function is days_since_start else 1), returns="number")


def test_wrong_words_are_refused() -> None:
    with pytest.raises(DeclarationError, match="a list of expressions"):
        feature(squared, col("a"), returns="number")  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="a list of expressions"):
        feature(squared, ["a"], returns="number")  # type: ignore[list-item]
    with pytest.raises(DeclarationError, match="a list of expressions"):
        feature(squared, [], returns="number")
    with pytest.raises(DeclarationError, match="returns: one of number"):
        feature(squared, [col("a")], returns="date")  # type: ignore[arg-type]


def gives_a_sum(a: Any) -> Any:
    return a.sum()


def gives_too_few(a: Any) -> Any:
    return a.head(1)


def gives_texts(a: Any) -> Any:
    return a.cast(str)


@pytest.mark.parametrize(
    ("function", "got"),
    [(gives_a_sum, "got float"), (gives_too_few, "a Series of 1 Float64"), (gives_texts, "a Series of 2 String")],
)
def test_a_wrong_answer_is_refused(function: Any, got: str) -> None:
    made = transform_of(x=feature(function, [col("a")], returns="number"))
    with pytest.raises(FeatureError, match=got):
        made.frames()(pl.DataFrame({"a": [1.0, 2.0]}))


def raises(a: Any) -> Any:
    return a.no_such_method()


def takes_two(a: Any, b: Any) -> Any:
    return a


def test_what_a_function_raises_is_told_with_its_name() -> None:
    made = transform_of(x=feature(raises, [col("a")], returns="number"))
    with pytest.raises(FeatureError, match=r"feature\(raises\).*AttributeError") as caught:
        made.frames()(pl.DataFrame({"a": [1.0]}))
    assert isinstance(caught.value.__cause__, AttributeError)
    assert made.frames()(pl.DataFrame({"a": []}, schema={"a": pl.Float64})).height == 0
    with pytest.raises(DeclarationError, match="a function of 1 arguments"):
        feature(takes_two, [col("a")], returns="number")


MODULE = """
from builtins import min as max

def hidden(a):
    return max(a, a)

def borrowed(a):
    from beside import scale
    return a * scale
"""


def test_what_only_seems_to_stand_alone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside.py").write_text("scale = 2\n")
    (tmp_path / "module_of_functions.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("module_of_functions")
    with pytest.raises(DeclarationError, match="'max' from outside"):
        feature(module.hidden, [col("a")], returns="number")
    with pytest.raises(DeclarationError, match="an import of beside"):
        feature(module.borrowed, [col("a")], returns="number")
    sys.modules.pop("module_of_functions")
