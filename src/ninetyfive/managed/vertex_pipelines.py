"""Vertex AI Pipelines: a command that runs whole is one pipeline job, named by us.

    CreatePipelineJob ─▶ job;  GetPipelineJob ─▶ state, and how each task stands;  CancelPipelineJob

The second who creates it is answered ALREADY_EXISTS. What does not belong here: what its tasks are (`pipelining`).
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
from ninetyfive.managed.pipelining import compiled
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.records import Job


class Pipelines:
    """Pipeline jobs, as a `Service`."""

    NAME: ClassVar[str] = vertex.NAME

    def __init__(self, settings: ManagedSettings, caller: Caller | None = None) -> None:
        self._settings = settings
        self._call = caller or Caller("vertex", settings.patience)

    def name(self, id: str) -> str:
        """As in `Service`."""
        return f"{vertex.parent(self._settings)}/pipelineJobs/{id}"

    def render(self, work: Work) -> Request:
        """As in `Service`: one CreatePipelineJob."""
        said = self._settings
        job = {
            "displayName": work.id,
            "pipelineSpec": compiled(said),
            "labels": labels(work),
            "runtimeConfig": {
                "gcsOutputDirectory": f"{work.folder}/{work.id}/pipeline",
                "parameterValues": {"folder": work.folder, "id": work.id},
                "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
            },
            "serviceAccount": said.service_account,
            "network": said.vertex.network,
        }
        body = {"parent": vertex.parent(said), "pipelineJobId": work.id, "pipelineJob": filled(job)}
        method = "google.cloud.aiplatform.v1.PipelineService/CreatePipelineJob"
        return Request(method=method, body=body, purpose=work.purpose)

    def submit(self, request: Request) -> Job:
        """As in `Service`."""
        from google.api_core.exceptions import AlreadyExists
        from google.cloud.aiplatform_v1 import CreatePipelineJobRequest

        id = request.body["pipelineJobId"]
        sent = CreatePipelineJobRequest.from_json(json.dumps(request.body))

        def create() -> Any:
            with suppress(AlreadyExists):
                return self._client.create_pipeline_job(sent, retry=None, timeout=CALL_SECONDS)
            return None

        found = self._call(create, f"pipeline job {id}")
        if found is not None:
            return self._seen(self.name(id), found)
        return self.look(self.name(id)) or vertex.seen_as(self.name(id), "pending", self._link(id))

    def look(self, name: str) -> Job | None:
        """As in `Service`."""
        from google.api_core.exceptions import NotFound

        id = name.rpartition("/")[2]

        def get() -> Any:
            try:
                return self._client.get_pipeline_job(name=name, retry=None, timeout=CALL_SECONDS)
            except NotFound:
                return None

        found = self._call(get, f"pipeline job {id}", self._link(id))
        return None if found is None else self._seen(name, found)

    def cancel(self, name: str) -> Job | None:
        """As in `Service`; a pipeline that is cancelled keeps its page, and runs nothing."""
        from google.api_core.exceptions import FailedPrecondition

        found = self.look(name)
        if found is None or found.ended:
            return found

        def stop() -> None:
            with suppress(FailedPrecondition):  # it has ended meanwhile
                self._client.cancel_pipeline_job(name=name, retry=None, timeout=CALL_SECONDS)

        self._call(stop, f"cancelling pipeline job {found.id}", found.link)
        return self.look(name)

    @cached_property
    def _client(self) -> Any:
        from google.cloud.aiplatform_v1 import PipelineServiceClient
        from google.cloud.aiplatform_v1.services.pipeline_service.transports.grpc import PipelineServiceGrpcTransport

        return vertex.client_of(PipelineServiceClient, PipelineServiceGrpcTransport, self._settings)

    def _seen(self, name: str, job: Any) -> Job:
        """The job, with the words of the tasks that failed: the pipeline's own only say that one did."""
        tasks = [
            f"task {task.task_name}: {task.error.message}"
            for task in job.job_detail.task_details
            if task.error.message and word_of(task) == "FAILED"
        ]
        message = "; ".join(tasks) or job.error.message
        return vertex.seen_as(
            name, vertex.state_of(word_of(job), message), self._link(name.rpartition("/")[2]), message
        )

    def _link(self, id: str) -> str:
        return vertex.page(self._settings, f"pipelines/runs/{id}")
