"""Synthetic histories whose drift is known: what the tests of the training part of a design go through."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import numpy as np
import polars as pl

from ninetyfive import col
from ninetyfive.design.history import History, history_of
from ninetyfive.design.trainer import Recipe

Drift = Literal["stationary", "gradual", "sudden", "seasonal"]
START = datetime(2026, 1, 1)
DAYS = 120
COLUMNS = 4


def rows(
    drift: Drift = "stationary", *, seed: int = 0, size: int = 6_000, noise: float = 1.0, days: float = DAYS
) -> pl.DataFrame:
    """Rows at random moments: x0 … x3, and y, true with a chance by weights that turn as `drift` says."""
    draws = np.random.Generator(np.random.PCG64(seed))
    at = np.sort(draws.random(size))
    x = draws.standard_normal((size, COLUMNS))
    angle = {
        "stationary": np.zeros(size),
        "gradual": at * np.pi * 0.7,
        "sudden": np.where(at > 0.6, np.pi * 0.5, 0.0),
        "seasonal": np.pi * 0.5 * np.sin(2 * np.pi * at * 2.0),
    }[drift]
    logit = (2.0 * np.cos(angle) * x[:, 0] + 2.0 * np.sin(angle) * x[:, 1] + 0.5 * x[:, 2]) / noise
    y = draws.random(size) < 1.0 / (1.0 + np.exp(-logit))
    moments = np.datetime64(START, "us") + (at * days * 86_400e6).astype("timedelta64[us]")
    return pl.DataFrame({"at": moments, "id": np.arange(size), **{f"x{i}": x[:, i] for i in range(COLUMNS)}, "y": y})


def made(frame: pl.DataFrame, delay: str | None = None) -> History:
    """The history of such rows."""
    return history_of(frame, "y", "at", delay, ("id",))


def logistic(x: Any, y: Any, params: dict[str, Any]) -> Any:
    """A logistic regression."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**params).fit(x, y)


def recipe(**changes: Any) -> Recipe:
    """A recipe for such rows, judged by log loss."""
    features = {f"x{i}": col(f"x{i}").fill_mean().zscore() for i in range(COLUMNS)}
    return Recipe(**{"features": features, "function": logistic, "metrics": ("log_loss",), **changes})
