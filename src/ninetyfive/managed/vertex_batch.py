"""Batch prediction jobs of Vertex AI, as a service: rows in a folder, answered by the serving container.

    ListBatchPredictionJobs (by display name) ─▶ none: CreateBatchPredictionJob; running: CancelBatchPredictionJob

Ids are the service's own numbers: a job is found again by its display name, which is our id. The model is not uploaded
to the registry: the job names container and folder itself, so that nothing is left of it.
What does not belong here: the rows and their answers (`vertex_rows`).
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, ClassVar

from ninetyfive.calling import CALL_SECONDS
from ninetyfive.managed.dataproc import filled, labels
from ninetyfive.managed.jobs import Request, Work, word_of
from ninetyfive.managed.vertex import NAME, page, seen_as, state_of
from ninetyfive.managed.vertex_calls import API, Calls
from ninetyfive.managed.vertex_serving import container
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.records import Job

KEY = "__row"
"""The field of an instance that holds its number; no column of a schema begins so."""
BATCH = 256
"""How many rows the service sends the container at once."""
SERVICE, INSTANCES, ANSWERS = "service", "instances", "answers"
"""The folders of a job: config.json and release/ of the container; what is asked; below each attempt what came back."""


class BatchPredictions:
    """Batch prediction jobs, as a `Service`; the name of one ends with its display name, which is our id."""

    NAME: ClassVar[str] = NAME

    def __init__(self, settings: ManagedSettings, calls: Calls | None = None) -> None:
        self._settings = settings
        self._calls = calls or Calls(settings)

    def name(self, id: str) -> str:
        """As in `Service`."""
        return f"{self._calls.parent}/batchPredictionJobs/{id}"

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

    def submit(self, request: Request) -> Job:
        """As in `Service`; of several that were made at once the oldest stays, the others are cancelled."""
        from google.cloud.aiplatform_v1 import CreateBatchPredictionJobRequest

        id = request.body["batchPredictionJob"]["displayName"]
        sent = CreateBatchPredictionJobRequest.from_json(json.dumps(request.body))
        client = self._calls.jobs

        def create() -> Any:
            found = self._listed(id)  # one whose answer was lost, or of somebody else
            return found[0] if found else client.create_batch_prediction_job(sent, retry=None, timeout=CALL_SECONDS)

        made = self._calls.call(create, f"job {id}")
        there = self._calls.call(lambda: self._listed(id), f"job {id}")
        if there and there[0].name != made.name:
            self._calls.call(lambda: self._stop(made.name), f"cancelling job {id}")
        return self._seen(id, there[0] if there else made)

    def look(self, name: str) -> Job | None:
        """As in `Service`."""
        id = _last(name)
        found = self._calls.call(lambda: self._listed(id), f"job {id}")
        return self._seen(id, found[0]) if found else None

    def cancel(self, name: str) -> Job | None:
        """As in `Service`."""
        id = _last(name)

        def stop() -> None:
            for one in self._listed(id):
                if not self._seen(id, one).ended:
                    self._stop(one.name)

        self._calls.call(stop, f"cancelling job {id}")
        return self.look(name)

    def _stop(self, number: str) -> None:
        from google.api_core.exceptions import FailedPrecondition, NotFound

        with suppress(FailedPrecondition, NotFound):  # it has ended meanwhile
            self._calls.jobs.cancel_batch_prediction_job(name=number, retry=None, timeout=CALL_SECONDS)

    def _listed(self, id: str) -> list[Any]:
        """The jobs of this display name, the oldest first."""
        asked = {"parent": self._calls.parent, "filter": f'display_name="{id}"'}
        found = list(self._calls.jobs.list_batch_prediction_jobs(asked, retry=None, timeout=CALL_SECONDS))
        return sorted(found, key=lambda one: (one.create_time.isoformat() if one.create_time else "", one.name))

    def _seen(self, id: str, found: Any) -> Job:
        message, failed = found.error.message, found.completion_stats.failed_count
        if failed > 0:
            message = f"{message} {failed} rows were not answered"
        link = page(self._settings, f"batch-predictions/{_last(found.name)}")
        return seen_as(self.name(id), state_of(word_of(found), message), link, message)


def _last(name: str) -> str:
    return name.rpartition("/")[2]
