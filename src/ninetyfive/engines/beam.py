"""Runs plans on Apache Beam: one pipeline a job, on any runner; our code in its workers.

    Create(tasks) ─ Reshuffle ─ Read and map ─┬─ GroupByKey ─ Shuffle 1 ─ … ─┐      every step is named
                                              ├─ Merge states (combiner) ────┼─▶ Keep results ─▶ files under the root
                                              └─ GroupByKey ─ Write files ───┘

The job, its tasks and its results are files under a temporary root that driver and workers reach, so that a remote
runner works like a local one. A bundle that runs twice leaves equal results under names of their own, counted once.

What does not belong here: what workers do (`tasks`), the driver's side of a job (`submission`).
"""

from __future__ import annotations

import os
import pickle
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import redirect_stderr, suppress
from functools import partial
from io import StringIO
from typing import Any

import apache_beam as beam
import fsspec
import msgspec
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.pvalue import TaggedOutput
from apache_beam.runners.runner import PipelineState
from fsspec.implementations.local import LocalFileSystem

from ninetyfive.engines.chunks import joined
from ninetyfive.engines.merging import Merging
from ninetyfive.engines.shipping import Told, carried, dumps
from ninetyfive.engines.submission import Submission
from ninetyfive.engines.tasks import Job, Message, Task, open_job, pack_state, run_group, run_task, unpack_state
from ninetyfive.engines.writing import Folder
from ninetyfive.errors import EngineError, SettingsError, near_names
from ninetyfive.plan import PARTITION_MEMORY, Plan, Reduce
from ninetyfive.progress import RowProgress

RUNNER = "FnApiRunner"
"""Beam's own runner in this process. The default of Beam first tries to fetch another one from the network."""

FAN_OUT = 8
"""Over how many combiners the states of one span are spread before they meet."""

DONE, STATES, FILES = "done", "states", "files"
_JOB, _TASKS, _PROGRESS, _RESULTS = "job", "tasks", "progress", "results"
_NEAR, _FAR = 0.25, 5.0
"""How often progress is looked at, in seconds: of a local root, of one in a bucket."""


class BeamEngine:
    """An `Engine` on Beam; see `plan.Engine` for what `run` gives, and docs/engines.md for how plans are mapped.

    `options` are Beam's pipeline options by name (`runner`, default FnApiRunner in this process; `direct_num_workers`,
    `flink_master`, `project` …). `temporary` is a folder that driver and workers reach (default: `temp_location` of the
    options, else the system's). `partition_memory` in bytes: the rows of one partition of a shuffle. `progress` as for
    `LocalEngine`, in steps of tasks. Workers need ninetyfive installed, and reach every url of the plans.
    """

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        temporary: str | None = None,
        partition_memory: int = PARTITION_MEMORY,
        progress: RowProgress | None = None,
    ) -> None:
        self.jobs = 0
        self._options = dict(options or {})
        self._temporary = temporary
        self._room = partition_memory
        self._progress = progress

    def run(self, plans: Mapping[str, Plan]) -> dict[str, Any]:
        """Run all plans as one pipeline; a run that fails raises and leaves no file behind.

        Errors as for `LocalEngine`; `EngineError` too for what the runner says. Ctrl-C stops the workers of this
        machine after the chunks in work, and cancels the job of a runner elsewhere.
        """
        if not plans:
            return {}
        with Told("beam"):
            options = _options({"runner": RUNNER, **self._options})
            place = self._temporary or options.view_as(GoogleCloudOptions).temp_location or tempfile.gettempdir()
            url = f"{place.rstrip('/')}/ninetyfive-{uuid.uuid4().hex[:12]}"
            root = _Root(url, private=place == tempfile.gettempdir())
        submission = Submission(plans, self._room, root.path if root.local else None)
        self.jobs += 1
        with submission, Told("beam"):
            try:
                if submission.tasks:
                    self._run(submission, root, options)
                return submission.results(root.results())
            finally:
                root.clear()

    def _run(self, submission: Submission, root: _Root, options: PipelineOptions) -> None:
        pipeline = beam.Pipeline(options=options)
        _build(pipeline, root.url, root.keep(submission), [count > 0 for count in submission.groups])
        job = _Running(pipeline)
        with ThreadPoolExecutor(1, thread_name_prefix="ninetyfive-beam") as pool:
            running = pool.submit(job.run)
            try:
                self._wait(running, root, submission.rows)
                running.result()
            except BaseException:
                while not wait([running], timeout=_NEAR).done:
                    job.cancel()  # again and again: a job that is still being submitted cannot be cancelled yet
                    root.clear()
                raise
        if self._progress is not None and submission.rows is not None:
            self._progress(submission.rows, submission.rows)

    def _wait(self, running: Future[None], root: _Root, rows: int | None) -> None:
        told = 0
        while not wait([running], timeout=_NEAR if root.local else _FAR).done:
            if self._progress is not None and (done := root.progress()) > told:
                self._progress(done, rows)
                told = done


def _options(said: Mapping[str, Any]) -> PipelineOptions:
    """Beam's options; `SettingsError` for a value that Beam refuses, or a name that its own runner does not know."""
    where = "[engines.beam.options]"
    with redirect_stderr(StringIO()) as usage:
        try:
            options: PipelineOptions = PipelineOptions.from_dictionary(dict(said))
            known = options.get_all_options()
        except SystemExit:
            got = usage.getvalue().strip().rpartition("error: ")[2]
            raise SettingsError(where, expected="values that Beam takes", got=got, do="correct the option") from None
    for name in said:
        if said["runner"] == RUNNER and name not in known:
            raise SettingsError(f"{where} {name!r}", expected="an option of Beam", got=name, do=near_names(name, known))
    return options


class _Running:
    """A pipeline that runs: `run` blocks until it ends."""

    def __init__(self, pipeline: beam.Pipeline) -> None:
        self._pipeline = pipeline
        self._result: Any = None

    def run(self) -> None:
        self._result = self._pipeline.run()
        state = self._result.wait_until_finish() or self._result.state
        if state != PipelineState.DONE:
            raise EngineError(
                "engine beam", expected="a job that ends well", got=f"one that is {state}", do="look into its logs"
            )

    def cancel(self) -> None:
        """Cancel a job of a runner elsewhere; workers of this process see that the root is gone."""
        if self._result is not None and not PipelineState.is_terminal(self._result.state):
            self._result.cancel()


class _Root:
    """The folder of one job, on a local disk or wherever fsspec reaches: what is shipped, how far it is, results."""

    def __init__(self, url: str, private: bool = False) -> None:
        self._files, self.path = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self.local = isinstance(self._files, LocalFileSystem)
        self.url = self.path if self.local else url  # a worker may work in another folder
        self._private = private

    def keep(self, submission: Submission) -> list[tuple[int, int]]:
        """Write the job and its tasks; where each task lies: (offset, length)."""
        for folder in ("", f"/{_PROGRESS}", f"/{_RESULTS}"):
            self._files.makedirs(f"{self.path}{folder}", exist_ok=True)
        if self._private:
            os.chmod(self.path, 0o700)
        job, *tasks = dumps(submission.job, *submission.tasks)
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

    def clear(self) -> None:
        """Remove all of it, while workers may still write into it: those of this machine no longer find it."""
        Folder(self.url, make=False).clear()


def _build(pipeline: beam.Pipeline, root: str, tasks: list[tuple[int, int]], rounds: list[bool]) -> None:
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
        states = [outputs[STATES] for outputs in made] | "States" >> beam.Flatten()
        merge = beam.CombinePerKey(_MergeStates(root)).with_hot_key_fanout(FAN_OUT)
        done.append(states | "Merge states" >> merge | "Merged states" >> beam.Values())
        files = [outputs[FILES] for outputs in made] | "Files" >> beam.Flatten()
        written = files | "Meet files" >> beam.GroupByKey() | "Write files" >> beam.ParDo(_RunGroup(root))
        done.append(written)
    _ = done | "Results" >> beam.Flatten() | "Keep results" >> beam.ParDo(_KeepResults(root))


class _AtRoot(beam.DoFn):
    """A step of workers; reads the job once."""

    def __init__(self, root: str) -> None:
        self._url = root

    def setup(self) -> None:
        self._root = _Root(self._url)
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
        with carried():
            task = self._root.task(offset, length)
            yield from self._sent(run_task(self._job, task))
            self._root.tell(offset, task.rows or 0)


class _RunGroup(_AtRoot):
    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[Any]:
        with carried():
            yield from self._sent(run_group(self._job, map(_message, element[1])))


class _KeepResults(_AtRoot):
    def start_bundle(self) -> None:
        self._kept: list[bytes] = []

    def process(self, element: bytes) -> None:
        self._kept.append(element)

    def finish_bundle(self) -> None:
        with carried():
            if self._kept:
                self._root.give(self._kept)


Nodes = tuple[Message | None, dict[tuple[int, int], bytes | None]]


class _MergeStates(beam.CombineFn):
    """Merges states in any order: an accumulator is the nodes of `merging` that have not found their other half yet."""

    def __init__(self, root: str) -> None:
        self._url = root

    def setup(self) -> None:
        self._job = _Root(self._url).job()

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

    def extract_output(self, accumulator: Nodes) -> bytes:
        first, _ = accumulator
        assert first is not None
        with carried():
            state = self._tree((first, dict(accumulator[1]))).total() or b""
        return msgspec.msgpack.encode(msgspec.structs.replace(first, level=0, number=0, data=state, done=True))

    def _added(self, accumulator: Nodes, nodes: Mapping[tuple[int, int], bytes | None]) -> Nodes:
        with carried():
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


def _message(data: bytes) -> Message:
    return msgspec.msgpack.decode(data, type=Message)
