"""Services that really run: `ninetyfive serve` in a process of its own, over a copy of a project with two releases."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project, _project

from ninetyfive.supervise.states import ServiceState, running

ROW = {"trip": 1, "at": "2026-01-05T19:00:00", "zone": "airport", "distance": 3.0}
QUIET = {"NINETYFIVE_SERVE_LOG_MODE": "off", "NINETYFIVE_SERVE_ACCESS_LOG": "none"}
PATIENCE = 30.0
"""Seconds that anything may take here before a test gives up."""


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document


def ask(
    port: int, method: str, path: str, body: object = None, *, host: str | None = None, token: str | None = None
) -> Answer:
    """One request on a connection of its own; `body` is JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {"content-type": "application/json"} | ({} if token is None else {"authorization": f"Bearer {token}"})
    if host is not None:
        headers["host"] = host
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        got = connection.getresponse()
        return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
    finally:
        connection.close()


def until(what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `what` gives once that is true; the test fails where it never is."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


@dataclass
class Service:
    """A service of a project: its process, its ports, its tokens by scope, and what it told on stderr."""

    project: Project
    process: subprocess.Popen[bytes]
    opening: dict[str, Any]
    tokens: dict[str, str]
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.opening["url"].rpartition(":")[2])

    @property
    def admin_port(self) -> int:
        return int(self.opening["admin_url"].rpartition(":")[2])

    def admin(self, method: str, path: str, body: object = None, scope: str = "admin") -> Answer:
        """A request to the admin port, with the token of a scope."""
        return ask(self.admin_port, method, path, body, token=self.tokens[scope])

    def predict(self) -> Answer:
        """One prediction."""
        return ask(self.port, "POST", "/v1/models/trips:predict", {"instances": [ROW]})

    def release(self) -> str:
        """The release that answers now."""
        answered = self.predict()
        assert answered.status == 200, answered.body
        return str(answered.json["metadata"]["release"])

    def status(self) -> dict[str, Any]:
        return self.admin("GET", "/status").json

    def pids(self) -> list[int]:
        """The processes of the workers that answer."""
        return [one["pid"] for one in self.status()["workers"] if one["phase"] == "ready"]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [one for one in self.told if one.get("event") == name]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it, and wait for that."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that waits to be reaped has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


Start = Callable[..., Service]


@pytest.fixture(scope="session")
def pair(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with two releases, the first one live; it has a token of each scope (`KEY_FILE`)."""
    with _project(tmp_path_factory.mktemp("pair") / "project", finished.folder) as project:
        project.edit(('{"max_depth": 4}', '{"max_depth": 2}'))
        project.run(promote=False)
        system = project.load()
        keys = {scope: system.new_token(scope)["token"] for scope in ("predict", "read", "operate", "admin")}
        system.revoke_token("predict")  # a predict token makes predicting need one
        (project.folder / KEY_FILE).write_text(json.dumps(keys), encoding="utf-8")
        yield project


KEY_FILE = "keys.json"


def releases(project: Project) -> list[str]:
    """The releases of a project, oldest first."""
    with project.store() as store:
        return [one.release for one in reversed(store.releases())]


@pytest.fixture
def two(pair: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy of `pair`."""
    with _project(tmp_path / "two", pair.folder) as project:
        yield project


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts services, and ends those that a test leaves."""
    started: list[Service] = []

    def begin(project: Project, *words: str, **environment: str) -> Service:
        started.append(start_service(project, *words, **environment))
        return started[-1]

    yield begin
    for service in started:
        end_service(service)


def start_service(project: Project, *words: str, **environment: str) -> Service:
    command = [sys.executable, "-m", "ninetyfive.cli", "serve", "--json", "--port", "0", "--admin-port", "0", *words]
    process = subprocess.Popen(
        command,
        cwd=project.folder,
        env={**os.environ, **QUIET, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    told: list[dict[str, Any]] = []
    other: list[str] = []

    def hear() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            try:
                told.append(json.loads(line))
            except ValueError:
                other.append(line.decode())

    threading.Thread(target=hear, daemon=True).start()
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith(b'{"url"'), f"it did not start: {line!r} {told} {other}"
    tokens = json.loads((project.folder / KEY_FILE).read_text(encoding="utf-8"))
    return Service(project, process, json.loads(line), tokens, told)


def end_service(service: Service) -> None:
    """Kill it, and whatever of its workers is left: one that hangs holds what it tells on open."""
    started = [one["pid"] for one in service.events("worker.started")]
    left = set(started) - {one["pid"] for one in service.events("worker.ended")}
    if service.process.poll() is None:
        service.process.kill()
    service.process.wait(PATIENCE)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for stream in (service.process.stdout, service.process.stderr):
        if stream is not None:
            stream.close()


def states(project: Project) -> list[ServiceState]:
    """The states of the services of a project that run."""
    return running(project.folder / ".ninetyfive")
