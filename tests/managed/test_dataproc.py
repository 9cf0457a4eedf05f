"""Dataproc by its own client over real gRPC: what is sent is what was rendered, states, refusals, retries."""

from __future__ import annotations

import grpc
import pytest
from tests.managed.fake_dataproc import FakeDataproc
from tests.managed.services import GrpcServer

from ninetyfive.calling import connect
from ninetyfive.errors import SettingsError
from ninetyfive.managed.dataproc import Batches, ClusterJobs, service_of
from ninetyfive.managed.jobs import Work, job_id
from ninetyfive.managed_settings import DataprocSettings, ManagedSettings

Status = grpc.StatusCode
WORK = Work(
    id=job_id("late flights", ["plans"]), folder="gs://bucket/jobs/x", system="late flights", purpose="ingest 3 files"
)
CREATE = {Batches: "CreateBatch", ClusterJobs: "SubmitJob"}


def settings(server: GrpcServer, cluster: str = "", patience: float = 0.0) -> ManagedSettings:
    return ManagedSettings(
        project="my-project",
        region="europe-west1",
        temporary="gs://bucket",
        image="europe-docker.pkg.dev/my-project/ninetyfive/run:1",
        service_account="runner@my-project.iam.gserviceaccount.com",
        subnetwork="default",
        patience=patience,
        dataproc=DataprocSettings(cluster=cluster, endpoint=server.url, properties={"spark.speculation": True}),
    )


@pytest.fixture(params=["", "flights"], ids=["serverless", "cluster"])
def service(request: pytest.FixtureRequest, dataproc_server: GrpcServer) -> Batches | ClusterJobs:
    return service_of(settings(dataproc_server, request.param))


def seen(service: Batches | ClusterJobs, looks: int = 3) -> list[str]:
    """The states of the job in so many looks."""
    found = [service.look(service.name(WORK.id)) for _ in range(looks)]
    return [job.state if job else "nothing" for job in found]


def test_what_is_sent_is_what_was_rendered(service: Batches | ClusterJobs, dataproc_server: GrpcServer) -> None:
    request = service.render(WORK)
    message = dataproc_server.definition.check(request.method, request.body)
    job = service.submit(request)
    (sent,) = dataproc_server.calls(CREATE[type(service)])
    assert (sent.method, sent.message, sent.body) == (request.method, message, request.body)
    assert (job.id, job.name, job.state) == (WORK.id, service.name(WORK.id), job.state)
    assert job.state in ("pending", "running")
    assert f"/{WORK.id}" in job.link
    assert "project=my-project" in job.link


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("Job failed with message [x]", "failed"),
        ("ExecutorLostFailure: the executor was killed for its memory", "failed"),
        ("Node was preempted", "lost"),
        ("Job agent was lost", "lost"),
        ("The cluster was deleted", "lost"),
    ],
)
def test_an_end_is_told_in_the_words_of_the_service(
    service: Batches | ClusterJobs, dataproc: FakeDataproc, said: str, state: str
) -> None:
    dataproc.work = lambda *_: lambda: said
    service.submit(service.render(WORK))
    assert seen(service)[-1] == state
    job = service.look(service.name(WORK.id))
    assert job is not None
    assert (job.state, job.message) == (state, said)


def test_an_endpoint_elsewhere_has_to_be_https() -> None:
    with pytest.raises(SettingsError, match="this machine"):
        connect(None, "http://10.0.0.1:80", "")
