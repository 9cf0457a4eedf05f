"""A release on an endpoint of Vertex AI: uploaded, deployed, given its traffic, and taken back.

    model there? ─ upload ─▶ endpoint there? ─ make ─▶ deployed there? ─ deploy ─▶ traffic ─▶ others: kept, undeployed
                                                             └─ yes: only its traffic changes

Each step looks first, so that a command that was killed goes on. A job is running as long as it is deployed, whatever
its share of the traffic, as it costs so long. What does not belong here: what is sent (`vertex_serving`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec

from ninetyfive.errors import ServiceError
from ninetyfive.managed import vertex_serving as rendering
from ninetyfive.managed.attending import Ledger
from ninetyfive.managed.cloud import last
from ninetyfive.managed.container import CONFIG
from ninetyfive.managed.jobs import Request, attempt_of, gone
from ninetyfive.managed.packing import Place
from ninetyfive.managed.traffic import shared, without
from ninetyfive.managed.vertex import NAME
from ninetyfive.managed.vertex_calls import Calls
from ninetyfive.managed.vertex_serving import Names, number_of
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.progress import Reporter
from ninetyfive.store.crashing import crash_point
from ninetyfive.store.records import Job


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be served: a release of a `system` by a service that is written into `folder` (a url).

    `job` is the id of the first attempt, `percent` its traffic; the `keep` newest others that have none stay deployed.
    """

    system: str
    release: str
    job: str
    folder: str
    percent: int = 100
    keep: int = 0


class Write(Protocol):
    """Writes the service into a folder of this machine, which is empty."""

    def __call__(self, folder: Path, /) -> None: ...


class Deployment:
    """One deployed release as `jobs` knows it: it is looked at and undeployed; `job` is its record in the catalog."""

    NAME: ClassVar[str] = NAME

    def __init__(self, settings: ManagedSettings, job: Job, calls: Calls | None = None) -> None:
        self._calls = calls or Calls(settings)
        self._settings = settings
        self._job = job
        parts = job.name.split("/")
        self._names = Names(parent=self._calls.parent, job=job.id, endpoint_id=parts[parts.index("endpoints") + 1])
        self._link = rendering.console(settings, self._names.endpoint)

    def name(self, id: str) -> str:
        """As in `Service`."""
        return f"{self._names.endpoint}/deployedModels/{number_of(id)}"

    def look(self, name: str) -> Job | None:
        """As in `Service`: running while it is deployed, pending while it is being so."""
        endpoint = self._endpoint()
        if endpoint is None:
            return None
        found = _deployed(endpoint, last(name))
        if found is not None:
            share = dict(endpoint.traffic_split).get(found.id, 0)
            return self._seen("running", told(self._settings, self._names.endpoint, share, found))
        if self._calls.under_way(self._names.endpoint, f"endpoint {self._names.endpoint_id}"):
            return self._seen("pending", "the endpoint is at work")
        return None

    def cancel(self, name: str) -> Job | None:
        """Undeploy it, wait for that, and delete its model; of the last one the endpoint too, so that nothing costs."""
        calls, names = self._calls, self._names
        settle(calls, names)
        endpoint = self._endpoint()
        found = None if endpoint is None else _deployed(endpoint, last(name))
        if endpoint is not None and found is not None:
            undeploy(calls, names, endpoint, found)
            endpoint = self._endpoint()
        if endpoint is not None and any(_same(one.display_name, names.job) for one in endpoint.deployed_models):
            return self._seen("cancelled", "undeployed")  # another attempt serves by the same model and folder
        if endpoint is not None and not endpoint.deployed_models:
            self._done(rendering.delete("Endpoint", names.endpoint), f"deleting endpoint {names.endpoint_id}")
        if calls.find(calls.models.get_model, names.model, f"model {names.model_id}") is not None:
            self._done(rendering.delete("Model", names.model), f"deleting model {names.model_id}")
        Place(self._job.folder).remove()
        return self._seen("cancelled", "undeployed")

    def _endpoint(self) -> Any:
        return self._calls.find(
            self._calls.endpoints.get_endpoint, self._names.endpoint, f"endpoint {self._names.endpoint_id}", self._link
        )

    def _done(self, request: Request, what: str) -> None:
        from google.api_core.exceptions import NotFound

        sent = self._calls.send(request, what, self._link, but=(NotFound,))
        if sent is not None:
            self._calls.wait(sent.operation.name, what, self._link)

    def _seen(self, state: Any, message: str) -> Job:
        return msgspec.structs.replace(self._job, state=state, message=message, link=self._link)


class Deploying:
    """Brings what is `wanted` onto the endpoint of its system; each state is written into the `ledger`."""

    def __init__(
        self, settings: ManagedSettings, ledger: Ledger, reporter: Reporter, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._calls = Calls(settings, sleep=sleep)
        self._settings = settings
        self._ledger = ledger
        self._reporter = reporter

    def done(self, wanted: Wanted, write: Write, scratch: Path) -> dict[str, Any]:
        """Deploy it and set the traffic; what is served. `ServiceError`: what is done so far stays, and is used."""
        names = self._named(wanted)
        job = self._begun(wanted, names)
        try:
            self._write(wanted, write, scratch)
            self._upload(wanted, names)
            self._endpoint(wanted, names)
            self._deploy(wanted, names)
        except ServiceError as error:
            if not self._is_deployed(names):
                self._ledger.move_job(msgspec.structs.replace(job, state="failed", message=error.got))
            raise
        except (KeyboardInterrupt, SystemExit):
            self._reporter.notice(f"what has begun goes on, and costs: ninetyfive jobs cancel {names.job}")
            raise
        undeployed = self._tidy(wanted, names)
        return self._document(wanted, names, undeployed)

    def _named(self, wanted: Wanted) -> Names:
        """The attempt that is deployed or under way, else the next one."""
        calls, attempts = self._calls, [job for job in self._ledger.jobs() if _same(job.id, wanted.job)]
        names = Names(parent=calls.parent, job=wanted.job, endpoint_id=rendering.endpoint_id(wanted.system))
        settle(calls, names)
        endpoint = self._found(names)
        for one in () if endpoint is None else endpoint.deployed_models:
            if _same(one.display_name, wanted.job):
                return msgspec.structs.replace(names, job=one.display_name)
        for job in attempts:
            if job.state == "running":
                self._ledger.move_job(gone(job))
        begun = next((job.id for job in attempts if job.state == "pending"), None)
        last = max((int(job.id.rpartition("-")[2]) for job in attempts), default=0)
        return msgspec.structs.replace(names, job=begun or attempt_of(wanted.job, last + 1))

    def _begun(self, wanted: Wanted, names: Names) -> Job:
        purpose = f"serve release {wanted.release[:12]}"
        page = rendering.console(self._settings, names.endpoint)
        job = Job(id=names.job, service=NAME, name=names.deployed, link=page, folder=wanted.folder, purpose=purpose)
        added = self._ledger.add_job(job)
        crash_point("job written down")
        return added

    def _write(self, wanted: Wanted, write: Write, scratch: Path) -> None:
        """The folder of the service in the bucket; its configuration is written last, and says that all is there."""
        place = Place(wanted.folder)
        if place.read(CONFIG) is not None:
            return
        self._reporter.notice(f"the service of release {wanted.release[:12]} is copied to {wanted.folder}")
        write(scratch)
        place.bring(scratch, last=CONFIG)

    def _upload(self, wanted: Wanted, names: Names) -> None:
        calls = self._calls
        what = f"model {names.model_id}"
        request = rendering.upload(self._settings, names, wanted.system, wanted.release, wanted.folder)
        self._made(request, lambda: calls.find(calls.models.get_model, names.model, what), names.model, what)

    def _endpoint(self, wanted: Wanted, names: Names) -> None:
        what = f"endpoint {names.endpoint_id}"
        request = rendering.create_endpoint(self._settings, names, wanted.system)
        found = self._made(request, lambda: self._found(names), names.endpoint, what)
        log = found.predict_request_response_logging_config
        if (log.bigquery_destination.output_uri if log.enabled else "") != self._settings.vertex.request_log:
            self._calls.send(rendering.set_logging(self._settings, names), what, self._page(names))

    def _made(self, request: Request, find: Callable[[], Any], name: str, what: str) -> Any:
        """What is there under a name, else made: by this command, or by one before it that was killed."""
        from google.api_core.exceptions import AlreadyExists

        found = find()
        if found is not None:
            return found
        sent = self._calls.send(request, what, but=(AlreadyExists,))
        crash_point(f"{request.purpose}")
        if sent is not None:
            self._reporter.notice(f"{request.purpose}: {what}")
            self._calls.wait(sent.operation.name, what)
        else:
            for operation in self._calls.under_way(name, what):
                self._calls.wait(operation, what)
        found = find()
        if found is None:
            raise ServiceError(
                f"{NAME}, {what}",
                expected="that it is there",
                got="nothing under its name after it was made",
                do="see what it is in the console; then the same command again",
            )
        return found

    def _deploy(self, wanted: Wanted, names: Names) -> None:
        """Deploy it with its traffic, or change its traffic where it is deployed."""
        from google.api_core.exceptions import AlreadyExists

        calls, what, link = self._calls, f"job {names.job}", self._page(names)
        endpoint = self._found(names)
        now = dict(endpoint.traffic_split)
        if _deployed(endpoint, names.number) is None:
            there = {one.id for one in endpoint.deployed_models}
            traffic = shared({id: share for id, share in now.items() if id in there}, rendering.NEW, wanted.percent)
            sent = calls.send(rendering.deploy(self._settings, names, traffic), what, link, but=(AlreadyExists,))
            crash_point("job submitted")
            self._reporter.notice(f"job {names.job}: submitted, it is being deployed; {link}")
            if sent is not None:
                calls.wait(sent.operation.name, what, link)
            settle(calls, names)  # an answer that was lost, or another command that does the same
        else:
            traffic = shared(now, names.number, wanted.percent)
            if traffic != now:
                calls.send(rendering.set_traffic(names.endpoint, traffic, endpoint.etag), what, link)
                crash_point("traffic set")
                self._reporter.notice(f"job {names.job}: is deployed; its traffic is set")

    def _tidy(self, wanted: Wanted, names: Names) -> list[str]:
        """Undeploy what has no traffic, but for the newest; what was undeployed."""
        endpoint, done = self._found(names), []
        shares, known = dict(endpoint.traffic_split), {job.id: job for job in self._ledger.jobs()}
        ours = rendering.endpoint_id(wanted.system).rpartition("-")[0]
        idle = [
            one
            for one in endpoint.deployed_models
            if not shares.get(one.id) and one.id != names.number and one.display_name.startswith(f"{ours}-")
        ]
        for one in sorted(idle, key=_age, reverse=True)[wanted.keep :]:
            undeploy(self._calls, names, endpoint, one)
            done.append(one.display_name)
            if one.display_name in known:
                ended = "undeployed, as it had no traffic"
                self._ledger.move_job(msgspec.structs.replace(known[one.display_name], state="done", message=ended))
        return done

    def _document(self, wanted: Wanted, names: Names, undeployed: list[str]) -> dict[str, Any]:
        endpoint = self._found(names)
        shares = dict(endpoint.traffic_split)
        for one in endpoint.deployed_models:
            job = next((job for job in self._ledger.jobs() if job.id == one.display_name), None)
            if job is not None:
                message = told(self._settings, names.endpoint, shares.get(one.id, 0), one)
                self._ledger.move_job(msgspec.structs.replace(job, state="running", message=message))
        return {
            "release": wanted.release,
            "endpoint": names.endpoint,
            "model": names.model,
            "url": rendering.predict_url(self._settings, names.endpoint),
            "traffic": {one.display_name: shares.get(one.id, 0) for one in endpoint.deployed_models},
            "undeployed": undeployed,
            "job": names.job,
        }

    def _is_deployed(self, names: Names) -> bool:
        """Whether it is there though something failed; a service that does not say so leaves it open."""
        try:
            endpoint = self._found(names)
        except ServiceError:
            return True
        return endpoint is not None and _deployed(endpoint, names.number) is not None

    def _found(self, names: Names) -> Any:
        what = f"endpoint {names.endpoint_id}"
        return self._calls.find(self._calls.endpoints.get_endpoint, names.endpoint, what, self._page(names))

    def _page(self, names: Names) -> str:
        return rendering.console(self._settings, names.endpoint)


def settle(calls: Calls, names: Names) -> None:
    """Wait until nothing is under way at an endpoint: what a command that was killed began goes on."""
    what = f"endpoint {names.endpoint_id}"
    if calls.find(calls.endpoints.get_endpoint, names.endpoint, what) is None:
        return
    while calls.under_way(names.endpoint, what):
        calls.sleep(calls.settings.poll)


def undeploy(calls: Calls, names: Names, endpoint: Any, one: Any) -> None:
    """Undeploy one of an endpoint's models, and wait until it is gone."""
    others = sorted((other for other in endpoint.deployed_models if other.id != one.id), key=_age)
    now = dict(endpoint.traffic_split)
    traffic = without(now, one.id, others[-1].id if others else "") if now.get(one.id) else {}
    what, link = f"undeploying {one.display_name}", rendering.console(calls.settings, names.endpoint)
    sent = calls.send(rendering.undeploy(names.endpoint, one.id, traffic), what, link)
    crash_point("undeploying")
    calls.wait(sent.operation.name, what, link)


def told(said: ManagedSettings, endpoint: str, share: int, deployed: Any) -> str:
    """What a job that is deployed says: its traffic, where it answers, how many machines do."""
    resources = deployed.dedicated_resources
    machines = f"{resources.machine_spec.machine_type}, {resources.min_replica_count} to {resources.max_replica_count}"
    return f"{share} % of the traffic; POST {rendering.predict_url(said, endpoint)}; on {machines} machines"


def _age(deployed: Any) -> float:
    return float(deployed.create_time.timestamp()) if deployed.create_time else 0.0


def _deployed(endpoint: Any, number: str) -> Any:
    return next((one for one in endpoint.deployed_models if one.id == number), None)


def _same(id: str, other: str) -> bool:
    return id.rpartition("-")[0] == other.rpartition("-")[0]
