"""The Beam engine keeps the contract of engines: in this process, in two, and where every bundle is done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from ninetyfive.engines.beam import BeamEngine
from ninetyfive.engines.local import LocalEngine
from ninetyfive.plan import Engine, Plan, Reduce, Write
from ninetyfive.testing.engine_faults import SMALL
from ninetyfive.testing.engine_plans import SumCount, doubled, three
from ninetyfive.testing.engine_suite import EngineSuite

pytestmark = pytest.mark.slow


class TestBeam(EngineSuite):
    @pytest.fixture
    def engine(self) -> Engine:
        return BeamEngine()

    @pytest.fixture
    def small(self) -> Engine:
        return BeamEngine(partition_memory=SMALL)


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


@pytest.mark.parametrize(
    "name",
    [
        "test_values_pass_unchanged",
        "test_reduce_by_key",
        "test_nodes_follow_a_shuffle",
        "test_shuffle_of_skewed_and_null_keys",
        "test_repeated_ids",
        "test_written_files_read_back",
        "test_a_failed_run_leaves_what_was_there",
    ],
)
def test_two_processes_keep_what_travels(name: str, tmp_path: Path) -> None:
    """Those tests of the contract in which values, states, rows, files or errors go from one process to another."""
    engine = BeamEngine({"direct_running_mode": "multi_processing", "direct_num_workers": 2})
    getattr(EngineSuite(), name)(engine, tmp_path)
