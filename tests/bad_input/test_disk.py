"""Disks that are full or read-only, two runs at once: what was finished is kept, and the next run goes on."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ninetyfive import run as running
from ninetyfive.errors import StoreError

if TYPE_CHECKING:
    import polars as pl
    from tests.bad_input.conftest import Victim


def mount(folder: Path, *words: str) -> bool:
    return subprocess.run(["mount", *words, str(folder)], check=False, capture_output=True).returncode == 0


def may_mount() -> bool:
    """Root of a machine, or of a container that lets it mount."""
    if os.geteuid() != 0 or sys.platform != "linux":
        return False
    with tempfile.TemporaryDirectory() as folder:
        there = mount(Path(folder), "-t", "tmpfs", "-o", "size=64k", "tmpfs")
        return there and subprocess.run(["umount", folder], check=False).returncode == 0


MAY_MOUNT = may_mount()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that cannot be written: for root by a mount, for others by its modes."""
    if MAY_MOUNT:
        assert mount(folder, "--bind", str(folder))
        assert mount(folder, "-o", "remount,bind,ro")
    paths = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    if not MAY_MOUNT:
        for path in paths:
            path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        yield
    finally:
        if MAY_MOUNT:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        else:
            for path, mode in zip(paths, modes, strict=True):
                path.chmod(mode)


@pytest.mark.parametrize("kilobytes", [20, 90, 120])
def test_a_full_disk(fresh: Victim, kilobytes: int) -> None:
    """No file may grow beyond a limit: at the first, the catalog; later Parquet, states, release."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, hard))
    try:
        with pytest.raises(StoreError, match="free space") as caught:
            fresh.project.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.where.startswith(str(fresh.project.folder))
    assert fresh.project.run()["promoted"]
    fresh.check_store()


if MAY_MOUNT:

    @pytest.mark.parametrize("kilobytes", [160, 256, 384])
    def test_a_full_small_disk(fresh: Victim, kilobytes: int) -> None:
        """Full at another step each time: ingest, fit, train, release. What fits is kept, what does not is undone."""
        store = fresh.project.folder / ".ninetyfive"
        store.mkdir()
        assert mount(store, "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=700", "tmpfs")
        try:
            with pytest.raises(StoreError, match="full disk"):
                fresh.project.run()
            assert mount(store, "-o", "remount,size=8m")
            assert fresh.project.run()["promoted"]
            fresh.check_store()
            assert [path.name for path in (store / "tmp").iterdir()] == ["gate"]
        finally:
            subprocess.run(["umount", "-l", str(store)], check=True)


def test_a_store_that_cannot_be_written(live: Victim, more: pl.DataFrame) -> None:
    """It is read as ever; a run says what is wrong, and on what, and changes nothing."""
    live.write("b.parquet", more)
    with read_only(live.project.folder / ".ninetyfive"):
        error = live.refuses(StoreError, "a store that can be written", "name another store in ninetyfive.toml")
        assert error.where.startswith(str(live.project.folder))
        said = live.project.command("run", "--json")
        assert (said.code, said.json["error"]["kind"]) == (1, "StoreError")
        assert live.project.load().predict(more.head(3).drop("fare", "tip")).height == 3
        assert live.project.command("releases").code == 0
    assert live.runs()["rows"]["accepted"] == 400


def test_a_project_that_cannot_be_written(fresh: Victim, tmp_path: Path) -> None:
    """With the store elsewhere the first schema cannot be kept; without it not even the store can be made."""
    with read_only(fresh.project.folder):
        fresh.refuses(StoreError, "a store that can be written")
    (fresh.project.folder / "ninetyfive.toml").write_text(f'store = "{tmp_path}/elsewhere"\n')
    with read_only(fresh.project.folder):
        fresh.refuses(StoreError, "schema.toml", "room for the first schema")
    assert fresh.project.run()["promoted"]


COMMAND = [sys.executable, "-m", "ninetyfive.cli", "run", "--json"]


@pytest.mark.slow
def test_two_runs_at_once(live: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second says who holds the store, and ends; the first ends as if there had been no other."""
    monkeypatch.setattr(running, "LEASE_SECONDS", 0.1)
    live.project.edit(("    return Dec", "    import time; time.sleep(2)\n\n    return Dec"))
    first = subprocess.Popen(COMMAND, cwd=live.project.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    card = live.project.folder / ".ninetyfive" / "lease.json"
    while not card.exists() or str(first.pid) not in card.read_text():
        assert first.poll() is None
        time.sleep(0.05)
    said = live.project.command("run")
    assert said.code == 1
    assert f"process {first.pid}" in said.err
    assert "To do: wait until it ends" in said.err
    assert live.project.command("status").code == 0
    first.communicate()
    assert first.returncode == 0
    live.check_store()
    assert live.runs()["rows"]["read"] == 0


def test_a_store_that_was_moved(live: Victim, more: pl.DataFrame) -> None:
    store = live.project.folder / ".ninetyfive"
    shutil.move(store, live.project.folder / "elsewhere")
    (live.project.folder / "ninetyfive.toml").write_text('store = "elsewhere"\n')
    live.write("b.parquet", more)
    assert live.project.run()["rows"]["read"] == 400
