"""Every engine keeps the contract of engines."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from ninetyfive.engines import submission, tasks
from ninetyfive.engines.beam import BeamEngine
from ninetyfive.engines.local import LocalEngine
from ninetyfive.engines.partitioning import PARTITION_MEMORY
from ninetyfive.engines.shipping import dumps
from ninetyfive.engines.spark import SparkEngine
from ninetyfive.engines.submission import Submission
from ninetyfive.engines.tasks import open_job, run_round, run_task
from ninetyfive.plan import Engine, Plan, Reduce, Write
from ninetyfive.testing.engine_faults import SMALL
from ninetyfive.testing.engine_plans import SumCount, doubled, three
from ninetyfive.testing.engine_suite import EngineSuite

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class TestLocal(EngineSuite):
    @pytest.fixture(params=[1, 2, 7])
    def engine(self, request: pytest.FixtureRequest) -> Engine:
        return LocalEngine(threads=request.param)

    @pytest.fixture
    def small(self) -> Engine:
        return LocalEngine(threads=2, partition_memory=SMALL)


class TestLocalThatSpills(EngineSuite):
    @pytest.fixture
    def engine(self) -> Engine:
        return LocalEngine(threads=3, memory=0)

    @pytest.fixture
    def small(self) -> Engine:
        return LocalEngine(threads=3, memory=0, partition_memory=SMALL)


class Unscheduled:
    """Both sides of a distributed engine without one: every task, then every round, here; all that travels is pickled.

    Messages come in reverse, each task and round runs twice, as a retried one would, and its first messages are lost.
    """

    def __init__(self, partition_memory: int = PARTITION_MEMORY) -> None:
        self.jobs = 0
        self._room = partition_memory

    def run(self, plans: Mapping[str, Plan]) -> dict[str, Any]:
        """Run the plans."""
        if not plans:
            return {}
        made = Submission(plans, self._room)
        self.jobs += 1
        with made:
            job, *sent = dumps(made.job, *made.tasks)
            job = open_job(job)
            messages = [message for task in sent for message in self._last(run_task, job, pickle.loads(task))]
            for number in range(1, len(made.groups) + 1):
                messages = self._last(run_round, job, number, messages[::-1])
            assert all(message.done for message in messages)
            return made.results(messages + messages)

    def _last(self, function: Any, *given: Any) -> list[Any]:
        list(function(*given))
        return list(function(*given))


class TestTasks(EngineSuite):
    @pytest.fixture(params=[1, 8])
    def engine(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Engine:
        monkeypatch.setattr(submission, "BLOCK", request.param)
        monkeypatch.setattr(tasks, "BLOCK_LEVEL", request.param.bit_length() - 1)
        return Unscheduled()

    @pytest.fixture
    def small(self) -> Engine:
        return Unscheduled(SMALL)

    test_many_sinks_are_one_job_and_functions_run_once = None  # type: ignore[assignment]  # each task runs twice


@pytest.mark.slow
class TestSpark(EngineSuite):
    @pytest.fixture
    def engine(self, spark: SparkSession) -> Engine:
        return SparkEngine(spark)

    @pytest.fixture
    def small(self, spark: SparkSession) -> Engine:
        return SparkEngine(spark, partition_memory=SMALL)


@pytest.mark.slow
class TestSparkConnect(EngineSuite):
    @pytest.fixture
    def engine(self, connect: SparkSession) -> Engine:
        return SparkEngine(connect)

    @pytest.fixture
    def small(self, connect: SparkSession) -> Engine:
        return SparkEngine(connect, partition_memory=SMALL)


@pytest.mark.slow
class TestBeam(EngineSuite):
    @pytest.fixture
    def engine(self) -> Engine:
        return BeamEngine()

    @pytest.fixture
    def small(self) -> Engine:
        return BeamEngine(partition_memory=SMALL)


@pytest.mark.slow
class TestBeamThatRetriesBundles(EngineSuite):
    """The runner does every bundle twice, and keeps what the last made."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        (tmp_path / "temporary").mkdir()
        return BeamEngine({"direct_runner_bundle_repeat": 1}, temporary=str(tmp_path / "temporary"))

    @pytest.fixture
    def small(self) -> Engine:
        return BeamEngine({"direct_runner_bundle_repeat": 1}, partition_memory=SMALL)

    def test_many_sinks_are_one_job_and_functions_run_once(self, engine: Engine, tmp_path: Path) -> None:
        """Functions run twice, and it cannot be seen."""
        log = tmp_path / "calls"
        good = doubled(three(), str(log))
        plans: dict[str, Plan] = {"sum": Reduce(good, SumCount("x")), "files": Write(good, str(tmp_path / "out"))}
        results = engine.run(plans)
        assert sorted(map(int, log.read_text().split())) == sorted(2 * [1, 1, 1, 3, 3, 3, 3, 3])
        assert results["sum"] == LocalEngine().run({"sum": plans["sum"]})["sum"]
        assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".parquet"}
        assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.slow
class TestBeamInTwoProcesses(EngineSuite):
    OPTIONS: ClassVar = {"direct_running_mode": "multi_processing", "direct_num_workers": 2}

    @pytest.fixture
    def engine(self) -> Engine:
        return BeamEngine(self.OPTIONS)

    @pytest.fixture
    def small(self) -> Engine:
        return BeamEngine(self.OPTIONS, partition_memory=SMALL)
