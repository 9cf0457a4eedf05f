"""Dataproc: a job is a batch of its Serverless, or a job on a cluster that is there.

    CreateBatch ─▶ operation; GetBatch ─▶ state; running: CancelOperation, ended: nothing      `Batches`
    SubmitJob ─▶ job;         GetJob   ─▶ state; running: CancelJob                            `ClusterJobs`

Both are told the id by us, and answer ALREADY_EXISTS to the second who submits it. What costs is what runs: a batch or
job that has ended costs nothing, and a cluster is its owner's.
What does not belong here: what the job does (`driver`).
"""

from __future__ import annotations

import json
import re
from functools import cached_property, partial
from typing import Any, ClassVar

from ninetyfive.calling import CALL_SECONDS, Caller, connect
from ninetyfive.managed.cloud import filled, labels, last, page, parent, seen_as, word_of
from ninetyfive.managed.jobs import DRIVER, Request, Work
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.records import Job, JobState

_BATCH: dict[str, JobState] = {
    "PENDING": "pending",
    "RUNNING": "running",
    "CANCELLING": "running",
    "CANCELLED": "cancelled",
    "SUCCEEDED": "done",
    "FAILED": "failed",
}
_JOB: dict[str, JobState] = {
    "PENDING": "pending",
    "SETUP_DONE": "pending",
    "RUNNING": "running",
    "ATTEMPT_FAILURE": "running",
    "CANCEL_PENDING": "running",
    "CANCEL_STARTED": "running",
    "CANCELLED": "cancelled",
    "DONE": "done",
    "ERROR": "failed",
}
_TAKEN = re.compile(r"\bpreempt|\bagent .{0,20}\blost\b|\bcluster (was|is being) deleted", re.IGNORECASE)
"""What is said of a job whose machines are gone; an executor that Spark lost, as for want of memory, is not that."""
_OVERHEAD = 1.1
"""What Spark asks for beside the memory of a JVM: a tenth of it, for Python and the system."""


class Batches:
    """Dataproc Serverless, as a `Service`."""

    NAME: ClassVar[str] = "dataproc"

    def __init__(self, settings: ManagedSettings, caller: Caller | None = None) -> None:
        self._settings = settings
        self._call = caller or Caller(self.NAME, settings.patience)

    def name(self, id: str) -> str:
        """As in `Service`."""
        return f"{parent(self._settings)}/batches/{id}"

    def render(self, work: Work) -> Request:
        """As in `Service`: one CreateBatch."""
        said = self._settings
        account = {"userWorkloadAuthenticationType": "SERVICE_ACCOUNT"} if said.service_account else {}
        execution = {
            "authenticationConfig": account,  # else runtimes from 3.0 on work as whoever submits
            "serviceAccount": said.service_account,
            "subnetworkUri": said.subnetwork,
            "ttl": f"{round(said.hours * 3600)}s",
        }
        runtime = {"version": said.dataproc.version, "containerImage": said.image, "properties": self._properties()}
        body = {
            "parent": parent(self._settings),
            "batchId": work.id,
            "requestId": request_id(work.id),
            "batch": {
                "labels": labels(work),
                "pysparkBatch": {"mainPythonFileUri": f"{work.folder}/{DRIVER}", "args": [work.folder, work.id]},
                "runtimeConfig": filled(runtime),
                "environmentConfig": {"executionConfig": filled(execution)},
            },
        }
        method = "google.cloud.dataproc.v1.BatchController/CreateBatch"
        return Request(method=method, body=body, purpose=work.purpose)

    def submit(self, request: Request) -> Job:
        """As in `Service`."""
        from google.api_core.exceptions import AlreadyExists
        from google.cloud.dataproc_v1 import CreateBatchRequest

        id = request.body["batchId"]
        sent = CreateBatchRequest.from_json(json.dumps(request.body))
        create = partial(self._client.create_batch, sent, retry=None, timeout=CALL_SECONDS)
        self._call.unless(AlreadyExists, create, f"batch {id}")
        return self.look(self.name(id)) or self._job(id, "pending", "")

    def look(self, name: str) -> Job | None:
        """As in `Service`."""
        found = self._batch(name)
        return None if found is None else self._seen(name, found)

    def cancel(self, name: str) -> Job | None:
        """As in `Service`; a batch that is cancelled keeps its page, and runs nothing."""
        from google.api_core.exceptions import FailedPrecondition, NotFound

        found = self._batch(name)
        if found is None or self._seen(name, found).ended:
            return None if found is None else self._seen(name, found)
        operations = self._client.transport.operations_client
        stop = partial(operations.cancel_operation, found.operation, retry=None, timeout=CALL_SECONDS)
        told = f"cancelling batch {last(name)}", self._link(last(name))
        self._call.unless((FailedPrecondition, NotFound), stop, *told)  # it has ended meanwhile
        return self.look(name)

    @cached_property
    def _client(self) -> Any:
        from google.cloud.dataproc_v1 import BatchControllerClient

        return connect(BatchControllerClient, *_endpoint(self._settings))

    def _batch(self, name: str) -> Any:
        from google.api_core.exceptions import NotFound

        get = partial(self._client.get_batch, name=name, retry=None, timeout=CALL_SECONDS)
        return self._call.unless(NotFound, get, f"batch {last(name)}", self._link(last(name)))

    def _seen(self, name: str, batch: Any) -> Job:
        return self._job(last(name), _BATCH.get(word_of(batch), "pending"), batch.state_message)

    def _job(self, id: str, state: JobState, message: str) -> Job:
        return seen_as(self.NAME, self.name(id), state, self._link(id), message, _TAKEN)

    def _link(self, id: str) -> str:
        return page(self._settings, f"dataproc/batches/{self._settings.region}/{id}/summary")

    def _properties(self) -> dict[str, str]:
        """The size of driver and executors as Spark's properties, and those of the settings over them."""
        said = self._settings.dataproc
        memory = f"{int(said.cores * said.memory_gib * 1024 / _OVERHEAD)}m"
        sized: dict[str, Any] = {
            "spark.driver.cores": said.cores,
            "spark.driver.memory": memory,
            "spark.executor.cores": said.cores,
            "spark.executor.memory": memory,
            "spark.executor.instances": min(2, said.executors),
            "spark.dynamicAllocation.maxExecutors": said.executors,
        }
        return {name: _property(value) for name, value in {**sized, **said.properties}.items()}


class ClusterJobs:
    """Jobs on a Dataproc cluster that is there, as a `Service`."""

    NAME: ClassVar[str] = "dataproc"

    def __init__(self, settings: ManagedSettings, caller: Caller | None = None) -> None:
        self._settings = settings
        self._call = caller or Caller(self.NAME, settings.patience)

    def name(self, id: str) -> str:
        """As in `Service`."""
        return f"projects/{self._settings.project}/regions/{self._settings.region}/jobs/{id}"

    def render(self, work: Work) -> Request:
        """As in `Service`: one SubmitJob."""
        said = self._settings
        properties = {name: _property(value) for name, value in said.dataproc.properties.items()}
        main = {
            "mainPythonFileUri": f"{work.folder}/{DRIVER}",
            "args": [work.folder, work.id],
            "properties": properties,
        }
        body = {
            "projectId": said.project,
            "region": said.region,
            "requestId": request_id(work.id),
            "job": {
                "reference": {"projectId": said.project, "jobId": work.id},
                "placement": {"clusterName": said.dataproc.cluster},
                "labels": labels(work),
                "pysparkJob": filled(main),
            },
        }
        method = "google.cloud.dataproc.v1.JobController/SubmitJob"
        return Request(method=method, body=body, purpose=work.purpose)

    def submit(self, request: Request) -> Job:
        """As in `Service`."""
        from google.api_core.exceptions import AlreadyExists
        from google.cloud.dataproc_v1 import SubmitJobRequest

        id = request.body["job"]["reference"]["jobId"]
        sent = SubmitJobRequest.from_json(json.dumps(request.body))
        create = partial(self._client.submit_job, sent, retry=None, timeout=CALL_SECONDS)
        found = self._call.unless(AlreadyExists, create, f"job {id} on cluster {self._settings.dataproc.cluster}")
        return (self.look(self.name(id)) or self._job(id, "pending", "")) if found is None else self._seen(id, found)

    def look(self, name: str) -> Job | None:
        """As in `Service`."""
        from google.api_core.exceptions import NotFound
        from google.cloud.dataproc_v1 import GetJobRequest

        sent = GetJobRequest(project_id=self._settings.project, region=self._settings.region, job_id=last(name))
        get = partial(self._client.get_job, sent, retry=None, timeout=CALL_SECONDS)
        found = self._call.unless(NotFound, get, f"job {last(name)}", self._link(last(name)))
        return None if found is None else self._seen(last(name), found)

    def cancel(self, name: str) -> Job | None:
        """As in `Service`; the cluster stays, as it is its owner's."""
        from google.api_core.exceptions import FailedPrecondition, NotFound
        from google.cloud.dataproc_v1 import CancelJobRequest

        found = self.look(name)
        if found is None or found.ended:
            return found
        sent = CancelJobRequest(project_id=self._settings.project, region=self._settings.region, job_id=last(name))
        stop = partial(self._client.cancel_job, sent, retry=None, timeout=CALL_SECONDS)
        told = f"cancelling job {last(name)}", self._link(last(name))
        self._call.unless((FailedPrecondition, NotFound), stop, *told)  # it has ended meanwhile
        return self.look(name)

    @cached_property
    def _client(self) -> Any:
        from google.cloud.dataproc_v1 import JobControllerClient

        return connect(JobControllerClient, *_endpoint(self._settings))

    def _seen(self, id: str, job: Any) -> Job:
        return self._job(id, _JOB.get(word_of(job.status), "pending"), job.status.details)

    def _job(self, id: str, state: JobState, message: str) -> Job:
        return seen_as(self.NAME, self.name(id), state, self._link(id), message, _TAKEN)

    def _link(self, id: str) -> str:
        return page(self._settings, f"dataproc/jobs/{id}?region={self._settings.region}")


def service_of(settings: ManagedSettings) -> Batches | ClusterJobs:
    """The service that the settings mean: a cluster where one is named, else Serverless."""
    return ClusterJobs(settings) if settings.dataproc.cluster else Batches(settings)


def knows(settings: ManagedSettings, job: Job) -> Batches | ClusterJobs:
    """The service that knows a job: by what its name says, whatever the settings say by now."""
    return Batches(settings) if "/batches/" in job.name else ClusterJobs(settings)


def request_id(id: str) -> str:
    """What makes a call that is sent twice one call: the end of the id, in the 40 letters that are allowed.

    >>> request_id("n95-late-flights-e95ff7c4c34dfbb0e42deb4a-1")
    'late-flights-e95ff7c4c34dfbb0e42deb4a-1'
    """
    return id[-40:].lstrip("-")


def _property(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _endpoint(settings: ManagedSettings) -> tuple[str, str]:
    return settings.dataproc.endpoint, f"{settings.region}-dataproc.googleapis.com:443"
