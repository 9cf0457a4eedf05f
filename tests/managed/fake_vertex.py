"""Vertex AI as state machines: pipeline jobs and custom jobs. What runs their containers is a function.

    create ─▶ PENDING ─ tick ─▶ RUNNING ─ tick: the next task, or the job ─▶ SUCCEEDED | FAILED
                 └────────── cancel ──┴─▶ CANCELLING ─ tick ─▶ CANCELLED

Each Get, and each List that a custom job stands in, is a tick. A pipeline is held against kfp's own definition, and its
tasks are run in the order of their dependencies, each by the command of its executor with its inputs filled in.
`work` is called with a command and its environment; what it gives says how it ended, None: still running.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from google.cloud import aiplatform_v1 as api
from google.cloud.aiplatform_v1.services.job_service.transports.grpc import JobServiceGrpcTransport
from google.cloud.aiplatform_v1.services.pipeline_service.transports.grpc import PipelineServiceGrpcTransport
from google.protobuf import empty_pb2, json_format
from google.rpc import status_pb2
from kfp.pipeline_spec import pipeline_spec_pb2
from tests.managed.services import Definition, GrpcServer, Refusal

Status = grpc.StatusCode
PIPELINES, JOBS = "google.cloud.aiplatform.v1.PipelineService", "google.cloud.aiplatform.v1.JobService"
Pipeline, Custom = api.PipelineState, api.JobState
Work = Callable[[list[str], Mapping[str, str]], Callable[[], str | None]]
"""From a command and its environment to what says how it stands: "" is success, other text a failure."""


def at_once(command: list[str], environment: Mapping[str, str]) -> Callable[[], str | None]:
    """Work that is done when it is looked at."""
    return lambda: ""


@dataclass
class FakeVertex:
    """The fake; what was made, by the service's own names. Tasks say below `outputs` how they ended, as below /gcs."""

    outputs: Path
    work: Work = at_once
    pipelines: dict[str, Any] = field(default_factory=dict)
    customs: dict[str, Any] = field(default_factory=dict)
    running: dict[str, Callable[[], str | None]] = field(default_factory=dict)
    environments: list[Mapping[str, str]] = field(default_factory=list)

    def server(self) -> GrpcServer:
        """A server that answers by this fake."""
        definition = Definition(PipelineServiceGrpcTransport, JobServiceGrpcTransport)
        answers = {
            f"{PIPELINES}/CreatePipelineJob": self.create_pipeline,
            f"{PIPELINES}/GetPipelineJob": self.get_pipeline,
            f"{PIPELINES}/CancelPipelineJob": self.cancel_pipeline,
            f"{JOBS}/CreateCustomJob": self.create_custom,
            f"{JOBS}/ListCustomJobs": self.list_customs,
            f"{JOBS}/CancelCustomJob": self.cancel_custom,
        }
        return GrpcServer(definition, answers)

    def create_pipeline(self, asked: Any) -> Any:
        name = f"{asked.parent}/pipelineJobs/{asked.pipeline_job_id}"
        if name in self.pipelines:
            raise Refusal(Status.ALREADY_EXISTS, f"The PipelineJob already exists: {name}")
        if not re.fullmatch("[a-z][-a-z0-9]{0,127}", asked.pipeline_job_id):
            raise Refusal(Status.INVALID_ARGUMENT, f"Invalid pipeline job id {asked.pipeline_job_id}")
        job = api.PipelineJob(asked.pipeline_job)
        spec = spec_of(job)
        missing = set(spec.root.input_definitions.parameters) - set(job.runtime_config.parameter_values)
        if missing or not job.runtime_config.gcs_output_directory:
            raise Refusal(Status.INVALID_ARGUMENT, f"Missing: {missing or 'gcs_output_directory'}")
        job.name, job.state = name, Pipeline.PIPELINE_STATE_PENDING
        self.pipelines[name] = job
        return job

    def get_pipeline(self, asked: Any) -> Any:
        job = self._found(self.pipelines, asked.name)
        if job.state == Pipeline.PIPELINE_STATE_PENDING:
            job.state = Pipeline.PIPELINE_STATE_RUNNING
        elif job.state == Pipeline.PIPELINE_STATE_RUNNING:
            self._move_on(job)
        elif job.state == Pipeline.PIPELINE_STATE_CANCELLING:
            job.state = Pipeline.PIPELINE_STATE_CANCELLED
        return job

    def _move_on(self, job: Any) -> None:
        """Begin the next task that is due, or see how the one stands that runs."""
        State = api.PipelineTaskDetail.State
        details = job.job_detail.task_details
        spec = spec_of(job)
        if details and details[-1].state == State.RUNNING:
            said = self.running[job.name]()
            if said is None:
                return
            details[-1].state = State.FAILED if said else State.SUCCEEDED
            if said:
                details[-1].error = status_pb2.Status(code=9, message=said)
                job.error = status_pb2.Status(code=9, message=f"The DAG failed because some tasks failed: {said}")
                job.state = Pipeline.PIPELINE_STATE_FAILED
            return
        done = {detail.task_name for detail in details}
        due = [name for name, task in spec.root.dag.tasks.items() if name not in done]
        due = [name for name in due if set(spec.root.dag.tasks[name].dependent_tasks) <= done]
        if not due:
            job.state = Pipeline.PIPELINE_STATE_SUCCEEDED
            return
        (name,) = due
        environment = {"CLOUD_ML_PROJECT_ID": "1"}
        self.environments.append(environment)
        self.running[job.name] = self.work(command_of(spec, name, job, self.outputs), environment)
        job.job_detail.task_details.append(api.PipelineTaskDetail(task_name=name, state=State.RUNNING))

    def cancel_pipeline(self, asked: Any) -> Any:
        job = self._found(self.pipelines, asked.name)
        if job.state.name.removeprefix("PIPELINE_STATE_") not in ("PENDING", "RUNNING"):
            raise Refusal(Status.FAILED_PRECONDITION, f"{asked.name} is not in a state that can be cancelled")
        job.state = Pipeline.PIPELINE_STATE_CANCELLING
        return empty_pb2.Empty()

    def create_custom(self, asked: Any) -> Any:
        job = api.CustomJob(asked.custom_job)
        (pool,) = job.job_spec.worker_pool_specs
        if not pool.container_spec.image_uri or not pool.machine_spec.machine_type or pool.replica_count != 1:
            raise Refusal(Status.INVALID_ARGUMENT, "workerPoolSpecs[0] is not whole")
        number = len(self.customs) + 1
        job.name, job.state = f"{asked.parent}/customJobs/{7_000 + number}", Custom.JOB_STATE_PENDING
        job.create_time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
        self.customs[job.name] = job
        return job

    def list_customs(self, asked: Any) -> Any:
        match = re.fullmatch('display_name="([^"]+)"', asked.filter)
        if match is None:
            raise Refusal(Status.INVALID_ARGUMENT, f"Invalid filter {asked.filter}")
        found = [job for job in self.customs.values() if job.display_name == match[1]]
        for job in found:
            self._tick(job)
        return api.ListCustomJobsResponse(custom_jobs=found[::-1])

    def _tick(self, job: Any) -> None:
        if job.state == Custom.JOB_STATE_PENDING:
            container = job.job_spec.worker_pool_specs[0].container_spec
            output = job.job_spec.base_output_directory.output_uri_prefix.rstrip("/")
            environment = {
                "AIP_MODEL_DIR": f"{output}/model/",
                "AIP_CHECKPOINT_DIR": f"{output}/checkpoints/",
                "AIP_TENSORBOARD_LOG_DIR": f"{output}/logs/",
                "TF_CONFIG": json.dumps({"cluster": {}, "task": {"type": "chief", "index": 0}, "environment": "cloud"}),
                "CLOUD_ML_JOB_ID": job.name.rpartition("/")[2],
            } | {one.name: one.value for one in container.env}
            self.environments.append(environment)
            self.running[job.name] = self.work([*container.command, *container.args], environment)
            job.state = Custom.JOB_STATE_RUNNING
        elif job.state == Custom.JOB_STATE_RUNNING:
            said = self.running[job.name]()
            if said is not None:
                job.state = Custom.JOB_STATE_FAILED if said else Custom.JOB_STATE_SUCCEEDED
                job.error = status_pb2.Status(code=9 if said else 0, message=said)
        elif job.state == Custom.JOB_STATE_CANCELLING:
            job.state = Custom.JOB_STATE_CANCELLED

    def cancel_custom(self, asked: Any) -> Any:
        job = self._found(self.customs, asked.name)
        if job.state.name.removeprefix("JOB_STATE_") not in ("PENDING", "RUNNING"):
            raise Refusal(Status.FAILED_PRECONDITION, f"{asked.name} is not in a state that can be cancelled")
        job.state = Custom.JOB_STATE_CANCELLING
        return empty_pb2.Empty()

    def _found(self, among: dict[str, Any], name: str) -> Any:
        if name not in among:
            raise Refusal(Status.NOT_FOUND, f"Not found: {name}")
        return among[name]


def spec_of(job: Any) -> Any:
    """The pipeline of a job by kfp's own definition; refused where a field of it does not exist."""
    plain = json_format.MessageToDict(api.PipelineJob.pb(job).pipeline_spec)
    try:
        return json_format.ParseDict(plain, pipeline_spec_pb2.PipelineSpec())
    except json_format.ParseError as error:
        raise Refusal(Status.INVALID_ARGUMENT, f"Invalid pipeline spec: {error}") from error


def command_of(spec: Any, name: str, job: Any, outputs: Path) -> list[str]:
    """The command of a task, with its inputs filled in as the service does."""
    task = spec.root.dag.tasks[name]
    values = job.runtime_config.parameter_values
    parameters = {key: values[one.component_input_parameter] for key, one in task.inputs.parameters.items()}
    executor = spec.components[task.component_ref.name].executor_label
    container = json_format.MessageToDict(spec.deployment_spec)["executors"][executor]["container"]
    output = f"{outputs}/{name}/executor_output.json"
    inputs = {"inputs": {"parameterValues": parameters}, "outputs": {"outputFile": output}}
    return [word.replace("{{$}}", json.dumps(inputs)) for word in (*container["command"], *container["args"])]
