"""What policies cost: each replayed on the grid of one window, in money, and what it saves over never training again.

    grids ─ the cheapest period of each window ─▶ window ─ all policies on its grid ─▶ PolicyScore, cheapest first

All policies start with the model that was trained on everything up to the first origin, as a system does that trains
once. Where that stands is luck: a model made just before a jump loses much, one made just after it little, and of both
no watch can tell that another would be better. So all are also begun at each later block, with the model that the
window gives there: the mean over all beginnings, of as many days, is what a policy costs *typically*.
What does not belong here: what a policy decides (`policies`), which one is chosen (`training`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ninetyfive.design.backtest import Backtest, window_text
from ninetyfive.design.contrasts import Contrast, Luck, contrast, reach
from ninetyfive.design.evidence import Interval, PolicyScore
from ninetyfive.design.losses import Floats
from ninetyfive.design.policies import (
    PERIODS,
    SHIFTS,
    Board,
    Outcome,
    cost_aware,
    never,
    on_drift,
    oracle,
    periodic,
    replay,
)
from ninetyfive.design.watching import DROPS, WATCHES, Model, Watch, watched
from ninetyfive.durations import duration_word

DAY = 86_400.0
NEVER, PERIODIC, ON_DROP = "never", "periodic", "on quality drop"
"""The policies that `ninetyfive run --if-due` can do."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The price of a training, and what a unit of the metric is worth a day."""

    price: float
    worth: float


@dataclass(frozen=True, slots=True)
class _What:
    """A policy: its name, its period as a duration, whether a run can do it, and how it watches quality."""

    name: str
    every: str | None = None
    runs: bool = False
    watch: str | None = None
    drop: float | None = None


@dataclass(frozen=True, slots=True)
class _Did:
    """What a policy did: trainings, the loss beyond fresh models, and what it saved over never, with its luck."""

    trainings: float
    excess: float
    apart: Contrast


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
    plain, best = outcomes[_What(NEVER, None, True)], outcomes[_What("oracle")]
    most = plain.cost(board.price) - best.cost(board.price)
    covariance = luck.covariance(test.blocks.count, window, board.first)
    days = test.blocks.length / DAY
    unit = rates.worth * days
    given = _given(test, metric, board)
    typical = _typical(board, given, tuple(test.grids).index(window), test.blocks.length)
    did = {}
    for what, outcome in outcomes.items():
        weights = np.where(np.isfinite(board.losses), plain.weights - outcome.weights, 0.0)
        apart = contrast(losses, weights, covariance) if weights.any() else Contrast(0.0, 0.0, 0.0)
        did[what] = _Did(outcome.trainings, outcome.excess, apart)
    scores = []
    for what, one in (did | _watched(test, given, board, luck)).items():
        cost = one.excess + board.price * one.trainings
        saved = plain.cost(board.price) - cost
        wide = reach(one.apart, luck, 0.95)
        scores.append(
            PolicyScore(
                name=what.name,
                every=what.every,
                window=window_text(window, test.blocks),
                watch=what.watch,
                drop=what.drop,
                runs=what.runs,
                trainings=round(one.trainings),
                excess=one.excess / len(board.blocks),
                quality_cost=one.excess * unit,
                training_cost=one.trainings * rates.price,
                cost=cost * unit,
                typical=typical[what] * unit,
                recovered=saved / most if most > 1e-12 else None,
                saves=Interval(saved * unit, (saved - wide) * unit, (saved + wide) * unit),
            )
        )
    return tuple(sorted(scores, key=lambda score: score.cost))


def _replayed(board: Board, length: int) -> Mapping[_What, Outcome]:
    outcomes = {_What(NEVER, None, True): replay(board, never)}
    for period in (period for period in PERIODS if period < len(board.blocks)):
        outcomes[_What(PERIODIC, duration_word(period * length), True)] = periodic(board, period)
    outcomes |= {_What(f"on drift {limit:g}"): replay(board, on_drift(limit)) for limit in SHIFTS}
    return outcomes | {_What("cost-aware"): replay(board, cost_aware), _What("oracle"): oracle(board)}


def _given(test: Backtest, metric: str, board: Board) -> Watch:
    """What watching is replayed on: trainings on all windows, and the model that all policies begin with."""
    losses, constant = (
        np.stack([getattr(grid, kind)[metric] for grid in test.grids.values()]) for kind in ("losses", "constant")
    )
    windows = tuple(test.grids)
    first = Model(windows.index(test.main), board.first)
    return Watch(windows, losses, constant, test.blocks.rows, test.blocks.known, first)


def _typical(board: Board, given: Watch, place: int, length: int) -> Mapping[_What, float]:
    """The cost of each policy, in losses times blocks, as the mean over all beginnings; `place`: that of the window.

    A period that does not come round before the history ends is no training.
    """
    count = len(board.losses)
    starts = [block for block in range(board.first, max(board.first + 1, count - 2)) if board.made[block]]
    found: dict[_What, float] = {}
    for start in starts:
        begun = replace(board, first=start)
        model = given.first if start == board.first else Model(place, start)
        costs = {what: outcome.cost(board.price) for what, outcome in _replayed(begun, length).items()}
        for what, models in _looks(replace(given, first=model), begun, length).items():
            costs[what] = _lost(given, begun, models) + board.price * _changes(models)
        for what in found or costs:
            found[what] = found.get(what, 0.0) + costs.get(what, costs[_What(NEVER, None, True)])
    share = len(board.blocks) / sum(count - start for start in starts)
    return {what: cost * share for what, cost in found.items()}


def _looks(given: Watch, board: Board, length: int) -> Mapping[_What, tuple[Model, ...]]:
    """What policies do that watch quality: the model of each block."""
    return {
        _What(ON_DROP, None, True, duration_word(every * length), drop): watched(given, every, drop)
        for every in WATCHES
        if every < len(board.blocks)
        for drop in DROPS
    }


def _lost(given: Watch, board: Board, models: tuple[Model, ...]) -> float:
    """What models lose beyond fresh ones, in sum over the blocks of a board that are scored."""
    paired = zip(board.blocks, models, strict=True)
    return float(np.nansum([given.losses[(*model, block, 0)] - board.fresh[block] for block, model in paired]))


def _changes(models: tuple[Model, ...]) -> int:
    return sum(one != other for one, other in pairwise(models))


def _watched(test: Backtest, given: Watch, board: Board, luck: Luck) -> dict[_What, _Did]:
    """What policies did that watch quality: after a drop they train on one of all windows."""
    windows, losses, first = given.windows, given.losses, given.first
    place = np.tile(np.arange(test.blocks.count), len(windows))
    lengths = np.repeat([test.blocks.count if one is None else one for one in windows], test.blocks.count)
    began = np.maximum(0, place - lengths)
    began[first.window * test.blocks.count + first.origin] = 0
    covariance, stacked = luck.shared(began, place), losses.reshape(-1, *losses.shape[2:])
    found = {}
    for what, models in _looks(given, board, test.blocks.length).items():
        weights = np.zeros(losses.shape[:3])
        for block, model in zip(board.blocks, models, strict=True):
            weights[(*first, block)] += 1.0
            weights[(*model, block)] -= 1.0
        weights[~np.isfinite(losses[..., 0])] = 0.0
        apart_of = weights.reshape(len(place), -1)
        apart = contrast(stacked, apart_of, covariance) if weights.any() else Contrast(0.0, 0.0, 0.0)
        found[what] = _Did(_changes(models), _lost(given, board, models), apart)
    return found


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
    shift = grid.shift.copy()
    shift[first] = main.shift[first]
    return Board(
        _losses(test, metric, window)[:, :, 0],
        shift,
        test.blocks.known,
        first,
        rates.price / (rates.worth * test.blocks.length / DAY),
    )
