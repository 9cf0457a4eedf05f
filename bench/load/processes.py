"""Processes that answer: started with a socket that already listens, watched by /proc, asked, and ended.

    listen() ─ fd ─▶ start(words) ─▶ ask() until it answers ─ cpu_seconds(), memory() ─ stop()
What does not belong here: how much they answer under load (`wrk`, `generator`).
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 120.0
NOTHING = subprocess.DEVNULL
Process = subprocess.Popen[bytes]


def environment() -> dict[str, str]:
    """The environment of every contestant: one thread for each library's pool, this checkout's modules."""
    paths = [str(ROOT), str(ROOT / "src")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def listen() -> socket.socket:
    """A socket of loopback that listens, on a port that is free; what asks it waits until somebody accepts."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(1024)
    sock.set_inheritable(True)
    return sock


@dataclass
class Contestant:
    """A program that answers on `port`: its processes, and where it is asked."""

    name: str
    port: int
    path: str
    process: Process
    noise: Path
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @property
    def pids(self) -> list[int]:
        """The process and all below it."""
        return family(self.process.pid)

    def cpu_seconds(self) -> float:
        """CPU of all its processes so far."""
        return sum(map(cpu_seconds, self.pids))

    def ask(self, body: bytes, timeout: float = _PATIENCE) -> Any:
        """The JSON of one answer; raises where it is none, with what the program said."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("POST", self.path, body, dict(self.headers))
            answer = connection.getresponse()
            data = answer.read()
        except OSError as error:
            error.add_note(f"{self.name} said:\n{self.said()}")
            raise
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{self.name}: {answer.status} {data[:500]!r}\n{self.said()}")
        return json.loads(data)

    def await_answer(self, body: bytes) -> Any:
        """Ask until it answers; for programs that bind their port themselves."""
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                return self.ask(body)
            except (OSError, http.client.HTTPException):
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{self.name} does not answer\n{self.said()}") from None
                time.sleep(0.02)

    def said(self) -> str:
        """The end of what it wrote to stderr."""
        return self.noise.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """End it, and what it started."""
        below = [pid for pid in self.pids if pid != self.process.pid]
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in below:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def start(
    words: Sequence[str], noise: Path, fds: Sequence[int] = (), python: str = sys.executable
) -> subprocess.Popen[bytes]:
    """A Python process that inherits `fds`, in the root of the checkout; what it says goes to the file `noise`."""
    with noise.open("ab") as out:
        return subprocess.Popen(
            [python, *words],
            cwd=ROOT,
            env=environment(),
            pass_fds=fds,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
        )


def family(pid: int) -> list[int]:
    """A process and all below it, that live."""
    found, fresh = [], [pid]
    while fresh:
        one = fresh.pop()
        found.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                fresh += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process, 0.0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int) -> dict[str, float]:
    """MiB of a process: `pss` shares what is shared among its users, `private` is its own alone."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    return {"pss": kib["Pss"] / 1024, "private": (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024}
