"""A run, from top to bottom: look at the source, do the steps that are due, register the release, promote it.

    due? ─▶ ingest ─ analyze ─ validate ─ split ─ fit ─ apply ─ (tune) ─ train ─ evaluate ─ gate ─ release ─▶ promote?
      └ watched: ingest ─ look at the champion ─▶ go on, or end

What does not belong here: what a step does (`steps`), how steps are recorded and skipped (`pipeline`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec

from ninetyfive import clock, conform, plan, relations
from ninetyfive.decisions.triggers import decide_due
from ninetyfive.errors import DeclarationError, UsageError
from ninetyfive.hashing import content_hash
from ninetyfive.models.release import open_release
from ninetyfive.pipeline import Event, Outcome, Step, ending, from_step, run_steps
from ninetyfive.sources.labels import hashed_columns, join_labels, rowless
from ninetyfive.sources.readers import reader_of
from ninetyfive.steps import clashes, search
from ninetyfive.steps.analyze import analyze
from ninetyfive.steps.apply import apply, apply_depends
from ninetyfive.steps.context import Context, Prepared
from ninetyfive.steps.declared import check_declared, check_labels, chosen
from ninetyfive.steps.evaluate import evaluate, evaluate_depends
from ninetyfive.steps.export import hand_over
from ninetyfive.steps.fit import fit, fit_depends
from ninetyfive.steps.gate import gate, gate_depends
from ninetyfive.steps.infer import keep_schema, schema_in_force
from ninetyfive.steps.ingest import ingest, ingest_depends, ingested_by
from ninetyfive.steps.land import land
from ninetyfive.steps.population import Named, population_of
from ninetyfive.steps.release import paradigms, release, release_depends
from ninetyfive.steps.split import ahead, split, split_depends
from ninetyfive.steps.table import Asked as TableAsked
from ninetyfive.steps.table import build_table, lacking, refusal
from ninetyfive.steps.train import train, train_depends
from ninetyfive.steps.tune import tune, tune_depends
from ninetyfive.steps.validate import validate
from ninetyfive.steps.watch import Look, look, look_of, newest
from ninetyfive.store.opening import Store
from ninetyfive.store.records import Pointer, Run
from ninetyfive.store.runs import run_number
from ninetyfive.system import Model
from ninetyfive.values import micros_of, plain

STEPS: tuple[Step[Prepared], ...] = (
    Step("ingest", ingest, depends=ingest_depends, uses=(conform, plan, relations, clashes)),
    Step("analyze", analyze, needs=("ingest",)),
    Step("validate", validate, needs=("ingest",), depends=lambda context: context.schema.max_quarantined),
    Step("split", split, needs=("ingest",), depends=split_depends),
    Step("fit", fit, needs=("ingest", "split"), depends=fit_depends),
    Step("apply", apply, needs=("ingest", "split", "fit"), depends=apply_depends),
    Step("train", train, needs=("ingest", "fit", "apply"), depends=train_depends),
    Step("evaluate", evaluate, needs=("ingest", "split", "fit", "train"), depends=evaluate_depends),
    Step("gate", gate, needs=("train", "evaluate"), depends=gate_depends),
    Step("release", release, needs=("ingest", "analyze", "fit", "train", "evaluate", "gate"), depends=release_depends),
)

TUNE = Step("tune", tune, needs=("ingest", "fit", "apply"), depends=tune_depends, uses=(search,))
"""The step before train of a model that is tuned; train and release need it then."""

_COUNTS = ("read", "accepted", "quarantined", "unlabelled", "duplicate")
LEASE_SECONDS = 2.0
"""How long a run waits for another one before it says who holds the store."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a run: promote a release that passes, use recorded steps, do `start` and all after it again.

    `model` takes the place of the declared one: a file that is imported. A run in parts ends with the step `until`, and
    is resumed by the next one, which does nothing again of what comes up to the step `after`.
    """

    promote: bool = True
    cache: bool = True
    start: str | None = None
    if_due: bool = False
    model: Model | None = None
    after: str | None = None
    until: str | None = None


def run(context: Context, asked: Asked) -> dict[str, Any]:
    """Do one run and return its document (see `docs/running.md`); the store is held by this run alone meanwhile.

    `BusyError` where another run holds the store; what a step raises ends the run and leaves the champion as it was.
    """
    steps = steps_of(asked.model or context.declaration.declared_model)
    redo = from_step(steps, asked.start) if asked.cache else frozenset(step.name for step in steps)
    redo -= _up_to(steps, asked.after)
    part = _up_to(steps, asked.until) or {step.name for step in steps}
    with context.store.lease(wait=LEASE_SECONDS):
        context.store.check_system(context.declaration.name)
        if TUNE in steps:
            search.check_optuna()
        jobs = context.engine.jobs
        due = _due(context) if asked.if_due else _Due(True, "asked for")
        if not due.due:
            return _not_due(context, due, context.engine.jobs - jobs)
        context = replace(context, since=due.since)
        prepared = _prepare(context, asked.model)
        key = _inputs_key(prepared)
        prepared = _compared(prepared, key)
        started = context.store.begin_run(f"run {context.declaration.name}", key)
        prepared = replace(prepared, run=started.id, retry=TUNE.name in redo)
        steps = tuple(step for step in steps if step.name in part)
        outcome = run_steps(steps, prepared, context.store, started.id, redo=redo, progress=_told(context))
        if asked.until is not None:
            return _left(context.store, started.id, outcome, asked.until, context.engine.jobs - jobs)
        outputs = outcome.outputs
        document = {
            "run": started.id,
            "due": True,
            **_summary(outputs, prepared, ingested_by(prepared, started.id) | due.fresh),
            "watch": due.told,
            "labels": msgspec.to_builtins(prepared.labels),
            "chosen": chosen(prepared.declaration, outputs["ingest"]["task"]),
            "compared_with": prepared.champion,
            "inputs": key,
            "jobs": context.engine.jobs - jobs,
            "steps": msgspec.to_builtins(outcome.steps),
        }
        with ending(context.store, started.id, "promote"):
            return _finish(context, started.id, outputs, document, asked)


def steps_of(model: Model | None) -> tuple[Step[Prepared], ...]:
    """The steps of a run, in order: `STEPS`, with `TUNE` where a model is tuned."""
    if model is None or model.tuning is None:
        return STEPS
    found = [replace(one, needs=(*one.needs, "tune")) if one.name in ("train", "release") else one for one in STEPS]
    place = [one.name for one in found].index("train")
    return (*found[:place], TUNE, *found[place:])


def _up_to(steps: Sequence[Step[Any]], name: str | None) -> frozenset[str]:
    """The names of the steps up to one, and it; none for None."""
    names = [step.name for step in steps]
    return frozenset() if name is None else frozenset(names[: names.index(name) + 1])


def _left(store: Store, run: str, outcome: Outcome, until: str, jobs: int) -> dict[str, Any]:
    """End a part of a run as one that is to be resumed; what is known of it."""
    document = {"run": run, "due": True, "until": until, "jobs": jobs, "steps": msgspec.to_builtins(outcome.steps)}
    store.finish_run(run, "interrupted", document)
    return document


def read_in(context: Context) -> tuple[Prepared, dict[str, Any]]:
    """Read the source into spans as a run does first, and nothing more; what `ingest` put out.

    `BusyError` where a run holds the store; what reading raises.
    """
    with context.store.lease(wait=LEASE_SECONDS):
        context.store.check_system(context.declaration.name)
        prepared, started, outcome = _read_in(context, "design")
        context.store.finish_run(started.id, "done", {"steps": msgspec.to_builtins(outcome.steps)})
        return prepared, outcome.outputs["ingest"]


def _read_in(context: Context, word: str) -> tuple[Prepared, Run, Outcome]:
    """Begin a run called `word` that only ingests; who asks ends it."""
    prepared = _prepare(context)
    key = content_hash([word, _inputs_key(prepared)])
    started = context.store.begin_run(f"{word} {context.declaration.name}", key)
    return prepared, started, run_steps(STEPS[:1], prepared, context.store, started.id, progress=_told(context))


def _prepare(context: Context, given: Model | None = None) -> Prepared:
    """Look at the source, read or infer the schema, and hold the declaration against it."""
    system = context.declaration
    model = given or system.declared_model
    if model is None:
        raise DeclarationError(
            f"system {system.name!r}",
            expected="a model",
            got="none",
            do="write a function below @system.model(...)",
        )
    folder = str(context.settings.folder)
    shared = {field.name: getattr(context, field.name) for field in fields(Context)}
    files, shared["landed"] = land(context)
    reader = reader_of(system.source)
    if system.source.kind == "request_log":
        shared["rowless"] = rowless(files)
        files, reader, shared["labels"] = join_labels(system.source, files, folder)
        check_labels(system, reader.label_columns, hashed_columns(files))
    schema, text = schema_in_force(context, files, reader)
    check_declared(system, schema)
    if text is not None:
        keep_schema(context, text)
    return Prepared(**shared, files=files, reader=reader, schema=schema, model=model)


def _inputs_key(context: Prepared) -> str:
    """What decides the release, whoever is champion: data, declaration, code, lock."""
    decided = [step.depends(context) for step in steps_of(context.model)]
    return content_hash([decided, context.declaration.name])


def _compared(context: Prepared, key: str) -> Prepared:
    """With the champion to compare with: the live one, or where that came of the same inputs, the one before."""
    pointer = context.store.champion()
    if pointer is None:
        return context
    document = context.store.release(pointer.release).document
    champion = document["compared_with"] if document["inputs"] == key else pointer.release
    return replace(context, champion=champion)


def _summary(outputs: Mapping[str, Any], context: Prepared, fresh: frozenset[str]) -> dict[str, Any]:
    """The part of the document that the steps decide; `rows` are those of the spans `fresh`, read by this run."""
    evaluated, cut = outputs["evaluate"], outputs["split"]
    places = {"from": "start", "cut": "cut", "to": "as_of"}
    borders = {name: plain(cut[key], "timestamp") for name, key in places.items()}
    findings = [
        f"{one['where']}" + (f", column {one['column']!r}" if one["column"] else "") + f": {one['got']}"
        for one in outputs["validate"]["findings"]
    ]
    refused = evaluated["unpredicted"]
    unanswered = [
        f"{refused:,} test rows miss an input, and the model gives them no answer: fill it in features"
    ] * bool(refused)
    return {
        "rows": _rows(outputs["ingest"], fresh),
        "window": {"rows": sum(outputs["apply"]["parts"].values()), **outputs["apply"]["parts"], **borders},
        "primary": evaluated["primary"],
        "metrics": evaluated["metrics"],
        "baselines": evaluated["baselines"],
        "gains": evaluated["gains"],
        "slices": evaluated["slices"],
        "champion": evaluated["champion"],
        "gates": outputs["gate"]["gates"],
        "passed": outputs["gate"]["passed"],
        "tuning": outputs.get("tune"),
        "notices": [
            *context.landed,
            *ahead(context, outputs["ingest"], clock.now()),
            *([str(context.labels)] if context.labels else []),
            *[f"{context.rowless:,} records of the request log have no row, and are left out"] * bool(context.rowless),
            *outputs["ingest"]["notices"],
            *findings,
            *outputs.get("tune", {}).get("notices", ()),
            *outputs["train"]["notices"],
            *evaluated["notices"],
            *unanswered,
        ],
    }


def _finish(
    context: Context, run_id: str, outputs: Mapping[str, Any], document: dict[str, Any], asked: Asked
) -> dict[str, Any]:
    """Register the release, promote it where the gates and the asker say so, and end the run."""
    store, made = context.store, outputs["release"]
    kept = {
        name: document[name] for name in ("metrics", "primary", "gates", "passed", "compared_with", "inputs", "window")
    }
    kept |= {"system": context.declaration.name, **paradigms(context.declaration)}
    kept["served"] = {name: outputs["train"][name] for name in ("model", "form")}
    if document["tuning"] is not None:
        kept["tuning"] = {name: value for name, value in document["tuning"].items() if name not in ("trials", "parts")}
    kept["ingest"] = next(step["key"] for step in document["steps"] if step["name"] == "ingest")
    store.add_release(made["release"], made["folder"], kept, run_id)
    pointer = store.champion()
    failed = [gate["name"] for gate in document["gates"] if gate["blocking"] and not gate["passed"]]
    promoted, table = False, None
    if context.platform.model and not failed:
        document["notices"].append(hand_over(store, made["release"], context.platform.model))
    population = population_of(context.declaration.effective_serving, context.settings)
    if failed:
        reason = "a gate said no: " + ", ".join(failed)
    elif pointer is not None and pointer.release == made["release"]:
        reason, promoted = "it is the champion already: nothing it depends on changed", True
    elif not asked.promote:
        reason = "gates passed; --no-promote"
    elif left := _rolled_back(store.history(), made["release"]):
        reason = f"epoch {left.epoch} rolled it back ({left.reason}); `ninetyfive promote` makes it live again"
    elif population is None and (missing := lacking(store, context.declaration.effective_serving, made["release"])):
        reason = missing
    else:
        table = _table(context, population, made["release"])
        promoted = table is None or table["passed"]
        reason = "all gates passed" if promoted or table is None else refusal(table)
        if promoted:
            epoch = pointer.epoch if pointer else 0
            store.promote(made["release"], epoch, f"{run_id}: {reason}", table["table"] if table else None)
    passed = document["passed"] and (table is None or table["passed"])
    told = {"release": made["release"], "table": table, "promoted": promoted, "reason": reason, "passed": passed}
    document = {**document, **told}
    store.finish_run(run_id, "done" if passed else "refused", document)
    return document


def _table(context: Context, population: Named | None, release: str) -> dict[str, Any] | None:
    """Build the table of a release that is served from one, to go live with it; None where it has no population."""
    if population is None:
        return None
    with context.store.open_folder(context.store.release(release)) as folder:
        opened = open_release(folder, release)
    asked = TableAsked(population, clock.now(), "run")
    return build_table(context.store, context.engine, opened, asked, context.reporter)


def _rolled_back(history: Sequence[Pointer], release: str) -> Pointer | None:
    """The rollback by which a release lost its place, if that was the last that happened to it; newest first."""
    for after, pointer in pairwise(history):
        if release in (after.release, pointer.release):
            return after if after.action == "rollback" and after.release != release else None
    return None


@dataclass(frozen=True, slots=True)
class _Due:
    """Whether to go on, and why; after a look what it found, the spans that it read, and where training begins."""

    due: bool
    reason: str
    told: dict[str, Any] | None = None
    since: int | None = None
    fresh: frozenset[str] = frozenset()
    rows: dict[str, int] | None = None


def _due(context: Context) -> _Due:
    store, training = context.store, context.declaration.effective_training
    runs, has_champion = store.runs(), store.champion() is not None
    trained, looked = newest(runs, "release"), newest(runs, "look")
    if has_champion and getattr(training, "watch", None) is not None:
        before = look_of(looked)
        if before is not None and before.watched.due and not _later(trained, looked):
            reason = f"no training has ended since a look found: {before.watched.reason}"
            return _Due(True, f"static training, watched: {reason}", before.told(), before.watched.since)
        due = decide_due(training, _started(trained), _started(looked), clock.now(), has_champion)
        return _look(context, before) if due.look else _Due(due.due, due.reason)
    done = newest([run for run in runs if run.status == "done"], "release")
    due = decide_due(training, _started(done), None, clock.now(), has_champion)
    return _Due(due.due, due.reason)


def _look(context: Context, before: Look | None) -> _Due:
    """Read new data in, look at the champion, and keep what was found; a look that was killed is made again."""
    store = context.store
    prepared, started, outcome = _read_in(context, "look")
    pointer = store.champion()
    assert pointer is not None
    prepared = replace(prepared, champion=pointer.release)
    with ending(store, started.id, "look"):
        found = look(prepared, outcome.outputs["ingest"], before)
        store.finish_run(started.id, "done", {"look": found.plain()})
    watched, fresh = found.watched, ingested_by(prepared, started.id)
    reason = f"static training, watched: {watched.reason}"
    rows = _rows(outcome.outputs["ingest"], fresh)
    return _Due(watched.due, reason, found.told(), watched.since if watched.due else None, fresh, rows)


def _later(one: Run | None, other: Run | None) -> bool:
    """Whether a run is newer than another."""
    return one is not None and other is not None and run_number(one.id) > run_number(other.id)


def _started(run: Run | None) -> datetime | None:
    return None if run is None else datetime.fromisoformat(run.started)


def _rows(spans: Mapping[str, Any], fresh: frozenset[str]) -> dict[str, int]:
    """The rows of the spans `fresh`, by what became of them."""
    counts = [count for span, count in spans["counts"].items() if span in fresh]
    return {name: sum(count[name] for count in counts) for name in _COUNTS}


def _not_due(context: Context, due: _Due, jobs: int) -> dict[str, Any]:
    """The document of a run that was not due: nothing was made, and nothing read but by a look."""
    champion = context.store.champion()
    return {
        "run": None,
        "release": None,
        "table": None,
        "promoted": False,
        "due": False,
        "reason": due.reason,
        "champion": None if champion is None else {"release": champion.release},
        "rows": due.rows or dict.fromkeys(_COUNTS, 0),
        "watch": due.told,
        "metrics": {},
        "baselines": {},
        "gates": [],
        "tuning": None,
        "passed": True,
        "jobs": jobs,
        "steps": [],
    }


def _told(context: Context) -> Any:
    def tell(event: Event, step: str, seconds: float) -> None:
        if event == "started":
            context.reporter.started(step)
        else:
            context.reporter.finished(step, seconds, event == "skipped")

    return tell


def as_of_microseconds(text: str | None) -> int | None:
    """`--as-of` in µs: an ISO 8601 time, its zone put away by going to UTC; `UsageError` for other words."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            "--as-of", expected="an ISO 8601 time", got=repr(text), do="write it like 2026-01-31T12:00"
        ) from None
    return micros_of(moment)
