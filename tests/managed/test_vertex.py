"""A command that Vertex AI does whole, from the words of the command to the server of the fake, and back."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import pytest
from tests.conftest import Project, trips
from tests.managed.commands import SAID, elsewhere, meet
from tests.managed.containers import Ended, Processes, arguments_of, at_once
from tests.managed.fake_vertex import FakeVertex, spec_of
from tests.managed.services import GrpcServer
from tests.store.conftest import PostgresServer

from ninetyfive.errors import ServiceError, UsageError
from ninetyfive.managed.asked import Asked
from ninetyfive.managed.packing import Place
from ninetyfive.managed.parcel import PARCEL, pack, parcel_of, unpack
from ninetyfive.managed.vertex_calls import Calls

RUN = ["submit", "run", "--to", "vertex"]


@pytest.fixture
def managed(
    tmp_path: Path, vertex: FakeVertex, vertex_server: GrpcServer, monkeypatch: pytest.MonkeyPatch
) -> FakeVertex:
    """Commands of this test, and of processes that it starts, meet the server of the fake."""
    meet(monkeypatch, tmp_path / "temporary", VERTEX_ENDPOINT=vertex_server.url)
    vertex.work = at_once
    return vertex


def test_a_run_as_a_pipeline_makes_the_release_of_a_run_here(
    project: Project, finished: Project, managed: FakeVertex, tmp_path: Path
) -> None:
    said = project.command(*RUN, "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert document["release"] == finished.champion() == project.champion()
    assert document["run"] == "run-1"
    assert document["rows"]["read"] == 1_200
    assert not [step["name"] for step in document["steps"] if step["skipped"]]
    (job,) = project.load().jobs()
    assert (document["service_jobs"], job["state"], job["purpose"]) == ([job["id"]], "done", "the whole run")
    assert not list((tmp_path / "temporary" / "jobs").iterdir())
    assert (project.folder / "schema.toml").read_bytes() == (finished.folder / "schema.toml").read_bytes()
    with project.store() as store:
        (run,) = store.runs()
        assert (run.status, run.resumes, len(store.releases())) == ("done", 2, 1)
    again = json.loads(project.command(*RUN, "--json").out)
    assert (again["release"], Project.done(again)) == (document["release"], [])
    assert [job["state"] for job in project.load().jobs()] == ["done", "done"]
    third = project.command(*RUN).out
    assert "jobs     1 by vertex" in third
    assert [job["id"][-2:] for job in project.load().jobs()] == ["-2", "-1", "-1"]  # schema.toml came after the first


def test_a_run_as_a_custom_job_and_its_environment(
    project: Project, finished: Project, managed: FakeVertex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NINETYFIVE_MANAGED_VERTEX_PIPELINE", "false")
    document = json.loads(project.command(*RUN, "--json").out)
    assert document["release"] == finished.champion()
    (custom,) = managed.customs.values()
    assert (custom.display_name, len(managed.pipelines)) == (document["service_jobs"][0], 0)
    project.edit(("**params, random_state=0", '**params, random_state=__import__("os").environ["AIP_MODEL_DIR"]'))
    failed = project.command(*RUN, "--json")
    assert failed.code == 1
    assert json.loads(failed.out)["error"]["kind"] == "ModelError"
    assert f"{tmp_path}/temporary/outputs/n95-" in failed.err
    assert project.champion() == document["release"]
    assert project.load().jobs()[0]["state"] == "failed"
    assert project.load().doctor()["healthy"]


def test_a_task_that_fails_ends_it_with_its_own_error_and_the_next_command_goes_on(
    project: Project, managed: FakeVertex
) -> None:
    project.edit(("max_depth", "depth"))
    failed = project.command(*RUN, "--json")
    assert (failed.code, json.loads(failed.out)["error"]["kind"]) == (1, "ModelError")
    (pipeline,) = managed.pipelines.values()
    assert [task.task_name for task in pipeline.job_detail.task_details] == ["data", "train"]
    assert "depth" in failed.err.partition("Traceback")[2]  # what was raised, in the logs of its task
    assert "task train: The replica" in project.load().jobs()[0]["message"]
    with project.store() as store:
        assert [run.status for run in store.runs()] == ["failed"]
    project.edit(("depth", "max_depth"))
    document = json.loads(project.command(*RUN, "--json").out)
    assert "ingest" not in {step["name"] for step in document["steps"] if not step["skipped"]}
    assert document["promoted"]


def test_a_fault_that_is_not_ours_is_told_as_one(
    copied: Project, managed: FakeVertex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ninetyfive.managed.worker.run", lambda *_: 1 // 0)
    said = copied.command(*RUN)
    assert said.code == 1
    assert "got ZeroDivisionError" in said.err


def test_a_part_of_a_run_does_again_only_its_own_steps(project: Project, managed: FakeVertex) -> None:
    here = json.loads(project.command("run", "--no-cache", "--json").out)
    document = json.loads(project.command(*RUN, "--no-cache", "--json").out)
    assert Project.done(document) == Project.done(here)
    assert document["jobs"] == here["jobs"]
    with project.store() as store:
        (run, _) = store.runs()
        recorded = [one.subject for one in store.audit_records() if one.action == "step.record"]
    assert [one.split()[1] for one in recorded if one.startswith(f"{run.id} ")] == [
        *("ingest", "analyze", "validate", "split", "fit", "apply", "train"),
        *("evaluate", "gate", "release"),
    ]


@pytest.mark.parametrize("pipeline", [True, False])
def test_a_dry_run_shows_what_is_sent_offline(
    project: Project,
    managed: FakeVertex,
    vertex_server: GrpcServer,
    pipeline: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NINETYFIVE_MANAGED_VERTEX_PIPELINE", str(pipeline).lower())
    monkeypatch.setenv("NINETYFIVE_MANAGED_VERTEX_ACCELERATOR", "NVIDIA_TESLA_T4")
    shown = json.loads(project.command(*RUN, "--dry-run", "--json").out)
    assert not vertex_server.requests
    assert not (project.folder / ".ninetyfive").exists()
    (request,) = shown["requests"]
    vertex_server.definition.check(request["method"], request["body"])
    places = {later["place"].partition(".")[0] for later in request["later"]}
    assert places == ({"pipelineJobId", "pipelineJob"} if pipeline else {"customJob"})
    hour, most = (shown["estimate"][name] for name in ("hour", "most"))
    assert (hour, most) == (pytest.approx(0.2185, abs=1e-4), pytest.approx(hour * 4 * (3 if pipeline else 1)))
    assert "1 NVIDIA_TESLA_T4: the table has no price" in project.command(*RUN, "--dry-run").out
    monkeypatch.setenv("NINETYFIVE_CRASH", "raise job submitted")
    assert project.command(*RUN).code == 1
    (sent,) = vertex_server.calls("CreatePipelineJob" if pipeline else "CreateCustomJob")
    assert sent.body == vertex_server_json(vertex_server, request)
    if pipeline:
        (job,) = managed.pipelines.values()
        executors = dict(spec_of(job).deployment_spec)["executors"]
        assert executors["exec-train"]["container"]["resources"]["accelerator"]["type"] == "NVIDIA_TESLA_T4"
        assert "accelerator" not in executors["exec-data"]["container"]["resources"]
        assert job.service_account == SAID["SERVICE_ACCOUNT"]
    else:
        (custom,) = managed.customs.values()
        assert custom.job_spec.worker_pool_specs[0].machine_spec.accelerator_count == 1
        assert custom.job_spec.scheduling.timeout.total_seconds() == 4 * 3600


def vertex_server_json(server: GrpcServer, request: dict[str, Any]) -> dict[str, Any]:
    """A rendered request as the server would see it."""
    from google.protobuf import json_format

    return dict(json_format.MessageToDict(server.definition.check(request["method"], request["body"])))


def test_a_table_is_one_custom_job_and_that_of_here(copied: Project, managed: FakeVertex, tmp_path: Path) -> None:
    copied.edit(('split=nf.Split("time", 0.5),', 'split=nf.Split("time", 0.5),\n    entity="zone",'))
    copied.run()
    trips(30, first=9_000).drop("tip", "fare").write_parquet(tmp_path / "all.parquet")
    words = ["--population", str(tmp_path / "all.parquet"), "--as-of", "2026-06-01", "--json"]
    said = copied.command("submit", "table", "--to", "vertex", *words)
    assert said.code == 0, said.err
    table = json.loads(said.out)
    assert table["table"] == json.loads(copied.command("table", "build", *words).out)["table"]
    assert len(table["service_jobs"]) == len(managed.customs) == 1


def test_files_that_a_command_names_are_named_so_that_they_are_found_there(
    project: Project, managed: FakeVertex
) -> None:
    words = {"population": "gs://bucket/all.parquet", "log": "requests", "as_of": None}
    parcel = parcel_of(Asked(project.load(), project.load().settings, "table", words), shared_disk=True)
    assert parcel.words == {**words, "log": os.path.abspath("requests")}
    with pytest.raises(UsageError, match="file requests: expected a url"):
        parcel_of(Asked(in_a_bucket(project), project.load().settings, "table", {"log": "requests"}))


def in_a_bucket(project: Project) -> Any:
    """The system of a project, with its source in a bucket."""
    project.edit(('"data/*.parquet"', '"gs://bucket/*.parquet"'))
    return project.load()


def test_what_runs_is_attached_to_and_cancelled(
    copied: Project, managed: FakeVertex, vertex_server: GrpcServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for pipeline in ("true", "false"):
        monkeypatch.setenv("NINETYFIVE_MANAGED_VERTEX_PIPELINE", pipeline)
        managed.work = lambda *_: lambda: None
        monkeypatch.setenv("NINETYFIVE_CRASH", "raise job submitted")
        assert copied.command(*RUN).code == 1
        monkeypatch.delenv("NINETYFIVE_CRASH")
        job = copied.load().jobs()[0]
        shown = json.loads(copied.command("jobs", "show", job["id"], "--json").out)
        assert (job["state"], shown["state"]) == ("pending", "running")
        assert "console.cloud.google.com/vertex-ai/locations/europe-west1/" in shown["link"]
        assert json.loads(copied.command("jobs", "cancel", job["id"], "--json").out)["state"] == "cancelled"
        assert not list((tmp_path / "temporary" / "jobs").iterdir())
        managed.work = at_once
        document = json.loads(copied.command(*RUN, "--json").out)
        assert document["service_jobs"] == [f"{job['id'][:-1]}2"]
    assert {job.state.name for job in managed.customs.values()} == {"JOB_STATE_CANCELLED", "JOB_STATE_SUCCEEDED"}
    assert len(vertex_server.calls("CancelPipelineJob")) == len(vertex_server.calls("CancelCustomJob")) == 1


def test_one_that_the_service_loses_is_done_again(
    copied: Project, managed: FakeVertex, vertex_server: GrpcServer
) -> None:
    def lose(*_: object) -> Ended:
        managed.work = at_once
        return lambda: "The replica workerpool0-0 was preempted."

    managed.work = lose
    document = json.loads(copied.command(*RUN, "--json").out)
    assert document["service_jobs"][0].endswith("-2")
    assert [job["state"] for job in copied.load().jobs()] == ["done", "lost"]


def test_a_refusal_leaves_what_is_here_whole(project: Project, managed: FakeVertex, vertex_server: GrpcServer) -> None:
    def refused(_: object) -> Any:
        raise vertex_server.refusal("PERMISSION_DENIED", "Permission 'aiplatform.pipelineJobs.create' denied")

    vertex_server.answers = {**vertex_server.answers, vertex_server.full("CreatePipelineJob"): refused}
    with pytest.raises(ServiceError, match=r"403.*aiplatform\.pipelineJobs\.create"):
        project.load().submit("run", to="vertex")
    assert project.load().doctor()["healthy"]
    assert project.command("submit", "table", "--to", "vertex", "--here").code == 2  # it has no such flag
    assert "expected --here or --dry-run, got both" in project.command(*RUN, "--here", "--dry-run").err


@pytest.mark.parametrize(
    ("catalog", "toml", "said"),
    [
        ("sqlite:////tmp/catalog.sqlite", "", "expected a catalog on a PostgreSQL server"),
        ("postgresql://ada:hunter2@host/late", "", "expected a login without a password"),
        ("postgresql://ada@host/late?password=hunter2", "", "expected a login without a password"),
        ("postgresql://ada@host/late", '[engines.spark.options]\n"a.b" = "${HUNTER}"', "engines.spark.options.a.b"),
        ("postgresql://ada@host/late", "", "file data/*.parquet: expected a url"),
    ],
)
def test_what_cannot_or_must_not_travel_is_refused_before_anything_is_sent(
    project: Project, catalog: str, toml: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(monkeypatch, catalog)
    monkeypatch.setenv("HUNTER", "hunter2")
    (project.folder / "ninetyfive.toml").write_text(toml)
    if said != "file data/*.parquet: expected a url":
        project.edit(('"data/*.parquet"', '"gs://bucket/data/*.parquet"'))
    told = project.command(*RUN, "--dry-run")
    assert told.code == 2
    assert said in told.err
    assert "hunter2" not in told.err + told.out


def test_a_source_that_lands_is_reached_from_elsewhere(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(monkeypatch, "postgresql://ada@host/late")
    project.edit(('nf.parquet("data/*.parquet"', 'nf.bigquery("my-project.late.trips"'))
    assert project.command(*RUN, "--dry-run").code == 0


@pytest.mark.parametrize("what", ["run", "serve"])
def test_who_is_not_logged_in_is_told_at_once(project: Project, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(monkeypatch, "postgresql://ada@host/late")
    project.edit(('"data/*.parquet"', '"gs://bucket/data/*.parquet"'))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "nowhere.json")
    said = project.command("submit", what, "--to", "vertex")
    assert said.code == 1
    assert "vertex, log in: expected that the service does it, got 401, File nowhere.json was not found" in said.err
    with pytest.raises(ServiceError, match="vertex, log in"):
        _ = Calls(project.load().settings.managed).endpoints


@pytest.mark.parametrize(
    ("words", "file"), [(("run",), "data/*.parquet"), (("predict", "in.csv", "out.csv"), "in.csv")]
)
def test_a_path_of_this_machine_is_refused_by_a_dry_run(
    project: Project, words: tuple[str, ...], file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(monkeypatch, "postgresql://ada@host/late")
    told = project.command("submit", *words, "--to", "dataproc", "--dry-run")
    assert told.code == 2
    assert f"file {file}: expected a url that workers elsewhere reach" in told.err


def test_a_dry_run_of_one_elsewhere_holds_no_secret_and_asks_nobody(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(monkeypatch, "postgresql://ada@host/late")
    project.edit(('"data/*.parquet"', '"gs://bucket/data/*.parquet"'))
    (request,) = json.loads(project.command(*RUN, "--dry-run", "--json").out)["requests"]
    parameters = request["body"]["pipelineJob"]["runtimeConfig"]["parameterValues"]
    assert parameters["folder"].startswith("gs://bucket/temporary/jobs/n95-trips-")
    assert parameters["id"] == request["body"]["pipelineJobId"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # the modules of all tests travel
def test_with_all_in_a_bucket_and_a_catalog_on_a_server_processes_need_nothing_of_this_machine(
    project: Project,
    managed: FakeVertex,
    bucket: str,
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    here = f"{bucket}/{secrets.token_hex(8)}"
    files = fsspec.filesystem("gs", use_listings_cache=False)
    files.put_file(str(project.folder / "data" / "a.parquet"), f"{here}/data/a.parquet")
    project.edit(('"data/*.parquet"', f'"{here}/data/*.parquet"'))
    (project.folder / "data").rename(tmp_path / "away")
    (project.folder.parent / "requirements.lock").write_text("polars==1\n")
    monkeypatch.setenv("NINETYFIVE_STORE", f"{here}/store")
    monkeypatch.setenv("NINETYFIVE_CATALOG", postgres.url(postgres.new_schema()))
    monkeypatch.setenv("NINETYFIVE_MANAGED_TEMPORARY", f"{here}/temporary")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    containers = Processes(tmp_path / "container")

    def work(command: list[str], environment: Mapping[str, str]) -> Ended:
        place = Place(arguments_of(command)[0])
        parcel = unpack(place.read(PARCEL) or b"", place.url)
        place.write(PARCEL, pack(msgspec.structs.replace(parcel, home="")))
        return containers.work(command, {**environment, "XDG_CACHE_HOME": str(tmp_path / f"cache-{len(command)}")})

    managed.work = work
    said = project.command(*RUN, "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert len(containers.commands) == 3
    assert files.find(f"{here}/temporary") == []
    assert project.load().doctor()["healthy"]
    assert Project.done(project.run()) == []
    monkeypatch.setenv("NINETYFIVE_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("NINETYFIVE_CATALOG")
    assert project.run()["release"] == document["release"]


@pytest.mark.slow
def test_the_same_pipeline_runs_here_by_kfp_local(project: Project, finished: Project) -> None:
    said = project.command(*RUN, "--here", "--json")
    assert said.code == 0, said.err
    assert said.json["release"] == finished.champion() == project.champion()
    assert (said.json["service"], project.load().jobs()) == ("kfp.local", [])
    assert (project.folder / "schema.toml").is_file()


@pytest.mark.slow
def test_a_command_that_was_killed_is_gone_on_from_by_another_process(
    project: Project, managed: FakeVertex, vertex_server: GrpcServer
) -> None:
    command = [sys.executable, "-m", "ninetyfive.cli", *RUN]

    def code(**environment: str) -> int:
        told = {**os.environ, **environment}
        return subprocess.run(command, cwd=project.folder, env=told, check=False).returncode

    assert code(NINETYFIVE_CRASH="kill job submitted", PYTHONHASHSEED="1") == -signal.SIGKILL
    assert code(PYTHONHASHSEED="2") == 0
    assert len(vertex_server.calls("CreatePipelineJob")) == 1
    assert [job["state"] for job in project.load().jobs()] == ["done"]
    assert project.champion()
