"""The admin port: each route with each method, host, token and scope; and what a client can learn from a refusal."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
from collections.abc import Iterator

import pytest
from tests.conftest import Project, _project
from tests.supervise.conftest import ROW, Answer, Service, ask, end_service, releases, start_service, until

from ninetyfive.serve.access import HOLDS
from ninetyfive.serve.messages import SCOPES
from ninetyfive.supervise.admin import BODY_BYTES, ROUTES

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
BODIES = {"/promote": {"release": "ffffffffffff"}, "/rollback": {"nonsense": 1}, "/restart": {"nonsense": 1}}
NO_ROUTES = ("/", "/nothing", "/status/", "//status", "/STATUS", "/v1/models/trips:predict")
DECIDED = {
    "/live": None,
    "/ready": None,
    "/status": "read",
    "/metrics": "read",
    "/releases": "read",
    "/tokens": "admin",
    "/promote": "operate",
    "/rollback": "operate",
    "/restart": "operate",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(pair: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with _project(tmp_path_factory.mktemp("admin") / "project", pair.folder) as project:
        started = start_service(project, "--workers", "1")
        yield started
        end_service(started)


def test_each_route_was_decided_on() -> None:
    """A route that is new stands here too, with the scope that somebody decided it needs."""
    assert {path: route.scope for path, methods in ROUTES.items() for route in methods.values()} == DECIDED


@pytest.mark.parametrize(
    "path", [*ROUTES, "/", "/nothing", "/status/", "//status", "/STATUS", "/v1/models/trips:predict"]
)
def test_route_by_method_by_token(service: Service, path: str) -> None:
    for method, held in itertools.product(METHODS, [None, "wrong", *SCOPES]):
        token = service.tokens.get(str(held), None if held is None else "n95_guess")
        answered = ask(service.admin_port, method, path, BODIES.get(path), token=token)
        route = ROUTES.get(path, {}).get(method)
        if route is None:
            expected = {405} if path in ROUTES else {404}
        elif route.scope is None:
            expected = {200}
        elif (
            held is None
            or held == "wrong"
            or (held == "predict" and held not in service.admin("GET", "/tokens").body.decode())
        ):
            expected = {401}
        elif route.scope not in HOLDS[held]:  # type: ignore[index]
            expected = {403}
        else:
            expected = {400, 404} if path in BODIES else {200}
        assert answered.status in expected, (method, path, held, answered)
        assert answered.headers["cache-control"] == "no-store"
        assert (answered.headers.get("www-authenticate") == "Bearer") == (answered.status == 401)
        if answered.status == 405:
            assert answered.headers["allow"] == ", ".join(ROUTES[path])


@pytest.mark.parametrize("path", [*ROUTES, "/nothing"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", ""])
def test_a_foreign_host_gets_nothing(service: Service, path: str, host: str) -> None:
    for method in ("GET", "POST"):
        answered = ask(service.admin_port, method, path, host=host, token=service.tokens["admin"])
        assert answered.status == 421


def test_two_hosts_or_two_tokens_are_none(service: Service) -> None:
    token = service.tokens["admin"]
    for doubled in (b"Host: localhost\r\n", f"Authorization: Bearer {token}\r\n".encode()):
        with socket.create_connection(("127.0.0.1", service.admin_port), 10) as plain:
            head = b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer x\r\n"
            plain.sendall(head + doubled + b"\r\n")
            assert plain.recv(4096).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("path", "body", "kind", "expected"),
    [
        ("/promote", b'{"release": 1}', "application/json", 400),
        ("/promote", b'{"release": "x", "more": 1}', "application/json", 400),
        ("/promote", b"{}", "application/json", 400),
        ("/promote", b"[]", "application/json", 400),
        ("/promote", b"\xff", "application/json", 400),
        ("/promote", b'{"release": "\xff"}', "application/json", 400),
        ("/promote", b"[" * 5_000, "application/json", 400),
        ("/promote", b"", "application/json", 400),
        ("/promote", b'{"release": "x"}', "text/plain", 415),
        ("/promote", b"release=x", "application/x-www-form-urlencoded", 415),
        ("/promote", b'{"release": "../../etc/passwd"}', "application/json; charset=utf-8", 404),
        ("/promote", b'{"release": ""}', "application/json", 404),
        ("/promote", b'{"release": "' + b"a" * BODY_BYTES + b'"}', "application/json", 413),
        ("/restart", b"null", "application/json", 400),
    ],
)
def test_bodies_that_are_none(service: Service, path: str, body: bytes, kind: str, expected: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.admin_port, timeout=30)
    headers = {"content-type": kind, "authorization": f"Bearer {service.tokens['operate']}"}
    connection.request("POST", path, body, headers)
    got = connection.getresponse()
    said = json.loads(got.read())
    connection.close()
    assert got.status == expected, said
    _leaks_nothing(service, Answer(got.status, {}, json.dumps(said).encode()))


def test_the_status_tells_how_it_is(service: Service) -> None:
    said = service.status()
    first, _ = releases(service.project)
    assert (said["release"], said["epoch"], said["ready"], said["degraded"]) == (first, 1, 1, [])
    assert [(one["phase"], one["epoch"]) for one in said["workers"]] == [("ready", 1)]
    assert service.admin("GET", "/ready").json == {"ready": True, "degraded": False}
    assert [one["release"] for one in service.admin("GET", "/releases").json["releases"]] == releases(service.project)[
        ::-1
    ]
    assert {one["name"] for one in service.admin("GET", "/tokens").json["tokens"]} == {"read", "operate", "admin"}
    assert b"sha256" not in service.admin("GET", "/tokens").body


def test_promote_and_roll_back_are_told_in_the_audit_by_the_name_of_the_token(service: Service) -> None:
    first, second = releases(service.project)
    answered = service.admin("POST", "/promote", {"release": second[:12], "reason": "better"}, "operate")
    assert (answered.status, answered.json["release"]) == (200, second)
    until(lambda: service.release() == second)
    assert service.admin("POST", "/rollback", {}, "operate").json["release"] == first
    until(lambda: service.release() == first)
    answered = service.admin("POST", "/rollback", {}, "operate")  # nothing is below the first
    assert answered.status == 409
    assert "no champion before this one" in answered.json["error"]
    _leaks_nothing(service, answered)
    with service.project.store() as store:
        told = [(one.action, one.actor) for one in store.audit_records(2)]
    assert [action for action, _ in told] == ["promote", "rollback"]
    assert all(actor.startswith("token operate at ") for _, actor in told)


def test_tokens_are_known_and_forgotten_while_it_runs(service: Service) -> None:
    system = service.project.load()
    made = system.new_token("read", name="passing")["token"]
    until(lambda: ask(service.admin_port, "GET", "/status", token=made).status == 200)
    assert service.predict().status == 200
    system.revoke_token("passing")
    until(lambda: ask(service.admin_port, "GET", "/status", token=made).status == 401)


def test_a_predict_token_closes_the_service_and_revoking_it_does_not_open_it(service: Service) -> None:
    system, path, body = service.project.load(), "/v1/models/trips:predict", {"instances": [ROW]}
    made = system.new_token("predict", name="client")["token"]
    until(lambda: service.predict().status == 401)
    assert ask(service.port, "POST", path, body, token=made).status == 200
    assert ask(service.port, "POST", path, body, token=service.tokens["admin"]).status == 403
    assert ask(service.admin_port, "GET", "/status", token=made).status == 403
    system.revoke_token("client")
    until(lambda: ask(service.port, "POST", path, body, token=made).status == 401)
    assert service.predict().status == 401


def _leaks_nothing(service: Service, answered: Answer) -> None:
    """No path, no class, no line of code."""
    text = answered.body.decode()
    for word in (str(service.project.folder), "Error", "Traceback", ".py", "sqlite"):
        assert word not in text
