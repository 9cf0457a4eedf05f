"""What a worker of a distributed engine does: a task reads chunks, a group puts together what tasks made.

    Task ─ run_task ─┬─▶ done: a state, a file, rows         where the task had the whole span
                     ├─▶ states of blocks, files in pieces   ─ run_group ─▶ done
                     └─▶ rows of a partition                 ─ run_group ─▶ the same three again, one round later
    round of an end:  1, 2, … for the shuffles one behind the other, and a last one for states and files

All that travels is a `Message`. A task or group that runs twice (retried, speculative) sends equal messages, and files
under names of their own: whichever the engine keeps, the other is never named and goes with the attempt's folder.

What does not belong here: how messages travel (`spark`, `beam`), and what becomes of what is done (`submission`).
"""

from __future__ import annotations

import pickle
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import tzdata

from ninetyfive.engines.chunks import End, Evaluation, merging_of, met, pieces_of
from ninetyfive.engines.graph import Graph, declared
from ninetyfive.engines.partitioning import PARTITION_LEVEL, check_room
from ninetyfive.engines.parts import PartReads
from ninetyfive.engines.writing import Folder, SpanWriter, file_errors, file_name
from ninetyfive.errors import EngineError
from ninetyfive.plan import Reader, Reduce, Shuffle, Write, WrittenFile, key_of
from ninetyfive.version import __version__

BLOCK_LEVEL = 3
BLOCK = 1 << BLOCK_LEVEL
"""How many chunks a task reads: a longer span is cut into blocks of this many, each a node of `merging`."""


@dataclass(frozen=True, eq=False)
class Task:
    """The chunks `first` to `last` (exclusive; None: to the end) of a part; `whole`: they are all that it has.

    The reader is number `reader` of the job's: it may hold rows itself, and is sent once.
    """

    reads: PartReads
    reader: int
    first: int = 0
    last: int | None = None
    whole: bool = True

    @property
    def rows(self) -> int | None:
        """How many rows it reads; None where only reading tells."""
        known = self.reads.part.rows
        return None if known is None else sum(known[self.first : self.last])

    @property
    def chunks(self) -> int | None:
        """How many chunks it reads; None where only reading tells."""
        return None if self.last is None else self.last - self.first


class Message(msgspec.Struct, frozen=True, array_like=True):
    """What travels: `data` for end number `end`, and its place there.

    `group` is the span, or the number of the partition for rows on their way to a shuffle. `level` and `number` are the
    node of `merging` for a state, the order for rows and files. `done`: a result that nobody has to put together.
    """

    end: int
    group: str
    level: int
    number: int
    data: bytes
    done: bool = False


@dataclass(frozen=True, eq=False)
class Job:
    """All that every worker has to know; `attempts` are the folders that files go to, by `Write` node.

    `rounds` says for each end in which round its messages are put together; `before`, by `Shuffle` node, how many
    partitions other shuffles of its round have before it, so that partitions of a round are numbered through.
    `root` is a folder that is there as long as somebody waits for the job; None where the engine stops tasks itself.
    """

    graph: Graph
    readers: tuple[Reader, ...]
    ends: tuple[End, ...]
    rounds: tuple[int, ...]
    before: Mapping[int, int]
    attempts: Mapping[int, str]
    partition_memory: int
    versions: Mapping[str, str]
    root: str | None = None

    def target(self, message: Message) -> str:
        """What a group is known by: messages with one target are put together."""
        end = self.ends[message.end]
        name = f"{end.node}" if end.kind == "meeting" else f"{end.kind}{message.end}"
        return f"{name}:{message.group}"

    def check_wanted(self) -> None:
        """Stop a worker for whose job nobody waits any more."""
        if self.root is not None and not Path(self.root).exists():
            raise EngineError("job", expected="somebody who waits for it", got="nobody", do="run it again")


def open_job(data: bytes) -> Job:
    """The job, in a worker; `EngineError` where that has other versions of what makes results than the driver."""
    job: Job = pickle.loads(data)
    for name, here in versions().items():
        there = job.versions.get(name)
        if here != there:
            raise EngineError(
                f"worker, {name}",
                expected=f"version {there}, as where the run was started",
                got=f"version {here}",
                do="install the same versions on the workers: others may give other bytes",
            )
    return job


def run_task(job: Job, task: Task) -> Iterator[Message]:
    """Read the chunks of a task; errors as `chunks` and `parts` raise them."""
    reads = replace(task.reads, reader=job.readers[task.reader])
    span = reads.part.span
    made = _Made(job, span, set(reads.reads), task.whole)
    with made:
        for chunk, loaded in _loaded(reads, task):
            job.check_wanted()
            yield from made.add(chunk, reads.partials(job.graph, made.ends, chunk, loaded))
        yield from made.finish(BLOCK_LEVEL, task.first >> BLOCK_LEVEL)


def run_group(job: Job, messages: Iterable[Message]) -> Iterator[Message]:
    """Put together the messages of one target, in any order."""
    group: _Group | None = None
    for message in messages:
        if group is None:
            group = _group(job, message)
        group.add(message)
    if group is not None:
        yield from group.finish()


def run_round(job: Job, number: int, messages: Iterable[Message]) -> Iterator[Message]:
    """Put together all groups of a round that are among `messages`; those of later rounds, and what is done, pass."""
    groups: dict[str, _Group] = {}
    for message in messages:
        if message.done or job.rounds[message.end] != number:
            yield message
        else:
            target = job.target(message)
            if target not in groups:
                groups[target] = _group(job, message)
            groups[target].add(message)
    for target in sorted(groups):
        yield from groups.pop(target).finish()


def pack_state(job: Job, end: int, state: Any) -> bytes:
    """A state of a `Reduce` as bytes; None (no rows) too."""
    plan = job.graph.nodes[job.ends[end].node]
    assert isinstance(plan, Reduce)
    if state is None:
        return b""
    encode = plan.reducer.encode
    if not plan.by:
        return b"1" + encode(state)
    return b"1" + pickle.dumps([(key, encode(one)) for key, one in state.items()], protocol=5)


def unpack_state(job: Job, end: int, data: bytes) -> Any:
    """The state that `pack_state` packed."""
    plan = job.graph.nodes[job.ends[end].node]
    assert isinstance(plan, Reduce)
    if not data:
        return None
    if not plan.by:
        return plan.reducer.decode(data[1:])
    return {key_of(key): plan.reducer.decode(one) for key, one in pickle.loads(data[1:])}


def pack_rows(frame: pl.DataFrame) -> bytes:
    """A frame as Arrow IPC, compressed: every dtype comes back as it was."""
    stream = BytesIO()
    _write_rows(frame, stream, compressed=True)
    return stream.getvalue()


def unpack_rows(data: bytes) -> pl.DataFrame:
    """The frame that `pack_rows` packed."""
    return pl.read_ipc(BytesIO(data))


def unpack_file(data: bytes) -> WrittenFile:
    """The file that a `Write` made, as a done message names it."""
    return msgspec.msgpack.decode(data, type=WrittenFile)


class _Made:
    """What a task or a partition makes of the chunks of its span, for each end; `whole`: of all its chunks."""

    def __init__(self, job: Job, span: str, origins: set[int], whole: bool) -> None:
        graph = job.graph
        self.job = job
        self.span = span
        self.whole = whole
        self.numbers = {end: number for number, end in enumerate(job.ends) if graph.origins[end.source] in origins}
        self.ends = tuple(self.numbers)
        self.states = {end: merging_of(graph, end) for end in self.ends if end.kind == "state"}
        self.files: dict[End, _Whole | _Pieces] = {
            end: _whole(job, end, span) if whole else _Pieces(Folder(job.attempts[end.node], make=False))
            for end in self.ends
            if end.kind == "file"
        }

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.abort()

    def add(self, chunk: int, partials: Mapping[End, Any]) -> Iterator[Message]:
        """Add the partial results of a chunk; what can go on its way at once is given."""
        for end, states in self.states.items():
            states.add(0, chunk, partials.get(end))
        for end, partial in partials.items():
            number = self.numbers[end]
            if end.kind == "file":
                self.files[end].add(partial)
            elif end.kind == "rows":
                yield Message(number, self.span, 0, chunk, pack_rows(partial), done=True)
            elif end.kind == "meeting":
                rows, borders = partial
                for partition, (first, last) in enumerate(pairwise(borders)):
                    if first < last:
                        yield Message(number, str(partition), 0, 0, pack_rows(rows[first:last]))

    def finish(self, level: int, number: int) -> Iterator[Message]:
        """Give the states and files: whole, or as node (`level`, `number`) of the span."""
        for end, states in self.states.items():
            states.settle(level, number)
            state = states.total() if self.whole else states.nodes[level, number]
            data = pack_state(self.job, self.numbers[end], state)
            yield Message(self.numbers[end], self.span, level, 0 if self.whole else number, data, done=self.whole)
        for end, file in self.files.items():
            empty = pl.DataFrame(schema=declared(self.job.graph.nodes[end.source]) or {})
            place = 0 if self.whole else number
            yield Message(self.numbers[end], self.span, 0, place, file.close(empty), done=self.whole)


class _Whole:
    """The file of a span, in one go; errors speak of it by the url that it will have."""

    def __init__(self, folder: Folder, span: str, url: str) -> None:
        self._writer = SpanWriter(folder, span, (f"{uuid.uuid4().hex}.parquet", url))

    def add(self, frame: pl.DataFrame) -> None:
        self._writer.add(frame)

    def close(self, empty: pl.DataFrame) -> bytes:
        return msgspec.msgpack.encode(self._writer.close(empty))

    def abort(self) -> None:
        self._writer.abort()


def _whole(job: Job, end: End, span: str) -> _Whole:
    plan = job.graph.nodes[end.node]
    assert isinstance(plan, Write)
    url = f"{plan.url.rstrip('/')}/{file_name(span)}"
    return _Whole(Folder(job.attempts[end.node], make=False), span, url)


class _Pieces:
    """The rows of a file of which others have rows too, chunk by chunk in files that one worker puts together."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._names: list[str] = []

    def add(self, frame: pl.DataFrame) -> None:
        name = f"{uuid.uuid4().hex}.arrow"
        self._names.append(name)
        with file_errors(f"{self._folder.url}/{name}"), self._folder.create(name) as stream:
            _write_rows(frame, stream, compressed=not self._folder.local)

    def close(self, _: pl.DataFrame) -> bytes:
        return msgspec.msgpack.encode(self._names)

    def abort(self) -> None:
        """Pieces go with the folder of the attempt."""


def _write_rows(frame: pl.DataFrame, stream: BinaryIO, compressed: bool) -> None:
    compression: Literal["lz4", "uncompressed"] = "lz4" if compressed else "uncompressed"
    frame.write_ipc(stream, compression=compression, compat_level=pl.CompatLevel.oldest())


def _loaded(reads: PartReads, task: Task) -> Iterator[tuple[int, pl.DataFrame]]:
    if reads.chunks is None:
        yield from enumerate(reads.stream(task.first, task.last), task.first)
    else:
        for chunk in range(reads.chunks)[task.first : task.last]:
            yield chunk, reads.load(chunk)


def versions() -> dict[str, str]:
    """The versions of what makes results."""
    libraries = {module.__name__: module.__version__ for module in (np, pl, pa, tzdata)}
    return {"ninetyfive": __version__, **libraries, "Unicode": unicodedata.unidata_version}


class _Group(Protocol):
    """The messages of one target, put together as they come."""

    def add(self, message: Message) -> None: ...

    def finish(self) -> Iterator[Message]: ...


def _group(job: Job, first: Message) -> _Group:
    kinds: Mapping[str, Callable[[Job, Message], _Group]] = {"meeting": _Meeting, "state": _States, "file": _File}
    return kinds[job.ends[first.end].kind](job, first)


class _States:
    """The states of blocks or partitions of a span."""

    def __init__(self, job: Job, first: Message) -> None:
        self._job = job
        self._first = first
        self._states = merging_of(job.graph, job.ends[first.end])

    def add(self, message: Message) -> None:
        self._states.add(message.level, message.number, unpack_state(self._job, message.end, message.data))

    def finish(self) -> Iterator[Message]:
        yield _done(self._first, pack_state(self._job, self._first.end, self._states.total()))


class _File:
    """The file of a span of which several workers have rows."""

    def __init__(self, job: Job, first: Message) -> None:
        self._job = job
        self._first = first
        self._names: dict[int, list[str]] = {}

    def add(self, message: Message) -> None:
        self._names[message.number] = msgspec.msgpack.decode(message.data, type=list[str])

    def finish(self) -> Iterator[Message]:
        end = self._job.ends[self._first.end]
        folder = Folder(self._job.attempts[end.node], make=False)
        file = _whole(self._job, end, self._first.group)
        try:
            for _, names in sorted(self._names.items()):
                for name in names:
                    self._job.check_wanted()
                    with file_errors(f"{folder.url}/{name}"), folder.open(name) as stream:
                        file.add(unpack_rows(stream.read()))
            empty = pl.DataFrame(schema=declared(self._job.graph.nodes[end.source]) or {})
            yield _done(self._first, file.close(empty))
        finally:
            file.abort()


class _Meeting:
    """The rows of a partition of a `Shuffle`, and what its function makes of them."""

    def __init__(self, job: Job, first: Message) -> None:
        number = job.ends[first.end].node
        plan = job.graph.nodes[number]
        assert isinstance(plan, Shuffle)
        self._job = job
        self._number = number
        self._plan = plan
        self._partition = int(first.group)
        self._sides: list[list[pl.DataFrame]] = [[] for _ in plan.inputs]
        self._bytes = 0

    def add(self, message: Message) -> None:
        rows = unpack_rows(message.data)
        self._sides[self._job.ends[message.end].side].append(rows)
        self._bytes += int(rows.estimated_size())
        if self._bytes > self._job.partition_memory:
            check_room(self._plan, self._partition, self._sides, self._job.partition_memory)

    def finish(self) -> Iterator[Message]:
        job, number, partition = self._job, self._number, self._partition
        sides = [pl.concat(pieces) if pieces else None for pieces in self._sides]
        self._sides = []
        rows = met(self._plan, partition, sides)
        del sides
        made = _Made(job, "", {number}, whole=False)
        for piece, frame in pieces_of(partition, rows):
            job.check_wanted()
            partials = Evaluation(job.graph, {number: frame}, "", piece).partials(made.ends, {number: 0})
            yield from made.add(piece, partials)
        yield from made.finish(PARTITION_LEVEL, partition)


def _done(message: Message, data: bytes) -> Message:
    return msgspec.structs.replace(message, level=0, number=0, data=data, done=True)
