"""What Vertex AI is told to serve a release: its names and requests, rendered offline: pure.

    job id ─▶ model id, number of what is deployed      system ─▶ endpoint id
    UploadModel ─▶ CreateEndpoint ─▶ DeployModel ─▶ … UpdateEndpoint (traffic) … UndeployModel

A model is named by its content, and what is deployed by its job: killed anywhere, the same command finds what is there.
What does not belong here: the order of the calls and what comes back (`vertex_endpoint`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ninetyfive.hashing import content_hash
from ninetyfive.managed.cloud import filled, last, system_label
from ninetyfive.managed.container import COMMAND
from ninetyfive.managed.jobs import Request, job_id
from ninetyfive.managed.vertex import API, page
from ninetyfive.managed_settings import ManagedSettings

PORT = 8080
HEALTH, PREDICT = "/health", "/predict"
NEW = "0"
"""What stands for the model that is being deployed, where a call that deploys it says who gets which traffic."""


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What things are called: the `parent` of all, our `job`, the ids of model and endpoint."""

    parent: str
    job: str
    endpoint_id: str

    @property
    def model_id(self) -> str:
        """The id of the model: that of the job without its attempt."""
        return self.job.rpartition("-")[0]

    @property
    def model(self) -> str:
        """The full name of the model."""
        return f"{self.parent}/models/{self.model_id}"

    @property
    def endpoint(self) -> str:
        """The full name of the endpoint."""
        return f"{self.parent}/endpoints/{self.endpoint_id}"

    @property
    def number(self) -> str:
        """The id of what is deployed, which has to be at most ten digits."""
        return number_of(self.job)

    @property
    def deployed(self) -> str:
        """The full name of what is deployed, as the catalog keeps it."""
        return f"{self.endpoint}/deployedModels/{self.number}"


def number_of(job: str) -> str:
    """Ten digits that a job's deployed model is known by.

    >>> number_of("n95-late-0123456789abcdef01234567-1")
    '8766325896'
    """
    return str(10**9 + int(content_hash(job)[:15], 16) % (9 * 10**9))


def endpoint_id(system: str) -> str:
    """The id of a system's endpoint: one for all its releases.

    >>> endpoint_id("late flights"), endpoint_id("late-flights")
    ('n95-late-flights-30025fab', 'n95-late-flights-cd2cedc9')
    """
    head = job_id(system, "").rpartition("-")[0].rpartition("-")[0]
    return f"{head}-{content_hash(system)[:8]}"


def container(said: ManagedSettings) -> dict[str, Any]:
    """The serving container: one image, which finds the release in the folder of the model."""
    return {
        "imageUri": said.vertex.serving_image or said.image,
        "command": list(COMMAND),
        "ports": [{"containerPort": PORT}],
        "healthRoute": HEALTH,
        "predictRoute": PREDICT,
    }


def upload(said: ManagedSettings, names: Names, system: str, release: str, folder: str) -> Request:
    """UploadModel: the model of a release, whose service is in `folder`."""
    model = {
        "displayName": f"{system} {release[:12]}",
        "description": f"release {release} of {system}, by ninetyfive",
        "versionAliases": [f"release-{release[:12]}"],
        "artifactUri": folder,
        "containerSpec": container(said),
        "labels": {**system_label(system), "ninetyfive-release": release[:12]},
    }
    body = {"parent": names.parent, "modelId": names.model_id, "model": model}
    return Request(method=f"{API}.ModelService/UploadModel", body=body, purpose="upload the model")


def create_endpoint(said: ManagedSettings, names: Names, system: str) -> Request:
    """CreateEndpoint: the endpoint of a system, with its request log where one is said."""
    endpoint = {
        "displayName": system,
        "labels": system_label(system),
        "predictRequestResponseLoggingConfig": logging(said),
    }
    body = {"parent": names.parent, "endpointId": names.endpoint_id, "endpoint": filled(endpoint)}
    return Request(method=f"{API}.EndpointService/CreateEndpoint", body=body, purpose="make the endpoint")


def logging(said: ManagedSettings) -> dict[str, Any]:
    """Every request and answer into a table of BigQuery, where the settings name one."""
    if not said.vertex.request_log:
        return {}
    return {"enabled": True, "samplingRate": 1.0, "bigqueryDestination": {"outputUri": said.vertex.request_log}}


def set_logging(said: ManagedSettings, names: Names) -> Request:
    """UpdateEndpoint: the request log as the settings say it by now."""
    told = logging(said) or {"enabled": False}
    body = {
        "endpoint": {"name": names.endpoint, "predictRequestResponseLoggingConfig": told},
        "updateMask": "predictRequestResponseLoggingConfig",
    }
    return Request(method=f"{API}.EndpointService/UpdateEndpoint", body=body, purpose="set the request log")


def deploy(said: ManagedSettings, names: Names, traffic: Mapping[str, int], number: str = "") -> Request:
    """DeployModel: machines for the model, and its traffic from the moment on when it is healthy."""
    machines = {
        "machineSpec": {"machineType": said.vertex.serving_machine},
        "minReplicaCount": said.vertex.min_replicas,
        "maxReplicaCount": said.vertex.max_replicas,
    }
    deployed = {
        "id": number or names.number,
        "model": names.model,
        "displayName": names.job,
        "dedicatedResources": machines,
        "serviceAccount": said.service_account,
    }
    body = {"endpoint": names.endpoint, "deployedModel": filled(deployed), "trafficSplit": dict(traffic)}
    return Request(method=f"{API}.EndpointService/DeployModel", body=body, purpose="deploy the model")


def set_traffic(endpoint: str, traffic: Mapping[str, int], etag: str = "") -> Request:
    """UpdateEndpoint: other shares of the traffic; of an endpoint that is still what it was (`etag`)."""
    told = filled({"name": endpoint, "trafficSplit": dict(traffic), "etag": etag})
    body = {"endpoint": told, "updateMask": "trafficSplit"}
    return Request(method=f"{API}.EndpointService/UpdateEndpoint", body=body, purpose="set the traffic")


def undeploy(endpoint: str, number: str, traffic: Mapping[str, int]) -> Request:
    """UndeployModel: its machines end, and the others have its traffic."""
    body = filled({"endpoint": endpoint, "deployedModelId": number, "trafficSplit": dict(traffic)})
    return Request(method=f"{API}.EndpointService/UndeployModel", body=body, purpose="undeploy a model")


def delete(kind: str, name: str) -> Request:
    """DeleteModel or DeleteEndpoint."""
    body = {"name": name}
    return Request(method=f"{API}.{kind}Service/Delete{kind}", body=body, purpose=f"delete the {kind.lower()}")


def predict_url(said: ManagedSettings, endpoint: str) -> str:
    """Where an endpoint answers `{"instances": […]}`."""
    return f"https://{said.region}-aiplatform.googleapis.com/v1/{endpoint}:predict"


def console(said: ManagedSettings, endpoint: str) -> str:
    """The page of an endpoint in the console."""
    return page(said, f"endpoints/{last(endpoint)}")
