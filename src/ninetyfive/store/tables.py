"""Tables: which prediction tables there are, of which release each is, and whether it is good.

    put_folder ─▶ add_table: one transaction names it ─▶ promote: live, with its release (`releases`)

A table is never changed: a refresh is another one. What gc removed keeps its row, since epochs name it.
What does not belong here: what a table holds (`ninetyfive.tables`), and which one is live (`releases`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.engine import RowMapping

from ninetyfive import clock
from ninetyfive.errors import StoreError, UsageError, near_names
from ninetyfive.hashing import bytes_hash
from ninetyfive.store import catalog
from ninetyfive.store.catalog import from_json, to_json
from ninetyfive.store.failures import disk_errors
from ninetyfive.store.records import TableRecord
from ninetyfive.store.shelf import Shelf


class Tables(Shelf):
    """The verbs on tables."""

    def add_table(self, table: TableRecord) -> TableRecord:
        """Register a table whose folder was put; number, actor and time are the store's to give.

        One that is registered already stays as it is; one that was collected gets its files back. `StoreError` where
        its release is not there.
        """
        columns = catalog.tables.c
        with self.catalog.write() as connection:
            known = self._find_table(connection, table.id)
            if known is not None and not known.collected:
                return known
            self._name(connection, [table.folder])
            if known is not None:
                connection.execute(update(catalog.tables).where(columns.id == table.id).values(folder=table.folder))
                self._audit(connection, "table.restore", table.id, {"folder": table.folder})
                return msgspec.structs.replace(known, folder=table.folder)
            there = catalog.releases.c.release
            if connection.scalar(select(there).where(there == table.release)) is None:
                raise StoreError(
                    f"table {table.id[:12]}",
                    expected="a table of a release that is registered",
                    got=f"one of {table.release[:12]}",
                    do="build it for one of ninetyfive releases",
                )
            added = msgspec.structs.replace(
                table,
                number=(connection.scalar(select(func.max(columns.number))) or 0) + 1,
                created=clock.now().isoformat(),
                actor=self.actor,
            )
            document = to_json(added.document)
            values = {name: getattr(added, name) for name in TableRecord.__struct_fields__}
            connection.execute(insert(catalog.tables).values(**{**values, "document": document}))
            told = {"release": added.release, "folder": added.folder, "document": bytes_hash(document.encode())}
            self._audit(connection, "table.add", added.id, told)
            return added

    def tables(self) -> list[TableRecord]:
        """All tables, newest first; those that gc removed too."""
        with self.catalog.read() as connection:
            return self._tables(connection)

    def table(self, words: str) -> TableRecord:
        """The table with this id or unique beginning of it; `UsageError` names what there is."""
        known = {each.id: each for each in self.tables()}
        found = [each for name, each in known.items() if words and name.startswith(words)]
        if len(found) == 1:
            return found[0]
        near = near_names(words, [name[:12] for name in known])
        raise UsageError(
            f"table {words!r}",
            expected="the id of one table, or its beginning",
            got=f"{len(found)} that begin so" if found else "no such table",
            do="give more of it" if found else near + "; see ninetyfive table list",
        )

    def newest_table(self, release: str) -> TableRecord | None:
        """The newest table of a release that is there and whose gates passed; None where there is none."""
        return next((table for table in self.tables() if table.release == release and table.good), None)

    def verify_table(self, table: TableRecord) -> None:
        """Read every byte of a table; `IntegrityError` where one is altered, `StoreError` where it is gone."""
        if table.folder is None:
            raise table_gone(table)
        with disk_errors(self.artifacts.where(table.folder)):
            self._checked(table.folder)
            self.verify(table.folder)  # of a bucket, which held a copy before: its own bytes

    @contextmanager
    def open_table(self, table: TableRecord) -> Iterator[Path]:
        """The folder of a table, every byte of which is what the catalog says was stored; errors as `verify_table`."""
        if table.folder is None:
            raise table_gone(table)
        with disk_errors(self.artifacts.where(table.folder)):
            yield self._checked(table.folder)

    def _tables(self, connection: Connection) -> list[TableRecord]:
        query = select(catalog.tables).order_by(catalog.tables.c.number.desc())
        return [_table(row) for row in connection.execute(query).mappings()]

    def _find_table(self, connection: Connection, table: str) -> TableRecord | None:
        query = select(catalog.tables).where(catalog.tables.c.id == table)
        row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _table(row)


def table_gone(table: TableRecord) -> StoreError:
    """The error of a table that gc removed."""
    return StoreError(
        f"table {table.id[:12]}",
        expected="a table with its files",
        got="one whose files gc has removed",
        do=f"make another one: ninetyfive table build --release {table.release[:12]}",
    )


def _table(row: RowMapping) -> TableRecord:
    return TableRecord(**{**row, "document": from_json(row["document"])})
