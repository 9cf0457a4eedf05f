"""What is tuned: for each parameter a range or choices, and how much may be tried.

    @system.model(
        params={"max_iter": 100},                                  where a tuned name stands here, it starts there
        tune=nf.Tuning(
            {"max_iter": nf.int_range(50, 500), "learning_rate": nf.float_range(0.01, 0.3, log=True)},
            trials=50,                                             or time="10m", or both
        ),
    )

What does not belong here: what is tried next (`steps.search`), how a trial is scored (`steps.tune`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ninetyfive.arguments import check_duration, is_number, is_text, is_whole, wrong
from ninetyfive.durations import duration
from ninetyfive.errors import DeclarationError

TRIALS = 50
"""How many trials there are where neither their number nor a time is said."""
FOLDS = 3
_LARGEST = 1e15
"""Beyond it not every whole number is one of floating point, and a range may be too wide for one."""
EDGE = 0.02
"""The share of a range from either end that is called its edge."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `low` to `high`, both included: whole ones, `step` apart, or any; with `log` by their size."""

    kind: Literal["int", "float"]
    low: float
    high: float
    log: bool = False
    step: int = 1

    def holds(self, value: object) -> bool:
        """Whether a value lies in the range."""
        if self.kind == "int":
            return is_whole(value, int(self.low)) and value <= self.high and (value - int(self.low)) % self.step == 0
        return is_number(value) and self.low <= value <= self.high

    @property
    def size(self) -> float:
        """How many numbers there are."""
        return (self.high - self.low) // self.step + 1 if self.kind == "int" else math.inf

    def edge(self, value: float) -> Literal["lower", "upper"] | None:
        """At which end of the range a value is: within 2 % of it; None where at none.

        >>> float_range(0.01, 1.0, log=True).edge(0.98), int_range(1, 9).edge(2)
        ('upper', None)
        """
        low, high, at = (math.log(one) if self.log else one for one in (self.low, self.high, value))
        share = (at - low) / (high - low)
        return "lower" if share <= EDGE else "upper" if share >= 1.0 - EDGE else None

    def __str__(self) -> str:
        more = " by their logarithm" if self.log else f" in steps of {self.step}" if self.step > 1 else ""
        return f"{self.low}..{self.high}{more}"


@dataclass(frozen=True, slots=True)
class Choices:
    """One of some values that JSON can hold."""

    values: tuple[Any, ...]
    kind: Literal["choice"] = "choice"

    def holds(self, value: object) -> bool:
        """Whether a value is one of them."""
        return any(_same(value, one) for one in self.values)

    @property
    def size(self) -> float:
        """How many there are."""
        return len(self.values)

    def __str__(self) -> str:
        return " or ".join(map(repr, self.values))


Space = Mapping[str, Range | Choices]


def int_range(low: int, high: int, *, step: int = 1, log: bool = False) -> Range:
    """The whole numbers from `low` to `high`, both included, `step` apart; with `log` each size is as likely.

    >>> print(int_range(50, 500))
    50..500
    """
    where = f"nf.int_range({low!r}, {high!r})"
    for value in (low, high):
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong(where, "whole numbers", value)
    if not is_whole(step, 1) or (log and step != 1):
        raise wrong(f"{where}, step=", "a whole number from 1, and no log= beside it", step)
    _check_ends(where, low, high, log)
    if high - low < step:
        raise wrong(f"{where}, step=", "a step that stays in the range", step)
    return Range("int", low, low + (high - low) // step * step, log, step)


def float_range(low: float, high: float, *, log: bool = False) -> Range:
    """The numbers from `low` to `high`; with `log` each size is as likely, as is usual for learning rates.

    >>> print(float_range(0.01, 0.3, log=True))
    0.01..0.3 by their logarithm
    """
    where = f"nf.float_range({low!r}, {high!r})"
    for value in (low, high):
        if not is_number(value):
            raise wrong(where, "numbers", value)
    _check_ends(where, low, high, log)
    return Range("float", float(low), float(high), log)


class Tuning:
    """Which parameters are tuned, and how much may be tried: `trials`, or for how long (`time`, such as "10m").

    `space` maps a parameter to `nf.int_range(...)`, `nf.float_range(...)` or a list of choices. With both budgets the
    first that is used up ends the search; with neither there are 50 trials. Each trial is scored on `folds` later parts
    of the training rows, one after the other, and may be stopped after any of them. Raises `DeclarationError`.
    """

    def __init__(
        self, space: Mapping[str, Any], *, trials: int | None = None, time: str | None = None, folds: int = FOLDS
    ) -> None:
        where = "nf.Tuning"
        if not isinstance(space, Mapping) or not space:
            raise wrong(f"{where}(space)", "a dict of parameter → range or choices, at least one", space)
        if trials is not None and not is_whole(trials, 2):
            raise wrong(f"{where}(trials=)", "a whole number from 2: the first trial has the declared params", trials)
        check_duration(f"{where}(time=)", time)
        if not is_whole(folds, 1) or folds > 10:
            raise wrong(f"{where}(folds=)", "a whole number from 1 to 10", folds)
        self.space: dict[str, Range | Choices] = {name: _checked(where, name, one) for name, one in space.items()}
        self.trials = TRIALS if trials is None and time is None else trials
        self.time = time
        self.folds = folds

    @property
    def seconds(self) -> float:
        """How long may be tried, in seconds; infinity where nothing was said."""
        return math.inf if self.time is None else duration(self.time)

    @property
    def size(self) -> float:
        """How many different parameters there are to try; infinity where a range has all numbers.

        >>> Tuning({"depth": [1, 2], "leaves": int_range(2, 8, step=2)}).size
        8.0
        """
        return math.prod((one.size for one in self.space.values()), start=1.0)

    @property
    def budget(self) -> str:
        """The budget in words.

        >>> Tuning({"depth": [1, 2]}, trials=20, time="10m").budget
        '20 trials or 10m'
        """
        words = [f"{self.trials} trials"] * (self.trials is not None) + [self.time or ""] * (self.time is not None)
        return " or ".join(words)

    def check_start(self, where: str, params: Mapping[str, Any]) -> None:
        """`DeclarationError` where a tuned parameter starts outside its range."""
        for name, allowed in self.space.items():
            if name in params and not allowed.holds(params[name]):
                raise DeclarationError(
                    f"{where}, params[{name!r}]",
                    expected=f"a value to start from in what is tuned, {allowed}",
                    got=repr(params[name]),
                    do=f"widen the range of {name!r}, or take it out of params=",
                )

    def within(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The tuned parameters among `params` whose value may be tried."""
        return {name: params[name] for name, one in self.space.items() if name in params and one.holds(params[name])}


def _checked(where: str, name: object, given: object) -> Range | Choices:
    at = f"{where}, {name!r}"
    if not is_text(name):
        raise wrong(at, "the name of a parameter", name)
    if isinstance(given, Range):
        return given
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise wrong(at, "nf.int_range(low, high), nf.float_range(low, high) or a list of choices", given)
    try:  # as they will be read again: a trial is kept as JSON, which has no NaN
        values = tuple(json.loads(json.dumps(list(given), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise wrong(at, "choices that JSON can hold", str(error)) from None
    if len(values) < 2 or any(_same(one, two) for place, one in enumerate(values) for two in values[:place]):
        raise wrong(at, "a list of at least two choices, each once", list(values))
    return Choices(values)


def _check_ends(where: str, low: float, high: float, log: bool) -> None:
    if not low < high:
        raise wrong(where, "a lower end below the upper one", f"{low!r} and {high!r}")
    if max(-low, high) > _LARGEST:
        raise wrong(where, f"numbers from {-_LARGEST:.0e} to {_LARGEST:.0e}", f"{low!r} and {high!r}")
    if log and low <= 0:
        raise wrong(f"{where}, log=", "a range above 0", low)


def _same(one: object, two: object) -> bool:
    """Whether two values are one: 1, 1.0 and True are three."""
    return type(one) is type(two) and one == two
