"""The declaration: what system.py says, checked as far as it can be without data.

    source ─┐
    label  ─┤
    features┼─▶ Declaration ─▶ verbs (`api.System`) read it; nothing here does anything
    model  ─┘

What can be known without data fails here, when the file is loaded: a label or later column used as a feature, words
that name no paradigm, a table without an entity. What needs data fails at the start of `run` (`steps.ingest`).
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal, TypeVar

from ninetyfive.accepted import Accepted
from ninetyfive.arguments import check_duration, check_finite, is_number, is_text, is_whole, wrong
from ninetyfive.errors import DeclarationError, near_names
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.recording import Expr
from ninetyfive.features.tree import Call, distinct
from ninetyfive.hashing import content_hash
from ninetyfive.metrics import METRICS, TASKS, Task
from ninetyfive.models.signatures import params_alone, takes_rows
from ninetyfive.paradigms import (
    MEASURED,
    DynamicServing,
    DynamicTraining,
    HybridServing,
    Serving,
    StaticServing,
    StaticTraining,
    Training,
    check_fixed_answers,
)
from ninetyfive.schema import reserved
from ninetyfive.sources.files import Source
from ninetyfive.tuning import Tuning

ModelFunction = TypeVar("ModelFunction", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Split:
    """How rows are held out for evaluation: the newest share `test` by "time", or a share of "id" by a stable hash."""

    by: Literal["time", "id"]
    test: float = 0.2

    def __post_init__(self) -> None:
        if self.by not in ("time", "id"):
            raise wrong("Split(by=)", "'time' or 'id'", self.by)
        if not is_number(self.test) or not 0.0 < self.test < 1.0:
            raise wrong("Split(test=)", "a share between 0 and 1, such as 0.2", self.test)


@dataclass(frozen=True, slots=True)
class Gate:
    """What a new release must keep before it is promoted.

    `metric` with `at_least` or `at_most`: its value. `metric` with `may_lose`: how much worse than the champion it may
    be, re-scored on the same rows. `slice=(column)`: the same for every value of that column with at least `rows` rows.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    may_lose: float | None = None
    slice: str | None = None
    rows: int = 500

    def __post_init__(self) -> None:
        where = f"Gate({self.metric!r})"
        _check_metric(where, self.metric)
        given = [name for name in ("at_least", "at_most", "may_lose") if getattr(self, name) is not None]
        if len(given) != 1:
            raise wrong(where, "one of at_least=, at_most= and may_lose=", ", ".join(given) or "none")
        limit = getattr(self, given[0])
        if not is_number(limit):
            raise wrong(f"{where}, {given[0]}=", "a number", limit)
        if given == ["may_lose"] and limit < 0:
            raise wrong(f"{where}, may_lose=", "a number from 0", limit)
        if not is_whole(self.rows, 1):
            raise wrong(f"{where}, rows=", "a whole number from 1", self.rows)


@dataclass(frozen=True, slots=True)
class Model:
    """The model function with its parameters; `native`: serve the framework's own form where ONNX is not equal.

    `params` are those that are declared; with `tuning` the effective ones are what was found.
    """

    function: Callable[..., Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    native: bool = False
    seed: int = 95
    tuning: Tuning | None = None


class Declaration:
    """What a system is: its source, label, features, model and, where given, how it is trained, served and judged.

    Every argument is kept as an attribute of the same name. Raises `DeclarationError` for anything that can be seen
    to be wrong without data.
    """

    def __init__(  # noqa: PLR0913
        self,
        name: str,
        *,
        source: Source,
        label: Expr,
        features: Mapping[str, Expr],
        entity: Sequence[str] = (),
        label_time: str | None = None,
        label_delay: str | None = None,
        later: Sequence[str] = (),
        task: Literal["binary", "multiclass", "regression"] | None = None,
        metrics: Sequence[str] = (),
        slices: Sequence[str] = (),
        gates: Sequence[Gate] = (),
        split: Split | None = None,
        training: Training | Literal["measured"] = "measured",
        serving: Serving | Literal["measured"] = "measured",
    ) -> None:
        self.name = name
        self.source = source
        self.label = label
        self.features: dict[str, Expr] = _features(features)
        self.entity = _names("entity", entity)
        self.label_time = label_time
        self.label_delay = label_delay
        self.later = _names("later", later)
        self.task = task
        self.metrics = _names("metrics", metrics)
        self.slices = _names("slices", slices)
        self.gates = _gates(gates)
        self.split = split
        self.training = training
        self.serving = serving
        self.declared_model: Model | None = None
        self.origin = _caller_file()
        _check(self)

    def model(
        self,
        function: ModelFunction | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        tune: Tuning | Mapping[str, Any] | None = None,
        native: bool = False,
        seed: int = 95,
    ) -> Any:
        """Declare the model: a function of `(x, y, params)` that gives a fitted object with `predict`(`_proba`).

        A function of `(params)` alone gives a compiled Keras model, which is fitted from a stream (docs/keras.md).
        `x` is a Polars frame of Float32 columns, named and ordered as the features; `y` a NumPy array (bool, float64 or
        str); `params` the mapping given here, of what JSON can hold
        (so no NaN and no infinity). `random` and `numpy` are seeded with `seed`. A
        function of `(x, y, params, champion)` also gets the champion's fitted model, to continue from, or None. The
        function is returned as it is. `tune` says which params are searched for (docs/tuning.md): an `nf.Tuning`, or
        only its space.
        """

        def declare(given: ModelFunction) -> ModelFunction:
            where = f"system {self.name!r}, model {getattr(given, '__name__', given)!r}"
            if self.declared_model is not None:
                raise DeclarationError(
                    where, expected="one model", got="a second one", do="keep one @model function in a system"
                )
            _check_model(where, given, params, seed)
            tuning = tune if tune is None or isinstance(tune, Tuning) else Tuning(tune)
            if tuning is not None:
                tuning.check_start(where, params or {})
            self.declared_model = Model(given, dict(params or {}), native, seed, tuning)
            return given

        return declare if function is None else declare(function)

    @property
    def label_columns(self) -> frozenset[str]:
        """The source columns that the label is made of."""
        return self.label.columns()

    @property
    def hindsight(self) -> frozenset[str]:
        """The columns that no request has: label, `label_time`, `later`, and those that the source itself adds."""
        time = {self.label_time} if self.label_time else set()
        return self.label_columns | set(self.later) | time | set(self.source.own)

    @property
    def accepted(self) -> Accepted | None:
        """The design in force; a declaration that stands in no project has none."""
        return None

    @property
    def effective_training(self) -> Training:
        """The training in force: what is declared; where that is "measured": of the design, else StaticTraining."""
        if not isinstance(self.training, str):
            return self.training
        return self.accepted.training.made() if self.accepted else StaticTraining()

    @property
    def effective_serving(self) -> Serving:
        """The serving in force: what is declared; where that is "measured": of the design, else DynamicServing."""
        if not isinstance(self.serving, str):
            return self.serving
        return self.accepted.serving.made() if self.accepted else DynamicServing()

    @property
    def effective_split(self) -> Split:
        """The split in force: by time where the source has one, else by id."""
        return self.split or Split("time" if self.source.time else "id")


def _check(system: Declaration) -> None:
    where = f"system {system.name!r}"
    if not is_text(system.name) or not _NAME.fullmatch(system.name):
        raise wrong("System(name)", "lower-case letters, digits, '-' and '_', such as 'flight-delays'", system.name)
    if not isinstance(system.source, Source):
        raise wrong(f"{where}, source=", "a source, such as nf.parquet(...) or nf.csv(...)", system.source)
    _check_label(system, where)
    _check_features(system, where)
    _check_times(system, where)
    _check_split(system, where)
    _check_judgement(system, where)
    _check_paradigms(system, where)


def _check_label(system: Declaration, where: str) -> None:
    if not isinstance(system.label, Expr):
        raise wrong(f"{where}, label=", "an expression such as col('arr_delay') > 15", system.label)
    for node in distinct([system.label.node]):
        operation = OPERATIONS[node.operation] if isinstance(node, Call) else None
        if operation is not None and (operation.learned or operation.many or operation.call is not None):
            raise DeclarationError(
                f"{where}, label=",
                expected="operations of one row, that learn nothing from others",
                got=f"{operation.name!r} in {system.label}",
                do=f"take {operation.name} out of the label",
            )


def _check_features(system: Declaration, where: str) -> None:
    for name, feature in system.features.items():
        at = f"{where}, feature {name!r}"
        if not is_text(name):
            raise wrong(at, "a name", name)
        if reserved(name):
            raise wrong(at, "a name that is free", f"{name!r} ({reserved(name)})")
        if not isinstance(feature, Expr):
            raise wrong(at, "an expression such as col('distance')", feature)
        for column, what in (
            *((c, "the label is made of") for c in sorted(system.label_columns)),
            *((c, "`later` says is known only after the request") for c in system.later),
            *((c, "`label_time` says is known only with the label") for c in (system.label_time,) if c),
            *((c, "the source adds to what a request holds") for c in system.source.own),
        ):
            if column in feature.columns():
                raise DeclarationError(
                    at,
                    expected="columns known when the request is made",
                    got=f"{column!r}, which {what}",
                    do=f"take {column!r} out of the feature: a model that sees it cannot be served",
                )


def _check_times(system: Declaration, where: str) -> None:
    if system.label_time is not None and system.label_delay is not None:
        raise wrong(where, "one of label_time= and label_delay=", "both of them")
    if system.label_time is not None and not is_text(system.label_time):
        raise wrong(f"{where}, label_time=", "the name of a column", system.label_time)
    check_duration(f"{where}, label_delay=", system.label_delay)
    if (system.label_time or system.label_delay) and not system.source.time:
        raise wrong(f"{where}, label_time= or label_delay=", "a source with time=", "a source without")
    for column in (*system.source.id, *system.entity, *((system.source.time,) if system.source.time else ())):
        if column in system.hindsight and (column not in system.source.own or column in system.entity):
            raise DeclarationError(
                f"{where}, column {column!r}",
                expected="id, entity and time to be known when the request is made",
                got="a label or later column",
                do=f"take {column!r} out of id=, entity=, time=, or out of later=",
            )


def _check_split(system: Declaration, where: str) -> None:
    split = system.effective_split
    if not isinstance(split, Split):
        raise wrong(f"{where}, split=", "nf.Split('time') or nf.Split('id')", split)
    if split.by == "time" and not system.source.time:
        raise wrong(f"{where}, split=", "time= in the source", "a source without time=")
    if split.by == "id" and not system.source.id:
        raise DeclarationError(
            f"{where}, source",
            expected="time= (the newest rows are held out) or id= (rows are held out by a hash of it)"
            if system.split is None
            else "id=, by a hash of which rows are held out",
            got="neither" if system.split is None else "a source without id=",
            do="name the column that says when the request was made, or the columns that name a row",
        )


def _check_judgement(system: Declaration, where: str) -> None:
    if system.task is not None and system.task not in TASKS:
        raise wrong(f"{where}, task=", " or ".join(map(repr, TASKS)), system.task)
    for metric in system.metrics:
        _check_metric(f"{where}, metrics=", metric)
    for gate in system.gates:
        if gate.slice is not None and gate.slice not in system.slices:
            raise wrong(f"{where}, Gate(slice={gate.slice!r})", "a column of slices=", f"slices={list(system.slices)}")
    if system.task is not None:
        check_metrics_of_task(where, (*system.metrics, *(gate.metric for gate in system.gates)), system.task)


def check_metrics_of_task(where: str, metrics: Sequence[str], task: Task) -> None:
    """`DeclarationError` for the first of `metrics` that does not judge `task`."""
    for metric in metrics:
        if task not in METRICS[metric].tasks:
            fitting = ", ".join(name for name, known in METRICS.items() if task in known.tasks)
            raise DeclarationError(
                f"{where}, metrics= or gates=",
                expected=f"metrics of the task {task!r}",
                got=f"{metric!r}, of {' and '.join(METRICS[metric].tasks)}",
                do=f"use some of: {fitting}",
            )


def _check_paradigms(system: Declaration, where: str) -> None:
    if not isinstance(system.training, StaticTraining | DynamicTraining) and system.training != MEASURED:
        raise wrong(
            f"{where}, training=", "nf.StaticTraining(), nf.DynamicTraining(every=...) or 'measured'", system.training
        )
    if not isinstance(system.serving, StaticServing | DynamicServing | HybridServing) and system.serving != MEASURED:
        raise wrong(
            f"{where}, serving=",
            "nf.StaticServing(...), nf.DynamicServing(), nf.HybridServing(...) or 'measured'",
            system.serving,
        )
    if system.task is not None:
        check_fixed_answers(f"{where}, serving=", system.effective_serving, system.task)
    if isinstance(system.serving, StaticServing | HybridServing) and not system.entity:
        raise DeclarationError(
            f"{where}, serving={type(system.serving).__name__}",
            expected="entity=, the columns whose values a table is looked up by",
            got="none",
            do="add entity=[...] to the system, or serve with nf.DynamicServing()",
        )
    training = system.effective_training
    for name in ("window", "watch"):
        if getattr(training, name, None) is not None and not system.source.time:
            raise wrong(f"{where}, training {name}", "a source with time=", "a source without")


def _check_model(where: str, function: Any, params: Any, seed: object) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise wrong(where, "a function of (x, y, params)", function) from None
    if not params_alone(function) and not takes_rows(function):
        raise DeclarationError(
            where,
            expected="a function of (x, y, params), of (x, y, params, champion), or of (params) alone",
            got=str(signature),
            do="write def model(x, y, params): and return the fitted model",
        )
    if params is not None and not isinstance(params, Mapping):
        raise wrong(f"{where}, params=", "a mapping from name to value", params)
    try:
        content_hash(params)
    except (TypeError, ValueError) as error:
        raise wrong(f"{where}, params=", "values that JSON can hold", str(error)) from None
    check_finite(f"{where}, params", params)
    if not is_whole(seed, 0) or seed >= 2**32:
        raise wrong(f"{where}, seed=", "a whole number from 0 to 4294967295", seed)


def _check_metric(where: str, metric: object) -> None:
    if not isinstance(metric, str) or metric not in METRICS:
        raise DeclarationError(where, expected="a metric", got=repr(metric), do=near_names(str(metric), METRICS))


def _names(what: str, names: object) -> tuple[str, ...]:
    given = (names,) if isinstance(names, str) else names
    if not isinstance(given, Sequence):
        raise wrong(f"{what}=", "a name or a list of names", names)
    for name in given:
        if not is_text(name):
            raise wrong(f"{what}=", "a list of names", name)
    if len(set(given)) < len(given):
        raise wrong(f"{what}=", "each name once", list(given))
    return tuple(given)


def _features(given: object) -> dict[str, Expr]:
    if not isinstance(given, Mapping) or not given:
        raise wrong("System(features=)", "a dict of name → expression, at least one", given)
    return dict(given)


def _gates(given: object) -> tuple[Gate, ...]:
    gates = (given,) if isinstance(given, Gate) else given
    if not isinstance(gates, Sequence) or not all(isinstance(gate, Gate) for gate in gates):
        raise wrong("System(gates=)", "a list of nf.Gate(...)", given)
    return tuple(gates)


def _caller_file() -> str | None:
    """The file that builds the system: the first frame outside this package; None where that stands in no file."""
    package = __name__.partition(".")[0]
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == package:
        frame = frame.f_back
    return None if frame is None else frame.f_globals.get("__file__")
