"""Batch prediction jobs of Vertex AI: rows in a folder, answered by the serving container.

The model is not uploaded to the registry: the job names container and folder itself, so that nothing is left of it.
What does not belong here: the rows and their answers (`vertex_rows`), how a job is found again (`vertex_numbered`).
"""

from __future__ import annotations

from typing import Any, ClassVar

from ninetyfive.managed.cloud import filled, labels
from ninetyfive.managed.jobs import Request, Work
from ninetyfive.managed.vertex import API
from ninetyfive.managed.vertex_numbered import Numbered
from ninetyfive.managed.vertex_serving import container

KEY = "__row"
"""The field of an instance that holds its number; no column of a schema begins so."""
BATCH = 256
"""How many rows the service sends the container at once."""
SERVICE, INSTANCES, ANSWERS = "service", "instances", "answers"
"""The folders of a job: config.json and release/ of the container; what is asked; below each attempt what came back."""


class BatchPredictions(Numbered):
    """Batch prediction jobs, as a `Service`."""

    COLLECTION: ClassVar[str] = "batchPredictionJobs"
    KIND: ClassVar[str] = "batch_prediction_job"
    PAGE: ClassVar[str] = "batch-predictions"

    def render(self, work: Work) -> Request:
        """As in `Service`: one CreateBatchPredictionJob."""
        said = self._settings
        machines = {
            "machineSpec": {"machineType": said.vertex.serving_machine},
            "startingReplicaCount": said.vertex.min_replicas,
            "maxReplicaCount": said.vertex.max_replicas,
        }
        model = {"artifactUri": f"{work.folder}/{SERVICE}", "containerSpec": container(said)}
        job = {
            "displayName": work.id,
            "unmanagedContainerModel": model,
            "inputConfig": {
                "instancesFormat": "jsonl",
                "gcsSource": {"uris": [f"{work.folder}/{INSTANCES}/*.jsonl"]},
            },
            "instanceConfig": {"instanceType": "object", "keyField": KEY},
            "outputConfig": {
                "predictionsFormat": "jsonl",
                "gcsDestination": {"outputUriPrefix": f"{work.folder}/{work.id}/{ANSWERS}"},
            },
            "dedicatedResources": machines,
            "manualBatchTuningParameters": {"batchSize": BATCH},
            "serviceAccount": said.service_account,
            "labels": labels(work),
        }
        body = {"parent": self._calls.parent, "batchPredictionJob": filled(job)}
        return Request(method=f"{API}.JobService/CreateBatchPredictionJob", body=body, purpose=work.purpose)

    def message(self, job: Any) -> str:
        """What the service says of a job, and how many rows it could not answer."""
        count = job.completion_stats.failed_count
        return f"{job.error.message} {count} rows were not answered" if count > 0 else str(job.error.message)
