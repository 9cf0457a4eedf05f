"""BigQuery as a state machine: tables with partitions, and extract jobs that write Parquet into a real bucket.

    jobs.insert ─▶ PENDING ─ get ─▶ RUNNING ─ get ─▶ DONE: files written, or an errorResult

The definition is the v2 API's own, as Beam's client has it from discovery: each body and each query that comes is put
into its messages, and each answer too; a field that does not exist fails.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam.io.gcp.internal.clients.bigquery.bigquery_v2_messages as definition
import fsspec
import polars as pl
from apitools.base.protorpclite.messages import Message
from apitools.base.py import encoding
from tests.managed.rest import RestRefusal, RestRequest, RestServer, Route, no_body

V2 = "/bigquery/v2/projects/(?P<project>[^/]+)"
TABLE = f"{V2}/datasets/(?P<dataset>[^/]+)/tables/(?P<table>[^/]+)"
JOBS, JOB = f"{V2}/jobs", f"{V2}/jobs/(?P<job>[^/]+)"
SUMMARY = "$__PARTITIONS_SUMMARY__"
_ANY_CALL = {"prettyPrint", "projection"}  # the client adds them to each call; the service takes both


def check(body: dict[str, Any], name: str) -> None:
    """Fail where a field of a body, at any depth, is none of its message."""

    def unknown(message: Message, at: str) -> Iterator[str]:
        yield from (f"{at}.{name}" for name in message.all_unrecognized_fields() if not at.endswith("labels"))
        for known in message.all_fields():
            value = getattr(message, known.name)
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, Message):
                    yield from unknown(one, f"{at}.{known.name}")

    found = list(unknown(encoding.DictToMessage(body, getattr(definition, name)), name))
    assert not found, found


def refusal(code: int, reason: str, message: str) -> RestRefusal:
    """A refusal as BigQuery words it."""
    refused = RestRefusal(code, "", message)
    refused.document = {"error": {"code": code, "message": message, "errors": [{"reason": reason, "message": message}]}}
    return refused


@dataclass
class FakeTable:
    """A table: `parts` {partition, or "": (when it changed in ms, rows)}; `buffered` rows are in the stream."""

    parts: dict[str, tuple[int, pl.DataFrame]]
    type: str = "TABLE"
    buffered: int = 0

    @property
    def document(self) -> dict[str, Any]:
        """What tables.get says."""
        told: dict[str, Any] = {
            "type": self.type,
            "location": "EU",
            "numRows": str(sum(rows.height for _, rows in self.parts.values())),
            "lastModifiedTime": str(max((changed for changed, _ in self.parts.values()), default=1)),
        }
        if "" not in self.parts:
            told["timePartitioning"] = {"type": "DAY", "field": "at"}
        if self.buffered:
            told["streamingBuffer"] = {"estimatedRows": str(self.buffered), "estimatedBytes": "1"}
        return told


@dataclass
class FakeBigQuery:
    """The fake: `tables` by "project.dataset.table", jobs by id; `failing`: what a job of a table ends with."""

    tables: dict[str, FakeTable] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    failing: dict[str, dict[str, str]] = field(default_factory=dict)
    file_rows: int = 1000
    counts: list[str] | None = field(default_factory=list)  # what an extract says it wrote; []: the truth
    inserted: Callable[[], None] = lambda: None
    server: RestServer = field(init=False)

    def __post_init__(self) -> None:
        routes = [
            Route("GET", f"{TABLE}/data", no_body, self.list_rows),
            Route("GET", TABLE, no_body, self.get_table),
            Route("POST", JOBS, lambda body: check(body, "Job"), self.insert),
            Route("GET", JOB, no_body, self.get_job),
        ]
        self.server = RestServer(routes)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The jobs that were asked for, in order; one that was asked for twice stands twice."""
        return [one.body for one in self.server.requests if one.verb == "POST"]

    def get_table(self, asked: RestRequest) -> dict[str, Any]:
        name, _, suffix = asked.named["table"].partition("$")
        table = self._table(asked, name)
        reference = {"projectId": asked.named["project"], "datasetId": asked.named["dataset"]}
        told = {**table.document, "tableReference": {**reference, "tableId": asked.named["table"]}}
        if suffix:
            columns = {
                "project_id": "STRING",
                "partition_id": "STRING",
                "creation_time": "INTEGER",
                "last_modified_time": "INTEGER",
            }
            told["schema"] = {"fields": [{"name": one, "type": kind} for one, kind in columns.items()]}
        return answered(asked, told, "BigqueryTablesGetRequest", "Table")

    def list_rows(self, asked: RestRequest) -> dict[str, Any]:
        assert asked.named["table"].endswith(SUMMARY)
        table = self._table(asked, asked.named["table"].removesuffix(SUMMARY))
        wanted = asked.query["selectedFields"].split(",")
        rows = [
            {"f": [{"v": {"partition_id": name, "last_modified_time": str(changed)}[one]} for one in wanted]}
            for name, (changed, _) in table.parts.items()
        ]
        start = int(asked.query.get("pageToken", "0"))
        told: dict[str, Any] = {"totalRows": str(len(rows)), "rows": rows[start : start + 2]}  # pages of two
        if start + 2 < len(rows):
            told["pageToken"] = str(start + 2)
        return answered(asked, told, "BigqueryTabledataListRequest", "")

    def insert(self, asked: RestRequest) -> dict[str, Any]:
        id = asked.body["jobReference"]["jobId"]
        if id in self.jobs:
            raise refusal(409, "duplicate", f"Already Exists: Job {asked.named['project']}:EU.{id}")
        said = asked.body["configuration"]["extract"]
        source = said["sourceTable"]
        self._table(asked, source["tableId"].partition("$")[0], source)
        assert said["destinationFormat"] == "PARQUET"
        assert said["compression"] in ("NONE", "SNAPPY", "GZIP", "ZSTD")
        assert asked.body["jobReference"]["location"] == "EU"
        self.jobs[id] = {**asked.body, "status": {"state": "PENDING"}}
        self.inserted()
        return answered(asked, self.jobs[id], "BigqueryJobsInsertRequest", "Job")

    def get_job(self, asked: RestRequest) -> dict[str, Any]:
        job = self.jobs.get(asked.named["job"])
        if job is None or asked.query["location"] != "EU":
            raise refusal(404, "notFound", f"Not found: Job {asked.named['job']}")
        state = job["status"]["state"]
        if state == "PENDING":
            job["status"] = {"state": "RUNNING"}
        elif state == "RUNNING":
            self._end(job)
        return answered(asked, job, "BigqueryJobsGetRequest", "Job")

    def _end(self, job: dict[str, Any]) -> None:
        said = job["configuration"]["extract"]
        source = said["sourceTable"]
        name, _, partition = source["tableId"].partition("$")
        error = self.failing.get(source["tableId"])
        if error is not None:
            half = said["destinationUris"][0].replace("*", f"{0:012}")
            fsspec.filesystem("gs", use_listings_cache=False).pipe_file(half, b"PAR1 and no more")
            job["status"] = {"state": "DONE", "errorResult": error, "errors": [error]}
            return
        _, rows = self.tables[f"{source['projectId']}.{source['datasetId']}.{name}"].parts[partition]
        (pattern,) = said["destinationUris"]
        assert pattern.count("*") == 1
        system = fsspec.filesystem("gs", use_listings_cache=False)
        count = max(1, -(-rows.height // self.file_rows))
        for number in range(count):
            stream = io.BytesIO()
            rows.slice(number * self.file_rows, self.file_rows).write_parquet(stream, compression="zstd")
            system.pipe_file(pattern.replace("*", f"{number:012}"), stream.getvalue())
        job["status"] = {"state": "DONE"}
        counts = [str(count)] if self.counts == [] else self.counts
        job["statistics"] = {"extract": {} if counts is None else {"destinationUriFileCounts": counts}}

    def _table(self, asked: RestRequest, name: str, source: dict[str, str] | None = None) -> FakeTable:
        place = source or {"projectId": asked.named["project"], "datasetId": asked.named["dataset"]}
        full = f"{place['projectId']}.{place['datasetId']}.{name}"
        if full not in self.tables:
            raise refusal(404, "notFound", f"Not found: Table {full}")
        return self.tables[full]


def answered(asked: RestRequest, told: dict[str, Any], takes: str, gives: str) -> dict[str, Any]:
    """An answer, once the query that asked for it and the answer were held against the definition."""
    known = {one.name.replace("_", ".") for one in getattr(definition, takes).all_fields()}
    assert set(asked.query) <= known | _ANY_CALL, asked.query
    if gives:
        check(told, gives)
    return told
