"""A catalog on a PostgreSQL server, for a store that several machines use.

    REPEATABLE READ, READ ONLY           a reader; it never waits
    pg_advisory_xact_lock(95, schema)    the writer, alone; READ COMMITTED, so that it sees what the one before wrote

The tables stand in the first schema of the search path, one store a schema; the database is made by who runs the
server. All waiting is bounded: for a connection, for the writer before, for an answer; and the server ends a writer
that is silent inside its transaction, so that a stopped process blocks the others no longer than `IDLE_SECONDS`.

What does not belong here: the tables (`catalog`), the same in a file (`sqlite`), and who may write (`row_leases`).
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from ninetyfive.errors import BusyError, IntegrityError, SettingsError, StoreError
from ninetyfive.store import catalog
from ninetyfive.store.failures import closed, full

CONNECT_SECONDS = 10
IDLE_SECONDS = 30.0

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_CONNECTION = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "ninetyfive",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # ms
    "prepare_threshold": None,  # a connection lives for one transaction, perhaps behind a pooler
}
_BOUNDS = text("""
    SELECT set_config('lock_timeout', :busy, true), set_config('idle_in_transaction_session_timeout', :idle, true),
    CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
        THEN set_config('synchronous_commit', 'on', true) END
""")
_ALONE = text("""
    SELECT pg_advisory_xact_lock(95, oid::int) FROM pg_namespace WHERE nspname = current_schema()
""")
_DAMAGED = text("SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()")
_REFUSALS = (  # what a server says of itself before there is a code, and what to do
    ("role ", "correct the user in catalog, or make that role"),
    ("does not exist", "make the database (createdb), or correct its name in catalog"),
    ("authentication failed", "correct the user and password in catalog, or in what they are read from"),
    ("no password supplied", "name a password: postgresql://user:${PASSWORD}@host/database, or PGPASSWORD"),
    ("too many", "end some of its connections, or let the server take more, then try again"),
    ("starting up", "wait until the server is ready, then try again"),
)
_LOST = (
    "check that the server runs and can be reached, then look at ninetyfive status: what was being written is "
    "there whole or not at all"
)


class Postgres:
    """The database that a `postgresql://` url names."""

    def __init__(self, url: str) -> None:
        try:
            parts = make_url(url)
            port = parts.port
        except (ArgumentError, ValueError):  # what they say may hold the password
            raise _wrong_url("an url that cannot be read") from None
        if parts.drivername not in _SCHEMES:
            raise _wrong_url(f"one that begins with {parts.drivername}://")
        if url.count("@") > 1 or "@" in f"{parts.host}{parts.database}":  # what stands beside it may be of the password
            raise _wrong_url("one with an @ that parts no login from the host: in a password or name it is written %40")
        self._password = parts.password
        self.where = f"postgresql://{parts.host or ''}{f':{port}' if port else ''}/{parts.database or ''}"
        try:
            engine = create_engine(
                parts.set(drivername="postgresql+psycopg"),
                connect_args={name: value for name, value in _CONNECTION.items() if name not in parts.query},
                poolclass=NullPool,
                use_native_hstore=False,
            )
        except (ArgumentError, ValueError):
            raise _wrong_url("one whose host or port cannot be read") from None
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"catalog {self.where}",
                expected="the packages of the extra 'postgres'",
                got=f"no package {error.name}",
                do="pip install 'ninetyfive[postgres]'",
            ) from error
        self.reader: Engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self.writer: Engine = engine.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=False)

    def exists(self) -> bool:
        return True

    def make(self) -> None:
        """Nothing: who runs the server makes the database."""

    def settle(self) -> None:
        """Nothing: it has kept what it acknowledged."""

    def begin_read(self, connection: Connection) -> None:
        """Nothing: the isolation of `reader` says it."""

    def begin_write(self, connection: Connection) -> None:
        bounds = {"busy": f"{catalog.BUSY_SECONDS * 1000:.0f}", "idle": f"{IDLE_SECONDS * 1000:.0f}"}
        connection.execute(_BOUNDS, bounds)
        if connection.execute(_ALONE).one_or_none() is None:
            raise StoreError(
                self.where,
                expected="a schema for the tables",
                got="a search path without one that is there",
                do="make the schema that the search path of this user, or of the url, names",
            )

    def faults(self, connection: Connection) -> list[str]:
        damaged = connection.scalar(_DAMAGED)
        return [f"the server counted {damaged} pages whose checksum is wrong"] if damaged else []

    def backup(self, connection: Connection, number: int) -> str:
        """In the same schema, as tables `backup_v1_…`: they guard against the migration, not against the server."""
        quote = connection.dialect.identifier_preparer.quote
        for name in sorted(set(inspect(connection).get_table_names()) & set(catalog.METADATA.tables)):
            copy = quote(f"backup_v{number}_{name}")
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {copy}")
            connection.exec_driver_sql(f"CREATE TABLE {copy} AS TABLE {quote(name)}")
        return f"tables backup_v{number}_…"

    def explain(self, error: DBAPIError) -> StoreError:
        code = str(getattr(error.orig, "sqlstate", None) or "")
        said = " ".join(str(error.orig).split())
        if self._password:
            said = said.replace(self._password, "***")
        if code in ("55P03", "40001", "40P01", "53300"):
            return BusyError(
                self.where,
                expected=f"the catalog within {catalog.BUSY_SECONDS:g} s",
                got="too many connections" if code == "53300" else "another process that is still writing to it",
                do="find it in pg_stat_activity (application_name is ninetyfive), let it end, then try again",
            )
        if code == "53100":
            return full(self.where, said)
        if code in ("25006", "42501"):
            return closed(self.where, said)
        if code.startswith("XX"):
            return IntegrityError(
                self.where,
                expected="a catalog that can be read",
                got=said,
                do="keep the server's files, restore the database from a backup, then run ninetyfive doctor",
            )
        if not code or code.startswith(("08", "57P")) or code == "25P03" or error.connection_invalidated:
            return self._gone(said)
        return StoreError(
            self.where,
            expected="a catalog that reads and writes",
            got=f"{said} ({code})",
            do="look into the server's log, then run ninetyfive doctor",
        )

    def _gone(self, said: str) -> StoreError:
        for words, do in _REFUSALS:
            if words in said:
                return StoreError(self.where, expected="a server that lets us in", got=said, do=do)
        return StoreError(self.where, expected="a connection to the server", got=said, do=_LOST)


def _wrong_url(got: str) -> SettingsError:
    return SettingsError(
        "catalog",
        expected="an url such as postgresql://user:${PASSWORD}@host/database",
        got=got,
        do="correct catalog in ninetyfive.toml",
    )
