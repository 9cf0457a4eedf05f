"""A manifest says what a folder holds: `{path: sha256, size}`, in a file `manifest.json` inside it.

    release-ab12…/
      manifest.json    {"files": {"model.onnx": {"sha256": "…", "size": 1234}, …}, "version": 1}
      model.onnx …

`check_folder` is all that a reader of one folder needs: no catalog, no SQLAlchemy.
What does not belong here: where folders are kept (`artifacts`, `buckets`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ninetyfive.errors import IntegrityError, StoreError
from ninetyfive.hashing import bytes_hash, file_hash
from ninetyfive.store.failures import disk_errors
from ninetyfive.store.records import FileEntry

MANIFEST = "manifest.json"
NO_FILE, NO_FOLDER, NOT_LISTED, CUT = "no file", "no such folder", "a file that is not listed", " bytes: it was cut"
READABLE = "a manifest that can be read"


class Manifest(msgspec.Struct, frozen=True):
    """The files of a folder, by their paths in it ("/" between parts), sorted; `manifest.json` itself is not listed."""

    files: dict[str, FileEntry]
    version: int = 1

    @property
    def data(self) -> bytes:
        """The bytes of `manifest.json`; equal manifests, equal bytes."""
        return msgspec.json.encode(self, order="deterministic")

    @property
    def sha256(self) -> str:
        """Sha256 (64 hex digits) of `data`: it covers every file of the folder."""
        return bytes_hash(self.data)

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.files.values())


def decode_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in the bytes of a `manifest.json`; `IntegrityError` where they hold none."""
    try:
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _altered(where, READABLE, str(error)) from None


def describe_folder(folder: Path) -> Manifest:
    """The manifest of the files that a folder holds now; each is read once.

    `StoreError` where the folder holds a link, a special file or its own `manifest.json`.
    """
    entries: dict[str, FileEntry] = {}
    with disk_errors(str(folder)):
        for path in sorted(folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() or not path.is_file() or name == MANIFEST:
                raise StoreError(
                    str(path),
                    expected=f"plain files, none named {MANIFEST}",
                    got="a reserved name" if name == MANIFEST else "a link or special file",
                    do="write plain files into the folder; the store adds the manifest",
                )
            entries[name] = hash_file(path)
    return Manifest(entries)


def hash_file(path: Path) -> FileEntry:
    """Sha256 and size of the bytes of a file, read once."""
    with path.open("rb") as stream:
        return FileEntry(file_hash(stream), os.fstat(stream.fileno()).st_size)


def check_folder(folder: Path, expected: str | None = None) -> Manifest:
    """Read every file of a folder and compare it with the manifest; the manifest with `expected`, its sha256.

    Returns the manifest. Raises `IntegrityError`, which names the first file that is missing, altered or not listed.
    """
    manifest = read_manifest(folder, expected)
    for error in folder_faults(folder, manifest):
        raise error
    return manifest


def folder_faults(folder: Path, manifest: Manifest) -> Iterator[IntegrityError]:
    """The error of each file of a folder that is missing, altered or not listed in `manifest`."""
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - {MANIFEST}
    for name, entry in manifest.files.items():
        if name not in present:
            yield missing_file(str(folder / name), entry.sha256)
            continue
        with disk_errors(str(folder / name)):
            got = hash_file(folder / name)
        if got.sha256 != entry.sha256:
            yield altered_file(str(folder / name), entry.sha256, got, entry.size)
        elif got.size != entry.size:
            yield _altered(str(folder / MANIFEST), f"{got.size} bytes for {name}", f"{entry.size} bytes")
    for name in sorted(present - set(manifest.files)):
        yield _altered(str(folder / name), f"only the files that {MANIFEST} lists", NOT_LISTED)


def read_manifest(folder: Path, expected: str | None = None) -> Manifest:
    """The manifest of a folder; `IntegrityError` where it is missing, or its sha256 is not `expected`."""
    path = folder / MANIFEST
    if not path.is_file():
        raise missing_file(str(path), expected or "any sha256")
    with disk_errors(str(path)):
        data = path.read_bytes()
    manifest = decode_manifest(data, str(path))
    if expected is not None and bytes_hash(data) != expected:
        raise _altered(str(path), f"sha256 {expected}", f"sha256 {bytes_hash(data)}")
    return manifest


def missing_file(where: str, expected: str) -> IntegrityError:
    """The error of a file that is gone, or of a folder, which is expected by its name."""
    if "-" in expected:
        return _altered(where, "the folder that was stored there", NO_FOLDER)
    return _altered(where, f"a file with sha256 {expected}", NO_FILE)


def altered_file(where: str, expected: str, got: FileEntry, size: int | None = None) -> IntegrityError:
    """The error of a file whose bytes are not those that were stored; `size` is how many those were, where known."""
    if size is not None and got.size < size:
        return _altered(where, f"{size} bytes with sha256 {expected}", f"{got.size}{CUT}")
    return _altered(where, f"sha256 {expected}", f"sha256 {got.sha256}")


def _altered(where: str, expected: str, got: str) -> IntegrityError:
    return IntegrityError(
        where,
        expected=expected,
        got=got,
        do="restore it from a backup, or delete it and run again: what can be computed anew is",
    )
