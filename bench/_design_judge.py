"""Hindsight: what every design would have cost on a window that neither fitted nor chose, and which was the cheapest.

    judged blocks   ─ train at the start of each, by every window ─▶ grid of losses ─▶ never, watched …, oracle
    judged requests ─ build tables as often as each refresh says ──▶ shares of every K ─▶ dynamic, static, hybrid

The rule: nothing here asks the design's own backtest or forecast: models are trained and tables are counted again,
plainly. Only the replay of policies on a finished grid is the package's (`design.policies`, `design.watching`), and so
are unit costs, which no window tells (`Measured`).

What a design costs a month is what its answers and tables cost, what its trainings cost, and what its model loses
beyond one that is made anew each block. Every policy begins with a training at the start of the window, which is
paid. Losses are expected ones, by the true probability of each label; what watches quality sees only labels as they
fell, once they are known, and begins with what the blocks before the window promised. Gates are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from bench._design_systems import INPUTS, Asked

from ninetyfive.design.evidence import Constraints, Measured
from ninetyfive.design.forecast import cpu_of
from ninetyfive.design.losses import Rows
from ninetyfive.design.losses import losses as block_losses
from ninetyfive.design.policies import PERIODS, Board, never, oracle, periodic, replay
from ninetyfive.design.watching import DROPS, WATCHES, Model, Watch, watched
from ninetyfive.durations import duration
from ninetyfive.features.encoding import FOLDS
from ninetyfive.prices import MONTH
from ninetyfive.settings import PriceSettings

MICROS = 1_000_000
_LEAST = 50
_NOBODY = np.iinfo(np.int64).max


class Policy(NamedTuple):
    """How to train: again after so many blocks (None: never), on the newest `window` of data (None: all).

    Or with a look every `watch` blocks, when the share `drop` of what was promised is gone.
    """

    every: int | None
    window: str | None
    watch: int | None = None
    drop: float | None = None


@dataclass(frozen=True)
class TrainingJudged:
    """What policies cost on the judged blocks, money a month; `oracle` is that of the window of `chosen`.

    `losses`: what the loss of the best model that there was costs, which no policy can save.
    """

    blocks: int
    costs: dict[Policy, float]
    oracle: dict[str | None, float]
    losses: float

    def recovered(self, chosen: Policy, least: float) -> float | None:
        """The share of (never − oracle) that a policy saves; None where the oracle saves less than `least` a month."""
        plain = self.costs[Policy(None, chosen.window)]
        most = plain - self.oracle[chosen.window]
        return None if most <= least else (plain - self.costs[chosen]) / most


@dataclass(frozen=True)
class Trained:
    """What is trained and judged: a model function with its parameters, rows in order of time, the delay of labels.

    `block` in seconds, `price` of a training, `worth` of a unit of log loss a day; `start`: the judged rows' first.
    """

    function: Callable[[Any, Any, Any], Any]
    params: dict[str, Any]
    rows: pl.DataFrame
    delay: float
    start: int
    block: float
    price: float
    worth: float
    windows: tuple[str | None, ...] = field(default=(None,))


def judge_training(asked: Trained) -> TrainingJudged:
    """Every policy that can be run, by every window, on the judged blocks."""
    time = asked.rows["at"].to_physical().to_numpy()
    first = int(time[asked.start])
    count = int((time[-1] - first) // (asked.block * MICROS))
    edges = first + (np.arange(count + 1) * asked.block * MICROS).astype(np.int64)
    lead = 5 + int(np.ceil(asked.delay / asked.block))
    before = first - (np.arange(lead, 0, -1) * asked.block * MICROS).astype(np.int64)
    told = {window: _told(asked, time, np.concatenate([before, edges]), window) for window in asked.windows}
    grids = {window: one.expected[lead:, lead:] for window, one in told.items()}
    # What an old model loses less than a fresh one is no gain of money: the best there was is the measure of all.
    ideal = np.nanmin(np.concatenate(list(grids.values())), axis=0)
    month = MONTH / (count * asked.block)
    unit = asked.worth * asked.block / 86_400
    costs: dict[Policy, float] = {}
    best: dict[str | None, float] = {}
    for window, grid in grids.items():
        board = _board(grid, count, asked.price / unit if unit else np.inf)
        offset = float(np.nansum(np.diagonal(grid) - ideal))

        def month_of(excess: float, trainings: float, offset: float = offset) -> float:
            return ((excess + offset) * unit + (1 + trainings) * asked.price) * month

        plain = replay(board, never)
        costs[Policy(None, window)] = month_of(plain.excess, 0)
        for every in (one for one in PERIODS if one < count):
            outcome = periodic(board, every)
            costs[Policy(every, window)] = month_of(outcome.excess, outcome.trainings)
        known = oracle(board)
        best[window] = month_of(known.excess, known.trainings)
        for (watch, drop), models in _watched(asked, told, lead, window).items():
            paired = zip(range(count), models, strict=True)
            lost = np.nansum([told[name].expected[origin, lead + block] for block, (name, origin) in paired])
            trainings = sum(one != other for one, other in pairwise(models))
            costs[Policy(None, window, watch, drop)] = month_of(float(lost - np.nansum(board.fresh)), trainings)
    return TrainingJudged(count, costs, best, float(np.nansum(ideal)) * unit * month)


class _Told(NamedTuple):
    """Of models trained at the start of a block: expected log loss (origin, block), and as labels fell, with folds.

    `fell` and `constant` are (origin, block, 1 + 20), `rows` those of each block; NaN: not later, or too few rows.
    """

    expected: np.ndarray
    fell: np.ndarray
    constant: np.ndarray
    rows: np.ndarray


def _watched(
    asked: Trained, told: dict[str | None, _Told], lead: int, window: str | None
) -> dict[tuple[int, float], list[tuple[str | None, int]]]:
    """What watching does, by watch and drop: (window, origin) of the model of each judged block."""
    names = list(told)
    lengths = [None if name is None else round(duration(name) / asked.block) for name in names]
    rows = next(iter(told.values())).rows
    known = np.maximum(np.arange(len(rows)) - int(np.ceil(asked.delay / asked.block)), 0)
    given = Watch(
        tuple(lengths),
        np.stack([one.fell for one in told.values()]),
        np.stack([one.constant for one in told.values()]),
        rows,
        known,
        Model(names.index(window), lead),
    )
    return {
        (watch, drop): [(names[model.window], model.origin) for model in watched(given, watch, drop)]
        for watch in WATCHES
        for drop in DROPS
        if watch < len(rows) - lead
    }


def _told(asked: Trained, time: np.ndarray, edges: np.ndarray, window: str | None) -> _Told:
    x = asked.rows.select(INPUTS).to_numpy().astype(np.float32)
    y, p = asked.rows["y"].to_numpy(), asked.rows["p"].to_numpy()
    places = np.searchsorted(time, edges)
    count = len(edges) - 1
    fold = np.random.default_rng(95).integers(0, FOLDS, len(y))
    block = np.repeat(np.arange(count), np.diff(places))
    grid = np.full((count, count), np.nan)
    fell, constant = np.full((count, count, 1 + FOLDS), np.nan), np.full((count, count, 1 + FOLDS), np.nan)
    for origin in range(count):
        known = int(np.searchsorted(time, edges[origin] - asked.delay * MICROS, side="right"))
        oldest = 0 if window is None else int(np.searchsorted(time, edges[origin] - duration(window) * MICROS))
        if known - oldest < _LEAST or len(np.unique(y[oldest:known])) < 2:
            continue
        fitted = asked.function(pl.DataFrame(x[oldest:known], schema=list(INPUTS)), y[oldest:known], asked.params)
        later = slice(places[origin], places[-1])
        told = np.asarray(fitted.predict_proba(pl.DataFrame(x[later], schema=list(INPUTS))))[:, 1]
        told = np.clip(told.astype(np.float64), 1e-15, 1 - 1e-15)
        truth = p[later]
        losses = -truth * np.log(told) - (1 - truth) * np.log1p(-told)
        ends = places[origin:] - places[origin]
        sums = np.diff(np.concatenate([[0.0], np.cumsum(losses)])[ends])
        rows = np.diff(ends)
        grid[origin, origin:] = np.where(rows > 0, sums / np.maximum(rows, 1), np.nan)
        labelled = Rows(block[places[origin] - places[0] :] - origin, fold[later], y[later], count - origin)
        share = np.full(len(told), y[oldest:known].mean())
        fell[origin, origin:] = block_losses("log_loss", "binary", labelled, told)
        constant[origin, origin:] = block_losses("log_loss", "binary", labelled, share)
    return _Told(grid, fell, constant, np.diff(places))


def _board(grid: np.ndarray, count: int, price: float) -> Board:
    first = int(np.argmax(np.isfinite(grid).any(axis=1)))
    return Board(grid, np.zeros_like(grid), np.arange(count), first, price)


class Way(NamedTuple):
    """A way to serve: the paradigm, how many entities its table holds, after how many seconds it is built again."""

    paradigm: str
    k: int | None = None
    refresh: float | None = None


@dataclass(frozen=True)
class Seen:
    """What tables that are built again every `refresh` seconds would do with the judged requests.

    `rank`: the place of the request's entity among those of the table (0: asked about most often; a huge number: not
    known). `equal`: its features are those of its latest row. `builds`: how many there were, `read`: rows each read.
    """

    rank: np.ndarray
    equal: np.ndarray
    read: float

    def shares(self, k: int) -> tuple[float, float]:
        """Of the requests, the shares that a table of `k` entities covers, and covers with equal features."""
        held = self.rank < k
        return float(held.mean()), float((held & self.equal).mean())


def tables(asked: Asked, cut: int, refresh: float | None) -> Seen:
    """Go through the requests from place `cut` on, with tables of all that came before the moment they are built."""
    _, code = np.unique(asked.entity, return_inverse=True)
    entities = int(code.max()) + 1
    tie = np.random.default_rng(95).permutation(entities)
    counts = np.zeros(entities, dtype=np.int64)
    latest = np.full(entities, -1, dtype=np.int64)
    rank = np.full(len(asked) - cut, _NOBODY, dtype=np.int64)
    equal = np.zeros(len(asked) - cut, dtype=bool)
    done, reads = 0, []
    for begin, end in _spans(asked.time, cut, refresh):
        counts += np.bincount(code[done:begin], minlength=entities)
        latest[code[done:begin]] = np.arange(done, begin)
        done = begin
        reads.append(begin)
        known = np.flatnonzero(counts)
        order = known[np.lexsort((tie[known], -counts[known]))]
        place = np.full(entities, _NOBODY, dtype=np.int64)
        place[order] = np.arange(len(order))
        now = code[begin:end]
        rank[begin - cut : end - cut] = place[now]
        equal[begin - cut : end - cut] = asked.state[latest[now]] == asked.state[begin:end]
    return Seen(rank, equal & (rank < _NOBODY), float(np.mean(reads)))


def _spans(time: np.ndarray, cut: int, refresh: float | None) -> Iterator[tuple[int, int]]:
    """(begin, end) of the requests that each table answers."""
    if refresh is None:
        yield cut, len(time)
        return
    moments = np.arange(time[cut], time[-1] + 1, int(refresh * MICROS))
    places = [cut, *np.searchsorted(time, moments[1:], side="left").tolist(), len(time)]
    yield from ((begin, end) for begin, end in pairwise(places) if end > begin)


@dataclass(frozen=True)
class Judge:
    """What judges a way to serve: requests from place `cut` on, unit costs, prices, and what has to be kept."""

    asked: Asked
    cut: int
    measured: Measured
    prices: PriceSettings
    constraints: Constraints
    seen: dict[float | None, Seen] = field(default_factory=dict)

    def tables(self, refresh: float | None) -> Seen:
        """What tables of a refresh do; counted once."""
        if refresh not in self.seen:
            self.seen[refresh] = tables(self.asked, self.cut, refresh)
        return self.seen[refresh]

    def cost(self, way: Way) -> tuple[float, tuple[str, ...]]:
        """Money a month of a way to serve, and the constraints that it breaks."""
        measured, answers = self.measured, self._rate() * MONTH
        if way.paradigm == "dynamic":
            slow = self.constraints.latency is not None and measured.p99_model > self.constraints.latency
            return self._money(measured.cpu_model * answers), ("latency",) * slow
        assert way.k is not None
        seen = self.tables(way.refresh)
        covered, equal = seen.shares(way.k)
        hit = covered if way.paradigm == "static" else equal
        builds = MONTH / way.refresh if way.refresh else 0.0
        built = builds * (way.k * measured.cpu_row + seen.read * measured.cpu_read)
        stored = way.k * measured.bytes_row / 2**30 * self.prices.storage_gib_month
        cost = self._money(cpu_of(way.paradigm, hit, measured) * answers + built) + stored
        return cost, tuple(self._broken(way, covered, equal))

    def _broken(self, way: Way, covered: float, equal: float) -> Iterator[str]:
        kept, measured = self.constraints, self.measured
        if way.paradigm == "static":
            if 1 - covered > kept.misses:
                yield "misses"
            if covered - equal > kept.changed:
                yield "changed"
        p99 = measured.p99_table if way.paradigm == "static" or equal > 0.99 else measured.p99_model
        if kept.latency is not None and p99 > kept.latency:
            yield "latency"

    def best(self, ways: list[Way]) -> tuple[Way, float]:
        """The cheapest that keeps the constraints on the judged requests; of none that does, the model."""
        costs = [(way, *self.cost(way)) for way in ways]
        whole = [(way, cost) for way, cost, broken in costs if not broken]
        return min(whole or [(way, cost) for way, cost, _ in costs[:1]], key=lambda one: one[1])

    def _money(self, seconds: float) -> float:
        return seconds / 3_600 * self.prices.cpu_hour

    def _rate(self) -> float:
        time = self.asked.time[self.cut :]
        return len(time) / max(1e-9, float(time[-1] - time[0]) / MICROS)
