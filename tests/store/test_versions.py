"""Catalogs of other versions. `data/catalog-v1.sql` is one that version 1 of the tables wrote, as SQL."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, select, update

from ninetyfive.errors import StoreError
from ninetyfive.store import catalog
from ninetyfive.store.catalog import METADATA, Catalog
from ninetyfive.store.postgres import Postgres
from ninetyfive.store.sqlite import Sqlite

OLD = (Path(__file__).parent / "data" / "catalog-v1.sql").read_text(encoding="utf-8")
TABLES = [table for table in METADATA.sorted_tables if table.name not in ("pins", "leases")]
Rows = dict[str, list[tuple[Any, ...]]]


def database(backend: Any) -> Sqlite | Postgres:
    """The database of a backend, as it is, without a look at its version."""
    if backend.kind.startswith("postgres"):
        return Postgres(backend.catalog)
    path = backend.catalog.removeprefix("sqlite:///") or f"{backend.url}/catalog.sqlite"
    return Sqlite(Path(path))


def rows(connection: Connection, prefix: str = "") -> Rows:
    """Every row of the tables of version 1."""
    found: Rows = {}
    for table in TABLES:
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        words = f'SELECT {names} FROM "{prefix}{table.name}" ORDER BY 1, 2' if len(table.columns) > 1 else None
        read = connection.exec_driver_sql(words or f'SELECT {names} FROM "{prefix}{table.name}"')
        found[table.name] = [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in read]
    return found


def read(backend: Any, prefix: str = "") -> Rows:
    with Catalog(database(backend)).read() as connection:
        return rows(connection, prefix)


def tables(backend: Any) -> set[str]:
    with Catalog(database(backend)).read() as connection:
        return set(inspect(connection).get_table_names())


@pytest.fixture
def old(backend: Any, tmp_path: Path) -> Rows:
    """A catalog of version 1 where the backend has its own; gives its rows."""
    written = Sqlite(tmp_path / "v1.sqlite")
    with closing(sqlite3.connect(written.path)) as made:
        made.executescript(OLD)
    place = database(backend)
    with Catalog(written).read() as source:
        before = rows(source)
        if isinstance(place, Sqlite):
            place.path.parent.mkdir(exist_ok=True)
            place.path.write_bytes(written.path.read_bytes())
        else:
            with Catalog(place).write() as connection:
                METADATA.create_all(connection, TABLES)
                for table in TABLES:
                    values = source.execute(select(table)).mappings().all()
                    if values:
                        connection.execute(table.insert(), [dict(row) for row in values])
    assert read(backend) == before
    assert before["version"] == [(1,)]
    return before


def test_who_only_looks_at_an_older_catalog_is_told_what_migrates_it(old: Rows, backend: Any) -> None:
    with pytest.raises(StoreError, match=r"version 2, got version 1\. To do: run ninetyfive run"):
        backend.open(create=False)
    assert read(backend) == old
    assert tables(backend) == {table.name for table in TABLES}


@pytest.mark.parametrize("words", [{"create": True}, {"create": False, "migrate": True}])
def test_an_older_catalog_is_migrated_after_a_backup(old: Rows, backend: Any, words: dict[str, bool]) -> None:
    with backend.open(actor="ada", **words) as store:
        assert store.audit_verify() == []
        last = store.audit_records()[-1]
        assert (last.actor, last.action, last.subject) == ("ada", "catalog.migrate", "version 2")
        assert last.details["from"] == 1
        champion = store.champion()
        assert champion is not None
        assert champion.release == "e" * 64
        assert [run.status for run in store.runs()] == ["interrupted", "done"]
        assert store.states("statistics", ["b" * 64]) == {"b" * 64: b"\x00state'\xff"}
        with store.lease("run"):
            assert store.begin_run("run trips", "f" * 64).resumes == 1
    kept = backend
    if backend.kind.startswith("sqlite"):
        copy = Path(last.details["backup"])
        assert copy == database(backend).path.with_name("catalog.v1.sqlite")
        with Catalog(Sqlite(copy)).read() as connection:
            assert rows(connection) == old
    else:
        assert last.details["backup"] == "tables backup_v1_…"
        assert read(kept, "backup_v1_") == old
    with backend.open(create=False, actor="ada") as store:
        assert [record.action for record in store.audit_records()].count("catalog.migrate") == 1


@pytest.mark.parametrize("backend", ["sqlite-folder", "postgres-folder"], indirect=True)
def test_a_migrated_catalog_has_the_tables_of_a_new_one(old: Rows, backend: Any, tmp_path: Path) -> None:
    def shape() -> dict[str, Any]:
        with Catalog(database(backend)).read() as connection:
            look = inspect(connection)
            return {
                name: (
                    [(one["name"], str(one["type"]), one["nullable"]) for one in look.get_columns(name)],
                    look.get_pk_constraint(name)["constrained_columns"],
                    [(key["constrained_columns"], key["referred_table"]) for key in look.get_foreign_keys(name)],
                    sorted(index["column_names"] for index in look.get_indexes(name)),
                )
                for name in METADATA.tables
            }

    backend.open().close()
    migrated = shape()
    with Catalog(database(backend)).write() as connection:
        METADATA.drop_all(connection)
    backend.open().close()
    assert migrated == shape()


DIE = """
import os, signal, sys
from ninetyfive.store import versions
from ninetyfive.store.opening import open_store
versions._STEPS = (*versions._STEPS, lambda connection: os.kill(os.getpid(), signal.SIGKILL))
open_store(*sys.argv[1:3])
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite-folder", "postgres-folder"], indirect=True)
def test_killed_in_the_middle_the_old_version_is_there_whole(old: Rows, backend: Any) -> None:
    done = subprocess.run([sys.executable, "-c", DIE, *backend.words], check=False)
    assert done.returncode == -9
    assert read(backend) == old
    assert tables(backend) == {table.name for table in TABLES}
    with backend.open() as store:
        assert store.audit_verify() == []
    assert tables(backend) >= {"pins", "leases"}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite-folder", "postgres-folder"], indirect=True)
def test_of_processes_that_migrate_at_once_one_does(old: Rows, backend: Any) -> None:
    code = "import sys; from ninetyfive.store.opening import open_store; open_store(*sys.argv[1:3]).close()"
    workers = [subprocess.Popen([sys.executable, "-c", code, *backend.words]) for _ in range(4)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0, 0]
    with backend.open(create=False) as store:
        assert store.audit_verify() == []
        assert [record.action for record in store.audit_records()].count("catalog.migrate") == 1


def test_a_catalog_of_a_newer_version_is_refused(backend: Any) -> None:
    with backend.open() as store, store.catalog.write() as connection:
        connection.execute(update(catalog.version).values(number=99))
    for words in ({"create": True}, {"create": False}, {"create": False, "migrate": True}):
        with pytest.raises(StoreError, match=r"version 99\. To do: upgrade ninetyfive"):
            backend.open(**words)
