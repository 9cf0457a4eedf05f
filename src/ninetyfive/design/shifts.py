"""How far the inputs of a block are from those a model was trained on, without a label.

    training inputs ─ 10 bins of equal shares a column ─▶ shares;  block ─ the same bins ─▶ shares;  PSI of the two

PSI, the population stability index, is Σ (p − q) · ln(p / q): twice the Jeffreys divergence of the binned columns;
0.1 and 0.25 are its customary borders. What chance alone gives, about (bins − 1) · (1/rows + 1/rows of training), is
taken off. The signal of a block is the largest PSI of its columns. NaN is a bin of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ninetyfive.models.predictor import Inputs

BINS = 10
COLUMNS, ROWS = 50, 1_000
"""How many columns, and of each block how many rows, are looked at; rows evenly spread."""


def shifts(trained: Inputs, later: Inputs, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The signal of each block of `later`, whose first rows (and the end) are `starts`; NaN of blocks without rows."""
    trained = trained[_spread(0, len(trained), 4 * ROWS), :COLUMNS]
    places = [_spread(low, high, ROWS) for low, high in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)]
    block = np.repeat(np.arange(len(places)), [len(some) for some in places])
    some = later[np.concatenate(places), :COLUMNS] if places else later[:0, :COLUMNS]
    sizes = np.bincount(block, minlength=len(places))
    worst = np.full(len(places), -np.inf)
    for column in range(trained.shape[1]):
        known = trained[:, column]
        told = known[~np.isnan(known)]
        edges = np.unique(np.quantile(told, np.arange(1, BINS) / BINS, method="lower")) if len(told) else told
        size = len(edges) + 2
        expected = _shares(np.bincount(_bins(known, edges), minlength=size)[None, :])
        counted = np.bincount(block * size + _bins(some[:, column], edges), minlength=len(places) * size)
        actual = _shares(counted.reshape(len(places), size))
        chance = (size - 2) * (1.0 / np.maximum(sizes, 1) + 1.0 / max(1, len(known)))
        worst = np.maximum(worst, ((actual - expected) * np.log(actual / expected)).sum(axis=1) - chance)
    return np.where(sizes > 0, np.maximum(worst, 0.0), np.nan)


def _bins(values: np.ndarray, edges: np.ndarray) -> npt.NDArray[np.int64]:
    bins = np.searchsorted(edges, values, side="left")
    return np.where(np.isnan(values), len(edges) + 1, bins).astype(np.int64)


def _shares(counts: np.ndarray) -> npt.NDArray[np.float64]:
    """Shares of each row of counts, with half a row in every bin, so that none is 0."""
    smooth = counts + 0.5
    return np.asarray(smooth / smooth.sum(axis=1, keepdims=True), dtype=np.float64)


def _spread(low: int, high: int, most: int) -> npt.NDArray[np.int64]:
    size = high - low
    if size <= most:
        return np.arange(low, high, dtype=np.int64)
    return low + np.arange(most, dtype=np.int64) * size // most
