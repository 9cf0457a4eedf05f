"""What is the same for every service of Google Cloud: full names, labels, bodies, jobs as they are seen, console pages.

    projects/P/locations/R ─ parent     …/jobs/<id> ─ last ─▶ <id>     state, words ─ seen_as ─▶ Job: lost where taken

What does not belong here: what one service is told (a file a service), how it is called (`calling`).
"""

from __future__ import annotations

import re
from typing import Any

from ninetyfive.calling import in_a_line
from ninetyfive.managed.jobs import Work
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.records import Job, JobState


def parent(said: ManagedSettings) -> str:
    """Where all of a service is: the project and region."""
    return f"projects/{said.project}/locations/{said.region}"


def last(name: str) -> str:
    """The id at the end of a full name.

    >>> last("projects/p/locations/r/batches/n95-late-0a-1")
    'n95-late-0a-1'
    """
    return name.rpartition("/")[2]


def page(said: ManagedSettings, path: str) -> str:
    """A page of the console.

    >>> page(ManagedSettings(project="p"), "dataproc/jobs/7?region=r")
    'https://console.cloud.google.com/dataproc/jobs/7?region=r&project=p'
    """
    return f"https://console.cloud.google.com/{path}{'&' if '?' in path else '?'}project={said.project}"


def word_of(message: Any, field: str = "state") -> str:
    """The name of the state that a message of a service holds; "" for one that its definition here does not know yet.

    >>> from google.cloud.dataproc_v1 import Batch
    >>> word_of(Batch(state="RUNNING")), word_of(Batch.deserialize(bytes([72, 77])))
    ('RUNNING', '')
    """
    plain = type(message).pb(message)
    known = plain.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    number = getattr(plain, field)
    return str(known[number].name) if number in known else ""


def seen_as(service: str, name: str, state: JobState, link: str, message: str, taken: re.Pattern[str]) -> Job:
    """A job as it is seen; `name` ends with our id. One that failed is lost where its words say so (`taken`)."""
    said = in_a_line(message)
    lost: JobState = "lost" if state == "failed" and taken.search(said) else state
    return Job(id=last(name), service=service, name=name, state=lost, link=link, message=said)


def labels(work: Work) -> dict[str, str]:
    """What a job is labelled with, so that its cost can be told from that of others."""
    return system_label(work.system)


def system_label(system: str) -> dict[str, str]:
    """The label that names a system, by what labels may hold: RFC 1035 words.

    >>> system_label("Late flights"), system_label("7")
    ({'ninetyfive-system': 'late-flights'}, {'ninetyfive-system': 's-7'})
    """
    word = re.sub(r"[^a-z0-9-]", "-", system.lower()).strip("-")[:63].rstrip("-")
    return {"ninetyfive-system": word if word[:1].isalpha() else f"s-{word}"[:63].rstrip("-")}


def filled(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty: a service fills that in itself."""
    return {name: value for name, value in values.items() if value not in ("", {}, [])}
