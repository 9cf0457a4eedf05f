"""Look up: the answer of an entity, from a file that is mapped and shared by all who have it open.

    key ─▶ table.mdb ─▶ fingerprint, answers

The rule: what is opened is whole, and is the table of the release that asks. After that a look-up checks nothing but
the key, and reads no more than a few pages. What does not belong here: what a fingerprint that differs means (`serve`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lmdb
import msgspec

from ninetyfive.errors import IntegrityError
from ninetyfive.store.failures import disk_errors
from ninetyfive.store.manifests import Manifest, check_folder, read_manifest
from ninetyfive.tables.about import VERSION, TableAbout
from ninetyfive.tables.keys import HASHED
from ninetyfive.tables.layout import ABOUT, ENTRIES, FINGERPRINT, answers_struct

_DO = "ninetyfive rollback to the table before it, or make a new one: ninetyfive table build"


class Table:
    """A table in a folder, opened for reading, to be looked up from any number of threads; close it at the end.

    `IntegrityError` where a byte of it is not what was stored, where it is of another `release`, or looked up by other
    columns than `entity`, where that is given. With `checked` somebody has just read every byte of the folder, and only
    the sizes are looked at. The folder must not be removed while it is open.
    """

    def __init__(self, folder: Path, *, release: str, checked: bool, entity: Sequence[str] | None = None) -> None:
        manifest = _sized(folder) if checked else check_folder(folder)
        self.about = read_about(folder, manifest)
        _check(folder, self.about, release, entity)
        answers = answers_struct(len(self.about.classes))
        self._answers = answers.unpack_from
        self._end = FINGERPRINT.size + answers.size
        with _lmdb_errors(folder):
            self._environment = lmdb.open(
                str(folder / ENTRIES), subdir=False, readonly=True, lock=False, create=False, readahead=False
            )
            self._transaction = self._environment.begin()
            self.size: int = self._transaction.stat()["entries"]
        self._get = self._transaction.get
        if self.size != self.about.rows:
            self.close()
            raise _wrong(folder / ENTRIES, f"{self.about.rows} entries", f"{self.size}")

    def get(self, key: bytes) -> tuple[int, tuple[float, ...]] | None:
        """Fingerprint and answers of the entity with this `entity_key`; None where it is not here.

        There is one answer, or one a class; NaN says that there is none. A hashed key is answered where the whole key
        beside the answer has that hash.
        """
        found = self._get(key)
        if found is None:
            return None
        if key[:1] == HASHED and hashlib.sha256(found[self._end :]).digest() != key[1:]:
            return None
        (fingerprint,) = FINGERPRINT.unpack_from(found)
        return fingerprint, self._answers(found, FINGERPRINT.size)

    def keys(self) -> Iterator[bytes]:
        """Every key, whole also where it is stored by its hash, in the order of the table."""
        for key, found in self._transaction.cursor():
            yield found[self._end :] if key[:1] == HASHED else key

    def close(self) -> None:
        """Let the file go; no look-up may be under way."""
        self._transaction.abort()
        self._environment.close()


def read_about(folder: Path, manifest: Manifest) -> TableAbout:
    """What table.json of a folder says; `IntegrityError` where it says nothing readable."""
    path = folder / ABOUT
    if set(manifest.files) != {ABOUT, ENTRIES}:
        raise _wrong(folder, f"a table: {ABOUT} and {ENTRIES}", ", ".join(sorted(manifest.files)) or "no files")
    with disk_errors(str(path)):
        data = path.read_bytes()
    try:
        about = msgspec.json.decode(data, type=TableAbout)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _wrong(path, f"a table of version {VERSION}", str(error)) from None
    if about.version != VERSION:
        raise _wrong(path, f"a table of version {VERSION}", f"version {about.version}")
    return about


def _sized(folder: Path) -> Manifest:
    """The manifest, where the files have the sizes that it says: a mapped file that was cut would kill the process."""
    manifest = read_manifest(folder)
    for name, entry in manifest.files.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != entry.size:
            raise _wrong(path, f"{entry.size} bytes", "no file" if size is None else f"{size} bytes")
    return manifest


def _check(folder: Path, about: TableAbout, release: str, entity: Sequence[str] | None) -> None:
    if about.release != release:
        raise _wrong(folder, f"a table of release {release[:12]}", f"one of release {about.release[:12]}")
    if entity is not None and about.entity != tuple(entity):
        raise _wrong(folder, f"a table looked up by {', '.join(entity)}", f"one by {', '.join(about.entity)}")


@contextmanager
def _lmdb_errors(folder: Path) -> Iterator[None]:
    """Turn what LMDB refuses into an `IntegrityError`."""
    try:
        yield
    except lmdb.Error as error:
        raise _wrong(folder / ENTRIES, "a table that can be read", str(error)) from error


def _wrong(where: Path, expected: str, got: str) -> IntegrityError:
    return IntegrityError(str(where), expected=expected, got=got, do=_DO)
