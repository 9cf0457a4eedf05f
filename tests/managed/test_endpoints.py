"""Releases on endpoints of Vertex AI: from the words of a command to a container that answers over HTTP, and back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.conftest import Project, trips
from tests.managed.fake_endpoints import FakeEndpoints
from tests.managed.services import GrpcServer

from ninetyfive.errors import ServiceError

TO = ("--to", "vertex")
ROW = {"trip": 1, "at": "2026-01-05T19:00:00", "zone": "airport", "distance": 3.0}
ROWS = pl.DataFrame([ROW] * 2).with_columns(pl.col("at").str.to_datetime(time_unit="us"))
LOG = "bq://my-project.requests.trips"


@pytest.fixture
def second(copied: Project) -> Project:
    """A project with two releases, the second one live."""
    copied.edit(('"max_depth": 4', '"max_depth": 2'))
    copied.load().promote(copied.run()["release"])
    return copied


def served(project: Project, *words: str) -> dict[str, Any]:
    """The document of `submit serve`."""
    said = project.command("submit", "serve", *TO, *words, "--json")
    assert said.code == 0, said.err
    return said.json


def releases(endpoints: FakeEndpoints, endpoint: str, requests: int = 100) -> Counter[str]:
    """Which releases answer so many requests of an endpoint, and how often."""
    answers = (endpoints.predict(endpoint.rpartition("/")[2], [ROW]) for _ in range(requests))
    return Counter(answer["metadata"]["release"] for answer in answers)


@pytest.mark.slow
def test_releases_share_the_traffic_and_leave_nothing(
    second: Project, endpoints: FakeEndpoints, endpoints_server: GrpcServer, tmp_path: Path
) -> None:
    new, old = [one["release"] for one in second.load().releases()]
    first = served(second, "--release", old[:12], "--traffic", "30")
    assert list(first["traffic"].values()) == [100]  # alone it gets all
    endpoint = first["endpoint"]
    answer = endpoints.predict(endpoint.rpartition("/")[2], [ROW] * 2)
    assert answer["predictions"] == second.load().predict(ROWS, release=old)["prediction"].to_list()

    canary = served(second, "--traffic", "10")
    assert (canary["release"], list(canary["traffic"].values())) == (new, [90, 10])
    assert releases(endpoints, endpoint) == {old: 90, new: 10}
    jobs = {job["id"]: job for job in second.load().jobs()}
    assert [jobs[id]["state"] for id in canary["traffic"]] == ["running", "running"]
    assert "10 % of the traffic; POST https://europe-west1-aiplatform" in jobs[canary["service_jobs"][0]]["message"]
    assert second.command("jobs", "show", canary["service_jobs"][0]).out.count("running") == 1

    assert len(endpoints_server.calls("DeployModel")) == 2
    whole = served(second, "--traffic", "100", "--keep", "1")  # deployed already: only the traffic changes
    assert (list(whole["traffic"].values()), whole["undeployed"]) == ([0, 100], [])
    assert len(endpoints_server.calls("DeployModel")) == 2
    back = served(second, "--release", old)  # the one before was kept, so that the way back is quick
    assert (list(back["traffic"].values()), back["undeployed"]) == ([100], canary["service_jobs"])
    assert releases(endpoints, endpoint, 10) == {old: 10}
    assert second.load().job(canary["service_jobs"][0])["state"] == "done"
    assert len(endpoints.machines) == 1
    again = served(second)
    assert again["service_jobs"] == [canary["service_jobs"][0][:-1] + "2"]  # its name is used up
    assert list(again["traffic"].values()) == [100]

    for job in [*again["service_jobs"], *first["service_jobs"], *canary["service_jobs"]]:
        assert second.command("jobs", "cancel", job).code == 0
    assert not (endpoints.machines)
    assert not (endpoints.endpoints)
    assert not (endpoints.models)
    assert not any(path.is_file() for path in (tmp_path / "temporary").rglob("*"))
    states = {job["id"]: job["state"] for job in second.load().jobs()}
    assert states == {
        again["service_jobs"][0]: "cancelled",
        first["service_jobs"][0]: "done",
        canary["service_jobs"][0]: "done",
    }
    assert second.load().doctor()["healthy"]


def test_a_dry_run_shows_what_is_sent(
    copied: Project, endpoints: FakeEndpoints, endpoints_server: GrpcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("submit", "serve", *TO, "--release", copied.champion())
    shown = copied.command(*words, "--dry-run", "--json").json
    assert not endpoints_server.requests
    assert (shown["estimate"]["hour"], shown["estimate"]["most"]) == (pytest.approx(0.077, abs=0.001), None)
    document = served(copied, *words[4:])
    content, number = document["service_jobs"][0].split("-")[-2], endpoints_server.calls("DeployModel")[0].body
    for request in shown["requests"]:
        message = json.loads(json.dumps(request["body"]).replace("<content>", content))
        if request["purpose"] == "deploy the model":
            message["deployedModel"]["id"] = number["deployedModel"]["id"]
        (sent,) = endpoints_server.calls(request["method"].rpartition("/")[2])
        assert message == sent.body
        assert request["later"] or request["purpose"] == "make the endpoint"
    (endpoint,) = endpoints.endpoints.values()
    assert endpoint.predict_request_response_logging_config.bigquery_destination.output_uri == LOG
    assert "without an end of its own" in copied.command(*words, "--dry-run").out
    monkeypatch.setenv("NINETYFIVE_MANAGED_VERTEX_REQUEST_LOG", "")
    served(copied)
    assert not endpoint.predict_request_response_logging_config.enabled
    assert copied.command("submit", "serve", "--to", "dataproc", "--dry-run").err.count("submit it --to vertex") == 1
    assert copied.command("submit", "serve", *TO, "--traffic", "101").code == 2


def test_a_container_that_cannot_serve_is_told_and_tried_again(
    copied: Project, endpoints: FakeEndpoints, endpoints_server: GrpcServer
) -> None:
    """The worker holds the release against its manifest: a byte that is another one is never served."""
    endpoints.spoil = lambda copy: (copy / "release" / "model.onnx").write_bytes(b"other bytes")
    with pytest.raises(ServiceError, match="never became ready") as caught:
        copied.load().submit("serve", to="vertex")
    assert "endpoints/n95-trips-" in caught.value.do
    assert "model.onnx" in next(endpoints.home.glob("*.log")).read_text()
    (job,) = copied.load().jobs()
    assert (job["state"], "never became ready" in job["message"]) == ("failed", True)
    assert not endpoints.machines
    endpoints.spoil = lambda _: None
    document = copied.load().submit("serve", to="vertex")
    assert document["service_jobs"][0].endswith("-2")
    assert [len(endpoints_server.calls(name)) for name in ("UploadModel", "CreateEndpoint", "DeployModel")] == [1, 1, 2]
    assert [job["state"] for job in copied.load().jobs()] == ["running", "failed"]
    copied.load().cancel_job(job["id"])  # model and folder are those of the attempt that serves too
    (model,) = endpoints.models.values()
    assert (Path(model.artifact_uri) / "config.json").is_file()


@pytest.mark.parametrize(
    ("method", "status", "said"),
    [
        ("UploadModel", "PERMISSION_DENIED", r"403.*aiplatform\.models\.upload.*docs/managed\.md"),
        ("GetModel", "UNAUTHENTICATED", "401.*gcloud auth"),
        ("CreateEndpoint", "RESOURCE_EXHAUSTED", "429.*quota"),
        ("DeployModel", "NOT_FOUND", r"404.*\[managed\]"),
        ("DeployModel", "UNAVAILABLE", "503.*goes on where it was"),
        ("UpdateEndpoint", "ABORTED", "409.*looks anew"),
    ],
)
def test_a_refusal_says_what_to_do_and_the_same_command_goes_on(
    copied: Project,
    endpoints: FakeEndpoints,
    endpoints_server: GrpcServer,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    status: str,
    said: str,
) -> None:
    if method == "UpdateEndpoint":
        served(copied)
        monkeypatch.setenv("NINETYFIVE_MANAGED_VERTEX_REQUEST_LOG", "bq://my-project.other.trips")
    words = "Permission 'aiplatform.models.upload' denied" if method == "UploadModel" else "its own words"
    endpoints_server.fail(method, endpoints_server.refusal(status, words))
    with pytest.raises(ServiceError, match=said) as caught:
        copied.load().submit("serve", to="vertex")
    assert words in caught.value.got
    assert list(served(copied)["traffic"].values()) == [100]
    assert copied.load().doctor()["healthy"]


@pytest.mark.slow
@pytest.mark.parametrize("point", ["job written down", "upload the model", "make the endpoint", "job submitted"])
def test_what_was_interrupted_is_gone_on_with(
    copied: Project, endpoints: FakeEndpoints, endpoints_server: GrpcServer, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints.slow = 2
    monkeypatch.setenv("NINETYFIVE_CRASH", f"raise {point}")
    assert copied.command("submit", "serve", *TO).code == 1
    monkeypatch.delenv("NINETYFIVE_CRASH")
    document = served(copied)
    assert list(document["traffic"].values()) == [100]
    (job,) = copied.load().jobs()
    assert (job["id"], job["state"]) == (document["service_jobs"][0], "running")
    assert [len(endpoints.models), len(endpoints.endpoints), len(endpoints_server.calls("DeployModel"))] == [1, 1, 1]


@pytest.mark.slow
def test_a_command_that_was_killed_while_it_deploys_can_be_taken_back(
    copied: Project, endpoints: FakeEndpoints, endpoints_server: GrpcServer
) -> None:
    command = [sys.executable, "-m", "ninetyfive.cli", "submit", "serve", *TO]
    crash = {**os.environ, "NINETYFIVE_CRASH": "kill job submitted"}
    endpoints.slow = 2
    assert subprocess.run(command, cwd=copied.folder, env=crash, check=False).returncode == -signal.SIGKILL
    (job,) = copied.load().jobs()
    assert copied.load().job(job["id"])["state"] == "pending"
    assert copied.load().cancel_job(job["id"])["state"] == "cancelled"
    assert not (endpoints.machines)
    assert not (endpoints.endpoints)
    assert not (endpoints.models)


def test_an_answer_that_was_lost_deploys_once(
    copied: Project, endpoints: FakeEndpoints, endpoints_server: GrpcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NINETYFIVE_MANAGED_PATIENCE", "0.01")
    deploy = endpoints.deploy_model

    def unheard(asked: Any) -> Any:
        answer = deploy(asked)
        if len(endpoints_server.calls("DeployModel")) == 1:
            raise endpoints_server.refusal("UNAVAILABLE", "connection reset")
        return answer

    endpoints_server.answers = {**endpoints_server.answers, endpoints_server.full("DeployModel"): unheard}
    document = served(copied)
    assert list(document["traffic"].values()) == [100]
    assert [len(endpoints.machines), len(endpoints_server.calls("DeployModel"))] == [1, 2]


def test_what_others_undeployed_is_lost(
    copied: Project, endpoints: FakeEndpoints, endpoints_server: GrpcServer
) -> None:
    document = served(copied)
    (endpoint,) = endpoints.endpoints.values()
    endpoint.deployed_models, endpoint.traffic_split = [], {}
    assert copied.load().job(document["service_jobs"][0])["state"] == "lost"
    assert served(copied)["service_jobs"][0].endswith("-2")


def test_a_table_is_served_with_its_release(
    copied: Project, endpoints: FakeEndpoints, endpoints_server: GrpcServer, tmp_path: Path
) -> None:
    trips(30, first=9_000).drop("tip", "fare").write_parquet(tmp_path / "all.parquet")
    serving = f'nf.HybridServing(population="{tmp_path}/all.parquet")'
    copied.edit(
        ('split=nf.Split("time", 0.5),', f'split=nf.Split("time", 0.5),\n    entity="zone",\n    serving={serving},')
    )
    copied.run()
    table = copied.load().tables()[0]["table"]
    document = served(copied)
    assert document["table"] == table
    answer = endpoints.predict(document["endpoint"].rpartition("/")[2], [ROW])
    assert answer["metadata"]["table"] == table
