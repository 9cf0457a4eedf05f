"""The backtest: train at the start of a block, score on it and on all that follow; a grid of losses for each window.

                    block   6    7    8    9 …
    trained at 6           ·    ·    ·    ·        a row is one training, its first loss is that of a fresh model
    trained at 7                ·    ·    ·        a column is one block: the same rows for every model
    trained at 8                     ·    ·        a training at t sees rows of before t whose label was known at t

Each training fits the transform anew, as a run does. Trainings are independent and seeded alike: their order decides
nothing but what is left out when time runs out: first comes the training that is never repeated and the newest ones of
the main window, then those between them, then other windows. Pairs of models of half windows, which tell how much two
models of one age differ by chance, are made of one window, once it is chosen: the time that they take is kept back.
What does not belong here: what the losses mean (`decay`, `windows`, `policies`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ninetyfive import values
from ninetyfive.design.blocks import Blocks
from ninetyfive.design.losses import Floats
from ninetyfive.design.trainer import LEAST, Job, Left, Outcome, Trains
from ninetyfive.durations import duration, duration_word
from ninetyfive.features.encoding import FOLDS

HALVES = 6
"""How many pairs of half windows are trained."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Losses of the trainings on one window (blocks; None: all that came before), by metric: (origin, block, 1 + 20).

    The last axis: of all rows, then without each fold. NaN: not trained, not later, not scored. `constant` are the
    losses of the constant baseline fitted at the same origin, `shift` (origin, block) the signals of `shifts`.
    """

    window: int | None
    losses: Mapping[str, Floats]
    constant: Mapping[str, Floats]
    shift: Floats


@dataclass(frozen=True, slots=True)
class Halves:
    """Two models of the halves of one window: by metric their losses, (block, 1 + 20) each."""

    origin: int
    left: Mapping[str, Floats]
    right: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Backtest:
    """What was trained and scored: `grids` by window, the `main` one first; `seconds` of processor for a training."""

    blocks: Blocks
    grids: Mapping[int | None, Grid]
    main: int
    trainings: int
    seconds: float
    failed: tuple[str, ...]
    left_out: tuple[str, ...]


def backtest(trainer: Trains, left: Left) -> Backtest:
    """Train and score as far as `left()` seconds go; `NinetyfiveError` of a training is kept as text in `failed`."""
    blocks, main = trainer.blocks, trainer.blocks.warm
    windows = _windows(trainer)
    origins = _from_outside([*range(blocks.warm, blocks.count)])
    jobs = [Job(origin, window) for window in (main, *windows) for origin in origins]
    done, failed = trainer.run(jobs, left, kept=HALVES)
    seconds = [outcome.seconds for job, outcome in done.items() if job.window == main]
    return Backtest(
        blocks,
        {window: _grid(window, blocks, trainer.recipe.metrics, done) for window in (main, *windows)},
        main,
        len(done),
        float(np.median(seconds)) if seconds else 0.0,
        _failures(failed, blocks),
        _unmade([job for job in jobs if job not in done and job not in failed], blocks, main),
    )


def halves_of(trainer: Trains, window: int, left: Left) -> tuple[Halves, ...]:
    """Pairs of models on halves of a window, at up to `HALVES` origins, as far as `left()` seconds go."""
    blocks = trainer.blocks
    last = max(blocks.warm + 1, blocks.count - 2)
    origins = sorted({blocks.warm + place * (last - blocks.warm) // HALVES for place in range(HALVES)})
    jobs = [Job(origin, window, half) for origin in _from_outside(origins) for half in (0, 1)]
    done, _ = trainer.run(jobs, left)
    pairs = []
    for origin in origins:
        one, other = (done.get(Job(origin, window, half)) for half in (0, 1))
        if one is not None and other is not None:
            pairs.append(Halves(origin, one.losses, other.losses))
    return tuple(pairs)


def _windows(trainer: Trains) -> tuple[int | None, ...]:
    """The windows beside the main one: all that came before, a quarter, half, twice as long, and the one in force."""
    recipe, blocks = trainer.recipe, trainer.blocks
    least = max(1, int(np.ceil(blocks.delay / blocks.length)) + 1)
    most = blocks.count - 1
    wanted = [blocks.warm // 4, blocks.warm // 2, blocks.warm * 2]
    if recipe.window is not None:
        from_declared = duration(recipe.window) / blocks.length
        wanted.append(max(least, round(from_declared)))
    # Halves of the window have to be enough to train on, to tell what is chance.
    each = float(np.median(blocks.rows[blocks.scored])) * (1.0 - trainer.recipe.held_out)
    late = blocks.delay / blocks.length
    fitting = dict.fromkeys(
        one for one in wanted if least <= one <= most and one != blocks.warm and (one - late) * each >= 3 * LEAST
    )
    return (None, *fitting)


def _from_outside(places: Sequence[int]) -> list[int]:
    """The first, the last, the one between, and so on: wherever the list is cut, it is spread evenly."""
    order, waiting = [places[0], places[-1]], [(0, len(places) - 1)]
    while waiting:
        low, high = waiting.pop(0)
        between = (low + high) // 2
        if between not in (low, high):
            order.append(places[between])
            waiting += [(low, between), (between, high)]
    return list(dict.fromkeys(order))


def _grid(window: int | None, blocks: Blocks, metrics: Sequence[str], done: Mapping[Job, Outcome]) -> Grid:
    size = (blocks.count, blocks.count, 1 + FOLDS)
    found = {metric: np.full(size, np.nan) for metric in metrics}
    constant = {metric: np.full(size, np.nan) for metric in metrics}
    shift = np.full(size[:2], np.nan)
    for job, outcome in done.items():
        if job.window == window and job.half is None:
            shift[job.origin] = outcome.shift
            for metric, loss in outcome.losses.items():
                found[metric][job.origin], constant[metric][job.origin] = loss, outcome.constant[metric]
    return Grid(window, found, constant, shift)


def window_text(window: int | None, blocks: Blocks) -> str | None:
    """A window of so many blocks as a duration; None: all that came before."""
    return None if window is None else duration_word(window * blocks.length)


def _failures(failed: Mapping[Job, str], blocks: Blocks) -> tuple[str, ...]:
    told = []
    for text in dict.fromkeys(failed.values()):
        jobs = [job for job, said in failed.items() if said == text]
        first = min(jobs, key=lambda job: job.origin)
        moment = values.plain(int(blocks.edges[first.origin]), "timestamp")
        count = "1 training" if len(jobs) == 1 else f"{len(jobs)} trainings"
        told.append(f"{count} failed, the first as of {moment}: {text}")
    return tuple(told)


def _unmade(jobs: Sequence[Job], blocks: Blocks, main: int) -> tuple[str, ...]:
    """What the deadline cut, in words."""
    told = []
    for window in dict.fromkeys(job.window for job in jobs):
        whole = [job for job in jobs if job.window == window]
        text = "all that came before" if window is None else str(window_text(window, blocks))
        kind = "the main window" if window == main else "the window of"
        told.append(f"the budget of time cut {len(whole)} trainings on {kind} {text}")
    return tuple(told)
