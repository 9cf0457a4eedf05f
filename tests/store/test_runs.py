from __future__ import annotations

from typing import Any

import pytest

from ninetyfive.errors import IntegrityError, StoreError
from ninetyfive.store.opening import Store


def test_a_run_begins_and_ends(store: Store) -> None:
    with store.lease("run"):
        run = store.begin_run("run --json", "key")
        assert (run.id, run.status, run.resumes, run.actor) == ("run-1", "running", 0, "ada")
        assert [each.status for each in store.runs()] == ["running"]
        store.finish_run(run.id, "refused", {"gates": ["no"]})
        second = store.begin_run("run", "key")
        assert second.id == "run-2"
        store.finish_run(second.id, "done")
    last, first = store.runs()
    assert (first.status, first.document, first.ended is not None) == ("refused", {"gates": ["no"]}, True)
    assert store.runs(1) == [last]


def test_a_run_needs_the_lease(store: Store) -> None:
    with pytest.raises(StoreError, match="the lease of the store"):
        store.begin_run("run", "key")


def test_an_interrupted_run_is_resumed_by_its_key_only(store: Store) -> None:
    with store.lease("run"):
        store.begin_run("run", "a")
    assert store.runs()[0].status == "interrupted"
    with store.lease("run"):
        other = store.begin_run("run", "b")
        assert other.id == "run-2"
        store.finish_run(other.id, "done")
        again = store.begin_run("run", "a")
        assert (again.id, again.resumes) == ("run-1", 1)
        store.finish_run(again.id, "interrupted")
        assert store.begin_run("run", "a").resumes == 2
    actions = [record.action for record in store.audit_records()]
    assert actions[:4] == ["run.begin", "run.interrupt", "run.begin", "run.finish"]
    assert store.audit_verify() == []


def test_an_ended_run_ends_once(store: Store) -> None:
    with store.lease("run"):
        run = store.begin_run("run", "a")
        store.finish_run(run.id, "done")
        with pytest.raises(StoreError, match="one that is done"):
            store.finish_run(run.id, "failed")
    for words in ("run-9", "nonsense", "run-x"):
        with pytest.raises(StoreError, match="no such run"):
            store.finish_run(words, "failed")


def test_steps_are_recorded_with_what_they_made(store: Store, backend: Any) -> None:
    with store.lease("run"):
        run = store.begin_run("run", "a")
        blob = store.put_bytes(b"model")
        assert store.recorded("k") is None
        store.record(run.id, "train", "k", {"model": blob, "rows": 3}, artifacts=[blob, blob], seconds=1.5)
        assert store.recorded("k") == {"model": blob, "rows": 3}
        store.record(run.id, "train", "k", {"model": blob, "rows": 4}, artifacts=[blob], seconds=1.5)
        assert store.recorded("k") == {"model": blob, "rows": 4}
    with backend.open() as other:
        assert other.recorded("k") == {"model": blob, "rows": 4}


def test_a_step_whose_file_is_gone_is_not_recorded_until_it_is_made_again(store: Store, damage: Any) -> None:
    with store.lease("run"):
        run = store.begin_run("run", "a")
        blob = store.put_bytes(b"model")
        store.record(run.id, "train", "k", {}, artifacts=[blob], seconds=0.0)
        damage.remove(store, blob)
        assert store.recorded("k") is None
        with pytest.raises(IntegrityError):
            store.record(run.id, "train", "k", {}, artifacts=[blob], seconds=0.0)
        store.put_bytes(b"model")
        store.record(run.id, "train", "k", {"again": True}, artifacts=[blob], seconds=0.0)
        assert store.recorded("k") == {"again": True}
