"""The graph of a job on Apache Beam, and what its workers do: any runner takes it, in this process or elsewhere.

    Create(tasks) ─ Reshuffle ─ Read and map ─┬─ GroupByKey ─ Shuffle 1 ─ … ─┐      every step is named
                                              ├─ Merge near states ─ Merge ──┼─▶ Keep results ─▶ files under the root
                                              └─ GroupByKey ─ Write files ───┘

The job, its tasks and its results are files under a root that driver and workers reach. A bundle that runs twice leaves
equal results under names of their own, counted once. Equal jobs have equal graphs, byte for byte: no step is made of a
class that Beam makes up as it goes, which has another name each time.

What does not belong here: who runs the graph (`beam`, `managed.graph_job`), what workers do with rows (`tasks`).
"""

from __future__ import annotations

import os
import pickle
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import apache_beam as beam
import fsspec
import msgspec
from apache_beam.pvalue import TaggedOutput
from fsspec.implementations.local import LocalFileSystem
from msgspec.structs import replace

from ninetyfive.engines.chunks import joined
from ninetyfive.engines.merging import Merging
from ninetyfive.engines.shipping import carried, pack_error
from ninetyfive.engines.tasks import Job, Message, Task, open_job, pack_state, run_group, run_task, unpack_state
from ninetyfive.engines.writing import Folder
from ninetyfive.errors import NinetyfiveError
from ninetyfive.plan import Reduce

FAN_OUT, NEAR = 8, 16
"""Over how many combiners the states of one span are spread before they meet, so many neighbours to each in turn."""

DONE, STATES, FILES = "done", "states", "files"
_JOB, _TASKS, _PROGRESS, _RESULTS, _ERROR = "job", "tasks", "progress", "results", "error"


class Root:
    """The folder of one job, on a local disk or wherever fsspec reaches: what is shipped, how far it is, results."""

    def __init__(self, url: str, private: bool = False) -> None:
        self._files, self.path = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self.local = isinstance(self._files, LocalFileSystem)
        self.url = self.path if self.local else url  # a worker may work in another folder
        self._private = private

    def keep(self, job: bytes, *tasks: bytes) -> list[tuple[int, int]]:
        """Write the job and its tasks, as `dumps` sends them; where each task lies: (offset, length)."""
        for folder in ("", f"/{_PROGRESS}", f"/{_RESULTS}"):
            self._files.makedirs(f"{self.path}{folder}", exist_ok=True)
        if self._private:
            os.chmod(self.path, 0o700)
        self._files.pipe_file(f"{self.path}/{_JOB}", job)
        places, offset = [], 0
        with self._files.open(f"{self.path}/{_TASKS}", "wb") as stream:
            for data in tasks:
                stream.write(data)
                places.append((offset, len(data)))
                offset += len(data)
        return places

    def job(self) -> Job:
        """The job, in a worker."""
        return open_job(self._files.cat_file(f"{self.path}/{_JOB}"))

    def task(self, offset: int, length: int) -> Task:
        """A task, in a worker."""
        task: Task = pickle.loads(self._files.cat_file(f"{self.path}/{_TASKS}", offset, offset + length))
        return task

    def tell(self, number: int, rows: int) -> None:
        """Say that the task at offset `number` has read its rows; twice is once, and nothing depends on it."""
        with suppress(OSError):
            self._files.pipe_file(f"{self.path}/{_PROGRESS}/{number}-{rows}", b"")

    def progress(self) -> int:
        """How many rows are read, as far as is known."""
        with suppress(OSError):  # a bucket has no folder as long as nothing is in it
            self._files.invalidate_cache()
            names = self._files.ls(f"{self.path}/{_PROGRESS}", detail=False)
            return sum(int(name.rpartition("-")[2]) for name in names)
        return 0

    def give(self, messages: Iterable[bytes]) -> None:
        """Keep done messages, whole or not at all: what is put into a bucket is never there in part."""
        name, data = uuid.uuid4().hex, msgspec.msgpack.encode(list(messages))
        place = f"{self.path}/{name}" if self.local else f"{self.path}/{_RESULTS}/{name}"
        self._files.pipe_file(place, data)
        if self.local:
            self._files.mv(place, f"{self.path}/{_RESULTS}/{name}")

    def results(self) -> Iterator[Message]:
        """All done messages, some perhaps twice."""
        self._files.invalidate_cache()
        if self._files.exists(f"{self.path}/{_RESULTS}"):
            for name in self._files.ls(f"{self.path}/{_RESULTS}", detail=False):
                for data in msgspec.msgpack.decode(self._files.cat_file(name), type=list[bytes]):
                    yield _message(data)

    @contextmanager
    def carried(self) -> Iterator[None]:
        """In a worker: an error of ours on its way out of it, and kept here for whoever does not hear the runner."""
        with carried():
            try:
                yield
            except NinetyfiveError as error:
                with suppress(OSError):
                    self._files.pipe_file(f"{self.path}/{_ERROR}", pack_error(error))
                raise

    def error(self) -> bytes | None:
        """The last error of ours that a worker raised, as data."""
        try:
            return bytes(self._files.cat_file(f"{self.path}/{_ERROR}"))
        except FileNotFoundError:
            return None

    def clear(self) -> None:
        """Remove all of it, while workers may still write into it: those of this machine no longer find it."""
        Folder(self.url, make=False).clear()


def build(pipeline: beam.Pipeline, root: str, tasks: list[tuple[int, int]], rounds: list[bool]) -> None:
    """The pipeline of a job; `rounds`: whether there is anything to put together in each."""
    meetings = [f"round {number}" for number, some in enumerate(rounds[:-1], 1) if some]
    tags = [*meetings, STATES, FILES]
    made = [
        pipeline
        | "Tasks" >> beam.Create(tasks, reshuffle=False)
        | "Spread tasks" >> beam.Reshuffle()
        | "Read and map" >> beam.ParDo(_RunTask(root)).with_outputs(*tags, main=DONE)
    ]
    for number, tag in enumerate(meetings, 1):
        rows = [outputs[tag] for outputs in made] | f"Shuffle {number}, rows" >> beam.Flatten()
        made.append(
            rows
            | f"Shuffle {number}, meet" >> beam.GroupByKey()
            | f"Shuffle {number}, apply" >> beam.ParDo(_RunGroup(root)).with_outputs(*tags, main=DONE)
        )
    done = [outputs[DONE] for outputs in made]
    if rounds[-1]:
        states = (
            [outputs[STATES] for outputs in made]
            | "States" >> beam.Flatten()
            | "Near states" >> beam.Map(_near)
            | "Merge near states" >> beam.CombinePerKey(_MergeNear(root))
            | "Spread states" >> beam.FlatMap(_apart)
        )
        merged = states | "Merge states" >> beam.CombinePerKey(_MergeStates(root)) | "Merged states" >> beam.Values()
        done.append(merged)
        files = [outputs[FILES] for outputs in made] | "Files" >> beam.Flatten()
        written = files | "Meet files" >> beam.GroupByKey() | "Write files" >> beam.ParDo(_RunGroup(root))
        done.append(written)
    _ = done | "Results" >> beam.Flatten() | "Keep results" >> beam.ParDo(_KeepResults(root))


class _AtRoot(beam.DoFn):
    """A step of workers; reads the job once."""

    def __init__(self, root: str) -> None:
        self._url = root

    def setup(self) -> None:
        self._root = Root(self._url)
        with self._root.carried():
            self._job = self._root.job()

    def _sent(self, messages: Iterable[Message]) -> Iterator[Any]:
        """Messages on their way: done ones as they are, others by target under the tag of what puts them together."""
        for message in messages:
            data = msgspec.msgpack.encode(message)
            if message.done:
                yield data
                continue
            kind = self._job.ends[message.end].kind
            tag = {"state": STATES, "file": FILES}.get(kind) or f"round {self._job.rounds[message.end]}"
            yield TaggedOutput(tag, (self._job.target(message), data))


class _RunTask(_AtRoot):
    def process(self, element: tuple[int, int]) -> Iterator[Any]:
        offset, length = element
        with self._root.carried():
            task = self._root.task(offset, length)
            yield from self._sent(run_task(self._job, task))
            self._root.tell(offset, task.rows or 0)


class _RunGroup(_AtRoot):
    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[Any]:
        with self._root.carried():
            yield from self._sent(run_group(self._job, map(_message, element[1])))


class _KeepResults(_AtRoot):
    def start_bundle(self) -> None:
        self._kept: list[bytes] = []

    def process(self, element: bytes) -> None:
        self._kept.append(element)

    def finish_bundle(self) -> None:
        with self._root.carried():
            if self._kept:
                self._root.give(self._kept)


Nodes = tuple[Message | None, dict[tuple[int, int], bytes | None]]


class _Merge(beam.CombineFn):
    """Merges states in any order: an accumulator is the nodes of `merging` that have not found their other half yet."""

    def __init__(self, root: str) -> None:
        self._url = root

    def setup(self) -> None:
        self._root = Root(self._url)
        self._job = self._root.job()

    def create_accumulator(self) -> Nodes:
        return None, {}

    def add_input(self, accumulator: Nodes, element: bytes) -> Nodes:
        message = _message(element)
        return self._added((accumulator[0] or message, accumulator[1]), {(message.level, message.number): message.data})

    def merge_accumulators(self, accumulators: Iterable[Nodes]) -> Nodes:
        merged = self.create_accumulator()
        for first, nodes in accumulators:
            merged = self._added((merged[0] or first, merged[1]), nodes)
        return merged

    def _added(self, accumulator: Nodes, nodes: Mapping[tuple[int, int], bytes | None]) -> Nodes:
        with self._root.carried():
            tree = self._tree(accumulator)
            for (level, number), data in nodes.items():
                tree.add(level, number, data or None)
            return accumulator[0], tree.nodes

    def _tree(self, accumulator: Nodes) -> Merging[bytes]:
        first, nodes = accumulator
        tree: Merging[bytes] = Merging(partial(self._joined, 0 if first is None else first.end))
        tree.nodes = nodes
        return tree

    def _joined(self, end: int, left: bytes, right: bytes) -> bytes:
        plan = self._job.graph.nodes[self._job.ends[end].node]
        assert isinstance(plan, Reduce)
        states = (unpack_state(self._job, end, data) for data in (left, right))
        return pack_state(self._job, end, joined(plan, *states))


class _MergeStates(_Merge):
    """Merges the states of a span to one."""

    def extract_output(self, accumulator: Nodes) -> bytes:
        first, _ = accumulator
        assert first is not None
        with self._root.carried():
            state = self._tree((first, dict(accumulator[1]))).total() or b""
        return msgspec.msgpack.encode(replace(first, level=0, number=0, data=state, done=True))


class _MergeNear(_Merge):
    """Merges the states of a span that are neighbours, as far as they are; what is left of them goes on."""

    def extract_output(self, accumulator: Nodes) -> list[bytes]:
        first, nodes = accumulator
        assert first is not None
        places = [(replace(first, level=level, number=number), data) for (level, number), data in nodes.items()]
        return [msgspec.msgpack.encode(replace(place, data=data or b"")) for place, data in places]


def _near(element: tuple[str, bytes]) -> tuple[tuple[str, int], bytes]:
    """States of which the numbers are near each other get one key."""
    target, data = element
    return (target, _message(data).number // NEAR % FAN_OUT), data


def _apart(element: tuple[tuple[str, int], list[bytes]]) -> Iterator[tuple[str, bytes]]:
    """States that could not be merged yet, by the span alone."""
    (target, _), merged = element
    for data in merged:
        yield target, data


def _message(data: bytes) -> Message:
    return msgspec.msgpack.decode(data, type=Message)
