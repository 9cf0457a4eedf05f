"""Collect: what the store need not keep, by the rule of `[keep]`: shown with its reasons, and removed where asked.

    inventory ─▶ things and what each reaches ─▶ decisions.retention ─▶ forget in the catalog ─▶ remove files

Here stands what the outputs of steps say: which spans an ingest read, which states a fit used, which run used a step.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ninetyfive import clock
from ninetyfive.decisions.retention import (
    Decision,
    Key,
    State,
    Thing,
    decide,
    judge_releases,
    judge_runs,
    judge_tables,
    runs_of,
)
from ninetyfive.errors import BusyError, IntegrityError
from ninetyfive.models.release import SAYS_WHY
from ninetyfive.progress import Reporter
from ninetyfive.settings import KeepSettings
from ninetyfive.steps.window import statistics_key, times_key
from ninetyfive.store.collecting import Forgotten, Inventory, SpanRow, StepRow
from ninetyfive.store.opening import Store
from ninetyfive.store.records import Release, TableRecord

GROUPS = ("releases", "tables", "steps", "spans", "states", "files", "orphans", "leftovers")
LARGEST = 5
"""How many things that go are shown by name."""
TRIES = 20
WAIT = 2.0


class Judged(msgspec.Struct, frozen=True):
    """An inventory and what was decided on it."""

    seen: Inventory
    decision: Decision
    goes: dict[str, str]


def collect(store: Store, rule: KeepSettings, *, remove: bool, reporter: Reporter) -> dict[str, Any]:
    """The document of `gc` (docs/store.md); with `remove` the store is held, and what it says is gone.

    `BusyError` where a run holds the store, or others change it all the time.
    """
    leftovers = store.leftovers()
    if not remove:
        judged = judge(store, rule)
        busy = store.holder()
        orphans, foreign = ([], []) if busy else store.unnamed()
        document = _document(store, rule, judged, orphans, leftovers)
        return {**document, "removed": False, "foreign": foreign, "held_by": str(busy) if busy else None}
    with store.lease("ninetyfive gc", wait=WAIT):
        orphans, foreign = store.unnamed()
        reporter.notice("looking at what the catalog names")
        for _ in range(TRIES):
            judged = judge(store, rule)
            document = _document(store, rule, judged, orphans, leftovers)
            if store.forget(_forgotten(judged), judged.seen.record, SAYS_WHY):
                break
        else:
            raise BusyError(
                f"store {store.url}",
                expected="a catalog that stays as it is for a moment",
                got=f"changes between each of {TRIES} looks at it",
                do="run it again when nobody promotes, rolls back or pins",
            )
        reporter.notice("removing files")
        store.remove_unnamed()
    return {**document, "removed": True, "foreign": foreign, "held_by": None}


def judge(store: Store, rule: KeepSettings) -> Judged:
    """Look at the store once, and decide."""
    seen = store.inventory(("ingest", "fit"))
    live = [release for release in seen.releases if not release.collected]
    keep, goes = judge_releases(live, seen.history, seen.pins, rule, clock.now())
    runs = judge_runs(seen.runs, rule)
    used = {run.id: {step["key"] for step in run.document.get("steps", ())} for run in seen.runs if run.id in runs}
    roots: dict[Key, list[str]] = {("release", name): reasons for name, reasons in keep.items()}
    for step in seen.steps:
        if reasons := runs_of(step.key, step.run, used, runs):
            roots["step", step.key] = reasons
    for release in seen.releases:
        if release.collected:
            roots["file", release.folder] = ["it says what a release was that is removed"]
    for run in seen.runs:
        if run.release is not None and run.id in runs:
            roots.setdefault(("release", run.release), []).append(f"{runs[run.id]} made it")
    there = [table for table in seen.tables if not table.collected]
    kept = [name for kind, name in roots if kind == "release"]
    tables, old = judge_tables(there, seen.history, kept, rule)
    roots |= {("table", name): reasons for name, reasons in tables.items()}
    return Judged(seen, decide(_things(seen, live, there, goes | old), _states(seen), roots), goes | old)


def _things(
    seen: Inventory, live: Sequence[Release], tables: Sequence[TableRecord], goes: Mapping[str, str]
) -> list[Thing]:
    """All but states, and what each reaches; `live` and `tables` are those that are not collected."""
    folders: dict[str | None, Key] = {release.folder: ("release", release.release) for release in live}

    def keys(artifacts: Iterable[str]) -> tuple[Key, ...]:
        return tuple(folders.get(name, ("file", name)) for name in artifacts)

    things = [
        Thing(
            kind="release",
            name=release.release,
            label=f"release {release.release[:12]}",
            bytes=_size(seen, release.folder),
            why=goes[release.release],
            reaches=(("step", release.document.get("ingest", "")),),
        )
        for release in live
    ]
    things += [
        Thing(
            kind="table",
            name=table.id,
            label=f"table {table.id[:12]} of release {table.release[:12]}",
            bytes=_size(seen, table.folder or ""),
            why=goes.get(table.id, "nothing that is kept needs it"),
            reaches=(("release", table.release),),
        )
        for table in tables
    ]
    folders |= {table.folder: ("table", table.id) for table in tables}
    things += [_step_thing(step, keys(step.artifacts)) for step in seen.steps]
    things += [
        Thing(
            kind="span",
            name=_span_name(span.ingest_key, span.span),
            label=f"rows of {span.url}",
            bytes=0,
            why="no release or run that is kept was made of it",
            reaches=keys(span.artifacts),
        )
        for span in seen.spans
    ]
    owners = _owners(seen)
    things += [
        Thing(
            kind="file",
            name=artifact.id,
            label=owners.get(artifact.id, ("", artifact.id[:12]))[1],
            bytes=artifact.size,
            why="nothing that is kept names it",
        )
        for artifact in seen.artifacts.values()
        if artifact.id not in folders
    ]
    return things


def _step_thing(step: StepRow, files: tuple[Key, ...]) -> Thing:
    reaches, states = list(files), []
    if step.name == "ingest":
        key = step.output.get("ingest_key", "")
        reaches += [("span", _span_name(key, entry["span"])) for entry in step.output.get("spans", ())]
        states = [statistics_key(key), times_key(key)]
    elif step.name == "fit":
        states = list(step.output.get("phases", ()))
    return Thing(
        kind="step",
        name=step.key,
        label=f"step {step.name} of {step.run}",
        bytes=step.size,
        why="no run that is kept made or used it",
        reaches=tuple(reaches),
        states=tuple(states),
    )


def _states(seen: Inventory) -> list[State]:
    spans: dict[str, list[SpanRow]] = defaultdict(list)
    for span in seen.spans:
        spans[span.span].append(span)
    found = []
    for row in seen.states:
        read = spans.get(row.span, [])
        thing = Thing(
            kind="state",
            name=f"{row.key} {row.span}",
            label=f"a state of {read[0].url}" if read else "a state of a span that is gone",
            bytes=row.size,
            why="its span goes, or no fit that is kept uses it",
            reaches=() if row.artifact is None else (("file", row.artifact),),
        )
        keys = tuple[Key, ...](("span", _span_name(span.ingest_key, span.span)) for span in read)
        found.append(State(begins=row.key.partition(":")[0], spans=keys, thing=thing))
    return found


def _owners(seen: Inventory) -> dict[str, tuple[str, str]]:
    """Whose each file is, as group and words: of the span, the state or the step that names it, the first of these."""
    owners: dict[str, tuple[str, str]] = {}
    for span in seen.spans:
        for name in span.artifacts:
            owners.setdefault(name, ("spans", f"rows of {span.url}"))
    for state in seen.states:
        if state.artifact is not None:
            owners.setdefault(state.artifact, ("states", f"a state of {state.span[:12]}"))
    for step in seen.steps:
        for name in step.artifacts:
            owners.setdefault(name, ("files", f"file {name[:12]} of step {step.name} of {step.run}"))
    return owners


def _forgotten(judged: Judged) -> Forgotten:
    by_kind: dict[str, list[str]] = defaultdict(list)
    for thing in judged.decision.removed:
        by_kind[thing.kind].append(thing.name)
    return Forgotten(
        releases={name: judged.goes[name] for name in by_kind["release"]},
        tables={name: judged.goes[name] for name in by_kind["table"]},
        steps=tuple(by_kind["step"]),
        spans=tuple(_pair(name) for name in by_kind["span"]),
        states=tuple(_pair(name) for name in by_kind["state"]),
        artifacts=tuple(by_kind["file"]),
    )


def _document(
    store: Store,
    rule: KeepSettings,
    judged: Judged,
    orphans: Sequence[str],
    leftovers: Sequence[tuple[str, int]],
) -> dict[str, Any]:
    seen, decision = judged.seen, judged.decision
    groups: dict[str, list[dict[str, Any]]] = {name: [] for name in GROUPS}
    owners = _owners(seen)
    group_of = {("file", name): group for name, (group, _) in owners.items() if group != "files"}
    for thing in decision.removed:
        group = groups[group_of.get(thing.key, f"{thing.kind}s")]
        group.append({"name": thing.label, "bytes": thing.bytes, "why": thing.why})
    for name in orphans:
        why = "the catalog does not name it"
        groups["orphans"].append({"name": store.artifacts.where(name), "bytes": _stored(store, name), "why": why})
    for folder, size in leftovers:
        groups["leftovers"].append({"name": folder, "bytes": size, "why": "the process that made it lives no more"})
    counts = Counter(f"{thing.kind}s" for thing in decision.removed if thing.key not in group_of)
    counts.update(orphans=len(orphans), leftovers=len(leftovers))
    kept = Counter(f"{key[0]}s" for key in decision.kept if key not in group_of)
    return {
        "rule": msgspec.to_builtins(rule),
        "releases": [
            {
                "release": release.release,
                "number": release.number,
                "created": release.created,
                "bytes": _size(seen, release.folder),
                "keep": key in decision.kept,
                "reasons": list(decision.kept.get(key, (judged.goes.get(release.release, "removed before"),))),
            }
            for release in seen.releases
            if not release.collected
            for key in [_release_key(release)]
        ],
        "collected_before": sum(release.collected for release in seen.releases),
        "groups": {name: {"kept": kept[name], "count": counts[name], **_sum(found)} for name, found in groups.items()},
        "bytes": sum(thing["bytes"] or 0 for found in groups.values() for thing in found),
    }


def _sum(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    largest = sorted(found, key=lambda thing: -(thing["bytes"] or 0))
    return {
        "bytes": sum(thing["bytes"] or 0 for thing in found),
        "largest": largest[:LARGEST],
    }


def _size(seen: Inventory, artifact: str) -> int:
    named = seen.artifacts.get(artifact)
    return named.size if named else 0


def _release_key(release: Release) -> Key:
    return "release", release.release


def _span_name(ingest_key: str, span: str) -> str:
    return f"{ingest_key} {span}"


def _pair(name: str) -> tuple[str, str]:
    first, _, span = name.rpartition(" ")
    return first, span


def _stored(store: Store, artifact: str) -> int | None:
    """The bytes of what is stored; None where that cannot be told, as it is not whole."""
    try:
        return store.artifacts.size(artifact)
    except IntegrityError:
        return None
