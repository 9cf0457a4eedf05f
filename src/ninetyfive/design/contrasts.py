"""How sure a difference of losses is, when one model is scored on many blocks and one block by many models.

    loss of a model on a block = block + age + luck of the model + luck of the rows

A contrast weighs cells of a grid so that blocks cancel. What is left of luck has two parts: that of rows, by leaving
out one fold of them at a time (the delete-a-group jackknife of `reducers.intervals`), and that of models, which a
larger test set does not make smaller: one unlucky training is worse on every block. It is measured by pairs of models
that were trained on halves of one window, cut across time: what tells them apart is no age. Windows that overlap share
their luck by the rows that they share.
What does not belong here: which contrasts are asked for (`decay`, `windows`, `training`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ninetyfive.design.backtest import Halves
from ninetyfive.design.losses import Floats
from ninetyfive.features.encoding import FOLDS

DRAWS = 500
_NULL = 20_000
_SEED = 95


@dataclass(frozen=True, slots=True)
class Luck:
    """The variance of a model's loss over trainings on windows of `length` blocks, from so many `pairs` of halves.

    `variance` is None where there is no pair.
    """

    variance: float | None
    pairs: int
    length: int

    def covariance(self, origins: int, window: int | None, whole: int | None = None) -> Floats:
        """(origins, origins): what the luck of two trainings on `window` (None: all before) has in common.

        The training at origin `whole`, if one is named, saw all that came before, whatever the window.
        """
        place = np.arange(origins)
        first = np.zeros(origins) if window is None else np.maximum(0, place - window)
        if whole is not None:
            first[whole] = 0
        return self.shared(first, place)

    def shared(self, first: Floats, place: npt.NDArray[np.int64]) -> Floats:
        """(models, models): the same of trainings that each saw the blocks from its `first` up to its `place`.

        As of means over n and m rows, of which they share some: variance · length · shared / (n · m). Windows shorter
        than those that were measured are taken to have luck in the square of how much shorter they are.
        """
        size = np.maximum(place - first, 1)
        low, high = np.maximum.outer(first, first), np.minimum.outer(place, place)
        shared = np.maximum(high - low, 0)
        shorter = np.sqrt(np.maximum(1.0, self.length / size)) / size
        return np.asarray((self.variance or 0.0) * self.length * shared * np.multiply.outer(shorter, shorter))


@dataclass(frozen=True, slots=True)
class Contrast:
    """A weighted sum of losses, with the standard errors of both kinds of luck."""

    value: float
    rows: float
    models: float

    @property
    def error(self) -> float:
        """The standard error of both together."""
        return float(np.hypot(self.rows, self.models))


def luck_of(halves: Sequence[Halves], metric: str, length: int) -> Luck:
    """The luck of models on the whole window, from those of its halves.

    Two halves differ by twice the variance of a model of half the rows. What a fitted model loses beyond the best of
    its kind goes with 1 / rows, and its variance with the square: of half the rows it is four times that of the whole.
    """
    squares = []
    for pair in halves:
        apart = _complete(pair.left[metric]) - _complete(pair.right[metric])
        known = np.isfinite(apart[:, 0])
        if known.any():
            mean = apart[known].mean(axis=0)
            squares.append(max(float(mean[0] ** 2 - _jackknife(mean[1:])), float(mean[0] ** 2) / 4))
    return Luck(float(np.mean(squares)) / 8 if squares else None, len(squares), length)


def contrast(losses: Floats, weights: Floats, covariance: Floats) -> Contrast:
    """The sum of weights (origin, block) times losses (origin, block, 1 + 20); cells of weight 0 are not looked at."""
    used = weights != 0.0
    parts = (_complete(losses[used]) * weights[used][:, None]).sum(axis=0)
    each = weights.sum(axis=1)
    models = float(each @ covariance @ each)
    return Contrast(float(parts[0]), float(np.sqrt(_jackknife(parts[1:]))), float(np.sqrt(max(models, 0.0))))


def chance(found: Contrast, luck: Luck) -> float:
    """The probability of a value as large by luck alone: of Student's t with 19 and `luck.pairs` degrees of freedom."""
    draws = np.random.Generator(np.random.PCG64(_SEED))
    rows = found.rows * draws.standard_t(FOLDS - 1, _NULL)
    models = found.models * draws.standard_t(max(1, luck.pairs), _NULL)
    return float((1 + np.count_nonzero(rows + models >= found.value)) / (1 + _NULL))


def reach(found: Contrast, luck: Luck, share: float = 0.975) -> float:
    """How far the true value may be from the one found: the quantile `share` of luck alone."""
    draws = np.random.Generator(np.random.PCG64(_SEED))
    rows = found.rows * draws.standard_t(FOLDS - 1, _NULL)
    return float(np.quantile(rows + found.models * draws.standard_t(max(1, luck.pairs), _NULL), share))


def resampled(apart: Floats, weights: Floats | None = None, covariance: Floats | None = None) -> Floats:
    """(DRAWS, lines): bootstrap draws of the mean over blocks of each line of `apart` (lines, blocks), NaN left out.

    Blocks are drawn with replacement, the same ones for all lines, and models get new luck where `weights` (lines,
    origins) say how the mean of each line hangs on each model. Deviations are widened by √(n / (n − 1)) for n blocks.
    """
    draws = np.random.Generator(np.random.PCG64(_SEED))
    blocks = apart.shape[1]
    known = np.isfinite(apart)
    filled = np.where(known, apart, 0.0)
    counts = draws.multinomial(blocks, np.full(blocks, 1.0 / blocks), size=DRAWS).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (counts @ filled.T) / (counts @ known.T.astype(np.float64))
        whole = filled.sum(axis=1) / known.sum(axis=1)
        size = known.sum(axis=1)
        wider = np.sqrt(size / np.maximum(size - 1, 1))
    means = np.where(np.isfinite(means), means, whole)
    found = np.asarray(whole + (means - whole) * wider)
    if weights is not None and covariance is not None:
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        found += draws.standard_normal((DRAWS, len(covariance))) @ root.T @ weights.T
    return found


def _complete(losses: Floats) -> Floats:
    """Losses whose replicates are those of all rows where they are not defined without a fold."""
    return np.where(np.isnan(losses), losses[..., :1], losses)


def _jackknife(without: Floats) -> float:
    return float((FOLDS - 1) / FOLDS * ((without - without.mean()) ** 2).sum())
