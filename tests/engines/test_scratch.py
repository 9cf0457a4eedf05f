"""Scratch of the local engine: gone with its block, gone after a kill -9, never taken from who works in it."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ninetyfive.engines.scratch import scratch

DIES = """
import os, signal, sys
from pathlib import Path
from ninetyfive.engines.scratch import scratch
with scratch(sys.argv[1]) as folder:
    (folder / "spilled").write_bytes(b"rows")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_is_gone_when_its_block_ends(tmp_path: Path) -> None:
    with scratch(tmp_path) as folder:
        (folder / "spilled").write_bytes(b"rows")
    with pytest.raises(ZeroDivisionError), scratch(tmp_path):
        1 / 0  # noqa: B018
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_goes_with_the_next_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "ninetyfive-of-somebody").mkdir()
    (tmp_path / "kept").mkdir()
    (tmp_path / "ninetyfive-local-link").symlink_to(tmp_path / "kept")
    with scratch(tmp_path) as mine:
        died = subprocess.run([sys.executable, "-c", DIES, tmp_path], check=False)
        assert died.returncode == -signal.SIGKILL
        (dead,) = (path.parent for path in tmp_path.glob("*/spilled"))
        with scratch(tmp_path) as other:
            assert not dead.exists()
            assert mine.is_dir()
            assert other.is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {"ninetyfive-of-somebody", "kept", "ninetyfive-local-link"}


def test_many_at_once_each_keep_their_own(tmp_path: Path) -> None:
    def work(number: int) -> bool:
        with scratch(tmp_path) as folder:
            (folder / "spilled").write_text(str(number))
            return (folder / "spilled").read_text() == str(number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))
    assert not list(tmp_path.iterdir())
