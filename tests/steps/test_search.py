"""The search: the same trials and seed give the same answers, whatever was done by the process that asks."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import ninetyfive as nf
from ninetyfive.errors import UsageError
from ninetyfive.steps.search import Search, Trial, check_optuna
from ninetyfive.tuning import Tuning

SPACE = Tuning(
    {
        "rate": nf.float_range(0.01, 1.0, log=True),
        "depth": nf.int_range(1, 9, step=2),
        "size": nf.int_range(1, 1_000, log=True),
        "loss": ["a", None, [8, 4], 1, True],
    }
).space
SEARCH = Search(SPACE, seed=3, higher_is_better=False)


def trial(number: int, params: dict[str, Any], value: float | None, *scores: float) -> Trial:
    state: Any = "complete" if value is not None else "pruned" if scores else "failed"
    return Trial(number, params, state, scores, value)


def searched(count: int) -> list[Trial]:
    """Trials of which those near rate 0.1 and depth 5 are the best."""
    found: list[Trial] = []
    for number in range(count):
        params = SEARCH.next_params(found)
        value = abs(params["rate"] - 0.1) + abs(params["depth"] - 5) + (params["loss"] is None) / 100
        found.append(trial(number, params, value, value) if number % 7 != 6 else trial(number, params, None))
    return found


def test_what_is_tried_is_in_the_space_and_comes_again() -> None:
    found = searched(24)
    assert all(SPACE[name].holds(value) for one in found for name, value in one.params.items())
    assert searched(12) == found[:12]
    assert Search(SPACE, 4, False).next_params([]) != found[0].params


def test_the_search_finds_what_is_good() -> None:
    found = searched(40)
    early, late = (sorted(one.value for one in half if one.value is not None)[:5] for half in (found[:10], found[20:]))
    assert sum(late) < sum(early)


def test_a_trial_worse_than_the_median_is_stopped_once_there_are_five() -> None:
    params = {"rate": 0.1, "depth": 5, "size": 10, "loss": "a"}
    trials = [trial(number, params, float(number), float(number), float(number)) for number in range(6)]
    assert SEARCH.hopeless(trials, [4.0])
    assert not SEARCH.hopeless(trials, [1.0])
    assert not SEARCH.hopeless(trials[:4], [4.0])
    assert not Search(SPACE, 3, True).hopeless(trials, [4.0])


def test_importance_waits_for_ten_trials_and_names_what_decides() -> None:
    found = [one for one in searched(30) if one.value is not None]
    assert SEARCH.importance(found[:9]) is None
    shares = SEARCH.importance(found)
    assert shares is not None
    assert next(iter(shares)) == "depth"
    assert sum(shares.values()) == pytest.approx(1.0)


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'ninetyfive\[tune\]'"):
        check_optuna()
