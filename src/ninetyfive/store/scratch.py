"""Temporary folders of attempts: private to a process, gone when it ends well, swept when it was killed.

    tmp/gate                  held for a moment by whoever makes or sweeps a folder
    tmp/<pid>-<random>/lock   held (flock) as long as its process lives
    tmp/<pid>-<random>/…      one folder per attempt

Whether a folder's owner lives is asked of the kernel, never of a pid or a clock.
What does not belong here: anything that shall last (`artifacts`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ninetyfive.store.failures import disk_errors


class Scratch:
    """The temporary folder of one opened store, made when first asked for, under `root` (same disk as the store)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folder: Path | None = None
        self._lock: int | None = None
        self._making = threading.Lock()

    @contextmanager
    def attempt(self) -> Iterator[Path]:
        """A new empty folder, removed with all it holds when the block ends, well or not.

        `StoreError` for what the disk refuses inside the block.
        """
        with disk_errors(str(self.root)):
            folder = Path(tempfile.mkdtemp(dir=self._own(), prefix="attempt-"))
        try:
            with disk_errors(str(self.root)):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder and all attempts in it."""
        with self._making:
            if self._folder is not None and self._lock is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                os.close(self._lock)
            self._folder = self._lock = None

    def leftovers(self) -> list[Path]:
        """Folders of processes that live no more, in order of name."""
        with disk_errors(str(self.root)):
            return list(self._dead()) if self.root.is_dir() else []

    def sweep(self) -> list[Path]:
        """Remove the leftovers; returns what was removed."""
        if not self.root.is_dir():
            return []
        with disk_errors(str(self.root)), self._gate():
            dead = list(self._dead())
            for folder in dead:
                shutil.rmtree(folder, ignore_errors=True)
            return dead

    def _own(self) -> Path:
        with self._making:
            if self._folder is None:
                self.root.mkdir(parents=True, exist_ok=True)
                with self._gate():
                    self._folder = Path(tempfile.mkdtemp(dir=self.root, prefix=f"{os.getpid()}-"))
                    self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
                    fcntl.flock(self._lock, fcntl.LOCK_EX)
            return self._folder

    def _dead(self) -> Iterator[Path]:
        for folder in sorted(path for path in self.root.iterdir() if path.is_dir()):
            if folder != self._folder and not held(folder / "lock"):
                yield folder

    @contextmanager
    def _gate(self) -> Iterator[None]:
        """One process at a time makes or sweeps folders, so that none is swept before it is locked."""
        gate = os.open(self.root / "gate", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield
        finally:
            os.close(gate)


def held(path: Path) -> bool:
    """Whether a living process holds the lock file; no file means nobody."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False
