"""Open-loop load: requests at times drawn beforehand, whether or not the ones before are answered.

    python -m bench.load.generator PLAN.json      writes the outcome of each request to the plan's `out`
                                                  SIGTERM: no more requests, but the answers of those that were sent

    Poisson arrivals ─▶ a connection that is idle, else a new one ─▶ status, release, right or wrong, latency

Latency runs from the *intended* time of a request, so a request that had to wait for the generator is not flattered.
The generator says how late it was itself (`lag`): a run in which it lagged by more than a millisecond (p99) is void.
Time comes from a timerfd, as an event loop's own timers are whole milliseconds. It is one process with one thread.
What does not belong here: what is made of the outcomes (`overload`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import uvloop

LAG = 0.001
"""How late the generator itself may be, in seconds, at p99."""
_GRACE = 5.0
_CLOCK_MONOTONIC, _ABSOLUTE, _NONBLOCK = 1, 1, os.O_NONBLOCK


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: `rate` a second for `seconds`, bodies in turn from a file (a line each), answers by release.

    `begin` is when the first second starts, by the monotonic clock. `connections` are opened before it.
    """

    port: int
    path: str
    rate: float
    seconds: float
    begin: float
    bodies: str
    answers: dict[str, list[float]]
    out: str
    seed: int = 95
    connections: int = 64


class Outcome(msgspec.Struct, array_like=True):
    """What came of one request; times in seconds since the beginning.

    `status`: of the answer; 0: the connection was refused or reset, -1: no answer at all. `right`: the answer is that
    of its own row by the release that it names. `retry`: it says when to come again.
    """

    intended: float
    sent: float
    done: float = -1.0
    status: int = -1
    right: bool = False
    retry: bool = False
    release: str = ""


class _Metadata(msgspec.Struct):
    release: str


class _Answer(msgspec.Struct):
    predictions: list[float]
    metadata: _Metadata


_decode = msgspec.json.Decoder(_Answer).decode


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """The times of a Poisson process, in order; the same for the same seed.

    >>> len(arrivals(1000.0, 10.0, 1)), arrivals(2.0, 1.5, 1) == arrivals(2.0, 1.5, 1)
    (9987, True)
    """
    chance, at, times = random.Random(seed), 0.0, []
    while (at := at + chance.expovariate(rate)) < seconds:
        times.append(at)
    return times


class Client(asyncio.Protocol):
    """One kept-alive connection: a request at a time."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.transport: Any = None
        self.waiting: tuple[Outcome, int] | None = None
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        """Send what waited for the connection."""
        self.transport = transport
        if self.waiting is not None:
            transport.write(self.load.requests[self.waiting[1]])

    def send(self, outcome: Outcome, which: int) -> None:
        """Send a request, now or as soon as there is a connection."""
        self.waiting = (outcome, which)
        if self.transport is not None:
            self.transport.write(self.load.requests[which])

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        self._data += data
        head, found, rest = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        low = head.lower()
        length = int(low.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length or self.waiting is None:
            return
        (outcome, which), self.waiting, self._data = self.waiting, None, rest[length:]
        outcome.done = time.monotonic() - self.load.begin
        outcome.status = int(head[9:12])
        outcome.retry = b"\r\nretry-after:" in low
        if outcome.status == 200:
            self.load.judge(outcome, which, rest[:length])
        if b"\r\nconnection: close" in low:
            self.transport.close()
        else:
            self.load.idle.append(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Whoever waited here got no answer."""
        if self.waiting is not None:
            outcome, _ = self.waiting
            outcome.done, outcome.status, self.waiting = time.monotonic() - self.load.begin, 0, None
        elif self in self.load.idle:
            self.load.idle.remove(self)


class Load:
    """A run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.begin = plan.begin
        lines = Path(plan.bodies).read_bytes().splitlines()
        head = f"POST {plan.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: "
        self.requests = [head.encode() + str(len(line)).encode() + b"\r\n\r\n" + line for line in lines]
        self.idle: list[Client] = []
        self.outcomes: list[Outcome] = []
        self.opened = 0
        self._times = arrivals(plan.rate, plan.seconds, plan.seed)
        self._next = 0
        self._over = asyncio.Event()
        self._timer = _Timer()
        self._tasks: set[asyncio.Task[None]] = set()

    def judge(self, outcome: Outcome, which: int, body: bytes) -> None:
        """Whether the answer is the one of this row by the release that it names."""
        said = _decode(body)
        outcome.release = said.metadata.release
        right = self.plan.answers.get(outcome.release)
        outcome.right = right is not None and abs(said.predictions[0] - right[which]) <= 1e-6

    async def run(self) -> None:
        """All of it; returns when the last answer is there, or nobody can wait for it any more."""
        loop = asyncio.get_running_loop()
        for _ in range(self.plan.connections):
            client = Client(self)
            await loop.create_connection(lambda client=client: client, "127.0.0.1", self.plan.port)  # type: ignore[misc]
            self.idle.append(client)
        gc.collect()
        gc.freeze()
        gc.disable()
        loop.add_reader(self._timer.fd, self._due)
        loop.add_signal_handler(signal.SIGTERM, self._end)
        self._timer.set(self.begin + self._times[0])
        await self._over.wait()
        end = time.monotonic() + _GRACE
        while time.monotonic() < end and any(outcome.status == -1 for outcome in self.outcomes):
            await asyncio.sleep(0.05)

    def _end(self) -> None:
        """Send no more."""
        asyncio.get_running_loop().remove_reader(self._timer.fd)
        self._over.set()

    def _due(self) -> None:
        """Send all that is due."""
        self._timer.read()
        times, begin = self._times, self.begin
        while self._next < len(times):
            now = time.monotonic() - begin
            intended = times[self._next]
            if intended > now:
                self._timer.set(begin + intended)
                return
            outcome, which = Outcome(intended, now), self._next % len(self.requests)
            self.outcomes.append(outcome)
            self._next += 1
            client = self._free()
            if client is not None:
                client.send(outcome, which)
            else:
                self._open(outcome, which)
        self._over.set()

    def _free(self) -> Client | None:
        while self.idle:
            client = self.idle.pop()
            if not client.transport.is_closing():
                return client
        return None

    def _open(self, outcome: Outcome, which: int) -> None:
        client = Client(self)
        client.waiting = (outcome, which)
        self.opened += 1
        task = asyncio.get_running_loop().create_task(self._connect(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, client: Client) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", self.plan.port)
        except OSError as error:
            client.connection_lost(error)


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanos", ctypes.c_long))


class _Spec(ctypes.Structure):
    _fields_ = (("interval", _Time), ("value", _Time))


class _Timer:
    """A timerfd of the monotonic clock."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def set(self, at: float) -> None:
        """Be readable at this time; at once where it has passed."""
        nanos = max(1, int(at * 1e9))
        spec = _Spec(_Time(0, 0), _Time(nanos // 10**9, nanos % 10**9))
        self._libc.timerfd_settime(self.fd, _ABSOLUTE, ctypes.byref(spec), None)

    def read(self) -> None:
        """Be unreadable again."""
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return


def main() -> None:
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    with contextlib.suppress(PermissionError):  # whoever measures must not wait for who is measured; only root may
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    sys.setswitchinterval(1.0)
    load = Load(plan)
    uvloop.run(load.run())
    Path(plan.out).write_bytes(msgspec.msgpack.encode(load.outcomes))


if __name__ == "__main__":
    main()
