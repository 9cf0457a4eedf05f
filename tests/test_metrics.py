"""The table of metrics: complete, and true to what the reducers compute."""

from __future__ import annotations

import polars as pl
import pytest

from ninetyfive.metrics import DEFAULT_METRICS, METRICS, TASKS, Task
from ninetyfive.reducers.reducer import Reducer
from ninetyfive.reducers.scores import BinaryScores, ClassScores, NumberScores

GOOD = {
    "binary": pl.DataFrame({"label": [True, False, True, False], "prediction": [0.9, 0.1, 0.8, 0.2]}),
    "multiclass": pl.DataFrame({"label": ["a", "b", "a"], "p:a": [0.9, 0.2, 0.8], "p:b": [0.1, 0.8, 0.2]}),
    "regression": pl.DataFrame({"label": [1.0, 2.0, 4.0], "prediction": [1.1, 2.1, 3.9]}),
}
POOR = {
    "binary": pl.DataFrame({"label": [True, False, True, False], "prediction": [0.4, 0.6, 0.7, 0.9]}),
    "multiclass": pl.DataFrame({"label": ["a", "b", "a"], "p:a": [0.6, 0.7, 0.2], "p:b": [0.4, 0.3, 0.8]}),
    "regression": pl.DataFrame({"label": [1.0, 2.0, 4.0], "prediction": [4.0, 2.5, 1.0]}),
}
REDUCERS: dict[Task, Reducer] = {
    "binary": BinaryScores(),
    "multiclass": ClassScores(("p:a", "p:b"), ("a", "b")),
    "regression": NumberScores(),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_of_a_task_is_computed_and_points_the_stated_way(task: Task) -> None:
    reducer = REDUCERS[task]
    good, poor = (reducer.result(reducer.add(reducer.zero(), rows[task])) for rows in (GOOD, POOR))
    for name, metric in METRICS.items():
        if task in metric.tasks:
            assert (good[name] > poor[name]) == metric.higher_is_better, name


def test_defaults_judge_their_task_and_every_metric_says_what_it_is() -> None:
    assert set(DEFAULT_METRICS) == set(TASKS)
    for task, names in DEFAULT_METRICS.items():
        assert all(task in METRICS[name].tasks for name in names)
    assert all(metric.text and metric.tasks for metric in METRICS.values())
