"""Every route of a worker says who may call it, and lets nobody else in."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest
from tests.serve.conftest import Made

from ninetyfive.serve.access import HOLDS, digest
from ninetyfive.serve.answering import Answering
from ninetyfive.serve.app import App, Route
from ninetyfive.serve.counters import Counters
from ninetyfive.serve.loaded import Loaded
from ninetyfive.serve.messages import SCOPES, Access, Limits, Policy, Token, WorkerConfig

OPEN = {"/v2", "/v2/health/live", "/v2/health/ready", "/health"}
"""What anybody may call: it says nothing of the model but whether it is ready."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


@pytest.fixture(scope="module")
def app(made: Made, tmp_path_factory: pytest.TempPathFactory) -> App:
    """A worker's application, which asks for tokens, with every route that there can be."""
    counters = tmp_path_factory.mktemp("routes") / "w1.counters"
    tokens = tuple(Token(name=scope, scope=scope, sha256=digest(scope.encode())) for scope in SCOPES)
    config = WorkerConfig(
        name="w1",
        system="trips",
        live=made.live(),
        access=Access(tokens=tokens, required=True),
        counters=str(counters),
        metrics=True,
        health_route="/health",
        predict_route="/predict",
        access_log="none",
    )
    loaded = Loaded(config.live, Policy(), "trips")
    loaded.prove()
    return App(config, Answering(loaded, Limits(), Counters(counters), None, "p"))


def asked(app: App, method: str, path: str, token: str | None, host: str = "localhost") -> int:
    """The status of a request without a body."""
    said: list[dict[str, Any]] = []
    headers = [(b"host", host.encode()), (b"content-type", b"application/json")]
    if token is not None:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": headers}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    asyncio.run(app(scope, receive, send))
    return int(said[0]["status"])


def path_of(route: Route) -> str:
    """A path that the route matches."""
    path = re.sub(r"\(\?:/versions/\(\[\^/:?\]\+\)(\|/labels/\(\[\^/:\]\+\))?\)\?", "/versions/1", route.path)
    path = (
        path.replace("(classify|regress)", "classify").replace("(.*)", "airport").replace("(?s)", "").replace("\\", "")
    )
    assert re.fullmatch(route.path, path), (route.path, path)
    return path


def test_every_route_has_a_decision(app: App) -> None:
    for route in app.routes:
        opened = route.scope is None
        assert opened == (path_of(route) in OPEN or path_of(route).endswith("/ready")), route
        assert opened or route.scope in SCOPES


def test_every_route_takes_the_tokens_of_its_scope_and_no_other(app: App) -> None:
    for route in app.routes:
        path = path_of(route)
        for token in (None, "guess", "", *SCOPES):
            status = asked(app, route.method, path, token)
            if route.scope is None:
                assert status not in (401, 403), (path, token)
            elif token not in SCOPES:
                assert status == 401, (path, token)
            elif route.scope not in HOLDS[token]:
                assert status == 403, (path, token)
            else:
                assert status not in (401, 403), (path, token)


def test_every_other_method_is_refused_whoever_asks(app: App) -> None:
    known = {(route.method, path_of(route)) for route in app.routes}
    for path in {path for _, path in known}:
        for method in METHODS:
            if (method, path) not in known and not (method == "HEAD" and ("GET", path) in known):
                assert asked(app, method, path, "admin") == 405, (method, path)


def test_a_foreign_host_reaches_nothing_but_probes(app: App) -> None:
    for route in app.routes:
        status = asked(app, route.method, path_of(route), "predict", host="evil.example")
        assert (status == 421) == (route.scope is not None), route.path


def test_what_is_in_no_row_of_the_table_is_404(app: App) -> None:
    for path in ("/", "/admin", "/v1", "/v1/models/other", "/v1/models/trips/", "/v1/models/trips/../..", "/metrics/"):
        for token in (None, "admin"):
            assert asked(app, "GET", path, token) == 404, path


def test_the_lane_lets_in_whom_the_table_lets_in(app: App) -> None:
    body = msgspec.json.encode({"instances": [{"trip": 1, "at": "2026-01-01T00:00", "zone": "a", "distance": 1.0}]})
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    asked(app, "POST", "/v1/models/trips:predict", "predict")
    asked(app, "POST", "/v1/models/trips:predict", "admin")
    assert app.lane.answer({}, headers, body) is None
    assert app.lane.answer({}, [*headers, (b"authorization", b"Bearer admin")], body) is None
    answer = app.lane.answer({}, [*headers, (b"authorization", b"Bearer predict")], body)
    assert answer is not None
    assert answer[0].startswith(b"HTTP/1.1 200 OK\r\n")
    app.admit(msgspec.structs.replace(app.access, tokens=()))
    assert app.lane.answer({}, [*headers, (b"authorization", b"Bearer predict")], body) is None
    app.admit(app.config.access)
