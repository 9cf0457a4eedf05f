"""Runs plans on Apache Spark, classic or Connect: one query of DataFrames a job, our code in its Python workers.

    tasks (DataFrame) ─ mapInArrow(run_task) ─ spread ─ mapInArrow(run_round 1) ─ … ─▶ done messages

Rows never become Spark's own columns: they travel as Arrow bytes, so that no dtype, NaN or −0.0 changes on the way.
What a task makes is what Spark keeps of it, so a retried or speculative attempt adds nothing.

What does not belong here: what workers do (`tasks`), the driver's side of a job (`submission`), Java (`java`).
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from ninetyfive.engines.java import find_java, launcher
from ninetyfive.engines.shipping import Told, carried, dumps
from ninetyfive.engines.submission import Submission
from ninetyfive.engines.tasks import BLOCK, Job, Message, open_job, run_round, run_task
from ninetyfive.errors import EngineError
from ninetyfive.plan import PARTITION_MEMORY, Plan
from ninetyfive.progress import RowProgress

Batches = Iterator[pa.RecordBatch]

SCHEMA = "bucket int, message binary"
_ARROW = pa.schema([("bucket", pa.int32()), ("message", pa.binary())])
_BATCH_BYTES = 4 << 20
_FEW_BUNDLES = 64
_LAST_ROUND = 256
"""The most Spark tasks that put together states and files."""
_QUIET = (
    f"-Dlog4j2.configurationFile={Path(__file__).with_name('spark-log4j2.properties').as_uri()}",
    "-Dspark.ui.enabled=false",
    "-Dspark.ui.showConsoleProgress=false",
    "-Dspark.driver.maxResultSize=0",
)
_CONNECT_PORT, _CONNECT_SECONDS = 15_002, 10.0
_POLL = 0.25


class SparkEngine:
    """An `Engine` on Spark; see `plan.Engine` for what `run` gives, and docs/engines.md for how plans are mapped.

    `session` is a session to use; without it the active one is, or one is made at the first run and kept warm: of
    `remote` (Spark Connect, "sc://host") or `master` (default "local[*]", or what spark-submit says), with `options`
    (Spark's own settings). `partition_memory` in bytes: the rows of one partition of a shuffle. `progress` as for
    `LocalEngine`, in steps of Spark tasks. Workers need ninetyfive installed, and reach every url of the plans.
    """

    def __init__(
        self,
        session: SparkSession | None = None,
        *,
        master: str | None = None,
        remote: str | None = None,
        options: Mapping[str, Any] | None = None,
        partition_memory: int = PARTITION_MEMORY,
        progress: RowProgress | None = None,
    ) -> None:
        self.jobs = 0
        self._given = session
        self._master = master
        self._remote = remote
        self._options = dict(options or {})
        self._room = partition_memory
        self._progress = progress

    def run(self, plans: Mapping[str, Plan]) -> dict[str, Any]:
        """Run all plans as one Spark query; a run that fails raises and leaves no file behind.

        Errors as for `LocalEngine`; `EngineError` too for what Spark says. Ctrl-C cancels the query.
        """
        if not plans:
            return {}
        submission = Submission(plans, self._room)
        self.jobs += 1
        with submission:
            messages = self._run(submission) if submission.tasks else []
            return submission.results(messages)

    @property
    def session(self) -> SparkSession:
        """The session that jobs run in; made now, if there is none. `EngineError` where Spark does not start."""
        with Told("spark"):
            return self._given or SparkSession.getActiveSession() or self._started()

    def _started(self) -> SparkSession:
        builder = SparkSession.builder.appName("ninetyfive")
        submitted = "PYSPARK_GATEWAY_PORT" in os.environ
        master = self._master or (None if submitted else "local[*]")
        local = not submitted and (self._remote or master or "").startswith("local")
        started = not submitted and (local or not self._remote)
        if self._remote:
            _check_reachable(self._remote)
            builder = builder.remote(self._remote)
        elif master:
            builder = builder.master(master)
        for name, value in self._options.items():
            builder = builder.config(name, str(value).lower() if isinstance(value, bool) else str(value))
        # In a thread: a Ctrl-C waits until Java has answered, else nobody would end it.
        with (
            _environment(_launching(local) if started else {}),
            ThreadPoolExecutor(1, thread_name_prefix="ninetyfive-spark") as pool,
        ):
            self._given = pool.submit(builder.getOrCreate).result()
        return self._given

    def _run(self, submission: Submission) -> Iterable[Message]:
        session = self.session
        bundles = _bundles(submission)
        with Told("spark"):
            query = _query(session, submission, bundles)
        name = f"ninetyfive-{uuid.uuid4().hex[:12]}"
        watch = _Connect(session, name) if "connect" in type(session).__module__ else _Classic(session, name)
        with Told("spark"), watch, ThreadPoolExecutor(1, thread_name_prefix="ninetyfive-spark") as pool:
            running = pool.submit(watch.collect, query)
            try:
                self._wait(running, watch, bundles, submission.rows)
            except BaseException:
                while not wait([running], timeout=_POLL).done:
                    watch.cancel()  # again and again: before the query has begun there is nothing to cancel
                raise
            table = running.result()
        if self._progress is not None and submission.rows is not None:
            self._progress(submission.rows, submission.rows)
        return _messages(table.to_batches())

    def _wait(self, running: Future[pa.Table], watch: _Watch, bundles: int, rows: int | None) -> None:
        told = 0
        while not wait([running], timeout=_POLL).done:
            if self._progress is not None and rows:
                done = rows * watch.done(bundles) // bundles
                if told < done < rows:
                    self._progress(done, rows)
                    told = done


class _Classic:
    """A query of a classic session while it runs: a job group."""

    def __init__(self, session: SparkSession, name: str) -> None:
        self._context = session.sparkContext
        self._name = name

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def collect(self, query: DataFrame) -> pa.Table:
        self._context.setJobGroup(self._name, "ninetyfive", interruptOnCancel=True)
        return query.toArrow()

    def cancel(self) -> None:
        self._context.cancelJobGroup(self._name)

    def done(self, bundles: int) -> int:
        """How many bundles of tasks are done: those of the stage that has as many tasks as there are bundles."""
        tracker = self._context.statusTracker()
        jobs = [tracker.getJobInfo(number) for number in tracker.getJobIdsForGroup(self._name)]
        stages = [tracker.getStageInfo(stage) for job in jobs if job is not None for stage in job.stageIds]
        return max((s.numCompletedTasks for s in stages if s is not None and s.numTasks == bundles), default=0)


class _Connect:
    """A query of a Spark Connect session while it runs: a tag."""

    def __init__(self, session: SparkSession, name: str) -> None:
        self._session = session
        self._name = name
        self._done: dict[int, tuple[int, int]] = {}

    def __enter__(self) -> None:
        self._session.registerProgressHandler(cast(Any, self._told))

    def __exit__(self, *_: object) -> None:
        self._session.removeProgressHandler(cast(Any, self._told))

    def collect(self, query: DataFrame) -> pa.Table:
        self._session.addTag(self._name)
        return query.toArrow()

    def cancel(self) -> None:
        self._session.interruptTag(self._name)

    def done(self, bundles: int) -> int:
        """How many bundles of tasks are done: those of the stage that has as many tasks as there are bundles."""
        return max((done for tasks, done in list(self._done.values()) if tasks == bundles), default=0)

    def _told(self, stages: Any, **_: object) -> None:
        self._done.update({stage.stage_id: (stage.num_tasks, stage.num_completed_tasks) for stage in stages or ()})


_Watch = _Classic | _Connect


def _query(session: SparkSession, submission: Submission, bundles: int) -> DataFrame:
    """The whole job as one DataFrame of done messages."""
    *shuffles, last = submission.groups
    rounds = [*enumerate(shuffles, 1), *([(len(shuffles) + 1, min(last, _LAST_ROUND))] if last else [])]
    buckets = [*(count for _, count in rounds), 1]
    job, *tasks = dumps(submission.job, *submission.tasks)
    rows = {
        "bucket": pa.array((number % bundles for number in range(len(tasks))), pa.int32()),
        "message": pa.array(tasks, pa.binary()),
    }
    frame = spread(session.createDataFrame(pa.table(rows, schema=_ARROW)), bundles)
    frame = frame.mapInArrow(_tasks_of(job, buckets[0]), SCHEMA)
    for (number, count), after in zip(rounds, buckets[1:], strict=True):
        frame = spread(frame, count).mapInArrow(_round_of(job, number, after), SCHEMA)
    return frame.select("message")


def spread(frame: DataFrame, count: int) -> DataFrame:
    """The rows in `count` partitions, those of a bucket in one; each bucket in its own from Spark 4.1 on.

    Spark 4.0, which the newest runtime of Dataproc has, spreads them by a hash: some partitions have several.
    """
    by_id = getattr(frame, "repartitionById", None)
    return frame.repartition(count, "bucket") if by_id is None else cast(DataFrame, by_id(count, "bucket"))


def _bundles(submission: Submission) -> int:
    """How many Spark tasks read: one for every `BLOCK` chunks, but all apart where there are few."""
    chunks = sum(BLOCK if task.chunks is None else task.chunks for task in submission.tasks)
    return max(1, min(len(submission.tasks), max(_FEW_BUNDLES, chunks // BLOCK)))


def _tasks_of(job: bytes, buckets: int) -> Callable[[Batches], Batches]:
    """The function of the first stage: tasks → messages, each for one of `buckets` of the next stage."""

    def run(batches: Batches) -> Batches:
        with carried():
            known = open_job(job)
            tasks = (pickle.loads(data.as_py()) for batch in batches for data in batch.column("message"))
            yield from _batches(known, buckets, (message for task in tasks for message in run_task(known, task)))

    return run


def _round_of(job: bytes, number: int, buckets: int) -> Callable[[Batches], Batches]:
    """The function of a later stage: messages → messages."""

    def run(batches: Batches) -> Batches:
        with carried():
            known = open_job(job)
            yield from _batches(known, buckets, run_round(known, number, _messages(batches)))

    return run


def _messages(batches: Iterable[pa.RecordBatch]) -> Iterator[Message]:
    decoder = msgspec.msgpack.Decoder(Message)
    return (decoder.decode(data.as_buffer()) for batch in batches for data in batch.column("message"))


def _batches(job: Job, buckets: int, messages: Iterable[Message]) -> Batches:
    """Messages as Arrow batches of a few MiB."""
    rows: list[tuple[int, bytes]] = []
    size = 0
    for message in messages:
        data = msgspec.msgpack.encode(message)
        rows.append((_bucket(job, message) % buckets, data))
        size += len(data)
        if size > _BATCH_BYTES:
            yield _batch(rows)
            rows, size = [], 0
    if rows:
        yield _batch(rows)


def _batch(rows: list[tuple[int, bytes]]) -> pa.RecordBatch:
    columns = [pa.array((bucket for bucket, _ in rows), pa.int32()), pa.array((data for _, data in rows), pa.binary())]
    return pa.RecordBatch.from_arrays(columns, schema=_ARROW)


def _bucket(job: Job, message: Message) -> int:
    """A number that is equal for the messages of a group, and differs between the partitions of a round."""
    end = job.ends[message.end]
    if end.kind == "meeting":
        return job.before[end.node] + int(message.group)
    return zlib.crc32(job.target(message).encode())


def _check_reachable(remote: str) -> None:
    """`EngineError` where nobody listens at an address of Spark Connect: its client would try for ten minutes."""
    place = urlsplit(remote)
    if place.scheme != "sc" or not place.hostname:
        return
    try:
        socket.create_connection((place.hostname, place.port or _CONNECT_PORT), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise EngineError(
            f"engine spark, remote {remote!r}",
            expected="a Spark Connect server",
            got=f"{type(error).__name__}: {error}",
            do="start it, or correct the address",
        ) from error


def _launching(local: bool) -> dict[str, str]:
    """What the environment has to say while a JVM starts here: Java; where it is all of Spark, this Python, quiet logs.

    A worker is a process a core, so that Polars in it needs no threads of its own.
    """
    said = os.environ
    java = {"JAVA_HOME": str(launcher(find_java(said), said))}
    if not local:
        return java
    return java | {
        "PYSPARK_PYTHON": said.get("PYSPARK_PYTHON", sys.executable),
        "POLARS_MAX_THREADS": said.get("POLARS_MAX_THREADS", "1"),
        "SPARK_SUBMIT_OPTS": " ".join((*_QUIET, said.get("SPARK_SUBMIT_OPTS", ""))),
    }


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """The environment with `values` while Spark starts, which reads it then and only then; put back afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
