"""The catalog: the tables that say what is true, and the two ways to look at them.

    with catalog.read() as connection:    one snapshot
    with catalog.write() as connection:   one transaction, alone (BEGIN IMMEDIATE): all of it or nothing

SQLite with a rollback journal and synchronous FULL. The journal is truncated and not deleted: the end of a transaction
is then an fsync of the journal file, while a deletion is only safe from a power cut once its folder was synced, which
SQLite leaves out under FULL. Each transaction opens its own connection (0.2 ms), so threads and forks share none.
SQL is kept to what PostgreSQL speaks too: no upsert, JSON as text, numbers given by us under the write lock.

What does not belong here: what the tables mean (`spans`, `runs`, `releases`), and files (`artifacts`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    create_engine,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ninetyfive.errors import BusyError, IntegrityError, StoreError
from ninetyfive.store.crashing import crash_point
from ninetyfive.store.failures import closed, disk_errors, full, sync

VERSION = 1
BUSY_SECONDS = 20.0

METADATA = MetaData()

version = Table("version", METADATA, Column("number", Integer, primary_key=True))
artifacts = Table(
    "artifacts",
    METADATA,
    Column("id", String(200), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("files", Text),  # JSON {path: {sha256, size}} of a folder; null: a file
)
spans = Table(
    "spans",
    METADATA,
    Column("span", String(64), nullable=False),
    Column("ingest_key", String(64), nullable=False),
    Column("sequence", BigInteger, nullable=False, unique=True),
    Column("artifact", ForeignKey("artifacts.id")),
    Column("quarantine", ForeignKey("artifacts.id")),
    Column("url", Text, nullable=False),
    Column("read", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("chunks", Text, nullable=False),  # JSON [rows]
    Column("time_min", BigInteger),  # µs
    Column("time_max", BigInteger),
    Column("schema_version", Integer, nullable=False),
    Column("details", Text, nullable=False),  # JSON
    PrimaryKeyConstraint("ingest_key", "span"),
)
states = Table(
    "states",
    METADATA,
    Column("key", String(200), nullable=False),
    Column("span", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("blob", LargeBinary),  # a small state
    Column("artifact", ForeignKey("artifacts.id")),  # a large one
    PrimaryKeyConstraint("key", "span"),
)
runs = Table(
    "runs",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("words", Text, nullable=False),
    Column("key", String(64), nullable=False, index=True),
    Column("status", String(16), nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("started", String(40), nullable=False),
    Column("ended", String(40)),
    Column("resumes", Integer, nullable=False),
    Column("release", ForeignKey("releases.release")),
    Column("document", Text, nullable=False),  # JSON
)
steps = Table(
    "steps",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("run", ForeignKey("runs.number"), nullable=False),
    Column("output", Text, nullable=False),  # JSON
    Column("artifacts", Text, nullable=False),  # JSON [id]
    Column("seconds", Float, nullable=False),
)
releases = Table(
    "releases",
    METADATA,
    Column("release", String(64), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("folder", ForeignKey("artifacts.id"), nullable=False),
    Column("run", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created", String(40), nullable=False),
    Column("document", Text, nullable=False),  # JSON
)
pointers = Table(
    "pointers",  # never changed, only appended: the row of the highest epoch is in force, so the key is the swap
    METADATA,
    Column("name", String(64), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("release", ForeignKey("releases.release"), nullable=False),
    Column("below", Integer),
    Column("action", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("since", String(40), nullable=False),
    PrimaryKeyConstraint("name", "epoch"),
)
audit = Table(
    "audit",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("time", String(40), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", Text, nullable=False),  # JSON
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
audit_head = Table(
    "audit_head",  # one row: what the last record is, so that a missing tail is seen
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
)


class Catalog:
    """The catalog in the SQLite file `path`; `create` makes it where it is missing."""

    def __init__(self, path: Path, create: bool) -> None:
        self.path = path
        self.where = str(path)
        self._commits = 0
        if not create and not path.is_file():
            raise StoreError(
                self.where, expected="a store", got="nothing there", do="run ninetyfive run, which creates it"
            )
        self._engine: Engine = create_engine("sqlite://", creator=self._connect, poolclass=NullPool)
        self._prepare(create)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent snapshot of the tables."""
        with self._errors(), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, the only writer; committed when the block ends well, else nothing of it happened."""
        with self._errors(), self._engine.begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            self._commits += 1
            crash_point(f"before commit {self._commits}")
        crash_point(f"after commit {self._commits}")

    def faults(self) -> list[str]:
        """What the database finds wrong with itself (pages, indexes, references), one text each."""
        with self.read() as connection:
            found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
            found = [] if found == ["ok"] else found
            for row in connection.exec_driver_sql("PRAGMA foreign_key_check"):
                found.append(f"table {row[0]}, row {row[1]} names a row of {row[2]} that is not there")
            return found

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path.absolute()))}?mode={'rwc' if self._creating else 'rw'}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        with ExitStack() as unless_set:
            unless_set.callback(connection.close)
            for pragma in ("journal_mode=TRUNCATE", "synchronous=FULL", "fullfsync=1", "foreign_keys=1"):
                connection.execute(f"PRAGMA {pragma}")
            unless_set.pop_all()
        return connection

    def _prepare(self, create: bool) -> None:
        self._creating = create and not self.path.is_file()
        if self._creating:
            with disk_errors(self.where):
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.read() as connection:
            known = inspect(connection).has_table("version")
            number = connection.scalar(select(version.c.number)) if known else None
        if number is None and create:
            self._create()
            self._sync_names()
        elif number != VERSION:
            raise self._wrong_version(number)
        self._creating = False

    def _create(self) -> None:
        """Make all tables in one transaction; who comes second finds them made."""
        with self.write() as connection:
            METADATA.create_all(connection)
            if connection.scalar(select(version.c.number)) is None:
                connection.execute(insert(version).values(number=VERSION))
                connection.execute(insert(audit_head).values(seq=0, hash=""))

    def _sync_names(self) -> None:
        """Make the names of catalog and journal last, and that of their folder; where that fails, throw them away.

        SQLite syncs the folder too, but does not look whether that failed.
        """
        try:
            with disk_errors(self.where):
                sync(self.path.parent)
                with suppress(PermissionError):
                    sync(self.path.parent.parent)
        except StoreError:
            if self._creating:
                for path in (self.path, self.path.with_name(self.path.name + "-journal")):
                    path.unlink(missing_ok=True)
            raise

    def _wrong_version(self, number: int | None) -> StoreError:
        do = "name the folder of a ninetyfive store"
        if number is None:
            do += "; one whose making was cut short is made whole by ninetyfive run"
        elif number > VERSION:
            do = "upgrade ninetyfive: a newer one wrote this store"
        got = "no catalog in that file" if number is None else f"version {number}"
        return StoreError(self.where, expected=f"a catalog of version {VERSION}", got=got, do=do)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._explain(error) from error

    def _explain(self, error: DBAPIError) -> StoreError:
        """What the database said, as a `StoreError` that says what to do."""
        code = str(getattr(error.orig, "sqlite_errorname", ""))
        said = str(error.orig)
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return BusyError(
                self.where,
                expected=f"the catalog within {BUSY_SECONDS:g} s",
                got="another process that is still writing to it",
                do="find what holds the file (fuser), let it end, then try again",
            )
        if code == "SQLITE_FULL":
            return full(self.where, said)
        if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            return closed(self.where, said)
        if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return IntegrityError(
                self.where,
                expected="a catalog that can be read",
                got=said,
                do="keep the file, restore it from a backup, then run ninetyfive doctor",
            )
        return StoreError(
            self.where,
            expected="a catalog that reads and writes",
            got=f"{said} ({code or 'no code'})",
            do="check the disk and its free space, then run ninetyfive doctor",
        )


def to_json(value: Any) -> str:
    """A value as JSON text, keys in their order. NaN and infinities become null."""
    return msgspec.json.encode(value).decode()


def from_json(text: str) -> Any:
    """What `to_json` wrote, as plain data."""
    return msgspec.json.decode(text)
