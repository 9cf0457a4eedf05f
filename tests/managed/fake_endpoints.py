"""Vertex AI as state machines: models, endpoints with their traffic, batch prediction jobs, operations.

    UploadModel, CreateEndpoint ─ operation ─ tick ─▶ there
    DeployModel ─ operation ─ ticks: the container is started, asked for its health ─▶ deployed | an error
    CreateBatchPredictionJob ─▶ QUEUED ─ tick ─▶ RUNNING ─ ticks: healthy ─▶ files of answers, SUCCEEDED | FAILED

Its machines are real: the command of the container is run with the environment that the platform sets, and asked over
HTTP. Whole numbers of instances come as 7.0, answers in no order, names with the number of the project.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from google.cloud import aiplatform_v1 as api
from google.cloud.aiplatform_v1.services.endpoint_service.transports.grpc import EndpointServiceGrpcTransport
from google.cloud.aiplatform_v1.services.job_service.transports.grpc import JobServiceGrpcTransport
from google.cloud.aiplatform_v1.services.model_service.transports.grpc import ModelServiceGrpcTransport
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from tests.managed.services import OPERATIONS, Definition, GrpcServer, Refusal

Status, State = grpc.StatusCode, api.JobState
_MODELS, _ENDPOINTS, _JOBS = (f"google.cloud.aiplatform.v1.{name}Service" for name in ("Model", "Endpoint", "Job"))
NEVER_READY = (
    "Model server never became ready. Please validate that your model file or container configuration are valid."
)
_START = datetime(2026, 11, 26, tzinfo=UTC)


class Machine:
    """A container on a machine: the command of its specification, with what the platform says, on a free port."""

    def __init__(self, spec: Any, copy: Path, endpoint: str = "", deployed: str = "") -> None:
        home = copy.parent
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        route = f"/v1/endpoints/{endpoint}/deployedModels/{deployed}"
        self._health, self._predict = spec.health_route or route, spec.predict_route or f"{route}:predict"
        said = {
            "AIP_HTTP_PORT": str(self._port),
            "AIP_HEALTH_ROUTE": self._health,
            "AIP_PREDICT_ROUTE": self._predict,
            "AIP_STORAGE_URI": str(copy),
            "AIP_ENDPOINT_ID": endpoint,
            "AIP_DEPLOYED_MODEL_ID": deployed,
            "AIP_MODEL_NAME": endpoint,
            "AIP_VERSION_NAME": deployed,
            "AIP_PROJECT_NUMBER": "12345",
            "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
            "AIP_MODE": "PREDICTION",
            "AIP_MODE_VERSION": "1.0.0",
        }
        self._log = (home / f"{copy.name}.log").open("wb")
        words = [sys.executable if word == "python" else word for word in (*spec.command, *spec.args)]
        self.process = subprocess.Popen(words, cwd=home, env={**os.environ, **said}, stderr=self._log)

    def healthy(self) -> bool | None:
        """Whether its health route answers 200; None where it has ended."""
        if self.process.poll() is not None:
            return None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{self._health}", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def predict(self, instances: list[Any]) -> dict[str, Any]:
        """What its predict route answers; `RuntimeError` in its words where that is no 200."""
        data = json.dumps({"instances": instances}).encode()
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(f"http://127.0.0.1:{self._port}{self._predict}", data, headers)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return dict(json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()) from error

    def end(self) -> None:
        """Take the machine away."""
        self.process.kill()
        self.process.wait()
        self._log.close()


@dataclass
class FakeEndpoints:
    """The fake; `home` is a folder for what its machines write. `slow`: ticks before an operation does anything.

    `spoil` is done to the platform's copy of the artifacts before a container starts.
    """

    home: Path
    slow: int = 0
    spoil: Callable[[Path], object] = lambda _: None
    models: dict[str, Any] = field(default_factory=dict)
    endpoints: dict[str, Any] = field(default_factory=dict)
    jobs: dict[str, Any] = field(default_factory=dict)
    operations: dict[str, operations_pb2.Operation] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    _steps: dict[str, tuple[list[int], Callable[[], str | None]]] = field(default_factory=dict)
    _clock: int = 0
    _asked: int = 0
    _copies: int = 0
    _deploying: set[str] = field(default_factory=set)

    def server(self) -> GrpcServer:
        """A server that answers by this fake."""
        definition = Definition(EndpointServiceGrpcTransport, ModelServiceGrpcTransport, JobServiceGrpcTransport)
        answers = {
            f"{_MODELS}/UploadModel": self.upload_model,
            f"{_MODELS}/GetModel": lambda asked: self._found(self.models, asked.name),
            f"{_MODELS}/DeleteModel": self.delete_model,
            f"{_ENDPOINTS}/CreateEndpoint": self.create_endpoint,
            f"{_ENDPOINTS}/GetEndpoint": lambda asked: self._found(self.endpoints, asked.name),
            f"{_ENDPOINTS}/UpdateEndpoint": self.update_endpoint,
            f"{_ENDPOINTS}/DeleteEndpoint": self.delete_endpoint,
            f"{_ENDPOINTS}/DeployModel": self.deploy_model,
            f"{_ENDPOINTS}/UndeployModel": self.undeploy_model,
            f"{_JOBS}/CreateBatchPredictionJob": self.create_job,
            f"{_JOBS}/ListBatchPredictionJobs": self.list_jobs,
            f"{_JOBS}/CancelBatchPredictionJob": self.cancel_job,
            f"{OPERATIONS}/GetOperation": self.get_operation,
            f"{OPERATIONS}/ListOperations": self.list_operations,
        }
        return GrpcServer(definition, answers)

    @contextlib.contextmanager
    def running(self) -> Iterator[GrpcServer]:
        """The server, started; its machines end with it."""
        try:
            with self.server().running() as server:
                yield server
        finally:
            for machine in self.machines.values():
                machine.end()

    def predict(self, endpoint: str, instances: list[Any]) -> dict[str, Any]:
        """What an endpoint answers, by whom its traffic leads to: of a hundred requests each gets its share."""
        place = self._asked * 37 % 100
        self._asked += 1
        (found,) = (one for name, one in self.endpoints.items() if name.endswith(f"/{endpoint}"))
        for id, share in sorted(found.traffic_split.items()):
            if place < share:
                return {**self.machines[f"{endpoint}/{id}"].predict(instances), "deployedModelId": id}
            place -= share
        raise RuntimeError("the endpoint has no traffic")

    # models

    def upload_model(self, asked: Any) -> Any:
        name = f"{asked.parent}/models/{asked.model_id}"
        if name in self.models or self._busy(name):
            raise Refusal(Status.ALREADY_EXISTS, f"Model {name} already exists")
        model = api.Model(asked.model)
        model.name, model.create_time = name, self._now()

        def there() -> str:
            self.models[name] = model
            return ""

        return self._begin(name, there)

    def delete_model(self, asked: Any) -> Any:
        self._found(self.models, asked.name)
        if any(_last(d.model) == _last(asked.name) for e in self.endpoints.values() for d in e.deployed_models):
            raise Refusal(Status.FAILED_PRECONDITION, f"Model {asked.name} is deployed")
        return self._begin(asked.name, lambda: self._removed(self.models, asked.name))

    # endpoints

    def create_endpoint(self, asked: Any) -> Any:
        name = f"{asked.parent}/endpoints/{asked.endpoint_id}"
        if name in self.endpoints or self._busy(name):
            raise Refusal(Status.ALREADY_EXISTS, f"Endpoint {name} already exists")
        endpoint = api.Endpoint(asked.endpoint)
        endpoint.name = name.replace("my-project", "12345")

        def there() -> str:
            self.endpoints[name] = endpoint
            return self._changed(endpoint)

        return self._begin(name, there)

    def update_endpoint(self, asked: Any) -> Any:
        endpoint = self._found(self.endpoints, asked.endpoint.name)
        if asked.endpoint.etag and asked.endpoint.etag != endpoint.etag:
            raise Refusal(Status.ABORTED, "The endpoint was changed meanwhile: etag mismatch")
        for path in asked.update_mask.paths:
            if path == "traffic_split":
                self._split(endpoint, dict(asked.endpoint.traffic_split))
            elif path == "predict_request_response_logging_config":
                told = asked.endpoint.predict_request_response_logging_config
                endpoint.predict_request_response_logging_config = api.PredictRequestResponseLoggingConfig(
                    enabled=told.enabled,
                    sampling_rate=told.sampling_rate,
                    bigquery_destination={"output_uri": told.bigquery_destination.output_uri},
                )
            else:
                raise Refusal(Status.INVALID_ARGUMENT, f"Field {path} cannot be updated")
        self._changed(endpoint)
        return endpoint

    def delete_endpoint(self, asked: Any) -> Any:
        if self._found(self.endpoints, asked.name).deployed_models:
            raise Refusal(Status.FAILED_PRECONDITION, f"Endpoint {asked.name} has deployed models")
        return self._begin(asked.name, lambda: self._removed(self.endpoints, asked.name))

    def deploy_model(self, asked: Any) -> Any:
        endpoint = self._found(self.endpoints, asked.endpoint)
        deployed = api.DeployedModel(asked.deployed_model)
        model = self._found(self.models, deployed.model)
        key = f"{_last(asked.endpoint)}/{deployed.id}"
        if key in self._deploying or any(one.id == deployed.id for one in endpoint.deployed_models):
            raise Refusal(Status.ALREADY_EXISTS, f"DeployedModel {deployed.id} already exists")
        split = {deployed.id if id == "0" else id: share for id, share in asked.traffic_split.items()}
        self._check(endpoint, split, deployed.id)
        self._deploying.add(key)

        def healthy() -> str | None:
            if key not in self.machines:
                copy = self._copied(model.artifact_uri)
                self.machines[key] = Machine(model.container_spec, copy, _last(asked.endpoint), deployed.id)
            well = self.machines[key].healthy()
            if well is None:
                self._deploying.discard(key)
                self.machines.pop(key).end()
                return NEVER_READY
            if not well:
                return None
            self._deploying.discard(key)
            deployed.model, deployed.create_time = deployed.model.replace("my-project", "12345"), self._now()
            endpoint.deployed_models.append(deployed)
            self._split(endpoint, split)
            return self._changed(endpoint)

        return self._begin(asked.endpoint, healthy)

    def undeploy_model(self, asked: Any) -> Any:
        endpoint = self._found(self.endpoints, asked.endpoint)
        left = [one for one in endpoint.deployed_models if one.id != asked.deployed_model_id]
        if len(left) == len(endpoint.deployed_models):
            raise Refusal(Status.NOT_FOUND, f"DeployedModel {asked.deployed_model_id} is not deployed")
        split = dict(asked.traffic_split) or dict(endpoint.traffic_split)
        if left and split.get(asked.deployed_model_id):
            raise Refusal(Status.FAILED_PRECONDITION, f"DeployedModel {asked.deployed_model_id} still has traffic")

        def gone() -> str:
            endpoint.deployed_models = left
            self._split(endpoint, split if left else {})
            self.machines.pop(f"{_last(asked.endpoint)}/{asked.deployed_model_id}").end()
            return self._changed(endpoint)

        return self._begin(asked.endpoint, gone)

    def _split(self, endpoint: Any, split: dict[str, int]) -> None:
        self._check(endpoint, split)
        endpoint.traffic_split = split

    def _check(self, endpoint: Any, split: dict[str, int], new: str = "") -> None:
        known = {*(one.id for one in endpoint.deployed_models), new}
        if split and (sum(split.values()) != 100 or not split.keys() <= known):
            raise Refusal(Status.INVALID_ARGUMENT, f"Traffic split {split} is not one of 100 % of {sorted(known)}")

    def _changed(self, endpoint: Any) -> str:
        endpoint.etag = f"etag-{self._now().timestamp()}"
        return ""

    # batch prediction

    def create_job(self, asked: Any) -> Any:
        job = api.BatchPredictionJob(asked.batch_prediction_job)
        if bool(job.model) == bool(job.unmanaged_container_model):
            raise Refusal(Status.INVALID_ARGUMENT, "Exactly one of model and unmanaged_container_model must be set")
        job.name, job.state = f"{asked.parent}/batchPredictionJobs/{10**17 + len(self.jobs)}", State.JOB_STATE_QUEUED
        job.create_time = self._now()
        self.jobs[job.name] = job
        return job

    def list_jobs(self, asked: Any) -> Any:
        name = asked.filter.removeprefix('display_name="').removesuffix('"')
        found = [job for job in self.jobs.values() if job.display_name == name]
        for job in found:
            self._tick(job)
        return api.ListBatchPredictionJobsResponse(batch_prediction_jobs=found)

    def cancel_job(self, asked: Any) -> Any:
        job = self._found(self.jobs, asked.name)
        if job.state in (State.JOB_STATE_QUEUED, State.JOB_STATE_RUNNING):
            job.state = State.JOB_STATE_CANCELLING
        return empty_pb2.Empty()

    def _tick(self, job: Any) -> None:
        if job.state == State.JOB_STATE_QUEUED:
            job.state = State.JOB_STATE_RUNNING
            model = job.unmanaged_container_model
            self.machines[job.name] = Machine(model.container_spec, self._copied(model.artifact_uri))
        elif job.state == State.JOB_STATE_CANCELLING:
            job.state = State.JOB_STATE_CANCELLED
            self.machines.pop(job.name).end()
        elif job.state == State.JOB_STATE_RUNNING:
            well = self.machines[job.name].healthy()
            if well is None:
                job.state, job.error = State.JOB_STATE_FAILED, status_pb2.Status(code=3, message=NEVER_READY)
            elif well:
                self._answer(job)
            if well is not False:
                self.machines.pop(job.name).end()

    def _answer(self, job: Any) -> None:
        """Ask for all rows in batches, and write what came in no order into two files, as the service does."""
        key, size = job.instance_config.key_field, job.manual_batch_tuning_parameters.batch_size
        rows = [json.loads(line, parse_int=float) for path in _matched(job) for line in path.read_bytes().splitlines()]
        results, errors = [], []
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            keys = [row.pop(key) for row in batch]
            try:
                answers = self.machines[job.name].predict(batch)["predictions"]
            except RuntimeError as error:
                errors.append({"error": {"code": 3, "message": f"Post request fails. {error}"}})
                continue
            results += [{"key": name, "prediction": answer} for name, answer in zip(keys, answers, strict=True)]
        random.Random(1).shuffle(results)
        prefix = job.output_config.gcs_destination.output_uri_prefix
        folder = Path(prefix) / "prediction-model-2026_11_26T00_00_00_000Z"
        folder.mkdir(parents=True)
        half = len(results) // 2
        for name, lines in {
            "prediction.results-00000-of-00002": results[:half],
            "prediction.results-00001-of-00002": results[half:],
            "prediction.errors_stats-00000-of-00001": errors,
        }.items():
            (folder / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        job.output_info.gcs_output_directory = str(folder)
        job.completion_stats.successful_count = len(results)
        job.completion_stats.failed_count = len(rows) - len(results)
        job.state = State.JOB_STATE_SUCCEEDED

    # operations

    def get_operation(self, asked: Any) -> Any:
        found = self._found(self.operations, asked.name)
        if not found.done:
            left, work = self._steps[asked.name]
            left[0] -= 1
            said = work() if left[0] < 0 else None
            if said is not None:
                found.done = True
                if said:
                    found.error.code, found.error.message = 9, said
                else:
                    found.response.Pack(empty_pb2.Empty())
        return found

    def list_operations(self, asked: Any) -> Any:
        found = [name for name in self.operations if name.startswith(f"{asked.name}/operations/")]
        for name in found:
            self.get_operation(operations_pb2.GetOperationRequest(name=name))
        return operations_pb2.ListOperationsResponse(operations=[self.operations[name] for name in found])

    def _copied(self, artifacts: str) -> Path:
        """The copy of a model's artifacts that the platform serves from."""
        self._copies += 1
        copy = self.home / f"copy-{self._copies}"
        shutil.copytree(artifacts, copy)
        self.spoil(copy)
        return copy

    def _begin(self, name: str, work: Callable[[], str | None]) -> Any:
        operation = operations_pb2.Operation(name=f"{name}/operations/{len(self.operations)}")
        self.operations[operation.name] = operation
        self._steps[operation.name] = [self.slow], work
        return operation

    def _busy(self, name: str) -> bool:
        return any(one.startswith(f"{name}/") and not operation.done for one, operation in self.operations.items())

    def _now(self) -> datetime:
        self._clock += 1
        return _START + timedelta(seconds=self._clock)

    def _removed(self, among: dict[str, Any], name: str) -> str:
        del among[name]
        return ""

    def _found(self, among: dict[str, Any], name: str) -> Any:
        if name not in among:
            raise Refusal(Status.NOT_FOUND, f"{name} is not found.")
        return among[name]


def _matched(job: Any) -> list[Path]:
    """The input files of a job, whose last words may be patterns."""
    uris = [Path(uri) for uri in job.input_config.gcs_source.uris]
    return [path for uri in uris for path in sorted(uri.parent.glob(uri.name))]


def _last(name: str) -> str:
    return name.rpartition("/")[2]
