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
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import polars as pl

from ninetyfive.engines.chunks import Blamed, End, Evaluation, check_output, ends_of, joined, rows_of_part
from ninetyfive.engines.graph import Graph, check_columns, declared, graph_of, name_of
from ninetyfive.engines.partitioning import in_order, piece_number
from ninetyfive.engines.scheduling import Schedule
from ninetyfive.engines.spilling import Buffers
from ninetyfive.engines.writing import Folder, SpanWriter
from ninetyfive.errors import PlanError
from ninetyfive.plan import CHUNK_ROWS, Part, Plan, Read, Reader, Reduce, Shuffle, Write

Progress = Callable[[int, int | None], None]


class LocalEngine:
    """An `Engine` of this machine; see `plan.Engine` for what `run` gives.

    `threads` (default: the processors this process may use), `memory` in bytes for rows that gather for shuffles,
    `temporary` folder for what does not fit (default: the system's), `progress(rows done, rows in all or None)`
    called on the calling thread as the rows of `Read` nodes are done. The same data gives the same bytes whatever
    these are. Engines keep nothing between runs but `jobs`; one may run from several threads.
    """

    def __init__(
        self,
        threads: int | None = None,
        memory: int = 512 << 20,
        temporary: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise PlanError("LocalEngine.threads", expected="at least 1", got=str(threads), do="leave it out, or say 1")
        self.jobs = 0
        self._threads = threads or _processors()
        self._memory = memory
        self._temporary = temporary
        self._progress = progress

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
        folder = Path(tempfile.mkdtemp(prefix="ninetyfive-", dir=self._temporary))
        job = _Job(graph, Buffers(folder, self._memory), self._threads, self._progress)
        try:
            return job.run()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _Job:
    """One call of `run`: what its units share."""

    def __init__(self, graph: Graph, buffers: Buffers, threads: int, progress: Progress | None) -> None:
        self.graph = graph
        self.buffers = buffers
        self.ends = ends_of(graph)
        self.ranks = {number: graph.ranks(number) for number in set(graph.origins)}
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
        parts = _part_units(self)
        known = [unit.part.rows for unit in parts]
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
        return _one_frame(plan, [frame for frames in found.values() for frame in frames])


@dataclass(slots=True)
class _Fold:
    """What the ends that a unit feeds have of its span so far."""

    job: _Job
    span: str
    ends: tuple[End, ...]
    kept: dict[End, Any]

    def add(self, partials: Mapping[End, Any]) -> None:
        """Add the partial results of the next chunk."""
        for end, partial in partials.items():
            plan = self.job.graph.nodes[end.node]
            if end.kind == "meeting":
                self.job.buffers.add((end.node, end.side), partial)
            elif end.kind == "rows":
                self.kept.setdefault(end, []).append(partial)
            elif end.kind == "file":
                self._writer(end).add(partial)
            elif isinstance(plan, Reduce):
                self.kept[end] = joined(plan, self.kept[end], partial) if end in self.kept else partial

    def finish(self) -> None:
        """Give each end what it is owed of this span."""
        for end in self.ends:
            plan = self.job.graph.nodes[end.node]
            if end.kind == "rows":
                self.job.found[end][self.span] = self.kept.get(end, [])
            elif end.kind == "file":
                empty = pl.DataFrame(schema=declared(self.job.graph.nodes[end.source]) or {})
                self.job.found[end][self.span] = self._writer(end).close(empty)
                del self.job.writers[end, self.span]
            elif isinstance(plan, Reduce):
                nothing: Any = {} if plan.by else plan.reducer.zero()
                self.job.found[end][self.span] = self.kept.get(end, nothing)

    def _writer(self, end: End) -> SpanWriter:
        key = (end, self.span)
        if key not in self.job.writers:
            self.job.writers[key] = SpanWriter(self.job.folders[end.node], self.span)
        return self.job.writers[key]


def _fold_for(job: _Job, span: str, origins: set[int]) -> _Fold:
    return _Fold(job, span, tuple(end for end in job.ends if job.graph.origins[end.source] in origins), {})


class _PartUnit:
    """One part, read once for all `Read` nodes that name it."""

    def __init__(self, job: _Job, reader: Reader, part: Part, reads: dict[int, tuple[Read, np.ndarray]]) -> None:
        self.part = part
        self._job = job
        self._reader = reader
        self._reads = reads
        self._columns = _union([read.columns for read, _ in reads.values()])
        self._fold = _fold_for(job, part.span, set(reads))
        self._ranks = {number: job.ranks[number][part.span] for number in reads}
        self._rest: Iterator[pl.DataFrame] | None = None
        self._blamed = (f"reader {name_of(reader)} of {part.url}", "check the file, or the reader")

    @property
    def chunks(self) -> int | None:
        return None if self.part.rows is None else len(self.part.rows)

    def load(self, chunk: int) -> pl.DataFrame | None:
        if self._job.stopped.is_set():
            raise CancelledError
        with Blamed(*self._blamed):
            if self.part.rows is None:
                if self._rest is None:
                    self._rest = iter(self._reader.read(self.part, 0, None, self._columns))
                return next(self._rest, None)
            frames = list(self._reader.read(self.part, chunk, chunk + 1, self._columns))
        if len(frames) != 1:
            raise PlanError(
                self._blamed[0],
                expected=f"one frame for chunk {chunk} of {len(self.part.rows)}",
                got=f"{len(frames)} frames",
                do="let `rows` of the part and its reader agree",
            )
        return frames[0]

    def work(self, chunk: int, loaded: pl.DataFrame) -> tuple[int, dict[End, Any]]:
        if not set(self._columns or ()) <= set(loaded.columns):
            with Blamed(*self._blamed):
                whole = next(iter(self._reader.read(self.part)), loaded)
            check_columns(f"Read of {self.part.url}", self._columns or (), whole.columns)
        sources = {
            number: rows_of_part(read, self.part, without, chunk, loaded)
            for number, (read, without) in self._reads.items()
        }
        evaluation = Evaluation(self._job.graph, sources, self.part.span, chunk)
        return loaded.height, evaluation.partials(self._fold.ends, self._ranks)

    def fold(self, result: tuple[int, dict[End, Any]]) -> int:
        rows, partials = result
        self._fold.add(partials)
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

    def work(self, chunk: int, loaded: list[pl.DataFrame | None]) -> list[dict[End, Any]]:
        plan = self._plan
        if all(frame is None for frame in loaded):
            return []
        frames = []
        for side, source in enumerate(plan.inputs):
            frame, loaded[side] = loaded[side], None
            order = plan.order[side] if plan.order else ()
            nothing = pl.DataFrame(schema=declared(source) or {})
            frames.append(nothing if frame is None else in_order(frame, plan.keys[side], order))
        name = name_of(plan.function)
        with Blamed(f"function {name} on partition {chunk}", f"fix {name}, it must take any rows of its inputs"):
            made = plan.function(tuple(frames))
        rows = check_output(f"function {name}", made, plan.output)
        partials = []
        for piece, frame in enumerate(rows.iter_slices(CHUNK_ROWS) if rows.height else ()):
            if self._job.stopped.is_set():
                raise CancelledError
            evaluation = Evaluation(self._job.graph, {self._number: frame}, "", piece_number(chunk, piece))
            partials.append(evaluation.partials(self._fold.ends, {self._number: 0}))
        return partials

    def fold(self, result: list[dict[End, Any]]) -> int:
        for partials in result:
            self._fold.add(partials)
        return 0

    def finish(self) -> None:
        self._fold.finish()


def _part_units(job: _Job) -> list[_PartUnit]:
    """One unit per part and reader, in canonical order; `without` and `columns` may differ between its `Read` nodes."""
    shared: dict[tuple[Reader, Part], dict[int, tuple[Read, np.ndarray]]] = {}
    for number, plan in enumerate(job.graph.nodes):
        for part in plan.parts if isinstance(plan, Read) else ():
            assert isinstance(plan, Read)
            without = np.array(part.without, dtype=np.int64)
            shared.setdefault((plan.reader, replace(part, without=())), {})[number] = (plan, without)
    units = [_PartUnit(job, reader, part, reads) for (reader, part), reads in shared.items()]
    return sorted(units, key=lambda unit: (unit.part.span, unit.part.url))


def _union(columns: list[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """All columns that any `Read` needs, in the order first named; None (all) where one does not say."""
    names: dict[str, None] = {}
    for wanted in columns:
        if wanted is None:
            return None
        names.update(dict.fromkeys(wanted))
    return tuple(names)


def _one_frame(plan: Plan, frames: list[pl.DataFrame]) -> pl.DataFrame:
    if not frames:
        return pl.DataFrame(schema=declared(plan) or {})
    odd = next((frame for frame in frames if frame.schema != frames[0].schema), None)
    if odd is not None:
        raise PlanError(
            "Read",
            expected=f"chunks with the same columns: {frames[0].schema}",
            got=f"{odd.schema}",
            do="put a Map with declared output over the Read",
        )
    return pl.concat(frames).rechunk()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
