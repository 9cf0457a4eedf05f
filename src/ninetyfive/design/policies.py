"""When to train again: policies replayed on one grid of losses, and the best that hindsight could have done.

    block by block: what was known when it began ─ policy ─▶ keep the model, or train ─▶ its loss on the block

All start with the model of the first origin, which costs nothing, and differ in what follows. Losses are beyond those
of a model made anew each block; the price of a training is in the same unit, losses times blocks. A policy is asked
with `Known`, which holds no loss of a block whose labels were not known yet. The oracle is the cheapest of all
sequences of trainings, by dynamic programming. What watches quality is `watching`. What does not belong here: which
policy is chosen (`training`).

Cost-aware retraining is after A. Mahadevan, M. Mathioudakis: Cost-Aware Retraining for Machine Learning (CARA,
arXiv 2310.04216): a model is replaced when what it is expected to have lost is worth a training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ninetyfive.design.losses import Floats

SHIFTS = (0.1, 0.25)
"""The signals of `shifts` from which a policy trains again."""
PERIODS = (1, 2, 3, 4, 6, 8, 12, 16)
"""The periods that are replayed, in blocks."""


@dataclass(frozen=True, slots=True)
class Board:
    """A grid to replay policies on: whole losses and signals, (origin, block) each.

    `first` is the origin of the first model, `known[b]` how many blocks had all labels known when b began, `price` that
    of a training in losses times blocks.
    """

    losses: Floats
    shift: Floats
    known: npt.NDArray[np.int64]
    first: int
    price: float

    @property
    def blocks(self) -> range:
        """The blocks that are replayed."""
        return range(self.first, len(self.losses))

    @property
    def made(self) -> npt.NDArray[np.bool_]:
        """The origins at which there is a training to be had."""
        made = np.asarray(np.isfinite(self.losses).any(axis=1))
        made[: self.first] = False
        return made

    @property
    def excess(self) -> Floats:
        """(origin, block): the loss beyond that of the newest model there could be; 0 where a block is not scored."""
        return np.asarray(np.nan_to_num(self.losses - self.fresh[None, :], nan=0.0))

    @property
    def fresh(self) -> Floats:
        """The loss of the newest model there could be, by block."""
        newest, made = np.full(len(self.losses), self.first), self.made
        for block in self.blocks:
            newest[block] = block if made[block] else newest[max(block - 1, 0)]
        return np.asarray(self.losses[newest, np.arange(len(self.losses))])


@dataclass(frozen=True, slots=True)
class Known:
    """What a policy may know when a block begins: losses of blocks whose labels were known, signals of those before.

    What was not known is NaN.
    """

    block: int
    model: int
    losses: Floats
    shift: Floats
    price: float


Policy = Callable[[Known], bool]
"""Whether to train at the start of a block."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy did: `models`, the origin of the model of each replayed block; `weights` (origin, block) of them.

    `trainings` beyond the first, and `excess` in sum; both are means over the starts of a period.
    """

    models: tuple[int, ...]
    weights: Floats
    trainings: float
    excess: float

    def cost(self, price: float) -> float:
        """Excess and trainings together, in losses times blocks."""
        return self.excess + price * self.trainings


def known_at(board: Board, block: int, model: int) -> Known:
    """What is known when a block begins and `model` is in force."""
    losses, shift = np.full_like(board.losses, np.nan), np.full_like(board.shift, np.nan)
    seen = min(int(board.known[block]), block)
    # Models that were made by then, also those that nobody put in force: a backtest at that time could have made them.
    losses[:block, :seen] = board.losses[:block, :seen]
    shift[:block, :block] = board.shift[:block, :block]
    return Known(block, model, losses, shift, board.price)


def replay(board: Board, policy: Policy) -> Outcome:
    """Go through the blocks; a training that could not be made (it failed, or time was short) is not made."""
    made, model, models = board.made, board.first, []
    for block in board.blocks:
        if block > board.first and made[block] and policy(known_at(board, block, model)):
            model = block
        models.append(model)
    return _outcome(board, models)


def never(known: Known) -> bool:  # noqa: ARG001
    """Never train again."""
    return False


def periodic(board: Board, every: int) -> Outcome:
    """Train every so many blocks; the mean over the starts of the period, since where it starts is luck."""
    runs = []
    for phase in range(1, every + 1):
        made, model, due, models = board.made, board.first, board.first + phase, []
        for block in board.blocks:
            if block >= due and made[block]:
                model, due = block, block + every
            models.append(model)
        runs.append(_outcome(board, models))
    return Outcome(
        runs[-1].models,
        np.mean([run.weights for run in runs], axis=0),
        float(np.mean([run.trainings for run in runs])),
        float(np.mean([run.excess for run in runs])),
    )


def on_drift(limit: float) -> Policy:
    """Train when the inputs of the block before are as far from those of the training as `limit`; needs no label."""
    return lambda known: bool(np.nan_to_num(known.shift[known.model, known.block - 1]) > limit)


def cost_aware(known: Known) -> bool:
    """Train when what the model is expected to have lost since it was made is worth a training.

    Expected from the mean excess by age, of all models and blocks that are known by then. An age that was not seen yet
    loses as much as the oldest that was.
    """
    whole, count = known.losses, len(known.losses)
    fresh = np.diagonal(whole)
    lost, last = 0.0, 0.0
    for age in range(1, known.block - known.model + 1):
        apart = np.diagonal(whole, age) - fresh[age:] if age < count else np.zeros(0)
        seen = apart[np.isfinite(apart)]
        last = float(seen.mean()) if len(seen) else last
        lost += max(last, 0.0)
    return lost >= known.price


def oracle(board: Board) -> Outcome:
    """The cheapest sequence of trainings in hindsight: at each block, for each model in force, keep it or train."""
    excess, made, blocks = board.excess, board.made, board.blocks
    best = dict.fromkeys(range(len(excess)), 0.0)
    trains: dict[tuple[int, int], bool] = {}
    for block in reversed(blocks):
        fresh = board.price + excess[block, block] + best[block]
        now = {}
        for model in range(board.first, block):
            keep = excess[model, block] + best[model]
            trains[block, model] = bool(made[block]) and fresh < keep
            now[model] = fresh if trains[block, model] else keep
        best |= now
    model, models = board.first, []
    for block in blocks:
        model = block if trains.get((block, model), False) else model
        models.append(model)
    return _outcome(board, models)


def _outcome(board: Board, models: Sequence[int]) -> Outcome:
    weights = np.zeros(board.losses.shape)
    weights[list(models), list(board.blocks)] = 1.0
    changes = sum(1 for one, other in pairwise(models) if one != other)
    return Outcome(tuple(models), weights, float(changes), float((weights * board.excess).sum()))
