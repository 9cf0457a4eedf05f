"""Dataflow as a state machine: jobs with ids of their own, messages. What runs their graphs is a function.

    CreateJob ─▶ PENDING ─ tick ─▶ RUNNING ─ tick ─▶ DONE | FAILED
                    └── UpdateJob ────┴─▶ CANCELLING ─ tick ─▶ CANCELLED

Each Get, and each look into the list by name, is a tick of the job. `work` is called once for what starts to run, with
the url of the staged graph; what it gives is the end of it: "" is success, other text a failure in the service's words,
None: still running. The graph has to be there, with the hash that was said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import fsspec
import grpc
from google.cloud import dataflow_v1beta3 as api
from google.cloud.dataflow_v1beta3.services.jobs_v1_beta3.transports import JobsV1Beta3GrpcTransport
from google.cloud.dataflow_v1beta3.services.messages_v1_beta3.transports import MessagesV1Beta3GrpcTransport
from google.protobuf import json_format
from tests.managed.services import Definition, GrpcServer, Refusal

Status = grpc.StatusCode
JOBS, MESSAGES = "google.dataflow.v1beta3.JobsV1Beta3", "google.dataflow.v1beta3.MessagesV1Beta3"
State = api.JobState
ACTIVE = (State.JOB_STATE_PENDING, State.JOB_STATE_RUNNING, State.JOB_STATE_CANCELLING)
Work = Callable[[str], Callable[[], str | None]]
"""From the url of the graph to what says how it stands."""


def at_once(graph: str) -> Callable[[], str | None]:
    """Work that is done when it is looked at."""
    return lambda: ""


@dataclass
class FakeDataflow:
    """The fake."""

    work: Work = at_once
    jobs: dict[str, Any] = field(default_factory=dict)
    running: dict[str, Callable[[], str | None]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    made: int = 0

    def server(self) -> GrpcServer:
        """A server that answers by this fake."""
        answers = {
            f"{JOBS}/CreateJob": self.create_job,
            f"{JOBS}/GetJob": self.get_job,
            f"{JOBS}/ListJobs": self.list_jobs,
            f"{JOBS}/UpdateJob": self.update_job,
            f"{MESSAGES}/ListJobMessages": self.list_job_messages,
        }
        return GrpcServer(Definition(JobsV1Beta3GrpcTransport, MessagesV1Beta3GrpcTransport), answers)

    def create_job(self, asked: Any) -> Any:
        for job in self.jobs.values():
            if job.name != asked.job.name:
                continue
            if job.client_request_id == asked.job.client_request_id:
                raise Refusal(Status.ALREADY_EXISTS, f"({job.id}): The job {job.name} was submitted before")
            if job.current_state in ACTIVE:
                return job
        if not asked.job.environment.worker_pools[0].sdk_harness_container_images:
            raise Refusal(Status.INVALID_ARGUMENT, "The workflow could not be created: no container image")
        self.made += 1
        job = api.Job(asked.job)
        job.id = f"2026-11-26_00_00_00-{self.made:019}"
        job.current_state = State.JOB_STATE_PENDING
        job.create_time = {"seconds": 1_795_000_000 + self.made}
        self.jobs[job.id] = job
        return job

    def get_job(self, asked: Any) -> Any:
        job = self._found(asked.job_id)
        self._tick(job)
        return job

    def list_jobs(self, asked: Any) -> Any:
        found = [job for job in self.jobs.values() if job.name == asked.name or not asked.name]
        for job in found:
            self._tick(job)
        fields = ("id", "name", "current_state", "create_time", "client_request_id")
        short = [api.Job({name: getattr(job, name) for name in fields}) for job in found]
        return api.ListJobsResponse(jobs=short)

    def update_job(self, asked: Any) -> Any:
        job = self._found(asked.job_id)
        if api.JobState(asked.job.requested_state) != State.JOB_STATE_CANCELLED:
            raise Refusal(Status.INVALID_ARGUMENT, "requested state must be JOB_STATE_CANCELLED")
        if job.current_state not in ACTIVE:
            raise Refusal(Status.FAILED_PRECONDITION, f"({job.id}): The job has already finished")
        job.current_state = State.JOB_STATE_CANCELLING
        return job

    def list_job_messages(self, asked: Any) -> Any:
        self._found(asked.job_id)
        kind = api.JobMessageImportance
        texts = {kind.JOB_MESSAGE_BASIC: "Worker pool stopped.", kind.JOB_MESSAGE_ERROR: self.told.get(asked.job_id)}
        if asked.minimum_importance == kind.JOB_MESSAGE_ERROR:  # the numbers are not in order of importance
            del texts[kind.JOB_MESSAGE_BASIC]
        told = [api.JobMessage(message_text=text, message_importance=one) for one, text in texts.items() if text]
        return api.ListJobMessagesResponse(job_messages=told)

    def _tick(self, job: Any) -> None:
        if job.current_state == State.JOB_STATE_PENDING:
            self.running[job.id] = self.work(self._graph(job))
            job.current_state = State.JOB_STATE_RUNNING
        elif job.current_state == State.JOB_STATE_RUNNING:
            said = self.running[job.id]()
            if said is not None:
                job.current_state = State.JOB_STATE_FAILED if said else State.JOB_STATE_DONE
                self.told[job.id] = said
        elif job.current_state == State.JOB_STATE_CANCELLING:
            job.current_state = State.JOB_STATE_CANCELLED

    def _graph(self, job: Any) -> str:
        """The url of the graph, which is there as it was said."""
        said = json_format.MessageToDict(type(job).pb(job))["environment"]["sdkPipelineOptions"]["options"]
        with fsspec.open(said["pipelineUrl"], "rb") as stream:
            assert hashlib.sha256(stream.read()).hexdigest() == said["pipelineProtoHash"]
        return str(said["pipelineUrl"])

    def _found(self, id: str) -> Any:
        if id not in self.jobs:
            raise Refusal(Status.NOT_FOUND, f"({id}): Information about job {id} could not be found in our system.")
        return self.jobs[id]
