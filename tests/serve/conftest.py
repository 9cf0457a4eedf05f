"""Workers as they run: processes of their own, on a release of trips with a rule and an entity, and maybe a table."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ninetyfive.models.release import OpenRelease, open_release
from ninetyfive.serve import messages
from ninetyfive.serve.messages import Limits, Live, Log, Policy, WorkerConfig
from ninetyfive.store.manifests import MANIFEST, describe_folder
from ninetyfive.tables.about import Population, TableAbout
from ninetyfive.tables.keys import entity_key, fingerprint
from ninetyfive.tables.layout import packer
from ninetyfive.tables.writer import write_table

ROW: dict[str, Any] = {"trip": 7, "at": "2026-01-01T19:10:00", "zone": "airport", "distance": 3.5}
"""A request of trips."""
SYSTEM = "trips"
PREDICT = f"/v1/models/{SYSTEM}:predict"
EARLY = "2026-01-01T00:00:00+00:00"
EDITS = (('    later=["fare"],', '    later=["fare"],\n    entity=["zone"],'),)
RULES = {
    'trip = { type = "integer", nullable = false }': 'trip = { type = "integer", nullable = false, maximum = 1000000 }'
}


@dataclass
class Answer:
    """What a service answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Service:
    """A worker that listens on `port`; `control` is its supervisor's end."""

    port: int
    process: subprocess.Popen[bytes]
    control: socket.socket
    config: WorkerConfig
    said: list[messages.Report] = field(default_factory=list)
    _rest: bytes = b""

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, timeout: float = 30.0
    ) -> Answer:
        """One request on a connection of its own; a body that is no bytes is sent as JSON."""
        told = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            told.setdefault("Content-Type", "application/json")
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request(method, path, body, told)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def predict(self, *rows: dict[str, Any], **headers: str) -> Answer:
        """Ask for rows."""
        return self.ask(
            "POST", PREDICT, {"instances": list(rows)}, {k.replace("_", "-"): v for k, v in headers.items()}
        )

    def order(self, order: messages.Order) -> None:
        """Tell the worker."""
        self.control.sendall(messages.encode(order) + b"\n")

    def hear(self, kind: type[Any], timeout: float = 30.0) -> Any:
        """The next report of `kind`; those before it are kept in `said`."""
        self.control.settimeout(timeout)
        while True:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                self.said.append(messages.decode_report(line))
                if isinstance(self.said[-1], kind):
                    return self.said[-1]
            data = self.control.recv(65536)
            assert data, f"the worker is gone, and said {self.said}"
            self._rest += data

    def records(self) -> list[Any]:
        """What stands in the request log now."""
        from ninetyfive.serve.log import decode
        from ninetyfive.serve.segments import Segment

        assert self.config.log is not None
        found = []
        for path in sorted(Path(self.config.log.folder).glob("*")):
            segment = Segment(path.read_bytes())
            found += [decode(payload) for payload in segment.payloads()]
            assert segment.damage.records == segment.damage.bytes == 0
        return found


Start = Callable[..., Service]


@dataclass(frozen=True)
class Made:
    """A release in a folder, and its hash."""

    folder: Path
    hash: str
    opened: OpenRelease

    def answer(self, row: dict[str, Any]) -> Any:
        """What the release answers to a request."""
        return self.opened.answer(self.opened.request.row(row))

    def live(self, epoch: int = 1, number: int = 1, table: Path | None = None) -> Live:
        """This release as what shall be live."""
        name = None if table is None else f"table-{table.parent.name}"
        folder = None if table is None else str(table)
        return Live(
            epoch=epoch, release=self.hash, number=number, folder=str(self.folder), table=name, table_folder=folder
        )


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """The release of trips that the services here answer from."""
    from tests.conftest import _project

    with _project(tmp_path_factory.mktemp("served")) as project:
        project.edit(*EDITS)
        project.run(promote=False)
        schema = project.folder / "schema.toml"
        text = schema.read_text(encoding="utf-8")
        for old, new in RULES.items():
            assert old in text, text
            text = text.replace(old, new)
        schema.write_text(text, encoding="utf-8")
        project.run()
        release = project.champion()
        folder = project.release(release)
        yield Made(folder, release, open_release(folder))


@pytest.fixture
def table(made: Made, tmp_path: Path) -> Callable[..., Path]:
    """A function that makes a table of the rows it is given, answered by the release, as of a time."""

    def make(*rows: dict[str, Any], as_of: str = EARLY, name: str = "one", release: str | None = None) -> Path:
        folder = tmp_path / f"tables-{name}" / "table"
        folder.mkdir(parents=True)
        (folder.parent / "runs").mkdir()
        about = made.opened.about
        entries = []
        for row in rows:
            decoded = made.opened.request.row(row)
            key = entity_key([decoded[name] for name in about.entity])
            assert key is not None
            told = fingerprint(tuple(decoded[name] for name in made.opened.transform.inputs))
            entries.append((key, packer(0)(told, made.opened.answer(decoded))))
        said = TableAbout(
            release=release or made.hash,
            system=about.system,
            task=about.task,
            label=about.label,
            entity=about.entity,
            classes=about.classes,
            rows=0,
            as_of=as_of,
            population=Population(kind="file", urls=("rows",), sha256="", read=len(rows)),
            answers=(),
            made=as_of,
        )
        write_table(folder, said, entries, folder.parent / "runs")
        (folder / MANIFEST).write_bytes(describe_folder(folder).data)
        return folder

    return make


@contextlib.contextmanager
def listening(config: WorkerConfig, folder: Path, code: str | None = None) -> Iterator[Service]:
    """A worker process with this config; `code` is run in it before it starts."""
    ours, theirs = socket.socketpair()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    port = listener.getsockname()[1]
    config = msgspec.structs.replace(config, listen_fd=listener.fileno(), port=port)
    path = folder / f"{config.name}.json"
    path.write_bytes(msgspec.json.encode(config))
    words = ["-m", "ninetyfive.serve"]
    if code is not None:
        words = ["-c", f"{code}\nfrom ninetyfive.serve.worker import main\nmain()"]
    with (folder / f"{config.name}.err").open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, *words, str(path), "--control", str(theirs.fileno())],
            pass_fds=(listener.fileno(), theirs.fileno()),
            stderr=told,
            env=os.environ | {"PYTHONWARNINGS": "default"},
        )
    theirs.close()
    listener.close()
    service = Service(port, process, ours, config)
    try:
        yield service
    finally:
        ours.close()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def start(made: Made, tmp_path: Path) -> Iterator[Start]:
    """A function that starts a worker and waits until it is ready; all end with the test."""
    with contextlib.ExitStack() as stack:

        def begin(
            policy: Policy | None = None,
            table: Path | None = None,
            *,
            code: str | None = None,
            ready: bool = True,
            **more: Any,
        ) -> Service:
            number = len(list(tmp_path.glob("w*.json"))) + 1
            log = more.pop("log", Log(folder=str(tmp_path / f"requests-{number}")))
            config = WorkerConfig(
                name=f"w{number}",
                system=SYSTEM,
                live=more.pop("live", None) or made.live(table=table),
                policy=policy or Policy(),
                limits=more.pop("limits", Limits()),
                log=log,
                counters=str(tmp_path / f"w{number}.counters"),
                **more,
            )
            service = stack.enter_context(listening(config, tmp_path, code))
            if ready:
                service.hear(messages.Ready)
            return service

        yield begin


def eventually(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `true` gives, once that is true."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)
    return found
