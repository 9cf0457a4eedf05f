"""Dataflow: a job is a graph of Beam that is staged in our folder, and run by our workers in containers.

    CreateJob ─▶ job; ListJobs by name, GetJob ─▶ state; failed: ListJobMessages; running: UpdateJob to cancelled

A job has an id by the service, and ours as its name and as the id of the request: the service takes a request of one id
and name once, and answers one for a name that is running with the job that runs. What costs are workers: a job that has
ended has none.
What does not belong here: the graph (`graph_job`), and what is in the folder (`packing`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cached_property, partial
from typing import Any, ClassVar

from ninetyfive.calling import CALL_SECONDS, Caller, connect, in_a_line
from ninetyfive.errors import ServiceError
from ninetyfive.managed.cloud import labels, last, page, parent, seen_as, word_of
from ninetyfive.managed.jobs import Request, Work
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.records import Job, JobState

PIPELINE = "pipeline.pb"
WHERE = "[managed.dataflow] options"
OFFLINE = {"dry_run": "True", "no_auth": True, "job_name": "ninetyfive", "temp_location": "gs://ninetyfive/temp"}
"""With these, Beam makes a graph and asks nobody; nothing of them is sent."""
_STATES: dict[str, JobState] = {
    "JOB_STATE_UNKNOWN": "pending",
    "JOB_STATE_STOPPED": "pending",
    "JOB_STATE_QUEUED": "pending",
    "JOB_STATE_PENDING": "pending",
    "JOB_STATE_RUNNING": "running",
    "JOB_STATE_DRAINING": "running",
    "JOB_STATE_CANCELLING": "running",
    "JOB_STATE_PAUSING": "running",
    "JOB_STATE_PAUSED": "running",
    "JOB_STATE_RESOURCE_CLEANING_UP": "running",
    "JOB_STATE_DONE": "done",
    "JOB_STATE_FAILED": "failed",
    "JOB_STATE_CANCELLED": "cancelled",
    "JOB_STATE_DRAINED": "cancelled",
    "JOB_STATE_UPDATED": "cancelled",
}
"""Drained and updated is what others do to a job: it has ended, and not all of its work is done."""
_TAKEN = re.compile(r"\bpreempt", re.IGNORECASE)
"""What is said of machines that were taken away; a worker that is lost, as for want of memory, is not that."""
_MOST = 10 * 2**20
"""Bytes that a request may have."""
_SHOWN = 2_000
_LISTS = ("dataflow_service_options", "experiments", "labels")


class Dataflow:
    """Dataflow, as a `Service`."""

    NAME: ClassVar[str] = "dataflow"

    def __init__(self, settings: ManagedSettings, caller: Caller | None = None) -> None:
        self._settings = settings
        self._call = caller or Caller(self.NAME, settings.patience)
        self._ids: dict[str, str] = {}

    def name(self, id: str) -> str:
        """As in `Service`; the id that the service gave stands in the job's link only."""
        return f"{parent(self._settings)}/jobs/{id}"

    def render(self, work: Work) -> Request:
        """As in `Service`: one CreateJob, which names the graph of the work."""
        from apache_beam.portability.api import beam_runner_api_pb2
        from google.cloud import dataflow_v1beta3 as api
        from google.protobuf import json_format

        assert work.graph is not None
        proto = beam_runner_api_pb2.Pipeline.FromString(work.graph.data)
        sent = api.CreateJobRequest(
            project_id=self._settings.project,
            location=self._settings.region,
            job=api.Job(
                name=work.id,
                type_=api.JobType.JOB_TYPE_BATCH,
                client_request_id=work.id,
                labels=labels(work),
                environment=self._environment(work, proto),
            ),
        )
        size = len(api.CreateJobRequest.serialize(sent))
        if size > _MOST:
            raise ServiceError(
                f"dataflow, job {work.id}",
                expected=f"a request of at most {_MOST:,} bytes",
                got=f"{size:,}",
                do=f"say less in {WHERE}",
            )
        body = json_format.MessageToDict(api.CreateJobRequest.pb(sent))
        method = "google.dataflow.v1beta3.JobsV1Beta3/CreateJob"
        return Request(method=method, body=body, purpose=work.purpose, graph=_steps(proto))

    def submit(self, request: Request) -> Job:
        """As in `Service`."""
        from google.api_core.exceptions import AlreadyExists
        from google.cloud.dataflow_v1beta3 import CreateJobRequest

        id = request.body["job"]["name"]
        sent = CreateJobRequest.from_json(json.dumps(request.body))
        create = partial(self._jobs.create_job, sent, retry=None, timeout=CALL_SECONDS)
        found = self._call.unless(AlreadyExists, create, f"job {id}")
        return (self.look(self.name(id)) or self._job(id, "", "pending", "")) if found is None else self._seen(found)

    def look(self, name: str) -> Job | None:
        """As in `Service`."""
        found = self._found(last(name))
        return None if found is None else self._seen(found)

    def cancel(self, name: str) -> Job | None:
        """As in `Service`; its workers are gone once it is cancelled."""
        from google.api_core.exceptions import FailedPrecondition, NotFound
        from google.cloud import dataflow_v1beta3 as api

        found = self._found(last(name))
        if found is None or self._seen(found).ended:
            return None if found is None else self._seen(found)
        wanted = api.Job(requested_state=api.JobState.JOB_STATE_CANCELLED)
        sent = api.UpdateJobRequest(
            project_id=self._settings.project, location=self._settings.region, job_id=found.id, job=wanted
        )
        stop = partial(self._jobs.update_job, sent, retry=None, timeout=CALL_SECONDS)
        told = f"cancelling job {last(name)}", self._link(found.id)
        self._call.unless((FailedPrecondition, NotFound), stop, *told)  # it has ended meanwhile
        return self.look(name)

    def _found(self, name: str) -> Any:
        """The newest job of a name: by the id that it is known to have, else in the list of jobs."""
        from google.api_core.exceptions import NotFound
        from google.cloud import dataflow_v1beta3 as api

        where = {"project_id": self._settings.project, "location": self._settings.region}

        def get() -> Any:
            sent = api.GetJobRequest(**where, job_id=self._ids[name])
            return self._jobs.get_job(sent, retry=None, timeout=CALL_SECONDS)

        def listed() -> list[Any]:
            sent = api.ListJobsRequest(**where, name=name)
            return list(self._jobs.list_jobs(sent, retry=None, timeout=CALL_SECONDS))

        if name in self._ids:
            return self._call.unless(NotFound, get, f"job {name}", self._link(self._ids[name]))
        jobs = [job for job in self._call(listed, f"job {name}") if job.name == name]
        return max(jobs, key=lambda job: job.create_time, default=None)

    def _seen(self, found: Any) -> Job:
        self._ids[found.name] = found.id
        state = _STATES.get(word_of(found, "current_state"), "pending")
        message = self._messages(found.id) if state in ("failed", "cancelled") else ""
        return self._job(found.name, found.id, state, message)

    def _messages(self, id: str) -> str:
        """What the service says of the end of a job: the errors with a trace of code, else all of them."""
        from google.cloud import dataflow_v1beta3 as api

        sent = api.ListJobMessagesRequest(
            project_id=self._settings.project,
            location=self._settings.region,
            job_id=id,
            minimum_importance=api.JobMessageImportance.JOB_MESSAGE_ERROR,
        )
        told = self._call(
            lambda: list(self._messages_client.list_job_messages(sent, retry=None, timeout=CALL_SECONDS)),
            f"messages of job {id}",
            self._link(id),
        )
        texts = [one.message_text for one in told]
        said = in_a_line(" ".join([text for text in texts if "Traceback" in text] or texts))
        return said if len(said) <= _SHOWN else f"{said[: _SHOWN // 2]} … {said[-_SHOWN // 2 :]}"

    def _job(self, id: str, given: str, state: JobState, message: str) -> Job:
        link = self._link(given) if given else ""
        return seen_as(self.NAME, self.name(id), state, link, message, _TAKEN)

    def _link(self, given: str) -> str:
        return page(self._settings, f"dataflow/jobs/{self._settings.region}/{given}")

    def _environment(self, work: Work, proto: Any) -> Any:
        """What workers are, as Beam says it to the service."""
        from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
        from apache_beam.runners.dataflow.dataflow_runner import _check_and_add_missing_options
        from apache_beam.runners.dataflow.internal import apiclient

        assert work.graph is not None
        told = PipelineOptions.from_dictionary({**options(self._settings), "job_name": work.id})
        _check_and_add_missing_options(told)
        places = told.view_as(GoogleCloudOptions)
        places.temp_location = places.staging_location = f"{work.folder}/{work.id}/temp"
        return apiclient.Environment(
            packages=[],
            options=told,
            environment_version=apiclient._FNAPI_ENVIRONMENT_MAJOR_VERSION,
            proto_pipeline_staged_url=work.graph.url,
            proto_pipeline=proto,
            pipeline_proto_hash=work.graph.digest,
        ).proto

    @cached_property
    def _jobs(self) -> Any:
        from google.cloud.dataflow_v1beta3 import JobsV1Beta3Client

        return connect(JobsV1Beta3Client, *_endpoint(self._settings))

    @cached_property
    def _messages_client(self) -> Any:
        from google.cloud.dataflow_v1beta3 import MessagesV1Beta3Client

        return connect(MessagesV1Beta3Client, *_endpoint(self._settings))


def knows(settings: ManagedSettings, _: Job) -> Dataflow:
    """The service that knows a job."""
    return Dataflow(settings)


def options(said: ManagedSettings) -> dict[str, Any]:
    """Beam's options for the workers that the settings mean; those of the settings over ours, lists after ours."""
    flow = said.dataflow
    subnetwork = said.subnetwork
    if subnetwork and "/" not in subnetwork:
        subnetwork = f"regions/{said.region}/subnetworks/{subnetwork}"
    ours: dict[str, Any] = {
        "runner": "DataflowRunner",
        "project": said.project,
        "region": said.region,
        "sdk_location": "container",
        "sdk_container_image": said.image,
        "save_main_session": False,
        "experiments": ["disable_logging_submission_environment"],
        "dataflow_service_options": [f"max_workflow_runtime_walltime_seconds={round(said.hours * 3600)}"],
        "machine_type": flow.machine_type,
        "max_num_workers": flow.workers,
        "use_public_ips": flow.public_ips,
    }
    asked = {"disk_size_gb": flow.disk_gib, "service_account_email": said.service_account, "subnetwork": subnetwork}
    ours |= {name: value for name, value in asked.items() if value}
    theirs = dict(flow.options)
    lists = {name: [*ours.get(name, []), *_listed(theirs.pop(name))] for name in _LISTS if name in theirs}
    return {**ours, **lists, **theirs}


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _steps(proto: Any) -> tuple[str, ...]:
    """The names of the steps of a graph, in order."""
    known = proto.components.transforms
    return tuple(known[id].unique_name for root in proto.root_transform_ids for id in known[root].subtransforms)


def _endpoint(settings: ManagedSettings) -> tuple[str, str]:
    return settings.dataflow.endpoint, "dataflow.googleapis.com:443"
