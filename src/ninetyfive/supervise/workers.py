"""One worker as its supervisor sees it: a process, the stream to it, and what it said last.

    starting ──Ready──▶ ready ──Drain──▶ draining ──▶ gone        kill -9, a crash, Refused: gone at once

The rule: nothing waits for a worker for ever. What is asked is answered, or None comes when it is gone or late.
What does not belong here: how many there are, and what is done when one is gone (`fleet`).
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from ninetyfive.serve import messages
from ninetyfive.serve.counters import PLACES, STATES, Counters, Snapshot
from ninetyfive.serve.messages import Live, Order, Report, WorkerConfig
from ninetyfive.store.failures import disk_errors
from ninetyfive.supervise.events import tell

START_SECONDS = 60.0
"""How long a worker may take until it answers requests."""
_END_SECONDS = 5.0
_LINE = 2**20


class Worker:
    """A worker that was started with `config`; `changed` is called whenever it says something, and when it is gone."""

    def __init__(self, config: WorkerConfig, process: asyncio.subprocess.Process, changed: Callable[[], None]) -> None:
        self.name = config.name
        self.live = config.live
        self.process = process
        self.counters = Path(config.counters) if config.counters else None
        self.phase: Literal["starting", "ready", "draining", "gone"] = "starting"
        self.degraded: tuple[str, ...] = ()
        self.stuck = False
        self.ending = False
        """Whether its end is wanted."""
        self.refused: dict[str, str] | None = None
        self.ready_at: float | None = None
        self.gone = asyncio.Event()
        self._pulse: float | None = None
        self._still = 0
        self._changed = changed
        self._settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked: dict[tuple[type[Report], int], asyncio.Future[Report | None]] = {}
        self._stream: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, config: WorkerConfig, folder: Path, changed: Callable[[], None]) -> Worker:
        """Start a process for `config`, which is written into `folder`; `StoreError` where that cannot be."""
        with disk_errors(str(folder)):
            return await cls._start(config, folder, changed)

    @classmethod
    async def _start(cls, config: WorkerConfig, folder: Path, changed: Callable[[], None]) -> Worker:
        path = folder / f"{config.name}.json"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(messages.encode(config))
        ours, theirs = socket.socketpair()
        passed = [theirs.fileno(), *([] if config.listen_fd is None else [config.listen_fd])]
        words = (sys.executable, "-P", "-m", "ninetyfive.serve", str(path), "--control", str(theirs.fileno()))
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *words,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=sys.stderr.fileno(),  # stdout is for the one object that `serve` prints
                    cwd=folder,
                    pass_fds=passed,
                    start_new_session=True,  # Ctrl-C is the supervisor's: it drains its workers
                )
            except BaseException:
                ours.close()
                raise
        worker = cls(config, process, changed)
        ours.setblocking(False)
        reader, worker._stream = await asyncio.open_connection(sock=ours, limit=_LINE)
        worker._listening = asyncio.create_task(worker._listen(reader))
        asyncio.get_running_loop().call_later(START_SECONDS, worker._kill_if_starting)
        return worker

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    @property
    def counts(self) -> bool:
        """Whether it answers requests, or soon will."""
        return self.phase in ("starting", "ready") and not self.stuck

    async def ready(self) -> bool:
        """Wait until it answers requests; False: it never will."""
        return await asyncio.shield(self._settled)

    def send(self, order: Order) -> None:
        """Tell it something; nothing happens where it is gone."""
        if self._stream is not None and self.phase != "gone":
            with suppress(ConnectionError):
                self._stream.write(messages.encode(order) + b"\n")

    async def load(self, live: Live, seconds: float) -> Report | None:
        """Have it load `live` beside what it answers by: `Loaded` or `Refused`; None: it is gone, or late."""
        return await self._ask(messages.Load(live), (messages.Loaded, messages.Refused), live.epoch, seconds)

    async def flip(self, live: Live, seconds: float) -> bool:
        """Have it answer by what it loaded; False: it is gone, or late."""
        flipped = await self._ask(messages.Flip(live.epoch), (messages.Flipped,), live.epoch, seconds)
        if flipped is not None:
            self.live = live
        return flipped is not None

    def drain(self, settle: float, seconds: float) -> None:
        """Have it end once nothing is in flight; after `seconds` more it is killed."""
        if self.phase != "gone":
            self.phase, self.ending = "draining", True
            self._settle(False)
            self.send(messages.Drain(settle))
            asyncio.get_running_loop().call_later(settle + seconds, self.kill)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.process.kill()

    def feel(self) -> int:
        """For how many of these calls in a row its event loop has not turned: it counts its CPU time as it does."""
        try:
            found = Snapshot(self.counters).values()["cpu_seconds"] if self.counters is not None else None
        except (OSError, ValueError):
            found = None
        still = self.phase == "ready" and found is not None and found == self._pulse
        self._pulse, self._still = found, self._still + 1 if still else 0
        return self._still

    async def _ask(self, order: Order, answers: tuple[type[Report], ...], epoch: int, seconds: float) -> Report | None:
        answered: asyncio.Future[Report | None] = asyncio.get_running_loop().create_future()
        if self.phase == "gone":
            return None
        self._asked |= {(kind, epoch): answered for kind in answers}
        self.send(order)
        try:
            return await asyncio.wait_for(answered, seconds)
        except TimeoutError:
            return None
        finally:
            for kind in answers:
                self._asked.pop((kind, epoch), None)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Hear what it says until it is gone."""
        try:
            while line := await reader.readline():
                self._heard(messages.decode_report(line))
                self._changed()
        except (ConnectionError, ValueError) as error:  # a line too long, or none of ours
            tell("worker.garbled", worker=self.name, error=str(error))
        finally:
            await self._end()

    def _heard(self, report: Report) -> None:
        if isinstance(report, messages.Ready):
            if self.phase == "starting":
                self.phase, self.ready_at = "ready", asyncio.get_running_loop().time()
            self._settle(self.phase == "ready")
        elif isinstance(report, messages.State):
            self.degraded, self.stuck = report.degraded, report.stuck
        elif not isinstance(report, messages.Drained):
            waiting = self._asked.get((type(report), report.epoch))
            if waiting is not None and not waiting.done():
                waiting.set_result(report)
            elif isinstance(report, messages.Refused) and self.phase == "starting":
                self.refused = report.error

    async def _end(self) -> None:
        """It closed its stream: it ends by itself, or is ended."""
        try:
            await asyncio.wait_for(self.process.wait(), _END_SECONDS)
        except TimeoutError:
            self.kill()
            await self.process.wait()
        self.phase = "gone"
        if self._stream is not None:
            self._stream.close()
        if self.counters is not None:
            _zero_states(self.counters)
        self._settle(False)
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_result(None)
        self.gone.set()
        self._changed()

    def _settle(self, ready: bool) -> None:
        if not self._settled.done():
            self._settled.set_result(ready)

    def _kill_if_starting(self) -> None:
        if self.phase == "starting":
            tell("worker.late", worker=self.name, seconds=START_SECONDS)
            self.kill()


def _zero_states(path: Path) -> None:
    """A worker that is gone counts on, as what it counted; it is in no state any more."""
    with suppress(OSError):
        counters = Counters(path)
        for name in STATES:
            counters.set(PLACES[name], 0.0)
