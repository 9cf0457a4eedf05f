"""Dataproc as a state machine: batches with their operations, jobs on clusters. What runs them is a function.

    create ─▶ PENDING ─ tick ─▶ RUNNING ─ tick ─▶ SUCCEEDED | FAILED
                 └────────── cancel ──┴─▶ CANCELLING ─ tick ─▶ CANCELLED

Each Get is a tick. `work` is called once for what starts to run, with its main file and arguments; what it gives is the
end of it: "" is success, other text is a failure in the service's words, None: still running.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud import dataproc_v1 as api
from google.cloud.dataproc_v1.services.batch_controller.transports import BatchControllerGrpcTransport
from google.cloud.dataproc_v1.services.job_controller.transports import JobControllerGrpcTransport
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from tests.managed.services import OPERATIONS, Definition, GrpcServer, Refusal

Status = grpc.StatusCode
BATCHES, JOBS = "google.cloud.dataproc.v1.BatchController", "google.cloud.dataproc.v1.JobController"
Work = Callable[[str, list[str]], Callable[[], str | None]]
"""From the main file and its arguments to what says how it stands."""


def at_once(main: str, arguments: list[str]) -> Callable[[], str | None]:
    """Work that is done when it is looked at."""
    return lambda: ""


@dataclass
class FakeDataproc:
    """The fake; `clusters` that there are."""

    work: Work = at_once
    clusters: tuple[str, ...] = ("flights",)
    batches: dict[str, Any] = field(default_factory=dict)
    jobs: dict[str, Any] = field(default_factory=dict)
    running: dict[str, Callable[[], str | None]] = field(default_factory=dict)

    def server(self) -> GrpcServer:
        """A server that answers by this fake."""
        definition = Definition(BatchControllerGrpcTransport, JobControllerGrpcTransport)
        answers = {
            f"{BATCHES}/CreateBatch": self.create_batch,
            f"{BATCHES}/GetBatch": self.get_batch,
            f"{BATCHES}/DeleteBatch": self.delete_batch,
            f"{JOBS}/SubmitJob": self.submit_job,
            f"{JOBS}/GetJob": self.get_job,
            f"{JOBS}/CancelJob": self.cancel_job,
            f"{OPERATIONS}/CancelOperation": self.cancel_operation,
        }
        return GrpcServer(definition, answers)

    def create_batch(self, asked: Any) -> Any:
        name = f"{asked.parent}/batches/{asked.batch_id}"
        if name in self.batches:
            raise Refusal(Status.ALREADY_EXISTS, f"Already exists: Failed to create batch: Batch {name}")
        if not asked.batch.pyspark_batch.main_python_file_uri.endswith(".py"):
            raise Refusal(Status.INVALID_ARGUMENT, "Main Python file must be a .py file")
        batch = api.Batch(asked.batch)
        batch.name, batch.state = name, api.Batch.State.PENDING
        batch.operation = f"{asked.parent.replace('locations', 'regions')}/operations/{asked.batch_id}"
        self.batches[name] = batch
        return operations_pb2.Operation(name=batch.operation)

    def get_batch(self, asked: Any) -> Any:
        State = api.Batch.State
        batch = self._found(self.batches, asked.name)
        if batch.state == State.PENDING:
            main = batch.pyspark_batch
            self.running[asked.name] = self.work(main.main_python_file_uri, list(main.args))
            batch.state = State.RUNNING
        elif batch.state == State.RUNNING:
            said = self.running[asked.name]()
            if said is not None:
                batch.state, batch.state_message = (State.FAILED, said) if said else (State.SUCCEEDED, "")
        elif batch.state == State.CANCELLING:
            batch.state = State.CANCELLED
        return batch

    def delete_batch(self, asked: Any) -> Any:
        if self._found(self.batches, asked.name).state.name in ("PENDING", "RUNNING", "CANCELLING"):
            raise Refusal(Status.FAILED_PRECONDITION, f"Batch {asked.name} is not in a terminal state")
        del self.batches[asked.name]
        return empty_pb2.Empty()

    def cancel_operation(self, asked: Any) -> Any:
        batch = next((one for one in self.batches.values() if one.operation == asked.name), None)
        if batch is None:
            raise Refusal(Status.NOT_FOUND, f"Operation not found: {asked.name}")
        if batch.state.name in ("PENDING", "RUNNING"):
            batch.state = api.Batch.State.CANCELLING
        return empty_pb2.Empty()

    def submit_job(self, asked: Any) -> Any:
        job = api.Job(asked.job)
        if job.placement.cluster_name not in self.clusters:
            raise Refusal(Status.NOT_FOUND, f"Not found: Cluster {job.placement.cluster_name}")
        if job.reference.job_id in self.jobs:
            raise Refusal(Status.ALREADY_EXISTS, f"Already exists: Job {job.reference.job_id}")
        job.status.state = api.JobStatus.State.PENDING
        self.jobs[job.reference.job_id] = job
        return job

    def get_job(self, asked: Any) -> Any:
        State = api.JobStatus.State
        job = self._found(self.jobs, asked.job_id)
        if job.status.state == State.PENDING:
            main = job.pyspark_job
            self.running[asked.job_id] = self.work(main.main_python_file_uri, list(main.args))
            job.status.state = State.RUNNING
        elif job.status.state == State.RUNNING:
            said = self.running[asked.job_id]()
            if said is not None:
                job.status.state, job.status.details = (State.ERROR, said) if said else (State.DONE, "")
        elif job.status.state == State.CANCEL_PENDING:
            job.status.state = State.CANCELLED
        return job

    def cancel_job(self, asked: Any) -> Any:
        job = self._found(self.jobs, asked.job_id)
        if job.status.state.name in ("PENDING", "RUNNING"):
            job.status.state = api.JobStatus.State.CANCEL_PENDING
        return job

    def _found(self, among: dict[str, Any], name: str) -> Any:
        if name not in among:
            raise Refusal(Status.NOT_FOUND, f"Not found: {name}")
        return among[name]
