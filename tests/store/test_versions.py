"""Catalogs of other versions. `data/catalog-v1.sql` is one that version 1 of the tables wrote, as SQL, and so on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BLOB, DOUBLE, Connection, Double, LargeBinary, MetaData, inspect, select, update

from ninetyfive.errors import StoreError
from ninetyfive.store import catalog
from ninetyfive.store.catalog import METADATA, VERSION, Catalog
from ninetyfive.store.postgres import Postgres
from ninetyfive.store.sqlite import Sqlite

VERSIONS = range(1, VERSION)
OLD = {n: (Path(__file__).parent / "data" / f"catalog-v{n}.sql").read_text(encoding="utf-8") for n in VERSIONS}
NEW = {1: {"pins", "leases", "tables", "jobs"}, 2: {"tables", "jobs"}, 3: {"jobs"}}
"""The tables that a version did not have."""
Rows = dict[str, list[tuple[Any, ...]]]


def database(backend: Any) -> Sqlite | Postgres:
    """The database of a backend, as it is, without a look at its version."""
    if backend.kind.startswith("postgres"):
        return Postgres(backend.catalog)
    path = backend.catalog.removeprefix("sqlite:///") or f"{backend.url}/catalog.sqlite"
    return Sqlite(Path(path))


@dataclass
class Old:
    """A catalog of an older version: its number, its tables as they were, and their rows."""

    number: int
    shape: MetaData
    rows: Rows

    def read(self, connection: Connection, prefix: str = "") -> Rows:
        """Every row of the tables of that version."""
        found: Rows = {}
        for table in self.shape.sorted_tables:
            names = ", ".join(f'"{column.name}"' for column in table.columns)
            order = " ORDER BY 1, 2" if len(table.columns) > 1 else ""
            read = connection.exec_driver_sql(f'SELECT {names} FROM "{prefix}{table.name}"{order}')
            found[table.name] = [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in read]
        return found


def reflected(connection: Connection) -> MetaData:
    """The tables of a SQLite catalog, with types that a server knows too."""
    shape = MetaData()
    shape.reflect(connection)
    for column in (column for table in shape.tables.values() for column in table.columns):
        column.autoincrement = False
        if isinstance(column.type, BLOB):
            column.type = LargeBinary()
        elif isinstance(column.type, DOUBLE):
            column.type = Double()
    return shape


def read(backend: Any, old: Old, prefix: str = "") -> Rows:
    with Catalog(database(backend)).read() as connection:
        return old.read(connection, prefix)


def tables(backend: Any) -> set[str]:
    with Catalog(database(backend)).read() as connection:
        return set(inspect(connection).get_table_names())


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, backend: Any, tmp_path: Path) -> Old:
    """A catalog of each older version where the backend has its own."""
    written = Sqlite(tmp_path / "old.sqlite")
    with closing(sqlite3.connect(written.path)) as made:
        made.executescript(OLD[request.param])
    place = database(backend)
    with Catalog(written).read() as source:
        found = Old(request.param, reflected(source), {})
        found.rows = found.read(source)
        if isinstance(place, Sqlite):
            place.path.parent.mkdir(exist_ok=True)
            place.path.write_bytes(written.path.read_bytes())
        else:
            with Catalog(place).write() as connection:
                found.shape.create_all(connection)
                for table in found.shape.sorted_tables:
                    values = source.execute(select(table)).mappings().all()
                    if values:
                        connection.execute(table.insert(), [dict(row) for row in values])
    assert read(backend, found) == found.rows
    assert found.rows["version"] == [(found.number,)]
    assert set(found.shape.tables) == set(METADATA.tables) - NEW[found.number]
    return found


def test_who_only_looks_at_an_older_catalog_is_told_what_migrates_it(old: Old, backend: Any) -> None:
    with pytest.raises(StoreError, match=rf"version 4, got version {old.number}\. To do: run ninetyfive run"):
        backend.open(create=False)
    assert read(backend, old) == old.rows
    assert tables(backend) == set(old.shape.tables)


@pytest.mark.parametrize("words", [{"create": True}, {"create": False, "migrate": True}])
def test_an_older_catalog_is_migrated_after_a_backup(old: Old, backend: Any, words: dict[str, bool]) -> None:
    with backend.open(actor="ada", **words) as store:
        assert store.audit_verify() == []
        last = store.audit_records()[-1]
        assert (last.actor, last.action, last.subject) == ("ada", "catalog.migrate", "version 4")
        assert last.details["from"] == old.number
        champion = store.champion()
        assert champion is not None
        assert (champion.release, champion.table) == ("e" * 64, None)
        assert set(store.pins()) == ({"e" * 64} if old.number > 1 else set())
        assert store.tables() == []
        assert store.jobs() == []
        assert [run.status for run in store.runs()] == ["interrupted", "done"]
        assert store.states("statistics", ["b" * 64]) == {"b" * 64: b"\x00state'\xff"}
        with store.lease("run"):
            assert store.begin_run("run trips", "f" * 64).resumes == 1
    kept = backend
    if backend.kind.startswith("sqlite"):
        copy = Path(last.details["backup"])
        assert copy == database(backend).path.with_name(f"catalog.v{old.number}.sqlite")
        with Catalog(Sqlite(copy)).read() as connection:
            assert old.read(connection) == old.rows
    else:
        assert last.details["backup"] == f"tables backup_v{old.number}_…"
        assert read(kept, old, f"backup_v{old.number}_") == old.rows
    with backend.open(create=False, actor="ada") as store:
        assert [record.action for record in store.audit_records()].count("catalog.migrate") == 1


@pytest.mark.parametrize("backend", ["sqlite-folder", "postgres-folder"], indirect=True)
def test_a_migrated_catalog_has_the_tables_of_a_new_one(old: Old, backend: Any, tmp_path: Path) -> None:
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
def test_killed_in_the_middle_the_old_version_is_there_whole(old: Old, backend: Any) -> None:
    done = subprocess.run([sys.executable, "-c", DIE, *backend.words], check=False)
    assert done.returncode == -9
    assert read(backend, old) == old.rows
    assert tables(backend) == set(old.shape.tables)
    with backend.open() as store:
        assert store.audit_verify() == []
    assert tables(backend) >= NEW[1]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite-folder", "postgres-folder"], indirect=True)
def test_of_processes_that_migrate_at_once_one_does(old: Old, backend: Any) -> None:
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
