"""The admin port: how the service is, and what may be done to it, each for who may.

    Host ─▶ route ─▶ method ─▶ token and scope ─▶ body ─▶ a verb, in a thread where it asks the catalog

The rule: what is not in ROUTES is not there; a route has a scope, or says None for anybody; every other needs a token,
also on this machine. What went wrong is told in the log, under an id; a client is told the id and no more of it.
What does not belong here: the verbs (`service`), and who is let in (`serve.access`).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from ninetyfive.errors import BottomError, BusyError, IntegrityError, NinetyfiveError, UsageError
from ninetyfive.serve.access import Deny, decide
from ninetyfive.serve.exposition import CONTENT_TYPE
from ninetyfive.serve.messages import Access, Scope
from ninetyfive.supervise.events import tell

BODY_BYTES = 16 * 2**10
BODY_SECONDS = 10.0

T = TypeVar("T")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Operator(Protocol):
    """What can be asked of a service, and done to it; `who` names the token of whoever does."""

    admin_access: Access

    def is_ready(self) -> tuple[bool, list[str]]:
        """Whether it answers requests, and why it is not as good as it could be."""
        ...

    def status(self) -> dict[str, Any]:
        """How it is."""
        ...

    def metrics(self, now: float) -> bytes:
        """Its metrics as Prometheus's text."""
        ...

    async def releases(self) -> list[dict[str, Any]]:
        """The releases of its store."""
        ...

    async def promote(self, release: str, table: str | None, reason: str, who: str) -> dict[str, Any]:
        """Make a release the champion, with a table of it: its newest good one where none is named."""
        ...

    async def rollback(self, reason: str, who: str) -> dict[str, Any]:
        """Make the champion before this one the champion."""
        ...

    def restart(self) -> bool:
        """Begin to replace its workers; False where that is under way."""
        ...


class Promotion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /promote."""

    release: str
    table: str | None = None
    reason: str = "promoted by the admin port"


class Rollback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /rollback."""

    reason: str = "rolled back by the admin port"


class Restart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /restart: an empty object."""


class Call(NamedTuple):
    """A request that was let in: by whose token, with which body."""

    who: str
    body: Any


class Reply(NamedTuple):
    """An answer; `allow` names methods where the one that was asked is none of them."""

    status: int
    body: bytes
    kind: str = "application/json"
    allow: str = ""


class Route(NamedTuple):
    """What a route needs (None: anybody may), what does it, and the body it takes."""

    scope: Scope | None
    answer: Callable[[Operator, Call], Awaitable[Reply]]
    takes: type[msgspec.Struct] | None = None


async def _live(service: Operator, call: Call) -> Reply:
    del service, call
    return _json(200, {"live": True})


async def _ready(service: Operator, call: Call) -> Reply:
    del call
    ready, degraded = service.is_ready()
    return _json(200 if ready else 503, {"ready": ready, "degraded": bool(degraded)})


async def _status(service: Operator, call: Call) -> Reply:
    del call
    return _json(200, service.status())


async def _metrics(service: Operator, call: Call) -> Reply:
    del call
    return Reply(200, service.metrics(time.time()), CONTENT_TYPE)


async def _tokens(service: Operator, call: Call) -> Reply:
    del call
    tokens = service.admin_access.tokens
    return _json(200, {"tokens": [{"name": one.name, "scope": one.scope, "created": one.created} for one in tokens]})


async def _releases(service: Operator, call: Call) -> Reply:
    del call
    return _json(200, {"releases": await service.releases()})


async def _promote(service: Operator, call: Call) -> Reply:
    return _json(200, await service.promote(call.body.release, call.body.table, call.body.reason, call.who))


async def _rollback(service: Operator, call: Call) -> Reply:
    return _json(200, await service.rollback(call.body.reason, call.who))


async def _restart(service: Operator, call: Call) -> Reply:
    tell("restart.asked", who=call.who)
    return _json(202, {"restarting": True}) if service.restart() else _error(409, "a swap or restart is under way")


ROUTES: dict[str, dict[str, Route]] = {
    "/live": {"GET": Route(None, _live)},
    "/ready": {"GET": Route(None, _ready)},
    "/status": {"GET": Route("read", _status)},
    "/metrics": {"GET": Route("read", _metrics)},
    "/releases": {"GET": Route("read", _releases)},
    "/tokens": {"GET": Route("admin", _tokens)},
    "/promote": {"POST": Route("operate", _promote, Promotion)},
    "/rollback": {"POST": Route("operate", _rollback, Rollback)},
    "/restart": {"POST": Route("operate", _restart, Restart)},
}
"""Every route by path and method."""


_FAILURES: dict[type[NinetyfiveError], tuple[int, str]] = {
    UsageError: (404, "there is no such release or table, or more than one begins so"),
    BusyError: (409, "somebody else changes the champion: look again"),
    BottomError: (409, "there is no champion before this one"),
    IntegrityError: (409, "what is stored is damaged"),
    NinetyfiveError: (503, "it cannot be done now"),
}
"""What a client is told of an error: the first kind that it is."""


def admin_app(service: Operator) -> Callable[[Message, Receive, Send], Awaitable[None]]:
    """The ASGI application of the admin port."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        reply = await _answer(service, scope, receive)
        headers = [
            (b"content-type", reply.kind.encode()),
            (b"content-length", str(len(reply.body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if reply.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if reply.status in (408, 413):
            headers.append((b"connection", b"close"))
        if reply.allow:
            headers.append((b"allow", reply.allow.encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    return app


async def _answer(service: Operator, scope: Message, receive: Receive) -> Reply:
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in headers and name in (b"host", b"authorization"):
            return _error(400, f"one {name.decode()} header is expected")
        headers[name] = value
    host, authorization = headers.get(b"host"), headers.get(b"authorization")
    methods = ROUTES.get(scope["path"])
    route = (methods or {}).get(scope["method"])
    allowed = decide(service.admin_access, route.scope if route else None, authorization, host)
    if isinstance(allowed, Deny):
        return _error(allowed.status, allowed.reason)
    if methods is None:
        return _error(404, "there is no such route")
    if route is None:
        return _error(405, "there is no such method of this route")._replace(allow=", ".join(methods))
    call = Call(allowed.who or "", None)
    if route.takes is not None:
        if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != b"application/json":
            return _error(415, "send Content-Type: application/json")
        body = await _body(receive)
        if isinstance(body, Reply):
            return body
        try:
            call = Call(call.who, msgspec.json.decode(body, type=route.takes))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return _error(400, f"the body is not what is expected: {error}")
    return await _done(route, service, call)


async def _done(route: Route, service: Operator, call: Call) -> Reply:
    """Do it; what fails is told under an id."""
    try:
        return await route.answer(service, call)
    except NinetyfiveError as error:
        named = secrets.token_hex(8)
        tell("admin.failed", id=named, who=call.who, error=error.as_dict())
        status, words = next(told for kind, told in _FAILURES.items() if isinstance(error, kind))
        return _json(status, {"error": words, "id": named})


async def _body(receive: Receive) -> bytes | Reply:
    """The body of a request; the refusal of one that is too large or too slow."""
    body, more = b"", True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return _error(400, "the body ended before its end")
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > BODY_BYTES:
                    return _error(413, f"at most {BODY_BYTES} bytes are taken")
    except TimeoutError:
        return _error(408, f"the body is to come within {BODY_SECONDS:g} s")
    return body


def _json(status: int, document: Any) -> Reply:
    return Reply(status, msgspec.json.encode(document) + b"\n")


def _error(status: int, words: str) -> Reply:
    return _json(status, {"error": words})
