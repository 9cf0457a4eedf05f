"""Decay, windows and luck on grids that are made up, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from ninetyfive.design.backtest import Backtest, Grid, Halves
from ninetyfive.design.blocks import Blocks
from ninetyfive.design.contrasts import Contrast, Luck, chance, contrast, luck_of, reach, resampled
from ninetyfive.design.decay import decay_of, pair_weights
from ninetyfive.design.losses import Floats
from ninetyfive.design.shifts import shifts
from ninetyfive.design.windows import best_gain, compare_windows
from ninetyfive.features.encoding import FOLDS

COUNT, WARM, DAY = 16, 5, 86_400
METRIC = "log_loss"


def grid(by_age: Floats, seed: int = 1, luck: float = 0.0, window: int | None = WARM, level: float = 0.5) -> Grid:
    """Losses that grow with age as told, of blocks of their own difficulty, models of their own luck, noisy rows."""
    draws = np.random.default_rng(seed)
    later = np.triu(np.ones((COUNT, COUNT), dtype=bool))
    later[:WARM] = False
    age = np.maximum(np.arange(COUNT)[None, :] - np.arange(COUNT)[:, None], 0)
    hard, lucky = draws.normal(0.0, 0.3, COUNT), draws.normal(0.0, luck, COUNT)
    whole = level + hard[None, :] + by_age[age] + lucky[:, None]
    noise = draws.normal(0.0, 0.001, (COUNT, COUNT, 1 + FOLDS))
    losses = np.where(later[:, :, None], whole[:, :, None] + noise, np.nan)
    constant = np.where(later[:, :, None], level + hard[None, :, None] + 0.4 + 0.0 * noise, np.nan)
    return Grid(window, {METRIC: losses}, {METRIC: constant}, np.zeros((COUNT, COUNT)))


def halves(luck: float, seed: int = 2) -> tuple[Halves, ...]:
    draws = np.random.default_rng(seed)
    made = []
    for origin in range(WARM, WARM + 6):
        left, right = (np.full((COUNT, 1 + FOLDS), 0.5 + draws.normal(0.0, luck)) for _ in range(2))
        made.append(Halves(origin, {METRIC: left}, {METRIC: right}))
    return tuple(made)


def test_of(*grids: Grid) -> Backtest:
    edges = np.arange(COUNT + 1, dtype=np.int64) * DAY * 1_000_000
    starts = np.arange(COUNT + 1, dtype=np.int64) * 100
    blocks = Blocks(DAY, edges, starts, np.arange(COUNT), WARM, 0.0)
    return Backtest(blocks, {one.window: one for one in grids}, WARM, 11, 0.1, (), ())


test_of.__test__ = False  # type: ignore[attr-defined]


def test_excess_is_paired_so_that_hard_blocks_are_no_age() -> None:
    decay = decay_of(test_of(grid(np.arange(COUNT) * 0.02)), METRIC, WARM, halves(0.001))
    assert decay.decays
    assert [point.age for point in decay.points] == [DAY * age for age in range(1, COUNT - WARM)]
    for point in decay.points:
        assert point.excess.value == pytest.approx(0.02 * point.age / DAY, abs=0.003)
    assert [point.pairs for point in decay.points] == list(range(COUNT - WARM - 1, 0, -1))
    assert decay.half_life == pytest.approx(10 * DAY, rel=0.1)  # the gain is 0.4
    sure = [point.excess for point in decay.points if point.excess.low is not None]
    assert len(sure) == COUNT - WARM - 3
    assert all(one.low is not None and one.high is not None and one.low <= one.value <= one.high for one in sure)


def test_luck_of_models_is_no_decay() -> None:
    """Models differ by as much as halves of one window do: nothing can be told, in 19 of 20 draws or more."""
    told = [
        decay_of(test_of(grid(np.zeros(COUNT), seed, 0.01)), METRIC, WARM, halves(0.02, seed + 500)).decays
        for seed in range(100)
    ]
    assert sum(told) <= 5


def test_a_season_decays_though_its_curve_falls_again() -> None:
    season = 0.15 * (1 - np.cos(np.arange(COUNT) * 2 * np.pi / 8))
    decay = decay_of(test_of(grid(season)), METRIC, WARM, halves(0.001))
    assert decay.decays
    by_age = {point.age / DAY: point.excess.value for point in decay.points}
    assert by_age[4] > 10 * abs(by_age[8])
    assert decay.half_life == pytest.approx(3 * DAY, rel=0.3)  # the first time that half of the gain is lost


def test_no_half_life_where_less_is_lost_and_the_reason_says_so() -> None:
    decay = decay_of(test_of(grid(np.arange(COUNT) * 0.005)), METRIC, WARM, halves(0.001))
    assert decay.decays
    assert decay.half_life is None
    assert "% of the gain" in decay.reason


def test_without_halves_there_is_no_test() -> None:
    decay = decay_of(test_of(grid(np.arange(COUNT) * 0.02)), METRIC, WARM, ())
    assert (decay.decays, decay.p_value) == (False, None)
    assert "chance" in decay.reason


def test_one_training_has_no_pair() -> None:
    one = grid(np.zeros(COUNT))
    one.losses[METRIC][WARM + 1 :] = np.nan
    decay = decay_of(test_of(one), METRIC, WARM, halves(0.01))
    assert (decay.decays, decay.p_value, decay.points) == (False, None, ())


def test_pairs_weigh_alike_and_blocks_cancel() -> None:
    weights = pair_weights(grid(np.zeros(COUNT)).losses[METRIC])
    assert weights is not None
    assert np.abs(weights.sum(axis=0)).max() < 1e-12
    assert weights[weights > 0].sum() == pytest.approx(1.0)


def test_windows_are_compared_on_the_same_blocks() -> None:
    flat = np.zeros(COUNT)
    good, bad = grid(flat), grid(flat, window=None, level=0.55)
    best, other = compare_windows(test_of(good, bad), METRIC)
    assert (best.window, other.window) == ("5d", None)
    assert best.excess.value == 0.0
    assert other.excess.value == pytest.approx(0.05, abs=0.002)
    assert other.excess.low is not None
    assert other.excess.low > 0.04
    assert best_gain(test_of(good, bad), METRIC) == pytest.approx(0.4, abs=0.002)


def test_a_window_whose_trainings_were_cut_is_not_compared() -> None:
    cut = grid(np.zeros(COUNT), window=None)
    cut.losses[METRIC][WARM + 3 :] = np.nan
    assert [score.window for score in compare_windows(test_of(grid(np.zeros(COUNT)), cut), METRIC)] == ["5d"]


def test_luck_is_that_of_halves_and_shared_by_overlap() -> None:
    luck = luck_of(halves(0.02), METRIC, WARM)
    assert luck.pairs == 6
    assert luck.variance is not None
    assert 0.1 < luck.variance / (0.02**2 / 2) < 4.0
    shared = Luck(1.0, 6, 4).covariance(12, 4)
    assert shared[8, 8] == pytest.approx(1.0)
    assert shared[8, 10] == pytest.approx(0.5)
    assert shared[4, 8] == 0.0
    growing = Luck(1.0, 6, 4).covariance(12, None)
    assert growing[8, 8] == pytest.approx(0.5)
    assert Luck(1.0, 6, 4).covariance(12, 2)[8, 8] == pytest.approx(4.0)
    assert Luck(1.0, 6, 4).covariance(12, 2, 8)[8, 8] == pytest.approx(0.5)


def test_rows_are_judged_by_leaving_out_folds() -> None:
    draws = np.random.default_rng(3)
    size = 20_000
    values, fold = draws.normal(1.0, 2.0, size), draws.integers(0, FOLDS, size)
    without = [values[fold != one].mean() for one in range(FOLDS)]
    losses = np.array([[[values.mean(), *without]]])
    found = contrast(losses, np.ones((1, 1)), np.zeros((1, 1)))
    assert found.value == pytest.approx(values.mean())
    assert found.rows == pytest.approx(2.0 / np.sqrt(size), rel=0.5)
    assert found.models == 0.0


def test_chance_and_reach_are_of_student() -> None:
    luck = Luck(1.0, 6, 4)
    assert chance(Contrast(0.0, 0.0, 1.0), luck) == pytest.approx(0.5, abs=0.02)
    assert chance(Contrast(1.943, 0.0, 1.0), luck) == pytest.approx(0.05, abs=0.01)  # t of 6, 0.95
    assert reach(Contrast(0.0, 0.0, 1.0), luck, 0.95) == pytest.approx(1.943, abs=0.1)
    assert reach(Contrast(0.0, 1.0, 0.0), luck, 0.975) == pytest.approx(2.093, abs=0.1)  # t of 19


def test_blocks_are_drawn_together() -> None:
    apart = np.array([[0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], [np.nan, np.nan, 5.0, 5.0]])
    draws = resampled(apart)
    assert np.allclose(draws[:, 1] - draws[:, 0], 1.0)
    assert draws[:, 0].std() == pytest.approx(np.std(apart[0]) / np.sqrt(3), rel=0.1)
    assert (draws[:, 2] == 5.0).all()


def test_inputs_that_moved_are_far_and_those_that_did_not_are_near() -> None:
    draws = np.random.default_rng(5)
    trained = draws.normal(0.0, 1.0, (3_000, 2)).astype(np.float32)
    later = draws.normal(0.0, 1.0, (2_000, 2)).astype(np.float32)
    later[1_000:, 1] += 2.0
    near, far, none = shifts(trained, later, np.array([0, 1_000, 2_000, 2_000]))
    assert near < 0.05
    assert far > 0.5
    assert np.isnan(none)


def test_missing_values_are_a_bin() -> None:
    trained = np.ones((500, 1), dtype=np.float32)
    later = np.full((500, 1), np.nan, dtype=np.float32)
    assert shifts(trained, later, np.array([0, 500]))[0] > 0.5
    assert shifts(later, later, np.array([0, 500]))[0] < 0.1
