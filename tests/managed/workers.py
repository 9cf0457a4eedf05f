"""What runs a job of a fake service: the driver's own work with the local engine at once, or its main file with Spark;
what the steps of a graph do at once, or the graph with Beam's own runner.

`Cluster` is one process with one Spark session, to which main files and their arguments are given one after the other.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import fsspec
import msgspec
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms import environments

from ninetyfive.engines.beam_graph import Root
from ninetyfive.engines.local import LocalEngine
from ninetyfive.engines.shipping import CarriedError, pack_error
from ninetyfive.engines.tasks import run_round, run_task
from ninetyfive.errors import NinetyfiveError
from ninetyfive.managed.driver import work
from ninetyfive.managed.packing import ERROR, Place

_LOOP = """
import runpy, sys
for line in sys.stdin:
    sys.argv = line.split()
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code
    print("ended", code, flush=True)
"""


def runs(main: str, arguments: list[str]) -> Callable[[], str | None]:
    """A worker that does the job as the driver does, and is seen running once; an error of ours is a failure."""
    folder, id = arguments
    try:
        work(Place(folder), id, lambda memory: LocalEngine(1, partition_memory=memory))
    except NinetyfiveError as error:
        Place(folder).write(f"{id}/{ERROR}", pack_error(error))
        return lambda: f"Job failed with message [{main} exited with 1]"
    seen: Iterator[str | None] = iter([None])
    return lambda: next(seen, "")


def runs_graph(graph: str) -> Callable[[], str | None]:
    """A worker that does what the steps of a staged graph do, without Beam, and is seen running once."""
    folder = graph.rpartition("/")[0]
    root = Root(folder)
    job, messages = root.job(), []
    try:
        with root.carried(), fsspec.open(f"{folder}/tasks", "rb") as stream:
            while stream.peek(1):
                messages += run_task(job, pickle.load(stream))
            for number in range(1, max(job.rounds, default=0) + 1):
                messages = list(run_round(job, number, messages))
    except CarriedError as error:
        said = f"Traceback (most recent call last): {error}"
        return lambda: said
    root.give(msgspec.msgpack.encode(one) for one in messages)
    seen: Iterator[str | None] = iter([None])
    return lambda: next(seen, "")


def runs_on_beam(graph: str) -> Callable[[], str | None]:
    """A worker that runs a staged graph with Beam's own runner, here instead of in a container."""
    proto = read_graph(graph)
    here = environments.EmbeddedPythonEnvironment.default().to_runner_api(None)
    for one in proto.components.environments.values():
        one.CopyFrom(here)
    try:
        FnApiRunner().run_via_runner_api(proto, PipelineOptions(["--direct_num_workers=1"]))
    except Exception as error:  # noqa: BLE001  as a service tells whatever its workers raised
        said = f"Traceback (most recent call last): {error}"
        return lambda: said
    return lambda: ""


def read_graph(graph: str) -> Any:
    """The pipeline that is staged at a url."""
    with fsspec.open(graph, "rb") as stream:
        return beam_runner_api_pb2.Pipeline.FromString(stream.read())


class Cluster:
    """A process that runs main files; `ran` counts them. It starts in a folder where no project is to be found."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.ran = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LOOP], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def work(self, main: str, arguments: list[str]) -> Callable[[], str | None]:
        """Run a main file to its end; how it ended is told when it is looked at."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.ran += 1
        print(main, *arguments, file=self._process.stdin, flush=True)
        line = next((line for line in self._process.stdout if line.startswith("ended ")), "ended lost")
        return lambda: "" if line.strip() == "ended 0" else f"the main file {line.strip()}"

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with self._process:  # closes its pipes, and waits for its end
            self._process.stdin.close()
