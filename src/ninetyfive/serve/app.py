"""The application: a bare ASGI callable that finds the route, lets in or not, reads, answers and counts.

    scope ─ route ─ Host and token ─ body ─▶ a protocol ─▶ answering ─▶ reply, counters, access log

The rule: every route stands in one table with the scope that it needs; what is in no row of it is 404, to everybody.
What does not belong here: what the bodies look like (`tensorflow`, `inference`), connections (`connections`).
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ninetyfive.serve import access, entities, inference, tensorflow
from ninetyfive.serve.answering import Answering
from ninetyfive.serve.batching import full, late
from ninetyfive.serve.connections import Lane
from ninetyfive.serve.counters import CODES, PLACES
from ninetyfive.serve.exposition import CONTENT_TYPE, exposition
from ninetyfive.serve.http import (
    ID_LENGTH,
    Gone,
    Reply,
    Request,
    check_single,
    check_type,
    encode,
    read_body,
    refusal,
    reply,
    unless_gone,
)
from ninetyfive.serve.http import Receive as ReceiveFunction
from ninetyfive.serve.http import Scope as AsgiScope
from ninetyfive.serve.http import Send as SendFunction
from ninetyfive.serve.loaded import Loaded
from ninetyfive.serve.messages import Access, Scope, WorkerConfig
from ninetyfive.serve.openapi import document
from ninetyfive.serve.rows import Fault
from ninetyfive.tables.keys import entity_key

_SMOOTH = 0.05
_REMEMBERED = 1024
_ERRORS_A_SECOND = 20
_SHORT = 6
"""From how many digits on a version may be named by its hash."""
_CLOSE = (b"connection", b"close")
_JSON = b"application/json"
_UNUSUAL = frozenset({b"content-encoding", b"x-request-timeout", b"origin"})


class Route(NamedTuple):
    """One route: its method, its path (a pattern where it holds `(`), the scope that it needs (None: open to all).

    `label` is what it is counted under. An open route answers whatever host it is asked for: probes name an address.
    """

    method: str
    path: str
    scope: Scope | None
    label: str
    answer: Callable[[Request, re.Match[str] | None], Awaitable[Reply]]


class App:
    """The service of one system: `answering` may be flipped at any time; `draining` closes connections as it answers.

    `ready` says whether a probe is told to send requests. `pressure` gives the number of requests under way.
    """

    def __init__(self, config: WorkerConfig, answering: Answering) -> None:
        self.config = config
        self.answering = answering
        self.access = config.access
        self.ready = False
        self.draining = False
        self.degraded: tuple[str, ...] = ()
        self.pressure: Callable[[], int] = lambda: 0
        self.routes = self._routes()
        self._exact = {(route.method, route.path): route for route in self.routes if "(" not in route.path}
        self._patterns = [(re.compile(route.path), route) for route in self.routes if "(" in route.path]
        self._places = {
            (label, status): PLACES[f"requests.{label}.{code}"]
            for label in _labels(self.routes)
            for code in CODES
            for status in _statuses(code)
        }
        self._admitted: dict[tuple[Any, ...], access.Allow | access.Deny] = {}
        self._forms: tuple[Loaded, tensorflow.Predict] | None = None
        self._seconds = 0.0
        self._told = (0, 0)
        self._unconfirmed = 0

    def admit(self, said: Access) -> None:
        """Take these tokens and hosts from now on."""
        self.access = said
        self._admitted = {}

    async def __call__(self, scope: AsgiScope, receive: ReceiveFunction, send: SendFunction) -> None:
        if scope["type"] != "http":
            return
        start = time.perf_counter()
        method, path = scope["method"], scope["path"]
        headers = dict(scope["headers"])
        route = self._exact.get((method, path))
        match = None
        try:
            if route is None:
                route, match = self._find(method, path)
            if len(headers) != len(scope["headers"]):
                check_single(scope["headers"])
            answer = await self._reply(route, match, scope, headers, receive)
        except Fault as fault:
            answer = refusal(fault)
        except Gone:
            return
        await self._send(answer, scope, headers, send)
        self._count(route, scope, answer.status, answer.body, time.perf_counter() - start)

    async def _reply(
        self,
        route: Route,
        match: re.Match[str] | None,
        scope: AsgiScope,
        headers: Mapping[bytes, bytes],
        receive: ReceiveFunction,
    ) -> Reply:
        if route.scope is not None:
            self._check_access(route.scope, headers)
        now = time.monotonic()
        deadline = scope.get("arrived", now) + self._patience(headers)
        body = b""
        if route.method == "POST":
            if now > deadline:
                raise late()
            waiting = self.pressure()
            if waiting > 1 and waiting * self._seconds > self.config.limits.deadline:
                raise full()
            check_type(headers)
            body = await read_body(receive, headers, self.config.limits.body)
        client_id = headers.get(b"x-request-id")
        if client_id is not None and len(client_id) > ID_LENGTH:
            raise Fault(HTTPStatus.BAD_REQUEST, "X-Request-Id", f"at most {ID_LENGTH} bytes are taken")
        name = client_id.decode("latin-1") if client_id is not None else None
        raw_path = scope["raw_path"]
        return await route.answer(Request(scope["path"], raw_path, headers, body, deadline, name, receive), match)

    @property
    def lane(self) -> Lane:
        """What answers rows at once, where nothing has to be waited for."""
        return Lane(f"/v1/models/{self.config.system}:predict".encode(), self._at_once, self._confirm)

    def _at_once(self, scope: AsgiScope, told: list[tuple[bytes, bytes]], body: bytes) -> tuple[bytes, bool] | None:
        """The response to rows; None for all that is out of the ordinary, which `__call__` answers."""
        start = time.perf_counter()
        headers, answering = dict(told), self.answering
        if not _UNUSUAL.isdisjoint(headers) or headers.get(b"content-type", _JSON) != _JSON:
            return None
        if len(headers) != len(told):
            return None
        decision = self._admitted.get(("predict", headers.get(b"authorization"), headers.get(b"host")))
        name = headers.get(b"x-request-id", b"")
        if type(decision) is not access.Allow or len(name) > ID_LENGTH:
            return None
        loaded = answering.live
        try:
            structs, root, columns = self._predict_form(loaded).read(body)
            client_id = name.decode("latin-1") if name else None
            if not answering.at_once(loaded, len(structs)):
                return None
            answered = answering.answer_now(loaded, structs, root, client_id, hold=True)
            status, answer = _OK, encode(tensorflow.write(answered, columns))
            self._unconfirmed += 1
        except Fault as fault:
            status, answer = _refused(fault)
        echoed = b"x-request-id: %b\r\n" % name if name else b""
        closing = b"connection: close\r\n" if self.draining else b""
        data = b"%bcontent-length: %d\r\n%b%b\r\n%b" % (status, len(answer), echoed, closing, answer)
        self._count(self.routes[0], scope, int(status[9:12]), answer, time.perf_counter() - start)
        return data, self.draining

    def _confirm(self) -> bytes | None:
        """Log what was answered at once; the response that all of it gets instead, where it could not be logged."""
        fault = self.answering.confirm()
        held, self._unconfirmed = self._unconfirmed, 0
        if fault is None:
            return None
        self.answering.counters.add(self._places["predict", 200], -held)
        self.answering.counters.add(self._places["predict", int(fault.status)], held)
        status, answer = _refused(fault)
        return b"%bcontent-length: %d\r\n\r\n%b" % (status, len(answer), answer)

    def _predict_form(self, loaded: Loaded) -> tensorflow.Predict:
        forms = self._forms
        if forms is None or forms[0] is not loaded:
            forms = self._forms = (loaded, tensorflow.Predict(loaded.rows, self.config.limits.rows))
        return forms[1]

    def _check_access(self, need: Scope, headers: Mapping[bytes, bytes]) -> None:
        said = (need, headers.get(b"authorization"), headers.get(b"host"))
        decision = self._admitted.get(said)
        if decision is None:
            decision = access.decide(self.access, *said)
            if len(self._admitted) >= _REMEMBERED:
                self._admitted.clear()
            self._admitted[said] = decision
        if isinstance(decision, access.Deny):
            raise Fault(HTTPStatus(decision.status), "", decision.reason)

    def _patience(self, headers: Mapping[bytes, bytes]) -> float:
        """Seconds until nobody waits: the limit, or less where the client says so in X-Request-Timeout."""
        said = headers.get(b"x-request-timeout")
        limit = self.config.limits.deadline
        if said is None:
            return limit
        try:
            seconds = float(said)
        except ValueError:
            seconds = -1.0
        if not 0.0 < seconds < 1e9:
            raise Fault(HTTPStatus.BAD_REQUEST, "X-Request-Timeout", "expected seconds, such as 0.5")
        return min(limit, seconds)

    def _find(self, method: str, path: str) -> tuple[Route, re.Match[str] | None]:
        """The route of a path that is not asked for as it stands in the table; `Fault` 404 or 405."""
        allowed = [route.method for route in self.routes if route.path == path]
        for pattern, route in self._patterns:
            match = pattern.fullmatch(path)
            if match is not None:
                if route.method == method or (method == "HEAD" and route.method == "GET"):
                    return route, match
                allowed.append(route.method)
        if method == "HEAD" and ("GET", path) in self._exact:
            return self._exact["GET", path], None
        if allowed:
            raise Fault(HTTPStatus.METHOD_NOT_ALLOWED, "", f"this takes {' and '.join(sorted(set(allowed)))}")
        raise Fault(HTTPStatus.NOT_FOUND, "", f"there is nothing here; the model is /v1/models/{self.config.system}")

    async def _send(self, answer: Reply, scope: AsgiScope, headers: Mapping[bytes, bytes], send: SendFunction) -> None:
        told = list(answer.headers)
        if answer.status != 304:  # of no body is told neither kind nor length: RFC 9110, 8.6
            told += [(b"content-type", answer.type), (b"content-length", str(len(answer.body)).encode())]
        if b"x-request-id" in headers:
            told.append((b"x-request-id", headers[b"x-request-id"][:ID_LENGTH]))
        if self.draining or answer.status in (408, 413):
            told.append(_CLOSE)
        if answer.status == 405:
            told.append((b"allow", b", ".join(sorted(self._methods(scope["path"])))))
        if answer.status == 401:
            told.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": answer.status, "headers": told})
        await send({"type": "http.response.body", "body": answer.body})

    def _methods(self, path: str) -> set[bytes]:
        matched = (route for pattern, route in self._patterns if pattern.fullmatch(path))
        exact = (route for route in self.routes if route.path == path)
        return {route.method.encode() for route in (*matched, *exact)}

    def _count(self, route: Route | None, scope: AsgiScope, status: int, body: bytes, seconds: float) -> None:
        label = route.label if route is not None else "other"
        counters = self.answering.counters
        counters.add(self._places.get((label, status)) or self._places[label, 0])
        if label in ("predict", "infer"):
            counters.observe("request_seconds", seconds)
            if self.answering.live.light:
                self._seconds += _SMOOTH * (seconds - self._seconds)
        if self.config.access_log == "all" or (status >= 400 and self.config.access_log == "errors"):
            self._tell(scope, status, body, seconds)

    def _tell(self, scope: AsgiScope, status: int, body: bytes, seconds: float) -> None:
        """One line of the access log; of errors at most so many a second, so that a flood of them costs little."""
        second = int(time.monotonic())
        told = self._told[1] + 1 if self._told[0] == second else 1
        self._told = (second, told)
        if self.config.access_log == "errors" and told > _ERRORS_A_SECOND:
            return
        client = scope.get("client")
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "worker": self.config.name,
            "client": client[0] if client else None,
            "method": scope.get("method", "POST"),  # the lane takes no other, and one path
            "path": scope.get("path", self.lane.url.decode()),
            "status": status,
            "bytes": len(body),
            "seconds": round(seconds, 6),
        }
        if status >= 400:
            line["error"] = _words(body).partition(", got the ")[0][:500]  # what was got may be personal
        with suppress(OSError):  # whoever read it is gone: requests are answered all the same
            sys.stderr.buffer.write(encode(line) + b"\n")
            sys.stderr.buffer.flush()

    def _routes(self) -> tuple[Route, ...]:
        """The table: every route that there is, and who may call it."""
        model = f"/v1/models/{re.escape(self.config.system)}"
        v2 = f"/v2/models/{re.escape(self.config.system)}"
        version = r"(?:/versions/([^/:]+)|/labels/([^/:]+))?"
        plain, plain2 = f"/v1/models/{self.config.system}", f"/v2/models/{self.config.system}"
        table = [
            Route("POST", f"{plain}:predict", "predict", "predict", self._predict),
            Route("POST", f"{model}{version}:predict", "predict", "predict", self._predict),
            Route("POST", f"{model}{version}:(classify|regress)", "predict", "other", self._not_spoken),
            Route("GET", "/v1/models", "predict", "status", self._models),
            Route("GET", f"{model}{version}", "predict", "status", self._status),
            Route("GET", f"{model}{version}/metadata", "predict", "status", self._metadata),
            Route("GET", f"(?s){model}/entities/(.*)", "predict", "entity", self._entity),
            Route("POST", f"{plain2}/infer", "predict", "infer", self._infer),
            Route("POST", f"{v2}(?:/versions/([^/]+))?/infer", "predict", "infer", self._infer),
            Route("GET", "/v2", None, "status", self._server),
            Route("GET", "/v2/health/live", None, "health", self._live),
            Route("GET", "/v2/health/ready", None, "health", self._ready),
            Route("GET", "/v2/models", "predict", "status", self._models_v2),
            Route("GET", f"{v2}(?:/versions/([^/]+))?", "predict", "status", self._described),
            Route("GET", f"{v2}(?:/versions/([^/]+))?/ready", None, "health", self._ready),
            Route("GET", "/openapi.json", "predict", "status", self._openapi),
        ]
        if self.config.health_route is not None:
            table.append(Route("GET", self.config.health_route, None, "health", self._ready))
        if self.config.predict_route is not None:
            table.append(Route("POST", self.config.predict_route, "predict", "predict", self._predict))
        if self.config.metrics and self.config.counters is not None:
            table.append(Route("GET", "/metrics", "read", "metrics", self._metrics))
        return tuple(table)

    def _named(self, match: re.Match[str] | None) -> Loaded:
        """What is live, where that is the version or label that is asked for; `Fault` 404 where it is another."""
        loaded = self.answering.live
        if match is None:
            return loaded
        number, label = (*match.groups(), None, None)[:2]
        live = loaded.live
        known = number in (None, str(live.number)) or (len(number) >= _SHORT and live.release.startswith(number))
        if not known:
            words = f"version {live.number} ({live.release[:12]}) is served, and no other"
            raise Fault(HTTPStatus.NOT_FOUND, "", words)
        if label is not None and label not in ("champion", "live", "stable"):
            raise Fault(HTTPStatus.NOT_FOUND, "", "the labels are champion, live and stable; all mean what is served")
        return loaded

    async def _predict(self, request: Request, match: re.Match[str] | None) -> Reply:
        loaded = self._named(match)
        structs, root, columns = self._predict_form(loaded).read(request.body)
        work = self.answering.answer(loaded, structs, root, request.deadline, request.client_id)
        answered = await (unless_gone(work, request.receive) if not loaded.light else work)
        return Reply(200, encode(tensorflow.write(answered, columns)))

    async def _infer(self, request: Request, match: re.Match[str] | None) -> Reply:
        loaded = self._named(match)
        structs, root, client_id = inference.read(loaded.rows, request.body, self.config.limits.rows)
        named = request.client_id if request.client_id is not None else client_id
        work = self.answering.answer(loaded, structs, root, request.deadline, named)
        answered = await (unless_gone(work, request.receive) if not loaded.light else work)
        return reply(inference.write(answered, self.config.system, client_id))

    async def _entity(self, request: Request, _: re.Match[str] | None) -> Reply:
        loaded = self.answering.live
        values = request.raw_path.removeprefix(f"/v1/models/{self.config.system}/entities/".encode())
        if values == request.raw_path:
            raise Fault(HTTPStatus.NOT_FOUND, "", "write the path of the entities as it stands in /openapi.json")
        row = entities.row_of(loaded, values)
        key = entity_key([row[name] for name in loaded.release.about.entity])
        assert key is not None
        told = entities.headers(loaded, key, self.access.required)
        held = loaded.table is not None and not self.answering.too_old(loaded)
        if held and entities.matches(request.headers.get(b"if-none-match"), told[0][1]):
            return Reply(304, b"", told)
        answered = await self.answering.entity(loaded, key, request.client_id) if held else None
        if answered is None:
            words = "the table does not hold this entity" if held else "there is no table to answer from"
            raise Fault(HTTPStatus.NOT_FOUND, "", words)
        shown = loaded.shown(answered.answers[0])
        said = {"entity": values.decode("ascii"), "prediction": shown, "metadata": tensorflow.metadata(answered)}
        return reply(said, headers=told)

    async def _models(self, _: Request, __: re.Match[str] | None) -> Reply:
        return reply({"models": [self.config.system]})

    async def _models_v2(self, _: Request, __: re.Match[str] | None) -> Reply:
        return reply({"models": [{"name": self.config.system}]})

    async def _status(self, _: Request, match: re.Match[str] | None) -> Reply:
        return reply(tensorflow.status(self._named(match)))

    async def _metadata(self, _: Request, match: re.Match[str] | None) -> Reply:
        return reply(tensorflow.described(self._named(match), self.config.system))

    async def _described(self, _: Request, match: re.Match[str] | None) -> Reply:
        return reply(inference.described(self._named(match), self.config.system))

    async def _server(self, _: Request, __: re.Match[str] | None) -> Reply:
        return reply(inference.server())

    async def _live(self, _: Request, __: re.Match[str] | None) -> Reply:
        return reply({"live": True})

    async def _ready(self, _: Request, __: re.Match[str] | None) -> Reply:
        said = {"ready": self.ready, "degraded": list(self.degraded)}
        return reply(said, 200 if self.ready else 503)

    async def _openapi(self, _: Request, __: re.Match[str] | None) -> Reply:
        return reply(document(self.config, self.answering.live))

    async def _metrics(self, _: Request, __: re.Match[str] | None) -> Reply:
        """The sums of all workers whose counters lie beside this one's; in a thread, as it takes milliseconds."""
        assert self.config.counters is not None
        folder = Path(self.config.counters).parent
        text = await asyncio.to_thread(exposition, folder, time.time())
        return Reply(200, text, (), CONTENT_TYPE.encode())

    async def _not_spoken(self, _: Request, __: re.Match[str] | None) -> Reply:
        raise Fault(HTTPStatus.NOT_IMPLEMENTED, "", "classify and regress are not spoken here: use :predict")


def _statuses(code: str) -> Iterable[int]:
    """The statuses that are counted as `code`; 0 stands for all others."""
    return range(200, 300) if code == "2xx" else (0,) if code == "other" else (int(code),)


@cache
def _words(body: bytes) -> str:
    """What an answer says is wrong: its `error`, or the whole of it where it has none."""
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        said = {}
    return str(said.get("error", body.decode("utf-8", "replace")))


def _status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\n" % (status, HTTPStatus(status).phrase.encode())


def _refused(fault: Fault) -> tuple[bytes, bytes]:
    """A fault as the beginning of the head, and the body, of a response."""
    refused = refusal(fault)
    more = b"".join(b"%b: %b\r\n" % header for header in refused.headers)
    return _status_line(refused.status) + more, refused.body


_OK = _status_line(200)


def _labels(routes: tuple[Route, ...]) -> set[str]:
    return {*(route.label for route in routes), "other"}
