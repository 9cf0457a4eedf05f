"""The whole of it: a system's history, its request log and this machine become a design, within a budget of time.

    read in ─▶ history ─┬─▶ requests (of the log, else of the history) ─▶ measure_serving ─▶ choose_serving ─┐
                        └─▶ measure_training, with what time is left ─▶ choose_training ─────────────────────┼─▶ Design
                                                                               sizing, assumptions ──────────┘

The rule: what is in force is what others are compared with. What does not belong here: any measurement or choice by
itself, records (`record`), and putting a design in force (`accepting`).
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from ninetyfive import clock
from ninetyfive.design import BUDGET
from ninetyfive.design.accepting import LIKE_DATA, Part
from ninetyfive.design.children import Children, children
from ninetyfive.design.evidence import (
    Assumption,
    Confidence,
    Design,
    ServingChoice,
    ServingEvidence,
    TrainingChoice,
    TrainingEvidence,
)
from ninetyfive.design.forecast import InForce, candidate_of
from ninetyfive.design.history import TIME, History, read_history
from ninetyfive.design.measuring_serving import Given, measure_serving, reserve
from ninetyfive.design.requests import Requests, requests_of_frame, requests_of_log
from ninetyfive.design.serving import choose_serving
from ninetyfive.design.sizing import Load, size
from ninetyfive.design.trainer import Recipe
from ninetyfive.design.training import Money, choose_training, measure_training
from ninetyfive.durations import duration
from ninetyfive.errors import UsageError
from ninetyfive.models.release import OpenRelease, open_release
from ninetyfive.paradigms import DynamicServing, HybridServing, Serving, Training
from ninetyfive.progress import telling
from ninetyfive.run import read_in
from ninetyfive.steps.context import Context, Prepared
from ninetyfive.steps.population import log_folder
from ninetyfive.system import Declaration
from ninetyfive.version import __version__

_SURE: tuple[Confidence, ...] = ("none", "assumed", "measured", "proved")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: the folder of a log (None: that of the service), seconds, what may be assumed."""

    log: str | None = None
    budget: float = BUDGET
    assume: str | None = None

    def __post_init__(self) -> None:
        if self.assume not in (None, LIKE_DATA):
            do = "correct it, or leave it out"
            raise UsageError("--assume", expected=LIKE_DATA, got=repr(self.assume), do=do)


@dataclass(frozen=True, slots=True)
class Known:
    """A design that was measured just now, and the `parts` of it ("training", "serving") that are measured again."""

    design: Design
    parts: frozenset[Part]


def measure_design(context: Context, asked: Asked, known: Known | None = None) -> Design:
    """Measure, decide and prove; the design has no number yet. The store is held only while the source is read in.

    Of a design that is `known` only what it names is measured again.
    """
    begun = time.monotonic()
    until = begun + asked.budget
    settings, system = context.settings, context.declaration
    trained = None if known is None or "training" in known.parts else known.design.training_evidence
    served = None if known is None or "serving" in known.parts else known.design.serving_evidence
    with ExitStack() as stack:
        folder = context.store.attempt
        trains = None
        if trained is None:
            trains = stack.enter_context(children(system, stack.enter_context(folder())))
        prepared, spans = read_in(context)
        with telling(context.reporter, "history"):
            history = read_history(prepared, spans)
            if trains is not None:
                trains.give(history, Recipe.of(prepared, history.task))
            log, requests = _requests(prepared, history, asked)
            if trains is not None:
                trains.settle(until - time.monotonic())
        release = _release(context, stack)
        given = Given(requests, log, release, context.engine, folder, settings, asked.budget, until, context.reporter)
        serving = served or measure_serving(given)
        if trains is not None:
            trained = _training(prepared, history, trains, until - reserve(asked.budget))
    assert trained is not None
    chosen_training = choose_training(trained, training_in_force(system), settings.design.hysteresis)
    chosen_serving = _choose_serving(serving, system, settings.design.hysteresis, assume=asked.assume is not None)
    sizing = size(_load(history, spans, trained, chosen_training, serving, chosen_serving), settings.prices)
    return Design(
        number=0,
        system=system.name,
        made=clock.now().isoformat(timespec="seconds"),
        version=__version__,
        release=None if release is None else release.hash,
        training=chosen_training,
        training_evidence=trained,
        serving=chosen_serving,
        serving_evidence=serving,
        sizing=sizing,
        assumptions=_assumptions(context, trained, serving, asked),
        confidence=min(chosen_training.confidence, chosen_serving.confidence, key=_SURE.index),
        prices={name: value for name, value in msgspec.to_builtins(settings.prices).items() if value is not None},
        budget=asked.budget,
        seconds=time.monotonic() - begun,
    )


def training_in_force(system: Declaration) -> Training | None:
    """How the system is trained by what somebody said: system.py, or an accepted design; None where nobody did."""
    said = not isinstance(system.training, str) or system.accepted is not None
    return system.effective_training if said else None


def serving_in_force(system: Declaration) -> InForce | None:
    """How the system is served by what somebody said; None where nobody did."""
    said = not isinstance(system.serving, str) or system.accepted is not None
    return _in_force(system.effective_serving) if said else None


def _in_force(serving: Serving) -> InForce:
    if isinstance(serving, DynamicServing):
        return InForce("dynamic")
    return InForce("hybrid" if isinstance(serving, HybridServing) else "static", serving.top)


def _requests(context: Prepared, history: History, asked: Asked) -> tuple[str | None, Requests]:
    """The requests of the log, and where it is; where there is none, rows of the history taken for requests."""
    folder = asked.log or log_folder(context.settings)
    columns = [name for name in context.schema.names if name not in context.declaration.hindsight]
    got = folder
    if Path(folder).is_dir():
        found = requests_of_log(Path(folder), columns=columns)
        if len(found.time) or len(found.nameless):
            return folder, found
        got = "; ".join((folder, *found.left_out))
    if asked.log is not None:
        do = "name a folder in which a service logged, or leave --log out"
        raise UsageError("--log", expected="a folder with spans of a request log of this system", got=got, do=do)
    rows = history.frame.with_columns(pl.col(TIME).cast(pl.Datetime("us")))
    inputs = sorted({name for feature in context.declaration.features.values() for name in feature.columns()})
    entity = context.declaration.entity
    return None, requests_of_frame(rows, entity, inputs, TIME if context.declaration.source.time else None)


def _release(context: Context, stack: ExitStack) -> OpenRelease | None:
    """The champion, else the newest release, open until `stack` ends; None where there is none."""
    store = context.store
    pointer, made = store.champion(), [one for one in store.releases() if not one.collected]
    name = pointer.release if pointer is not None else made[0].release if made else None
    if name is None:
        return None
    named = store.release(name)
    return open_release(stack.enter_context(store.open_folder(named)), named.release)


def _training(context: Prepared, history: History, trains: Children, until: float) -> TrainingEvidence:
    recipe = Recipe.of(context, history.task)
    money = Money.of(context.settings.prices, context.settings.design)
    with telling(context.reporter, "backtest"):
        found = measure_training(history, recipe, money, lambda: until - time.monotonic(), trains.trains)
    if trains.why_not is None:
        return msgspec.structs.replace(found, made_by=trains.reason)
    told = f"trainings were made in this process, one after the other, and none could be ended: {trains.why_not}"
    return msgspec.structs.replace(found, noticed=(*found.noticed, told))


def _choose_serving(
    evidence: ServingEvidence, system: Declaration, hysteresis: float, *, assume: bool
) -> ServingChoice:
    """The choice; where there is no log and it is assumed that requests are like the data, the one that follows."""
    in_force = serving_in_force(system)
    if not (assume and evidence.assumed):
        return choose_serving(evidence, in_force, hysteresis)
    taken = choose_serving(msgspec.structs.replace(evidence, assumed=False), in_force, hysteresis)
    return taken if taken.confidence == "none" else msgspec.structs.replace(taken, confidence="assumed")


def _load(
    history: History,
    spans: dict[str, object],
    training: TrainingEvidence,
    chosen: TrainingChoice,
    serving: ServingEvidence,
    choice: ServingChoice,
) -> Load:
    """What the chosen design has to carry."""
    counts = spans["counts"]
    assert isinstance(counts, dict)
    rows = sum(count["accepted"] for count in counts.values())
    frame, known, measured = history.frame, serving.workload, serving.measured
    logged = known if known is not None and not serving.assumed else None
    best = candidate_of(serving.candidates, InForce(choice.paradigm, choice.k))
    tables = [one for one in serving.candidates if one.paradigm == "static" and not one.broken]
    return Load(
        rows=rows,
        bytes=int(frame.estimated_size() / max(1, frame.height) * rows),
        training_seconds=training.training_seconds,
        every=None if chosen.every is None else float(duration(chosen.every)),
        rate=None if logged is None else logged.rate,
        peak_rate=None if logged is None else logged.peak_rate,
        cpu=None if best is None else best.cpu,
        memory=None if measured is None else measured.memory,
        paradigm=choice.paradigm,
        k=choice.k,
        entities=None if known is None else known.entities,
        refresh=None if choice.refresh is None else float(duration(choice.refresh)),
        cpu_row=None if measured is None else measured.cpu_row,
        cpu_log=0.0 if measured is None or logged is None else measured.cpu_read * logged.requests,
        bytes_row=None if measured is None else measured.bytes_row,
        static_keeps=bool(tables) and not serving.assumed,
    )


def _assumptions(
    context: Context, training: TrainingEvidence, serving: ServingEvidence, asked: Asked
) -> tuple[Assumption, ...]:
    """What was taken for granted, and what would settle it."""
    prices, found = context.settings.prices, []
    found.append(
        Assumption(
            f"prices of {prices.dated}, in {prices.currency}: {prices.cpu_hour:g} for an hour of a core",
            "the bill of a month: write it as [prices] in ninetyfive.toml",
        )
    )
    if prices.point_day is None and training.policies:
        found.append(
            Assumption(
                f"what quality is worth: {training.worth_from}",
                "what a hundredth of the metric is worth a day: [prices] point_day",
            )
        )
    if serving.assumed:
        taken = "requests are like the data" if asked.assume else "rows of the history show who could be asked about"
        found.append(Assumption(taken, "a request log: `ninetyfive serve` keeps one, and `ninetyfive design` reads it"))
    elif serving.workload is not None and serving.workload.days < 7:
        days = serving.workload.days
        found.append(
            Assumption(
                f"the {days:.1f} days of the log are like those that follow",
                "a log of some weeks: `ninetyfive design --check` then",
            )
        )
    if serving.measured is not None:
        found.append(
            Assumption(
                f"the service runs on machines like this one: {serving.measured.machine}",
                "`ninetyfive design` on the machine that serves",
            )
        )
    return tuple(found)
