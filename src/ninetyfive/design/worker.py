"""A worker of one's own for as long as a block lasts: what it costs, and one connection on which it is asked.

    config ─▶ python -m ninetyfive.serve ─▶ Ready ─ asked over HTTP ─▶ its CPU, its memory ─▶ killed
                 └── control stream: a worker whose parent is gone ends by itself

The rule: what is measured is the worker that serves, with its request log, on a port that the system chooses; it is
told apart from others by its own process and folder, and outlives neither the block nor this process.
What does not belong here: what is asked (`traffic`), and what the figures mean (`costs`, `proof`).
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from ninetyfive.errors import ModelError
from ninetyfive.serve import messages
from ninetyfive.serve.connections import SWEEP
from ninetyfive.serve.counters import Snapshot
from ninetyfive.serve.messages import Live, Policy, WorkerConfig

START_SECONDS = 60.0
"""How long a worker may take until it answers."""
_ANSWER_SECONDS = 30.0
_PROC = Path("/proc")


class Answer(NamedTuple):
    """One answer: how many seconds it took, its status, its body."""

    seconds: float
    status: int
    body: bytes


class Worker:
    """A worker that answers on one connection, which is kept open. `ModelError` once it is gone."""

    def __init__(self, config: WorkerConfig, process: subprocess.Popen[bytes], port: int) -> None:
        self.config = config
        self.process = process
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_SECONDS)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = urllib.parse.quote(config.system)
        self._head = f"POST /v1/models/{name}:predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"

    def request(self, body: bytes) -> bytes:
        """The bytes that ask for the rows of a body."""
        return f"{self._head}content-length: {len(body)}\r\n\r\n".encode() + body

    def ask(self, request: bytes) -> Answer:
        """Send one request, and take its answer."""
        start = time.perf_counter()
        try:
            self._connection.sendall(request)
            data = self._connection.recv(65_536)
            end = data.find(b"\r\n\r\n") + 4
            while end < 4:
                data += self._more()
                end = data.find(b"\r\n\r\n") + 4
            head = data[:end].lower()
            place = head.index(b"content-length: ") + 16
            whole = end + int(head[place : head.index(b"\r\n", place)])
            while len(data) < whole:
                data += self._more()
        except (OSError, ValueError) as error:
            raise _gone(self.config, str(error) or type(error).__name__) from None
        return Answer(time.perf_counter() - start, int(data[9:12]), data[end:whole])

    def cpu(self) -> float:
        """Seconds of CPU that its process has used."""
        found = [_ran(task) for task in (_PROC / str(self.process.pid) / "task").glob("*/schedstat")]
        if found:
            return sum(found)
        time.sleep(2 * SWEEP)
        return self._state("cpu_seconds")

    def memory(self) -> int:
        """Bytes of memory that it takes: its share of what it shares with others, where the system tells."""
        with contextlib.suppress(OSError, ValueError):
            told = (_PROC / str(self.process.pid) / "smaps_rollup").read_text()
            return sum(int(line.split()[1]) for line in told.splitlines() if line.startswith("Pss:")) * 1024
        return int(self._state("resident_bytes"))

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def _more(self) -> bytes:
        data = self._connection.recv(65_536)
        if not data:
            raise ValueError("it closed the connection")
        return data

    def _state(self, name: str) -> float:
        try:
            return Snapshot(Path(str(self.config.counters))).values()[name]
        except (OSError, ValueError) as error:
            raise _gone(self.config, str(error)) from None


@contextlib.contextmanager
def worker(live: Live, policy: Policy, config: WorkerConfig, folder: Path) -> Iterator[Worker]:
    """A worker that answers from `live` by `policy`, with files in `folder` of its own, which is made.

    `config` says the rest: system, limits, how requests are logged. `ModelError` where it does not start; what it told
    on stderr stands in `folder`/told.
    """
    folder.mkdir(parents=True)
    log = None if config.log is None else msgspec.structs.replace(config.log, folder=str(folder / "requests"))
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        made = msgspec.structs.replace(
            config,
            live=live,
            policy=policy,
            log=log,
            counters=str(folder / "counters"),
            listen_fd=listener.fileno(),
            port=listener.getsockname()[1],
            access_log="none",
        )
        ours, theirs = socket.socketpair()
        stack.enter_context(ours)
        process = _started(made, folder, listener, theirs)
        stack.callback(_ended, process)
        _wait(made, ours, folder)
        one = Worker(made, process, made.port)
        stack.callback(one.close)
        yield one


def _started(
    config: WorkerConfig, folder: Path, listener: socket.socket, control: socket.socket
) -> subprocess.Popen[bytes]:
    path = folder / "config.json"
    path.write_bytes(messages.encode(config))
    path.chmod(0o600)
    words = ["-P", "-m", "ninetyfive.serve", str(path), "--control", str(control.fileno())]
    with control, (folder / "told").open("wb") as told:
        return subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            cwd=folder,
            pass_fds=(control.fileno(), listener.fileno()),
            start_new_session=True,
        )


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _wait(config: WorkerConfig, control: socket.socket, folder: Path) -> None:
    """Until it is ready; `ModelError` where it says that it cannot, says nothing, or is gone."""
    control.settimeout(START_SECONDS)
    said = b""
    try:
        while b"\n" not in said:
            data = control.recv(65_536)
            if not data:
                break
            said += data
    except OSError as error:
        raise _gone(config, str(error)) from None
    report = messages.decode_report(said.partition(b"\n")[0]) if b"\n" in said else None
    if isinstance(report, messages.Ready):
        return
    if isinstance(report, messages.Refused):
        raise ModelError(**report.error)
    told = (folder / "told").read_text(encoding="utf-8", errors="replace").strip()
    raise _gone(config, told[-500:] or "it ended")


def _gone(config: WorkerConfig, got: str) -> ModelError:
    return ModelError(
        f"a worker of release {config.live.release[:12]}",
        expected="answers",
        got=got,
        do="see whether `ninetyfive serve` starts, and measure again",
    )


def _ran(schedstat: Path) -> float:
    """Seconds that a thread has run; 0.0 where it has just ended."""
    try:
        return int(schedstat.read_text().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
