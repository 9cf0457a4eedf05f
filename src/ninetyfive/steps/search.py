"""Search: what is tried next, what is not worth going on with, and which parameters mattered. The one user of Optuna.

    trials so far, seed ─ a study in memory ┬ TPE ────────▶ the next parameters
                                            ├ median ─────▶ go on, or stop
                                            └ PED-ANOVA ──▶ importance

Each answer follows from the trials and the seed alone: a search that was killed goes on as if it had not been.
Sources: Bergstra and others, Algorithms for Hyper-Parameter Optimization (2011), for TPE; Golovin and others, Google
Vizier (2017), for stopping below the median; Watanabe and others, PED-ANOVA (2023).
What does not belong here: how a trial is scored, and where it is kept (`steps.tune`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from ninetyfive.errors import needs_extra
from ninetyfive.hashing import content_hash
from ninetyfive.tuning import Choices, Range, Space

WARM = 10
"""Trials that are drawn at random before the search learns from them, and the fewest from which importance is told."""
JUDGES = 5
"""Whole trials that there must be before another one is stopped."""


State = Literal["complete", "pruned", "failed"]


class Trial(msgspec.Struct, frozen=True):
    """One trial: its tuned parameters, the score of each part, and their mean where it was not stopped.

    `reason` says why it failed, or which trial had the same parameters; `seconds` is how long it took.
    """

    number: int
    params: dict[str, Any]
    state: State
    scores: tuple[float, ...] = ()
    value: float | None = None
    reason: str | None = None
    seconds: float = 0.0


def check_optuna() -> None:
    """`UsageError` where Optuna is not installed."""
    with needs_extra("tune", "tune="):
        import optuna  # noqa: F401


@dataclass(frozen=True, slots=True)
class Search:
    """A search over `space`, by a seed, for a metric of which more or less is better."""

    space: Space
    seed: int
    higher_is_better: bool

    def next_params(self, trials: Sequence[Trial]) -> dict[str, Any]:
        """The parameters of the next trial; the same for the same trials, seed and version of Optuna."""
        with _quiet() as optuna:
            study = self._study(optuna, trials)
            number = len(trials)
            seed = int(content_hash([self.seed, number])[:8], 16)
            study.sampler = optuna.samplers.TPESampler(n_startup_trials=WARM, multivariate=True, seed=seed)
            asked = study.ask(self._distributions(optuna)).params
        return {name: self._value(name, asked[name]) for name in self.space}

    def hopeless(self, trials: Sequence[Trial], scores: Sequence[float]) -> bool:
        """Whether a trial with these scores so far is worse than the median of the others at this place."""
        with _quiet() as optuna:
            study = self._study(optuna, trials)
            running = optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING, intermediate_values=_means(scores)
            )
            pruner = optuna.pruners.MedianPruner(n_startup_trials=JUDGES)
            return bool(pruner.prune(study, running))

    def importance(self, trials: Sequence[Trial]) -> dict[str, float] | None:
        """The share of each parameter in how good a trial was, together 1, the largest first; None of too few trials.

        Too few are under ten whole ones. Only those count that have all parameters, and values that differ.
        """
        whole = [one for one in trials if one.state == "complete" and set(one.params) == set(self.space)]
        if len(whole) < WARM or len({one.value for one in whole}) < 2:
            return None
        with _quiet() as optuna:
            # Five trials above the quantile make it stable, as Optuna's documentation of the evaluator says.
            share = max(0.1, JUDGES / len(whole))
            evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=share)
            found = optuna.importance.get_param_importances(self._study(optuna, whole), evaluator=evaluator)
        return dict(sorted(((name, float(value)) for name, value in found.items()), key=lambda one: (-one[1], one[0])))

    def _study(self, optuna: Any, trials: Sequence[Trial]) -> Any:
        """A study in memory of trials that have all parameters and did not fail: others say nothing of the space."""
        states, distributions = optuna.trial.TrialState, self._distributions(optuna)
        study = optuna.create_study(direction="maximize" if self.higher_is_better else "minimize")
        study.add_trials(
            optuna.trial.create_trial(
                params={name: self._asked(name, one.params[name]) for name in self.space},
                distributions=distributions,
                state=states.COMPLETE if one.state == "complete" else states.PRUNED,
                value=one.value if one.state == "complete" else None,
                intermediate_values=_means(one.scores),
            )
            for one in trials
            if one.state != "failed" and set(one.params) == set(self.space)
        )
        return study

    def _distributions(self, optuna: Any) -> dict[str, Any]:
        kinds = optuna.distributions
        found: dict[str, Any] = {}
        for name, one in self.space.items():
            if isinstance(one, Choices):
                found[name] = kinds.CategoricalDistribution(range(len(one.values)))  # any JSON value may be a choice
            elif one.kind == "int":
                found[name] = kinds.IntDistribution(int(one.low), int(one.high), log=one.log, step=one.step)
            else:
                found[name] = kinds.FloatDistribution(one.low, one.high, log=one.log)
        return found

    def _value(self, name: str, asked: Any) -> Any:
        allowed = self.space[name]
        return allowed.values[asked] if isinstance(allowed, Choices) else asked

    def _asked(self, name: str, value: Any) -> Any:
        allowed = self.space[name]
        if isinstance(allowed, Range):
            return value
        return next(place for place, one in enumerate(allowed.values) if type(one) is type(value) and one == value)


def _means(scores: Sequence[float]) -> Mapping[int, float]:
    """The mean of the scores up to each place."""
    return {place: sum(scores[: place + 1]) / (place + 1) for place in range(len(scores))}


@contextmanager
def _quiet() -> Iterator[Any]:
    """Optuna, without what it logs and warns of; its own level of logging is put back."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield optuna
    finally:
        optuna.logging.set_verbosity(level)
