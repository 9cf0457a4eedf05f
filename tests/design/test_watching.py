"""The policy that watches quality, on grids whose jump is known: when it trains, on what, and what it may know."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ninetyfive.design.watching import Model, Watch, watched

BLOCKS, JUMP = 16, 7
WINDOWS = (None, 2, 4)


def grid(*, jump: int | None = JUMP, late: int = 0, seed: int = 0, rows: int = 400) -> Watch:
    """Models gain 0.3 over the constant while the world is the one that most of their window saw, else they lose."""
    draws = np.random.default_rng(seed)
    losses = np.full((len(WINDOWS), BLOCKS, BLOCKS, 21), np.nan)
    for place, window in enumerate(WINDOWS):
        for origin in range(1, BLOCKS):
            first = 0 if window is None else max(0, origin - window)
            newer = 0.0 if jump is None else max(0, origin - max(first, jump)) / (origin - first)
            for block in range(origin, BLOCKS):
                same = newer if jump is not None and block >= jump else 1.0 - newer
                folds = draws.normal(0.7 - 0.3 * (2 * same - 1), 0.04, 20)
                losses[place, origin, block] = [folds.mean(), *((folds.sum() - folds) / 19)]
    constant = np.where(np.isnan(losses), np.nan, 0.7)
    known = np.maximum(np.arange(BLOCKS) - late, 0)
    return Watch(WINDOWS, losses, constant, np.full(BLOCKS, rows), known, Model(0, 2))


@pytest.mark.parametrize("late", [0, 2])
def test_after_a_jump_it_trains_on_what_came_since_and_is_quiet_again(late: int) -> None:
    given = grid(late=late)
    models = watched(given, 1, 0.1)
    changes = [model for before, model in pairwise(models) if before != model]
    assert models[0] == (0, 2)
    assert changes[0].origin == JUMP + 1 + late, "when the first block after the jump is known"
    assert WINDOWS[changes[0].window] == 2, "the shortest: one block came since"
    assert changes[-1].origin <= JUMP + 4 + 2 * late
    assert given.losses[(*models[-1], BLOCKS - 1, 0)] == pytest.approx(0.4, abs=0.05)


def test_a_world_that_stays_is_left_alone() -> None:
    for seed in range(20):
        assert set(watched(grid(jump=None, seed=seed), 1, 0.1)) == {(0, 2)}


def test_it_looks_as_often_as_it_is_told_and_not_with_few_rows() -> None:
    (first, *_) = [model for model in watched(grid(), 4, 0.1) if model != (0, 2)]
    assert first.origin in (10, 14), "two blocks after the first origin, and then each fourth"
    few = watched(grid(rows=30), 1, 0.1)
    assert min(model.origin for model in few if model != (0, 2)) == 10, "four blocks of 30 rows make a look"


def test_it_does_not_see_what_is_not_known_yet() -> None:
    given = grid(late=1)
    models = watched(given, 1, 0.1)
    for block in range(2, BLOCKS):
        other = given.losses.copy()
        other[:, :, int(given.known[block]) :] += 9.0
        changed = Watch(given.windows, other, given.constant, given.rows, given.known, given.first)
        assert watched(changed, 1, 0.1)[: block - 1] == models[: block - 1]


def test_a_training_that_was_not_made_is_not_put_in_force() -> None:
    given = grid()
    given.losses[:, JUMP + 1] = np.nan
    models = watched(given, 1, 0.1)
    assert not any(model.origin == JUMP + 1 for model in models)
    assert models[-1] != (0, 2)
