"""A thread for models that are dear: what waits when it is free goes as one batch, as far as that pays.

    request ─ submit ─▶ queue (bounded in number and in time) ─ thread ─▶ one call of the model ─▶ each its own answers

The rule: there is no timer. A request that comes alone is computed at once and alone, what came meanwhile together, but
for a model whose time grows with the rows no more of it than a short call can hold: nobody waits for who comes after.
Work whose deadline has passed, or that nobody waits for any more, is dropped before it starts. A row that cannot be
computed fails its own request, never its neighbours.
What does not belong here: cheap models, which run where they are asked (`answering`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

from ninetyfive.errors import NinetyfiveError
from ninetyfive.serve.counters import Counters
from ninetyfive.serve.loaded import Answer, Cells, Loaded
from ninetyfive.serve.messages import Limits
from ninetyfive.serve.rows import Fault

_BATCH = 512
"""Rows of one call at most, so that a late request waits for little."""
_CALL_SECONDS = 0.02
"""How long a call may take: all of a batch are answered at its end, so its first request waits for its last."""
_PAYS = 1.5
"""A batch of twice the rows is worth it, however long, where it takes at most so many times as long."""
_FORGET = 256
"""After how many calls sizes are tried again that did not pay once."""
_CERTAIN = 0.75
"""The share of the time left that may be expected to pass before an answer: the model may become slower meanwhile."""
_SMOOTH = 0.2
"""The weight of the newest call in the running mean of what a row costs."""


@dataclass(eq=False, slots=True)
class Work:
    """Rows of one request that wait for the model of `loaded`, worth nothing after `deadline` (monotonic seconds)."""

    loaded: Loaded
    rows: Sequence[Cells]
    deadline: float
    done: asyncio.Future[list[Answer]]


class Sizes:
    """How many rows one call should take at most, learnt from calls: what pays, or what a short call can hold.

    A model that takes its time for each row is called with few rows, so that nobody waits for those behind; one that
    takes its time for a call, with all that wait.

    >>> rows, call = Sizes(), Sizes()
    >>> for _ in range(100):
    ...     rows.learn(rows.most, 0.006 * rows.most)
    ...     call.learn(call.most, 0.1)
    >>> rows.most, call.most
    (2, 512)
    """

    def __init__(self) -> None:
        self.most = 1
        self._seconds: dict[int, float] = {}
        self._calls = 0

    def learn(self, rows: int, seconds: float) -> None:
        """A call with so many rows took so long."""
        size = 1 << (rows.bit_length() - 1)
        seconds *= size / rows
        known = self._seconds.get(size, seconds)
        self._seconds[size] = known + _SMOOTH * (seconds - known)
        self._calls += 1
        if self._calls % _FORGET == 0:
            self._seconds = {size: seconds for size, seconds in self._seconds.items() if size <= self.most}
        self.most = self._found()

    def _found(self) -> int:
        size = 1
        while size < _BATCH:
            now, twice = self._seconds.get(size), self._seconds.get(2 * size)
            if now is None:
                return size
            if twice is not None and twice > _CALL_SECONDS and twice > _PAYS * now:
                return size
            size *= 2
        return size


class Batching:
    """The queue before the model's thread; used from one event loop only. `row_seconds` is a running mean."""

    def __init__(self, limits: Limits, counters: Counters) -> None:
        self.limits = limits
        self.counters = counters
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._queue: deque[Work] = deque()
        self._running: list[Work] = []
        self._since = 0.0
        self.row_seconds = 0.0
        self._sizes = Sizes()
        self._sizes_of = ""
        self._driver: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Requests that wait or are computed now."""
        return len(self._queue) + len(self._running)

    @property
    def stuck(self) -> float:
        """Seconds since the call that runs now began; 0.0 where none runs."""
        return time.monotonic() - self._since if self._running else 0.0

    async def submit(self, loaded: Loaded, rows: Sequence[Cells], deadline: float) -> list[Answer]:
        """The answers for `rows`; `Fault` 503 where the queue is full or too long, 504 where the deadline passes.

        What the model raises is raised here. One that is cancelled is not computed, if it has not begun.
        """
        before = sum(len(work.rows) for work in (*self._queue, *self._running))
        expected = (before + len(rows)) * (self.row_seconds or loaded.seconds) if before else 0.0
        left = deadline - time.monotonic()
        if self.waiting >= self.limits.queue or expected > left * _CERTAIN:
            raise full()
        loop = asyncio.get_running_loop()
        work = Work(loaded, rows, deadline, loop.create_future())
        self._queue.append(work)
        if self._driver is None or self._driver.done():
            self._driver = loop.create_task(self._drive())
        try:
            return await asyncio.wait_for(work.done, left)
        except TimeoutError:
            raise late() from None

    def close(self) -> None:
        """Wait for nothing more: a call that runs is left to end with the process."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _drive(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            self._running = self._next()
            if not self._running:
                continue
            self._since = start = time.monotonic()
            call = loop.run_in_executor(self._executor, _compute, self._running)
            await asyncio.wait({call})
            seconds, failed = time.monotonic() - start, call.exception()
            batch, self._running = self._running, []
            answers: Sequence[list[Answer] | BaseException] = call.result() if failed is None else [failed] * len(batch)
            for work, answer in zip(batch, answers, strict=True):
                if work.done.done():
                    continue
                if isinstance(answer, BaseException):
                    work.done.set_exception(answer)
                else:
                    work.done.set_result(answer)
            rows = sum(len(work.rows) for work in batch)
            self.row_seconds += (seconds / rows - self.row_seconds) * (_SMOOTH if self.row_seconds else 1.0)
            if batch[0].loaded.live.release != self._sizes_of:
                self._sizes, self._sizes_of = Sizes(), batch[0].loaded.live.release
            self._sizes.learn(rows, seconds)
            self.counters.observe("model_seconds", seconds)
            self.counters.observe("batch_rows", float(rows))

    def _next(self) -> list[Work]:
        """What goes next, of one release: as much as waits and a call can take, without what nobody waits for."""
        batch: list[Work] = []
        rows, now = 0, time.monotonic()
        while self._queue:
            work = self._queue[0]
            if work.done.done() or work.deadline <= now:
                self._queue.popleft()
                continue
            if batch and (rows + len(work.rows) > self._sizes.most or work.loaded is not batch[0].loaded):
                break
            batch.append(self._queue.popleft())
            rows += len(work.rows)
        return batch


def full() -> Fault:
    """The fault of a request for which there is no room."""
    return Fault(HTTPStatus.SERVICE_UNAVAILABLE, "", "the service is full: come again later", retry=1)


def late() -> Fault:
    """The fault of a request whose deadline has passed."""
    return Fault(HTTPStatus.GATEWAY_TIMEOUT, "", "no answer in time: the deadline has passed", retry=1)


def _compute(batch: Sequence[Work]) -> list[list[Answer] | BaseException]:
    """One call for all of `batch`; the inputs of each are made apart, so that a row that cannot be fails alone."""
    if len(batch) == 1:
        return [batch[0].loaded.compute(batch[0].rows)]
    loaded = batch[0].loaded
    made: list[list[list[float]] | NinetyfiveError] = []
    for work in batch:
        try:
            made.append([loaded.model_inputs(cells) for cells in work.rows])
        except NinetyfiveError as error:
            made.append(error)
    answers = iter(loaded.predict([row for one in made if isinstance(one, list) for row in one]))
    return [[next(answers) for _ in one] if isinstance(one, list) else one for one in made]
