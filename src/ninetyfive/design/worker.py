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

    def told(self) -> Told:
        """What the body of a good answer (status 200) says beside the predictions."""
        return _read(self.body).metadata


class Told(msgspec.Struct):
    """What answered each row, and how many of the answers were of other features than those of the request."""

    sources: list[str]
    stale: int = 0


class _Answered(msgspec.Struct):
    metadata: Told


_read = msgspec.json.Decoder(_Answered).decode


class Worker:
    """A worker that answers on one connection, which is kept open. `ModelError` once it is gone."""

    def __init__(self, config: WorkerConfig, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.config = config
        self.process = process
        self._control = control
        self._connection: socket.socket | None = None
        name = urllib.parse.quote(config.system)
        self._head = f"POST /v1/models/{name}:predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"

    def ready(self) -> None:
        """Wait until it answers; `ModelError` where it says that it cannot, says nothing, or is gone."""
        self._control.settimeout(START_SECONDS)
        said = b""
        try:
            while b"\n" not in said:
                data = self._control.recv(65_536)
                if not data:
                    break
                said += data
        except OSError as error:
            raise _gone(self.config, str(error)) from None
        report = messages.decode_report(said.partition(b"\n")[0]) if b"\n" in said else None
        if isinstance(report, messages.Refused):
            raise ModelError(**{name: report.error[name] for name in ("where", "expected", "got", "do")})
        if not isinstance(report, messages.Ready):
            told = Path(str(self.config.counters)).with_name("told").read_text(encoding="utf-8", errors="replace")
            raise _gone(self.config, told.strip()[-500:] or "it ended")

    def request(self, body: bytes) -> bytes:
        """The bytes that ask for the rows of a body."""
        return f"{self._head}content-length: {len(body)}\r\n\r\n".encode() + body

    def ask(self, request: bytes) -> Answer:
        """Send one request, and take its answer."""
        kept = self._connection
        try:
            return self._ask(kept or self._connect(), request)
        except (OSError, ValueError) as error:
            self.close()
            if kept is None:
                raise _gone(self.config, str(error) or type(error).__name__) from None
        return self.ask(request)  # a worker lets a connection go that says nothing for long

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
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> socket.socket:
        self._connection = socket.create_connection(("127.0.0.1", self.config.port), timeout=_ANSWER_SECONDS)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._connection

    @staticmethod
    def _ask(connection: socket.socket, request: bytes) -> Answer:
        """One answer; `ValueError` where it ends before its time."""
        start = time.perf_counter()
        connection.sendall(request)
        data, end, whole = b"", 3, 1
        while len(data) < whole:
            more = connection.recv(65_536)
            if not more:
                raise ValueError("it closed the connection")
            data += more
            if end < 4:
                end = data.find(b"\r\n\r\n") + 4
                whole = end + _length(data[:end]) if end > 3 else len(data) + 1
        return Answer(time.perf_counter() - start, int(data[9:12]), data[end:whole])

    def _state(self, name: str) -> float:
        try:
            return Snapshot(Path(str(self.config.counters))).values()[name]
        except (OSError, ValueError) as error:
            raise _gone(self.config, str(error)) from None


@contextlib.contextmanager
def worker(live: Live, policy: Policy, config: WorkerConfig, folder: Path) -> Iterator[Worker]:
    """A worker that answers from `live` by `policy`, once it is `ready`, with files in `folder`, which is made.

    `config` says the rest: system, limits, how requests are logged. What it tells on stderr stands in `folder`/told.
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
        listener.close()
        one = Worker(made, process, ours)
        stack.callback(one.close)
        yield one


def _length(head: bytes) -> int:
    """The length of a body, as the headers before it say."""
    place = head.lower().index(b"content-length: ") + 16
    return int(head[place : head.index(b"\r\n", place)])


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
