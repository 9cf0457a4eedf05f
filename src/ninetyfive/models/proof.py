"""The proof that what is served answers as what was trained.

    rows ─┬─ native ─┐
          └─ served ─┴─▶ parity (max difference) · batch invariance · missing values · time · size

Parity is on real rows: a sample spread over all of them, and the rows that hold each column's extremes. Where it
fails the release stops, with the row shown. What does not belong here: how predictions are scored (`reducers/scores`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import process_time
from typing import Literal

import msgspec
import numpy as np

from ninetyfive.errors import ModelError
from ninetyfive.models.predictor import Answers, Inputs
from ninetyfive.timing import call_seconds

Predict = Callable[[Inputs], Answers]

TOLERANCE = 1e-5
"""How far a served answer may be from the native one, per unit of the largest native answer (at least 1)."""

_PARITY_ROWS = 10_000
_SINGLE_ROWS = 100
_SHOWN_COLUMNS = 8
_NATIVE = "accept the native form with `@system.model(native=True)`"
_OUT = f"scale in features (.zscore()) rather than in the model, or {_NATIVE}"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured. All but `timing` is the same for the same model and rows.

    `difference`, `batch_difference` and `tolerance` are in the unit of the prediction; `size` in bytes.
    `missing` says what the native model does with a NaN: "answered" (and the served one agrees) or "refused" (it
    raises, or no row had one and the two forms differ: such a row must get no answer, see `refuses_missing` of the
    predictors).
    """

    rows: int
    tolerance: float
    difference: float
    batch_rows: int
    batch_exact: bool
    batch_difference: float
    missing: Literal["answered", "refused"]
    size: int
    timing: Timing


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of CPU of the served form: one prediction alone, and one row of a batch of `batch` rows (medians)."""

    one: float
    row: float
    batch: int


def prove(native: Predict, served: Predict, x: Inputs, columns: Sequence[str] = (), size: int = 0) -> Proof:
    """Compare two ways to predict on float32 rows (rows, columns); `ModelError` where they disagree.

    No rows raise `ModelError` too: nothing was proved.
    """
    if not len(x):
        raise ModelError("parity", expected="rows to compare on", got="no rows", do="widen the window or hold rows out")
    missing = _missing(native, served, x, columns)
    whole = x if missing == "answered" else x[~np.isnan(x).any(axis=1)]
    if not len(whole):
        raise ModelError(
            "parity",
            expected="rows without missing values to compare on, for a model that refuses them",
            got=f"{len(x)} rows, each with some",
            do="fill missing values in features (.fill_mean(), .fill_null())",
        )
    sample = whole[_spread(whole)]
    truth, answer = native(sample), served(sample)
    tolerance = _tolerance(truth)
    difference = _parity(sample, truth, answer, tolerance, columns)
    batch_rows, batch_difference = _batches(served, sample, answer, tolerance, columns)
    return Proof(
        rows=len(sample),
        tolerance=tolerance,
        difference=difference,
        batch_rows=batch_rows,
        batch_exact=batch_difference == 0.0,
        batch_difference=batch_difference,
        missing=missing,
        size=size,
        timing=_timing(served, sample),
    )


def _tolerance(truth: Answers) -> float:
    return TOLERANCE * float(np.nanmax(np.abs(truth), initial=1.0))


def _spread(x: Inputs) -> np.ndarray:
    """Rows to compare on, ascending: evenly spread, plus where each column is smallest, largest and missing."""
    rows = {int(row) for row in np.linspace(0, len(x) - 1, min(len(x), _PARITY_ROWS)).round()}
    absent = np.isnan(x)
    low, high = np.where(absent, np.inf, x), np.where(absent, -np.inf, x)
    for extremes in (low.argmin(axis=0), high.argmax(axis=0), absent.argmax(axis=0)):
        rows.update(int(row) for row in extremes)
    return np.array(sorted(rows))


def _distance(left: Answers, right: Answers) -> np.ndarray:
    """The largest absolute difference in each row; NaN equals NaN, and NaN is infinitely far from a number."""
    apart = np.abs(left - right)
    apart = np.where(np.isnan(left) & np.isnan(right), 0.0, np.where(np.isnan(apart), np.inf, apart))
    return apart if apart.ndim == 1 else apart.max(axis=1)


def _parity(x: Inputs, truth: Answers, answer: Answers, tolerance: float, columns: Sequence[str]) -> float:
    apart = _distance(truth, answer)
    worst = int(np.argmax(apart))
    if apart[worst] > tolerance:
        raise ModelError(
            f"parity of the exported model, row {worst}",
            expected=f"answers within {tolerance:g} of the native model",
            got=f"{_shown(answer[worst])} for {_shown(truth[worst])}, and {int((apart > tolerance).sum())} of {len(x)} "
            f"rows so; this row: {_row(x[worst], columns)}",
            do=_OUT,
        )
    return float(apart[worst])


def _batches(
    served: Predict, x: Inputs, answer: Answers, tolerance: float, columns: Sequence[str]
) -> tuple[int, float]:
    """How many rows were asked alone and shuffled, and the largest difference from the batch."""
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), _SINGLE_ROWS)).round().astype(int))
    alone = np.concatenate([served(x[row : row + 1]) for row in chosen])
    order = np.random.default_rng(0).permutation(len(x))
    shuffled = np.empty_like(answer)
    shuffled[order] = served(x[order])
    apart = _distance(shuffled, answer)
    apart[chosen] = np.maximum(apart[chosen], _distance(alone, answer[chosen]))
    worst = int(np.argmax(apart))
    if apart[worst] > tolerance:
        raise ModelError(
            f"batch invariance of the model, row {worst}",
            expected=f"the same answer within {tolerance:g}, alone, in a batch and in another order",
            got=f"answers {apart[worst]:g} apart; this row: {_row(x[worst], columns)}",
            do="use a model that answers each row by itself, without statistics of the batch",
        )
    return len(chosen), float(apart[worst])


def _missing(native: Predict, served: Predict, x: Inputs, columns: Sequence[str]) -> Literal["answered", "refused"]:
    """Put NaN into each column of some rows, and into all: both forms answer alike, or such rows are refused."""
    width = x.shape[1]
    probe = x[np.resize(np.arange(len(x)), width + 1)].copy()
    probe[np.arange(width), np.arange(width)] = np.nan
    probe[width, :] = np.nan
    try:
        truth = native(probe)
    except ValueError:
        return "refused"
    apart = _distance(truth, served(probe))
    worst = int(np.argmax(apart))
    if apart[worst] <= _tolerance(truth):
        return "answered"
    if np.isnan(x).any():
        raise ModelError(
            "missing values in the exported model",
            expected="the answers of the native model where a column is missing",
            got=f"answers {apart[worst]:g} apart; this row: {_row(probe[worst], columns)}",
            do=f"fill missing values in features (.fill_mean(), .fill_null()), or {_NATIVE}",
        )
    return "refused"


def _timing(served: Predict, x: Inputs) -> Timing:
    one, batch = x[:1], np.resize(x, (1000, x.shape[1]))
    return Timing(
        one=call_seconds(lambda: served(one), 200, 0.25, process_time),
        row=call_seconds(lambda: served(batch), 5, 0.25, process_time) / len(batch),
        batch=len(batch),
    )


def _shown(answer: np.ndarray) -> str:
    return f"{answer:.9g}" if answer.ndim == 0 else "[" + ", ".join(f"{value:.9g}" for value in answer) + "]"


def _row(values: np.ndarray, columns: Sequence[str]) -> str:
    names = list(columns) or [f"column {index}" for index in range(len(values))]
    pairs = list(zip(names, values.tolist(), strict=True))[:_SHOWN_COLUMNS]
    return ", ".join(f"{name}={value:.9g}" for name, value in pairs) + (
        f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    )
