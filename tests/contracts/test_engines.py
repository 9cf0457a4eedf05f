"""The local engine keeps the contract of engines, and so do both halves of a distributed one without its engine."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from ninetyfive.engines import submission, tasks
from ninetyfive.engines.local import LocalEngine
from ninetyfive.engines.shipping import dumps
from ninetyfive.engines.submission import Submission
from ninetyfive.engines.tasks import open_job, run_round, run_task
from ninetyfive.plan import PARTITION_MEMORY, Engine, Plan
from ninetyfive.testing.engine_faults import SMALL
from ninetyfive.testing.engine_suite import EngineSuite


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
    @pytest.fixture(params=[1, pytest.param(8, marks=pytest.mark.slow)])
    def engine(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Engine:
        monkeypatch.setattr(submission, "BLOCK", request.param)
        monkeypatch.setattr(tasks, "BLOCK_LEVEL", request.param.bit_length() - 1)
        return Unscheduled()

    @pytest.fixture
    def small(self) -> Engine:
        return Unscheduled(SMALL)

    test_many_sinks_are_one_job_and_functions_run_once = None  # type: ignore[assignment]  # each task runs twice
