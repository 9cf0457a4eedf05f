"""A table of BigQuery lands: by the official client over HTTP, in a real bucket, and is then files."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import polars as pl
import pytest
from tests.conftest import Project
from tests.sources.fake_bigquery import JOB, JOBS, TABLE, FakeBigQuery, FakeTable, refusal

from ninetyfive.errors import DeclarationError, ServiceError, SettingsError, SourceError
from ninetyfive.sources.bigquery import land_bigquery, requests
from ninetyfive.sources.extracts import Slice, extract, job_of, table_of
from ninetyfive.sources.files import bigquery, request_log
from ninetyfive.sources.landing import Landed, Landing
from ninetyfive.sources.readers import reader_of

NAME = "my-project.late.flights"
SOURCE = bigquery(NAME, id="key")


def rows(first: int, count: int = 3) -> pl.DataFrame:
    return pl.DataFrame({"key": range(first, first + count), "distance": [float(n) for n in range(count)]})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBigQuery]:
    """A server with a table of three partitions; the client is led to it."""
    made = FakeBigQuery()
    days = {f"2026010{day}": (1_000 + day, rows(10 * day)) for day in (1, 2, 3)}
    made.tables[NAME] = FakeTable({**days, "__UNPARTITIONED__": (9, rows(0, 0))})
    with made.server.running() as server:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        yield made


@pytest.fixture
def landing(bucket: str) -> Landing:
    return Landing(f"{bucket}/{secrets.token_hex(8)}", "late", poll=0.0, patience=5.0, sleep=lambda _: None)


def keys(landed: Landed) -> list[int]:
    reader = reader_of(SOURCE)
    return sorted(key for file in landed.files for frame in reader.read(file.part) for key in frame["key"])


def test_each_partition_lands_once_and_again_when_it_has_changed(fake: FakeBigQuery, landing: Landing) -> None:
    told: list[str] = []
    landing = replace(landing, tell=told.append)
    first = land_bigquery(SOURCE, landing)
    assert told == [f"extracting 3 of 3 partitions of {NAME}: what has changed since it landed"]
    assert keys(first) == [10, 11, 12, 20, 21, 22, 30, 31, 32]
    assert sorted(body["configuration"]["extract"]["sourceTable"]["tableId"] for body in fake.bodies) == [
        f"flights$2026010{day}" for day in (1, 2, 3)
    ]
    assert land_bigquery(SOURCE, landing) == first
    assert len(fake.bodies) == 3  # nothing changed, nothing was extracted

    parts = fake.tables[NAME].parts
    parts["20260102"] = (2_000, rows(70))
    parts["20260104"] = (1_004, rows(40, 1))
    del parts["20260103"]
    second = land_bigquery(SOURCE, landing)
    assert keys(second) == [10, 11, 12, 40, 70, 71, 72]
    assert len(fake.bodies) == 5
    there = fsspec.filesystem("gs").find(landing.root(SOURCE))
    assert len(there) == 2 * 3
    assert not [path for path in there if "/20260103/" in path or "/1002/" in path]


def test_a_table_without_partitions_lands_whole_in_as_many_files_as_the_job_says(
    fake: FakeBigQuery, landing: Landing
) -> None:
    fake.tables[NAME] = FakeTable({"": (5, rows(0, 7))}, buffered=4)
    fake.file_rows = 3
    landed = land_bigquery(SOURCE, landing)
    assert len(landed.files) == 3
    assert keys(landed) == list(range(7))
    assert landed.notices == (
        "about 4 rows of my-project.late.flights are in its streaming buffer, and land with a later run",
    )
    system = fsspec.filesystem("gs")
    system.rm_file(landed.files[0].url)  # what somebody removed lands again, under the next name
    assert keys(land_bigquery(SOURCE, landing)) == list(range(7))
    assert [body["jobReference"]["jobId"][-2:] for body in fake.bodies] == ["-1", "-1", "-2"]


def test_partitions_of_which_every_row_was_deleted_are_no_files(fake: FakeBigQuery, landing: Landing) -> None:
    fake.tables[NAME] = FakeTable({"20260101": (1, rows(0)), "20260102": (2, rows(0, 0))})
    for _ in range(2):
        assert keys(land_bigquery(SOURCE, landing)) == [0, 1, 2]
    assert len(fake.bodies) == 2


def test_the_job_is_sent_as_it_was_rendered(fake: FakeBigQuery, landing: Landing) -> None:
    fake.tables[NAME] = FakeTable({"20260101": (1_001, rows(0))})
    land_bigquery(SOURCE, landing)
    table, root = table_of(NAME), landing.root(SOURCE)
    part = Slice("20260101", 1_001)
    reference = {"projectId": "my-project", "jobId": job_of("late", table, part, root, 1), "location": "EU"}
    assert extract(table, part, root, reference) in fake.bodies
    asked = [(one.verb, one.path) for one in fake.server.requests]
    shown = [one["method"].split(" ", 1) for one in requests(SOURCE, landing)]
    assert [(verb, path) for verb, path in shown[:4]] == [*dict.fromkeys(asked)][:4]
    (rendered,) = [one for one in requests(SOURCE, landing) if one["body"]]
    assert {one["place"] for one in rendered["later"]} == {
        "jobReference.jobId",
        "jobReference.location",
        "configuration.extract.sourceTable.tableId",
        "configuration.extract.destinationUris.0",
    }
    assert rendered["body"].keys() == fake.bodies[0].keys()


def test_what_is_too_much_or_away_is_asked_again(fake: FakeBigQuery, landing: Landing) -> None:
    fake.tables[NAME] = FakeTable({"": (5, rows(0))})
    fake.server.fail("GET", TABLE, refusal(503, "backendError", "Try again."))
    fake.server.fail("POST", JOBS, refusal(403, "rateLimitExceeded", "Exceeded rate limits."), None)
    fake.server.fail("GET", JOB, refusal(429, "quotaExceeded", "Quota."), None)
    assert keys(land_bigquery(SOURCE, landing)) == [0, 1, 2]
    assert len(fake.jobs) == 1


REFUSED: list[tuple[str, str, int, str, str]] = [
    ("GET", TABLE, 403, "accessDenied", "permissions of BigQuery that docs/managed.md lists"),
    ("GET", f"{TABLE}/data", 403, "accessDenied", "permissions of BigQuery"),
    ("POST", JOBS, 403, "accessDenied", "console.cloud.google.com/bigquery?project=my-project&j=bq:EU:n95-late-"),
    ("GET", JOB, 404, "notFound", "wait, and give the same command again"),
]


@pytest.mark.parametrize(("verb", "path", "code", "reason", "told"), REFUSED)
def test_what_stays_refused_is_told_in_the_words_of_the_service(
    fake: FakeBigQuery, landing: Landing, verb: str, path: str, code: int, reason: str, told: str
) -> None:
    fake.server.fail(verb, path, *[refusal(code, reason, "Access Denied: for a reason.")] * 8)
    with pytest.raises(ServiceError, match=r"(?s)bigquery, .*for a reason") as raised:
        land_bigquery(SOURCE, landing)
    assert told in str(raised.value)


def test_a_job_that_failed_is_told_with_its_page_and_the_next_run_takes_the_next_name(
    fake: FakeBigQuery, landing: Landing
) -> None:
    del fake.tables[NAME].parts["20260103"]
    fake.failing["flights$20260102"] = {"reason": "accessDenied", "message": "Permission denied while writing data."}
    with pytest.raises(ServiceError) as raised:
        land_bigquery(SOURCE, landing)
    for told in ("flights, partition 20260102", "accessDenied: Permission denied while writing", "j=bq:EU:n95-late-"):
        assert told in str(raised.value)
    fake.failing.clear()
    assert len(keys(land_bigquery(SOURCE, landing))) == 6
    assert sorted(id[-2:] for id in fake.jobs) == ["-1", "-1", "-2"]
    there = fsspec.filesystem("gs").find(landing.root(SOURCE))
    assert [path.split("/")[-2] for path in there if path.endswith(".parquet")] == [
        "1",
        "2",
    ]  # no half of the failed one


@pytest.mark.parametrize("counts", [None, ["2"]])
def test_files_that_a_job_does_not_account_for_never_count(
    fake: FakeBigQuery, landing: Landing, counts: list[str] | None
) -> None:
    fake.tables[NAME] = FakeTable({"": (5, rows(0))})
    fake.counts = counts
    with pytest.raises(ServiceError, match="all files that the job wrote into gs://"):
        land_bigquery(SOURCE, landing)
    assert not [path for path in fsspec.filesystem("gs").find(landing.root(SOURCE)) if path.endswith(".json")]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (FakeTable({"": (1, rows(0))}, type="VIEW"), "type VIEW. To do: let a scheduled query"),
        (FakeTable({"": (1, rows(0))}, type="EXTERNAL"), "type EXTERNAL"),
        (FakeTable({"": (1, rows(0, 0))}), "got none. To do: fill the table"),
        (FakeTable({}, buffered=5), "none; 5 are in its streaming buffer, which no extract reads"),
    ],
)
def test_what_no_job_can_extract_is_told(fake: FakeBigQuery, landing: Landing, table: FakeTable, told: str) -> None:
    fake.tables[NAME] = table
    with pytest.raises(SourceError) as raised:
        land_bigquery(SOURCE, landing)
    assert told in str(raised.value)
    assert not fake.bodies


@pytest.mark.parametrize("name", ["flights", "late.flights", "p.d.flights$20260101", "p.d.events_*", "", 3])
def test_a_name_that_is_no_table_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match=r"project\.dataset\.table"):
        bigquery(name)


def test_labels_do_not_land() -> None:
    with pytest.raises(DeclarationError, match="a file of ids and labels"):
        request_log("log", labels=SOURCE)


def test_nobody_is_logged_in_and_there_is_no_bucket(
    project: Project, landing: Landing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = 'nf.parquet("data/*.parquet", time="at", id="trip")'
    project.edit((source, f'nf.bigquery("{NAME}", time="at", id="trip")'))
    with pytest.raises(SettingsError, match="where BigQuery writes rows"):
        project.run()
    for name in ("BIGQUERY_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(ServiceError, match="gcloud auth application-default login"):
        land_bigquery(SOURCE, landing)


DIES = """
import sys
from ninetyfive.sources.bigquery import land_bigquery
from ninetyfive.sources.files import bigquery
from ninetyfive.sources.landing import Landing
land_bigquery(bigquery(sys.argv[1], id="key"), Landing(sys.argv[2], "late", poll=0.01))
"""


@pytest.mark.slow
def test_a_process_that_is_killed_once_the_job_is_there_leaves_one_job(fake: FakeBigQuery, landing: Landing) -> None:
    fake.tables[NAME] = FakeTable({"": (5, rows(0))})
    with subprocess.Popen([sys.executable, "-c", DIES, NAME, landing.folder]) as child:
        fake.inserted = child.kill  # before it is answered
        assert child.wait(60) < 0
    assert keys(land_bigquery(SOURCE, landing)) == [0, 1, 2]
    assert len(fake.jobs) == 1
    assert len(fake.bodies) == 2


@pytest.mark.slow
def test_a_run_reads_the_table_and_the_next_one_nothing(
    project: Project,
    fake: FakeBigQuery,
    landing: Landing,
    trips: Callable[..., pl.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = FakeTable({"20260101": (1, trips(600)), "20260102": (1, trips(600, first=600))})
    fake.tables[NAME] = table
    monkeypatch.setenv("NINETYFIVE_MANAGED_TEMPORARY", landing.folder)
    monkeypatch.setenv("NINETYFIVE_MANAGED_POLL", "0.01")
    source = 'nf.parquet("data/*.parquet", time="at", id="trip")'
    project.edit((source, f'nf.bigquery("{NAME}", time="at", id="trip")'))
    first = project.run()
    assert first["rows"]["read"] == first["rows"]["accepted"] == 1_200
    assert len(fake.bodies) == 2
    again = project.run()
    assert (again["rows"]["read"], again["release"]) == (0, first["release"])
    table.parts["20260102"] = (2, trips(700, first=600))  # a partition that was written again replaces what it was
    third = project.run()
    assert (third["rows"]["read"], third["window"]["rows"]) == (700, 1_300)
    said = project.command("run", "--dry-run", "--json")
    assert said.json["requests"][3]["body"]["configuration"]["extract"]["destinationFormat"] == "PARQUET"
    assert len(fake.bodies) == 3
