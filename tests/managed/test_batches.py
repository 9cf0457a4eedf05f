"""Batch prediction on Vertex AI: the file of answers is that of `ninetyfive predict`, whatever happens on the way."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.conftest import Project, trips
from tests.managed.commands import killed
from tests.managed.fake_endpoints import FakeEndpoints
from tests.managed.services import GrpcServer

from ninetyfive.engines.shipping import unpack_error
from ninetyfive.errors import ServiceError
from ninetyfive.managed.packing import ERROR, Place
from ninetyfive.managed.vertex_rows import Batch, write_instances
from ninetyfive.steps.predict import Rows
from ninetyfive.store.records import Job

TO = ("--to", "vertex")


@pytest.fixture
def asked(copied: Project, tmp_path: Path) -> list[str]:
    """The words of a batch prediction of 600 rows, of which two break the schema and some lack an input."""
    rows = trips(600, first=5_000).drop("tip", "fare")
    odd = pl.col("trip").is_in([5_003, 5_500])
    rows = rows.with_columns(
        distance=pl.when(pl.col("trip") == 5_004).then(float("nan")).otherwise("distance"),
        zone=pl.when(odd).then(pl.lit("9" * 5)).otherwise("zone"),
        trip=pl.when(odd).then(None).otherwise("trip"),
    )
    rows.write_parquet(tmp_path / "new.parquet")
    return ["predict", str(tmp_path / "new.parquet"), str(tmp_path / "there.parquet")]


def answered(project: Project, asked: list[str]) -> dict[str, Any]:
    said = project.command("submit", *asked, *TO, "--json")
    assert said.code in (0, 3), said.err
    return said.json


@pytest.mark.slow
def test_the_answers_are_those_of_here(
    copied: Project, endpoints: FakeEndpoints, endpoints_server: GrpcServer, asked: list[str], tmp_path: Path
) -> None:
    here = copied.load().predict_file(asked[1], tmp_path / "here.parquet")
    there = answered(copied, asked)
    assert here["rows"] == there["rows"] == {"answered": 598, "unanswered": 0, "rejected": 2}
    for name in ("{}.parquet", "{}.rejected.parquet"):
        one, other = (pl.read_parquet(tmp_path / name.format(place)) for place in ("here", "there"))
        assert one.equals(other)
    assert there["notices"] == here["notices"]
    (job,) = copied.load().jobs()
    assert (job["state"], job["purpose"], [job["id"]]) == ("done", "predict: 598 rows", there["service_jobs"])
    assert "vertex-ai/locations/europe-west1/batch-predictions/1" in job["link"]
    assert not any((tmp_path / "temporary" / "jobs").iterdir())
    assert not (endpoints.models)
    assert not (endpoints.machines)


def test_a_dry_run_shows_the_one_call_that_is_sent(
    copied: Project, endpoints: FakeEndpoints, endpoints_server: GrpcServer, asked: list[str]
) -> None:
    shown = copied.command("submit", *asked, *TO, "--dry-run", "--json").json
    assert not endpoints_server.requests
    content = answered(copied, asked)["service_jobs"][0].split("-")[-2]
    (request,) = shown["requests"]
    (sent,) = endpoints_server.calls("CreateBatchPredictionJob")
    assert json.loads(json.dumps(request["body"]).replace("<content>", content)) == sent.body
    assert "batchPredictionJob.displayName" in {later["place"] for later in request["later"]}
    assert shown["estimate"]["most"] is None


def test_rows_that_are_not_answered_end_it(
    copied: Project,
    endpoints: FakeEndpoints,
    endpoints_server: GrpcServer,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ninetyfive.managed.vertex_verbs.BATCH", 22)  # the container takes no more than 88 rows at once
    with pytest.raises(ServiceError, match=r"none for 512 of them, and .*at most 88 rows") as caught:
        copied.load().submit("predict", to="vertex", input=asked[1], output=asked[2])
    assert "an answer for each of 598 rows" in caught.value.expected
    assert not Path(asked[2]).exists()
    monkeypatch.undo()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["job submitted", "job polled"])
def test_a_command_that_was_killed_is_gone_on_from(
    copied: Project, endpoints: FakeEndpoints, endpoints_server: GrpcServer, asked: list[str], point: str
) -> None:
    words = ["submit", *asked, *TO]
    assert killed(words, copied.folder, NINETYFIVE_CRASH=f"kill {point}", PYTHONHASHSEED="1") == -signal.SIGKILL
    assert answered(copied, asked)["rows"]["answered"] == 598
    assert len(endpoints_server.calls("CreateBatchPredictionJob")) == 1


def test_a_batch_is_cancelled_and_submitted_anew(
    copied: Project,
    endpoints: FakeEndpoints,
    endpoints_server: GrpcServer,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NINETYFIVE_CRASH", "raise job submitted")
    assert copied.command("submit", *asked, *TO).code == 1
    monkeypatch.delenv("NINETYFIVE_CRASH")
    (job,) = copied.load().jobs()
    assert copied.load().cancel_job(job["id"])["state"] == "cancelled"
    assert not endpoints.machines
    endpoints.spoil = lambda copy: (copy / "config.json").unlink()
    with pytest.raises(ServiceError, match="never became ready"):
        copied.load().submit("predict", to="vertex", input=asked[1], output=asked[2])
    endpoints.spoil = lambda _: None
    assert answered(copied, asked)["service_jobs"][0].endswith("-3")
    assert [one["state"] for one in copied.load().jobs()] == ["done", "failed", "cancelled"]


def test_an_answer_that_was_lost_makes_no_second_job(
    copied: Project,
    endpoints: FakeEndpoints,
    endpoints_server: GrpcServer,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The service makes one a call: so it is looked for before each try."""
    monkeypatch.setenv("NINETYFIVE_MANAGED_PATIENCE", "0.01")

    def unheard(sent: Any) -> Any:
        endpoints.create_job(sent)
        raise endpoints_server.refusal("UNAVAILABLE", "connection reset")

    endpoints_server.answers = {**endpoints_server.answers, endpoints_server.full("CreateBatchPredictionJob"): unheard}
    assert answered(copied, asked)["rows"]["answered"] == 598
    assert len(endpoints.jobs) == 1


def test_answers_of_many_classes_come_in_the_order_of_the_rows(tmp_path: Path) -> None:
    frame = pl.DataFrame({"at": pl.Series([0, 1, 2]).cast(pl.Datetime("us")), "raw": [b"\xff", None, b"7"]})

    class Three(Rows):
        def frames(self) -> Any:
            yield from (frame.clear(), frame[:2], frame[2:])

    first = write_instances(Three((), tuple(frame.schema.items())), tmp_path / "instances")
    assert first == write_instances(Three((), tuple(frame.schema.items())), tmp_path / "again")
    (path,) = (tmp_path / "instances").iterdir()
    sent = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["__row"] for row in sent] == ["0", "1", "2"]
    assert (sent[0]["raw"], "raw" in sent[1]) == ({"b64": "/w=="}, False)

    place = Place(str(tmp_path / "job"))
    batch = Batch("n95-late-0a-1", place, "", "late", tmp_path, tmp_path, 3, ("a", "b"), None)  # type: ignore[arg-type]
    done = [Job(id=batch.id, service="vertex", name="", state="done")]
    lines = [{"key": "2", "prediction": {"b": 0.25, "a": 0.75}}, {"key": "0", "prediction": None}]
    place.write(f"{batch.id}/answers/x/prediction.results-1", "\n".join(map(json.dumps, lines)).encode())
    assert batch.results(done) is None
    assert "none for 1 of them, and no word of why" in unpack_error(place.read(f"{batch.id}/{ERROR}") or b"").got
    odd = (
        '{"key": "3", "prediction": null}',
        '{"prediction": {}}',
        '{"key": "1", "prediction": {"a": 7}}',
        '{"key": "1", "pre',
    )
    for line in (*odd, '{"key": "1", "prediction": NaN}', '{"key": "1", "prediction": 7}'):
        place.write(f"{batch.id}/answers/x/prediction.results-2", line.encode())
        assert batch.results(done) is None
        assert f"none for 1 of them, and {line}" in unpack_error(place.read(f"{batch.id}/{ERROR}") or b"").got
    place.write(f"{batch.id}/answers/x/predictions_0002.jsonl", b'{"key": "1", "prediction": {"a": 1, "b": 0.0}}\n')
    found = batch.results(done)
    assert found is not None
    np.testing.assert_equal(found, [[np.nan, np.nan], [1.0, 0.0], [0.75, 0.25]])
