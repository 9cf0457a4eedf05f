"""The metrics: what each is called, which task it judges, which way is better. `reducers.scores` computes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["binary", "multiclass", "regression"]
TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: the tasks it judges, whether higher is better, and what it is in one line."""

    tasks: tuple[Task, ...]
    higher_is_better: bool
    text: str


METRICS: dict[str, Metric] = {
    "auc": Metric(("binary",), True, "area under the ROC curve"),
    "log_loss": Metric(("binary", "multiclass"), False, "mean negative log likelihood, in nats"),
    "brier": Metric(("binary",), False, "mean squared error of the probability"),
    "accuracy": Metric(("binary", "multiclass"), True, "share of rows whose likeliest class is right"),
    "precision": Metric(("binary",), True, "share of rows predicted true (from 0.5) that are true"),
    "recall": Metric(("binary",), True, "share of true rows predicted true (from 0.5)"),
    "f1": Metric(("binary",), True, "harmonic mean of precision and recall at 0.5"),
    "macro_f1": Metric(("multiclass",), True, "mean over classes of F1"),
    "rmse": Metric(("regression",), False, "root of the mean squared error, in units of the label"),
    "mae": Metric(("regression",), False, "mean absolute error, in units of the label"),
    "r2": Metric(("regression",), True, "share of the label's variance explained"),
}

DEFAULT_METRICS: dict[Task, tuple[str, ...]] = {
    "binary": ("auc", "log_loss", "brier"),
    "multiclass": ("log_loss", "accuracy", "macro_f1"),
    "regression": ("rmse", "mae", "r2"),
}
