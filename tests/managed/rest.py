"""A local server of a REST API: routes of a fake, every request recorded, its body checked against a definition.

    POST /v1b3/projects/p/jobs {…} ─▶ check(body) ─▶ recorded ─▶ the route's function ─▶ JSON, or a Refusal's status

`check` puts a body into what the definition of the client library makes of it (a message of protobuf, a schema of
discovery) and fails where a field does not exist.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from google.protobuf import json_format

_WRONG = (AssertionError, LookupError, TypeError, ValueError)


class RestRefusal(Exception):
    """What a fake raises to answer with an HTTP status, in the form of Google's errors."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(code, status, message)
        self.code = code
        self.document = {"error": {"code": code, "status": status, "message": message}}


@dataclass(frozen=True)
class RestRequest:
    """One request as it came: verb, path, query, its body ({}: none), and what the path's groups matched."""

    verb: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]
    named: dict[str, str]


@dataclass(frozen=True)
class Route:
    """A verb and a pattern of paths with named groups, what checks its body, and what answers it."""

    verb: str
    path: str
    check: Callable[[dict[str, Any]], object]
    answer: Callable[[RestRequest], dict[str, Any]]


def no_body(body: dict[str, Any]) -> None:
    """The check of a route that takes no body."""
    assert not body, body


@dataclass
class RestServer:
    """A server of routes; `faults` are assertions that failed while a request was checked."""

    routes: list[Route]
    requests: list[RestRequest] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    url: str = ""
    _failures: dict[str, deque[RestRefusal | None]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def fail(self, verb: str, path: str, *failures: RestRefusal | None) -> None:
        """Let the next requests of a route (verb and pattern) fail in this order; None: one that is answered."""
        self._failures.setdefault(f"{verb} {path}", deque()).extend(failures)

    def respond(self, verb: str, url: str, data: bytes) -> tuple[int, dict[str, Any]]:
        """Status and document of a request."""
        place = urlsplit(url)
        body = json.loads(data) if data else {}
        for route in self.routes:
            match = re.fullmatch(route.path, unquote(place.path))
            if route.verb != verb or match is None:
                continue
            with self._lock:
                request = RestRequest(verb, place.path, dict(parse_qsl(place.query)), body, match.groupdict())
                self.requests.append(request)
                failures = self._failures.get(f"{verb} {route.path}")
                failure = failures.popleft() if failures else None
                try:
                    route.check(body)
                    if failure is not None:
                        raise failure
                    return 200, route.answer(request)
                except RestRefusal as refusal:
                    return refusal.code, refusal.document
                except (*_WRONG, json_format.Error) as error:  # the test ends by it
                    self.faults.append(f"{verb} {place.path}: {error!r}")
                    return 400, RestRefusal(400, "INVALID_ARGUMENT", str(error)).document
        self.faults.append(f"{verb} {place.path}: no such route")
        return 404, RestRefusal(404, "NOT_FOUND", f"no {verb} {place.path}").document

    @contextmanager
    def running(self) -> Iterator[RestServer]:
        """The server, started; `url` is where. A request that broke its definition fails the test when it ends."""
        respond = self.respond

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                code, document = respond(self.command, self.path, data)
                sent = json.dumps(document).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *_: object) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()
        assert not self.faults, self.faults
