"""Every engine keeps the contract of engines."""

from __future__ import annotations

import pytest

from ninetyfive.engines.local import LocalEngine
from ninetyfive.plan import Engine
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
