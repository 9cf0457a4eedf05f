"""Collecting: what the catalog names, all of it at one moment, and how some of it is forgotten and removed.

    inventory ─▶ (somebody decides) ─▶ forget: one transaction, if nothing changed since ─▶ remove_unnamed: the files

The audit has a record of every change, so its last number says whether anything changed since the inventory. Killed
after the transaction, the files are orphans, which the next one removes. Of a release the row stays, with a folder of
what says what it was (`collected-…`), and of a table the row: pointers, runs and the audit name them, and history does
not change.

What does not belong here: what may go (`decisions.retention`), and what a release or a step reads (`steps`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, and_, delete, func, or_, select, update

from ninetyfive.errors import StoreError
from ninetyfive.store import catalog
from ninetyfive.store.artifacts import is_folder
from ninetyfive.store.catalog import from_json, to_json
from ninetyfive.store.manifests import MANIFEST
from ninetyfive.store.records import Artifact, Pin, Pointer, Release, Run, TableRecord, collected_folder
from ninetyfive.store.releases import Releases
from ninetyfive.store.runs import Runs, run_id
from ninetyfive.store.shelf import all_artifacts

_BATCH = 200


class StepRow(msgspec.Struct, frozen=True):
    """A recorded step; `size` is the bytes of its output, `output` is left empty but for the steps asked for."""

    key: str
    name: str
    run: str
    artifacts: tuple[str, ...]
    size: int
    output: dict[str, Any]


class SpanRow(msgspec.Struct, frozen=True):
    """A span and its files."""

    ingest_key: str
    span: str
    url: str
    artifacts: tuple[str, ...]


class StateRow(msgspec.Struct, frozen=True):
    """A state; `size` is the bytes that stand in the catalog, `artifact` its file where it is large."""

    key: str
    span: str
    size: int
    artifact: str | None


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """All that the catalog names at one moment; `record` is the number of the last audit record then."""

    record: int
    releases: tuple[Release, ...]
    tables: tuple[TableRecord, ...]
    history: tuple[Pointer, ...]
    pins: dict[str, Pin]
    runs: tuple[Run, ...]
    steps: tuple[StepRow, ...]
    spans: tuple[SpanRow, ...]
    states: tuple[StateRow, ...]
    artifacts: dict[str, Artifact]


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalog shall name no more.

    Releases and tables with the reason, keys of steps, (ingest key, span), (key, span).
    """

    releases: dict[str, str]
    tables: dict[str, str]
    steps: tuple[str, ...]
    spans: tuple[tuple[str, str], ...]
    states: tuple[tuple[str, str], ...]
    artifacts: tuple[str, ...]


class Collecting(Runs, Releases):
    """The verbs that look at everything, and that forget."""

    def inventory(self, outputs_of: Collection[str]) -> Inventory:
        """All that the catalog names, in one snapshot; with the outputs of the steps of these names."""
        runs = tuple(self.runs())
        with self.catalog.read() as connection:
            return Inventory(
                record=_last_record(connection),
                releases=tuple(self._releases(connection)),
                tables=tuple(self._tables(connection)),
                history=tuple(self._history(connection)),
                pins=self._pins(connection),
                runs=runs,
                steps=tuple(_steps(connection, outputs_of)),
                spans=tuple(_spans(connection)),
                states=tuple(_states(connection)),
                artifacts={artifact.id: artifact for artifact in all_artifacts(connection)},
            )

    def forget(self, what: Forgotten, record: int, keep_files: Collection[str]) -> bool:
        """Take `what` out of the catalog in one transaction, unless the audit has more than `record` records.

        Returns whether it was taken out; needs the lease. Of each release the files named in `keep_files` are kept in
        its new folder, with the list of all that it had. Files stay where they are: `remove_unnamed` removes them.
        """
        if not self._lease.held:
            raise StoreError(
                "forget", expected="the lease of the store", got="no lease", do="call it inside `with store.lease():`"
            )
        for release in what.releases:
            self._keep_evidence(release, keep_files)
        with self.catalog.write() as connection:
            if _last_record(connection) != record:
                return False
            for release, why in what.releases.items():
                self._collect(connection, release, why)
            for table, why in what.tables.items():
                self._collect_table(connection, table, why)
            _delete(connection, catalog.states, ("key", "span"), what.states)
            _delete(connection, catalog.spans, ("ingest_key", "span"), what.spans)
            _delete(connection, catalog.steps, ("key",), [(key,) for key in what.steps])
            _delete(connection, catalog.artifacts, ("id",), [(name,) for name in what.artifacts])
            told = msgspec.to_builtins(what)
            del told["releases"], told["tables"]
            if any(told.values()):
                rows = sum(len(names) for names in told.values())
                self._audit(
                    connection, "gc", f"{rows} rows", {**told, "states": sorted({key for key, _ in what.states})}
                )
        return True

    def unnamed(self) -> tuple[list[str], list[str]]:
        """What is stored and not named: files and folders of the store's own names, and what has another name.

        Those of a run at work are among them: it names them when it ends.
        """
        with self.catalog.read() as connection:
            named = {artifact.id for artifact in all_artifacts(connection)}
        own: list[str] = []
        foreign: list[str] = []
        for name in self.artifacts.listed():
            if name not in named:
                (own if _is_id(name) else foreign).append(name)
        return own, foreign

    def remove_unnamed(self) -> list[str]:
        """Remove what is stored under a name of the store's own and that the catalog does not name; needs the lease.

        Folders first: files that nothing but such a folder needs are unnamed once it is gone.
        """
        if not self._lease.held:
            raise StoreError(
                "remove_unnamed",
                expected="the lease of the store",
                got="no lease",
                do="call it inside `with store.lease():`",
            )
        removed = []
        for folders in (True, False):
            names = [name for name in self.unnamed()[0] if is_folder(name) is folders]
            self.artifacts.remove(names)
            removed += names
        return removed

    def leftovers(self) -> list[tuple[str, int]]:
        """Temporary folders that killed processes left, with their bytes; who takes the lease removes them."""
        here = [(str(folder), _bytes_in(folder)) for folder in self._scratch.leftovers()]
        return here + self.artifacts.leftovers(free=self.holder() is None)

    def _keep_evidence(self, release: str, keep_files: Collection[str]) -> None:
        """Put the folder that a release keeps; a file of it that is damaged is not kept."""
        folder = self.release(release).folder
        named = self.artifact(folder)
        files = {} if named is None or named.files is None else named.files
        with self.attempt() as attempt:
            draft = attempt / "evidence"
            draft.mkdir()
            for name in sorted(files.keys() & set(keep_files)):
                data = self.artifacts.part(folder, name, files[name])
                if data is not None:
                    (draft / name).write_bytes(data)
            (draft / f"release-{MANIFEST}").write_text(to_json(files), encoding="utf-8")
            self.artifacts.put_folder(draft, collected_folder(release), replace=True)

    def _collect(self, connection: Connection, release: str, why: str) -> None:
        """Give a release the folder that `_keep_evidence` put in place of its own."""
        here = catalog.releases.c.release == release
        folder = connection.scalar(select(catalog.releases.c.folder).where(here))
        evidence = collected_folder(release)
        connection.execute(delete(catalog.artifacts).where(catalog.artifacts.c.id == evidence))
        self._name(connection, [evidence])
        connection.execute(update(catalog.releases).where(here).values(folder=evidence))
        connection.execute(delete(catalog.artifacts).where(catalog.artifacts.c.id == folder))
        self._audit(connection, "release.collect", release, {"folder": evidence, "was": folder, "reason": why})

    def _collect_table(self, connection: Connection, table: str, why: str) -> None:
        """Leave of a table what its row says; its folder is named no more."""
        here = catalog.tables.c.id == table
        folder = connection.scalar(select(catalog.tables.c.folder).where(here))
        connection.execute(update(catalog.tables).where(here).values(folder=None))
        connection.execute(delete(catalog.artifacts).where(catalog.artifacts.c.id == folder))
        self._audit(connection, "table.collect", table, {"folder": None, "was": folder, "reason": why})


def _last_record(connection: Connection) -> int:
    return connection.scalar(select(catalog.audit_head.c.seq)) or 0


def _steps(connection: Connection, outputs_of: Collection[str]) -> Iterator[StepRow]:
    table = catalog.steps
    for row in connection.execute(select(table).order_by(table.c.run, table.c.key)):
        output = from_json(row.output) if row.name in outputs_of else {}
        artifacts = tuple(from_json(row.artifacts))
        yield StepRow(row.key, row.name, run_id(row.run), artifacts, len(row.output.encode()), output)


def _spans(connection: Connection) -> Iterator[SpanRow]:
    table = catalog.spans
    query = select(table.c.ingest_key, table.c.span, table.c.url, table.c.artifact, table.c.quarantine)
    for row in connection.execute(query.order_by(table.c.sequence)):
        files = tuple(name for name in (row.artifact, row.quarantine) if name is not None)
        yield SpanRow(row.ingest_key, row.span, row.url, files)


def _states(connection: Connection) -> Iterator[StateRow]:
    table = catalog.states
    query = select(table.c.key, table.c.span, func.coalesce(func.length(table.c.blob), 0), table.c.artifact)
    for key, span, size, artifact in connection.execute(query.order_by(table.c.key, table.c.span)):
        yield StateRow(key, span, size, artifact)


def _delete(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[str, ...]]) -> None:
    """Delete the rows with these values in these columns, some hundred at a time."""
    some = list(rows)
    for start in range(0, len(some), _BATCH):
        tests = [
            and_(*(table.c[name] == value for name, value in zip(columns, row, strict=True)))
            for row in some[start : start + _BATCH]
        ]
        connection.execute(delete(table).where(or_(*tests)))


def _bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder, as far as they are there while it is looked at."""
    found = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            found += path.lstat().st_size
    return found


def _is_id(name: str) -> bool:
    try:
        is_folder(name)
    except StoreError:
        return False
    return True
