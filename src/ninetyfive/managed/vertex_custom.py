"""Vertex AI custom jobs: a command that runs whole on one machine is one job (`vertex_numbered` finds it again).

What does not belong here: what the job does (`worker`).
"""

from __future__ import annotations

from typing import Any, ClassVar

from ninetyfive.managed.cloud import filled, labels
from ninetyfive.managed.jobs import Request, Work, outputs_of
from ninetyfive.managed.vertex import API
from ninetyfive.managed.vertex_numbered import Numbered

COMMAND = ("python3", "-m", "ninetyfive.managed.worker")
"""What a container of the image is started with, before the folder and the id of the job."""


class CustomJobs(Numbered):
    """Custom jobs, as a `Service`."""

    COLLECTION: ClassVar[str] = "customJobs"
    KIND: ClassVar[str] = "custom_job"
    PAGE: ClassVar[str] = "training"

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
            "baseOutputDirectory": {"outputUriPrefix": outputs_of(work.folder)},
            "serviceAccount": said.service_account,
            "network": said.vertex.network,
        }
        job = {"displayName": work.id, "labels": labels(work), "jobSpec": filled(spec)}
        body = {"parent": self._calls.parent, "customJob": job}
        return Request(method=f"{API}.JobService/CreateCustomJob", body=body, purpose=work.purpose)
