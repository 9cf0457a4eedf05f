"""Vertex AI: what is the same for everything of it: its name, states, pages of the console: pure.

    projects/P/locations/R/<collection>/<id>       a file a collection: `vertex_pipelines`, `vertex_custom` …
    JOB_STATE_…, PIPELINE_STATE_… ─ seen ─▶ Job: pending | running | done | failed | cancelled | lost

What does not belong here: calls (`vertex_calls`), what one kind of thing is told.
"""

from __future__ import annotations

import re

from ninetyfive.managed import cloud
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.records import Job, JobState

NAME = "vertex"
API = "google.cloud.aiplatform.v1"
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


def seen(name: str, word: str, link: str, message: str = "") -> Job:
    """A job as it is seen; `name` ends with our id, `word` is the name of the service's own state.

    >>> [seen("a/b", word, "", "preempted").state for word in ("PIPELINE_STATE_RUNNING", "JOB_STATE_FAILED")]
    ['running', 'lost']
    """
    state = _STATES.get(re.sub(r"^(PIPELINE|JOB)_STATE_", "", word), "pending")
    return cloud.seen_as(NAME, name, state, link, message, _TAKEN)


def page(settings: ManagedSettings, path: str) -> str:
    """A page of Vertex AI in the console.

    >>> page(ManagedSettings(project="p", region="r"), "training/7")
    'https://console.cloud.google.com/vertex-ai/locations/r/training/7?project=p'
    """
    return cloud.page(settings, f"vertex-ai/locations/{settings.region}/{path}")
