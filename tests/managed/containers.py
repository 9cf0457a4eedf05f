"""What runs the containers of a fake Vertex AI: a process each, as there, or this process, which is quicker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ninetyfive.managed.packing import Place
from ninetyfive.managed.vertex_custom import COMMAND
from ninetyfive.managed.worker import done

Ended = Callable[[], str | None]


class Processes:
    """Runs commands as a container does: with an environment of its own, in a folder where no project is."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.commands: list[list[str]] = []

    def work(self, command: list[str], environment: Mapping[str, str]) -> Ended:
        """Run a command to its end; how it ended is told when it is looked at."""
        self.commands.append(command)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NINETYFIVE_")}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        said = subprocess.run(command, cwd=self.folder, env={**kept, **environment, "PATH": path}, check=False)
        return ended(said.returncode)


def at_once(command: list[str], environment: Mapping[str, str]) -> Ended:
    """Do what a command says in this process, with its environment; it was done when it is looked at."""
    folder, id, *part = arguments_of(command)
    with alone(environment):
        return ended(0 if done(Place(folder), id, part[0] if part else None) else 1)


def ended(code: int) -> Ended:
    """How a container ended, in the service's words."""
    return lambda: f"The replica workerpool0-0 exited with a non-zero status of {code}." if code else ""


def arguments_of(command: list[str]) -> list[str]:
    """The folder, the id and the part that a command names: of a custom job, or of a task of a pipeline."""
    if tuple(command[: len(COMMAND)]) == COMMAND:
        return command[len(COMMAND) :]
    values = json.loads(command[command.index("--executor_input") + 1])["inputs"]["parameterValues"]
    part = command[command.index("--function_to_execute") + 1]
    assert f'.main([folder, id, "{part}"])' in command[3]
    return [values["folder"], values["id"], part]


@contextmanager
def alone(environment: Mapping[str, str]) -> Iterator[None]:
    """The environment of a container, while something is done in this process."""
    saved, here = dict(os.environ), Path.cwd()
    try:
        for name in [name for name in os.environ if name.startswith("NINETYFIVE_")]:
            del os.environ[name]
        os.environ.update(environment)
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)
        os.chdir(here)
