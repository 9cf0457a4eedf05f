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


REPEATED = "direct_runner_bundle_repeat"
"""The runner does every bundle so many times more, and keeps what the last made."""


@pytest.mark.parametrize(
    "name",
    [
        "test_map_gives_both_sides",
        "test_reduce_makes_one_state_a_span",
        "test_reduce_by_key",
        "test_write_gives_the_same_files",
        "test_shuffle_brings_equal_keys_together",
        "test_shuffle_of_skewed_and_null_keys",
        "test_nodes_follow_a_shuffle",
        "test_repeated_ids",
        "test_a_function_that_raises_is_named",
        "test_a_failed_run_leaves_what_was_there",
    ],
)
def test_bundles_that_are_done_twice_add_nothing(name: str, tmp_path: Path) -> None:
    """Those tests of the contract in which rows, states or files of a bundle could be there twice.

    Of the rest TestTasks does every task and round twice.
    """
    getattr(EngineSuite(), name)(BeamEngine({REPEATED: 1}), tmp_path)


def test_functions_run_twice_and_it_cannot_be_seen(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    engine, log = BeamEngine({REPEATED: 1}, temporary=str(tmp_path / "temporary")), tmp_path / "calls"
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
