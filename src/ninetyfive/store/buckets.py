"""Artifacts in a bucket, through fsspec: the same files, put if absent, and local copies of what is read.

    <root>/artifacts/<sha256>              every file, those of folders too
    <root>/folders/<name>/manifest.json    which files a folder consists of; written last
    <root>/live.json                       the champion, for readers without the catalog (`mirror`)
    <root>/tmp/held-…, free-…              what workers write (drafts), with and without the lease; copied from there

A bucket has no rename: an upload is whole or is not there. A folder is its manifest, so two that put the same name at
once never mix: one manifest wins, and all its files are there. Copies are verified when they are fetched.
What does not belong here: credentials (the cloud's own way), and what is named (`catalog`).
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from ninetyfive import clock
from ninetyfive.clients import client_errors
from ninetyfive.errors import IntegrityError, StoreError
from ninetyfive.hashing import bytes_hash, file_hash
from ninetyfive.store.artifacts import check_file, is_folder
from ninetyfive.store.failures import disk_errors, store_error
from ninetyfive.store.manifests import (
    MANIFEST,
    Manifest,
    altered_file,
    check_folder,
    decode_manifest,
    describe_folder,
    hash_file,
    missing_file,
)
from ninetyfive.store.mirror import NAME, Mirror
from ninetyfive.store.records import Artifact, FileEntry
from ninetyfive.store.scratch import Scratch

DRAFT_AGE = timedelta(days=7)
"""After how long without a write a draft that no lease guards is left over: nobody can be asked for its owner."""


class BucketArtifacts:
    """Artifacts under `root` of an fsspec file system; copies under `cache`, temporary files in `scratch` beside it.

    `elsewhere`: the workers of the engine may be on other machines, so what they read and write is in the bucket.
    """

    def __init__(self, system: Any, root: str, cache: Path, scratch: Scratch, elsewhere: bool = False) -> None:
        self._system = system
        self._root = root.rstrip("/")
        self._cache = cache
        self._scratch = scratch
        self._elsewhere = elsewhere
        counted = "gs" in system.protocol and not isinstance(system.protocol, str)  # has generations of a file
        self.mirror = Mirror(system, f"{self._root}/{NAME}") if counted else None

    def put_bytes(self, data: bytes) -> str:
        sha256 = bytes_hash(data)
        self._put(sha256, len(data), lambda url, mode: self._system.pipe_file(url, data, mode=mode))
        return sha256

    def put_file(self, path: Path, take: bool = False, sha256: str | None = None) -> str:
        with disk_errors(str(path)):
            sha256 = sha256 or hash_file(path).sha256
            size = path.stat().st_size
        self._put(sha256, size, lambda url, mode: self._system.put_file(str(path), url, mode=mode))
        if take:
            with disk_errors(str(path)):
                path.unlink(missing_ok=True)
        return sha256

    def put_folder(self, folder: Path, name: str, replace: bool = False) -> str:
        is_folder(name)
        if self.size(name) is not None and not replace:
            return name
        manifest = describe_folder(folder)
        for file, entry in manifest.files.items():
            self.put_file(folder / file, False, entry.sha256)
        with bucket_errors(self.where(name)):
            self._system.pipe_file(self._manifest(name), manifest.data)
        return name

    def path(self, artifact: str) -> Path:
        copy = self._cache / artifact
        if copy.exists():
            return copy
        with disk_errors(str(self._cache)), self._scratch.attempt() as attempt:
            draft = attempt / artifact
            if is_folder(artifact):
                manifest = self.manifest(artifact)
                draft.mkdir()
                (draft / MANIFEST).write_bytes(manifest.data)
                for name, entry in manifest.files.items():
                    (draft / name).parent.mkdir(parents=True, exist_ok=True)
                    self._fetch(entry.sha256, draft / name)
            else:
                self._fetch(artifact, draft)
            self._cache.mkdir(parents=True, exist_ok=True)
            try:
                draft.rename(copy)
            except OSError:
                if not copy.is_dir():
                    raise  # else somebody fetched the same folder a moment before
        return copy

    def location(self, artifact: str) -> str:
        """Of an engine on this machine a copy, which many jobs read; else the bucket's own, which is not looked at."""
        return self._public(self._file(artifact)) if self._elsewhere else str(self.path(artifact))

    @contextmanager
    def draft(self, held: bool) -> Iterator[str]:
        if not self._elsewhere:
            with self._scratch.attempt() as folder:
                yield str(folder)
            return
        draft = f"{self._drafts}/{'held' if held else 'free'}-{uuid.uuid4().hex}"
        try:
            yield self._public(draft)
        finally:
            with suppress(StoreError):  # it must hide no error, and who takes the lease next sweeps it
                self._drop(draft)

    def take(self, url: str, sha256: str) -> str:
        """In the bucket a copy that the bucket makes; over one that is there, which so is whole again."""
        if not self._elsewhere:
            return self.put_file(Path(url), True, sha256)
        with bucket_errors(url):
            self._system.cp_file(self._system._strip_protocol(url), self._file(sha256))
        return sha256

    def leftovers(self, free: bool) -> list[tuple[str, int]]:
        found = []
        with bucket_errors(self._drafts):
            for draft in self._system.ls(self._drafts, detail=False) if self._system.isdir(self._drafts) else ():
                files = self._system.find(draft, detail=True)
                left = free if "/held-" in str(draft) else all(map(self._is_old, files))
                if left and files:
                    size = sum(int(file["size"]) for file in files.values())
                    found.append((self._public(str(draft)), size))
        return sorted(found)

    def _is_old(self, path: str) -> bool:
        return bool(clock.now() - self._system.modified(path) > DRAFT_AGE)

    def sweep(self) -> None:
        for draft, _ in self.leftovers(free=True):
            self._drop(self._system._strip_protocol(draft))

    def size(self, artifact: str) -> int | None:
        if not is_folder(artifact):
            return self._size(self._file(artifact))
        if self._size(self._manifest(artifact)) is None:
            return None
        manifest = self.manifest(artifact)
        whole = all(self._size(self._file(entry.sha256)) == entry.size for entry in manifest.files.values())
        return manifest.size if whole else None

    def manifest(self, name: str) -> Manifest:
        url = self._manifest(name)
        with bucket_errors(url):
            if not self._system.exists(url):
                raise missing_file(url, "any sha256")
            return decode_manifest(self._system.cat_file(url), url)

    def verify(self, artifact: str, expected: str) -> None:
        """The bucket's own bytes are read, not the copies; a copy that differs from them is thrown away."""
        if not is_folder(artifact):
            self._verify_file(artifact)
        else:
            manifest = self.manifest(artifact)
            if manifest.sha256 != expected:
                raise altered_file(self._manifest(artifact), expected, FileEntry(manifest.sha256, len(manifest.data)))
            for entry in manifest.files.values():
                self._verify_file(entry.sha256)
        copy = self._cache / artifact
        if not _is_copy(copy, expected):
            with disk_errors(str(copy)):
                shutil.rmtree(copy) if copy.is_dir() else copy.unlink()

    def faults(self, artifact: Artifact) -> Iterator[IntegrityError]:
        """The first one alone."""
        try:
            self.verify(artifact.id, artifact.sha256)
        except IntegrityError as error:
            yield error

    def part(self, folder: str, name: str, entry: FileEntry) -> bytes | None:  # noqa: ARG002  files have no folder here
        url = self._file(entry.sha256)
        with bucket_errors(url):
            data = self._system.cat_file(url) if self._system.exists(url) else b""
        return data if bytes_hash(data) == entry.sha256 else None

    def remove(self, artifacts: Collection[str]) -> None:
        for artifact in artifacts:
            url = self._manifest(artifact) if is_folder(artifact) else self._file(artifact)
            with bucket_errors(url):
                if self._system.exists(url):
                    self._system.rm_file(url)
            copy = self._cache / artifact
            if copy.exists():
                with disk_errors(str(copy)), self._scratch.attempt() as attempt:
                    copy.rename(attempt / artifact)

    def listed(self) -> Iterator[str]:
        parts: set[str] = set()
        with bucket_errors(self._root):
            for folder in ("folders", "artifacts"):
                if not self._system.isdir(f"{self._root}/{folder}"):
                    continue
                names = sorted(
                    str(path).rstrip("/").rsplit("/", 1)[-1]
                    for path in self._system.ls(f"{self._root}/{folder}", detail=False)
                )
                if folder == "folders":
                    parts = {entry.sha256 for name in names for entry in self.manifest(name).files.values()}
                yield from (name for name in names if name not in parts)

    def where(self, artifact: str) -> str:
        return self._manifest(artifact) if is_folder(artifact) else self._file(artifact)

    def _file(self, sha256: str) -> str:
        return f"{self._root}/artifacts/{sha256}"

    def _manifest(self, name: str) -> str:
        return f"{self._root}/folders/{name}/{MANIFEST}"

    @property
    def _drafts(self) -> str:
        return f"{self._root}/tmp"

    def _public(self, path: str) -> str:
        """A path in the bucket as everybody may open it."""
        return str(self._system.unstrip_protocol(path))

    def _drop(self, draft: str) -> None:
        with bucket_errors(draft), suppress(FileNotFoundError):
            self._system.rm(draft, recursive=True)

    def _size(self, url: str) -> int | None:
        with bucket_errors(url):
            try:
                return int(self._system.info(url)["size"])
            except FileNotFoundError:
                return None

    def _put(self, sha256: str, size: int, upload: Callable[..., None]) -> None:
        """Upload unless it is there unaltered (it is read)."""
        url = self._file(sha256)
        with bucket_errors(url):
            held = self._size(url)
            if held == size and self._hash(url) == sha256:
                return
            try:
                upload(url, mode="create" if held is None else "overwrite")
            except FileExistsError:
                return  # somebody put the same content a moment before

    def _fetch(self, sha256: str, target: Path) -> None:
        url = self._file(sha256)
        with bucket_errors(url):
            if not self._system.exists(url):
                raise missing_file(url, sha256)
            with self._system.open(url, "rb") as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
        got = hash_file(target)
        if got.sha256 != sha256:
            raise altered_file(url, sha256, got)

    def _verify_file(self, sha256: str) -> None:
        url = self._file(sha256)
        size = self._size(url)
        if size is None:
            raise missing_file(url, sha256)
        with bucket_errors(url):
            got = FileEntry(self._hash(url), size)
        if got.sha256 != sha256:
            raise altered_file(url, sha256, got)

    def _hash(self, url: str) -> str:
        with self._system.open(url, "rb") as stream:
            return file_hash(stream)


def _is_copy(copy: Path, expected: str) -> bool:
    """Whether a copy, where there is one, has the bytes that were asked for."""
    try:
        if copy.is_dir():
            check_folder(copy, expected)
        elif copy.exists():
            check_file(copy, expected)
    except IntegrityError:
        return False
    return True


@contextmanager
def bucket_errors(where: str) -> Iterator[None]:
    """Raise `StoreError` at `where` for what a bucket, its client or the local disk refuses inside the block."""
    try:
        yield
    except client_errors(ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise store_error(where, error) from error
        raise StoreError(
            where,
            expected="a bucket that answers",
            got=f"{type(error).__name__}: {error}",
            do="check that the bucket is there, the network and the credentials, then run again",
        ) from error
