"""A command that a service does from beginning to end: the project travels there, its document comes back.

    Asked ─ parcel ─▶ id by content ─▶ folder: the parcel ─▶ attending: submit or attach, wait ─▶ document, schema.toml

The id knows the project, the command and the settings, not the data: one that ended well before is history, and is
done again under the next number; what is unchanged is skipped there. While it runs, the same command attaches to it.
What does not belong here: what becomes of a job (`attending`), what runs there (`worker`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ninetyfive.errors import IntegrityError
from ninetyfive.managed.asked import Asked
from ninetyfive.managed.attending import Attendant
from ninetyfive.managed.jobs import Request, Service, Work, folder_of, job_id, marked
from ninetyfive.managed.packing import RESULTS, Place
from ninetyfive.managed.parcel import ACTOR, PARCEL, SCHEMA, Done, Parcel, content_of, pack, parcel_of
from ninetyfive.managed.vertex_custom import CustomJobs
from ninetyfive.managed.vertex_pipelines import Pipelines
from ninetyfive.progress import Reporter
from ninetyfive.store.opening import Store, actor_name
from ninetyfive.store.records import Job


@dataclass(frozen=True, slots=True)
class _Command:
    """A command as an errand: its parcel in its folder, done there by `worker`."""

    work: Work
    parcel: Parcel
    service: Service
    place: Place

    @property
    def id(self) -> str:
        """As in `Errand`."""
        return self.work.id

    @property
    def purpose(self) -> str:
        """As in `Errand`."""
        return self.work.purpose

    def results(self, _: Sequence[Job], /) -> Done | None:
        """What came back, where it is there."""
        data = self.place.read(RESULTS)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=Done)
        except msgspec.MsgspecError as error:
            raise IntegrityError(
                f"{self.place.url}/{RESULTS}",
                expected="the document of a command",
                got=str(error),
                do="remove the folder and submit again",
            ) from error

    def prepare(self, id: str) -> Request:
        """The parcel in the folder."""
        self.place.write(PARCEL, pack(self.parcel))
        self.place.write(ACTOR, actor_name().encode())
        return self.service.render(msgspec.structs.replace(self.work, id=id))


def service_of(asked: Asked) -> Service:
    """The service that does a command whole: a run as a pipeline, unless settings say no; else one custom job."""
    piped = asked.what == "run" and asked.said.vertex.pipeline
    return Pipelines(asked.said) if piped else CustomJobs(asked.said)


def requests(asked: Asked) -> list[Request]:
    """The one call that is sent, as it is known before: only which attempt it is, is not."""
    service = service_of(asked)
    work, _ = _work(asked, service)
    source = "how many attempts there were: the last number of the id counts them"
    return [marked(service.render(work), work.id, source)]


def done(asked: Asked, store: Store, reporter: Reporter) -> tuple[dict[str, Any], list[str]]:
    """Do a command at a service; the document of its verb, and the id of the job that did it."""
    service = service_of(asked)
    work, parcel = _work(asked, service)
    errand = _Command(work, parcel, service, Place(work.folder))
    id, found = Attendant(service, store, asked.said.poll, reporter).done(errand)
    keep_schema(asked, found, reporter)
    errand.place.remove()
    return found.document, [id]


def keep_schema(asked: Asked, found: Done, reporter: Reporter) -> None:
    """Write the first schema, which was inferred there, beside system.py, where there is none yet."""
    path = asked.system.folder / SCHEMA
    if found.schema is not None and not path.exists():
        path.write_text(found.schema, encoding="utf-8")
        reporter.notice(f"{SCHEMA} was inferred, not reviewed: read it, then `ninetyfive schema accept`")


def _work(asked: Asked, service: Service) -> tuple[Work, Parcel]:
    """The first attempt at a command, and what travels to it."""
    said = asked.said
    parcel = parcel_of(asked, shared_disk=urlsplit(said.vertex.endpoint).scheme == "http")
    where = [service.name(""), said.image, said.service_account, msgspec.to_builtins(said.vertex)]
    first = job_id(asked.system.name, [content_of(parcel), where])
    name = {"run": "the whole run", "table": "the whole table"}.get(asked.what, asked.what)
    work = Work(id=first, folder=folder_of(said.temporary, first), system=asked.system.name, purpose=name)
    return work, parcel
