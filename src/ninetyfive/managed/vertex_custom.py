"""Vertex AI custom jobs: a command that runs whole on one machine is one job, found again by its display name.

    ListCustomJobs (displayName = our id) ─ none ─▶ CreateCustomJob ─▶ list again: of several the oldest is the job
                                            └ one ─▶ it is the job: its state;  running: CancelCustomJob

The service numbers custom jobs itself, and takes any number of them under one display name. So it is looked before
each try to create one, and after it: whoever made a second one meanwhile cancels it.
What does not belong here: what the job does (`worker`).
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cached_property
from typing import Any, ClassVar

from ninetyfive.calling import CALL_SECONDS, Caller
from ninetyfive.managed import vertex
from ninetyfive.managed.dataproc import filled, labels
from ninetyfive.managed.jobs import Request, Work, word_of
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.records import Job

COMMAND = ("python3", "-m", "ninetyfive.managed.worker")
"""What a container of the image is started with, before the folder and the id of the job."""


class CustomJobs:
    """Custom jobs, as a `Service`; a name of ours ends with our id, not with the service's number."""

    NAME: ClassVar[str] = vertex.NAME

    def __init__(self, settings: ManagedSettings, caller: Caller | None = None) -> None:
        self._settings = settings
        self._call = caller or Caller("vertex", settings.patience)

    def name(self, id: str) -> str:
        """As in `Service`."""
        return f"{vertex.parent(self._settings)}/customJobs/{id}"

    def render(self, work: Work) -> Request:
        """As in `Service`: one CreateCustomJob."""
        said = self._settings
        machine: dict[str, Any] = {"machineType": said.vertex.machine}
        if said.vertex.accelerator:
            machine |= {"acceleratorType": said.vertex.accelerator, "acceleratorCount": said.vertex.accelerators}
        pool = {
            "machineSpec": machine,
            "replicaCount": "1",
            "containerSpec": {"imageUri": said.image, "command": list(COMMAND), "args": [work.folder, work.id]},
        }
        spec = {
            "workerPoolSpecs": [pool],
            "scheduling": {"timeout": f"{round(said.hours * 3600)}s"},
            "baseOutputDirectory": {"outputUriPrefix": f"{work.folder}/{work.id}/output"},
            "serviceAccount": said.service_account,
            "network": said.vertex.network,
        }
        job = {"displayName": work.id, "labels": labels(work), "jobSpec": filled(spec)}
        method = "google.cloud.aiplatform.v1.JobService/CreateCustomJob"
        return Request(method=method, body={"parent": vertex.parent(said), "customJob": job}, purpose=work.purpose)

    def submit(self, request: Request) -> Job:
        """As in `Service`; of several that were made at once the oldest stays, the others are cancelled."""
        from google.cloud.aiplatform_v1 import CreateCustomJobRequest

        id = request.body["customJob"]["displayName"]
        sent = CreateCustomJobRequest.from_json(json.dumps(request.body))

        def create() -> Any:
            found = self._listed(id)  # one whose answer was lost, or of somebody else
            return found[0] if found else self._client.create_custom_job(sent, retry=None, timeout=CALL_SECONDS)

        made = self._call(create, f"custom job {id}")
        there = self._call(lambda: self._listed(id), f"custom job {id}")
        if there and there[0].name != made.name:
            self._stop(made.name, id)
        return self._seen(self.name(id), there[0] if there else made)

    def look(self, name: str) -> Job | None:
        """As in `Service`."""
        id = name.rpartition("/")[2]
        found = self._call(lambda: self._listed(id), f"custom job {id}")
        return self._seen(name, found[0]) if found else None

    def cancel(self, name: str) -> Job | None:
        """As in `Service`; a job that is cancelled keeps its page, and runs nothing."""
        id = name.rpartition("/")[2]
        for one in self._call(lambda: self._listed(id), f"custom job {id}"):
            if not self._seen(name, one).ended:
                self._stop(one.name, id)
        return self.look(name)

    def _stop(self, number: str, id: str) -> None:
        from google.api_core.exceptions import FailedPrecondition

        def stop() -> None:
            with suppress(FailedPrecondition):  # it has ended meanwhile
                self._client.cancel_custom_job(name=number, retry=None, timeout=CALL_SECONDS)

        self._call(stop, f"cancelling custom job {id}", self._link(number))

    def _listed(self, id: str) -> list[Any]:
        """The jobs with this display name, oldest first."""
        from google.cloud.aiplatform_v1 import ListCustomJobsRequest

        asked = ListCustomJobsRequest(parent=vertex.parent(self._settings), filter=f'display_name="{id}"')
        found = list(self._client.list_custom_jobs(asked, retry=None, timeout=CALL_SECONDS))
        return sorted(found, key=lambda job: (job.create_time.isoformat() if job.create_time else "", job.name))

    @cached_property
    def _client(self) -> Any:
        from google.cloud.aiplatform_v1 import JobServiceClient
        from google.cloud.aiplatform_v1.services.job_service.transports.grpc import JobServiceGrpcTransport

        return vertex.client_of(JobServiceClient, JobServiceGrpcTransport, self._settings)

    def _seen(self, name: str, job: Any) -> Job:
        message = job.error.message
        return vertex.seen_as(name, vertex.state_of(word_of(job), message), self._link(job.name), message)

    def _link(self, number: str) -> str:
        return vertex.page(self._settings, f"training/{number.rpartition('/')[2]}")
