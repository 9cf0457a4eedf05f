"""What runs a job of a fake service: the driver's own work with the local engine at once, or its main file with Spark.

`Cluster` is one process with one Spark session, to which main files and their arguments are given one after the other.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from ninetyfive.engines.local import LocalEngine
from ninetyfive.errors import NinetyfiveError
from ninetyfive.managed.driver import work
from ninetyfive.managed.packing import ERROR, Place, pack_error

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
