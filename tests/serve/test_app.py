"""One endpoint, three paradigms, three protocols: what a client gets, and what is logged of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.serve.conftest import EARLY, PREDICT, ROW, Made, Start

from ninetyfive.serve.messages import Limits, Policy

pytestmark = pytest.mark.slow
FAR = {**ROW, "distance": 9.0}
OTHER = {**ROW, "zone": "harbour"}


def test_a_dynamic_service_answers_by_the_model_and_names_what_answered(start: Start, made: Made) -> None:
    service = start()
    answer = service.predict(ROW, FAR, X_Request_Id="mine")
    assert answer.status == 200
    assert answer.json["predictions"] == [made.answer(ROW), made.answer(FAR)]
    told = answer.json["metadata"]
    assert (told["release"], told["table"], told["as_of"], told["sources"]) == (made.hash, None, None, ["model"] * 2)
    assert answer.headers["x-request-id"] == "mine"
    first, second = service.records()
    assert (first.id, second.id) == (f"{told['id']}-0", f"{told['id']}-1")
    assert (first.client_id, first.answer, first.source, first.release) == (
        "mine",
        made.answer(ROW),
        "model",
        made.hash,
    )
    assert first.row == tuple(made.opened.request.row(ROW).values())
    assert first.fingerprint != second.fingerprint


def test_columns_are_answered_as_columns(start: Start, made: Made) -> None:
    service = start()
    columns = {name: [row[name] for row in (ROW, FAR)] for name in ROW}
    answer = service.ask("POST", PREDICT, {"inputs": columns, "signature_name": "serving_default"})
    assert answer.json["outputs"] == [made.answer(ROW), made.answer(FAR)]


def test_a_static_service_answers_from_its_table(start: Start, made: Made, table: Callable[..., Path]) -> None:
    service = start(Policy(paradigm="static"), table(ROW))
    answer = service.predict(ROW)
    assert answer.json["predictions"] == [made.answer(ROW)]
    told = answer.json["metadata"]
    assert (told["sources"], told["as_of"], told["table"]) == (["table"], EARLY, service.config.live.table)
    stale = service.predict(FAR)
    assert (stale.json["predictions"], stale.json["metadata"]["stale"]) == ([made.answer(ROW)], 1)
    missing = service.predict(OTHER)
    assert missing.status == 404
    assert "$.instances[0]: the table does not hold this entity" in missing.json["error"]
    assert [record.source for record in service.records()] == ["table", "table"]


def test_a_static_service_keeps_its_policies(start: Start, made: Made, table: Callable[..., Path]) -> None:
    service = start(Policy(paradigm="static", on_missing=0.25, on_change="refuse", on_outside=0.5), table(ROW))
    assert service.predict(FAR).status == 409
    missing = service.predict(OTHER)
    assert (missing.json["predictions"], missing.json["metadata"]["sources"]) == ([0.25], ["default"])
    outside = service.predict({**ROW, "trip": 2_000_000})
    assert (outside.json["predictions"], outside.json["metadata"]["sources"]) == ([0.5], ["default"])


def test_a_static_service_with_an_old_table_or_none_refuses(start: Start, table: Callable[..., Path]) -> None:
    old = start(Policy(paradigm="static", max_age=60), table(ROW))
    assert (old.predict(ROW).status, old.predict(ROW).headers["retry-after"]) == (503, "60")
    none = start(Policy(paradigm="static"))
    assert none.predict(ROW).status == 503


def test_a_hybrid_service_asks_table_then_cache_then_model(
    start: Start, made: Made, table: Callable[..., Path]
) -> None:
    service = start(Policy(paradigm="hybrid", cache=10), table(ROW))
    asked = [ROW, FAR, OTHER, FAR, {**FAR, "trip": 9}]
    answers = [service.predict(row).json for row in asked]
    assert [one["predictions"][0] for one in answers] == [made.answer(row) for row in asked]
    sources = [one["metadata"]["sources"][0] for one in answers]
    assert sources == ["table", "model", "model", "cache", "cache"]
    assert [record.source for record in service.records()] == sources


def test_an_entity_is_looked_up_alone_and_may_be_cached(start: Start, made: Made, table: Callable[..., Path]) -> None:
    service = start(Policy(paradigm="hybrid"), table(ROW))
    path = "/v1/models/trips/entities/"
    found = service.ask("GET", path + "airport")
    assert (found.status, found.json["prediction"]) == (200, made.answer(ROW))
    assert found.headers["cache-control"] == "public, max-age=60"
    again = service.ask("GET", path + "airport", headers={"If-None-Match": found.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == found.headers["etag"]
    assert "content-length" not in again.headers
    assert service.ask("GET", path + "harbour").status == 404
    assert service.ask("GET", path + "a,b").status == 400
    assert service.ask("GET", path + "%ff").status == 400
    for other in ("far/entities/airport", "far%2Fentities%2Fairport", "airport%0Afar"):  # another entity, all of it
        assert "table does not hold" in service.ask("GET", path + other).json["error"]
    (record,) = service.records()
    assert (record.id, record.row) == (found.json["metadata"]["id"], (None,) * len(ROW))


def test_open_inference_is_spoken(start: Start, made: Made) -> None:
    service = start()
    types = {"trip": "INT64", "at": "BYTES", "zone": "BYTES", "distance": "FP64"}
    tensors = [
        {"name": name, "shape": [2], "datatype": types[name], "data": [row[name] for row in (ROW, FAR)]} for name in ROW
    ]
    answer = service.ask("POST", "/v2/models/trips/infer", {"id": "mine", "inputs": tensors})
    assert answer.status == 200, answer.body
    (output,) = answer.json["outputs"]
    assert (answer.json["id"], output["data"], output["shape"]) == ("mine", [made.answer(ROW), made.answer(FAR)], [2])
    assert answer.json["parameters"]["release"] == made.hash
    described = service.ask("GET", "/v2/models/trips/versions/1").json
    assert {one["name"]: one["datatype"] for one in described["inputs"]} == types
    for wrong, where in (
        ({"inputs": [{**tensors[0], "datatype": "FP32"}]}, "$.inputs[0].datatype"),
        ({"inputs": [{**tensors[0], "shape": [3]}]}, "$.inputs[0].data"),
        ({"inputs": [tensors[0], tensors[0]]}, "$.inputs[1].name"),
        ({"inputs": [{**tensors[0], "data": ["x", "y"]}]}, "$.inputs[*].data[0].trip"),
        ({"inputs": tensors, "outputs": [{"name": "other"}]}, "$.outputs[0].name"),
        ({"inputs": []}, "$.inputs"),
    ):
        refused = service.ask("POST", "/v2/models/trips/infer", wrong)
        assert refused.status == 400
        assert refused.json["error"].startswith(where), refused.json


def test_versions_and_labels_name_what_is_served(start: Start, made: Made) -> None:
    service = start()
    for version in ("versions/1", f"versions/{made.hash}", f"versions/{made.hash[:12]}", "labels/champion"):
        assert service.ask("POST", f"/v1/models/trips/{version}:predict", {"instances": [ROW]}).status == 200
        state = service.ask("GET", f"/v1/models/trips/{version}").json["model_version_status"][0]
        assert (state["version"], state["state"]) == ("1", "AVAILABLE")
    for version in ("versions/2", "labels/canary"):
        assert service.ask("POST", f"/v1/models/trips/{version}:predict", {"instances": [ROW]}).status == 404
    assert service.ask("POST", "/v1/models/other:predict", {"instances": [ROW]}).status == 404
    signature = service.ask("GET", "/v1/models/trips/metadata").json["metadata"]["signature_def"]["signature_def"]
    assert set(signature["serving_default"]["inputs"]) == set(ROW)


def test_vertex_routes_are_taken_as_they_are_given(start: Start, made: Made) -> None:
    service = start(
        health_route="/v1/endpoints/1/deployedModels/2", predict_route="/v1/endpoints/1/deployedModels/2:predict"
    )
    assert service.ask("GET", service.config.health_route or "").status == 200
    answer = service.ask("POST", service.config.predict_route or "", {"instances": [ROW], "parameters": {}})
    assert answer.json["predictions"] == [made.answer(ROW)]


BAD: list[tuple[bytes, int, str]] = [
    (b"", 400, "$: not JSON"),
    (b"[]", 400, "$: expected 'object', got 'array'"),
    (b'{"instances": []}', 400, "$.instances: send at least one row"),
    (b'{"instances": [{}], "inputs": {}}', 400, "$: send one of"),
    (b'{"instances": [{"zones": "a"}]}', 400, "$.instances[0]: object contains unknown field 'zones'"),
    (b'{"instances": [{"trip": "7"}]}', 400, "$.instances[0].trip: expected"),
    (b'{"instances": [{"trip": 7.5}]}', 400, "$.instances[0].trip: expected an integer"),
    (b'{"instances": [{"trip": 99999999999999999999}]}', 400, "$.instances[0].trip: expected an integer that fits"),
    (b'{"instances": [{"trip": ' + b"9" * 5000 + b"}]}", 400, "$.instances[0].trip: integer value out of range"),
    (b'{"instances": [{"distance": NaN}]}', 400, "$.instances[0].distance: nan is no JSON"),
    (b'{"instances": [{"distance": 1e999}]}', 400, "$.instances[0].distance: number out of range"),
    (b'{"instances": [{"zone": "\\ud800"}]}', 400, "$.instances[0].zone: a lone surrogate"),
    (b'{"instances": [{"zone": "\xff"}]}', 400, "$: not UTF-8"),
    (b'{"instances": [{"at": "yesterday"}]}', 400, "$.instances[0].at: expected a time"),
    (b'{"instances": [{"at": "2026-02-30"}]}', 400, "$.instances[0].at: expected a time"),
    (b'{"instances": ' + b"[" * 100_000 + b"}", 400, "$"),
    (b'{"instances": [{"trip": 2000000}]}', 422, "$.instances[0].trip: expected at most 1000000"),
    (b'{"instances": [{"trip": 1}], "parameters": {"k": 1}}', 400, "$.parameters.k"),
    (b'{"instances": [{"trip": 1}], "signature_name": "x"}', 400, "$.signature_name"),
    (b'{"instances": [' + b",".join([b"{}"] * 1001) + b"]}", 413, "$.instances: at most 1000 rows"),
    (b'{"instances": [{"zone": "' + b"x" * 2**20 + b'"}]}', 413, "a body of at most"),
]


def test_bad_bodies_are_refused_with_the_path_of_the_fault_and_the_service_goes_on(start: Start) -> None:
    service = start()
    for body, status, words in BAD:
        answer = service.ask("POST", PREDICT, body, {"Content-Type": "application/json"})
        assert answer.status == status, (body[:80], answer.body)
        assert answer.json["error"].startswith(words), (body[:80], answer.body)
    assert service.records() == []
    assert service.predict(ROW).status == 200


def test_bodies_are_inflated_within_the_limit(start: Start, made: Made) -> None:
    service = start()
    kind = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    body = json.dumps({"instances": [ROW]}).encode()
    assert service.ask("POST", PREDICT, gzip.compress(body), kind).json["predictions"] == [made.answer(ROW)]
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 2**20
    assert service.ask("POST", PREDICT, bomb, kind).status == 413
    assert service.ask("POST", PREDICT, b"no gzip", kind).status == 400
    assert service.ask("POST", PREDICT, gzip.compress(body)[:-9], kind).status == 400
    assert service.ask("POST", PREDICT, body, kind | {"Content-Encoding": "br"}).status == 415


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", PREDICT, {}, 405),
        ("DELETE", "/v2", {}, 405),
        ("GET", "/", {}, 404),
        ("GET", "/v1/models/../../etc/passwd", {}, 404),
        ("GET", "/v1/models", {"Host": "evil.example"}, 421),
        ("GET", "/v2/health/live", {"Host": "10.0.0.7:8080"}, 200),
        ("HEAD", "/v1/models", {}, 200),
        ("GET", "/openapi.json", {}, 200),
        ("POST", "/v1/models/trips:classify", {"Content-Type": "application/json"}, 501),
    ],
)
def test_routes(service: Any, method: str, path: str, headers: dict[str, str], status: int) -> None:
    assert service.ask(method, path, headers=headers).status == status


@pytest.fixture(scope="module")
def service(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One service for tests that change nothing in it."""
    from tests.serve.conftest import listening

    from ninetyfive.serve import messages
    from ninetyfive.serve.messages import WorkerConfig

    config = WorkerConfig(name="w1", system="trips", live=made.live(), access_log="none")
    with listening(config, tmp_path_factory.mktemp("service")) as running:
        running.hear(messages.Ready)
        yield running


def test_types_of_bodies(service: Any) -> None:
    body = json.dumps({"instances": [ROW]}).encode()
    for kind, more, status in (
        ("application/json; charset=utf-8", {}, 200),
        ("application/x-www-form-urlencoded", {}, 200),
        ("application/x-www-form-urlencoded", {"Origin": "https://evil.example"}, 415),
        ("text/plain", {}, 415),
        ("multipart/form-data; boundary=x", {}, 415),
    ):
        assert service.ask("POST", PREDICT, body, {"Content-Type": kind, **more}).status == status, kind


def test_metrics_are_on_the_serving_port_where_that_is_asked(start: Start) -> None:
    assert start().ask("GET", "/metrics").status == 404
    service = start(metrics=True)
    service.predict(ROW)
    answer = service.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert b'ninetyfive_requests_total{code="2xx",route="predict"} 1.0' in answer.body


def test_deadlines_are_the_clients_too(service: Any) -> None:
    assert service.ask("POST", PREDICT, {"instances": [ROW]}, {"X-Request-Timeout": "soon"}).status == 400
    assert service.ask("POST", PREDICT, {"instances": [ROW]}, {"X-Request-Timeout": "5"}).status == 200
    assert service.ask("POST", PREDICT, {"instances": [ROW]}, {"X-Request-Id": "x" * 200}).status == 400


def test_large_requests_give_the_same_bits_as_small_ones(start: Start, made: Made) -> None:
    service = start(limits=Limits(rows=5000, body=2**24, deadline=60.0))
    rows = [{**ROW, "trip": trip, "distance": trip % 17 / 3} for trip in range(3000)]
    assert len(rows) > made.opened.crossover
    answer = service.ask("POST", PREDICT, {"instances": rows}, timeout=60.0)
    assert answer.status == 200, answer.body[:300]
    assert answer.json["predictions"] == [made.answer(row) for row in rows]
    assert len(service.records()) == len(rows)


def test_the_access_log_tells_an_error_in_its_words(start: Start, tmp_path: Path) -> None:
    service = start(access_log="errors")
    service.predict(ROW)
    refused = service.ask("POST", PREDICT, {"instances": [{"zone": 5}]})
    (line,) = [json.loads(line) for line in (tmp_path / "w1.err").read_text(encoding="utf-8").splitlines()]
    assert (line["status"], line["path"], line["error"]) == (400, PREDICT, refused.json["error"])
