"""A command that Vertex AI does whole, from the words of the command to the server of the fake, and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.conftest import Project
from tests.managed.fake_vertex import FakeVertex
from tests.managed.services import GrpcServer
from tests.managed.test_submit import SAID

RUN = ["submit", "run", "--to", "vertex"]


@pytest.fixture
def vertex() -> FakeVertex:
    """What the Vertex AI server of this test answers by."""
    return FakeVertex()


@pytest.fixture
def vertex_server(vertex: FakeVertex) -> Iterator[GrpcServer]:
    """A server that speaks Vertex AI's definition."""
    with vertex.server().running() as server:
        yield server


@pytest.fixture
def managed(
    tmp_path: Path, vertex: FakeVertex, vertex_server: GrpcServer, monkeypatch: pytest.MonkeyPatch
) -> FakeVertex:
    """Commands of this test, and of processes that it starts, meet the server of the fake."""
    said = {**SAID, "TEMPORARY": str(tmp_path / "temporary"), "VERTEX_ENDPOINT": vertex_server.url}
    for name, value in said.items():
        monkeypatch.setenv(f"NINETYFIVE_MANAGED_{name}", value)
    monkeypatch.delenv("NINETYFIVE_CRASH", raising=False)
    vertex.work = Container(tmp_path / "container").work
    return vertex


class Container:
    """Runs commands as a container does: with its own environment, in a folder where no project is to be found."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.commands: list[list[str]] = []

    def work(self, command: list[str], environment: Mapping[str, str]) -> Callable[[], str | None]:
        """Run a command to its end; how it ended is told when it is looked at."""
        self.commands.append(command)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NINETYFIVE_")}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        said = subprocess.run(
            command, cwd=self.folder, env={**kept, **environment, "PATH": path}, capture_output=True, check=False
        )
        self.told = said.stdout.decode() + said.stderr.decode()
        code = said.returncode
        return lambda: f"The replica workerpool0-0 exited with a non-zero status of {code}." if code else ""


@pytest.mark.slow
def test_a_run_as_a_pipeline_makes_the_release_of_a_run_here(
    project: Project, finished: Project, managed: FakeVertex, vertex_server: GrpcServer, tmp_path: Path
) -> None:
    said = project.command(*RUN, "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert document["release"] == finished.champion() == project.champion()
    print(document)
    assert not list((tmp_path / "temporary" / "jobs").iterdir())
