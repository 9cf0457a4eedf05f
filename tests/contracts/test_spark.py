"""The Spark engine keeps the contract of engines in a classic session, and what travels also through Spark Connect."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ninetyfive.engines.spark import SparkEngine
from ninetyfive.plan import Engine
from ninetyfive.testing.engine_faults import SMALL
from ninetyfive.testing.engine_suite import EngineSuite

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow


class TestSpark(EngineSuite):
    @pytest.fixture
    def engine(self, spark: SparkSession) -> Engine:
        return SparkEngine(spark)

    @pytest.fixture
    def small(self, spark: SparkSession) -> Engine:
        return SparkEngine(spark, partition_memory=SMALL)


@pytest.mark.parametrize(
    "name",
    [
        "test_values_pass_unchanged",
        "test_reduce_by_key",
        "test_nodes_follow_a_shuffle",
        "test_repeated_ids",
        "test_written_files_read_back",
        "test_a_function_that_raises_is_named",
        "test_errors_of_ours_pass_unchanged",
        "test_a_failed_run_leaves_what_was_there",
        "test_no_plans",
    ],
)
def test_connect_keeps_what_travels(name: str, connect: SparkSession, tmp_path: Path) -> None:
    """Those tests of the contract in which values, states, rows, files or errors go over the wire of Connect.

    The query, and what workers do, is the same as in a classic session.
    """
    test = getattr(EngineSuite(), name)
    given = {"engine": SparkEngine(connect), "tmp_path": tmp_path}
    test(**{word: given[word] for word in inspect.signature(test).parameters})


def test_connect_tells_of_a_partition_without_room(connect: SparkSession, tmp_path: Path) -> None:
    EngineSuite().test_a_key_with_too_many_rows_is_named(SparkEngine(connect, partition_memory=SMALL), tmp_path)
