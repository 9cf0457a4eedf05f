"""A folder for what does not fit into memory: gone when its block ends; after a kill, when the next one is made.

    <temporary>/ninetyfive-local-<random>     locked (flock) as long as its process lives
    the next folder that is made there        removes those of this user that nobody holds

Whether an owner lives is asked of the kernel, never of a pid. What does not belong here: what spills (`spilling`), and
the scratch of a store, which is its own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "ninetyfive-local-"


@contextmanager
def scratch(temporary: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """A new folder below `temporary` (None: the system's); `OSError` where none can be made."""
    root = Path(tempfile.gettempdir() if temporary is None else temporary)
    for other in root.glob(f"{_PREFIX}*"):
        _remove_dead(other)
    folder, lock = _made(root)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _made(root: Path) -> tuple[Path, int]:
    """A folder and what locks it; another one where somebody took it for dead before it was locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        with suppress(OSError):  # a disk without locks: then nobody removes it either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)


def _remove_dead(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
