"""Where a streamed fit leaves its checkpoint and its log: a path of this machine, or an url of a bucket.

    Places(checkpoint, log) ─ write ─▶ the checkpoint, whole or the one before it      what is at another place than
                            ─ logged ─▶ a folder to write a log in, then put there     this disk goes there by fsspec

What does not belong here: what a checkpoint holds (`keras_training`), which places they are (`steps/train`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ninetyfive.durable import write_whole
from ninetyfive.errors import SettingsError
from ninetyfive.store.buckets import bucket_errors
from ninetyfive.store.failures import disk_errors


@dataclass(frozen=True, slots=True)
class Places:
    """A file for the checkpoint and a folder for the log, each a path or an url.

    What cannot be read or written raises `StoreError`, an url that nothing opens `SettingsError`.
    """

    checkpoint: str
    log: str

    def read(self) -> bytes | None:
        """The checkpoint that was written last; None: there is none."""
        if path := local_path(self.checkpoint):
            with disk_errors(str(path)):
                return path.read_bytes() if path.is_file() else None
        system, key = bucket(self.checkpoint)
        with bucket_errors(self.checkpoint):
            try:
                return bytes(system.cat_file(key))
            except FileNotFoundError:
                return None

    def write(self, data: bytes) -> None:
        """Write the checkpoint whole, or leave the one before it."""
        if path := local_path(self.checkpoint):
            with disk_errors(str(path)):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, data)
            return
        system, key = bucket(self.checkpoint)
        with bucket_errors(self.checkpoint):
            system.pipe_file(key, data)

    def clear(self) -> None:
        """Remove the checkpoint: what was learned is kept."""
        if path := local_path(self.checkpoint):
            with disk_errors(str(path)):
                path.unlink(missing_ok=True)
            return
        system, key = bucket(self.checkpoint)
        with bucket_errors(self.checkpoint):
            if system.exists(key):
                system.rm_file(key)

    @contextmanager
    def logged(self) -> Iterator[str]:
        """A folder to write files of the log in, which are there once the block ends."""
        if path := local_path(self.log):
            yield str(path)
            return
        with tempfile.TemporaryDirectory() as folder:
            yield folder
            upload(Path(folder), self.log)


def local_path(place: str) -> Path | None:
    """A place of this machine as a path; None: an url of another.

    >>> local_path("gs://bucket/job"), local_path("file:///tmp/job")
    (None, PosixPath('/tmp/job'))
    """
    path = place.removeprefix("file://")
    return None if "://" in path else Path(path)


def below(place: str, name: str) -> str:
    """The place `name` in a folder.

    >>> below("gs://bucket/job/logs/", "a"), below("/tmp/logs", "a")
    ('gs://bucket/job/logs/a', '/tmp/logs/a')
    """
    return f"{place.rstrip('/')}/{name}"


def upload(folder: Path, place: str) -> None:
    """Put all files of a folder into a place, over those that are there; those that stand in it itself come last."""
    if path := local_path(place):
        with disk_errors(str(path)):
            shutil.copytree(folder, path, dirs_exist_ok=True)
        return
    system, key = bucket(place)
    files = [path for path in folder.rglob("*") if path.is_file()]
    with bucket_errors(place):
        for path in sorted(files, key=lambda path: (path.parent == folder, str(path))):
            system.put_file(str(path), below(key, path.relative_to(folder).as_posix()))


def bucket(url: str) -> tuple[Any, str]:
    """The fsspec file system of an url, and the path in it."""
    import fsspec  # only a bucket needs it

    try:
        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise SettingsError(
            url,
            expected="a path, or an url that fsspec knows",
            got=str(error),
            do="install what the message names (gs:// is in ninetyfive[gcp]), or correct the url",
        ) from None
    return system, str(path)
