"""`ninetyfive submit` and `jobs` from the words of a command to the server of the fake, and back."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
from tests.conftest import Project, trips
from tests.managed.commands import killed, meet
from tests.managed.fake_dataproc import FakeDataproc
from tests.managed.services import GrpcServer
from tests.managed.workers import Cluster, runs

from ninetyfive.errors import ServiceError
from ninetyfive.managed.engine import check_reachable
from ninetyfive.managed.offers import JOBS
from ninetyfive.managed.packing import PLANS, Place, unpack


@pytest.fixture
def managed(
    tmp_path: Path, dataproc: FakeDataproc, dataproc_server: GrpcServer, monkeypatch: pytest.MonkeyPatch
) -> FakeDataproc:
    """Commands of this test, and of processes that it starts, meet the server of the fake."""
    meet(monkeypatch, tmp_path / "temporary", DATAPROC_ENDPOINT=dataproc_server.url)
    dataproc.work = runs
    return dataproc


def test_a_run_on_a_service_makes_the_release_of_a_run_here(
    project: Project, finished: Project, managed: FakeDataproc, dataproc_server: GrpcServer, tmp_path: Path
) -> None:
    said = project.command("submit", "run", "--to", "dataproc", "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert document["release"] == finished.champion()
    assert document["jobs"] == len(document["service_jobs"]) == len(managed.batches)
    steps = {step for step, _ in JOBS["run"]}
    jobs = json.loads(project.command("jobs", "list", "--json").out)["jobs"]
    assert {job["purpose"].partition(":")[0] for job in jobs if ":" in job["purpose"]} <= steps
    assert {job["state"] for job in jobs} == {"done"}
    assert [job["id"] for job in jobs] == document["service_jobs"][::-1]
    assert not list((tmp_path / "temporary" / "jobs").iterdir())
    assert not any(call.body["batch"].get("state") for call in dataproc_server.calls("CreateBatch"))
    again = json.loads(project.command("submit", "run", "--to", "dataproc", "--json").out)
    assert (again["release"], again["jobs"]) == (document["release"], 0)
    shown = project.command("jobs", "list").out
    assert "done" in shown


def test_predict_and_table_on_a_service_answer_as_here(
    copied: Project, managed: FakeDataproc, tmp_path: Path, dataproc_server: GrpcServer
) -> None:
    trips(300, first=5_000).drop("tip", "fare").write_parquet(tmp_path / "new.parquet")
    for words, name in (([], "here"), (["submit"], "there")):
        to = ["--to", "dataproc"] if words else []
        said = copied.command(*words, "predict", tmp_path / "new.parquet", tmp_path / f"{name}.parquet", *to)
        assert said.code == 0, said.err
    here, there = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("here", "there"))
    assert here.equals(there)
    assert "jobs     1 by dataproc" in said.out
    copied.edit(('split=nf.Split("time", 0.5),', 'split=nf.Split("time", 0.5),\n    entity="zone",'))
    copied.run()
    trips(30, first=9_000).drop("tip", "fare").write_parquet(tmp_path / "all.parquet")
    words = ["--population", str(tmp_path / "all.parquet"), "--as-of", "2026-06-01", "--json"]
    table = json.loads(copied.command("submit", "table", "--to", "dataproc", *words).out)
    assert table["table"] == json.loads(copied.command("table", "build", *words).out)["table"]
    assert len(table["service_jobs"]) == len(JOBS["table"])


@pytest.mark.parametrize("what", ["run", "predict", "table"])
def test_a_dry_run_shows_what_is_sent_and_asks_nobody(
    project: Project, managed: FakeDataproc, dataproc_server: GrpcServer, what: str, tmp_path: Path
) -> None:
    words = ["in.parquet", "out.parquet"] if what == "predict" else []
    shown = json.loads(project.command("submit", what, *words, "--to", "dataproc", "--dry-run", "--json").out)
    assert not dataproc_server.requests
    assert not (project.folder / ".ninetyfive").exists()
    assert [request["purpose"] for request in shown["requests"]] == [step for step, _ in JOBS[what]]
    for request in shown["requests"]:
        dataproc_server.definition.check(request["method"], request["body"])
        places = {later["place"] for later in request["later"]}
        assert places == {
            "batchId",
            "requestId",
            "batch.pysparkBatch.mainPythonFileUri",
            "batch.pysparkBatch.args.0",
            "batch.pysparkBatch.args.1",
        }
    assert shown["estimate"]["hour"] == pytest.approx(0.72)
    said = project.command("submit", what, *words, "--to", "dataproc", "--dry-run")
    assert "later: batchId, requestId, batch.pysparkBatch.mainPythonFileUri" in said.out
    assert "USD 0.72 an hour, at least 0.012, at most 2.88" in said.out


def test_a_dry_run_needs_no_client_and_no_engine() -> None:
    absent = ("google.cloud.aiplatform_v1", "google.cloud.dataproc_v1", "grpc", "kfp", "pyspark", "cloudpickle")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import ninetyfive.managed.offers"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_was_shown_is_what_is_sent_but_for_what_comes_later(
    copied: Project, managed: FakeDataproc, dataproc_server: GrpcServer, tmp_path: Path
) -> None:
    trips(30, first=5_000).drop("tip", "fare").write_parquet(tmp_path / "new.parquet")
    words = ["submit", "predict", str(tmp_path / "new.parquet"), str(tmp_path / "out.parquet"), "--to", "dataproc"]
    (shown,) = json.loads(copied.command(*words, "--dry-run", "--json").out)["requests"]
    assert copied.command(*words).code == 0
    (sent,) = dataproc_server.calls("CreateBatch")
    content = sent.body["batchId"].split("-")[-2]
    replaced = json.loads(json.dumps(shown["body"]).replace("<content>", content))
    assert replaced | {"requestId": ""} == sent.body | {"requestId": ""}
    assert sent.body["batchId"].endswith(sent.body["requestId"])


@pytest.mark.parametrize(
    ("unset", "said"),
    [
        ("PROJECT", "[managed] 'project'"),
        ("TEMPORARY", "'temporary'"),
        ("IMAGE", "container image"),
        ("REGION", "'region'"),
    ],
)
def test_what_is_not_said_is_asked_for(
    project: Project, managed: FakeDataproc, unset: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"NINETYFIVE_MANAGED_{unset}")
    told = project.command("submit", "run", "--to", "dataproc")
    assert told.code == 2
    assert said in told.err
    monkeypatch.delenv("NINETYFIVE_MANAGED_PROJECT", raising=False)
    assert project.command("submit", "run", "--to", "dataproc").err.count(" = ") == (1 if unset == "PROJECT" else 2)


def test_a_store_of_this_machine_is_refused_of_a_service_elsewhere(
    project: Project, managed: FakeDataproc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NINETYFIVE_MANAGED_DATAPROC_ENDPOINT")
    assert "'temporary': expected a folder in a bucket" in project.command("submit", "run", "--to", "dataproc").err
    monkeypatch.setenv("NINETYFIVE_MANAGED_TEMPORARY", "gs://bucket/x")
    assert "'store': expected a folder in a bucket" in project.command("submit", "run", "--to", "dataproc").err
    assert "--to: expected a service, got 'datapro'" in project.command("submit", "run", "--to", "datapro").err


def test_a_job_is_shown_cancelled_and_waited_for(
    copied: Project, managed: FakeDataproc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    managed.work = lambda *_: lambda: None
    trips(30, first=5_000).drop("tip", "fare").write_parquet(tmp_path / "new.parquet")
    words = ["submit", "predict", str(tmp_path / "new.parquet"), str(tmp_path / "out.parquet"), "--to", "dataproc"]
    monkeypatch.setenv("NINETYFIVE_CRASH", "raise job submitted")
    assert copied.command(*words).code == 1
    monkeypatch.delenv("NINETYFIVE_CRASH")
    (job,) = copied.load().jobs()
    assert job["state"] == "pending"
    assert json.loads(copied.command("jobs", "show", job["id"], "--json").out)["state"] == "running"
    assert "console.cloud.google.com" in copied.command("jobs", "show", job["id"][:-2]).out
    cancelled = copied.command("jobs", "cancel", job["id"])
    assert (cancelled.code, "cancelled" in cancelled.out) == (0, True)
    assert not list((tmp_path / "temporary" / "jobs").iterdir())
    assert [one.state.name for one in managed.batches.values()] == ["CANCELLED"]
    attached = copied.command("jobs", "attach", job["id"])
    assert (attached.code, "cancelled" in attached.out) == (1, True)
    monkeypatch.setenv("NINETYFIVE_CRASH", "raise job submitted")
    assert copied.command(*words).code == 1
    monkeypatch.delenv("NINETYFIVE_CRASH")
    assert copied.command("jobs", "cancel", job["id"]).code == 0
    assert list((tmp_path / "temporary" / "jobs").iterdir())  # it is that of the attempt that runs too
    assert copied.command("jobs", "cancel", f"{job['id'][:-2]}-2").code == 0
    assert not list((tmp_path / "temporary" / "jobs").iterdir())
    managed.work = runs
    assert copied.command(*words).code == 0
    assert [one["state"] for one in copied.load().jobs()] == ["done", "cancelled", "cancelled"]
    assert copied.command("jobs", "show", "none").code == 2


def test_on_a_cluster_it_is_one_job_of_it(
    copied: Project, managed: FakeDataproc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trips(30, first=5_000).drop("tip", "fare").write_parquet(tmp_path / "new.parquet")
    words = ["submit", "predict", str(tmp_path / "new.parquet"), str(tmp_path / "out.parquet"), "--to", "dataproc"]
    monkeypatch.setenv("NINETYFIVE_MANAGED_DATAPROC_CLUSTER", "gone")
    refused = copied.command(*words)
    assert (refused.code, "Cluster gone" in refused.err) == (1, True)
    monkeypatch.setenv("NINETYFIVE_MANAGED_DATAPROC_CLUSTER", "flights")
    monkeypatch.delenv("NINETYFIVE_MANAGED_IMAGE")
    assert "not in it: the cluster 'flights'" in copied.command(*words, "--dry-run").out
    assert copied.command(*words).code == 0
    assert (len(managed.jobs), len(managed.batches)) == (1, 0)
    (job,) = copied.load().jobs()
    monkeypatch.delenv("NINETYFIVE_MANAGED_DATAPROC_CLUSTER")
    assert copied.load().job(job["id"])["state"] == "done"


def test_a_refusal_leaves_what_is_here_whole(
    project: Project, managed: FakeDataproc, dataproc_server: GrpcServer
) -> None:
    def refused(_: object) -> Any:
        raise dataproc_server.refusal("PERMISSION_DENIED", "Permission 'dataproc.batches.create' denied")

    dataproc_server.answers = {**dataproc_server.answers, dataproc_server.full("CreateBatch"): refused}
    with pytest.raises(ServiceError, match=r"403.*dataproc\.batches\.create"):
        project.load().submit("run", to="dataproc")
    document = project.load().doctor()
    assert document["healthy"], document
    assert project.load().status()["champion"] is None
    assert project.run()["release"]


@pytest.mark.slow
def test_with_all_in_a_bucket_no_plan_holds_a_path_of_this_machine(
    project: Project, managed: FakeDataproc, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here, looked = f"{bucket}/{secrets.token_hex(8)}", []
    files = fsspec.filesystem("gs", use_listings_cache=False)
    files.put_file(str(project.folder / "data" / "a.parquet"), f"{here}/data/a.parquet")
    project.edit(('"data/*.parquet"', f'"{here}/data/*.parquet"'))
    monkeypatch.setenv("NINETYFIVE_STORE", f"{here}/store")
    monkeypatch.setenv("NINETYFIVE_CATALOG", f"sqlite:///{tmp_path}/catalog.sqlite")
    monkeypatch.setenv("NINETYFIVE_MANAGED_TEMPORARY", f"{here}/temporary")

    def elsewhere(main: str, arguments: list[str]) -> Callable[[], str | None]:
        plans, _ = unpack(Place(arguments[0]).read(PLANS) or b"", "gs://nowhere")
        check_reachable(plans)
        looked.append(main)
        return runs(main, arguments)

    managed.work = elsewhere
    said = project.command("submit", "run", "--to", "dataproc", "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert len(looked) == len(document["service_jobs"]) > 3
    assert files.find(f"{here}/temporary") == []
    assert project.load().doctor()["healthy"]
    assert project.run()["jobs"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("point", ["job submitted", "job polled"])
def test_a_command_that_was_killed_is_gone_on_from_by_another_process(
    copied: Project, managed: FakeDataproc, dataproc_server: GrpcServer, point: str, tmp_path: Path
) -> None:
    trips(30, first=5_000).drop("tip", "fare").write_parquet(tmp_path / "new.parquet")
    words = ["submit", "predict", str(tmp_path / "new.parquet"), str(tmp_path / "out.parquet"), "--to", "dataproc"]
    died = killed(words, copied.folder, NINETYFIVE_CRASH=f"kill {point}", PYTHONHASHSEED="1")
    assert died == -signal.SIGKILL
    assert killed(words, copied.folder, PYTHONHASHSEED="2") == 0
    assert pl.read_parquet(tmp_path / "out.parquet").height == 30
    assert len(dataproc_server.calls("CreateBatch")) == 1
    assert [job["state"] for job in copied.load().jobs()] == ["done"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A process that runs main files with one Spark session, as the machines of a service do."""
    with Cluster(tmp_path / "cluster") as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_run_whose_jobs_spark_really_runs_makes_the_release_of_a_run_here(
    project: Project, finished: Project, managed: FakeDataproc, cluster: Cluster
) -> None:
    work: Callable[..., Any] = cluster.work
    managed.work = work
    said = project.command("submit", "run", "--to", "dataproc", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["release"] == finished.champion()
    assert cluster.ran == len(managed.batches) > 3
