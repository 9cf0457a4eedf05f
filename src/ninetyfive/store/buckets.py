"""Artifacts in a bucket, through fsspec: the same files, put if absent, and local copies of what is read.

    <root>/artifacts/<sha256>              every file, those of folders too
    <root>/folders/<name>/manifest.json    which files a folder consists of; written last

A bucket has no rename: an upload is whole or is not there. A folder is its manifest, so two that put the same name at
once never mix: one manifest wins, and all its files are there. Copies are verified when they are fetched.
What does not belong here: credentials (the cloud's own way), and what is named (`catalog`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ninetyfive.errors import IntegrityError
from ninetyfive.hashing import bytes_hash
from ninetyfive.store.artifacts import check_file, is_folder
from ninetyfive.store.failures import disk_errors
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
from ninetyfive.store.records import Artifact, FileEntry
from ninetyfive.store.scratch import Scratch


class BucketArtifacts:
    """Artifacts under `root` of an fsspec file system; copies under `cache`, temporary files in `scratch` beside it."""

    def __init__(self, system: Any, root: str, cache: Path, scratch: Scratch) -> None:
        self._system = system
        self._root = root.rstrip("/")
        self._cache = cache
        self._scratch = scratch

    def put_bytes(self, data: bytes) -> str:
        sha256 = bytes_hash(data)
        self._put(self._file(sha256), len(data), partial(self._system.pipe_file, value=data))
        return sha256

    def put_file(self, path: Path, take: bool = False, sha256: str | None = None) -> str:
        with disk_errors(str(path)):
            sha256 = sha256 or hash_file(path).sha256
            size = path.stat().st_size
        self._put(self._file(sha256), size, lambda target, mode: self._system.put_file(str(path), target, mode=mode))
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
        with disk_errors(self.where(name)):
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
            if not copy.exists():
                draft.rename(copy)
        return copy

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
        with disk_errors(url):
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
        if copy.is_dir():
            check_folder(copy, expected)
        elif copy.exists():
            check_file(copy, expected)

    def faults(self, artifact: Artifact) -> Iterator[IntegrityError]:
        """The first one alone."""
        try:
            self.verify(artifact.id, artifact.sha256)
        except IntegrityError as error:
            yield error

    def part(self, folder: str, name: str, entry: FileEntry) -> bytes | None:  # noqa: ARG002  files have no folder here
        url = self._file(entry.sha256)
        with disk_errors(url):
            data = self._system.cat_file(url) if self._system.exists(url) else b""
        return data if bytes_hash(data) == entry.sha256 else None

    def remove(self, artifacts: Collection[str]) -> None:
        for artifact in artifacts:
            url = self._manifest(artifact) if is_folder(artifact) else self._file(artifact)
            with disk_errors(url):
                if self._system.exists(url):
                    self._system.rm_file(url)
            copy = self._cache / artifact
            if copy.exists():
                with disk_errors(str(copy)), self._scratch.attempt() as attempt:
                    copy.rename(attempt / artifact)

    def listed(self) -> Iterator[str]:
        parts: set[str] = set()
        with disk_errors(self._root):
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

    def _size(self, url: str) -> int | None:
        with disk_errors(url):
            try:
                return int(self._system.info(url)["size"])
            except FileNotFoundError:
                return None

    def _put(self, url: str, size: int, upload: Callable[..., None]) -> None:
        """Upload unless it is there in its size."""
        with disk_errors(url):
            held = self._size(url)
            if held == size:
                return
            try:
                upload(url, mode="create" if held is None else "overwrite")
            except FileExistsError:
                return  # somebody put the same content a moment before

    def _fetch(self, sha256: str, target: Path) -> None:
        url = self._file(sha256)
        with disk_errors(url):
            if not self._system.exists(url):
                raise missing_file(url, sha256)
            with self._system.open(url, "rb") as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
        check_file(target, sha256)

    def _verify_file(self, sha256: str) -> None:
        with self._scratch.attempt() as attempt:
            self._fetch(sha256, attempt / sha256)
