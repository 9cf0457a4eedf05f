"""How much of the past a training should see: windows compared by their fresh models, on the same blocks.

What does not belong here: how often to train (`policies`).
"""

from __future__ import annotations

import numpy as np

from ninetyfive.design.backtest import Backtest, window_text
from ninetyfive.design.contrasts import resampled
from ninetyfive.design.decay import gain_of
from ninetyfive.design.evidence import Interval, WindowScore


def compare_windows(test: Backtest, metric: str) -> tuple[WindowScore, ...]:
    """The scores of all windows whose trainings were all made, the best first, of equal ones the longest."""
    fresh = {window: np.diagonal(grid.losses[metric][:, :, 0]) for window, grid in test.grids.items()}
    common = np.isfinite(fresh[test.main])
    whole = {window: loss for window, loss in fresh.items() if (np.isfinite(loss) | ~common).all()}
    if not common.any():
        return ()
    means = {window: float(loss[common].mean()) for window, loss in whole.items()}
    ordered = sorted(whole, key=lambda window: (means[window], -(window or test.blocks.count)))
    scores = []
    for window in ordered:
        apart = (whole[window] - whole[ordered[0]])[common]
        low, high = np.quantile(resampled(apart[None, :])[:, 0], [0.025, 0.975])
        interval = Interval(float(apart.mean()), float(low), float(high))
        trainings = int(np.isfinite(whole[window]).sum())
        scores.append(WindowScore(window=window_text(window, test.blocks), excess=interval, trainings=trainings))
    return tuple(scores)


def best_gain(test: Backtest, metric: str) -> float | None:
    """What fresh models on the best window gain over the constant baseline; None where none is known."""
    gains = [gain_of(grid, metric) for grid in test.grids.values()]
    return max((gain for gain in gains if gain is not None), default=None)
