"""A request and a reply as the protocols see them, and reading a body within its limits.

What does not belong here: what any route does (`app` and the protocols), connections (`connections`).
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import msgspec

from ninetyfive.serve.rows import Fault

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = Mapping[bytes, bytes]
T = TypeVar("T")

ID_LENGTH = 128
"""How long the id that a client gives a request may be: it is kept in the request log."""
JSON = (b"content-type", b"application/json")
_FORM = b"application/x-www-form-urlencoded"
encode = msgspec.json.Encoder().encode


class Request(NamedTuple):
    """What a route is given: the path, the headers by lower-case name (the last of a name), the inflated body.

    `deadline` is when nobody waits any more, by the monotonic clock; `client_id` what the client calls the request;
    `receive` gives "http.disconnect" once the client is gone.
    """

    path: str
    raw_path: bytes
    headers: Headers
    body: bytes
    deadline: float
    client_id: str | None
    receive: Receive


class Reply(NamedTuple):
    """What a route answers: a status, a body, and headers beside its type and length."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    type: bytes = b"application/json"


def reply(value: Any, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Reply:
    """A reply of JSON."""
    return Reply(status, encode(value), headers)


def refusal(fault: Fault) -> Reply:
    """A fault as TensorFlow Serving and Open Inference both say it: `{"error": "where: what"}`."""
    headers = ((b"retry-after", str(fault.retry).encode()),) if fault.retry is not None else ()
    return reply({"error": str(fault)}, fault.status, headers)


async def read_body(receive: Receive, headers: Headers, limit: int) -> bytes:
    """The body, inflated; `Fault` 413 beyond `limit` bytes (before and after inflation), 415 for another encoding."""
    declared = headers.get(b"content-length")
    if declared is not None and len(declared) < 20 and int(declared) > limit:
        raise _large(limit)
    message = await receive()
    if message["type"] != "http.request":
        raise Gone
    body = message.get("body", b"")
    if message.get("more_body", False):
        parts, size = [body], len(body)
        while message.get("more_body", False):
            message = await receive()
            if message["type"] != "http.request":
                raise Gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise _large(limit)
        body = b"".join(parts)
    if len(body) > limit:
        raise _large(limit)
    coding = headers.get(b"content-encoding")
    if coding is None or coding == b"identity":
        return bytes(body)
    return _inflated(bytes(body), coding.strip().lower(), limit)


class Gone(Exception):
    """The client went away before it was answered."""


async def unless_gone(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """What `work` gives; it is cancelled, and `Gone` raised, where the client goes away before."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(receive())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


def check_single(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """`Fault` 400 where a header that says who asks, or whom, stands twice: another may have heard the other one."""
    names = [name for name, _ in headers]
    for name in (b"host", b"authorization"):
        if names.count(name) > 1:
            raise Fault(HTTPStatus.BAD_REQUEST, "", f"one {name.decode()} header is expected")


def check_type(headers: Headers) -> None:
    """`Fault` 415 where the body is said to be no JSON.

    `curl -d` says that it is a form; that is taken, but not from a browser, whose pages could then ask in its name.
    """
    kind = headers.get(b"content-type")
    if kind is None or kind == b"application/json":
        return
    kind = kind.partition(b";")[0].strip().lower()
    if kind == b"application/json" or kind.endswith(b"+json"):
        return
    if kind == _FORM and not headers.keys() & {b"origin", b"sec-fetch-site"}:
        return
    raise Fault(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "", "send Content-Type: application/json")


def _inflated(body: bytes, coding: bytes, limit: int) -> bytes:
    bits = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}.get(coding)
    if bits is None:
        raise Fault(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "", "send the body plain, or with Content-Encoding: gzip")
    inflate = zlib.decompressobj(bits)
    try:
        made = inflate.decompress(body, limit + 1)
    except zlib.error:
        raise Fault(HTTPStatus.BAD_REQUEST, "", f"the body is no {coding.decode()} data") from None
    if len(made) > limit:
        raise _large(limit)
    if not inflate.eof:
        raise Fault(HTTPStatus.BAD_REQUEST, "", f"the body is {coding.decode()} data that ends too early")
    return made


def _large(limit: int) -> Fault:
    return Fault(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "", f"a body of at most {limit} bytes is taken, also inflated")
