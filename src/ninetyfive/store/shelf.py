"""The files of an opened store: put them, name them in the catalog, read and verify them.

    put_… ─▶ an id, counted by nobody ─▶ named in the transaction of what needs it ─▶ counted

What does not belong here: how a disk or a bucket keeps a file (`artifacts`, `buckets`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, update

from ninetyfive.errors import IntegrityError, StoreError
from ninetyfive.store import audit, catalog
from ninetyfive.store.artifacts import Artifacts, is_folder, open_file
from ninetyfive.store.catalog import Catalog, to_json
from ninetyfive.store.leases import Lease
from ninetyfive.store.manifests import Manifest, check_folder, missing_file
from ninetyfive.store.records import Artifact, FileEntry
from ninetyfive.store.scratch import Scratch


class Shelf:
    """What every part of an opened store shares: catalog, artifacts, scratch, lease, actor; and the verbs on files."""

    def __init__(self, url: str, catalog: Catalog, artifacts: Artifacts, scratch: Scratch, lease: Lease) -> None:
        self.url = url
        self.catalog = catalog
        self.artifacts = artifacts
        self.actor = ""
        self._scratch = scratch
        self._lease = lease

    @contextmanager
    def attempt(self) -> Iterator[Path]:
        """A new empty folder on the store's own disk, removed when the block ends; after a kill, by the next lease."""
        with self._scratch.attempt() as folder:
            yield folder

    @contextmanager
    def draft(self) -> Iterator[str]:
        """A new empty folder that an engine fills, removed when the block ends: its path or url.

        It is where the workers are: in the bucket for those of other machines, else on the store's own disk.
        """
        with self.artifacts.draft(self._lease.held) as url:
            yield url

    def take(self, url: str, sha256: str) -> str:
        """Store a file that an engine wrote into a `draft` once; returns its sha256, counted while it was written."""
        return self.artifacts.take(url, sha256)

    def put_bytes(self, data: bytes) -> str:
        """Store bytes once; returns their sha256, which is their id."""
        return self.artifacts.put_bytes(data)

    def put_file(self, path: str | Path, *, take: bool = False, sha256: str | None = None) -> str:
        """Store a file once; returns its sha256, which is its id.

        `take` moves it out of an attempt instead of copying it. `sha256`, where the writer counted it while it wrote,
        spares reading the file again.
        """
        return self.artifacts.put_file(Path(path), take, sha256)

    def put_folder(self, folder: str | Path, name: str) -> str:
        """Store a folder and its manifest once, under `name` (a word, a dash, a content hash); returns the name.

        A folder of that name that is whole stays as it is: the name shall say the content, but for who and when. One
        that is damaged is replaced, and the catalog told.
        """
        named = self.artifact(name)
        replace = named is not None and not self._whole(named)
        self.artifacts.put_folder(Path(folder), name, replace)
        if named is not None and replace:
            healed = self.artifacts.manifest(name)
            with self.catalog.write() as connection:
                connection.execute(
                    update(catalog.artifacts).where(catalog.artifacts.c.id == name).values(**_columns(healed))
                )
                self._audit(connection, "artifact.heal", name, {"was": named.sha256, "is": healed.sha256})
        return name

    def path(self, artifact: str) -> Path:
        """A local path of a file or folder, to be read only; `IntegrityError` where it is missing."""
        return self.artifacts.path(artifact)

    def location(self, artifact: str) -> str:
        """Where the workers of an engine read a file: a path, or an url of the bucket, unread yet."""
        return self.artifacts.location(artifact)

    def open(self, artifact: str) -> BinaryIO:
        """A file, opened for reading."""
        return open_file(self.artifacts.path(artifact))

    def read(self, artifact: str) -> bytes:
        """The bytes of a file; `IntegrityError` where they are not those that were stored."""
        self.artifacts.verify(artifact, artifact)
        with self.open(artifact) as stream:
            return stream.read()

    def artifact(self, artifact: str) -> Artifact | None:
        """What the catalog says of a file or folder; None where it does not name it."""
        is_folder(artifact)
        with self.catalog.read() as connection:
            row = connection.execute(select(catalog.artifacts).where(catalog.artifacts.c.id == artifact)).mappings()
            found = row.one_or_none()
        return None if found is None else _artifact(found)

    def present(self, artifact: str) -> bool:
        """Whether the catalog names it and all its files are there in their sizes; their bytes are not read."""
        return artifact in self._present([artifact])

    def verify(self, artifact: str) -> None:
        """Read all bytes of a named file or folder; `IntegrityError` names the file, what was expected and found."""
        named = self.artifact(artifact)
        if named is None:
            raise StoreError(
                f"artifact {artifact}",
                expected="one that the catalog names",
                got="an unknown id",
                do="list what there is with ninetyfive releases",
            )
        self.artifacts.verify(artifact, named.sha256)

    def tell(self, action: str, subject: str, details: dict[str, Any]) -> None:
        """Append an audit record of a change that stands outside the catalog (a schema that was accepted)."""
        with self.catalog.write() as connection:
            self._audit(connection, action, subject, details)

    def _whole(self, named: Artifact) -> bool:
        try:
            self.artifacts.verify(named.id, named.sha256)
        except IntegrityError:
            return False
        return True

    def _checked(self, folder: str) -> Path:
        """The path of a named folder, every byte of which is as the catalog says."""
        named = self.artifact(folder)
        if named is None:
            raise missing_file(self.artifacts.where(folder), folder)
        path = self.path(folder)
        try:
            check_folder(path, named.sha256)
        except IntegrityError:
            self.artifacts.verify(folder, named.sha256)  # of a bucket: what differs is a copy, which this throws away
            path = self.path(folder)
            check_folder(path, named.sha256)
        return path

    def _present(self, ids: Iterable[str]) -> set[str]:
        wanted = sorted(set(ids))
        with self.catalog.read() as connection:
            sizes = _sizes(connection, wanted)
        return {name for name in wanted if name in sizes and self.artifacts.size(name) == sizes[name]}

    def _name(self, connection: Connection, ids: Iterable[str | None]) -> None:
        """Name artifacts in the catalog inside a transaction; every one must be there."""
        wanted = sorted({name for name in ids if name is not None})
        sizes = _sizes(connection, wanted)
        for name in wanted:
            size = self.artifacts.size(name)
            if size is None or size != sizes.get(name, size):
                raise missing_file(self.artifacts.where(name), name)
            if name not in sizes:
                values = (
                    _columns(self.artifacts.manifest(name))
                    if is_folder(name)
                    else {"sha256": name, "size": size, "files": None}
                )
                connection.execute(insert(catalog.artifacts).values(id=name, **values))

    def _audit(self, connection: Connection, action: str, subject: str, details: dict[str, Any]) -> None:
        audit.append(connection, self.actor, action, subject, details)


def all_artifacts(connection: Connection) -> list[Artifact]:
    """All that the catalog names, in order of id."""
    rows = connection.execute(select(catalog.artifacts).order_by(catalog.artifacts.c.id)).mappings()
    return [_artifact(row) for row in rows]


def _sizes(connection: Connection, ids: list[str]) -> dict[str, int]:
    """`{id: bytes}` of those that the catalog names."""
    table = catalog.artifacts
    found: dict[str, int] = {}
    for start in range(0, len(ids), 500):
        query = select(table.c.id, table.c.size).where(table.c.id.in_(ids[start : start + 500]))
        found.update((row.id, row.size) for row in connection.execute(query))
    return found


def _columns(manifest: Manifest) -> dict[str, Any]:
    return {"sha256": manifest.sha256, "size": manifest.size, "files": to_json(manifest.files)}


def _artifact(row: RowMapping) -> Artifact:
    try:
        files = None if row["files"] is None else msgspec.json.decode(row["files"], type=dict[str, FileEntry])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(
            f"catalog, artifact {row['id']}",
            expected="the list of its files",
            got=str(error),
            do="find out who changed the catalog by hand; restore it from a backup you trust",
        ) from None
    return Artifact(row["id"], row["sha256"], row["size"], files)
