"""The proof: what passes, what stops a release, and that the row is shown."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from ninetyfive.errors import ModelError
from ninetyfive.models.predictor import Answers, Inputs
from ninetyfive.models.proof import TOLERANCE, Proof, prove


def total(x: Inputs) -> Answers:
    return np.asarray(x.astype(np.float64).sum(axis=1))


def grid(count: int = 50) -> Inputs:
    return (np.arange(count * 2) / 100).reshape(count, 2).astype(np.float32)


def test_equal_functions_pass_and_what_was_measured_is_data() -> None:
    proof = prove(total, total, grid(), ("a", "b"), size=12)
    assert (proof.rows, proof.difference, proof.batch_exact, proof.size) == (50, 0.0, True, 12)
    assert proof.missing == "answered"
    assert proof.timing.one > 0
    assert msgspec.json.decode(msgspec.json.encode(proof), type=Proof) == proof


def test_a_small_difference_is_stated() -> None:
    proof = prove(total, lambda x: total(x) + 1e-7, grid(), ("a", "b"))
    assert proof.difference == pytest.approx(1e-7)
    assert proof.tolerance == pytest.approx(TOLERANCE * float(total(grid()).max()))


def test_the_tolerance_grows_with_the_size_of_the_answers() -> None:
    proof = prove(lambda x: total(x) + 1e6, lambda x: total(x) + 1e6 + 0.5, grid(), ("a", "b"))
    assert proof.difference == pytest.approx(0.5)


def test_one_row_that_differs_is_found_and_shown() -> None:
    def served(x: Inputs) -> Answers:
        return np.where(x[:, 0] == grid()[17, 0], 9.0, total(x))

    with pytest.raises(ModelError, match=r"parity.*a=0\.34.*native=True") as raised:
        prove(total, served, grid(), ("a", "b"))
    assert raised.value.where.endswith("row 17")
    assert raised.value.got.startswith("9 for ")


def test_extremes_are_compared_even_where_rows_are_many() -> None:
    x = np.zeros((30_000, 1), dtype=np.float32)
    x[12_345] = 7.0
    with pytest.raises(ModelError, match="column 0=7"):
        prove(total, lambda rows: np.where(rows[:, 0] == 7, 0.0, total(rows)), x)


def test_a_model_of_the_batch_is_refused() -> None:
    with pytest.raises(ModelError, match=r"batch invariance.*by itself"):
        prove(lambda x: total(x) - total(x).mean(), lambda x: total(x) - total(x).mean(), grid(), ("a", "b"))


def test_a_batch_difference_within_the_tolerance_is_stated() -> None:
    proof = prove(total, lambda x: total(x) + (1e-7 if len(x) == 1 else 0.0), grid(), ("a", "b"))
    assert not proof.batch_exact
    assert proof.batch_difference == pytest.approx(1e-7)


def test_a_model_that_raises_on_nan_refuses() -> None:
    def native(x: Inputs) -> Answers:
        if np.isnan(x).any():
            raise ValueError("Input X contains NaN.")
        return total(x)

    holes = grid()
    holes[3, 0] = np.nan
    proof = prove(native, total, holes, ("a", "b"))
    assert proof.missing == "refused"
    assert proof.rows == 49
    holes[:, 1] = np.nan
    with pytest.raises(ModelError, match="missing values"):
        prove(native, total, holes, ("a", "b"))


def test_other_answers_to_nan_are_refused_or_stop_the_release() -> None:
    def served(x: Inputs) -> Answers:
        return np.nan_to_num(total(x))

    def native(x: Inputs) -> Answers:
        return np.where(np.isnan(x).any(axis=1), 5.0, total(x))

    assert prove(native, served, grid(), ("a", "b")).missing == "refused"
    holes = grid()
    holes[3, 0] = np.nan
    with pytest.raises(ModelError, match=r"missing values.*b=nan|missing values.*a=nan"):
        prove(native, served, holes, ("a", "b"))


def test_no_rows_prove_nothing() -> None:
    with pytest.raises(ModelError, match="no rows"):
        prove(total, total, grid(0))


def test_class_probabilities_are_compared_by_row() -> None:
    def native(x: Inputs) -> Answers:
        return np.tile([0.25, 0.75], (len(x), 1))

    assert prove(native, native, grid()).batch_exact
    with pytest.raises(ModelError, match=r"\[0\.75, 0\.25\] for \[0\.25, 0\.75\]"):
        prove(native, lambda x: native(x)[:, ::-1], grid())
