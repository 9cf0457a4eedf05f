"""A training of the backtest: fitted on the rows of one window, scored on all blocks that follow.

    history ─ rows of the window whose label was known ─▶ transform, model ─ all later rows ─▶ losses by block

Trainings are independent and seeded alike: where and in which order they are made decides nothing. What does not belong
here: which trainings there are (`backtest`), and in which process they are made (`children`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from ninetyfive.design.blocks import Blocks
from ninetyfive.design.history import HASH, KNOWN, TIME, History
from ninetyfive.design.losses import Floats, Rows, losses
from ninetyfive.design.shifts import shifts
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
from ninetyfive.models.training import Fitted, Labels, ModelFunction, Offered, fit_model, labels
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.declared import metrics_of
from ninetyfive.steps.tune import tuned_params

Ints = npt.NDArray[np.int64]
Left = Callable[[], float]

LEAST = 50
"""The fewest rows that are trained on."""
_SLICES = 16
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
        """The recipe of a system, whose rows are of `task`; of a tuned one with what was found for the champion."""
        system, model = context.declaration, context.model
        split = system.effective_split
        return cls(
            system.features,
            model.function,
            metrics_of(system, task),
            tuned_params(context),
            model.seed,
            system.effective_training.window,
            split.test if split.by == "time" else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Job:
    """One training: at the start of block `origin`, on `window` blocks, on one half of them where `half` is given."""

    origin: int
    window: int | None
    half: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: losses by metric, (block, 1 + 20) from block 0 on."""

    losses: Mapping[str, Floats]
    constant: Mapping[str, Floats]
    shift: Floats
    seconds: float


class Trains(Protocol):
    """Who makes the trainings of one history and recipe."""

    @property
    def recipe(self) -> Recipe: ...

    @property
    def blocks(self) -> Blocks: ...

    def run(self, jobs: Sequence[Job], left: Left, kept: int = 0) -> tuple[dict[Job, Outcome], dict[Job, str]]:
        """What came of jobs, done in their order while `left()` seconds are enough for one more and `kept` others.

        The second are those that failed, and why; a job that is in neither was not made, or was ended.
        """
        ...


class Trainer:
    """Trainings in this process, one after the other: one that has begun is waited for."""

    def __init__(self, history: History, recipe: Recipe, blocks: Blocks) -> None:
        self._history = history
        self.recipe, self.blocks = recipe, blocks
        frame = history.frame
        self._time, self._known, self._fold = (frame[name].to_numpy() for name in (TIME, KNOWN, FOLD))
        self._order = mix(frame[HASH].to_numpy() ^ _SALT)
        self._block = np.repeat(np.arange(blocks.count), blocks.rows)
        self._truth, self._words = _truth_of(frame[LABEL], history.task)
        self._columns: tuple[str, ...] = ()
        self._kinds: dict[str, Kind] = {}
        self._fixed = self._without_learning()
        self._most: dict[int, int] = {}

    def run(self, jobs: Sequence[Job], left: Left, kept: int = 0) -> tuple[dict[Job, Outcome], dict[Job, str]]:
        """See `Trains`. The first job takes longer, which loads what all need: it says nothing of the others."""
        done: dict[Job, Outcome] = {}
        failed: dict[Job, str] = {}
        took: list[float] = []
        for job in jobs:
            usual = float(np.median(took[1:])) if len(took) > 1 else 0.0
            if left() <= max(1.2 * max(took[1:], default=0.0) + kept * usual, 0.5 * max(took[:1], default=0.0)):
                break
            began = time.perf_counter()
            try:
                done[job] = self.train(job)
            except NinetyfiveError as error:
                failed[job] = error.said
            took.append(time.perf_counter() - began)
        return done, failed

    def train(self, job: Job) -> Outcome:
        """Fit on the window of a job and score on all later blocks."""
        history, recipe, blocks = self._history, self.recipe, self.blocks
        began = time.process_time()
        rows = self._rows(job)
        if len(rows) < LEAST:
            raise DataError(
                "training rows",
                expected=f"{LEAST} rows whose label is known",
                got=f"{len(rows)}",
                do="bring labels earlier, or a longer history",
            )
        y = labels(_picked(history.frame, rows)[LABEL], history.task)
        x, score = self._inputs(rows, int(blocks.starts[job.origin]))
        fitted = fit_model(recipe.function, x, y, recipe.params, recipe.seed, Offered(kinds=self._kinds))
        seconds = time.process_time() - began
        later = self._later(job.origin, y)
        answers = _answers(fitted, score)
        found = self._scored(job.origin, later, answers)
        if job.half is not None:
            return Outcome(found, {}, np.zeros(0), seconds)
        constant = self._scored(job.origin, later, Constant.fit(y).predict(score))
        shift = np.full(blocks.count, np.nan)
        starts = blocks.starts[job.origin :] - blocks.starts[job.origin]
        shift[job.origin :] = shifts(matrix(x), score, starts)
        return Outcome(found, constant, shift, seconds)

    def _scored(self, origin: int, later: Rows, answers: Answers) -> dict[str, Floats]:
        """The losses of answers by metric, (block, 1 + 20) from block 0 on; NaN of blocks that are not scored."""
        found = {}
        for metric in self.recipe.metrics:
            whole = np.full((self.blocks.count, 1 + FOLDS), np.nan)
            whole[origin:] = losses(metric, self._history.task, later, answers)
            whole[~self.blocks.scored] = np.nan
            found[metric] = whole
        return found

    def _rows(self, job: Job) -> Ints:
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
            least = max(LEAST, float(np.median(sizes)) / 2)
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
