"""Which served form is taken of those that were proved, and what is said of it."""

from __future__ import annotations

import pytest

from ninetyfive.models.forms import Form, Tried, choose_form


def tried(form: Form, one: float | None = None) -> Tried:
    return Tried(form=form, one=one, why_not=None if one is not None else "answers differ")


@pytest.mark.parametrize(
    ("found", "form", "why"),
    [
        ([tried("onnx", 5e-5)], "onnx", "no other form"),
        ([tried("onnx", 5e-5), tried("native", 3e-5)], "onnx", "less than half of its 50 µs and saves 50 µs"),
        ([tried("onnx", 5e-5), tried("litert", 1e-5)], "onnx", "saves 50 µs"),
        ([tried("onnx", 1e-4), tried("native", 2e-5)], "native", "20 µs; onnx takes 100"),
        ([tried("onnx"), tried("native", 9e-3)], "native", r"onnx is not \(answers differ\)"),
    ],
)
def test_the_first_that_is_proved_is_taken_unless_another_is_far_quicker(
    found: list[Tried], form: Form, why: str
) -> None:
    chosen = choose_form(found)
    assert chosen is not None
    assert chosen[0] == form
    assert why.replace("\\", "") in chosen[1]


def test_the_form_of_an_equal_model_is_kept_where_it_is_proved() -> None:
    slow = [tried("onnx", 1e-4), tried("native", 9e-5)]
    assert choose_form(slow, "native") == (
        "native",
        "native: proved, and chosen when an equal model was released before",
    )
    chosen = choose_form([tried("onnx", 1e-4), tried("native")], "native")
    assert chosen is not None
    assert chosen[0] == "onnx"


def test_where_none_is_proved_none_is_taken() -> None:
    assert choose_form([tried("onnx"), tried("native")]) is None
