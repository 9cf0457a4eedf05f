"""Artifacts: files named by their content, put once, never changed.

    bytes ─▶ tmp/…  ─ fsync ─ rename ─▶ artifacts/<sha256>  ─ fsync folder
    folder ─▶ tmp/… ─ fsync ─ rename ─▶ folders/<name>/     ─ fsync folder

A reader sees a whole file or none, and after a power cut too: bytes are on the disk before the name is. An fsync that
fails is never tried again and trusted: the file is thrown away. What is already there is compared, and put again
where it was altered. A file counts only once the catalog names it; until then it is an orphan and harms nobody.

What does not belong here: buckets (`buckets`), and which artifact is named by what (`catalog`).
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from ninetyfive.durable import sync
from ninetyfive.errors import IntegrityError, StoreError
from ninetyfive.hashing import bytes_hash
from ninetyfive.store.crashing import crash_point
from ninetyfive.store.failures import disk_errors
from ninetyfive.store.manifests import (
    MANIFEST,
    Manifest,
    altered_file,
    check_folder,
    decode_manifest,
    describe_folder,
    folder_faults,
    hash_file,
    missing_file,
    read_manifest,
)
from ninetyfive.store.mirror import Mirror
from ninetyfive.store.records import Artifact, FileEntry
from ninetyfive.store.scratch import Scratch

_FILE = re.compile(r"[0-9a-f]{64}")
_FOLDER = re.compile(r"[A-Za-z][A-Za-z0-9_]*-[A-Za-z0-9_.-]{1,120}")


class Artifacts(Protocol):
    """Where artifacts are kept: a local folder or a bucket, told apart by nobody else."""

    mirror: Mirror | None
    """live.json, where there is one: in a bucket of Google Cloud Storage."""

    def put_bytes(self, data: bytes) -> str:
        """Store bytes; returns their sha256."""
        ...

    def put_file(self, path: Path, take: bool, sha256: str | None) -> str:
        """Store a file; returns its sha256. `take` moves it; a known `sha256` spares reading it."""
        ...

    def put_folder(self, folder: Path, name: str, replace: bool) -> str:
        """Store a folder under `name`, unless it is there and not to be replaced; returns its name."""
        ...

    def path(self, artifact: str) -> Path:
        """A local path of a file or folder; of a bucket, a copy whose hash was checked."""
        ...

    def location(self, artifact: str) -> str:
        """Where the workers of an engine read a file: a local path, or its place in the bucket."""
        ...

    def draft(self, held: bool) -> AbstractContextManager[str]:
        """A new empty folder that the workers of an engine fill, gone when the block ends; `held`: under the lease."""
        ...

    def take(self, url: str, sha256: str) -> str:
        """Store a file of a draft, whose sha256 was counted while it was written; returns that."""
        ...

    def leftovers(self, free: bool) -> list[tuple[str, int]]:
        """Drafts in the bucket whose process is gone, with their bytes; `free`: no other process holds the lease."""
        ...

    def sweep(self) -> None:
        """Remove the leftovers; for who has just taken the lease."""
        ...

    def size(self, artifact: str) -> int | None:
        """Bytes of a file, or of all files of a folder, all of which are there; None where one is not."""
        ...

    def manifest(self, name: str) -> Manifest:
        """The manifest of a folder."""
        ...

    def verify(self, artifact: str, expected: str) -> None:
        """Read all bytes; `IntegrityError` where they are not those of `expected` (sha256 of file or manifest)."""
        ...

    def faults(self, artifact: Artifact) -> Iterator[IntegrityError]:
        """Read all bytes; the error of each file that is not what was stored."""
        ...

    def part(self, folder: str, name: str, entry: FileEntry) -> bytes | None:
        """The bytes of one file of a folder, without the others; None where they are gone or not those of `entry`."""
        ...

    def remove(self, artifacts: Collection[str]) -> None:
        """Remove files and folders: each is there whole for every reader, or not at all. Others stay as they are."""
        ...

    def listed(self) -> Iterator[str]:
        """The ids of all that is stored, named by the catalog or not."""
        ...

    def where(self, artifact: str) -> str:
        """The path or url of an artifact, for people."""
        ...


def is_folder(artifact: str) -> bool:
    """Whether an id is that of a folder; `StoreError` where it is no id at all, so that ids are always safe in paths.

    >>> is_folder("release-ab12"), is_folder("0" * 64)
    (True, False)
    """
    if _FILE.fullmatch(artifact):
        return False
    if _FOLDER.fullmatch(artifact):
        return True
    raise StoreError(
        f"artifact {artifact!r}",
        expected="a sha256 (64 hex digits), or the name of a folder: a word, a dash, then letters, digits, _ . -",
        got=repr(artifact),
        do="use an id that put_bytes, put_file or put_folder returned",
    )


class LocalArtifacts:
    """Artifacts in a folder of a local disk; temporary files stand in `scratch`, on the same disk."""

    mirror: Mirror | None = None

    def __init__(self, root: Path, scratch: Scratch) -> None:
        self._files = root / "artifacts"
        self._folders = root / "folders"
        self._scratch = scratch
        self._published = 0

    def put_bytes(self, data: bytes) -> str:
        sha256 = bytes_hash(data)
        if not self._holds(sha256, len(data)):
            with disk_errors(str(self._files)), self._scratch.attempt() as attempt:
                (attempt / sha256).write_bytes(data)
                self._publish(attempt / sha256, self._files / sha256)
        return sha256

    def put_file(self, path: Path, take: bool = False, sha256: str | None = None) -> str:
        with disk_errors(str(path)):
            if sha256 is None or not _FILE.fullmatch(sha256):
                sha256 = hash_file(path).sha256
            size = path.stat().st_size
        if not self._holds(sha256, size):
            with disk_errors(str(self._files)), self._scratch.attempt() as attempt:
                source = path
                if not (take and _same_disk(path, attempt)):
                    source = attempt / sha256
                    shutil.copyfile(path, source)
                self._publish(source, self._files / sha256)
        if take:
            with disk_errors(str(path)):
                path.unlink(missing_ok=True)
        return sha256

    def put_folder(self, folder: Path, name: str, replace: bool = False) -> str:
        is_folder(name)
        if not replace and self._holds_folder(name):
            return name
        with disk_errors(str(self._folders)), self._scratch.attempt() as attempt:
            copy = attempt / name
            shutil.copytree(folder, copy, copy_function=shutil.copyfile, symlinks=True)
            (copy / MANIFEST).write_bytes(describe_folder(copy).data)
            for path in copy.rglob("*"):
                sync(path)
            self._folders.mkdir(exist_ok=True)
            target = self._folders / name
            if target.exists():
                target.rename(attempt / "damaged")
            self._publish(copy, target)
        return name

    def path(self, artifact: str) -> Path:
        path = self._place(artifact)
        if not path.exists():
            raise missing_file(str(path), artifact)
        return path

    def location(self, artifact: str) -> str:
        return str(self.path(artifact))

    @contextmanager
    def draft(self, held: bool) -> Iterator[str]:  # noqa: ARG002  the kernel says whose a local folder is
        with self._scratch.attempt() as folder:
            yield str(folder)

    def take(self, url: str, sha256: str) -> str:
        return self.put_file(Path(url), True, sha256)

    def leftovers(self, free: bool) -> list[tuple[str, int]]:  # noqa: ARG002
        return []

    def sweep(self) -> None:
        """Nothing: drafts of a folder stand in `scratch`."""

    def size(self, artifact: str) -> int | None:
        path = self._place(artifact)
        if not is_folder(artifact):
            return path.stat().st_size if path.is_file() else None
        if not (path / MANIFEST).is_file():
            return None
        manifest = self.manifest(artifact)
        for name, entry in manifest.files.items():
            file = path / name
            if not file.is_file() or file.stat().st_size != entry.size:
                return None
        return manifest.size

    def manifest(self, name: str) -> Manifest:
        path = self._folders / name / MANIFEST
        if not path.is_file():
            raise missing_file(str(path), "any sha256")
        with disk_errors(str(path)):
            return decode_manifest(path.read_bytes(), str(path))

    def verify(self, artifact: str, expected: str) -> None:
        path = self.path(artifact)
        if is_folder(artifact):
            check_folder(path, expected)
            return
        check_file(path, expected)

    def faults(self, artifact: Artifact) -> Iterator[IntegrityError]:
        try:
            path = self.path(artifact.id)
            if is_folder(artifact.id):
                yield from folder_faults(path, read_manifest(path, artifact.sha256))
            else:
                check_file(path, artifact.sha256, artifact.size)
        except IntegrityError as error:
            yield error

    def part(self, folder: str, name: str, entry: FileEntry) -> bytes | None:
        path = self._folders / folder / name
        if not path.is_file():
            return None
        with disk_errors(str(path)):
            data = path.read_bytes()
        return data if bytes_hash(data) == entry.sha256 else None

    def remove(self, artifacts: Collection[str]) -> None:
        if not artifacts:
            return
        with disk_errors(str(self._files)), self._scratch.attempt() as attempt:
            for name in artifacts:
                with suppress(FileNotFoundError):
                    self._place(name).rename(attempt / name)

    def listed(self) -> Iterator[str]:
        for folder in (self._files, self._folders):
            if folder.is_dir():
                yield from sorted(path.name for path in folder.iterdir())

    def where(self, artifact: str) -> str:
        return str(self._place(artifact))

    def _place(self, artifact: str) -> Path:
        return (self._folders if is_folder(artifact) else self._files) / artifact

    def _holds(self, sha256: str, size: int) -> bool:
        """Whether the file is there unaltered (it is read); its name is made as lasting as its bytes."""
        path = self._files / sha256
        if not path.is_file() or path.stat().st_size != size:
            return False
        with disk_errors(str(path)):
            held = hash_file(path).sha256 == sha256
            sync(self._files)
        return held

    def _holds_folder(self, name: str) -> bool:
        """Whether the folder is there as its own manifest says (it is read); its name is made as lasting."""
        folder = self._folders / name
        if not folder.is_dir():
            return False
        with disk_errors(str(folder)):
            try:
                check_folder(folder)
            except IntegrityError:
                return False
            sync(self._folders)
        return True

    def _publish(self, source: Path, target: Path) -> None:
        """Make `source` last, give it its name at once, make the name last; where that fails, throw it away."""
        sync(source)
        fresh = not target.exists()
        made = not target.parent.exists()
        target.parent.mkdir(exist_ok=True)
        self._published += 1
        crash_point(f"before publish {self._published}")
        try:
            source.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise  # else somebody put the same folder a moment before
        try:
            sync(target.parent)
            if made:
                sync(target.parent.parent)
        except OSError:
            if fresh:
                _discard(target)
            raise
        crash_point(f"after publish {self._published}")


def _discard(path: Path) -> None:
    """Remove what was published and may not last; a later look at it would find it in memory, and trust it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def check_file(path: Path, expected: str, size: int | None = None) -> None:
    """Read a file; `IntegrityError` where its sha256 is not `expected`, with its `size` where that is known."""
    with disk_errors(str(path)):
        got = hash_file(path)
    if got.sha256 != expected:
        raise altered_file(str(path), expected, got, size)


def open_file(path: Path) -> BinaryIO:
    """A file opened for reading; `StoreError` where it cannot be."""
    with disk_errors(str(path)):
        return path.open("rb")


def _same_disk(path: Path, folder: Path) -> bool:
    return path.stat().st_dev == folder.stat().st_dev
