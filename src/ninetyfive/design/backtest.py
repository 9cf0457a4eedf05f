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

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ninetyfive import values
from ninetyfive.design.blocks import Blocks
from ninetyfive.design.history import HASH, KNOWN, TIME, History
from ninetyfive.design.losses import Floats, Rows, losses
from ninetyfive.design.shifts import shifts
from ninetyfive.durations import duration, duration_word
from ninetyfive.errors import DataError, NinetyfiveError
from ninetyfive.features.encoding import FOLD, FOLDS, LABEL
from ninetyfive.features.fitting import Fitting
from ninetyfive.features.recording import Expr
from ninetyfive.features.transform import Kind, Transform
from ninetyfive.hashing import mix
from ninetyfive.metrics import Task
from ninetyfive.models.baselines import Constant
from ninetyfive.models.predictor import Answers, Inputs, answer_complete
from ninetyfive.models.scoring import matrix
from ninetyfive.models.training import Fitted, Labels, ModelFunction, fit_model, labels
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.declared import metrics_of

Ints = npt.NDArray[np.int64]
Left = Callable[[], float]

HALVES = 6
"""How many pairs of half windows are trained."""
_SLICES = 16
_TRAIN = 50
"""The fewest rows that are trained on."""
_SALT = np.uint64(0x6E)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and how it is judged: `metrics`, the primary one first.

    `window` is the one in force (a duration), which is compared too. `held_out`: the share of the newest rows of a
    window that a run keeps to judge the release, and does not train on.
    """

    features: Mapping[str, Expr]
    function: ModelFunction
    metrics: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 95
    window: str | None = None
    held_out: float = 0.0

    @classmethod
    def of(cls, context: Prepared, task: Task) -> Recipe:
        """The recipe of a system, whose rows are of `task`."""
        system, model = context.declaration, context.model
        split = system.effective_split
        return cls(
            system.features,
            model.function,
            metrics_of(system, task),
            model.params,
            model.seed,
            system.effective_training.window,
            split.test if split.by == "time" else 0.0,
        )


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


@dataclass(frozen=True, slots=True)
class _Job:
    """One training: at the start of block `origin`, on `window` blocks, on one half of them where `half` is given."""

    origin: int
    window: int | None
    half: int | None = None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a job: losses by metric, (block, 1 + 20) from block 0 on."""

    losses: Mapping[str, Floats]
    constant: Mapping[str, Floats]
    shift: Floats
    seconds: float


def backtest(trainer: Trainer, left: Left) -> Backtest:
    """Train and score as far as `left()` seconds go; `NinetyfiveError` of a training is kept as text in `failed`."""
    blocks, main = trainer.blocks, trainer.blocks.warm
    windows = _windows(trainer)
    origins = _from_outside([*range(blocks.warm, blocks.count)])
    jobs = [_Job(origin, window) for window in (main, *windows) for origin in origins]
    done, failed = _run(trainer, jobs, left, kept=HALVES)
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


def halves_of(trainer: Trainer, window: int, left: Left) -> tuple[Halves, ...]:
    """Pairs of models on halves of a window, at up to `HALVES` origins, as far as `left()` seconds go."""
    blocks = trainer.blocks
    last = max(blocks.warm + 1, blocks.count - 2)
    origins = sorted({blocks.warm + place * (last - blocks.warm) // HALVES for place in range(HALVES)})
    jobs = [_Job(origin, window, half) for origin in _from_outside(origins) for half in (0, 1)]
    done, _ = _run(trainer, jobs, left)
    pairs = []
    for origin in origins:
        one, other = (done.get(_Job(origin, window, half)) for half in (0, 1))
        if one is not None and other is not None:
            pairs.append(Halves(origin, one.losses, other.losses))
    return tuple(pairs)


def _run(
    trainer: Trainer, jobs: Sequence[_Job], left: Left, kept: int = 0
) -> tuple[dict[_Job, _Outcome], dict[_Job, str]]:
    """Do jobs in their order while there is time for one more, and for `kept` others.

    The first job takes longer, which loads what all need: it says nothing of the others.
    """
    done: dict[_Job, _Outcome] = {}
    failed: dict[_Job, str] = {}
    took: list[float] = []
    for job in jobs:
        usual = float(np.median(took[1:])) if len(took) > 1 else 0.0
        if left() <= max(1.2 * max(took[1:], default=0.0) + kept * usual, 0.5 * max(took[:1], default=0.0)):
            break
        began = time.perf_counter()
        try:
            done[job] = trainer.train(job)
        except NinetyfiveError as error:
            failed[job] = str(error)
        took.append(time.perf_counter() - began)
    return done, failed


def _windows(trainer: Trainer) -> tuple[int | None, ...]:
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
        one for one in wanted if least <= one <= most and one != blocks.warm and (one - late) * each >= 3 * _TRAIN
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


class Trainer:
    """One history and recipe, and what all trainings share."""

    def __init__(self, history: History, recipe: Recipe, blocks: Blocks) -> None:
        self._history, self.recipe, self.blocks = history, recipe, blocks
        frame = history.frame
        self._time, self._known, self._fold = (frame[name].to_numpy() for name in (TIME, KNOWN, FOLD))
        self._order = mix(frame[HASH].to_numpy() ^ _SALT)
        self._block = np.repeat(np.arange(blocks.count), blocks.rows)
        self._truth, self._words = _truth_of(frame[LABEL], history.task)
        self._columns: tuple[str, ...] = ()
        self._kinds: dict[str, Kind] = {}
        self._fixed = self._without_learning()
        self._most: dict[int, int] = {}

    def train(self, job: _Job) -> _Outcome:
        """Fit on the window of a job and score on all later blocks."""
        history, recipe, blocks = self._history, self.recipe, self.blocks
        began = time.process_time()
        rows = self._rows(job)
        if len(rows) < _TRAIN:
            raise DataError(
                "training rows",
                expected=f"{_TRAIN} rows whose label is known",
                got=f"{len(rows)}",
                do="bring labels earlier, or a longer history",
            )
        y = labels(_picked(history.frame, rows)[LABEL], history.task)
        x, score = self._inputs(rows, int(blocks.starts[job.origin]))
        fitted = fit_model(recipe.function, x, y, recipe.params, recipe.seed, self._kinds)
        seconds = time.process_time() - began
        later = self._later(job.origin, y)
        answers = _answers(fitted, score)
        found = self._scored(job.origin, later, answers)
        if job.half is not None:
            return _Outcome(found, {}, np.zeros(0), seconds)
        constant = self._scored(job.origin, later, Constant.fit(y).predict(score))
        shift = np.full(blocks.count, np.nan)
        starts = blocks.starts[job.origin :] - blocks.starts[job.origin]
        shift[job.origin :] = shifts(matrix(x), score, starts)
        return _Outcome(found, constant, shift, seconds)

    def _scored(self, origin: int, later: Rows, answers: Answers) -> dict[str, Floats]:
        """The losses of answers by metric, (block, 1 + 20) from block 0 on; NaN of blocks that are not scored."""
        found = {}
        for metric in self.recipe.metrics:
            whole = np.full((self.blocks.count, 1 + FOLDS), np.nan)
            whole[origin:] = losses(metric, self._history.task, later, answers)
            whole[~self.blocks.scored] = np.nan
            found[metric] = whole
        return found

    def _rows(self, job: _Job) -> Ints:
        """The places of the rows that a job trains on, in order; of windows of one length as many at every origin."""
        rows: Ints = self._window(job.origin, job.window)
        if job.window is not None and len(rows) > (most := self._smallest(job.window)):
            rows = np.sort(rows[np.argsort(self._order[rows], kind="stable")[:most]])
        if job.half is None:
            return rows
        part = np.arange(len(rows)) * _SLICES // max(1, len(rows)) % 4
        left = (part == 0) | (part == 3)
        half: Ints = rows[left if job.half == 0 else ~left]
        return half

    def _window(self, origin: int, window: int | None) -> Ints:
        blocks = self.blocks
        first = 0 if window is None else max(0, origin - window)
        low, high, moment = int(blocks.starts[first]), int(blocks.starts[origin]), blocks.edges[origin]
        if self.recipe.held_out and high > low:
            high = low + int((1.0 - self.recipe.held_out) * (high - low))
            moment = self._time[high]
            high = int(np.searchsorted(self._time, moment, side="left"))
        rows: Ints = np.arange(low, high, dtype=np.int64)[self._known[low:high] <= moment]
        return rows

    def _smallest(self, window: int) -> int:
        """The rows of the smallest window of a length that is whole, and at least half as large as the median one."""
        if window not in self._most:
            whole = range(min(max(self.blocks.warm, window), self.blocks.count - 1), self.blocks.count)
            sizes = np.array([len(self._window(origin, window)) for origin in whole])
            least = max(_TRAIN, float(np.median(sizes)) / 2)
            self._most[window] = int(sizes[sizes >= least].min(initial=len(self._time)))
        return self._most[window]

    def _without_learning(self) -> Inputs | None:
        """The inputs of all rows, where no feature learns anything: they are the same for every training."""
        history = self._history
        fitting = Fitting(self.recipe.features, history.types, history.task)
        if fitting.phase() is not None:
            return None
        transform = fitting.transform()
        self._columns, self._kinds = transform.columns, transform.kinds
        return matrix(transform.frames()(history.frame))

    def _inputs(self, rows: Ints, start: int) -> tuple[pl.DataFrame, Inputs]:
        """The training rows through a transform that was fitted on them, and the rows from `start` on through it."""
        frame, end = self._history.frame, int(self.blocks.starts[-1])
        if self._fixed is not None:
            return pl.DataFrame(self._fixed[rows], schema=list(self._columns), orient="row"), self._fixed[start:end]
        window = _picked(frame, rows)
        training, served = self._fitted(window)
        return training.frames()(window), matrix(served.frames()(frame.slice(start, end - start)))

    def _fitted(self, window: pl.DataFrame) -> tuple[Transform, Transform]:
        history = self._history
        fitting = Fitting(self.recipe.features, history.types, history.task)
        while (phase := fitting.phase()) is not None:
            seen = phase.function(window)
            fitting.advance({name: one.add(one.zero(), seen) for name, one in phase.reducers.items()})
        made = fitting.transform()
        self._kinds = made.kinds
        return fitting.training_transform(), made

    def _later(self, origin: int, y: Labels) -> Rows:
        start = int(self.blocks.starts[origin])
        end = int(self.blocks.starts[-1])
        truth = self._truth[start:end]
        if y.task == "multiclass":
            place = {name: index for index, name in enumerate(y.classes)}
            truth = np.array([place.get(word, -1) for word in self._words], dtype=np.int64)[truth]
        block = self._block[start - int(self.blocks.starts[0]) :] - origin
        return Rows(block, self._fold[start:end], truth, self.blocks.count - origin)


def _picked(frame: pl.DataFrame, rows: Ints) -> pl.DataFrame:
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return frame.slice(int(rows[0]), len(rows))
    return frame[rows]


def _truth_of(label: pl.Series, task: Task) -> tuple[np.ndarray, list[str]]:
    """The labels as an array, and of a multiclass one the words whose places it holds."""
    if task != "multiclass":
        return label.to_numpy(), []
    words = sorted(label.unique().to_list())
    codes = label.replace_strict(words, list(range(len(words))), return_dtype=pl.Int64)
    return codes.to_numpy(), words


def _answers(fitted: Fitted, x: Inputs) -> Answers:
    """The model's answers; NaN for rows with missing values, where it refuses them."""
    try:
        return fitted.predict(x)
    except ValueError:
        if not np.isnan(x).any():
            raise
        return answer_complete(fitted.predict, x, fitted.task, fitted.classes)


def _grid(window: int | None, blocks: Blocks, metrics: Sequence[str], done: Mapping[_Job, _Outcome]) -> Grid:
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


def _failures(failed: Mapping[_Job, str], blocks: Blocks) -> tuple[str, ...]:
    told = []
    for text in dict.fromkeys(failed.values()):
        jobs = [job for job, said in failed.items() if said == text]
        first = min(jobs, key=lambda job: job.origin)
        moment = values.plain(int(blocks.edges[first.origin]), "timestamp")
        told.append(f"{len(jobs)} trainings failed, the first as of {moment}: {text}")
    return tuple(told)


def _unmade(jobs: Sequence[_Job], blocks: Blocks, main: int) -> tuple[str, ...]:
    """What the deadline cut, in words."""
    told = []
    for window in dict.fromkeys(job.window for job in jobs):
        whole = [job for job in jobs if job.window == window]
        text = "all that came before" if window is None else str(window_text(window, blocks))
        kind = "the main window" if window == main else "the window of"
        told.append(f"the budget of time cut {len(whole)} trainings on {kind} {text}")
    return tuple(told)
