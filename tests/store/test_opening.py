from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ninetyfive.errors import IntegrityError, SettingsError, StoreError
from ninetyfive.store import sqlite
from ninetyfive.store.opening import actor_name, open_store


def test_the_first_use_creates_and_the_next_one_finds(tmp_path: Path) -> None:
    with open_store(tmp_path / "deep" / "store") as store:
        blob = store.put_bytes(b"x")
    with open_store(f"file://{tmp_path}/deep/store", create=False) as store:
        assert store.path(blob).read_bytes() == b"x"
        assert store.champion() is None


def test_a_command_that_reads_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nothing there\. To do: run ninetyfive run"):
        open_store(tmp_path / "store", create=False)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_a_file_that_is_no_catalog_is_never_overwritten_by_a_reader(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(content)
    with pytest.raises(StoreError):
        open_store(tmp_path, create=False)
    assert (tmp_path / "catalog.sqlite").read_bytes() == content


def test_a_damaged_catalog_says_so(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(IntegrityError, match="restore it from a backup"):
        open_store(tmp_path)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("memory://bucket/x", None),
        ("memory://bucket/x", "mysql://ada:secret@host/db"),
        ("memory://bucket/x", "postgresql://ada:sec:ret@host:port/db"),
        ("nosuchcloud://x", "sqlite:///{}/c.sqlite"),
        ("s3://x", "sqlite:///"),
    ],
)
def test_urls_that_cannot_be_are_settings_errors(tmp_path: Path, url: str, words: str | None) -> None:
    with pytest.raises(SettingsError) as caught:
        open_store(url, words and words.format(tmp_path))
    assert "sec" not in str(caught.value)


def test_names_with_signs_of_urls_are_only_names(tmp_path: Path) -> None:
    folder = tmp_path / "a %20?#é"
    with open_store(folder) as store:
        store.put_bytes(b"x")
    assert (folder / "catalog.sqlite").is_file()


def test_the_actor_is_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINETYFIVE_ACTOR", "robot")
    assert actor_name() == "robot"
    monkeypatch.delenv("NINETYFIVE_ACTOR")
    assert "@" in actor_name()


def test_the_folder_is_private(tmp_path: Path) -> None:
    open_store(tmp_path / "store").close()
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0


def test_a_store_on_disk_loads_no_bucket_and_no_frames() -> None:
    code = """
import sys, tempfile
from ninetyfive.pipeline import run_steps
from ninetyfive.store.opening import open_store
with tempfile.TemporaryDirectory() as folder, open_store(folder) as store:
    store.put_bytes(b"x")
print([name for name in ("fsspec", "polars", "pyarrow", "numpy", "sklearn", "sqlalchemy.orm") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_new_catalog_whose_name_may_not_last_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "sync", broken)
        with pytest.raises(StoreError, match="check the disk"):
            open_store(tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []
    open_store(tmp_path / "store").close()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite-folder", "postgres-folder"], indirect=True)
def test_many_processes_create_one_store_at_once(backend: Any) -> None:
    code = "import sys; from ninetyfive.store.opening import open_store; open_store(*sys.argv[1:3]).close()"
    workers = [subprocess.Popen([sys.executable, "-c", code, *backend.words]) for _ in range(4)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0, 0]
    with backend.open(create=False) as store:
        assert store.doctor() == [] or {finding.kind for finding in store.doctor()} == {"disk space"}
