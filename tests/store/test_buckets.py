"""What only a bucket does: copies, and two that put at once."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from ninetyfive.errors import IntegrityError
from ninetyfive.store.opening import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"memory://{tmp_path.name}/b", f"sqlite:///{tmp_path}/catalog.sqlite")


def bucket_file(store: Store, blob: str) -> str:
    return store.artifacts.where(blob)


def test_a_copy_is_made_once_and_checked(store: Store) -> None:
    blob = store.put_bytes(b"data")
    path = store.path(blob)
    assert path == store.path(blob)
    assert path.read_bytes() == b"data"


def test_an_altered_object_is_never_copied(store: Store) -> None:
    blob = store.put_bytes(b"data")
    fsspec.filesystem("memory", use_listings_cache=False).pipe_file(bucket_file(store, blob), b"evil")
    with pytest.raises(IntegrityError):
        store.path(blob)
    with pytest.raises(IntegrityError):
        store.read(blob)


def test_a_missing_object_is_named(store: Store) -> None:
    blob = store.put_bytes(b"data")
    fsspec.filesystem("memory", use_listings_cache=False).rm_file(bucket_file(store, blob))
    with pytest.raises(IntegrityError, match=blob):
        store.path(blob)


def test_an_altered_copy_is_found_and_fetched_again(store: Store, tmp_path: Path) -> None:
    blob = store.put_bytes(b"data")
    store.path(blob).write_bytes(b"evil")
    assert store.read(blob) == b"data"
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model").write_bytes(b"a model")
    folder = store.put_folder(tmp_path / "made", "release-1")
    (store.path(folder) / "model").write_bytes(b"evil")
    store.artifacts.verify(folder, store.artifacts.manifest(folder).sha256)
    assert (store.path(folder) / "model").read_bytes() == b"a model"


def test_a_cut_upload_is_put_again(store: Store) -> None:
    blob = store.put_bytes(b"data")
    fsspec.filesystem("memory", use_listings_cache=False).pipe_file(bucket_file(store, blob), b"da")
    store.put_bytes(b"data")
    assert store.read(blob) == b"data"


def test_who_comes_second_finds_it_put(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    system = fsspec.filesystem("memory", use_listings_cache=False)
    pipe = system.pipe_file

    def race(path: str, value: bytes, mode: str = "overwrite") -> None:
        pipe(path, value)
        pipe(path, value, mode=mode)

    monkeypatch.setattr(system, "pipe_file", race)
    assert store.read(store.put_bytes(b"data")) == b"data"
