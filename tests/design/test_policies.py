"""Policies on small grids: the oracle is the best there is, and nobody looks at labels that are not known yet."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ninetyfive.design.policies import (
    PERIODS,
    Board,
    Known,
    cost_aware,
    known_at,
    never,
    on_drift,
    oracle,
    periodic,
    replay,
)


def board(seed: int, count: int, late: int = 0, price: float = 0.5, missing: float = 0.0) -> Board:
    """A grid of drawn losses with its first origin at 1."""
    draws = np.random.default_rng(seed)
    later = np.triu(np.ones((count, count), dtype=bool))
    later[0] = False
    lost = draws.random(count) < missing
    lost[1] = False
    later[lost] = False
    losses = np.where(later, draws.random((count, count)) + np.arange(count)[None, :] * 0.1, np.nan)
    shift = np.where(later, draws.random((count, count)) * 0.4, np.nan)
    return Board(losses, shift, np.maximum(np.arange(count) - late, 0), 1, price)


boards = st.builds(
    board,
    seed=st.integers(0, 10_000),
    count=st.integers(3, 9),
    late=st.integers(0, 2),
    price=st.sampled_from([0.0, 0.1, 0.5, 3.0]),
    missing=st.sampled_from([0.0, 0.4]),
)


@given(boards)
def test_no_policy_beats_the_oracle(given: Board) -> None:
    best = oracle(given).cost(given.price)
    policies = [never, cost_aware, on_drift(0.1)]
    outcomes = [replay(given, policy) for policy in policies] + [periodic(given, every) for every in PERIODS]
    for outcome in outcomes:
        assert best <= outcome.cost(given.price) + 1e-9


@given(boards)
@settings(max_examples=50)
def test_the_oracle_is_what_trying_everything_finds(given: Board) -> None:
    made, excess = given.made, given.excess
    later = [block for block in given.blocks if block > given.first and made[block]]
    costs = []
    for chosen in product([False, True], repeat=len(later)):
        trained = {block for block, train in zip(later, chosen, strict=True) if train}
        model, cost = given.first, 0.0
        for block in given.blocks:
            if block in trained:
                model, cost = block, cost + given.price
            cost += excess[model, block]
        costs.append(cost)
    assert oracle(given).cost(given.price) == pytest.approx(min(costs), abs=1e-9)


@given(boards, st.integers(0, 1_000))
@settings(max_examples=50)
def test_a_policy_does_not_see_what_is_not_known_yet(given: Board, seed: int) -> None:
    """Whatever stands in cells that were not known, every decision is the same."""
    draws = np.random.default_rng(seed)
    for block in given.blocks:
        for model in (given.first, block - 1):
            if not given.made[model]:
                continue
            seen = min(int(given.known[block]), block)
            other = {name: np.array(getattr(given, name)) for name in ("losses", "shift")}
            other["losses"][:, seen:] += draws.normal(0.0, 5.0, other["losses"][:, seen:].shape)
            other["shift"][:, block:] += 5.0
            changed = Board(**other, known=given.known, first=given.first, price=given.price)
            for policy in (never, cost_aware, on_drift(0.1)):
                assert policy(known_at(given, block, model)) == policy(known_at(changed, block, model))


def test_what_is_known_holds_nothing_of_later_blocks() -> None:
    seen: list[Known] = []
    replay(board(1, 8, late=2), lambda known: bool(seen.append(known)))
    assert seen
    for known in seen:
        assert np.isnan(known.losses[:, max(known.block - 2, 0) :]).all()
        assert np.isnan(known.shift[:, known.block :]).all()
        assert np.isnan(known.losses[known.block :]).all()


def test_periods_are_averaged_over_their_starts() -> None:
    losses = np.where(np.triu(np.ones((5, 5), dtype=bool)), 0.0, np.nan)
    for age in range(5):
        losses[np.arange(5 - age), np.arange(5 - age) + age] = float(age)
    given = Board(losses, losses, np.arange(5), 0, 0.0)
    every: Any = {period: periodic(given, period) for period in (1, 2)}
    assert every[1].excess == 0.0
    assert every[2].trainings == 2.0  # after 1 and 3, and after 2 and 4
    assert every[2].excess == 2.0
    assert replay(given, never).excess == 10.0


def test_a_training_that_failed_is_not_made() -> None:
    given = board(3, 6)
    given.losses[3] = np.nan
    assert 3 not in periodic(given, 1).models
    assert 3 not in oracle(given).models
