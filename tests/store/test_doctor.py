from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ninetyfive.store.opening import Store
from ninetyfive.store.records import Finding


def found(store: Store) -> list[Finding]:
    """What the doctor finds, but for the room on this machine's disk."""
    return [finding for finding in store.doctor() if finding.kind != "disk space"]


@pytest.fixture
def filled(store: Store, tmp_path: Path) -> Store:
    with store.lease("test"):
        run = store.begin_run("run", "key")
        blob = store.put_bytes(b"model")
        store.record(run.id, "train", "k", {}, artifacts=[blob], seconds=0.0)
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "model").write_bytes(b"a model")
        store.add_release("1" * 64, store.put_folder(tmp_path / "made", "release-1"), {}, run.id)
        store.finish_run(run.id, "done")
    store.promote("1" * 64, 0, "first")
    return store


def test_a_whole_store_has_no_findings(filled: Store) -> None:
    assert found(filled) == []


def test_an_orphan_is_a_warning(filled: Store) -> None:
    blob = filled.put_bytes(b"orphan")
    (finding,) = found(filled)
    assert (finding.kind, finding.level) == ("orphan file", "warning")
    assert blob in finding.subject


def test_what_a_living_run_has_put_is_no_orphan(filled: Store) -> None:
    with filled.lease("run"):
        filled.put_bytes(b"not named yet")
        assert found(filled) == []


@pytest.mark.parametrize("kind", ["missing file", "altered file"])
def test_missing_and_altered_files_are_named_and_come_first(
    store: Store, tmp_path: Path, kind: str, damage: Any
) -> None:
    with store.lease("test"):
        run = store.begin_run("run", "key")
        blob = store.put_bytes(b"model")
        store.record(run.id, "train", "k", {}, artifacts=[blob], seconds=0.0)
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "model").write_bytes(b"a model")
        store.add_release("1" * 64, store.put_folder(tmp_path / "made", "release-1"), {}, run.id)
        store.finish_run(run.id, "done")
    store.put_bytes(b"orphan")
    places = [(blob, ""), ("release-1", "model")]
    for name, file in places:
        if kind == "missing file":
            damage.remove(store, name, file)
        else:
            damage.alter(store, name, b"evil", file)
    first, second, third = found(store)
    assert [first.kind, second.kind, third.kind] == [kind, kind, "orphan file"]
    assert {first.subject, second.subject} == {damage.where(store, name, file) for name, file in places}
    assert [words for words in (first.do, second.do) if "promote another release" in words] == [second.do]


def test_a_stranger_in_the_store_is_an_orphan(local: Store, tmp_path: Path) -> None:
    local.put_bytes(b"x")
    (tmp_path / "store" / "artifacts" / "notes.txt").write_text("mine")
    assert "notes.txt" in [finding.subject for finding in found(local)]


def test_a_broken_catalog_is_found(filled: Store) -> None:
    with filled.catalog.write() as connection:
        connection.exec_driver_sql("UPDATE audit SET actor = 'mallory' WHERE seq = 2")
    assert [finding.kind for finding in found(filled)] == ["audit"]


def test_a_row_that_names_nothing_is_found(filled: Store) -> None:
    if filled.catalog.database.where.startswith("postgresql"):
        with filled.catalog.write() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = 'replica'")  # looks at no reference
            connection.exec_driver_sql("UPDATE pointers SET release = 'gone'")
    else:
        database = sqlite3.connect(filled.catalog.where)
        database.execute("UPDATE pointers SET release = 'gone'")
        database.commit()
        database.close()
    kinds = {finding.kind for finding in found(filled)}
    assert kinds == {"catalog", "audit"}


def test_little_room_is_a_warning(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    (finding,) = local.doctor()
    assert (finding.kind, finding.level) == ("disk space", "warning")
