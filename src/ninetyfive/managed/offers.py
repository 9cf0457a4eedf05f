"""Which services there are, what they need said, and what `ninetyfive submit --dry-run` shows: offline.

    settings ─ checked ─▶ service ─ rendered ─▶ requests and an estimate; nothing is sent or looked up

What does not belong here: the steps of a run (`run`), what a service is told (a file a service), jobs (`engine`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from ninetyfive.calling import Caller
from ninetyfive.errors import SettingsError, UsageError, near_names, needs_extra
from ninetyfive.managed import dataflow, dataproc, estimating, vertex_verbs, whole
from ninetyfive.managed.asked import Asked, What
from ninetyfive.managed.jobs import (
    GRAPHS,
    STANDS_FOR,
    Graph,
    Looking,
    Request,
    Service,
    Work,
    example_id,
    folder_of,
    marked,
    without_secrets,
)
from ninetyfive.managed.parcel import check_reachable
from ninetyfive.managed.vertex_batch import BatchPredictions
from ninetyfive.managed.vertex_custom import CustomJobs
from ninetyfive.managed.vertex_endpoint import Deployment
from ninetyfive.managed.vertex_pipelines import Pipelines
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.progress import Reporter
from ninetyfive.settings import FILE, Settings
from ninetyfive.store.opening import Store
from ninetyfive.store.records import Job

Whole = Callable[[Asked, Store, Reporter], tuple[dict[str, Any], list[str]]]
"""Does a command at a service from beginning to end: the document of its verb, and the ids of the jobs that did it."""


class Offer(NamedTuple):
    """A service as commands know it.

    `knows`: the one that knows a job. `requests`: what a command sends, as it is known before. `estimate`: what a job
    of a command costs. `client`: the module of its client. A command is done there `whole`, where it stands in it; else
    here, with a `service` that runs the jobs of the engine (None: such commands are not offered). `graphs`: the module
    that makes plans a graph, where the service takes one; loaded when it is needed, as Beam is.
    """

    knows: Callable[[ManagedSettings, Job], Looking]
    requests: Callable[[Asked], list[Request]]
    estimate: Callable[[ManagedSettings, What], estimating.Estimate]
    client: str
    service: Callable[[ManagedSettings], Service] | None = None
    whole: Mapping[What, Whole] = MappingProxyType({})
    graphs: str = ""

    def does(self, what: What) -> bool:
        """Whether a command is offered."""
        return what in self.whole or (self.service is not None and what in JOBS)


JOBS: dict[What, tuple[tuple[str, str], ...]] = {
    "run": (
        ("ingest", "the list of the source's files; without schema.toml a job before it looks at their types"),
        ("fit", "what ingest and split put out; as many jobs as features learn from each other, one after the other"),
        ("apply", "what fit put out"),
        ("evaluate", "what train put out"),
    ),
    "predict": (("predict", "the list of the input's files, and the release"),),
    "table": (
        ("latest", "the list of the population's files, and the release"),
        ("answers", "the latest rows, which the job before it wrote"),
    ),
}
"""The steps that run jobs, in order, and what decides the content of each: the rest is done where the command runs."""
_GRAPHS = "ninetyfive.managed.graph_job"
_VERTEX: dict[str, Callable[[ManagedSettings, Job], Looking]] = {
    "customJobs": lambda said, _: CustomJobs(said),
    "pipelineJobs": lambda said, _: Pipelines(said),
    "batchPredictionJobs": lambda said, _: BatchPredictions(said),
    "deployedModels": Deployment,
}
"""What of Vertex AI knows a job, by the collection in its name."""
_VERTEX_REQUESTS = {
    "run": whole.requests,
    "table": whole.requests,
    "predict": vertex_verbs.predict_requests,
    "serve": vertex_verbs.serve_requests,
}


def _of_vertex(said: ManagedSettings, job: Job) -> Looking:
    return _VERTEX[job.name.split("/")[-2]](said, job)


def _vertex_requests(asked: Asked) -> list[Request]:
    return _VERTEX_REQUESTS[asked.what](asked)


def stepwise(service: Callable[[ManagedSettings], Service], graphs: str = "") -> Callable[[Asked], list[Request]]:
    """The requests of a service that runs the jobs of an engine: one a step, named by content that is not known yet."""

    def requests(asked: Asked) -> list[Request]:
        said, system = asked.said, asked.system.name
        id, made, found = example_id(system), service(said), []
        folder = folder_of(said.temporary, id)
        graph = _example_graph(said, f"{folder}/{id}/{GRAPHS}/{STANDS_FOR}", graphs) if graphs else None
        for step, source in JOBS[asked.what]:
            work = Work(id=id, folder=folder, system=system, purpose=step, graph=graph)
            found.append(marked(made.render(work), STANDS_FOR, source))
        return found

    return requests


OFFERS: dict[str, Offer] = {
    "dataproc": Offer(
        dataproc.knows,
        stepwise(dataproc.service_of),
        estimating.dataproc,
        "google.cloud.dataproc_v1",
        service=dataproc.service_of,
    ),
    "dataflow": Offer(
        dataflow.knows,
        stepwise(dataflow.Dataflow, _GRAPHS),
        estimating.dataflow,
        "google.cloud.dataflow_v1beta3",
        service=dataflow.Dataflow,
        graphs=_GRAPHS,
    ),
    "vertex": Offer(
        _of_vertex,
        _vertex_requests,
        estimating.vertex,
        "google.cloud.aiplatform_v1",
        whole={"run": whole.done, "table": whole.done, "predict": vertex_verbs.predict, "serve": vertex_verbs.serve},
    ),
}


def offer(to: str) -> Offer:
    """The service of this name; `UsageError` names those that there are."""
    if to not in OFFERS:
        raise UsageError("--to", expected="a service", got=repr(to), do=near_names(to, OFFERS))
    return OFFERS[to]


def wholly(asked: Asked, to: str) -> Whole | None:
    """What does a command at a service from beginning to end; None where its jobs are run there, and the rest here.

    `UsageError` where the service does neither, or its client is not installed.
    """
    _check_offered(asked, to)
    return _reachable(to).whole.get(asked.what)


def _check_offered(asked: Asked, to: str) -> None:
    found = offer(to)
    if not found.does(asked.what):
        others = [name for name, one in OFFERS.items() if one.does(asked.what)]
        raise UsageError(
            f"submit {asked.what} --to {to}",
            expected="a command that this service does",
            got=asked.what,
            do=f"submit it --to {' or '.join(others)}",
        )


def connected(to: str, said: ManagedSettings) -> Service:
    """A service that is about to be called to run the jobs of an engine."""
    service = _reachable(to).service
    assert service is not None, to
    return service(said)


def checked(settings: Settings, to: str, what: What = "run") -> ManagedSettings:
    """The settings of services, with all that `what` needs said on `to`; `SettingsError` for what is missing."""
    said = settings.managed
    offer(to)
    needs = {
        "project": ("the project that pays", 'project = "my-project"'),
        "region": ("where jobs run", 'region = "europe-west1"'),
        "temporary": ("a folder in a bucket", 'temporary = "gs://bucket/ninetyfive"'),
    }
    if not (to == "dataproc" and said.dataproc.cluster):
        needs["image"] = (
            "the container image of the workers",
            'image = "REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME:TAG"',
        )
    missing = [name for name in needs if not getattr(said, name)]
    if missing:
        raise SettingsError(
            f"{FILE}, [managed] {', '.join(map(repr, missing))}",
            expected=" and ".join(needs[name][0] for name in missing),
            got="nothing",
            do=f"write {', '.join(needs[name][1] for name in missing)}",
        )
    if not on_this_machine(said, to):
        reached = {"[managed] 'temporary'": said.temporary, "'store'": settings.store_url}
        if to == "vertex" and what in ("predict", "serve"):
            del reached["'store'"]  # what they need of it is copied
        for name, url in reached.items():
            if not url.startswith("gs://"):
                raise SettingsError(
                    f"{FILE}, {name}",
                    expected="a folder in a bucket, as workers of a service reach no path of this machine",
                    got=url,
                    do="write gs://bucket/folder; see docs/store.md for a store in a bucket",
                )
    return said


def on_this_machine(said: ManagedSettings, to: str) -> bool:
    """Whether a service is one on this machine, whose workers share its disk."""
    return urlsplit(str(getattr(said, to).endpoint)).scheme == "http"


def check_login(said: ManagedSettings, to: str) -> None:
    """`ServiceError` at once where nobody is logged in: a bucket would be asked for minutes before it says so."""
    if not on_this_machine(said, to):
        import google.auth

        Caller(to, said.patience)(google.auth.default, "log in")


def rendered(asked: Asked, to: str) -> dict[str, Any]:
    """What `submit` would send, and what a job may cost; offline, and nothing is looked up."""
    _check_offered(asked, to)
    said, found = checked(asked.settings, to, asked.what), offer(to)
    if asked.what not in found.whole and not on_this_machine(said, to):
        check_reachable(asked)
    return {
        "service": to,
        "what": asked.what,
        "requests": msgspec.to_builtins([without_secrets(request) for request in found.requests(asked)]),
        "estimate": msgspec.to_builtins(found.estimate(said, asked.what)),
    }


def _example_graph(said: ManagedSettings, root: str, graphs: str) -> Graph:
    """A graph to look at, and checked as one that is sent."""
    with needs_extra("managed", "a graph of Beam"):
        module = importlib.import_module(graphs)
    return Graph(f"{root}/{dataflow.PIPELINE}", module.example(said, root), STANDS_FOR)


def service_for(job: Job, said: ManagedSettings) -> Looking:
    """The service that knows a job, in the project and region where it was submitted."""
    place = dict(zip(job.name.split("/")[::2], job.name.split("/")[1::2], strict=False))
    region = place.get("locations") or place.get("regions") or said.region
    there = msgspec.structs.replace(said, project=place.get("projects", said.project), region=region)
    return _reachable(job.service).knows(there, job)


def _reachable(to: str) -> Offer:
    """An offer whose client is installed; else `UsageError`."""
    found = offer(to)
    with needs_extra("managed", f"--to {to}"):
        importlib.import_module(found.client)
    return found
