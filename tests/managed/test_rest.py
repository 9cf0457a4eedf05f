"""The server of REST APIs that fakes stand behind: it answers by routes, and holds requests against a definition."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from google.cloud.dataproc_v1 import Batch
from google.protobuf import json_format
from tests.managed.rest import RestRefusal, RestServer, Route, no_body

JOBS = r"/v1/projects/(?P<project>[^/]+)/batches"


def check(body: dict[str, Any]) -> None:
    json_format.ParseDict(body, Batch.pb()(), ignore_unknown_fields=False)


def server() -> RestServer:
    return RestServer(
        [
            Route("POST", JOBS, check, lambda request: {"name": request.named["project"], **request.query}),
            Route("GET", JOBS, no_body, lambda _: {"batches": []}),
        ]
    )


def call(url: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_request_is_answered_recorded_and_may_be_refused() -> None:
    with server().running() as running:
        place = f"{running.url}/v1/projects/p/batches"
        body = {"pysparkBatch": {"args": ["a"]}}
        assert call(f"{place}?batchId=x", body) == (200, {"name": "p", "batchId": "x"})
        running.fail("GET", JOBS, None, RestRefusal(429, "RESOURCE_EXHAUSTED", "too much"))
        assert call(place) == (200, {"batches": []})
        assert call(place)[1]["error"]["status"] == "RESOURCE_EXHAUSTED"
        assert [(one.verb, one.body) for one in running.requests] == [("POST", body), ("GET", {}), ("GET", {})]


@pytest.mark.parametrize(("path", "body"), [("/v1/projects/p/batches", {"lanes": 3}), ("/v2/jobs", {})])
def test_a_field_or_path_that_does_not_exist_fails(path: str, body: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match=r"lanes|no such route"), server().running() as running:
        call(f"{running.url}{path}", body)
