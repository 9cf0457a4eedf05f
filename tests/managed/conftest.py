"""Servers of managed services for a test; each is real, on a free port, and empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.managed.commands import meet
from tests.managed.fake_dataflow import FakeDataflow
from tests.managed.fake_dataproc import FakeDataproc
from tests.managed.fake_endpoints import FakeEndpoints
from tests.managed.fake_vertex import FakeVertex
from tests.managed.services import GrpcServer
from tests.store.conftest import bucket, postgres

__all__ = ["bucket", "postgres"]


@pytest.fixture
def dataproc() -> FakeDataproc:
    """What the Dataproc server of this test answers by."""
    return FakeDataproc()


@pytest.fixture
def dataproc_server(dataproc: FakeDataproc) -> Iterator[GrpcServer]:
    """A server that speaks Dataproc's definition."""
    with dataproc.server().running() as server:
        yield server


@pytest.fixture
def dataflow() -> FakeDataflow:
    """What the Dataflow server of this test answers by."""
    return FakeDataflow()


@pytest.fixture
def dataflow_server(dataflow: FakeDataflow) -> Iterator[GrpcServer]:
    """A server that speaks Dataflow's definition."""
    with dataflow.server().running() as server:
        yield server


@pytest.fixture
def vertex(tmp_path: Path) -> FakeVertex:
    """What the Vertex AI server of this test answers by."""
    return FakeVertex(tmp_path / "outputs")


@pytest.fixture
def vertex_server(vertex: FakeVertex) -> Iterator[GrpcServer]:
    """A server that speaks Vertex AI's definition."""
    with vertex.server().running() as server:
        yield server


@pytest.fixture
def endpoints(tmp_path: Path) -> FakeEndpoints:
    """What the server of models, endpoints and batch predictions of this test answers by; its machines are real."""
    (tmp_path / "machines").mkdir()
    return FakeEndpoints(tmp_path / "machines")


@pytest.fixture
def endpoints_server(endpoints: FakeEndpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GrpcServer]:
    """The server of the fake; commands of this test, and of processes that it starts, meet it."""
    with endpoints.running() as server:
        log = "bq://my-project.requests.trips"
        said = {"POLL": "0.02", "PATIENCE": "0", "VERTEX_ENDPOINT": server.url, "VERTEX_REQUEST_LOG": log}
        meet(monkeypatch, tmp_path / "temporary", **said)
        yield server
