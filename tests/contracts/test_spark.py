"""The Spark engine keeps the contract of engines, in classic sessions and through Spark Connect."""

from __future__ import annotations

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


class TestSparkConnect(EngineSuite):
    @pytest.fixture
    def engine(self, connect: SparkSession) -> Engine:
        return SparkEngine(connect)

    @pytest.fixture
    def small(self, connect: SparkSession) -> Engine:
        return SparkEngine(connect, partition_memory=SMALL)
