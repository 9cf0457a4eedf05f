"""What may be tuned: ranges, choices and budgets that make sense, and what stands at the edge of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import ninetyfive as nf
from ninetyfive import col
from ninetyfive.errors import DeclarationError
from ninetyfive.tuning import Tuning

RATE = nf.float_range(0.01, 1.0, log=True)
DEPTH = nf.int_range(2, 9, step=3)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: nf.int_range(1.0, 3), "whole numbers"),
        (lambda: nf.int_range(5, 5), "a lower end below the upper one"),
        (lambda: nf.int_range(1, 9, step=0), "a whole number from 1"),
        (lambda: nf.int_range(1, 9, step=2, log=True), "no log= beside it"),
        (lambda: nf.int_range(1, 2, step=5), "a step that stays in the range"),
        (lambda: nf.int_range(0, 10**30), "numbers from -1e"),
        (lambda: nf.float_range(-1e308, 1e308), "numbers from -1e"),
        (lambda: nf.float_range(0.0, 1.0, log=True), "a range above 0"),
        (lambda: nf.float_range(0.0, float("inf")), "numbers"),
        (lambda: nf.Tuning({}), "at least one"),
        (lambda: nf.Tuning({"loss": "a"}), "nf.int_range"),
        (lambda: nf.Tuning({"loss": ["a"]}), "at least two choices"),
        (lambda: nf.Tuning({"loss": ["a", "b", "a"]}), "each once"),
        (lambda: nf.Tuning({"loss": ["a", object()]}), "JSON"),
        (lambda: nf.Tuning({"missing": [float("nan"), -1.0]}), "JSON"),
        (lambda: nf.Tuning({"depth": DEPTH}, trials=1), "a whole number from 2"),
        (lambda: nf.Tuning({"depth": DEPTH}, time="soon"), "a unit"),
        (lambda: nf.Tuning({"depth": DEPTH}, folds=0), "from 1 to 10"),
    ],
)
def test_what_makes_no_sense_is_refused(made: Callable[[], Any], words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        made()


def test_a_range_has_the_numbers_that_it_says() -> None:
    assert [value for value in range(12) if DEPTH.holds(value)] == [2, 5, 8]
    assert (DEPTH.high, DEPTH.size) == (8, 3)
    assert not DEPTH.holds(5.0)
    assert not DEPTH.holds(True)
    assert RATE.holds(1)
    assert not RATE.holds(1.1)
    choices = Tuning({"warm": [True, 1, None]}).space["warm"]
    assert choices.holds(1)
    assert not choices.holds(1.0)


def test_the_edge_of_a_range_by_logarithm_is_told_by_size() -> None:
    assert [RATE.edge(value) for value in (0.01, 0.0105, 0.012, 0.9, 0.99)] == ["lower", "lower", None, None, "upper"]
    assert [nf.int_range(50, 500).edge(value) for value in (50, 59, 60, 491)] == ["lower", "lower", None, "upper"]


def test_a_budget_has_a_default_and_both_may_be_said() -> None:
    bare, timed = Tuning({"depth": DEPTH}), Tuning({"depth": DEPTH}, time="10m")
    assert (bare.trials, bare.budget) == (50, "50 trials")
    assert (timed.trials, timed.seconds, timed.budget) == (None, 600, "10m")
    assert Tuning({"depth": DEPTH, "rate": RATE}).size == float("inf")


def declared(params: dict[str, Any], tune: Any) -> Any:
    system = nf.System("s", source=nf.csv("a.csv", id="key"), label=col("y"), features={"x": col("x")})

    @system.model(params=params, tune=tune)
    def model(x: Any, y: Any, params: Any) -> None:
        return None

    return system.declared_model


def test_the_model_is_declared_with_what_is_tuned() -> None:
    model = declared({"depth": 5, "seed": 1}, {"depth": DEPTH, "loss": ["a", "b"]})
    assert model.tuning.within(model.params) == {"depth": 5}
    assert model.tuning.trials == 50
    assert declared({}, nf.Tuning({"depth": DEPTH}, trials=3)).tuning.trials == 3
    assert declared({}, None).tuning is None


def test_a_declared_value_outside_its_range_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"params\['depth'\]: .* 2\.\.8 in steps of 3, got 4"):
        declared({"depth": 4}, {"depth": DEPTH})
