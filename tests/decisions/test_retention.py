"""What is kept and what goes: each rule by values, and on random stores nothing kept needs what goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.decisions.retention import (
    State,
    Thing,
    decide,
    judge_releases,
    judge_runs,
    judge_tables,
    rollbacks,
    runs_of,
    total,
)
from ninetyfive.settings import KeepSettings
from ninetyfive.store.records import Pin, Pointer, Release, Run, TableRecord

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RULE = KeepSettings(releases=0, age=1, rollbacks=1, runs=1)


def release(name: str, number: int, days: float = 100) -> Release:
    created = (NOW - timedelta(days=days)).isoformat()
    return Release(
        release=name, number=number, folder=f"release-{name}", run="run-1", actor="ada", created=created, document={}
    )


def history(*words: str, days: float = 50) -> list[Pointer]:
    """Pointers, newest first, a day between them, of which the last was set `days` ago; "<" is a rollback."""
    made: list[Pointer] = []
    for epoch, word in enumerate(words, 1):
        top = made[-1] if made else None
        target = next(pointer for pointer in made if top and pointer.epoch == top.below) if word == "<" else None
        made.append(
            Pointer(
                release=target.release if target else word,
                epoch=epoch,
                below=target.below if target else top.epoch if top else None,
                action="rollback" if target else "promote",
                reason="",
                actor="ada",
                since=(NOW - timedelta(days=days + len(words) - epoch)).isoformat(),
            )
        )
    return made[::-1]


def returned(pointers: list[Pointer]) -> list[str]:
    return [pointer.release for pointer in rollbacks(pointers)]


def judged(names: str, pointers: list[Pointer], rule: KeepSettings, **days: float) -> dict[str, list[str]]:
    """What is kept of releases made in the order of their names."""
    releases = [release(name, number, days.get(name, 100)) for number, name in enumerate(names, 1)][::-1]
    pins = {"p": Pin(release="p", reason="an audit", actor="ada", since="")} if "p" in names else {}
    keep, goes = judge_releases(releases, pointers, pins, rule, NOW)
    assert goes.keys() == set(names)
    assert all(keep.values())
    return keep


def test_the_champion_and_what_a_rollback_returns_to() -> None:
    assert judged("abcd", history("a", "b", "c"), RULE) == {"c": ["champion"], "b": ["rollback 1 returns to it"]}
    wide = KeepSettings(releases=0, age=1, rollbacks=9)
    assert judged("abcd", history("a", "b", "c"), wide).keys() == {"a", "b", "c"}


def test_after_a_rollback_the_chain_goes_on_from_there() -> None:
    assert returned(history("a", "b", "c", "<")) == ["a"]
    assert judged("abc", history("a", "b", "c", "<"), RULE).keys() == {"a", "b"}
    assert returned(history("a", "b", "a", "c")) == ["a", "b", "a"]
    assert returned([]) == []


def test_what_a_rollback_beyond_the_rule_returns_to_goes_and_says_so() -> None:
    releases = [release(name, number) for number, name in enumerate("abc", 1)][::-1]
    keep, goes = judge_releases(releases, history("a", "b", "c"), {}, RULE, NOW)
    assert "a" not in keep
    assert goes["a"] == "rollback 2 in a row would return to it, and rollbacks = 1"


def test_pinned_newest_and_young_ones_stay() -> None:
    assert judged("pz", history("z"), RULE)["p"] == ["pinned: an audit"]
    newest = KeepSettings(releases=2, age=1, rollbacks=1)
    assert judged("abc", [], newest).keys() == {"b", "c"}
    young = KeepSettings(releases=0, age=86_400, rollbacks=1)
    assert judged("abc", [], young, b=0.9, c=1.1).keys() == {"b"}


def test_a_release_is_as_young_as_it_was_last_live() -> None:
    left = history("a", "b", "<", days=3)  # b was live until 3 days ago
    rule = KeepSettings(releases=0, age=4 * 86_400, rollbacks=1)
    assert judged("ab", left, rule)["b"] == ["made or live in the last 4d"]
    assert "b" not in judged("ab", history("a", "b", "<", days=5), rule)


def test_a_clock_that_was_set_back_makes_nothing_old() -> None:
    assert judged("ab", [], KeepSettings(releases=0, age=1, rollbacks=1), a=-2, b=-900).keys() == {"a", "b"}


def test_what_was_removed_before_is_no_root() -> None:
    assert judged("cd", history("a", "b", "c"), KeepSettings(releases=0, age=1, rollbacks=5)).keys() == {"c"}


def run(number: int, status: Any, document: Any = None) -> Run:
    return Run(
        id=f"run-{number}",
        words="run",
        key="k",
        status=status,
        actor="ada",
        started="",
        ended=None,
        resumes=0,
        release=None,
        document=document or {},
    )


def test_runs_that_failed_do_not_push_out_the_last_good_one() -> None:
    runs = [run(6, "failed"), run(5, "refused"), run(4, "done", {"steps": []}), run(3, "done", {"steps": []})]
    assert judge_runs(runs, RULE).keys() == {"run-6", "run-5", "run-4"}
    runs += [run(2, "interrupted"), run(1, "running")]
    assert judge_runs(runs, RULE).keys() == {"run-6", "run-5", "run-4", "run-2", "run-1"}


def test_a_step_is_kept_by_the_runs_that_made_or_used_it() -> None:
    keep = {"run-3": "run-3 (of the last 1)"}
    assert runs_of("k", "run-3", {}, keep) == ["run-3 (of the last 1) made or used it"]
    assert runs_of("k", "run-1", {"run-3": {"k"}}, keep)
    assert not runs_of("k", "run-1", {"run-3": {"other"}}, keep)


KINDS: Any = st.sampled_from(["release", "step", "span", "file"])
KEYS: Any = st.tuples(KINDS, st.sampled_from("abcd"))


@st.composite
def stores(draw: st.DrawFn) -> tuple[list[Thing], list[State], dict[Any, list[str]]]:
    keys = draw(st.lists(KEYS, unique=True))
    things = [
        Thing(
            kind=kind,
            name=name,
            label=f"{kind} {name}",
            bytes=draw(st.integers(0, 9)),
            why="old",
            reaches=tuple(draw(st.lists(KEYS, max_size=3))),
            states=tuple(draw(st.lists(st.sampled_from("xy"), max_size=1))),
        )
        for kind, name in keys
    ]
    states = [
        State(
            begins=draw(st.sampled_from("xy")),
            spans=tuple(draw(st.lists(KEYS, max_size=2))),
            thing=Thing(
                kind="state",
                name=str(number),
                label="a state",
                bytes=1,
                why="no span",
                reaches=(("file", f"of state {number}"),),
            ),
        )
        for number in range(draw(st.integers(0, 4)))
    ]
    for state in states:
        ((_, name),) = state.thing.reaches
        things.append(Thing(kind="file", name=name, label=name, bytes=1, why="no state"))
    return things, states, {key: ["because"] for key in draw(st.lists(KEYS, max_size=3))}


@given(stores(), KEYS)
def test_nothing_that_is_kept_needs_what_goes(store: Any, another: Any) -> None:
    things, states, roots = store
    decision = decide(things, states, roots)
    known = {thing.key: thing for thing in (*things, *(state.thing for state in states))}
    gone = {thing.key for thing in decision.removed}
    assert decision.kept.keys() | gone == known.keys()
    assert not decision.kept.keys() & gone
    assert all(decision.kept.values())
    assert roots.keys() & known.keys() <= decision.kept.keys()
    for key in decision.kept:
        assert not set(known[key].reaches) & gone
    begun = {begin for thing in things if thing.key in decision.kept for begin in thing.states}
    spans = {thing.key for thing in things if thing.key in decision.kept}
    for state in states:
        if state.begins in begun and spans & set(state.spans):
            assert state.thing.key in decision.kept
    assert total(decision.removed) <= total(known.values())
    more = decide(things, states, {**roots, another: ["because"]})
    assert decision.kept.keys() <= more.kept.keys()


@pytest.mark.parametrize(("begins", "span"), [("x", "a"), ("x", "b"), ("y", "a"), ("y", "b")])
def test_a_state_is_kept_where_both_its_span_and_a_step_that_uses_it_are(begins: str, span: str) -> None:
    def thing(kind: Any, name: str, *reaches: Any, states: tuple[str, ...] = ()) -> Thing:
        return Thing(kind=kind, name=name, label=name, bytes=1, why="", reaches=reaches, states=states)

    file, state = thing("file", "f"), thing("state", "s", ("file", "f"))
    step = thing("step", "fit", ("span", "a"), states=("x",))
    things = [file, step, thing("span", "a"), thing("span", "b")]
    spans: tuple[Any, ...] = (("span", span), ("span", "read otherwise"))
    decision = decide(things, [State(begins=begins, spans=spans, thing=state)], {step.key: ["used"]})
    needed = (begins, span) == ("x", "a")
    assert (state.key in decision.kept, file.key in decision.kept) == (needed, needed)
    if needed:
        assert decision.kept[state.key] == ("fit needs it",)


@pytest.mark.parametrize("roots", [{}, {("file", "gone"): ["x"]}])
def test_without_a_root_all_goes(roots: Any) -> None:
    thing = Thing(kind="file", name="f", label="a file", bytes=3, why="nothing names it")
    assert decide([thing], [], roots).removed == (thing,)


def table(id: str, passed: bool = True) -> TableRecord:
    """A table of the release that its first letter names."""
    return TableRecord(
        id=id, release=id[0], folder=f"table-{id}", as_of="", rows=1, words="", document={"passed": passed}
    )


def with_tables(pointers: list[Pointer], *tables: str | None) -> list[Pointer]:
    """Pointers, newest first, whose tables are given oldest first."""
    pairs = zip(pointers, reversed(tables), strict=True)
    return [msgspec.structs.replace(pointer, table=table) for pointer, table in pairs]


def test_tables_that_are_live_or_returned_to_are_kept_and_the_newest_good_one_of_each_release() -> None:
    pointers = with_tables(history("a", "a", "a", "b"), None, "a1", "a2", "b1")
    tables = [table(name, name != "a5") for name in ("a5", "a4", "b1", "a3", "a2", "a1", "c1")]
    keep, goes = judge_tables(tables, pointers, ["b", "a"], KeepSettings(rollbacks=1))
    assert keep == {
        "b1": ["live", "the newest one of release b"],
        "a2": ["rollback 1 returns to it"],
        "a4": ["the newest one of release a"],
    }
    newer = "a newer one of its release is kept"
    assert goes == {"a5": newer, "a3": newer, "a1": newer, "c1": "its release goes"}
    keep, _ = judge_tables(tables, pointers, ["b"], KeepSettings(rollbacks=9))
    assert keep.keys() == {"b1", "a2", "a1"}
    assert judge_tables([], history("a"), ["a"], KeepSettings()) == ({}, {})
