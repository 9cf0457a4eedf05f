"""Files and folders, in a folder and in a bucket alike; `local` is a store in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from ninetyfive.errors import IntegrityError, StoreError
from ninetyfive.hashing import bytes_hash
from ninetyfive.store import artifacts, catalog
from ninetyfive.store.artifacts import is_folder
from ninetyfive.store.manifests import MANIFEST, check_folder
from ninetyfive.store.opening import Store


def name(store: Store, *ids: str) -> None:
    """Name artifacts in the catalog, as a step does."""
    with store.lease("test"):
        run = store.begin_run("test", "key")
        store.record(run.id, "step", bytes_hash("".join(ids).encode()), {}, artifacts=ids, seconds=0.0)
        store.finish_run(run.id, "done")


def release_folder(root: Path) -> Path:
    folder = root / "made"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"model")
    (folder / "deep" / "rows.json").write_bytes(b"[]")
    return folder


def test_the_same_bytes_are_one_file(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"data")
    blob = store.put_bytes(b"data")
    assert blob == store.put_bytes(b"data") == store.put_file(file) == bytes_hash(b"data")
    assert store.read(blob) == b"data"
    with store.open(blob) as stream:
        assert stream.read() == b"data"
    assert store.path(blob).read_bytes() == b"data"
    assert list(store.artifacts.listed()) == [blob]
    assert file.exists()


def test_a_file_taken_is_moved(store: Store) -> None:
    with store.attempt() as attempt:
        (attempt / "part").write_bytes(b"rows")
        blob = store.put_file(attempt / "part", take=True, sha256=bytes_hash(b"rows"))
        assert not (attempt / "part").exists()
        (attempt / "again").write_bytes(b"rows")
        assert store.put_file(attempt / "again", take=True) == blob
        assert not (attempt / "again").exists()
    assert store.read(blob) == b"rows"


def test_an_empty_file_is_a_file(store: Store) -> None:
    assert store.read(store.put_bytes(b"")) == b""


def test_a_file_counts_once_the_catalog_names_it(store: Store) -> None:
    blob = store.put_bytes(b"x")
    assert store.artifact(blob) is None
    assert not store.present(blob)
    name(store, blob)
    named = store.artifact(blob)
    assert named is not None
    assert (named.sha256, named.size, named.files) == (blob, 1, None)
    assert store.present(blob)
    store.verify(blob)


def test_what_is_not_there_cannot_be_named(store: Store) -> None:
    with pytest.raises(IntegrityError, match="no file"):
        name(store, "0" * 64)
    with store.catalog.read() as connection:
        assert connection.scalar(select(func.count()).select_from(catalog.artifacts)) == 0


def test_a_folder_is_stored_whole_with_its_manifest(store: Store, tmp_path: Path) -> None:
    folder = store.put_folder(release_folder(tmp_path), "release-1")
    name(store, folder)
    path = store.path(folder)
    manifest = check_folder(path)
    assert list(manifest.files) == ["deep/rows.json", "model.onnx"]
    assert manifest.files["model.onnx"].size == 5
    named = store.artifact(folder)
    assert named is not None
    assert named.sha256 == manifest.sha256 == bytes_hash((path / MANIFEST).read_bytes())
    assert named.files == manifest.files
    store.verify(folder)
    assert store.present(folder)


def test_a_folder_that_is_there_stays_as_it_is(store: Store, tmp_path: Path) -> None:
    made = release_folder(tmp_path)
    store.put_folder(made, "release-1")
    name(store, "release-1")
    (made / "evidence.json").write_bytes(b"another host")
    store.put_folder(made, "release-1")
    assert "evidence.json" not in check_folder(store.path("release-1")).files
    store.verify("release-1")


def test_a_damaged_folder_is_healed_by_putting_it_again(store: Store, tmp_path: Path, damage: Any) -> None:
    made = release_folder(tmp_path)
    store.put_folder(made, "release-1")
    name(store, "release-1")
    damage.alter(store, "release-1", b"MODEL", "model.onnx")
    with pytest.raises(IntegrityError):
        store.verify("release-1")
    (made / "evidence.json").write_bytes(b"another host")
    store.put_folder(made, "release-1")
    store.verify("release-1")
    assert store.audit_records()[-1].action == "artifact.heal"
    assert store.audit_verify() == []


def test_an_altered_file_is_found_and_healed_by_putting_it_again(store: Store, damage: Any) -> None:
    blob = store.put_bytes(b"good")
    name(store, blob)
    where = damage.alter(store, blob, b"evil")
    with pytest.raises(IntegrityError) as caught:
        store.verify(blob)
    assert blob in caught.value.expected
    assert bytes_hash(b"evil") in caught.value.got
    assert caught.value.where == where
    with pytest.raises(IntegrityError):
        store.read(blob)
    store.put_bytes(b"good")
    store.verify(blob)


@pytest.mark.parametrize("damage", ["alter", "truncate", "delete", "add", "manifest", "no manifest"])
def test_every_damage_of_a_folder_is_found(local: Store, tmp_path: Path, damage: str) -> None:
    local.put_folder(release_folder(tmp_path), "release-1")
    name(local, "release-1")
    path = local.path("release-1")
    if damage == "alter":
        (path / "model.onnx").write_bytes(b"lodem")
    elif damage == "truncate":
        os.truncate(path / "model.onnx", 2)
    elif damage == "delete":
        (path / "deep" / "rows.json").unlink()
    elif damage == "add":
        (path / "more").write_bytes(b"")
    elif damage == "manifest":
        (path / MANIFEST).write_bytes((path / MANIFEST).read_bytes().replace(b"5", b"6"))
    else:
        (path / MANIFEST).unlink()
    with pytest.raises(IntegrityError) as caught:
        local.verify("release-1")
    assert caught.value.where.startswith(str(path))


def test_a_folder_with_links_or_its_own_manifest_is_refused(store: Store, tmp_path: Path) -> None:
    made = release_folder(tmp_path)
    (made / MANIFEST).write_bytes(b"{}")
    with pytest.raises(StoreError, match="reserved name"):
        store.put_folder(made, "release-1")
    (made / MANIFEST).unlink()
    (made / "link").symlink_to("/etc/passwd")
    with pytest.raises(StoreError, match="a link"):
        store.put_folder(made, "release-1")
    assert list(store.artifacts.listed()) == []


@pytest.mark.parametrize("words", ["", "../../etc/passwd", "release-../x", "a b-c", "release", "A" * 64, "é-1", "-x"])
def test_no_id_leads_out_of_the_store(store: Store, tmp_path: Path, words: str) -> None:
    with pytest.raises(StoreError):
        is_folder(words)
    with pytest.raises(StoreError):
        store.path(words)
    with pytest.raises(StoreError):
        store.put_folder(tmp_path, words)


def test_bytes_last_before_the_name_does(local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of a publish: sync the file, rename, sync the folder; of a folder every file first."""
    calls: list[tuple[str, str]] = []
    sync, rename = artifacts.sync, os.rename
    monkeypatch.setattr(artifacts, "sync", lambda path: (calls.append(("sync", path.name)), sync(path)))
    monkeypatch.setattr(os, "rename", lambda old, new: (calls.append(("rename", Path(new).name)), rename(old, new)))
    blob = local.put_bytes(b"x")
    assert calls[:3] == [("sync", blob), ("rename", blob), ("sync", "artifacts")]
    calls.clear()
    local.put_folder(release_folder(tmp_path), "release-1")
    at = calls.index(("rename", "release-1"))
    assert {name for _, name in calls[:at]} == {"model.onnx", "rows.json", "deep", MANIFEST, "release-1"}
    assert ("sync", "folders") in calls[at:]


def test_a_failing_sync_is_not_trusted(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "sync", broken)
        with pytest.raises(StoreError, match="check the disk"):
            local.put_bytes(b"x")
    assert list(local.artifacts.listed()) == []
    assert local.read(local.put_bytes(b"x")) == b"x"
