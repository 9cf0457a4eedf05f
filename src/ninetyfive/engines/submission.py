"""The driver's side of a job on a distributed engine: cut it into tasks, and make results of what workers have done.

    plans ─▶ graph ─▶ tasks, rounds ─▶ the engine ─▶ done messages ─▶ results
                        └─ a folder for the attempt beside each Write ─▶ its files under their names, or all gone

The driver holds states of spans, names of files and rows that were asked for: nothing that grows with rows otherwise.
What does not belong here: what workers do (`tasks`), and how messages travel (`spark`, `beam_graph`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, cast

import numpy as np
import polars as pl

from ninetyfive.engines.chunks import End, ends_of, nothing_of, one_frame
from ninetyfive.engines.graph import Graph, declared, graph_of
from ninetyfive.engines.parts import PartReads, parts_of
from ninetyfive.engines.tasks import BLOCK, Job, Message, Task, unpack_file, unpack_rows, unpack_state, versions
from ninetyfive.engines.writing import Folder, SpanWriter, file_name
from ninetyfive.errors import EngineError
from ninetyfive.plan import CHUNK_ROWS, Map, Plan, Read, Reader, Reduce, Shuffle, Write, WrittenFile

ATTEMPT = ".attempt-"
_FOOTERS = 16
_END = np.iinfo(np.int64).max
_ELSEWHERE = cast(Reader, None)
"""Where a reader stands that is sent with the job, once."""


class Submission:
    """One job: `job` and `tasks` for the workers; `groups[r]`: how many groups are put together in round r + 1.

    A context: entered, the folders of its `Write` nodes are there; left by an error, all that it made is gone.
    `attempt` names the folder that workers write into below each of these; else nobody else has its name.
    """

    def __init__(
        self, plans: Mapping[str, Plan], partition_memory: int, root: str | None = None, attempt: str | None = None
    ) -> None:
        graph = graph_of(plans)
        attempt = f"{ATTEMPT}{attempt or uuid.uuid4().hex[:12]}"
        self._graph = graph
        self._writes = {number: plan.url for number, plan in enumerate(graph.nodes) if isinstance(plan, Write)}
        self._folders: dict[int, Folder] = {}
        self._attempts: dict[int, Folder] = {}
        parts = parts_of(graph)
        readers = tuple(dict.fromkeys(part.reader for part in parts))
        self.tasks = [
            task
            for part, chunks in zip(parts, _counted(parts), strict=True)
            for task in _tasks(part, readers.index(part.reader), chunks)
        ]
        attempts = {number: f"{url.rstrip('/')}/{attempt}" for number, url in self._writes.items()}
        ends, depths = ends_of(graph), _depths(graph)
        last = max(depths) + 1
        rounds = tuple(depths[end.node] if end.kind == "meeting" else last for end in ends)
        partitions, before = _partitions(graph, depths)
        self.job = Job(_lean(graph), readers, ends, rounds, before, attempts, partition_memory, versions(), root)
        self.groups = (*partitions, self._shared(ends))

    @property
    def rows(self) -> int | None:
        """How many rows the tasks read; None where only reading tells."""
        known = [task.rows for task in self.tasks]
        return None if None in known else sum(rows for rows in known if rows)

    @property
    def rounds(self) -> list[bool]:
        """Whether there is anything to put together in each round."""
        return [count > 0 for count in self.groups]

    def __enter__(self) -> Submission:
        try:
            for number, url in self._writes.items():
                folder = self._folders[number] = Folder(url)
                folder.missing(file_name(span) for span in self._graph.ranks(number))
                self._attempts[number] = Folder(self.job.attempts[number])
        except BaseException:
            self._undo()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._undo()

    def results(self, messages: Iterable[Message]) -> dict[str, Any]:
        """The results by name; a message that came twice counts once. Files get their names, or none does."""
        made = self._gathered(messages)
        for number, folder in self._folders.items():
            made[number] = tuple(self._adopted(number, file) for file in made[number])
            with suppress(OSError):  # all is where it belongs; what is left of attempts is named by nobody
                self._attempts[number].clear()
            folder.sync()
        return self._named(made)

    def left(self, messages: Iterable[Message]) -> dict[str, Any]:
        """As `results`, but files stay where workers left them: the same again, as often as it is asked for."""
        return self._named(self._gathered(messages))

    def _named(self, made: Mapping[int, Any]) -> dict[str, Any]:
        return {name: made[number] for name, number in self._graph.sinks.items()}

    def _gathered(self, messages: Iterable[Message]) -> dict[int, Any]:
        """What each node of a result has, from the messages of workers."""
        found: dict[int, dict[tuple[str, int], bytes]] = {number: {} for number in range(len(self.job.ends))}
        for message in messages:
            found[message.end][message.group, message.number] = message.data
        return {
            end.node: self._made(end, number, found[number])
            for number, end in enumerate(self.job.ends)
            if end.kind != "meeting"
        }

    def _made(self, end: End, number: int, found: Mapping[tuple[str, int], bytes]) -> Any:
        ranks = self._graph.ranks(end.node)
        if end.kind == "rows":
            places = sorted(found, key=lambda place: (ranks[place[0]], place[1]))
            return one_frame(self._graph.nodes[end.node], [unpack_rows(found[place]) for place in places])
        data = {span: found.get((span, 0)) for span in ranks}
        self._check_all(end, data)
        if end.kind == "file":
            return tuple(self._written(end, span, said) for span, said in data.items())
        states = {span: None if said is None else unpack_state(self.job, number, said) for span, said in data.items()}
        return {span: nothing_of(self._graph, end) if state is None else state for span, state in states.items()}

    def _written(self, end: End, span: str, said: bytes | None) -> WrittenFile:
        """The file of a span, where a worker left it; one that none made, as the span has no chunk, is made here."""
        if said is not None:
            return unpack_file(said)
        url = f"{self._writes[end.node].rstrip('/')}/{file_name(span)}"
        folder = Folder(self.job.attempts[end.node], make=False)
        empty = pl.DataFrame(schema=declared(self._graph.nodes[end.source]) or {})
        return SpanWriter(folder, span, (f"{uuid.uuid4().hex}.parquet", url)).close(empty)

    def _adopted(self, number: int, file: WrittenFile) -> WrittenFile:
        """A file under its name."""
        attempted = file.url.rpartition("/")[2]
        return replace(file, url=self._folders[number].adopt(self._attempts[number], attempted, file_name(file.span)))

    def _check_all(self, end: End, found: Mapping[str, bytes | None]) -> None:
        """`EngineError` where a span of which a task read rows has no result: its message was lost on the way."""
        origin = self._graph.origins[end.source]
        for task in self.tasks:
            span = task.reads.part.span
            if origin in task.reads.reads and found[span] is None:
                raise EngineError(
                    f"span {span[:12]}",
                    expected="a result from the workers",
                    got="none, from an engine that says that all is done",
                    do="look into the logs of the engine, and run again",
                )

    def _undo(self) -> None:
        """Take back what was made; a disk that refuses that must not hide the error that led here."""
        for folder in self._attempts.values():
            with suppress(OSError):
                folder.clear()
        for folder in self._folders.values():
            with suppress(OSError):
                folder.undo()

    def _shared(self, ends: tuple[End, ...]) -> int:
        """How many states and files are put together of what several workers make."""
        parts = {(number, task.reads.part.span) for task in self.tasks if not task.whole for number in task.reads.reads}
        count = 0
        for end in ends:
            if end.kind in ("state", "file"):
                origin = self._graph.origins[end.source]
                count += isinstance(self._graph.nodes[origin], Shuffle) or sum(node == origin for node, _ in parts)
        return count


def _counted(parts: Sequence[PartReads]) -> list[int | None]:
    """How many chunks each part has; several files at once are asked, as a bucket takes its time."""
    with ThreadPoolExecutor(_FOOTERS, thread_name_prefix="ninetyfive-count") as pool:
        return list(pool.map(PartReads.count, parts))


def _tasks(part: PartReads, reader: int, chunks: int | None) -> Iterator[Task]:
    """A part in blocks of chunks; whole where it has one block, or where only reading tells how many chunks it has."""
    if chunks is None:
        yield Task(_sent(part, 0, None), reader)
        return
    for first in range(0, chunks, BLOCK):
        last = min(first + BLOCK, chunks)
        yield Task(_sent(part, first, last), reader, first, last, whole=chunks <= BLOCK)


def _sent(part: PartReads, first: int, last: int | None) -> PartReads:
    """What a worker needs of a part to read some chunks: no reader, and what is left out of those chunks only."""
    borders = (first * CHUNK_ROWS, _END if last is None else last * CHUNK_ROWS)
    reads = {}
    for number, (read, without) in part.reads.items():
        low, high = np.searchsorted(without, borders)
        reads[number] = replace(read, reader=_ELSEWHERE), without[low:high]
    return replace(part, reader=_ELSEWHERE, reads=reads)


def _depths(graph: Graph) -> list[int]:
    """How many shuffles lie behind each node, itself counted."""
    depths: list[int] = []
    for plan, below in zip(graph.nodes, graph.inputs, strict=True):
        depths.append(max((depths[number] for number in below), default=0) + isinstance(plan, Shuffle))
    return depths


def _partitions(graph: Graph, depths: Sequence[int]) -> tuple[list[int], dict[int, int]]:
    """How many partitions the shuffles of each depth have, and how many of them come before those of each node."""
    counts, before = [0] * max(depths), {}
    for number, (plan, depth) in enumerate(zip(graph.nodes, depths, strict=True)):
        if isinstance(plan, Shuffle):
            before[number] = counts[depth - 1]
            counts[depth - 1] += plan.partitions
    return counts, before


def _lean(graph: Graph) -> Graph:
    """The graph without the parts and readers of its `Read` nodes: a task has the one, the job the other."""
    nodes: list[Plan] = []
    for plan, below in zip(graph.nodes, graph.inputs, strict=True):
        match plan:
            case Read():
                nodes.append(replace(plan, parts=(), reader=_ELSEWHERE))
            case Shuffle():
                nodes.append(replace(plan, inputs=tuple(nodes[number] for number in below)))
            case Map() | Reduce() | Write():
                nodes.append(replace(plan, input=nodes[below[0]]))
    return replace(graph, nodes=tuple(nodes), sinks={})
