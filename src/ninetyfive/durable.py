"""Files that survive a power cut: what is on the disk, and a file that is replaced whole.

    data ─▶ .draft-… ─ fsync ─ rename ─▶ its name ─ fsync folder

What does not belong here: what a disk says when it cannot (`store.failures`), buckets, which do both themselves.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path

DRAFT = ".draft-"
"""How the name of a file begins that is being written; a process that was killed leaves it."""


def sync(path: Path) -> None:
    """Fsync a file or folder: what it holds survives a power cut (on macOS through the drive's own cache too)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if hasattr(fcntl, "F_FULLFSYNC"):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Let `path`, in a folder that is there, hold all of `data`, after a power cut too; `OSError`: what it held before.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a", b"all")
    ...     [one.read_bytes() for one in Path(folder).iterdir()]
    [b'all']
    """
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=DRAFT)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        os.chmod(draft, mode)
        sync(Path(draft))
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise
    sync(path.parent)
