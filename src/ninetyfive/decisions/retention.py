"""Retention: what a store keeps and what may go, decided from values alone.

    roots   champion, rollbacks, pinned, newest and young releases; what the last runs and those not ended made and read
            tables that are live, that rollbacks return to, and the newest good one of each release that is kept
    reach   release ─▶ ingest step ─▶ spans ─▶ files        step ─▶ files, releases, the states of its spans
    decide  reached from a root: kept, and why. All else goes, and why.

What does not belong here: what reaches what (`steps.collect`), and how it is removed (`store.collecting`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from ninetyfive.durations import duration_text
from ninetyfive.settings import KeepSettings
from ninetyfive.store.records import Pin, Pointer, Release, Run, TableRecord

Kind = Literal["release", "table", "step", "span", "state", "file"]
Key = tuple[Kind, str]

OPEN = ("running", "interrupted")


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """What may be kept or go: `bytes` of its own, `reaches` what it cannot do without.

    `label` says it to people, `why` why it goes if nothing reaches it. `states` are how keys of states begin, of which
    it needs those of the spans that are kept; a state is kept by that alone.
    """

    kind: Kind
    name: str
    label: str
    bytes: int
    why: str
    reaches: tuple[Key, ...] = ()
    states: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """Kind and name."""
        return self.kind, self.name


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a span, however it was read (`spans`), under a key that begins with `begins`."""

    begins: str
    spans: tuple[Key, ...]
    thing: Thing


class Decision(msgspec.Struct, frozen=True):
    """What is kept with its reasons, and what goes, in the order it was given."""

    kept: dict[Key, tuple[str, ...]]
    removed: tuple[Thing, ...]


def decide(things: Sequence[Thing], states: Sequence[State], roots: Mapping[Key, Sequence[str]]) -> Decision:
    """Keep all that `roots` (with reasons) reach; a root that is not among `things` reaches nothing.

    >>> file = Thing(kind="file", name="f", label="a file", bytes=1, why="no step names it")
    >>> step = Thing(kind="step", name="s", label="a step", bytes=1, why="old", reaches=(file.key,))
    >>> decide([file, step], [], {step.key: ["run-1 made it"]}).removed
    ()
    >>> [thing.why for thing in decide([file, step], [], {}).removed]
    ['no step names it', 'old']
    """
    known = {thing.key: thing for thing in things}
    kept: dict[Key, tuple[str, ...]] = {}
    _mark(known, {key: tuple(reasons) for key, reasons in roots.items()}, kept)
    begun = {begin: known[key].label for key in kept for begin in known[key].states}
    for state in states:
        known[state.thing.key] = state.thing
        if state.begins in begun and any(span in kept for span in state.spans):
            _mark(known, {state.thing.key: (f"{begun[state.begins]} needs it",)}, kept)
    everything = (*things, *(state.thing for state in states))
    return Decision(kept, tuple(thing for thing in everything if thing.key not in kept))


def _mark(known: Mapping[Key, Thing], roots: Mapping[Key, tuple[str, ...]], kept: dict[Key, tuple[str, ...]]) -> None:
    """Put into `kept` the roots that are known, and all that they reach."""
    waiting = [(key, reasons) for key, reasons in roots.items() if key in known]
    kept.update(waiting)
    while waiting:
        key, _ = waiting.pop()
        for reached in known[key].reaches:
            if reached in known and reached not in kept:
                kept[reached] = (f"{known[key].label} needs it",)
                waiting.append((reached, kept[reached]))


def rollbacks(history: Sequence[Pointer]) -> list[Pointer]:
    """What one rollback, two, three … in a row return to; `history` is newest first.

    It ends where a pointer names none before it: what the store refuses to return to, and the doctor names.
    """
    epochs = {pointer.epoch: pointer for pointer in history}
    found: list[Pointer] = []
    at = history[0] if history else None
    while at is not None and at.below is not None:
        at = epochs.get(at.below) if at.below < at.epoch else None
        if at is not None:
            found.append(at)
    return found


def judge_releases(
    releases: Sequence[Release],
    history: Sequence[Pointer],
    pins: Mapping[str, Pin],
    rule: KeepSettings,
    now: datetime,
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Which releases are roots, with all their reasons; and of the others why each may go. Both lists newest first.

    A release is as young as the day it was made, or was last live. One from the future (the clock was set back) is new.
    Those that were collected before (`releases` lacks them) are no roots.
    """
    chain = [pointer.release for pointer in rollbacks(history)]
    live = _live_until(history, now)
    age = {release.release: _age(release, live, now) for release in releases}
    champion = [pointer.release for pointer in history[:1]]
    reasons = [(name, "champion") for name in champion]
    reasons += [(name, f"rollback {step} returns to it") for step, name in enumerate(chain[: rule.rollbacks], 1)]
    reasons += [(name, f"pinned: {pin.reason}") for name, pin in pins.items()]
    reasons += [(release.release, f"one of the newest {rule.releases}") for release in releases[: rule.releases]]
    young = f"made or live in the last {duration_text(rule.age)}"
    reasons += [(name, young) for name, seconds in age.items() if seconds < rule.age and name not in champion]
    keep = {name: [why for which, why in reasons if which == name] for name in age}
    goes = {}
    for place, name in enumerate(age, 1):
        goes[name] = f"number {place} from the newest, made or live {duration_text(age[name])} ago"
        if name in chain:
            step = chain.index(name) + 1
            goes[name] = f"rollback {step} in a row would return to it, and rollbacks = {rule.rollbacks}"
    return {name: found for name, found in keep.items() if found}, goes


def judge_tables(
    tables: Sequence[TableRecord], history: Sequence[Pointer], kept: Collection[str], rule: KeepSettings
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Which tables are roots, with their reasons, and of the others why each may go; lists newest first.

    `kept` are the releases that are kept, whose newest good table is kept too: it is what `promote` takes.
    """
    keep: dict[str, list[str]] = {}
    for pointer in history[:1]:
        if pointer.table is not None:
            keep[pointer.table] = ["live"]
    for step, pointer in enumerate(rollbacks(history)[: rule.rollbacks], 1):
        if pointer.table is not None:
            keep.setdefault(pointer.table, []).append(f"rollback {step} returns to it")
    for release in kept:
        newest = next((table for table in tables if table.release == release and table.good), None)
        if newest is not None:
            keep.setdefault(newest.id, []).append(f"the newest one of release {release[:12]}")
    goes = {
        table.id: "a newer one of its release is kept" if table.release in kept else "its release goes"
        for table in tables
        if table.id not in keep
    }
    return keep, goes


def judge_runs(runs: Sequence[Run], rule: KeepSettings) -> dict[str, str]:
    """The runs (newest first) whose steps are kept, and why: the last that came to their end, all newer, all not ended.

    A run that came to its end says in its document which steps it made or used. The texts begin a sentence.
    """
    keep: dict[str, str] = {}
    ended = 0
    for run in runs:
        if run.status in OPEN:
            keep[run.id] = f"{run.id} ({run.status}, to be resumed)"
        elif ended < rule.runs:
            keep[run.id] = f"{run.id} (of the last {rule.runs})"
            ended += "steps" in run.document
    return keep


def runs_of(step: str, made_by: str, used: Mapping[str, Collection[str]], keep: Mapping[str, str]) -> list[str]:
    """Why a step is a root: the kept runs that recorded it or, by `used` {run: keys}, found it recorded."""
    return [f"{reason} made or used it" for run, reason in keep.items() if run == made_by or step in used.get(run, ())]


def total(things: Iterable[Thing]) -> int:
    """Bytes of them together."""
    return sum(thing.bytes for thing in things)


def _live_until(history: Sequence[Pointer], now: datetime) -> dict[str, datetime]:
    """Until when each release was live the last time; `history` is newest first."""
    found: dict[str, datetime] = {}
    until = now
    for pointer in history:  # each was live until the one before it in this list
        found.setdefault(pointer.release, until)
        until = datetime.fromisoformat(pointer.since)
    return found


def _age(release: Release, live: Mapping[str, datetime], now: datetime) -> float:
    """Seconds since it was made or last live, whichever is less; not below 0."""
    made = datetime.fromisoformat(release.created)
    return max(0.0, (now - max(made, live.get(release.release, made))).total_seconds())
