"""Runs plans on this machine: Polars on a few threads, bounded memory, a shuffle that spills to disk.

    phase 1    every part that any `Read` names, once: chunk ─▶ Map … ─▶ partial results ─▶ folded per span
    phase 2 …  each `Shuffle` after those it reads: partition ─▶ function ─▶ chunks ─▶ the same

Memory: chunks in flight (`threads` + 2), one partition per thread, one writer per span in work, and `memory` bytes of
rows that gather for shuffles; beyond that they spill to the temporary folder. States are folded as they come.

What does not belong here: what is done to a chunk (`chunks`), who meets whom (`partitioning`), how files
look (`writing`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from threading import Event
from typing import Any

import polars as pl

from ninetyfive.engines.chunks import End, Evaluation, ends_of, merging_of, met, nothing_of, one_frame, pieces_of
from ninetyfive.engines.graph import Graph, declared, graph_of
from ninetyfive.engines.partitioning import PARTITION_LEVEL, check_room
from ninetyfive.engines.parts import PartReads, parts_of
from ninetyfive.engines.scheduling import Schedule
from ninetyfive.engines.scratch import scratch
from ninetyfive.engines.spilling import Buffers
from ninetyfive.engines.writing import Folder, SpanWriter
from ninetyfive.errors import PlanError
from ninetyfive.plan import PARTITION_MEMORY, Plan, Reduce, Shuffle, Write
from ninetyfive.progress import RowProgress


class LocalEngine:
    """An `Engine` of this machine; see `plan.Engine` for what `run` gives.

    `threads` (default: the processors this process may use), `memory` in bytes for rows that gather for shuffles,
    `temporary` folder for what does not fit (default: the system's), `progress(rows done, rows in all or None)`
    called on the calling thread as the rows of `Read` nodes are done; `partition_memory` in bytes for the rows of one
    partition of a shuffle, which is held whole: more is an `EngineError` that names a key with many of them. The same
    data gives the same bytes whatever these are. Engines keep nothing between runs but `jobs`; one may run from several
    threads.
    """

    def __init__(
        self,
        threads: int | None = None,
        memory: int = 512 << 20,
        temporary: str | os.PathLike[str] | None = None,
        progress: RowProgress | None = None,
        partition_memory: int = PARTITION_MEMORY,
    ) -> None:
        if threads is not None and threads < 1:
            raise PlanError("LocalEngine.threads", expected="at least 1", got=str(threads), do="leave it out, or say 1")
        self.jobs = 0
        self._threads = threads or _processors()
        self._memory = memory
        self._temporary = temporary
        self._progress = progress
        self._room = partition_memory

    def run(self, plans: Mapping[str, Plan]) -> dict[str, Any]:
        """Run all plans as one job; a run that fails raises and leaves no file behind.

        `PlanError`: the plan, or what a function returned. `EngineError`: a function, reader or reducer raised (it is
        the cause), or there was no room to spill. `StoreError`: a file could not be written. Other errors of ours
        pass as they are. Ctrl-C stops once the chunks in work are done.
        """
        if not plans:
            return {}
        graph = graph_of(plans)
        self.jobs += 1
        with scratch(self._temporary) as folder:
            return _Job(graph, Buffers(folder, self._memory), self._threads, self._progress, self._room).run()


class _Job:
    """One call of `run`: what its units share."""

    def __init__(self, graph: Graph, buffers: Buffers, threads: int, progress: RowProgress | None, room: int) -> None:
        self.graph = graph
        self.room = room
        self.buffers = buffers
        self.ends = ends_of(graph)
        self.stopped = Event()
        self.folders: dict[int, Folder] = {}
        self.writers: dict[tuple[End, str], SpanWriter] = {}
        self.found: dict[End, dict[str, Any]] = {end: {} for end in self.ends}
        self._threads = threads
        self._progress = progress
        self._done = 0
        self._total: int | None = None
        self._parts: list[_PartUnit] = []

    def run(self) -> dict[str, Any]:
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="ninetyfive")
        try:
            for number, plan in enumerate(self.graph.nodes):
                if isinstance(plan, Write):
                    self.folders[number] = Folder(plan.url)
            self._phases(pool)
            results = {name: self._result(number) for name, number in self.graph.sinks.items()}
            for folder in self.folders.values():
                folder.sync()
        except BaseException:
            self.stopped.set()
            try:
                pool.shutdown(cancel_futures=True)
                self._close()
            finally:
                self._undo()
            raise
        pool.shutdown()
        self._close()
        return results

    def _close(self) -> None:
        """Let go of the parts' files; no thread reads them any more."""
        for unit in self._parts:
            unit.close()

    def _phases(self, pool: ThreadPoolExecutor) -> None:
        parts = [_PartUnit(self, part) for part in parts_of(self.graph)]
        known = [unit.part.part.rows for unit in parts]
        self._total = None if None in known else sum(sum(rows) for rows in known if rows)
        self._parts = parts
        Schedule(pool, self._threads + 2, self._report).run(parts)
        for number, plan in enumerate(self.graph.nodes):
            if isinstance(plan, Shuffle):
                Schedule(pool, self._threads, lambda _: None).run([_PartitionUnit(self, number, plan)])
                for side in range(len(plan.inputs)):
                    self.buffers.drop((number, side))

    def _report(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _undo(self) -> None:
        for writer in self.writers.values():
            writer.abort()
        for folder in self.folders.values():
            folder.undo()

    def _result(self, number: int) -> Any:
        plan = self.graph.nodes[number]
        end = next(end for end in self.ends if end.node == number and end.kind != "meeting")
        found = {span: self.found[end][span] for span in sorted(self.found[end])}
        if isinstance(plan, Reduce):
            return found
        if isinstance(plan, Write):
            return tuple(found.values())
        return one_frame(plan, [frame for frames in found.values() for frame in frames])


class _Fold:
    """What the ends that a unit feeds have of its span so far."""

    def __init__(self, job: _Job, span: str, ends: tuple[End, ...]) -> None:
        self.ends = ends
        self._job = job
        self._span = span
        self._rows: dict[End, list[pl.DataFrame]] = {end: [] for end in ends if end.kind == "rows"}
        self._states = {end: merging_of(job.graph, end) for end in ends if end.kind == "state"}

    def add(self, chunk: int, partials: Mapping[End, Any]) -> None:
        """Add the partial results of the next chunk."""
        for end, states in self._states.items():
            states.add(0, chunk, partials.get(end))
        for end, partial in partials.items():
            if end.kind == "meeting":
                self._job.buffers.add((end.node, end.side), partial)
            elif end.kind == "rows":
                self._rows[end].append(partial)
            elif end.kind == "file":
                self._writer(end).add(partial)

    def settle(self, partition: int) -> None:
        """No more chunks of a partition come."""
        for states in self._states.values():
            states.settle(PARTITION_LEVEL, partition)

    def finish(self) -> None:
        """Give each end what it is owed of this span."""
        for end in self.ends:
            found = self._job.found[end]
            if end.kind == "rows":
                found[self._span] = self._rows[end]
            elif end.kind == "file":
                empty = pl.DataFrame(schema=declared(self._job.graph.nodes[end.source]) or {})
                found[self._span] = self._writer(end).close(empty)
                del self._job.writers[end, self._span]
            elif end.kind == "state":
                state = self._states[end].total()
                found[self._span] = nothing_of(self._job.graph, end) if state is None else state

    def _writer(self, end: End) -> SpanWriter:
        key = (end, self._span)
        if key not in self._job.writers:
            self._job.writers[key] = SpanWriter(self._job.folders[end.node], self._span)
        return self._job.writers[key]


def _fold_for(job: _Job, span: str, origins: set[int]) -> _Fold:
    return _Fold(job, span, tuple(end for end in job.ends if job.graph.origins[end.source] in origins))


class _PartUnit:
    """One part, read once for all `Read` nodes that name it."""

    def __init__(self, job: _Job, part: PartReads) -> None:
        self.part = part
        self.chunks = part.chunks
        self._job = job
        self._fold = _fold_for(job, part.part.span, set(part.reads))
        self._rest: Iterator[pl.DataFrame] | None = None

    def load(self, chunk: int) -> pl.DataFrame | None:
        if self._job.stopped.is_set():
            raise CancelledError
        if self.chunks is not None:
            return self.part.load(chunk)
        if self._rest is None:
            self._rest = self.part.stream()
        return next(self._rest, None)

    def work(self, chunk: int, loaded: pl.DataFrame) -> tuple[int, int, dict[End, Any]]:
        return chunk, loaded.height, self.part.partials(self._job.graph, self._fold.ends, chunk, loaded)

    def fold(self, result: tuple[int, int, dict[End, Any]]) -> int:
        chunk, rows, partials = result
        self._fold.add(chunk, partials)
        return rows

    def finish(self) -> None:
        self._fold.finish()

    def close(self) -> None:
        """Let go of a file that was not read to its end."""
        close = getattr(self._rest, "close", None)
        if close is not None:
            close()


class _PartitionUnit:
    """The partitions of one `Shuffle`, as the chunks of one span named ""."""

    def __init__(self, job: _Job, number: int, plan: Shuffle) -> None:
        self.chunks = plan.partitions
        self._job = job
        self._number = number
        self._plan = plan
        self._fold = _fold_for(job, "", {number})

    def load(self, chunk: int) -> list[pl.DataFrame | None]:
        if self._job.stopped.is_set():
            raise CancelledError
        return [self._job.buffers.take((self._number, side), chunk) for side in range(len(self._plan.inputs))]

    def work(self, chunk: int, loaded: list[pl.DataFrame | None]) -> tuple[int, list[tuple[int, dict[End, Any]]]]:
        check_room(self._plan, chunk, [[] if frame is None else [frame] for frame in loaded], self._job.room)
        rows = met(self._plan, chunk, loaded)
        pieces = []
        for number, frame in pieces_of(chunk, rows):
            if self._job.stopped.is_set():
                raise CancelledError
            evaluation = Evaluation(self._job.graph, {self._number: frame}, "", number)
            pieces.append((number, evaluation.partials(self._fold.ends, {self._number: 0})))
        return chunk, pieces

    def fold(self, result: tuple[int, list[tuple[int, dict[End, Any]]]]) -> int:
        partition, pieces = result
        for number, partials in pieces:
            self._fold.add(number, partials)
        self._fold.settle(partition)
        return 0

    def finish(self) -> None:
        self._fold.finish()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
