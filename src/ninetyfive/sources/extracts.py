"""What BigQuery is asked so that a table lands: which slices of it, under which names, by which jobs. Pure.

    table ─▶ slices: (partition, when it last changed) ─▶ a folder each, and a job that fills it

        <root>/<partition or all>/<changed>/<attempt>/part-000000000000.parquet   by the job, as many as it says
        <root>/<partition or all>/<changed>/landed.json                           by us, when the job has ended well

The rule: a slice is named by when it changed, and a job by what it writes. So what has not changed is there already,
and a job that is submitted twice is one. What does not belong here: calls (`bigquery`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from ninetyfive.hashing import content_hash
from ninetyfive.sources.discovery import Place
from ninetyfive.sources.files import TABLE_NAME

ALL = "all"
"""The slice of a table that is not partitioned."""
NOTE = "landed.json"
STREAMING = "__UNPARTITIONED__"
"""Rows of a partitioned table that are still in the streaming buffer: an extract leaves them out."""
SUMMARY = "$__PARTITIONS_SUMMARY__"
"""Behind the name of a table: the table of its partitions, which is read without a job and costs nothing."""
_HASH_LETTERS = 24


class Table(NamedTuple):
    """A table by its three names."""

    project: str
    dataset: str
    name: str

    def __str__(self) -> str:
        return ".".join(self)


class Slice(NamedTuple):
    """A partition ("": the whole table), and when it last changed, in ms since 1970 as the service says it."""

    partition: str
    changed: int

    @property
    def folder(self) -> str:
        """Where it lands beneath the root of its table."""
        return f"{self.partition or ALL}/{self.changed}"


class Note(msgspec.Struct, frozen=True):
    """landed.json: the `job` that filled a slice's folder, and {path below it: [size, sha256, mark]} of its files."""

    job: str
    files: dict[str, tuple[int, str, str]]


def table_of(name: str) -> Table:
    """The table of a declared name; a project of a domain has dots too.

    >>> table_of("example.com:late.flights.days")
    Table(project='example.com:late', dataset='flights', name='days')
    """
    found = TABLE_NAME.fullmatch(name)
    assert found is not None
    return Table(*found.groups())


def job_of(system: str, table: Table, part: Slice, root: str, attempt: int) -> str:
    """The id of the job that extracts a slice: its content names it."""
    content = [*table, *part, root]
    return f"n95-{system}-{content_hash(content)[:_HASH_LETTERS]}-{attempt}"


def extract(table: Table, part: Slice, root: str, reference: dict[str, str]) -> dict[str, Any]:
    """The body of jobs.insert, as it is sent; `reference` has projectId, location, and jobId with its attempt."""
    attempt = reference["jobId"].rpartition("-")[2]
    partition = f"${part.partition}" if part.partition else ""
    return {
        "jobReference": reference,
        "configuration": {
            "extract": {
                "sourceTable": {
                    "projectId": table.project,
                    "datasetId": table.dataset,
                    "tableId": f"{table.name}{partition}",
                },
                "destinationUris": [f"{root}/{part.folder}/{attempt}/part-*.parquet"],
                "destinationFormat": "PARQUET",
                "compression": "ZSTD",
            },
            "labels": {"ninetyfive": reference["jobId"].split("-", 1)[1].rsplit("-", 2)[0]},
        },
    }


def written(job: str, count: int) -> list[str]:
    """The paths below its slice of the files that a job says it wrote: a `*` becomes their number, of 12 digits.

    >>> written("n95-late-0a-2", 2)
    ['2/part-000000000000.parquet', '2/part-000000000001.parquet']
    """
    attempt = job.rpartition("-")[2]
    return [f"{attempt}/part-{number:012}.parquet" for number in range(count)]


def whole(part: Slice, note: Note, there: Mapping[str, Place]) -> list[Place] | None:
    """The files of a slice, where all that its note names are there in their size; None where one is not."""
    found = []
    for name, (size, _, _) in note.files.items():
        place = there.get(f"{part.folder}/{name}")
        if place is None or place.size != size:
            return None
        found.append(place)
    return found


def console(reference: dict[str, str]) -> str:
    """The page of a job.

    >>> console({"projectId": "p", "location": "EU", "jobId": "n95-late-0a-1"})
    'https://console.cloud.google.com/bigquery?project=p&j=bq:EU:n95-late-0a-1&page=queryresults'
    """
    job = f"bq:{reference['location']}:{reference['jobId']}"
    return f"https://console.cloud.google.com/bigquery?project={reference['projectId']}&j={job}&page=queryresults"
