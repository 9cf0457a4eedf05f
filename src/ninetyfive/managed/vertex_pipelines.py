"""Vertex AI Pipelines: a command that runs whole is one pipeline job, named by us.

    CreatePipelineJob ─▶ job;  GetPipelineJob ─▶ state, and how each task stands;  CancelPipelineJob

The second who creates it is answered ALREADY_EXISTS. What does not belong here: what its tasks are (`pipelining`).
"""

from __future__ import annotations

from typing import Any, ClassVar

from ninetyfive.managed.cloud import filled, labels, last, word_of
from ninetyfive.managed.jobs import Request, Work
from ninetyfive.managed.pipelining import compiled
from ninetyfive.managed.vertex import API, NAME, page, seen
from ninetyfive.managed.vertex_calls import Calls
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.records import Job


class Pipelines:
    """Pipeline jobs, as a `Service`."""

    NAME: ClassVar[str] = NAME

    def __init__(self, settings: ManagedSettings, calls: Calls | None = None) -> None:
        self._settings = settings
        self._calls = calls or Calls(settings)

    def name(self, id: str) -> str:
        """As in `Service`."""
        return f"{self._calls.parent}/pipelineJobs/{id}"

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
        body = {"parent": self._calls.parent, "pipelineJobId": work.id, "pipelineJob": filled(job)}
        return Request(method=f"{API}.PipelineService/CreatePipelineJob", body=body, purpose=work.purpose)

    def submit(self, request: Request) -> Job:
        """As in `Service`."""
        from google.api_core.exceptions import AlreadyExists

        id = request.body["pipelineJobId"]
        found = self._calls.send(request, f"pipeline job {id}", but=(AlreadyExists,))
        if found is not None:
            return self._seen(self.name(id), found)
        return self.look(self.name(id)) or seen(self.name(id), "PENDING", self._link(id))

    def look(self, name: str) -> Job | None:
        """As in `Service`."""
        id = last(name)
        found = self._calls.find(self._client.get_pipeline_job, name, f"pipeline job {id}", self._link(id))
        return None if found is None else self._seen(name, found)

    def cancel(self, name: str) -> Job | None:
        """As in `Service`; a pipeline that is cancelled keeps its page, and runs nothing."""
        found = self.look(name)
        if found is None or found.ended:
            return found
        self._calls.stop(self._client.cancel_pipeline_job, name, f"cancelling pipeline job {found.id}", found.link)
        return self.look(name)

    @property
    def _client(self) -> Any:
        return self._calls.client("PipelineService")

    def _seen(self, name: str, job: Any) -> Job:
        """The job, with the words of the tasks that failed: the pipeline's own only say that one did."""
        tasks = [
            f"task {task.task_name}: {task.error.message}"
            for task in job.job_detail.task_details
            if task.error.message and word_of(task) == "FAILED"
        ]
        return seen(name, word_of(job), self._link(last(name)), "; ".join(tasks) or job.error.message)

    def _link(self, id: str) -> str:
        return page(self._settings, f"pipelines/runs/{id}")
