"""What answers lose, block by block and without each fold in turn: the one form of every metric in a backtest.

    truth, answers of rows ─▶ sums by block and fold ─▶ loss of a block, and of the block without fold 0, 1, … 19

Every metric is a function of such sums, but AUC, which counts pairs. Losses are turned so that greater is worse: −AUC,
+log loss. A block where a metric is not defined (no rows, one class) is NaN. The numbers are those of
`reducers.scores`; here they are arrays, since a backtest asks for thousands of blocks at once.
What does not belong here: how sure a difference of losses is (`contrasts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ninetyfive.features.encoding import FOLDS
from ninetyfive.metrics import METRICS, Task
from ninetyfive.models.predictor import Answers

Floats = npt.NDArray[np.float64]
Sums = Callable[[Floats], Floats]

_CLIP = 1e-15


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to be scored: their block (from 0), fold and truth: bool, number, or the place of their class (−1: none)."""

    block: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int64]
    truth: np.ndarray
    blocks: int


def losses(metric: str, task: Task, rows: Rows, answers: Answers) -> Floats:
    """The loss of each block: (blocks, 1 + 20), first of all its rows, then without fold 0 to 19.

    Answers that are no number are left out, as `unpredicted` rows are by the reducers.

    >>> truth = np.array([True, False, True, False])
    >>> rows = Rows(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3]), truth, 2)
    >>> losses("brier", "binary", rows, np.array([0.5, 0.5, 1.0, 0.0]))[:, 0].tolist()
    [0.25, 0.0]
    """
    finite = np.isfinite(answers) if answers.ndim == 1 else np.isfinite(answers).all(axis=1)
    if not finite.all():
        rows = Rows(rows.block[finite], rows.fold[finite], rows.truth[finite], rows.blocks)
        answers = answers[finite]
    sign = -1.0 if METRICS[metric].higher_is_better else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric == "auc":
            return sign * _auc(rows, answers)
        columns, of_sums = _SUMS[task][metric](rows.truth, answers)
        return sign * of_sums(_without_each(_by_fold(rows, columns)))


def _by_fold(rows: Rows, columns: list[np.ndarray]) -> Floats:
    """(blocks, folds, columns): the sums of each column, the first of which is the count of rows."""
    place, size = rows.block * FOLDS + rows.fold, rows.blocks * FOLDS
    counts = np.bincount(place, minlength=size).astype(np.float64)
    sums = [np.bincount(place, weights=column, minlength=size) for column in columns]
    return np.stack([counts, *sums], axis=-1).reshape(rows.blocks, FOLDS, -1)


def _without_each(sums: Floats) -> Floats:
    """(blocks, 1 + folds, columns): the sums of all folds, and those without each."""
    whole = sums.sum(axis=1, keepdims=True)
    return np.concatenate([whole, whole - sums], axis=1)


def _mean(sums: Floats) -> Floats:
    return np.asarray(sums[..., 1] / sums[..., 0])


Columns = tuple[list[np.ndarray], Sums]


def _binary_log_loss(truth: np.ndarray, p: Answers) -> Columns:
    return [-np.log(np.clip(np.where(truth, p, 1.0 - p), _CLIP, 1.0))], _mean


def _brier(truth: np.ndarray, p: Answers) -> Columns:
    return [(p - truth) ** 2], _mean


def _binary_accuracy(truth: np.ndarray, p: Answers) -> Columns:
    return [((p >= 0.5) == truth).astype(np.float64)], _mean


def _hits(truth: np.ndarray, p: Answers) -> list[np.ndarray]:
    said = p >= 0.5
    return [(said & truth).astype(np.float64), said.astype(np.float64), truth.astype(np.float64)]


def _precision(truth: np.ndarray, p: Answers) -> Columns:
    return _hits(truth, p), lambda sums: np.asarray(sums[..., 1] / sums[..., 2])


def _recall(truth: np.ndarray, p: Answers) -> Columns:
    return _hits(truth, p), lambda sums: np.asarray(sums[..., 1] / sums[..., 3])


def _f1(truth: np.ndarray, p: Answers) -> Columns:
    return _hits(truth, p), lambda sums: np.asarray(2.0 * sums[..., 1] / (sums[..., 2] + sums[..., 3]))


def _class_log_loss(truth: np.ndarray, p: Answers) -> Columns:
    chance = np.hstack([p, np.zeros((len(p), 1))])[np.arange(len(p)), truth]
    return [-np.log(np.clip(chance, _CLIP, 1.0))], _mean


def _class_accuracy(truth: np.ndarray, p: Answers) -> Columns:
    return [(p.argmax(axis=1) == truth).astype(np.float64)], _mean


def _macro_f1(truth: np.ndarray, p: Answers) -> Columns:
    said, size = p.argmax(axis=1), p.shape[1]
    is_class = [(truth == k, said == k) for k in range(size)]
    columns = [part.astype(np.float64) for real, told in is_class for part in (real & told, real, told)]

    def of_sums(sums: Floats) -> Floats:
        right, actual, predicted = (sums[..., 1 + k :: 3] for k in range(3))
        seen = (actual + predicted) > 0
        each = np.where(seen, 2.0 * right / np.where(seen, actual + predicted, 1.0), 0.0)
        return np.asarray(each.sum(axis=-1) / seen.sum(axis=-1))

    return columns, of_sums


def _mae(truth: np.ndarray, p: Answers) -> Columns:
    return [np.abs(p - truth)], _mean


def _rmse(truth: np.ndarray, p: Answers) -> Columns:
    return [(p - truth) ** 2], lambda sums: np.sqrt(sums[..., 1] / sums[..., 0])


def _r2(truth: np.ndarray, p: Answers) -> Columns:
    apart = truth - (truth.mean() if len(truth) else 0.0)

    def of_sums(sums: Floats) -> Floats:
        around = sums[..., 3] - sums[..., 2] ** 2 / sums[..., 0]
        return np.where(around > 1e-12 * np.abs(sums[..., 3]), 1.0 - sums[..., 1] / around, np.nan)

    return [(p - truth) ** 2, apart, apart**2], of_sums


_SUMS: Mapping[Task, Mapping[str, Callable[[np.ndarray, Answers], Columns]]] = {
    "binary": {
        "log_loss": _binary_log_loss,
        "brier": _brier,
        "accuracy": _binary_accuracy,
        "precision": _precision,
        "recall": _recall,
        "f1": _f1,
    },
    "multiclass": {"log_loss": _class_log_loss, "accuracy": _class_accuracy, "macro_f1": _macro_f1},
    "regression": {"rmse": _rmse, "mae": _mae, "r2": _r2},
}


def _auc(rows: Rows, p: Answers) -> Floats:
    """The area under the ROC curve from pairs in the right order, ties half; without a fold: without its pairs.

    A pair has a row of the fold as its true one, as its false one, or as both: counted once each, so the pairs within
    the fold are added back.
    """
    blocks, truth = rows.blocks, rows.truth.astype(bool)
    place = rows.block * FOLDS + rows.fold
    won = _pairs(rows.block, truth, p)
    sizes = blocks * FOLDS
    mine = np.bincount(place, weights=won, minlength=sizes).reshape(blocks, FOLDS)
    both = np.bincount(place[truth], weights=_pairs(place, truth, p)[truth], minlength=sizes).reshape(blocks, FOLDS)
    true, false = (np.bincount(place[part], minlength=sizes).reshape(blocks, FOLDS) for part in (truth, ~truth))
    as_true = np.bincount(place[truth], weights=won[truth], minlength=sizes).reshape(blocks, FOLDS)
    pairs = as_true.sum(axis=1, keepdims=True)
    positives, negatives = true.sum(axis=1, keepdims=True), false.sum(axis=1, keepdims=True)
    whole = pairs / (positives * negatives)
    without = (pairs - mine + both) / ((positives - true) * (negatives - false))
    found = np.hstack([whole, without])
    return np.where(np.isfinite(found), found, np.nan)


def _pairs(group: npt.NDArray[np.int64], truth: npt.NDArray[np.bool_], p: Answers) -> Floats:
    """Of each row, the pairs in the right order that it makes with rows of its group of the other truth; ties half."""
    order = np.lexsort((p, group))
    g, score, positive = group[order], p[order], truth[order].astype(np.float64)
    new = np.ones(len(g), dtype=bool)
    new[1:] = (g[1:] != g[:-1]) | (score[1:] != score[:-1])
    start = np.flatnonzero(new)
    tie = np.cumsum(new) - 1
    first = np.ones(len(g), dtype=bool)
    first[1:] = g[1:] != g[:-1]
    of_group = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    before = np.concatenate([[0.0], np.cumsum(positive)])
    ends = np.append(start[1:], len(g))
    true_below = before[start][tie] - before[starts][of_group]
    true_ties = (before[ends] - before[start])[tie]
    rows_below = (start[tie] - starts[of_group]).astype(np.float64)
    tied = (ends - start)[tie].astype(np.float64)
    true_all = (before[np.append(starts[1:], len(g))] - before[starts])[of_group]
    false_right = (rows_below - true_below) + (tied - true_ties) / 2.0
    true_right = true_all - true_below - true_ties / 2.0
    found = np.empty(len(g))
    found[order] = np.where(positive > 0, false_right, true_right)
    return found
