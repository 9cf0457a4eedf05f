"""`ninetyfive submit … --to dataflow`: from the words of a command to staged graphs, which Beam's own runner runs."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import Project, trips
from tests.managed.commands import killed, meet
from tests.managed.fake_dataflow import FakeDataflow
from tests.managed.services import GrpcServer
from tests.managed.workers import runs_graph, runs_on_beam

from ninetyfive.managed.offers import JOBS

pytestmark = pytest.mark.slow


@pytest.fixture
def managed(
    tmp_path: Path, dataflow: FakeDataflow, dataflow_server: GrpcServer, monkeypatch: pytest.MonkeyPatch
) -> FakeDataflow:
    """Commands of this test, and of processes that it starts, meet the server of the fake."""
    meet(monkeypatch, tmp_path / "temporary", DATAFLOW_ENDPOINT=dataflow_server.url)
    dataflow.work = runs_on_beam
    return dataflow


def test_a_run_whose_graphs_beam_runs_makes_the_release_of_a_run_here(
    project: Project, finished: Project, managed: FakeDataflow, tmp_path: Path
) -> None:
    said = project.command("submit", "run", "--to", "dataflow", "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert document["release"] == finished.champion()
    assert document["jobs"] == len(document["service_jobs"]) == managed.made > 3
    assert not list((tmp_path / "temporary" / "jobs").iterdir())
    assert {job["state"] for job in project.load().jobs()} == {"done"}


def test_a_command_that_was_killed_when_its_job_was_done_is_gone_on_from_by_another_process(
    copied: Project, managed: FakeDataflow, tmp_path: Path
) -> None:
    managed.work = runs_graph
    trips(30, first=5_000).drop("tip", "fare").write_parquet(tmp_path / "new.parquet")
    words = ["submit", "predict", str(tmp_path / "new.parquet"), str(tmp_path / "out.parquet"), "--to", "dataflow"]
    died = killed(words, copied.folder, NINETYFIVE_CRASH="kill job done", PYTHONHASHSEED="1")
    assert died == -signal.SIGKILL
    assert killed(words, copied.folder, PYTHONHASHSEED="2") == 0
    assert pl.read_parquet(tmp_path / "out.parquet").height == 30
    assert (managed.made, [job["state"] for job in copied.load().jobs()]) == (1, ["done"])


def test_a_dry_run_shows_the_requests_and_the_steps_of_a_graph(
    project: Project, managed: FakeDataflow, dataflow_server: GrpcServer
) -> None:
    shown = json.loads(project.command("submit", "run", "--to", "dataflow", "--dry-run", "--json").out)
    assert not dataflow_server.requests
    assert [request["purpose"] for request in shown["requests"]] == [step for step, _ in JOBS["run"]]
    for request in shown["requests"]:
        dataflow_server.definition.check(request["method"], request["body"])
        options = "job.environment.sdkPipelineOptions.options"
        assert {later["place"] for later in request["later"]} > {
            *("job.name", "job.clientRequestId", f"{options}.pipelineUrl", f"{options}.pipelineProtoHash"),
        }
        assert request["graph"][0] == "Tasks"
    said = project.command("submit", "run", "--to", "dataflow", "--dry-run").out
    assert "a graph like this was built and checked" in said
    assert "USD 1.109 an hour" in said
