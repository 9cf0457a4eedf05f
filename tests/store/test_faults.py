"""Faults from below: a full disk, a store that cannot be written, a locked catalog."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ninetyfive.errors import BusyError, StoreError
from ninetyfive.store import catalog
from ninetyfive.store.opening import Store, open_store


def mount(folder: Path, options: str) -> bool:
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
        while stream.write(bytes(4096)):
            pass
    return filler


def put_many(store: Store) -> None:
    for number in range(1000):
        store.put_states({("s", str(number)): b"x" * 4000})


def may_mount() -> bool:
    """Root of a machine, or of a container that lets it mount."""
    if os.geteuid() != 0 or sys.platform != "linux":
        return False
    with tempfile.TemporaryDirectory() as folder:
        return mount(Path(folder), "size=64k") and subprocess.run(["umount", folder], check=False).returncode == 0


MAY_MOUNT = may_mount()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    assert mount(folder, "size=1m")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


if MAY_MOUNT:

    def test_a_full_disk_says_so_and_frees_itself(small_disk: Path) -> None:
        with open_store(small_disk / "store") as store:
            kept = store.put_bytes(b"kept")
            store.put_states({("s", "k"): b"kept"})
            filler = fill(small_disk)
            with pytest.raises(StoreError, match=r"a full disk .* free space there, then run again"):
                store.put_bytes(b"x" * 50_000)
            with pytest.raises(StoreError, match="a full disk"):
                put_many(store)
            assert store.read(kept) == b"kept"
            filler.unlink()
            store.put_bytes(b"x" * 50_000)
            assert store.states("k", ["s"]) == {"s": b"kept"}
            assert not [finding for finding in store.doctor() if finding.level == "error"]

    def test_a_new_store_on_a_full_disk_says_so(small_disk: Path) -> None:
        filler = fill(small_disk)
        with pytest.raises(StoreError):
            open_store(small_disk / "store")
        filler.unlink()
        open_store(small_disk / "store").close()


LIMITED = """
import resource, sys
from ninetyfive.errors import StoreError
from ninetyfive.store.opening import open_store
with open_store(sys.argv[1]) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        store.put_bytes(bytes(400_000))
    except StoreError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert store.doctor() == [] or all(finding.kind == "disk space" for finding in store.doctor())
"""


def test_a_file_larger_than_is_allowed_is_a_full_disk(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "a full disk (File too large)" in done.stdout


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Path]:
    """A store that was filled, then sealed: read-only for root too where root may mount, else by its modes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if MAY_MOUNT:
        assert mount(folder, "size=4m")
    with open_store(folder / "store") as store:
        store.put_states({("s", "k"): b"kept"})
    paths = [folder / "store", *(folder / "store").rglob("*")]
    if MAY_MOUNT:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    else:
        for path in paths:
            path.chmod(0o500 if path.is_dir() else 0o400)
    yield folder / "store"
    if MAY_MOUNT:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    else:
        for path in paths:
            path.chmod(0o700)


def test_a_read_only_store_is_read_and_refuses_to_be_written(sealed: Path) -> None:
    with open_store(sealed, create=False) as store:
        assert store.states("k", ["s"]) == {"s": b"kept"}
        assert store.champion() is None
        assert store.runs() == []
        assert not [finding for finding in store.doctor() if finding.level == "error"]
        for act in (
            lambda: store.put_bytes(b"x"),
            lambda: store.put_states({("s", "k"): b"other"}),
            lambda: store.lease("run").__enter__(),
        ):
            with pytest.raises(StoreError, match="make it writable for this user, or name another store"):
                act()


def test_a_store_in_a_place_that_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        open_store(tmp_path / "file" / "store")


def test_a_locked_catalog_is_busy_not_a_database_word(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "BUSY_SECONDS", 0.05)
    other = sqlite3.connect(local.catalog.where, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(BusyError, match="still writing") as caught:
        local.put_states({("s", "k"): b"x"})
    assert "database is locked" not in str(caught.value)
    with pytest.raises(BusyError):
        local.champion()
    other.execute("ROLLBACK")
    other.close()
    local.put_states({("s", "k"): b"x"})


@pytest.mark.slow
def test_readers_see_old_or_new_while_another_writes(tmp_path: Path) -> None:
    code = """
import sys
from ninetyfive.store.opening import open_store
with open_store(sys.argv[1]) as store:
    for number in range(60):
        store.put_states({(span, "k"): str(number).encode() for span in ("a", "b", "c")})
"""
    with open_store(tmp_path) as store:
        writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
        while writer.poll() is None:
            assert len(set(store.states("k", ["a", "b", "c"]).values())) <= 1
        assert writer.returncode == 0
        assert store.states("k", ["a"]) == {"a": b"59"}
        assert store.audit_verify() == []
        assert len(store.audit_records()) == 60
