"""Versions of the catalog: made, migrated after a backup, refused where it is newer than this code.

    nothing ─ create ─▶ version 4 ◀─ backup, steps, audit record: one transaction ─ version 1, 2, 3
                        version 5 ─▶ refused

Who only looks migrates nothing, and is told what does. Of two that migrate at once one does it; the other waits for the
write lock and finds it done. Killed anywhere, the old version is there whole.

What does not belong here: the tables as they are now (`catalog`), and how they are copied (`sqlite`, `postgres`).
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, inspect, select, update

from ninetyfive.errors import StoreError
from ninetyfive.store import audit
from ninetyfive.store.catalog import (
    METADATA,
    VERSION,
    Catalog,
    audit_head,
    jobs,
    leases,
    pins,
    pointers,
    tables,
    version,
)


def prepare(catalog: Catalog, actor: str, *, create: bool, migrate: bool) -> None:
    """Leave a catalog of version `VERSION`, or raise `StoreError`: where there is none, an older or a newer one."""
    if create:
        catalog.database.make()
    number = _number(catalog) if catalog.database.exists() else None
    if number is None and create:
        _create(catalog)
        catalog.database.settle()
    elif number is not None and number < VERSION and migrate:
        _migrate(catalog, actor)
    elif number != VERSION:
        raise _refused(catalog, number)


def made(catalog: Catalog) -> bool:
    """Whether there is a catalog, of any version; `StoreError` where the database cannot be asked."""
    return catalog.database.exists() and _number(catalog) is not None


def _number(catalog: Catalog) -> int | None:
    with catalog.read() as connection:
        known = inspect(connection).has_table(version.name)
        return connection.scalar(select(version.c.number)) if known else None


def _create(catalog: Catalog) -> None:
    """Make all tables in one transaction; who comes second finds them made."""
    with catalog.write() as connection:
        METADATA.create_all(connection)
        if connection.scalar(select(version.c.number)) is None:
            connection.execute(insert(version).values(number=VERSION))
            connection.execute(insert(audit_head).values(seq=0, hash=""))


def _migrate(catalog: Catalog, actor: str) -> None:
    with catalog.write() as connection:
        number = connection.scalar(select(version.c.number)) or VERSION
        if number >= VERSION:  # another process did it while this one waited
            return
        backup = catalog.database.backup(connection, number)
        for step in _STEPS[number - 1 :]:
            step(connection)
        connection.execute(update(version).values(number=VERSION))
        audit.append(connection, actor, "catalog.migrate", f"version {VERSION}", {"from": number, "backup": backup})


def _add_pins_and_leases(connection: Connection) -> None:
    pins.create(connection)
    leases.create(connection)


def _add_tables(connection: Connection) -> None:
    tables.create(connection)
    quote = connection.dialect.identifier_preparer.quote
    column = f"{quote('table')} VARCHAR(64) REFERENCES {tables.name} (id)"
    connection.exec_driver_sql(f"ALTER TABLE {pointers.name} ADD COLUMN {column}")


def _add_jobs(connection: Connection) -> None:
    jobs.create(connection)


_STEPS = (_add_pins_and_leases, _add_tables, _add_jobs)  # the first one from version 1 to 2, and so on


def _refused(catalog: Catalog, number: int | None) -> StoreError:
    expected = f"a catalog of version {VERSION}"
    if number is None:
        got = "no catalog in it" if catalog.database.exists() else "nothing there"
        return StoreError(
            catalog.where, expected="a store", got=got, do="run ninetyfive run, which creates it, or correct the place"
        )
    if number > VERSION:
        do = "upgrade ninetyfive: a newer one wrote this store"
    else:
        do = "run ninetyfive run, promote or rollback: a command that writes migrates it, after a backup"
    return StoreError(catalog.where, expected=expected, got=f"version {number}", do=do)
