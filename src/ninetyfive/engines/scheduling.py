"""Work of many units on a few threads: chunks in any order, results of a unit in theirs, never many at once.

    unit 0: load 0 ─ work 0 ─┐                    at most `limit` chunks are open (loaded, worked on
            load 1 ─ work 1 ─┴─ fold 0, 1 ─▶      or waiting to be folded) at any time
    unit 1: …

A unit of which the number of chunks is known loads any of them, several at once; one of which it is not loads one
after the other. `fold` sees the results of a unit in the order of its chunks, one call at a time, on any thread.

What does not belong here: plans, frames, files. The first error stops what is queued and is raised.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Literal, Protocol


class Unit(Protocol):
    """One sequence of chunks, in order of which results are folded."""

    @property
    def chunks(self) -> int | None:
        """How many chunks there are; None: `load` tells the end by None."""
        ...

    def load(self, chunk: int) -> Any:
        """What `work` takes. Called for 0, 1, 2 … one at a time where `chunks` is None."""
        ...

    def work(self, chunk: int, loaded: Any) -> Any:
        """The result of a chunk; called from several threads at once."""
        ...

    def fold(self, result: Any) -> int:
        """Add the next chunk's result to what the unit makes; how many rows that was."""
        ...

    def finish(self) -> None:
        """Called once, after the last fold."""
        ...


Task = Literal["load", "work", "fold"]


class _Progress:
    """How far one unit is."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.chunks = unit.chunks
        self.sequential = self.chunks is None
        self.loading = False
        self.submitted = 0
        self.folded = 0
        self.ready: dict[int, Any] = {}
        self.folding = False
        self.done = False

    def can_load(self) -> bool:
        if self.sequential:
            return self.chunks is None and not self.loading
        return self.chunks is not None and self.submitted < self.chunks


class Schedule:
    """The units of one phase of a job on a pool of threads."""

    def __init__(self, pool: ThreadPoolExecutor, limit: int, report: Callable[[int], None]) -> None:
        self._pool = pool
        self._limit = limit
        self._report = report
        self._waiting: deque[Unit] = deque()
        self._active: list[_Progress] = []
        self._open = 0
        self._tasks: dict[Future[Any], tuple[Task, _Progress, int]] = {}

    def run(self, units: Iterable[Unit]) -> None:
        """Run all units; return when each is finished."""
        self._waiting.extend(units)
        while True:
            self._fill()
            if not self._tasks:
                return
            done, _ = wait(self._tasks, return_when=FIRST_COMPLETED)
            for future in [known for known in self._tasks if known in done]:
                task, progress, chunk = self._tasks.pop(future)
                self._settle(task, progress, chunk, future.result())

    def _fill(self) -> None:
        while self._open < self._limit:
            progress = next((known for known in self._active if known.can_load()), None)
            if progress is None:
                if not self._waiting:
                    return
                progress = _Progress(self._waiting.popleft())
                self._active.append(progress)
                self._fold(progress)
                continue
            chunk = progress.submitted
            progress.submitted += 1
            self._open += 1
            if progress.sequential:
                progress.loading = True
                self._submit("load", progress, chunk, progress.unit.load, chunk)
            else:
                self._submit("work", progress, chunk, _load_and_work, progress.unit, chunk)

    def _submit(self, task: Task, progress: _Progress, chunk: int, function: Callable[..., Any], *given: Any) -> None:
        self._tasks[self._pool.submit(function, *given)] = (task, progress, chunk)

    def _settle(self, task: Task, progress: _Progress, chunk: int, result: Any) -> None:
        if task == "load":
            progress.loading = False
            if result is None:
                progress.submitted = progress.chunks = chunk
                self._open -= 1
            else:
                self._submit("work", progress, chunk, progress.unit.work, chunk, result)
        elif task == "work":
            progress.ready[chunk] = result
        else:
            progress.folding = False
            progress.folded += chunk
            self._open -= chunk
            if progress.done:
                self._active.remove(progress)
                return
            self._report(result)
        self._fold(progress)

    def _fold(self, progress: _Progress) -> None:
        """Submit the folding of what is ready in order, or the end of the unit; a fold's `chunk` is how many."""
        if progress.folding or progress.done:
            return
        results: list[Any] = []
        while progress.folded + len(results) in progress.ready:
            results.append(progress.ready.pop(progress.folded + len(results)))
        if results:
            progress.folding = True
            self._submit("fold", progress, len(results), _fold_all, progress.unit, results)
        elif progress.folded == progress.chunks:
            progress.done = True
            self._submit("fold", progress, 0, progress.unit.finish)


def _load_and_work(unit: Unit, chunk: int) -> Any:
    return unit.work(chunk, unit.load(chunk))


def _fold_all(unit: Unit, results: list[Any]) -> int:
    return sum(unit.fold(result) for result in results)
