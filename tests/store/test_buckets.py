"""What only a bucket does: copies, and two that put at once."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from ninetyfive.errors import IntegrityError, StoreError
from ninetyfive.hashing import bytes_hash
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


def test_drafts_of_killed_runs_are_swept_and_those_of_others_only_when_they_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"url": f"memory://{tmp_path.name}/b", "catalog": f"sqlite:///{tmp_path}/catalog.sqlite"}
    store = open_store(**words, elsewhere=True)
    system = fsspec.filesystem("memory", use_listings_cache=False)
    with store.draft() as free, ExitStack() as killed:
        system.pipe_file(f"{free}/a.parquet", b"rows")
        with store.lease():
            held = killed.enter_context(store.draft())
            system.pipe_file(f"{held}/a.parquet", b"rows")
            assert store.leftovers() == []
        assert store.leftovers() == [(held, 4)]
        assert {finding.problem for finding in store.doctor() if finding.subject == held} == {
            "a killed process left it"
        }
        with store.lease():
            assert (system.exists(free), system.exists(held)) == (True, False)
        monkeypatch.setenv("NINETYFIVE_CLOCK", "2099-01-01")
        assert store.leftovers() == [(free, 4)]
    assert not system.exists(free)


def test_a_file_of_a_draft_is_taken_without_its_bytes_and_heals_what_was_altered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"memory://{tmp_path.name}/b", f"sqlite:///{tmp_path}/catalog.sqlite", elsewhere=True)
    system = fsspec.filesystem("memory", use_listings_cache=False)
    blob = store.put_bytes(b"rows")
    system.pipe_file(store.location(blob), b"evil")
    with store.draft() as draft:
        system.pipe_file(f"{draft}/a.parquet", b"rows")
        with monkeypatch.context() as blind:
            blind.setattr(system, "open", None)
            assert store.take(f"{draft}/a.parquet", blob) == blob
    assert store.read(blob) == b"rows"


@pytest.mark.parametrize("backend", ["sqlite-bucket"], indirect=True)
def test_of_many_that_put_one_name_at_once_one_does(backend: Any) -> None:
    """A bucket of Google Cloud Storage refuses an upload to a name that came to be meanwhile (ifGenerationMatch=0)."""
    with backend.open() as store:
        system = store.artifacts._system
        where = store.artifacts.where("0" * 64)
        won: list[int] = []
        lost: list[int] = []

        def put(number: int) -> None:
            try:
                system.pipe_file(where, str(number).encode(), mode="create")
                won.append(number)
            except FileExistsError:
                lost.append(number)

        threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, 7)
        assert system.cat_file(where) == str(won[0]).encode()


@pytest.mark.parametrize("backend", ["sqlite-bucket"], indirect=True)
def test_threads_that_put_and_fetch_the_same_all_have_it(backend: Any, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model").write_bytes(b"a model")
    read: list[bytes] = []
    with backend.open() as store:

        def work() -> None:
            folder = store.put_folder(tmp_path / "made", "release-1")
            read.append(store.read(store.put_bytes(b"rows")) + (store.path(folder) / "model").read_bytes())

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert read == [b"rowsa model"] * 8
        assert sorted(store.artifacts.listed()) == [bytes_hash(b"rows"), "release-1"]


@pytest.mark.parametrize("backend", ["sqlite-bucket"], indirect=True)
def test_a_bucket_that_is_not_there_says_so(backend: Any) -> None:
    with (
        replace(backend, url="gs://no-such-bucket/x").open() as store,
        pytest.raises(StoreError, match="a bucket that answers") as caught,
    ):
        store.put_bytes(b"x")
    assert "check that the bucket is there" in caught.value.do
