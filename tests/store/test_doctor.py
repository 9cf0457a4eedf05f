from __future__ import annotations

from pathlib import Path

import pytest

from ninetyfive.store.opening import Store
from ninetyfive.store.records import Finding


def found(store: Store) -> list[Finding]:
    """What the doctor finds, but for the room on this machine's disk."""
    return [finding for finding in store.doctor() if finding.kind != "disk space"]


@pytest.fixture
def filled(any_store: Store, tmp_path: Path) -> Store:
    with any_store.lease("test"):
        run = any_store.begin_run("run", "key")
        blob = any_store.put_bytes(b"model")
        any_store.record(run.id, "train", "k", {}, artifacts=[blob], seconds=0.0)
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "model").write_bytes(b"a model")
        any_store.add_release("1" * 64, any_store.put_folder(tmp_path / "made", "release-1"), {}, run.id)
        any_store.finish_run(run.id, "done")
    any_store.promote("1" * 64, 0, "first")
    return any_store


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


@pytest.mark.parametrize("damage", ["missing file", "altered file"])
def test_missing_and_altered_files_are_named_and_come_first(store: Store, tmp_path: Path, damage: str) -> None:
    with store.lease("test"):
        run = store.begin_run("run", "key")
        blob = store.put_bytes(b"model")
        store.record(run.id, "train", "k", {}, artifacts=[blob], seconds=0.0)
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "model").write_bytes(b"a model")
        store.add_release("1" * 64, store.put_folder(tmp_path / "made", "release-1"), {}, run.id)
        store.finish_run(run.id, "done")
    store.put_bytes(b"orphan")
    for path in (store.path(blob), store.path("release-1") / "model"):
        if damage == "missing file":
            path.unlink()
        else:
            path.write_bytes(b"evil")
    first, second, third = found(store)
    assert [first.kind, second.kind, third.kind] == [damage, damage, "orphan file"]
    assert blob in first.subject
    assert second.subject.endswith("release-1/model")
    assert "promote another release" in second.do


def test_a_stranger_in_the_store_is_an_orphan(store: Store, tmp_path: Path) -> None:
    store.put_bytes(b"x")
    (tmp_path / "store" / "artifacts" / "notes.txt").write_text("mine")
    assert "notes.txt" in [finding.subject for finding in found(store)]


def test_a_broken_catalog_is_found(filled: Store) -> None:
    with filled.catalog.write() as connection:
        connection.exec_driver_sql("UPDATE audit SET actor = 'mallory' WHERE seq = 2")
    assert [finding.kind for finding in found(filled)] == ["audit"]


def test_a_row_that_names_nothing_is_found(filled: Store) -> None:
    import sqlite3

    database = sqlite3.connect(filled.catalog.path)
    database.execute("UPDATE pointers SET release = 'gone'")
    database.commit()
    database.close()
    kinds = {finding.kind for finding in found(filled)}
    assert kinds == {"catalog", "audit"}


def test_little_room_is_a_warning(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    (finding,) = store.doctor()
    assert (finding.kind, finding.level) == ("disk space", "warning")
