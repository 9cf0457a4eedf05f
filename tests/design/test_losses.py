"""Losses by block and fold are the metrics of the reducers, turned so that greater is worse."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from ninetyfive.design.losses import Rows, losses
from ninetyfive.features.encoding import FOLDS
from ninetyfive.metrics import METRICS, TASKS, Task
from ninetyfive.reducers.scores import BinaryScores, ClassScores, NumberScores

BLOCKS, SIZE = 4, 400
CASES = [(task, name) for task in TASKS for name, metric in METRICS.items() if task in metric.tasks]


def drawn(task: Task, seed: int) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """Truth as an array and as a column, answers, blocks of which the last has no row."""
    draws = np.random.default_rng(seed)
    block, fold = draws.integers(0, BLOCKS - 1, SIZE), draws.integers(0, FOLDS, SIZE)
    if task == "binary":
        truth = draws.random(SIZE) < 0.4
        answers = np.round(np.clip(0.4 * truth + draws.random(SIZE) * 0.6, 0.0, 1.0), 2)
    elif task == "regression":
        truth = draws.normal(5.0, 2.0, SIZE)
        answers = truth + draws.normal(0.0, 1.0, SIZE)
    else:
        truth = draws.integers(-1, 3, SIZE)
        answers = draws.dirichlet(np.ones(3), SIZE)
    return truth, answers, block, fold


def by_reducer(task: Task, metric: str, truth: Any, answers: Any) -> float:
    if task == "multiclass":
        words = np.array(["a", "b", "c", "other"])[truth]
        frame = pl.DataFrame({"label": words, "a": answers[:, 0], "b": answers[:, 1], "c": answers[:, 2]})
        scores: Any = ClassScores(("a", "b", "c"), ("a", "b", "c"))
    else:
        frame = pl.DataFrame({"label": truth, "prediction": answers})
        scores = BinaryScores() if task == "binary" else NumberScores()
    found = scores.result(scores.add(scores.zero(), frame))[metric]
    return float("nan") if found is None else float(found) * (-1.0 if METRICS[metric].higher_is_better else 1.0)


@pytest.mark.parametrize(("task", "metric"), CASES)
def test_a_block_loses_what_the_reducer_says(task: Task, metric: str, seed: int) -> None:
    truth, answers, block, fold = drawn(task, seed)
    found = losses(metric, task, Rows(block, fold, truth, BLOCKS), answers)
    assert found.shape == (BLOCKS, 1 + FOLDS)
    tolerance = 1e-3 if metric == "auc" else 1e-9  # the reducer's AUC is exact up to ties in its bins
    for number in range(BLOCKS):
        for place in (None, 0, 7):
            some = (block == number) & (True if place is None else fold != place)
            expected = by_reducer(task, metric, truth[some], answers[some])
            got = found[number, 0 if place is None else 1 + place]
            assert got == pytest.approx(expected, abs=tolerance, nan_ok=True)


def test_ties_count_half_and_one_class_is_not_judged() -> None:
    rows = Rows(np.zeros(4, dtype=np.int64), np.array([0, 1, 2, 3]), np.array([True, False, True, False]), 1)
    assert losses("auc", "binary", rows, np.full(4, 0.5))[0, 0] == -0.5
    one = Rows(rows.block, rows.fold, np.ones(4, dtype=bool), 1)
    assert np.isnan(losses("auc", "binary", one, np.full(4, 0.5))[0, 0])


def test_rows_without_an_answer_are_left_out() -> None:
    rows = Rows(np.zeros(3, dtype=np.int64), np.array([0, 1, 2]), np.array([1.0, 2.0, 3.0]), 1)
    assert losses("mae", "regression", rows, np.array([1.0, np.nan, 5.0]))[0, 0] == 1.0
