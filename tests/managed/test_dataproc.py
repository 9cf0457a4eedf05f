"""Dataproc by its own client over real gRPC: what is sent is what was rendered, states, refusals, retries."""

from __future__ import annotations

import grpc
import pytest
from tests.managed.fake_dataproc import FakeDataproc
from tests.managed.services import GrpcServer, Refusal

from ninetyfive.calling import Caller, connect
from ninetyfive.errors import ServiceError, SettingsError
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


def test_a_field_that_does_not_exist_fails(service: Batches | ClusterJobs, dataproc_server: GrpcServer) -> None:
    request = service.render(WORK)
    with pytest.raises(Exception, match="sparkLanes"):
        dataproc_server.definition.check(request.method, {**request.body, "sparkLanes": 3})


def test_submitted_twice_it_is_one_job(service: Batches | ClusterJobs, dataproc: FakeDataproc) -> None:
    request = service.render(WORK)
    assert service.submit(request).name == service.submit(request).name
    assert len(dataproc.batches) + len(dataproc.jobs) == 1
    assert seen(service)[-1] == "done"


def test_a_job_is_cancelled_and_stays_so(service: Batches | ClusterJobs, dataproc: FakeDataproc) -> None:
    dataproc.work = lambda *_: lambda: None
    service.submit(service.render(WORK))
    name = service.name(WORK.id)
    assert service.look(service.name("n95-other-1")) is None
    stopped = [service.cancel(name), service.cancel(name), service.look(name)]
    assert [job and job.state for job in stopped] == ["cancelled"] * 3


def test_one_that_has_ended_is_not_cancelled(service: Batches | ClusterJobs, dataproc_server: GrpcServer) -> None:
    service.submit(service.render(WORK))
    assert seen(service)[-1] == "done"
    stopped = service.cancel(service.name(WORK.id))
    assert stopped is not None
    assert stopped.state == "done"
    assert not dataproc_server.calls("CancelOperation")
    assert not dataproc_server.calls("CancelJob")


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


@pytest.mark.parametrize(
    ("status", "code", "do"),
    [
        (Status.INVALID_ARGUMENT, 400, "--dry-run"),
        (Status.UNAUTHENTICATED, 401, "gcloud auth"),
        (Status.PERMISSION_DENIED, 403, "docs/managed.md"),
        (Status.NOT_FOUND, 404, r"\[managed\]"),
        (Status.ABORTED, 409, "console"),
        (Status.RESOURCE_EXHAUSTED, 429, "quota"),
        (Status.UNAVAILABLE, 503, "goes on where it was"),
        (Status.INTERNAL, 500, "goes on where it was"),
    ],
)
def test_a_refusal_says_what_to_do(
    service: Batches | ClusterJobs, dataproc_server: GrpcServer, status: grpc.StatusCode, code: int, do: str
) -> None:
    dataproc_server.fail(CREATE[type(service)], Refusal(status, "the service's own words"))
    with pytest.raises(ServiceError, match=do) as caught:
        service.submit(service.render(WORK))
    assert f"{code}, " in caught.value.got
    assert "the service's own words" in caught.value.got
    assert WORK.id in caught.value.where


@pytest.mark.parametrize("status", [Status.RESOURCE_EXHAUSTED, Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED])
def test_too_much_and_away_are_asked_again_with_bound(
    dataproc_server: GrpcServer, dataproc: FakeDataproc, status: grpc.StatusCode
) -> None:
    waited: list[float] = []
    service = Batches(settings(dataproc_server), Caller("dataproc", 10.0, waited.append))
    dataproc_server.fail("CreateBatch", Refusal(status, "not now"), Refusal(status, "not now"))
    service.submit(service.render(WORK))
    assert waited == [1.0, 2.0]
    assert len(dataproc.batches) == 1
    dataproc_server.fail("GetBatch", *[Refusal(status, "not now")] * 9)
    with pytest.raises(ServiceError, match="not now"):
        service.look(service.name(WORK.id))
    assert waited == [1.0, 2.0, 1.0, 2.0, 4.0, 3.0]


def test_an_answer_that_was_lost_on_its_way_makes_no_second_job(
    dataproc_server: GrpcServer, dataproc: FakeDataproc
) -> None:
    service = Batches(settings(dataproc_server), Caller("dataproc", 10.0, lambda _: None))
    create = dataproc.create_batch

    def made_but_unheard(asked: object) -> object:
        create(asked)
        raise Refusal(Status.UNAVAILABLE, "connection reset")

    dataproc_server.answers = {**dataproc_server.answers, dataproc_server.full("CreateBatch"): made_but_unheard}
    assert service.submit(service.render(WORK)).state == "running"
    assert [len(dataproc_server.calls("CreateBatch")), len(dataproc.batches)] == [2, 1]


def test_no_server_at_all_is_told(dataproc_server: GrpcServer) -> None:
    said = ManagedSettings(
        project="p", region="r", patience=0.0, dataproc=DataprocSettings(endpoint="http://localhost:9")
    )
    with pytest.raises(ServiceError, match="503"):
        Batches(said).look("projects/p/locations/r/batches/x")
    with pytest.raises(SettingsError, match="this machine"):
        connect(None, None, "http://10.0.0.1:80", "")
