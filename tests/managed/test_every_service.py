"""What holds for every service, each by its own official client over real gRPC: one job, states, refusals, retries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import grpc
import pytest
from tests.managed.fake_dataflow import FakeDataflow
from tests.managed.fake_dataproc import FakeDataproc
from tests.managed.fake_endpoints import FakeEndpoints
from tests.managed.fake_vertex import FakeVertex
from tests.managed.services import GrpcServer, Refusal

from ninetyfive.calling import Caller
from ninetyfive.errors import ServiceError
from ninetyfive.hashing import bytes_hash
from ninetyfive.managed.dataflow import Dataflow
from ninetyfive.managed.dataproc import Batches, ClusterJobs
from ninetyfive.managed.graph_job import example
from ninetyfive.managed.jobs import Graph, Service, Work, job_id
from ninetyfive.managed.pipelining import compiled
from ninetyfive.managed.vertex_batch import BatchPredictions
from ninetyfive.managed.vertex_calls import Calls
from ninetyfive.managed.vertex_custom import CustomJobs
from ninetyfive.managed.vertex_pipelines import Pipelines
from ninetyfive.managed_settings import DataflowSettings, DataprocSettings, ManagedSettings, VertexSettings

Status = grpc.StatusCode
Kind = Literal["batches", "cluster", "dataflow", "pipelines", "customs", "predictions"]
KINDS = ("batches", "cluster", "dataflow", "pipelines", "customs", "predictions")


class Machine:
    """A machine that answers no rows, as fast as it is asked."""

    end_of: Callable[[], str | None] = staticmethod(lambda: "")

    def __init__(self, *_: object) -> None:
        self.said = Machine.end_of

    def healthy(self) -> bool | None:
        return {None: False, "": True}.get(self.said())

    def predict(self, _: list[Any]) -> dict[str, Any]:
        return {"predictions": []}

    def end(self) -> None:
        """It is gone."""


@dataclass
class Case:
    """A service with its server: `create`, `look` and `stop` are the methods that it calls for that."""

    kind: Kind
    said: ManagedSettings
    work: Work
    server: GrpcServer
    create: str
    look: str
    stop: str
    jobs: Callable[[], list[str]]
    ends: Callable[[Callable[[], str | None]], None]

    def service(self, caller: Caller | None = None) -> Service:
        """A client of it, new."""
        asked = caller or Caller("service", 0.0)
        match self.kind:
            case "batches":
                return Batches(self.said, asked)
            case "cluster":
                return ClusterJobs(self.said, asked)
            case "dataflow":
                return Dataflow(self.said, asked)
            case "pipelines":
                return Pipelines(self.said, Calls(self.said, asked))
            case "customs":
                return CustomJobs(self.said, Calls(self.said, asked))
        return BatchPredictions(self.said, Calls(self.said, asked))

    def states(self, looks: int = 6) -> list[str]:
        """The states of the job in so many looks of one client."""
        service = self.service()
        found = [service.look(service.name(self.work.id)) for _ in range(looks)]
        return [job.state if job else "nothing" for job in found]


def settings(url: str) -> ManagedSettings:
    return ManagedSettings(
        project="my-project",
        region="europe-west1",
        temporary="gs://bucket",
        image="europe-docker.pkg.dev/my-project/ninetyfive/run:1",
        service_account="runner@my-project.iam.gserviceaccount.com",
        patience=0.0,
        dataproc=DataprocSettings(cluster="flights", endpoint=url),
        dataflow=DataflowSettings(endpoint=url),
        vertex=VertexSettings(endpoint=url),
    )


@pytest.fixture(scope="module")
def graph_bytes() -> bytes:
    return example(settings(""), "gs://bucket/jobs/x")


@pytest.fixture(scope="module")
def pipeline() -> dict[str, Any]:
    return compiled(settings(""))


@pytest.fixture(params=KINDS)
def case(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    graph_bytes: bytes,
    pipeline: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Case]:
    """Each service in turn."""
    kind: Kind = request.param
    monkeypatch.setattr("ninetyfive.managed.vertex_pipelines.compiled", lambda _: pipeline)  # once for all tests
    (tmp_path / "pipeline.pb").write_bytes(graph_bytes)
    (tmp_path / "service").mkdir()
    graph = Graph(str(tmp_path / "pipeline.pb"), graph_bytes, bytes_hash(graph_bytes))
    work = Work(id=job_id("late", "plans"), folder=str(tmp_path), system="late", purpose="fit: x", graph=graph)
    fake: Any = {
        "batches": FakeDataproc,
        "cluster": FakeDataproc,
        "dataflow": FakeDataflow,
        "pipelines": lambda: FakeVertex(tmp_path),
        "customs": lambda: FakeVertex(tmp_path),
        "predictions": lambda: FakeEndpoints(tmp_path),
    }[kind]()
    made, create, look, stop = {
        "batches": ("batches", "CreateBatch", "GetBatch", "CancelOperation"),
        "cluster": ("jobs", "SubmitJob", "GetJob", "CancelJob"),
        "dataflow": ("jobs", "CreateJob", "ListJobs", "UpdateJob"),
        "pipelines": ("pipelines", "CreatePipelineJob", "GetPipelineJob", "CancelPipelineJob"),
        "customs": ("customs", "CreateCustomJob", "ListCustomJobs", "CancelCustomJob"),
        "predictions": (
            *("jobs", "CreateBatchPredictionJob"),
            *("ListBatchPredictionJobs", "CancelBatchPredictionJob"),
        ),
    }[kind]
    monkeypatch.setattr(Machine, "end_of", staticmethod(lambda: ""))
    monkeypatch.setattr("tests.managed.fake_endpoints.Machine", Machine)

    def ends(how: Callable[[], str | None]) -> None:
        fake.work = lambda *_: how
        monkeypatch.setattr(Machine, "end_of", staticmethod(how))

    def jobs() -> list[str]:
        state = {"cluster": "status.state", "dataflow": "current_state"}.get(kind, "state")
        return [str(attrgetter(state)(job).name) for job in getattr(fake, made).values()]

    with fake.server().running() as server:
        yield Case(kind, settings(server.url), work, server, create, look, stop, jobs, ends)


def test_what_is_sent_is_what_was_rendered_by_the_definition(case: Case) -> None:
    service = case.service()
    request = service.render(case.work)
    message = case.server.definition.check(request.method, request.body)
    job = service.submit(request)
    (sent,) = case.server.calls(case.create)
    assert (sent.method, sent.message, sent.body) == (request.method, message, as_json(message))
    assert (job.id, job.name, job.ended) == (case.work.id, service.name(case.work.id), False)
    assert job.link.startswith("https://console.cloud.google.com/")
    assert job.link.endswith("project=my-project")
    with pytest.raises(Exception, match="beamLanes"):
        case.server.definition.check(request.method, {**request.body, "beamLanes": 3})


def as_json(message: Any) -> dict[str, Any]:
    from google.protobuf import json_format

    return dict(json_format.MessageToDict(message))


def test_submitted_twice_by_anybody_it_is_one_job(case: Case) -> None:
    first, other = case.service(), case.service()
    links = {service.submit(service.render(case.work)).link for service in (first, first, other)}
    assert len(links) == len(case.jobs()) == 1
    assert case.states()[-1] == "done"


def test_of_two_made_at_once_the_oldest_runs_on(case: Case) -> None:
    """Where the service takes both, the younger is cancelled."""
    case.ends(lambda: None)
    full = case.server.full(case.create)
    create = case.server.answers[full]

    def twice(asked: Any) -> Any:
        create(asked)  # somebody else, in between
        return create(asked)

    case.server.answers = {**case.server.answers, full: twice}
    service = case.service()
    service.submit(service.render(case.work))
    assert case.states()[-1] == "running"
    first, *others = case.jobs()
    assert "CANCEL" not in first
    assert all("CANCEL" in state for state in others)
    assert len(others) == (case.kind in ("customs", "predictions"))


def test_an_answer_that_was_lost_on_its_way_makes_no_second_job(case: Case) -> None:
    full = case.server.full(case.create)
    create = case.server.answers[full]

    def unheard(asked: Any) -> Any:
        create(asked)
        raise Refusal(Status.UNAVAILABLE, "connection reset")

    case.server.answers = {**case.server.answers, full: unheard}
    service = case.service(Caller("service", 10.0, lambda _: None))
    assert service.submit(service.render(case.work)).state in ("running", "done")
    assert len(case.jobs()) == 1


def test_a_job_is_cancelled_and_stays_so(case: Case) -> None:
    case.ends(lambda: None)
    service = case.service()
    service.submit(service.render(case.work))
    name, other = service.name(case.work.id), service.name("n95-other-1")
    assert [service.look(other), service.cancel(other)] == [None, None]
    service.cancel(name)
    assert case.states()[-1] == "cancelled"
    stopped = service.cancel(name)
    assert stopped is not None
    assert stopped.state == "cancelled"
    assert len(case.server.calls(case.stop)) == 1


def test_one_that_has_ended_or_ends_meanwhile_is_not_cancelled(case: Case) -> None:
    service = case.service()
    service.submit(service.render(case.work))
    case.server.fail(case.stop, Refusal(Status.NOT_FOUND, "it is gone"))
    meanwhile = service.cancel(service.name(case.work.id))
    assert meanwhile is not None
    assert case.states()[-1] == "done"
    asked = len(case.server.calls(case.stop))
    stopped = service.cancel(service.name(case.work.id))
    assert stopped is not None
    assert (stopped.state, len(case.server.calls(case.stop))) == ("done", asked)


@pytest.mark.parametrize(("said", "state"), [("it failed", "failed"), ("the VM was preempted", "lost")])
def test_an_end_is_told_in_the_words_of_the_service(case: Case, said: str, state: str) -> None:
    if case.kind == "predictions":  # its fake says one thing only
        said, state = "Model server never became ready", "failed"
    case.ends(lambda: said)
    service = case.service()
    service.submit(service.render(case.work))
    assert case.states()[-1] == state
    job = service.look(service.name(case.work.id))
    assert job is not None
    assert said in job.message


@pytest.mark.parametrize(
    ("status", "code", "do"),
    [
        (Status.INVALID_ARGUMENT, 400, "--dry-run"),
        (Status.UNAUTHENTICATED, 401, "gcloud auth"),
        (Status.PERMISSION_DENIED, 403, "docs/managed.md"),
        (Status.NOT_FOUND, 404, r"\[managed\]"),
        (Status.ABORTED, 409, "console"),
        (Status.RESOURCE_EXHAUSTED, 429, "quota"),
        (Status.INTERNAL, 500, "goes on where it was"),
        (Status.UNAVAILABLE, 503, "goes on where it was"),
    ],
)
def test_a_refusal_says_what_to_do(case: Case, status: grpc.StatusCode, code: int, do: str) -> None:
    service = case.service()
    asks: list[tuple[str, Callable[[], object]]] = [
        (case.create, lambda: service.submit(service.render(case.work))),
        (case.look, lambda: service.look(service.name(case.work.id))),
    ]
    for method, ask in asks:
        if method.startswith("Get") and code == 404:
            continue  # there is no such job, which is an answer
        case.server.fail(method, Refusal(status, "the service's own words"))
        with pytest.raises(ServiceError, match=do) as caught:
            ask()
        assert f"{code}, " in caught.value.got
        assert "the service's own words" in caught.value.got
        assert case.work.id in caught.value.where


@pytest.mark.parametrize("status", [Status.RESOURCE_EXHAUSTED, Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED])
def test_too_much_and_away_are_asked_again_with_bound(case: Case, status: grpc.StatusCode) -> None:
    waited: list[float] = []
    service = case.service(Caller("service", 10.0, waited.append))
    case.server.fail(case.create, *[Refusal(status, "not now")] * 2)
    service.submit(service.render(case.work))
    assert waited == [1.0, 2.0]
    assert len(case.jobs()) == 1
    case.server.fail(case.look, *[Refusal(status, "not now")] * 9)
    again = case.service(Caller("service", 10.0, waited.append))
    with pytest.raises(ServiceError, match="not now"):
        again.look(again.name(case.work.id))
    assert waited == [1.0, 2.0, 1.0, 2.0, 4.0, 3.0]


def test_no_server_at_all_is_told(case: Case) -> None:
    case.said = settings("http://localhost:9")
    service = case.service()
    with pytest.raises(ServiceError, match="503"):
        service.look(service.name(case.work.id))
