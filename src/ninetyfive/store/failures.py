"""The disk: what it says when it cannot, as a `StoreError` with a next act.

What does not belong here: what the database says (`catalog`), how files are written to last (`durable`).
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from ninetyfive.errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Raise `StoreError` at `where` for any OSError inside the block.

    >>> with disk_errors("/store"):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    ninetyfive.errors.StoreError: /store: expected room to write, got a full disk (No space left on device). To do: \
free space there, then run again: what was finished is kept.
    """
    try:
        yield
    except OSError as error:
        raise store_error(where, error) from error


def store_error(where: str, error: OSError) -> StoreError:
    """The `StoreError` that says what `error` means."""
    said = error.strerror or str(error)
    if isinstance(error, shutil.Error):  # a list of (from, to, what was said)
        said = str(error.args[0][-1][-1])
        if any(f"[Errno {number}]" in said for number in _FULL):
            return full(where, said)
    if error.errno in _FULL:
        return full(where, said)
    if error.errno in _CLOSED:
        return closed(where, said)
    if error.errno == errno.EXDEV:
        return StoreError(
            where,
            expected="artifacts, folders and tmp of a store on one disk",
            got=said,
            do="mount or link the whole store elsewhere, not a folder of it",
        )
    if error.errno == errno.ENOENT:
        return StoreError(where, expected="a file or folder", got="nothing there", do="run ninetyfive doctor")
    return StoreError(
        where, expected="a disk that reads and writes", got=said, do="check the disk, then run ninetyfive doctor"
    )


def full(where: str, said: str) -> StoreError:
    """The error of a full disk."""
    return StoreError(
        where,
        expected="room to write",
        got=f"a full disk ({said})",
        do="free space there, then run again: what was finished is kept",
    )


def closed(where: str, said: str) -> StoreError:
    """The error of a store that cannot be written."""
    return StoreError(
        where,
        expected="a store that can be written",
        got=f"one that cannot ({said})",
        do="make it writable for this user, or name another store in ninetyfive.toml",
    )
