"""How a metric falls with the age of the model: old against fresh, on the same rows.

    excess(age) = mean over blocks of ( loss of the model trained `age` before the block − loss of the freshest )

Both were trained on windows of one length with as many rows, so that neither a hard block nor more data looks like age.
The test asks whether all pairs of old and fresh models together differ by more than the luck of models and rows
(`contrasts`): if there is no drift, an old model is another draw from the same lot. It does not ask for a curve that
only rises: with a season it falls again.
What does not belong here: what decay costs, and what to do about it (`policies`, `training`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ninetyfive.design.backtest import Backtest, Grid, Halves
from ninetyfive.design.blocks import Blocks
from ninetyfive.design.contrasts import Luck, chance, contrast, luck_of, reach, resampled
from ninetyfive.design.evidence import AgePoint, Decay, Interval
from ninetyfive.design.losses import Floats
from ninetyfive.durations import duration_text

LEVEL = 0.05
"""How often a history without drift may be said to have one."""
_PAIRS = 3
"""The fewest pairs of an age whose excess has an interval."""


def decay_of(test: Backtest, metric: str, window: int, halves: Sequence[Halves]) -> Decay:
    """The decay of a metric with trainings on a window of so many blocks, and pairs of models of its halves."""
    grid, blocks = test.grids[window], test.blocks
    losses = grid.losses[metric]
    luck = luck_of(halves, metric, window)
    points = _points(blocks, losses, luck, window)
    weights = pair_weights(losses)
    if weights is None:
        return _nothing(metric, points, "fewer than two trainings could be compared on one block")
    if luck.variance is None:
        return _nothing(metric, points, "there was no time to measure how much models of one age differ by chance")
    found = contrast(losses, weights, luck.covariance(blocks.count, grid.window))
    p_value = chance(found, luck)
    decays = p_value < LEVEL
    gain = gain_of(grid, metric)
    half, why = _half_life(points, gain)
    least = reach(found, luck, 1.0 - LEVEL)
    if not decays:
        oldest = duration_text(points[-1].age)
        share = f", {least / gain:.0%} of the gain over the constant baseline," if gain and gain > 0 else ""
        half, why = (
            None,
            (
                f"no decay can be told from chance at ages up to {oldest} (p = {p_value:.2g}); "
                f"a mean excess of {least:.2g}{share} would have been told"
            ),
        )
    return Decay(
        metric=metric,
        points=points,
        decays=decays,
        p_value=p_value,
        half_life=half,
        reason=why,
        detectable=least,
    )


def gain_of(grid: Grid, metric: str) -> float | None:
    """How much less a fresh model loses than the constant baseline, the mean over blocks; None where none is known."""
    fresh = np.diagonal(grid.losses[metric][:, :, 0])
    plain = np.diagonal(grid.constant[metric][:, :, 0])
    known = np.isfinite(fresh) & np.isfinite(plain)
    return float((plain - fresh)[known].mean()) if known.any() else None


def apart_of(losses: Floats) -> Floats:
    """(age, block): how much more the model of each age lost than the one trained at the start of the block."""
    whole = losses[:, :, 0]
    count = len(whole)
    fresh, apart = np.diagonal(whole), np.full((count, count), np.nan)
    for age in range(count):
        apart[age, age:] = np.diagonal(whole, age) - fresh[age:]
    return apart


def pair_weights(losses: Floats) -> Floats | None:
    """The weights of the mean over all pairs of an old and a fresh model on one block; None where there is no pair."""
    known = np.isfinite(losses[:, :, 0])
    fresh = np.diagonal(known)
    old = np.triu(known & fresh[None, :], 1)
    pairs = int(old.sum())
    if not pairs:
        return None
    weights = old.astype(np.float64)
    np.fill_diagonal(weights, -old.sum(axis=0))
    return np.asarray(weights / pairs)


def _points(blocks: Blocks, losses: Floats, luck: Luck, window: int) -> tuple[AgePoint, ...]:
    apart = apart_of(losses)
    ages = [age for age in range(1, len(apart)) if np.isfinite(apart[age]).any()]
    if not ages:
        return ()
    weights = np.zeros((len(ages), blocks.count))
    for line, age in enumerate(ages):
        at = np.flatnonzero(np.isfinite(apart[age]))
        np.add.at(weights[line], at - age, 1.0 / len(at))
        np.add.at(weights[line], at, -1.0 / len(at))
    draws = resampled(apart[ages], weights, luck.covariance(blocks.count, window))
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    points = []
    for line, age in enumerate(ages):
        known = np.isfinite(apart[age])
        value, sure = float(apart[age][known].mean()), int(known.sum()) >= _PAIRS
        points.append(
            AgePoint(
                age=float(age * blocks.length),
                excess=Interval(value, float(low[line]), float(high[line])) if sure else Interval(value),
                pairs=int(known.sum()),
                rows=int(blocks.rows[known].sum()),
            )
        )
    return tuple(points)


def _half_life(points: tuple[AgePoint, ...], gain: float | None) -> tuple[float | None, str]:
    if gain is None or gain <= 0:
        return None, "a fresh model gains nothing over the constant baseline: there is nothing to lose"
    age, excess = 0.0, 0.0
    for point in points:
        if point.excess.value >= gain / 2:
            share = (gain / 2 - excess) / (point.excess.value - excess)
            life = age + share * (point.age - age)
            return life, f"half of the gain over the constant baseline is lost at an age of {duration_text(life)}"
        age, excess = point.age, point.excess.value
    worst = max((point.excess.value for point in points), default=0.0)
    return None, f"the most that is lost at ages up to {duration_text(age)} is {max(worst, 0.0) / gain:.0%} of the gain"


def _nothing(metric: str, points: tuple[AgePoint, ...], why: str) -> Decay:
    return Decay(metric=metric, points=points, decays=False, p_value=None, half_life=None, reason=why)
