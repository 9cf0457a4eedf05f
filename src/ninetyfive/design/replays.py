"""What policies cost: each replayed on the grid of one window, in money, and what it saves over never training again.

    grids ─ the cheapest period of each window ─▶ window ─ all policies on its grid ─▶ PolicyScore, cheapest first

All policies start with the model that was trained on everything up to the first origin, as a system does that trains
once. What does not belong here: what a policy decides (`policies`), which one is chosen (`training`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ninetyfive.design.backtest import Backtest, window_text
from ninetyfive.design.contrasts import Contrast, Luck, contrast, reach
from ninetyfive.design.evidence import Interval, PolicyScore
from ninetyfive.design.losses import Floats
from ninetyfive.design.policies import (
    DROPS,
    PERIODS,
    SHIFTS,
    Board,
    Outcome,
    cost_aware,
    never,
    on_drift,
    on_drop,
    oracle,
    periodic,
    replay,
)
from ninetyfive.durations import duration_word

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Rates:
    """The price of a training, and what a unit of the metric is worth a day."""

    price: float
    worth: float


@dataclass(frozen=True, slots=True)
class _What:
    """A policy: its name, its period as a duration, and whether a run can do it."""

    name: str
    every: str | None = None
    runs: bool = False


def window_of(test: Backtest, metric: str, rates: Rates) -> int | None:
    """The window on which the cheapest periodic policy trains, of equal ones the longest; None: all that came before.

    Costs are compared as they are, not beyond a fresh model of the same window: windows share blocks and first model.
    """
    found: dict[int | None, float] = {}
    for window in sorted(test.grids, key=lambda window: -(window or test.blocks.count)):
        board = _board(test, metric, window, rates)
        losses = np.nan_to_num(board.losses)
        periods = [period for period in PERIODS if period < len(board.blocks)]
        runs = [periodic(board, period) for period in periods]
        if board.made.sum() > 1:
            found[window] = min(float((run.weights * losses).sum()) + board.price * run.trainings for run in runs)
    return min(found, key=lambda window: found[window], default=test.main)


def score_policies(
    test: Backtest, metric: str, window: int | None, rates: Rates, luck: Luck
) -> tuple[PolicyScore, ...]:
    """All policies on the grid of one window, the cheapest first."""
    board = _board(test, metric, window, rates)
    losses = _losses(test, metric, window)
    outcomes = _replayed(board, test.blocks.length)
    plain, best = outcomes[_What("never", None, True)], outcomes[_What("oracle")]
    most = plain.cost(board.price) - best.cost(board.price)
    covariance = luck.covariance(test.blocks.count, window, board.first)
    days = test.blocks.length / DAY
    unit = rates.worth * days
    scores = []
    for what, outcome in outcomes.items():
        saved = plain.cost(board.price) - outcome.cost(board.price)
        weights = np.where(np.isfinite(board.losses), plain.weights - outcome.weights, 0.0)
        apart = contrast(losses, weights, covariance) if weights.any() else Contrast(0.0, 0.0, 0.0)
        wide = reach(apart, luck, 0.95)
        scores.append(
            PolicyScore(
                name=what.name,
                every=what.every,
                window=window_text(window, test.blocks),
                runs=what.runs,
                trainings=round(outcome.trainings),
                excess=outcome.excess / len(board.blocks),
                quality_cost=outcome.excess * unit,
                training_cost=outcome.trainings * rates.price,
                cost=outcome.cost(board.price) * unit,
                recovered=saved / most if most > 1e-12 else None,
                saves=Interval(saved * unit, (saved - wide) * unit, (saved + wide) * unit),
            )
        )
    return tuple(sorted(scores, key=lambda score: score.cost))


def _replayed(board: Board, length: int) -> Mapping[_What, Outcome]:
    outcomes = {_What("never", None, True): replay(board, never)}
    for period in (period for period in PERIODS if period < len(board.blocks)):
        outcomes[_What("periodic", duration_word(period * length), True)] = periodic(board, period)
    outcomes |= {_What(f"on drift {limit:g}"): replay(board, on_drift(limit)) for limit in SHIFTS}
    outcomes |= {_What(f"on quality drop {share:.0%}"): replay(board, on_drop(share)) for share in DROPS}
    return outcomes | {_What("cost-aware"): replay(board, cost_aware), _What("oracle"): oracle(board)}


def _losses(test: Backtest, metric: str, window: int | None) -> Floats:
    """The losses of a window, those of the first model being of the one that saw everything up to then."""
    losses = test.grids[window].losses[metric].copy()
    first = _first(test, metric)
    losses[first] = test.grids[test.main].losses[metric][first]
    losses[:first] = np.nan
    return losses


def _first(test: Backtest, metric: str) -> int:
    """The first origin at which there is a training on the main window."""
    made = np.isfinite(test.grids[test.main].losses[metric][:, :, 0]).any(axis=1)
    return int(np.argmax(made))


def _board(test: Backtest, metric: str, window: int | None, rates: Rates) -> Board:
    first, grid, main = _first(test, metric), test.grids[window], test.grids[test.main]
    constant, shift = grid.constant[metric][:, :, 0].copy(), grid.shift.copy()
    constant[first], shift[first] = main.constant[metric][first, :, 0], main.shift[first]
    return Board(
        _losses(test, metric, window)[:, :, 0],
        constant,
        shift,
        test.blocks.known,
        first,
        rates.price / (rates.worth * test.blocks.length / DAY),
    )
