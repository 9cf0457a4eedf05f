"""Paradigms: when a system is trained, and how its requests are answered.

    training   static: once, or again when its quality drops · dynamic: again and again, on a window
    serving    static: from a table · dynamic: by the model · hybrid: a table for the head, the model for the tail

What does not belong here: what follows from them (`decisions`, `steps`), and who answers (`serve`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ninetyfive.arguments import check_duration, is_number, is_text, is_whole, wrong
from ninetyfive.durations import duration
from ninetyfive.metrics import Task

OUTSIDE, MISSING = 422, 404
"""What a row outside of the schema and an entity that no table holds get where no answer is declared: HTTP statuses."""
DROP = 0.1
"""The share of what was promised that has to be gone until a watched champion is trained again."""


@dataclass(frozen=True, slots=True)
class StaticTraining:
    """Train once, not by the clock: `run --if-due` is due until there is a champion, then never again.

    With `watch` ("3d") it looks that often whether the champion still holds what it promised, and is due again when of
    its gain over the constant baseline more than the share `drop` is gone, beyond chance, on rows labelled since.
    """

    window: str | None = None
    watch: str | None = None
    drop: float = DROP

    def __post_init__(self) -> None:
        check_duration("StaticTraining(window=)", self.window)
        check_duration("StaticTraining(watch=)", self.watch)
        if not is_number(self.drop) or not 0.0 < self.drop <= 1.0:
            raise wrong("StaticTraining(drop=)", "a share above 0, at most 1, such as 0.1", self.drop)


@dataclass(frozen=True, slots=True)
class DynamicTraining:
    """Train again and again, on the newest `window` of data: due when the last training is `every` old.

    Durations are text: "30m", "6h", "1d", "12w".
    """

    every: str
    window: str | None = None

    def __post_init__(self) -> None:
        duration(self.every, "DynamicTraining(every=)")
        check_duration("DynamicTraining(window=)", self.window)


@dataclass(frozen=True, slots=True)
class StaticServing:
    """Answer from a table computed beforehand: of every row of the file `population`, or of the head of the requests.

    The head is the `top` entities of the request log; one of the two is given. `on_missing`: 404, or the answer to give
    for an entity that the table does not hold. `on_change`: what a request gets whose features differ from those the
    table was computed from: the "stale" answer, or "refuse". `on_outside`: 422, or the answer to give for a row that
    breaks a rule of the schema. `max_age`: from which age on ("1d") a table answers no more; None: never. An answer is
    a number, of a multiclass system the name of a class.
    """

    population: str | None = None
    top: int | None = None
    on_missing: float | str = MISSING
    on_change: Literal["stale", "refuse"] = "stale"
    on_outside: float | str = OUTSIDE
    max_age: str | None = None

    def __post_init__(self) -> None:
        _check_whose("StaticServing", self.population, self.top)
        _check_answer("StaticServing(on_missing=)", self.on_missing, MISSING)
        if self.on_change not in ("stale", "refuse"):
            raise wrong("StaticServing(on_change=)", "'stale' or 'refuse'", self.on_change)
        _check_answer("StaticServing(on_outside=)", self.on_outside, OUTSIDE)
        check_duration("StaticServing(max_age=)", self.max_age)


@dataclass(frozen=True, slots=True)
class DynamicServing:
    """Answer every request by computing it when it comes; `on_outside` as for `StaticServing`."""

    on_outside: float | str = OUTSIDE

    def __post_init__(self) -> None:
        _check_answer("DynamicServing(on_outside=)", self.on_outside, OUTSIDE)


@dataclass(frozen=True, slots=True)
class HybridServing:
    """Answer the head from a table and the tail from the model.

    The head is the `top` entities of the request log, or every row of the file `population`: one of the two.
    `cache`: how many answers of the tail are kept in memory; 0 keeps none. `on_outside` and `max_age` as for
    `StaticServing`: what a table that is too old does not answer is computed.
    """

    top: int | None = None
    population: str | None = None
    cache: int = 0
    on_outside: float | str = OUTSIDE
    max_age: str | None = None

    def __post_init__(self) -> None:
        _check_whose("HybridServing", self.population, self.top)
        if not is_whole(self.cache, 0):
            raise wrong("HybridServing(cache=)", "a whole number from 0", self.cache)
        _check_answer("HybridServing(on_outside=)", self.on_outside, OUTSIDE)
        check_duration("HybridServing(max_age=)", self.max_age)


Training = StaticTraining | DynamicTraining
Serving = StaticServing | DynamicServing | HybridServing
MEASURED = "measured"


def fixed_answers(serving: Serving) -> dict[str, float | str]:
    """The answers that are given without asking table or model: argument → answer, of those that are declared.

    >>> fixed_answers(StaticServing("all.parquet", on_missing=0.5)), fixed_answers(DynamicServing())
    ({'on_missing': 0.5}, {})
    """
    declared = {"on_outside": (serving.on_outside, OUTSIDE)}
    if isinstance(serving, StaticServing):
        declared["on_missing"] = (serving.on_missing, MISSING)
    return {name: answer for name, (answer, status) in declared.items() if answer != status}


def check_fixed_answers(where: str, serving: Serving, task: Task, classes: tuple[str, ...] | None = None) -> None:
    """`DeclarationError` where a declared answer is none of `task`: a number, or a class (`classes`: where known)."""
    for name, answer in fixed_answers(serving).items():
        expected = "a number"
        if task == "multiclass":
            expected = "the name of a class" if classes is None else "a class: " + ", ".join(map(repr, classes[:12]))
        fits = isinstance(answer, str) == (task == "multiclass")
        if not fits or (classes and answer not in classes):
            raise wrong(f"{where}{type(serving).__name__}({name}=)", f"{expected} (the task is {task})", answer)
        if task == "binary" and not 0.0 <= float(answer) <= 1.0:
            raise wrong(f"{where}{type(serving).__name__}({name}=)", "a probability from 0 to 1", answer)


def _check_whose(name: str, population: object, top: object) -> None:
    """`DeclarationError` where a table is made of neither a file nor the head of the requests, or of both."""
    if (top is None) == (population is None):
        raise wrong(f"{name}(...)", "one of top= and population=", f"top={top}, population={population}")
    if top is not None and not is_whole(top, 1):
        raise wrong(f"{name}(top=)", "a whole number from 1", top)
    if population is not None and not is_text(population):
        raise wrong(f"{name}(population=)", "the path or URL of a file of rows", population)


def _check_answer(where: str, answer: object, status: int) -> None:
    if not is_number(answer) and not is_text(answer):
        raise wrong(where, f"{status}, or the answer to give", answer)
