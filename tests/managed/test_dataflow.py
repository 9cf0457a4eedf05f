"""Dataflow by its own client over real gRPC: the graph, what is sent, states, refusals, one job whoever submits."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import grpc
import pytest
from tests.managed.fake_dataflow import FakeDataflow, State
from tests.managed.services import GrpcServer
from tests.managed.workers import read_graph

from ninetyfive.calling import Caller
from ninetyfive.errors import SettingsError
from ninetyfive.hashing import bytes_hash
from ninetyfive.managed.dataflow import PIPELINE, Dataflow
from ninetyfive.managed.graph_job import graph
from ninetyfive.managed.jobs import Graph, Work, job_id
from ninetyfive.managed_settings import DataflowSettings, ManagedSettings

Status = grpc.StatusCode
IMAGE = "europe-docker.pkg.dev/my-project/ninetyfive/run:1"
FOLDER = "gs://bucket/jobs/n95-late-0a"
PLACES = [(0, 10), (10, 7)]


def settings(endpoint: str = "", **words: Any) -> ManagedSettings:
    return ManagedSettings(
        project="my-project",
        region="europe-west1",
        temporary="gs://bucket",
        image=IMAGE,
        service_account="runner@my-project.iam.gserviceaccount.com",
        subnetwork="default",
        hours=2.0,
        patience=0.0,
        dataflow=DataflowSettings(endpoint=endpoint, **words),
    )


@pytest.fixture(scope="module")
def staged() -> bytes:
    """The graph of a job."""
    return graph(settings(), FOLDER, PLACES, [True, True])


@pytest.fixture
def work(staged: bytes, tmp_path: Any) -> Work:
    """Work whose graph is where it is said to be."""
    (tmp_path / PIPELINE).write_bytes(staged)
    there = Graph(str(tmp_path / PIPELINE), staged, bytes_hash(staged))
    return Work(id=job_id("late", ["plans"]), folder=FOLDER, system="late flights", purpose="fit: x", graph=there)


@pytest.fixture
def service(dataflow_server: GrpcServer) -> Dataflow:
    return Dataflow(settings(dataflow_server.url), Caller("dataflow", 10.0, lambda _: None))


def seen(service: Dataflow, work: Work, looks: int = 5) -> list[str]:
    """The states of the job in so many looks."""
    found = [service.look(service.name(work.id)) for _ in range(looks)]
    return [job.state if job else "nothing" for job in found]


def test_the_graph_is_ours_and_names_nothing_of_this_machine(staged: bytes, tmp_path: Any) -> None:
    (tmp_path / PIPELINE).write_bytes(staged)
    proto = read_graph(str(tmp_path / PIPELINE))
    (environment,) = proto.components.environments.values()
    assert IMAGE.encode() in environment.payload
    assert not environment.dependencies
    (root,) = proto.root_transform_ids
    known = proto.components.transforms
    steps = [known[id].unique_name for id in known[root].subtransforms]
    assert steps[:6] == [
        *("Tasks", "Spread tasks", "Read and map"),
        *("Shuffle 1, rows", "Shuffle 1, meet", "Shuffle 1, apply"),
    ]
    assert steps[-1] == "Keep results"
    assert str(tmp_path.home()).encode() not in staged


def test_equal_jobs_have_equal_graphs_in_every_process(staged: bytes) -> None:
    code = (
        "import tests.managed.test_dataflow as t, hashlib;"
        "print(hashlib.sha256(t.graph(t.settings(), t.FOLDER, t.PLACES, [True, True])).hexdigest())"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert said.stdout.split()[-1] == bytes_hash(staged)


def test_what_is_sent_is_what_was_rendered(service: Dataflow, work: Work, dataflow_server: GrpcServer) -> None:
    request = service.render(work)
    assert request == service.render(work)
    message = dataflow_server.definition.check(request.method, request.body)
    job = service.submit(request)
    (sent,) = dataflow_server.calls("CreateJob")
    assert (sent.method, sent.message, sent.body) == (request.method, message, request.body)
    assert (job.id, job.name, job.state) == (work.id, service.name(work.id), "pending")
    assert job.link.startswith("https://console.cloud.google.com/dataflow/jobs/europe-west1/2026-")
    told = request.body["job"]
    assert (told["name"], told["clientRequestId"], told["labels"]) == (
        work.id,
        work.id,
        {"ninetyfive-system": "late-flights"},
    )
    environment = told["environment"]
    (pool,) = environment["workerPools"]
    assert (pool["machineType"], pool["ipConfiguration"]) == ("n1-standard-4", "WORKER_IP_PRIVATE")
    assert pool["subnetwork"] == "regions/europe-west1/subnetworks/default"
    assert environment["serviceOptions"] == ["max_workflow_runtime_walltime_seconds=7200"]
    said = environment["sdkPipelineOptions"]["options"]
    assert (said["pipelineUrl"], said["pipelineProtoHash"]) == (
        work.graph and work.graph.url,
        bytes_hash(staged_of(work)),
    )
    assert said["temp_location"] == said["staging_location"] == f"{FOLDER}/{work.id}/temp"
    assert not any(said[name] for name in ("save_main_session", "dry_run", "no_auth"))


def staged_of(work: Work) -> bytes:
    assert work.graph is not None
    return work.graph.data


def test_options_of_the_settings_go_over_ours_and_lists_after_them(work: Work) -> None:
    own = {"machine_type": "e2-standard-8", "experiments": ["shuffle_mode=service"], "disk_type": "pd-ssd"}
    body = Dataflow(settings(options=own, disk_gib=50, public_ips=True)).render(work).body
    environment = body["job"]["environment"]
    (pool,) = environment["workerPools"]
    assert (pool["machineType"], pool["diskSizeGb"], pool["diskType"]) == ("e2-standard-8", 50, "pd-ssd")
    assert pool["ipConfiguration"] == "WORKER_IP_PUBLIC"
    assert environment["experiments"][:2] == ["disable_logging_submission_environment", "shuffle_mode=service"]
    assert environment["experiments"][-1] == "use_multiple_sdk_containers"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_workers": "many"}, "num_workers"),
        ({"project": "X"}, "project"),
        ({"save_main_session": True}, "files of this machine"),
        ({"sdk_container_image": "elsewhere/image:2"}, "elsewhere/image:2"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_anything_is_sent(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        graph(settings(options=options), FOLDER, PLACES, [True])
    assert "[managed.dataflow] options" in caught.value.where


def test_submitted_twice_it_is_one_job(service: Dataflow, work: Work, dataflow: FakeDataflow) -> None:
    request = service.render(work)
    first, second = service.submit(request), service.submit(request)
    assert first.link == second.link
    (job,) = dataflow.jobs.values()
    job.client_request_id = "of somebody else"
    other = Dataflow(service._settings, Caller("dataflow", 0.0))
    assert other.submit(request).link == first.link
    assert (dataflow.made, seen(service, work)[-1]) == (1, "done")
    assert seen(other, work)[-1] == "done"


def test_a_job_that_is_not_in_the_list_yet_is_known_by_its_id(
    service: Dataflow, work: Work, dataflow: FakeDataflow, dataflow_server: GrpcServer
) -> None:
    service.submit(service.render(work))
    dataflow_server.answers = {**dataflow_server.answers, dataflow_server.full("ListJobs"): no_jobs}
    assert seen(service, work)[-1] == "done"
    assert Dataflow(service._settings, Caller("dataflow", 0.0)).look(service.name(work.id)) is None


def no_jobs(_: object) -> Any:
    from google.cloud import dataflow_v1beta3 as api

    return api.ListJobsResponse()


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("Workflow failed. Causes: S01:Tasks failed.", "failed"),
        ("Root cause: The worker lost contact with the service.", "failed"),
        ("Workflow failed. Causes: the VM was preempted", "lost"),
        ("Traceback (most recent call last): x" + "y" * 5_000 + " the end", "failed"),
    ],
)
def test_an_end_is_told_in_the_words_of_the_service(
    service: Dataflow, work: Work, dataflow: FakeDataflow, said: str, state: str
) -> None:
    dataflow.work = lambda _: lambda: said
    service.submit(service.render(work))
    assert seen(service, work)[-1] == state
    job = service.look(service.name(work.id))
    assert job is not None
    assert (job.message[:30], job.message[-8:]) == (said[:30], said[-8:])
    assert len(job.message) < 2_010


@pytest.mark.parametrize("state", [state for state in State if state.name != "JOB_STATE_UNKNOWN"])
def test_every_state_means_something_here(
    service: Dataflow, work: Work, dataflow: FakeDataflow, dataflow_server: GrpcServer, state: Any
) -> None:
    service.submit(service.render(work))
    (job,) = dataflow.jobs.values()
    job.current_state = state
    dataflow_server.answers = {**dataflow_server.answers, dataflow_server.full("GetJob"): lambda _: job}
    found = service.look(service.name(work.id))
    assert found is not None
    ended = {"DONE": "done", "FAILED": "failed", "CANCELLED": "cancelled", "DRAINED": "cancelled"}
    ended["UPDATED"] = "cancelled"
    word = state.name.removeprefix("JOB_STATE_")
    assert found.state == ended.get(word, found.state)
    assert found.ended == (word in ended)
