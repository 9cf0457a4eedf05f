"""The workers of a service: as many as are wanted, all on what is live, whatever becomes of any of them.

    swap     Load on one ▶ Load on all ▶ Flip on all        a Refused: Forget on all, and the old one goes on
    mend     one is gone ▶ another on what is live, at once; ever later where they die as soon as they start
    restart  another one is ready ▶ an old one drains        one after the other

The rule: one swap or restart at a time; a worker that dies meanwhile is started anew on what is live, and joins.
What does not belong here: what is to be live (`service`), and what a worker says (`workers`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from ninetyfive.errors import StoreError
from ninetyfive.serve import messages
from ninetyfive.serve.messages import Access, Live, WorkerConfig
from ninetyfive.supervise.events import tell
from ninetyfive.supervise.workers import START_SECONDS, Worker

LOAD_SECONDS = 60.0
"""How long loading and warming a release may take on a worker."""
_FLIP_SECONDS = 5.0
_STEADY_SECONDS = 5.0
_PULSE_SECONDS, _LEAST_STILL = 1.0, 3.0
_LEAST_PAUSE, _MOST_PAUSE = 0.25, 1.0
_MANY_DEATHS = 3
_KILLS = 2
_GRACE = 5.0


class Fleet:
    """`wanted` workers, started with `config` but for their names, files and what is live; their files in `folder`.

    `changed` is called whenever anything about them does.
    """

    def __init__(self, config: WorkerConfig, folder: Path, wanted: int, changed: Callable[[], None]) -> None:
        self.workers: list[Worker] = []
        self.live = config.live
        self.wanted = wanted
        self.restarts = 0
        self._config = config
        self._folder = folder
        self._told = changed
        self._turn = asyncio.Lock()
        self._nudged = asyncio.Event()
        self._numbered = 0
        self._deaths = 0
        self._not_before = 0.0
        self._spare: list[Path] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        (folder / "counters").mkdir(mode=0o700)

    @property
    def counters(self) -> Path:
        """The folder of the counters of all workers that there were."""
        return self._folder / "counters"

    @property
    def ready(self) -> list[Worker]:
        """The workers that answer requests."""
        return [worker for worker in self.workers if worker.phase == "ready"]

    @property
    def flipped(self) -> bool:
        """Whether whoever answers does so by what is live."""
        ready = self.ready
        return bool(ready) and all(one.live == self.live for one in self.workers)  # those that drain answer too

    @property
    def degraded(self) -> list[str]:
        """Why the workers are not as good as they could be."""
        found = sorted({reason for worker in self.workers for reason in worker.degraded})
        if self._deaths >= _MANY_DEATHS:
            found.append("workers die as soon as they start: see the log of the service")
        if len(self.ready) < self.wanted:
            found.append(f"{len(self.ready)} of {self.wanted} workers answer")
        return found

    async def first(self, live: Live) -> dict[str, str] | None:
        """Start the first worker; what it says against `live`, None where it answers."""
        self.live = live
        worker = await self._spawn()
        if await worker.ready():
            return None
        worker.ending = True
        await worker.gone.wait()
        return worker.refused or died("starting on it")

    async def keep(self) -> None:
        """Start a worker wherever one is missing, until this is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._nudged.clear()
            missing = self.wanted - sum(worker.counts for worker in self.workers)
            pause = self._not_before - loop.time()
            if missing > 0 and pause <= 0:
                try:
                    for _ in range(missing):
                        await self._spawn()
                except StoreError as error:
                    tell("worker.unstartable", error=error.as_dict())
                    self._died_early()
                continue
            try:
                await asyncio.wait_for(self._nudged.wait(), max(pause, 0.0) if missing > 0 else None)
            except TimeoutError:
                continue

    async def feel(self) -> None:
        """Replace a worker whose event loop stands still for as long as a call of the model may hang."""
        while True:
            await asyncio.sleep(_PULSE_SECONDS)
            for worker in self.ready:
                if worker.feel() * _PULSE_SECONDS > max(self._config.limits.hang, _LEAST_STILL):
                    worker.stuck = True
                    self._changed()

    async def swap(self, live: Live) -> dict[str, str] | None:
        """Have all workers answer by `live`; what was said against it, and then nothing has changed."""
        async with self._turn:
            loaded: set[Worker] = set()
            error = await self._load(live, loaded)
            if error is not None:
                for worker in self.workers:
                    worker.send(messages.Forget(live.epoch))
                return error
            self.live = live  # a worker that is started from now on answers by it
            flips = await asyncio.gather(*(self._flip(worker, live, worker in loaded) for worker in self.workers))
            await asyncio.gather(*(gone.wait() for gone in flips if gone is not None))
            self._told()
            return None

    async def restart(self) -> dict[str, str] | None:
        """Replace each worker, one after the other, none before its successor answers; why that was given up."""
        async with self._turn:
            for old in [worker for worker in self.workers if worker.counts]:
                new = await self._spawn()
                if not await new.ready():
                    await new.gone.wait()
                    return new.refused or died("starting in place of another")
                self.restarts += 1
                old.drain(0.0, self._config.limits.drain + _GRACE)
                self._told()
            return None

    @property
    def busy(self) -> bool:
        """Whether a swap or restart is under way."""
        return self._turn.locked()

    def admit(self, access: Access) -> None:
        """Tell all workers, those to come too, who is let in."""
        self._config = msgspec.structs.replace(self._config, access=access)
        for worker in self.workers:
            worker.send(messages.Admit(access))

    def rotate(self) -> None:
        """Have all workers end the open segments of their logs."""
        for worker in self.workers:
            worker.send(messages.Rotate())

    async def drain(self, settle: float) -> None:
        """End all workers once nothing is in flight; those that take too long are killed."""
        self._closing = True
        for worker in self.workers:
            worker.drain(settle, self._config.limits.drain + _GRACE)
        await asyncio.gather(*(worker.gone.wait() for worker in list(self.workers)))

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self.workers:
            worker.kill()

    async def _load(self, live: Live, loaded: set[Worker]) -> dict[str, str] | None:
        """Load on one worker, then on the others: one that it kills, or that refuses it, is one and not all of them."""
        loop = asyncio.get_running_loop()
        until, killed = loop.time() + LOAD_SECONDS + START_SECONDS, 0
        while True:
            loaded &= {worker for worker in self.workers if worker.counts}
            todo = [worker for worker in self.workers if worker.counts and worker not in loaded]
            if not todo and loaded:
                return None
            if killed >= _KILLS or loop.time() > until:
                return None if loaded else died("loading it")
            if not todo or (killed and not loaded and len(self.ready) < self.wanted):  # never the last that answers
                await asyncio.sleep(0.02)
                continue
            tried = todo if loaded else todo[-1:]
            for worker, answer in zip(
                tried, await asyncio.gather(*(_load_on(one, live) for one in tried)), strict=True
            ):
                if isinstance(answer, messages.Refused):
                    return answer.error
                if isinstance(answer, messages.Loaded):
                    loaded.add(worker)
                elif worker.ready_at is not None:
                    killed += 1
                    worker.kill()  # where it only was late
                    await worker.gone.wait()

    async def _flip(self, worker: Worker, live: Live, loaded: bool) -> asyncio.Event | None:
        """Flip one; the event of its end where it cannot, as it was started meanwhile, or hangs: another takes over."""
        if not worker.counts or worker.live == live or (loaded and await worker.flip(live, _FLIP_SECONDS)):
            return None
        worker.ending = True
        worker.kill()
        return worker.gone

    async def _spawn(self) -> Worker:
        self._numbered += 1
        counters = self._spare.pop() if self._spare else self.counters / f"{self._numbered}.counters"
        config = msgspec.structs.replace(
            self._config, name=f"w{self._numbered}", live=self.live, counters=str(counters)
        )
        try:
            worker = await Worker.start(config, self._folder, self._changed)
        except StoreError:
            self._spare.append(counters)
            raise
        self.workers.append(worker)
        if config.access is not self._config.access:  # that changed while it was started
            worker.send(messages.Admit(self._config.access))
        tell("worker.started", worker=worker.name, pid=worker.pid, epoch=config.live.epoch)
        self._watch(self._outlive(worker))
        return worker

    async def _outlive(self, worker: Worker) -> None:
        """Take note of the end of a worker."""
        await worker.gone.wait()
        loop = asyncio.get_running_loop()
        self.workers.remove(worker)
        if worker.counters is not None:
            self._spare.append(worker.counters)
        (self._folder / f"{worker.name}.json").unlink(missing_ok=True)
        said = {} if worker.refused is None else {"refused": worker.refused}
        tell("worker.ended", worker=worker.name, pid=worker.pid, code=worker.process.returncode, **said)
        if not worker.ending and not self._closing:
            self.restarts += 1
            if worker.ready_at is None or loop.time() - worker.ready_at < _STEADY_SECONDS:
                self._died_early()
        self._changed()

    def _died_early(self) -> None:
        """Wait a little before the next one, and ever longer."""
        self._deaths += 1
        pause = min(_LEAST_PAUSE * 2 ** (self._deaths - 1), _MOST_PAUSE)
        self._not_before = asyncio.get_running_loop().time() + pause

    def _changed(self) -> None:
        loop = asyncio.get_running_loop()
        for worker in self.workers:
            if worker.phase == "ready" and worker.ready_at is not None and self._deaths:
                loop.call_later(_STEADY_SECONDS, self._steady, worker)
            if worker.stuck and worker.phase == "ready":
                worker.phase = "draining"
                tell("worker.stuck", worker=worker.name, pid=worker.pid)
                self._watch(self._replace(worker))
        self._nudged.set()
        self._told()

    def _steady(self, worker: Worker) -> None:
        if worker.phase == "ready":
            self._deaths = 0
            self._told()

    async def _replace(self, stuck: Worker) -> None:
        """End a worker that hangs, once another answers in its place; nobody waits for its answers after a deadline."""
        loop = asyncio.get_running_loop()
        until = loop.time() + START_SECONDS
        while len(self.ready) < self.wanted and loop.time() < until:
            await asyncio.sleep(0.05)
        stuck.drain(0.0, self._config.limits.deadline + 1.0)

    def _watch(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _load_on(worker: Worker, live: Live) -> messages.Report | None:
    return await worker.load(live, LOAD_SECONDS) if await worker.ready() else None


def died(when: str) -> dict[str, str]:
    """What is said against a release by a worker that says nothing any more."""
    return {
        "kind": "ModelError",
        "where": "worker",
        "expected": "a worker that answers",
        "got": f"one that died, or hung, {when}",
        "do": "see what it told on stderr before; the release that answered before goes on",
    }
