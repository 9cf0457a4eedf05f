from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from ninetyfive.hashing import content_hash
from ninetyfive.store import catalog
from ninetyfive.store.opening import Store

Write = Callable[[str], None]


@pytest.fixture
def write(store: Store) -> Write:
    """Five records, and the way to change the catalog by hand."""
    with store.lease("test"):
        for key in ("a", "b"):
            run = store.begin_run("run", key)
            store.finish_run(run.id, "done")
        store.begin_run("run", "c")
    assert len(store.audit_records()) == 5
    assert store.audit_verify() == []

    def by_hand(words: str) -> None:
        with store.catalog.write() as connection:
            connection.execute(text(words))

    return by_hand


def subjects(store: Store) -> list[str]:
    return [finding.subject for finding in store.audit_verify()]


def test_records_say_who_did_what(store: Store, write: Write) -> None:
    first, second = store.audit_records()[:2]
    assert (first.seq, first.actor, first.action, first.subject) == (1, "ada", "run.begin", "run-1")
    assert first.details == {"key": "a", "words": "run"}
    assert second.previous == first.hash
    assert [record.seq for record in store.audit_records(2)] == [4, 5]


@pytest.mark.parametrize("column", ["time", "actor", "action", "subject", "details", "previous", "hash"])
def test_an_altered_record_is_named(store: Store, write: Write, column: str) -> None:
    write(f"UPDATE audit SET {column} = 'x' || substr({column}, 2) WHERE seq = 3")
    assert subjects(store)[0] == "record 3"


def test_a_missing_record_is_named(store: Store, write: Write) -> None:
    write("DELETE FROM audit WHERE seq = 3")
    assert subjects(store) == ["record 3"]
    assert "missing" in store.audit_verify()[0].problem


def test_missing_first_and_last_records_are_named(store: Store, write: Write) -> None:
    write("DELETE FROM audit WHERE seq IN (1, 2, 4, 5)")
    assert subjects(store) == ["record 1 to 2", "record 4 to 5"]


def test_all_gone_is_noticed(store: Store, write: Write) -> None:
    write("DELETE FROM audit")
    assert subjects(store) == ["record 1 to 5"]
    write("DELETE FROM audit_head")
    assert subjects(store) == ["record 1 to the head"]


def test_reordered_records_are_named(store: Store, write: Write) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        write(f"UPDATE audit SET seq = {new} WHERE seq = {old}")
    assert subjects(store)[:2] == ["record 2", "record 3"]


def test_a_record_rewritten_with_a_fitting_hash_breaks_the_next(store: Store, write: Write) -> None:
    with store.catalog.read() as connection:
        row = dict(connection.execute(select(catalog.audit).where(catalog.audit.c.seq == 3)).mappings().one())
    del row["hash"]
    write(f"UPDATE audit SET actor = 'mallory', hash = '{content_hash(row | {'actor': 'mallory'})}' WHERE seq = 3")
    assert subjects(store) == ["record 4"]


def test_a_record_added_behind_the_head_is_named(store: Store, write: Write) -> None:
    last = store.audit_records()[-1]
    row = {"seq": 6, "time": "t", "actor": "m", "action": "a", "subject": "s", "details": "{}", "previous": last.hash}
    with store.catalog.write() as connection:
        connection.execute(insert(catalog.audit).values(**row, hash=content_hash(row)))
    assert subjects(store) == ["record 6 and later"]


def test_a_champion_set_by_hand_is_named(store: Store, tmp_path: Path) -> None:
    with store.lease("test"):
        run = store.begin_run("run", "key")
        (tmp_path / "made").mkdir()
        store.put_folder(tmp_path / "made", "release-1")
        store.add_release("1" * 64, "release-1", {}, run.id)
    store.promote("1" * 64, 0, "first")
    assert store.audit_verify() == []
    with store.catalog.write() as connection:
        values = {
            "name": "champion",
            "epoch": 2,
            "release": "1" * 64,
            "action": "promote",
            "reason": "",
            "since": "now",
        }
        connection.execute(insert(catalog.pointers).values(**values, actor="mallory"))
    assert subjects(store) == ["champion epoch 2"]
