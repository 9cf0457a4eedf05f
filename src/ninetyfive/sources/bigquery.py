"""A table of BigQuery lands: each slice that has changed is extracted into a folder of its own, once.

    tables.get ─▶ partitioned? ─ list of its partitions ─▶ slices ─ without a note ─▶ jobs.insert ─▶ jobs.get … ─▶ note
                                                             └─ with one: its files are there, and nothing is extracted

The rule: a slice counts by its note (landed.json), which is written when its job has ended well, and names the files
that the job says it wrote. What the table no longer means is removed once all that it means now is there.
What does not belong here: what is asked (`extracts`), where files land (`landing`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec

from ninetyfive.calling import CALL_SECONDS, Caller, refused
from ninetyfive.errors import ServiceError, SourceError, needs_extra
from ninetyfive.plan import Part
from ninetyfive.sources import parquet_files
from ninetyfive.sources.discovery import Place, spans_of
from ninetyfive.sources.extracts import (
    NOTE,
    STREAMING,
    SUMMARY,
    Note,
    Slice,
    Table,
    console,
    extract,
    job_of,
    table_of,
    whole,
    written,
)
from ninetyfive.sources.files import Source
from ninetyfive.sources.landing import Landed, Landing, contents, listed, put, remove

T = TypeVar("T")
EMULATOR = "BIGQUERY_EMULATOR_HOST"
"""The variable that leads the client to an emulator, where nobody is logged in."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DO = {
    400: "see what it says of the table or the bucket; table and bucket have to be in places that may be joined",
    403: "give the account the permissions of BigQuery that docs/managed.md lists, and see that its API is enabled",
    404: "see whether the table is there, and the bucket it lands in",
}
_CODES = {"accessDenied": 403, "notFound": 404, "quotaExceeded": 429, "rateLimitExceeded": 429, "backendError": 503}


def land_bigquery(source: Source, landing: Landing) -> Landed:
    """Extract what has changed, and the files of all that the table is now.

    `ServiceError` for what the service refuses and for a job that failed, `SourceError` for what cannot be extracted.
    """
    with needs_extra("managed", "nf.bigquery"):
        warehouse = _Warehouse(table_of(source.urls[0]), landing)
    root = landing.root(source)
    slices, notices = warehouse.slices()
    there = listed(root)
    notes = _notes(root, slices, there)
    missing = [part for part in slices if part not in notes]
    if missing:
        what = f"{len(missing):,} of {len(slices):,} partitions" if slices[0].partition else "the whole"
        landing.tell(f"extracting {what} of {warehouse.table}: what has changed since it landed")
        begun = [(part, warehouse.begin(part, root)) for part in missing]
        for part, job in begun:
            notes[part] = warehouse.finish(part, root, job)
        there = listed(root)
    files: list[Place] = []
    known: dict[str, str] = {}
    for part, note in notes.items():
        files += whole(part, note, there) or ()
        known |= {mark: sha256 for _, sha256, mark in note.files.values() if mark}
    if not files:
        raise _empty(source, "a table without rows")
    meant = {f"{part.folder}/{name}" for part, note in notes.items() for name in (NOTE, *note.files)}
    refusal = remove([place for name, place in there.items() if name not in meant])
    if refusal:
        notices.append(f"what {warehouse.table} no longer means still lies in {root}: {refusal}")
    return Landed(spans_of(files, known), tuple(notices))


def requests(source: Source, landing: Landing) -> list[dict[str, Any]]:
    """What a run asks of the service, offline; what only its answers tell is marked, with what supplies it."""
    table = table_of(source.urls[0])
    there = f"/bigquery/v2/projects/{table.project}/datasets/{table.dataset}/tables/{table.name}"
    root, part = landing.root(source), "<partition>"
    reference = {
        "projectId": landing.project or table.project,
        "location": "<location>",
        "jobId": f"n95-{landing.system}-<content>-1",
    }
    body = extract(table, Slice(part, 0), root, reference)
    body["configuration"]["extract"]["destinationUris"] = [f"{root}/{part}/<changed>/1/part-*.parquet"]
    asked = f"/bigquery/v2/projects/{reference['projectId']}/jobs"
    told = "the list of the table's partitions, each with when it changed; of a table without, tables.get"
    later = [
        {"place": place, "source": told}
        for place in (
            "jobReference.jobId",
            "configuration.extract.sourceTable.tableId",
            "configuration.extract.destinationUris.0",
        )
    ]
    later.append({"place": "jobReference.location", "source": "tables.get"})
    return [
        {"method": f"GET {there}", "body": {}, "later": []},
        {"method": f"GET {there}{SUMMARY}", "body": {}, "later": []},
        {"method": f"GET {there}{SUMMARY}/data", "body": {}, "later": []},
        {"method": f"POST {asked}", "body": body, "later": later},
        {"method": f"GET {asked}/{reference['jobId']}", "body": {}, "later": []},
    ]


def _notes(root: str, slices: list[Slice], there: dict[str, Place]) -> dict[Slice, Note]:
    """The notes of the slices that landed, and whose files are all there."""
    places = {part: there.get(f"{part.folder}/{NOTE}") for part in slices}
    found = contents({part.folder: place for part, place in places.items() if place is not None})
    notes = {}
    for part in slices:
        if part.folder in found:
            note = _note(found[part.folder], f"{root}/{part.folder}/{NOTE}")
            if whole(part, note, there) is not None:
                notes[part] = note
    return notes


def _note(data: bytes, where: str) -> Note:
    try:
        return msgspec.json.decode(data, type=Note)
    except msgspec.MsgspecError as error:
        do = "remove it: its slice lands again"
        raise SourceError(where, expected="what a job wrote", got=str(error), do=do) from None


def _empty(source: Source, got: str) -> SourceError:
    return SourceError(str(source), expected="rows", got=got, do="fill the table, and run again")


class _Extract(NamedTuple):
    """A job as the service knows it: its reference, whether it has ended, its error, how many files it wrote."""

    reference: dict[str, str]
    ended: bool
    error: dict[str, str]
    files: int | None


class _Warehouse:
    """BigQuery as a table is landed from it, by the client of Google."""

    def __init__(self, table: Table, landing: Landing) -> None:
        from google.cloud import bigquery

        self.table = table
        self._google = bigquery
        self._landing = landing
        self._project = landing.project or table.project
        self._location = ""
        self._client: Any = None
        self._call = Caller("bigquery", landing.patience, landing.sleep, _DO)

    def slices(self) -> tuple[list[Slice], list[str]]:
        """What the table consists of now, and what is to be told; `SourceError` for what no job can extract."""
        found = self._ask(lambda client, words: client.get_table(self._reference(""), **words), f"look at {self.table}")
        if found.table_type != "TABLE":
            raise SourceError(
                f"bigquery({str(self.table)!r})",
                expected="a table, which can be extracted",
                got=f"one of type {found.table_type}",
                do="let a scheduled query write its rows into a table, and name that one",
            )
        self._location = found.location
        buffered = found.streaming_buffer.estimated_rows if found.streaming_buffer else 0
        if not found.num_rows:
            waiting = f"none; {buffered:,} are in its streaming buffer, which no extract reads"
            raise SourceError(
                f"bigquery({str(self.table)!r})",
                expected="rows",
                got=waiting if buffered else "none",
                do="wait until the buffer is written, which takes up to 90 minutes" if buffered else "fill the table",
            )
        late = f"about {buffered:,} rows of {self.table} are in its streaming buffer, and land with a later run"
        notices = [late] if buffered else []
        if found.time_partitioning is None and found.range_partitioning is None:
            return [Slice("", (found.modified - _EPOCH) // timedelta(milliseconds=1))], notices
        parts = [part for part in self._partitions() if part.partition != STREAMING]
        return sorted(parts), notices

    def _partitions(self) -> list[Slice]:
        """The partitions, from the table of them: the client lists their names the same way, without a job."""
        what = f"list the partitions of {self.table}"
        listing = self._ask(lambda client, words: client.get_table(self._reference(SUMMARY), **words), what)
        columns = {field.name: field for field in listing.schema}
        wanted = [columns[one] for one in ("partition_id", "last_modified_time")]

        def read(client: Any, words: dict[str, Any]) -> list[Slice]:
            rows = client.list_rows(listing, selected_fields=wanted, **words)
            return [Slice(str(row["partition_id"]), int(row["last_modified_time"])) for row in rows]

        return self._ask(read, what)

    def begin(self, part: Slice, root: str) -> _Extract:
        """The job that extracts a slice: submitted, or attached to.

        One that had ended before, badly or with files that are gone, has used its name up: the next attempt is begun.
        """
        attempt = 1
        while True:
            reference = self._job_reference(job_of(self._landing.system, self.table, part, root, attempt))
            job, new = self._submit(extract(self.table, part, root, reference), part)
            over = not new and job.ended and (job.error or _lost(job, listed(f"{root}/{part.folder}")))
            if not over:
                return job
            attempt += 1

    def finish(self, part: Slice, root: str, job: _Extract) -> Note:
        """Wait for the end of a job, and write the note of its slice: it names files that have rows."""
        while not job.ended:
            self._landing.sleep(self._landing.poll)
            job = self._look(job.reference, part)
        link, what, folder = console(job.reference), f"extract of {self._named(part)}", f"{root}/{part.folder}"
        if job.error:
            said = ": ".join(filter(None, (job.error.get("reason"), job.error.get("message"))))
            raise refused("bigquery", _CODES.get(job.error.get("reason", ""), 400), said, what, link, _DO)
        there = listed(folder)
        lost = _lost(job, there)
        if lost:
            raise ServiceError(
                f"bigquery, {what}",
                expected=f"all files that the job wrote into {folder}",
                got=f"no {lost}",
                do=f"see what removes files there, and run again; the job's page: {link}",
            )
        places = {name: there[name] for name in _names(job)}
        spans = {url: span for span in spans_of(places.values(), {}) for url in (span.url, *span.same)}
        files = {
            name: (place.size, spans[place.url].sha256, place.mark)
            for name, place in places.items()
            if parquet_files.count(Part(spans[place.url].sha256, place.url))
        }
        note = Note(job.reference["jobId"], files)
        put(folder, NOTE, msgspec.json.encode(note))
        return note

    def _submit(self, body: dict[str, Any], part: Slice) -> tuple[_Extract, bool]:
        """Send a job as it was rendered; whether it is new. One that is there already is that job."""
        from google.api_core.exceptions import Conflict

        reference, said = body["jobReference"], body["configuration"]["extract"]
        rest = {name: value for name, value in said.items() if name not in ("sourceTable", "destinationUris")}
        config = self._google.ExtractJobConfig.from_api_repr({**body["configuration"], "extract": rest})

        def send(client: Any, words: dict[str, Any]) -> _Extract | None:
            try:
                job = client.extract_table(
                    self._reference(f"${part.partition}" if part.partition else ""),
                    said["destinationUris"],
                    job_id=reference["jobId"],
                    location=reference["location"],
                    project=reference["projectId"],
                    job_config=config,
                    **words,
                )
            except Conflict:
                return None
            return _told(reference, job)

        sent = self._ask(send, f"submit the extract of {self._named(part)}", console(reference))
        return (self._look(reference, part), False) if sent is None else (sent, True)

    def _look(self, reference: dict[str, str], part: Slice) -> _Extract:
        what = f"look at the extract of {self._named(part)}"
        return self._ask(lambda client, words: self._found(client, reference, words), what, console(reference))

    def _found(self, client: Any, reference: dict[str, str], words: dict[str, Any]) -> _Extract:
        """A job that is known to be there: where the service does not find it, it does not find it yet."""
        from google.api_core.exceptions import NotFound, ServiceUnavailable

        project, location = reference["projectId"], reference["location"]
        try:
            job = client.get_job(reference["jobId"], project=project, location=location, **words)
        except NotFound as error:
            raise ServiceUnavailable(str(error)) from error  # type: ignore[no-untyped-call]
        return _told(reference, job)

    def _reference(self, suffix: str) -> Any:
        dataset = self._google.DatasetReference(self.table.project, self.table.dataset)
        return self._google.TableReference(dataset, f"{self.table.name}{suffix}")

    def _job_reference(self, id: str) -> dict[str, str]:
        return {"projectId": self._project, "jobId": id, "location": self._location}

    def _named(self, part: Slice) -> str:
        return f"{self.table}, partition {part.partition}" if part.partition else str(self.table)

    def _ask(self, call: Callable[[Any, dict[str, Any]], T], what: str, link: str = "") -> T:
        """What `call` gives of the client and the words of each of its calls: asked again by us, not by the client."""
        words = {"retry": None, "timeout": CALL_SECONDS}
        return self._call(lambda: call(self._connected(), words), what, link)

    def _connected(self) -> Any:
        """The client, made when it is first asked: without credentials that is an error of the call."""
        if self._client is None:
            from google.auth.credentials import AnonymousCredentials

            nobody = AnonymousCredentials() if os.environ.get(EMULATOR) else None  # type: ignore[no-untyped-call]
            self._client = self._google.Client(project=self._project, credentials=nobody)
        return self._client


def _lost(job: _Extract, there: Mapping[str, Place]) -> str:
    """A file that an ended job says it wrote, and that is not there; "" where all are."""
    if job.files is None:
        return "word of how many they are"
    return next((name for name in _names(job) if name not in there), "")


def _names(job: _Extract) -> list[str]:
    return written(job.reference["jobId"], job.files or 0)


def _told(reference: dict[str, str], job: Any) -> _Extract:
    counts = job.destination_uri_file_counts
    files = None if counts is None else sum(counts)
    return _Extract(reference, job.state == "DONE", dict(job.error_result or {}), files)
