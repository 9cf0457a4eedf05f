"""The catalog: the tables that say what is true, and the two ways to look at them.

    with catalog.read() as connection:    one snapshot
    with catalog.write() as connection:   one transaction, alone: all of it or nothing

A database does the rest, and there are two: `sqlite` (a file, of one machine) and `postgres` (a server, of many). Each
transaction opens its own connection, so threads and forks share none, and a server that was restarted is met anew.
SQL is kept to what both speak: no upsert, JSON as text, numbers given by us under the write lock.

What does not belong here: what the tables mean (`spans`, `runs`, `releases`), their versions (`versions`), files
(`artifacts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
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
    select,
)
from sqlalchemy.exc import DBAPIError

from ninetyfive.errors import IntegrityError, StoreError
from ninetyfive.store.crashing import crash_point

VERSION = 4
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
tables = Table(
    "tables",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("release", ForeignKey("releases.release"), nullable=False),
    Column("folder", ForeignKey("artifacts.id")),  # null: gc has removed it
    Column("as_of", String(40), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("created", String(40), nullable=False),
    Column("actor", Text, nullable=False),
    Column("words", Text, nullable=False),
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
    Column("table", ForeignKey("tables.id")),
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
pins = Table(
    "pins",
    METADATA,
    Column("release", ForeignKey("releases.release"), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("since", String(40), nullable=False),
)
leases = Table(
    "leases",  # of a shared database; a store of one machine is held by a lock of its kernel
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("token", BigInteger, nullable=False),  # grows with each holder
    Column("holder", Text, nullable=False),  # JSON; of the last one, where it is free
    Column("expires", Double, nullable=False),  # seconds of the server's clock since 1970; past: free
)
jobs = Table(
    "jobs",  # of managed services
    METADATA,
    Column("id", String(128), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("service", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("link", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created", String(40), nullable=False),
    Column("updated", String(40), nullable=False),
)


class Database(Protocol):
    """What a kind of database does in its own way; `where` names it for people, without a password."""

    where: str
    reader: Engine
    writer: Engine

    def exists(self) -> bool:
        """Whether there is a database that may hold a catalog."""
        ...

    def make(self) -> None:
        """Make the place for the tables, where that is ours to make."""
        ...

    def settle(self) -> None:
        """Make the place last, once the tables are in it."""
        ...

    def begin_read(self, connection: Connection) -> None:
        """Begin to look at one snapshot, waiting for no writer that is at work."""
        ...

    def begin_write(self, connection: Connection) -> None:
        """Become the only writer, waiting for the one before up to `BUSY_SECONDS`."""
        ...

    def faults(self, connection: Connection) -> list[str]:
        """What the database finds wrong with its own pages."""
        ...

    def backup(self, connection: Connection, number: int) -> str:
        """Copy the catalog of version `number` aside, inside the transaction that migrates it; returns where to."""
        ...

    def explain(self, error: DBAPIError) -> StoreError:
        """What the database said, as an error that says what to do."""
        ...


class Catalog:
    """The catalog in a database; `versions.prepare` makes, migrates or refuses it before anybody reads it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.where = database.where
        self.fence: Callable[[Connection], None] = unfenced
        self._commits = 0

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent snapshot of the tables."""
        with self._errors(), self.database.reader.connect() as connection:
            self.database.begin_read(connection)
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, the only writer; committed when the block ends well, else nothing of it happened.

        `fence`, set by a lease while it is held, refuses a holder who lost it.
        """
        with self._errors(), self.database.writer.begin() as connection:
            self.database.begin_write(connection)
            self.fence(connection)
            yield connection
            self._commits += 1
            crash_point(f"before commit {self._commits}")
        crash_point(f"after commit {self._commits}")

    @contextmanager
    def beside(self) -> Iterator[Connection]:
        """One transaction that waits for no writer: to prolong a lease, which only its holder does."""
        with self._errors(), self.database.writer.begin() as connection:
            yield connection

    def faults(self) -> list[str]:
        """What is wrong with the database: its pages, and rows that name others that are not there; one text each."""
        with self.read() as connection:
            found = self.database.faults(connection)
            for table in METADATA.sorted_tables:
                for key in table.foreign_keys:
                    here, there = key.parent, key.column
                    lost = select(here).where(here.is_not(None), ~select(there).where(there == here).exists())
                    found += [
                        f"table {table.name} names a row of {there.table.name} that is not there: {value}"
                        for value in connection.scalars(lost)
                    ]
            return found

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self.database.explain(error) from error


def unfenced(connection: Connection) -> None:
    """The fence of a store whose lease this process does not hold."""


def to_json(value: Any) -> str:
    """A value as JSON text, keys in their order. NaN and infinities become null."""
    return msgspec.json.encode(value).decode()


def from_json(text: str) -> Any:
    """What `to_json` wrote, as plain data; `IntegrityError` where it is none of that."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise IntegrityError(
            "catalog",
            expected="JSON",
            got=f"{text[:40]!r}: {error}",
            do="run ninetyfive doctor, which says of which row; restore the catalog from a backup you trust",
        ) from None
