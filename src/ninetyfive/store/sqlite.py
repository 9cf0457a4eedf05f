"""A catalog in a SQLite file, for a store that one machine uses.

    BEGIN             a reader; it waits only while a writer commits
    BEGIN IMMEDIATE   the writer, alone

A rollback journal and synchronous FULL. The journal is truncated and not deleted: the end of a transaction is then an
fsync of the journal file, while a deletion is only safe from a power cut once its folder was synced, which SQLite
leaves out under FULL. A connection costs 0.2 ms.

What does not belong here: the tables (`catalog`), and the same on a server (`postgres`).
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ninetyfive.durable import sync
from ninetyfive.errors import BusyError, IntegrityError, StoreError
from ninetyfive.store import catalog
from ninetyfive.store.failures import closed, disk_errors, full


class Sqlite:
    """The SQLite file `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)
        self._fresh = False
        self.reader = self.writer = create_engine("sqlite://", creator=self._connect, poolclass=NullPool)

    def exists(self) -> bool:
        return self.path.is_file()

    def make(self) -> None:
        """An empty file, in a private folder where that is new too."""
        self._fresh = not self.path.is_file()
        if self._fresh:
            with disk_errors(self.where):
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self.path.touch()

    def settle(self) -> None:
        """The names of file, journal and folder; where that fails, what was made is thrown away.

        SQLite syncs the folder too, but does not look whether that failed.
        """
        try:
            with disk_errors(self.where):
                sync(self.path.parent)
                with suppress(PermissionError):
                    sync(self.path.parent.parent)
        except StoreError:
            if self._fresh:
                for path in (self.path, self.path.with_name(self.path.name + "-journal")):
                    path.unlink(missing_ok=True)
            raise

    def begin_read(self, connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    def begin_write(self, connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def faults(self, connection: Connection) -> list[str]:
        found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def backup(self, connection: Connection, number: int) -> str:
        """Beside the catalog, as `catalog.v1.sqlite`: what is committed, whole, and on the disk."""
        del connection  # it is writing, and SQLite copies nothing from one that is
        target = self.path.with_suffix(f".v{number}{self.path.suffix}")
        draft = target.with_name(target.name + ".new")
        with disk_errors(str(target)):
            draft.unlink(missing_ok=True)
            with closing(self._connect()) as source, closing(sqlite3.connect(draft)) as copy:
                source.backup(copy)
            sync(draft)
            draft.replace(target)
            sync(target.parent)
        return str(target)

    def explain(self, error: DBAPIError) -> StoreError:
        code = str(getattr(error.orig, "sqlite_errorname", ""))
        said = str(error.orig)
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return BusyError(
                self.where,
                expected=f"the catalog within {catalog.BUSY_SECONDS:g} s",
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

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path.absolute()))}?mode=rw",
            uri=True,
            timeout=catalog.BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        with ExitStack() as unless_set:
            unless_set.callback(connection.close)
            for pragma in ("journal_mode=TRUNCATE", "synchronous=FULL", "fullfsync=1", "foreign_keys=1"):
                connection.execute(f"PRAGMA {pragma}")
            unless_set.pop_all()
        return connection
