"""Vertex AI: what is the same for everything of it: where it is reached, states, labels, pages of the console.

    projects/P/locations/R/<collection>/<id>       a file a collection: `vertex_pipelines`, `vertex_custom` …
    JOB_STATE_…, PIPELINE_STATE_… ─ state_of ─▶ pending | running | done | failed | cancelled | lost

The clients are those that are generated from the service's definition (`google.cloud.aiplatform_v1`); the SDK above
them takes long to import and is not used. What does not belong here: what one kind of thing is told.
"""

from __future__ import annotations

import re
from typing import Any

from ninetyfive.calling import connect, in_a_line
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.records import Job, JobState

NAME = "vertex"
_STATES: dict[str, JobState] = {
    "UNSPECIFIED": "pending",
    "QUEUED": "pending",
    "PENDING": "pending",
    "RUNNING": "running",
    "UPDATING": "running",
    "PAUSED": "running",
    "CANCELLING": "running",
    "SUCCEEDED": "done",
    "PARTIALLY_SUCCEEDED": "failed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "EXPIRED": "lost",
}
_TAKEN = re.compile(r"\bpreempt|\bworker .{0,40}\blost\b|\bhost (maintenance|error)\b", re.IGNORECASE)
"""What is said of a job whose machines were taken away."""


def parent(settings: ManagedSettings) -> str:
    """Where all of it is: the project and region."""
    return f"projects/{settings.project}/locations/{settings.region}"


def client_of(client: Any, transport: Any, settings: ManagedSettings) -> Any:
    """A client of Vertex AI in the region of the settings, or at their endpoint."""
    return connect(client, transport, settings.vertex.endpoint, f"{settings.region}-aiplatform.googleapis.com:443")


def state_of(word: str, message: str = "") -> JobState:
    """The state of a job, from the name of the service's own and what it says beside.

    >>> state_of("PIPELINE_STATE_RUNNING"), state_of("JOB_STATE_FAILED", "the replica was preempted")
    ('running', 'lost')
    """
    state = _STATES.get(re.sub(r"^(PIPELINE|JOB)_STATE_", "", word), "pending")
    return "lost" if state == "failed" and _TAKEN.search(message) else state


def seen_as(name: str, state: JobState, link: str, message: str = "") -> Job:
    """A job as it is seen; `name` ends with our id."""
    said = in_a_line(message)
    return Job(id=name.rpartition("/")[2], service=NAME, name=name, state=state, link=link, message=said)


def page(settings: ManagedSettings, path: str) -> str:
    """A page of the console.

    >>> page(ManagedSettings(project="p", region="r"), "training/7")
    'https://console.cloud.google.com/vertex-ai/locations/r/training/7?project=p'
    """
    return f"https://console.cloud.google.com/vertex-ai/locations/{settings.region}/{path}?project={settings.project}"
