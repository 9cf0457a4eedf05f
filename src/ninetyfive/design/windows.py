"""How much of the past a training should see: windows compared by their fresh models, on the same blocks.

What does not belong here: how often to train (`policies`).
"""

from __future__ import annotations

import numpy as np

from ninetyfive.design.backtest import Backtest, window_text
from ninetyfive.design.contrasts import resampled
from ninetyfive.design.evidence import Interval, WindowScore


def compare_windows(test: Backtest, metric: str) -> tuple[tuple[WindowScore, ...], int | None]:
    """The scores of all windows, the best first, and the window to take: the longest that is as good as the best.

    As good: worse by less than the standard error of the difference (the rule of one standard error, Breiman et al.:
    Classification and Regression Trees, 1984). Without a training of any other window it is the main one.
    """
    blocks = test.blocks
    fresh = {window: np.diagonal(grid.losses[metric][:, :, 0]) for window, grid in test.grids.items()}
    common = np.isfinite(fresh[test.main])
    whole = {window: loss for window, loss in fresh.items() if (np.isfinite(loss) | ~common).all()}
    if not common.any():
        return (), test.main
    means = {window: float(loss[common].mean()) for window, loss in whole.items()}
    best = min(means, key=lambda window: (means[window], -_long(window)))
    scores, errors = {}, {}
    for window, loss in whole.items():
        apart = (loss - whole[best])[common]
        draws = resampled(apart[None, :])[:, 0]
        low, high = np.quantile(draws, [0.025, 0.975])
        errors[window] = float(draws.std())
        interval = Interval(0.0, 0.0, 0.0) if window == best else Interval(float(apart.mean()), float(low), float(high))
        scores[window] = WindowScore(
            window=window_text(window, blocks), excess=interval, trainings=int(np.isfinite(loss).sum())
        )
    good = [window for window in whole if means[window] - means[best] <= errors[window]]
    ordered = sorted(scores, key=lambda window: (means[window], -_long(window)))
    return tuple(scores[window] for window in ordered), max(good, key=_long)


def _long(window: int | None) -> int:
    return 1 << 30 if window is None else window
