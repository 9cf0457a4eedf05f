"""A nursery: a process that has imported everything once, and forks one process for each command it is asked for.

    Nursery ─ JSON line ─▶ python -m tests.store.nursery ─ fork ─▶ ninetyfive run … (its own process, its own folder)
                                     └ strace -p child, before the child goes on

A run of the small system then takes a third of a second instead of three. The child is a process of its own in all
that matters to a store: its own pid, its own descriptors, its own main(); only what Python has imported is inherited.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]
LIMITS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
TRACED = "rename,renameat,renameat2,fsync,fdatasync,write,pwrite64"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (minus the signal that killed it), stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object on stdout."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


class Nursery:
    """The other end of the process; used in a `with`."""

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NINETYFIVE_")}
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.nursery"],
            cwd=ROOT,
            env={**environment, **LIMITS, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        folder: Path,
        words: Sequence[str],
        *,
        env: dict[str, str] | None = None,
        inject: str | None = None,
        threads: bool = False,
    ) -> Ended:
        """Run a command in `folder`; `inject` is what strace injects ("": nothing, it only looks on).

        With it, `folder/trace` is what strace saw: of the main thread, or of all `threads`, each of which it counts by
        itself.
        """
        for name in ("out", "err", "trace"):
            (folder / name).unlink(missing_ok=True)
        asked = {"folder": str(folder), "words": list(words), "env": env or {}, "inject": inject, "threads": threads}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, "the nursery is gone"
        texts = [(folder / name).read_text(errors="replace") for name in ("out", "err")]
        return Ended(json.loads(line)["code"], *texts)

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        if self._process.stdout is not None:
            self._process.stdout.close()


def serve() -> None:
    """Fork for each line of stdin, and say on stdout how the child ended."""
    _import_all()
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"code": _child(asked)}), flush=True)


def _child(asked: dict[str, Any]) -> int:
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(ready, 1)
        os.close(ready)
        os._exit(_command(asked))
    os.close(ready)
    tracer = None if asked["inject"] is None else _attach(child, asked)
    os.close(go)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if tracer is not None:
        tracer.communicate(timeout=60)
    return code


def _attach(child: int, asked: dict[str, Any]) -> subprocess.Popen[str]:
    """Trace the main thread of the child, which does nearly all that is done on the disk; counts are then exact."""
    words = ["strace", "-y", "-s", "0", "-o", f"{asked['folder']}/trace", "-e", f"trace={TRACED}", "-e", "signal=none"]
    if asked["threads"]:
        words += ["-f"]
    if asked["inject"]:
        words += ["-e", f"inject={asked['inject']}"]
    tracer = subprocess.Popen([*words, "-p", str(child)], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    assert "attached" in said, said
    return tracer


def _command(asked: dict[str, Any]) -> int:
    """What the process `ninetyfive WORDS` does, from its main() on."""
    from ninetyfive.cli import main

    os.chdir(asked["folder"])
    os.environ.update(asked["env"])
    for number, name in ((1, "out"), (2, "err")):
        opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["ninetyfive", *asked["words"]]
    code: object = 70  # of a main() that raised: the text of what it raised is on stderr
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    finally:
        if code == 70:
            traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code if isinstance(code, int) else 0


def _import_all() -> None:
    """Import what a run imports, so that a fork has it: found by a run in a child, which tells its modules."""
    from tests.store.small import small_system

    import ninetyfive.cli.commands
    import ninetyfive.run  # noqa: F401

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "warm"
        child = os.fork()
        if child == 0:  # all work is done in children: a process whose libraries have begun threads is not to be forked
            small_system(folder)
            _command({"folder": str(folder), "words": ["run", "--json"], "env": {}})
            (Path(scratch) / "modules").write_text(json.dumps(sorted(sys.modules)))
            os._exit(0)
        os.waitpid(child, 0)
        names = json.loads((Path(scratch) / "modules").read_text())
        shutil.rmtree(folder)
    for name in names:
        if name not in sys.modules and name != "system" and importlib.util.find_spec(name.partition(".")[0]):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, every page that it shares with this process


if __name__ == "__main__":
    serve()
