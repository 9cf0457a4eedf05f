"""Connections with limits: what uvicorn leaves open for ever is cut here.

    made ─ headers (bytes, number, seconds) ─ body (seconds) ─┬─ lane: answered here and now ──┬─ kept alive ─▶ closed
                                                              └─ application: a task of its own ┘

The rule: one sweep a half second looks at all connections, so a request costs no timer. A client that is slow to send
or to read is cut, and told why where that is still possible. What a turn of the event loop answers is sent at its end,
the head and the body of an answer in one call of the system, which costs as much as the answer itself. A request for
which the `lane` waits for nothing is answered as soon as it is read: without a task, which costs as much again.
What does not belong here: the size of a body, which the application counts (`app`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from ninetyfive.serve.messages import Limits

SWEEP = 0.5
"""Seconds between two looks at all connections."""
_URL_BYTES = 8 * 2**10
_DIGITS = 12
_LINGER = 1.0
"""Seconds for which a connection that is closed is read on, where its client is still sending."""
_READING, _BODY, _ANSWERING, _IDLE = "headers", "body", "answering", "idle"


class _TooLarge(Exception):
    """A head that is larger than it may be."""


class Outbox:
    """What the connections of a loop have to send, until the end of its turn.

    Then `confirm` is called first. Where that gives bytes, they are sent instead of each answer that waits for it.
    """

    def __init__(self, confirm: Callable[[], bytes | None] | None = None) -> None:
        self._full: list[Corked] = []
        self._confirm = confirm

    def add(self, corked: Corked, loop: asyncio.AbstractEventLoop) -> None:
        """Send what `corked` holds when the turn ends."""
        if not self._full:
            loop.call_soon(self._send)
        self._full.append(corked)

    def _send(self) -> None:
        full, self._full = self._full, []
        instead = self._confirm() if self._confirm is not None else None
        for corked in full:
            if instead is not None:
                corked.replace(instead)
            corked.flush()

    def now(self) -> None:
        """Send what there is before the turn ends."""
        self._send()


class Corked:
    """A transport that writes at the end of a turn of its loop; everything else is the transport's own.

    `unread`: the client is still sending. Then to close is to end our side first, and to read on for a moment: a client
    that finds its connection reset does not find the answer.
    """

    def __init__(self, transport: asyncio.Transport, outbox: Outbox, loop: asyncio.AbstractEventLoop) -> None:
        self.inner = transport
        self._outbox = outbox
        self._loop = loop
        self._parts: list[bytes] = []
        self._waiting: list[int] = []
        self._closed = False
        self.unread = False
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.get_extra_info = transport.get_extra_info
        self.abort = transport.abort

    def is_closing(self) -> bool:
        """Whether nothing more will be sent."""
        return self._closed or self.inner.is_closing()

    def write(self, data: bytes) -> None:
        """Send `data`, soon."""
        if self._closed:
            return
        if not self._parts:
            self._outbox.add(self, self._loop)
        self._parts.append(data)

    def write_confirmed(self, data: bytes) -> None:
        """Send `data`, an answer of its own, once the outbox has confirmed it."""
        self.write(data)
        self._waiting.append(len(self._parts) - 1)

    def replace(self, data: bytes) -> None:
        """Say `data` instead of each answer that waits to be confirmed."""
        for place in self._waiting:
            self._parts[place] = data

    def flush(self) -> None:
        """Send what there is now, confirmed or replaced."""
        if self._parts:
            data = b"".join(self._parts)
            self._parts, self._waiting = [], []
            if not self.inner.is_closing():
                self.inner.write(data)

    def close(self) -> None:
        """Close once all that was written is sent."""
        if self._waiting:
            self._outbox.now()
        self.flush()
        if self.unread and not self._closed and not self.inner.is_closing():
            self.inner.resume_reading()
            if self.inner.can_write_eof():
                self.inner.write_eof()
            self._loop.call_later(_LINGER, self.inner.close)
        else:
            self.inner.close()
        self._closed = True

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken yet."""
        return self.inner.get_write_buffer_size()


class Lane(NamedTuple):
    """Requests that may be answered at once: POST of exactly `url`, and what answers them.

    `answer(scope, headers, body)` gives the bytes of a response and whether to close then, or None where the request
    has to go the long way. `confirm` is called before the responses of a turn are sent: what it gives, if anything, is
    sent in their place.
    """

    url: bytes
    answer: Callable[[dict[str, Any], list[tuple[bytes, bytes]], bytes], tuple[bytes, bool] | None]
    confirm: Callable[[], bytes | None]


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with `limits` on what a client may send and how slowly, and a `lane`: see `limited`."""

    limits = Limits()
    outbox = Outbox()
    lane: Lane | None = None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.phase = _READING
        self.since = time.monotonic()
        self._refusal = 400
        self._in_head = False
        self._header_bytes = 0
        self._quick: list[bytes] | None = None
        self._quick_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or say 503 at once where there are too many."""
        super().connection_made(Corked(transport, self.outbox, self.loop))  # type: ignore[arg-type]
        if len(self.connections) > self.limits.connections:
            self._refuse(503, "too many connections")

    def on_message_begin(self) -> None:
        """A new request: its head is counted from here."""
        super().on_message_begin()
        if self.phase == _IDLE:
            self.phase = _READING
            self.since = time.monotonic()
        self._in_head = True
        self._header_bytes = 0
        self._quick = None

    def on_url(self, url: bytes) -> None:
        """A part of the URL."""
        super().on_url(url)
        if len(self.url) > _URL_BYTES:
            self._refusal = 414
            raise _TooLarge

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one behind the body is counted, and says nothing: who asks is known before."""
        self._header_bytes += len(name) + len(value) + 4
        if len(self.headers) >= self.limits.headers or self._header_bytes > self.limits.header_bytes:
            self._refusal = 431
            raise _TooLarge
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._in_head = False
        self.phase = _BODY
        self.since = time.monotonic()
        self.transport.unread = True  # type: ignore[attr-defined]
        self.scope["arrived"] = self.since  # type: ignore[typeddict-unknown-key]
        if self.lane is not None and self.url == self.lane.url and self._free():
            self._quick, self._quick_bytes = [], 0
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body; one that grows too large for the lane goes the long way, where it is refused."""
        if self._quick is None:
            super().on_body(body)
            return
        self._quick.append(body)
        self._quick_bytes += len(body)
        if self._quick_bytes > self.limits.body:
            self._go_the_long_way()

    def on_message_complete(self) -> None:
        """The whole request is there."""
        self.phase = _ANSWERING
        self.transport.unread = False  # type: ignore[attr-defined]
        if self._quick is not None and self.lane is not None:
            answer = self.lane.answer(self.scope, self.headers, b"".join(self._quick))  # type: ignore[arg-type]
            if answer is not None:
                self._quick = None
                data, close = answer
                self.transport.write_confirmed(data)  # type: ignore[attr-defined]
                if close or not self.parser.should_keep_alive():
                    self.transport.close()
                self.phase = _IDLE
                self.since = time.monotonic()
                return
            self._go_the_long_way()
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:  # it was answered before its body came
            self.phase = _IDLE
            self.since = time.monotonic()

    def _free(self) -> bool:
        """Whether nothing of this connection is under way, its client reads its answers, and the request is plain."""
        if self._earlier() or self.flow.write_paused:
            return False
        for name, value in self.headers:
            if name == b"content-length" and (len(value) > _DIGITS or int(value) > self.limits.body):
                return False
        parser = self.parser
        plain = parser.get_method() == b"POST" and parser.get_http_version() == "1.1" and not parser.should_upgrade()
        return plain and not self.expect_100_continue

    def _earlier(self) -> bool:
        """Whether the answer to a request before the one that is read now is still to come."""
        return bool(self.pipeline) or (self.cycle is not None and not self.cycle.response_complete)

    def _go_the_long_way(self) -> None:
        """Give what was read so far to the application."""
        read, self._quick = b"".join(self._quick or ()), None
        super().on_headers_complete()
        super().on_body(read)

    def on_response_complete(self) -> None:
        """The answer is given to the transport; idle ends by the sweep, not by a timer each."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self.since = time.monotonic()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self.phase = _BODY if cycle.more_body else _ANSWERING
            self._start_asgi_task(cycle, app)
        elif self.phase == _ANSWERING:
            self.phase = _READING if self._in_head else _IDLE

    def send_400_response(self, msg: str) -> None:
        """What could not be parsed, or was too large."""
        error = sys.exc_info()[1]
        if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(error.__context__, _TooLarge):
            self._refusal, msg = 500, "the request could not be answered"
            with contextlib.suppress(OSError):
                traceback.print_exception(error)
        words = {414: "the URL is too long", 431: "the headers are too large"}.get(self._refusal, msg)
        self._refuse(self._refusal, words)

    def sweep(self, now: float) -> None:
        """Close it where its client is slow: to send (408), to read, or to say anything at all."""
        spent = now - self.since
        if self.transport.is_closing():
            if spent > self.limits.idle:
                self.transport.abort()
        elif self.phase == _READING and spent > self.limits.receive_headers:
            self._refuse(408, "the head of the request took too long")
        elif self.phase == _BODY and spent > self.limits.receive_body:
            if self._quick is None and self.cycle is not None and self.cycle.response_started:
                self.transport.abort()
            else:
                self._refuse(408, "the body of the request took too long")
        elif self.phase == _IDLE and spent > self.limits.idle:
            self.transport.close()
        elif self.phase == _ANSWERING and self.transport.get_write_buffer_size() and spent > self.limits.idle:
            self.transport.abort()

    def _refuse(self, status: int, words: str) -> None:
        if self.transport.is_closing():
            return
        if self.pipeline or (self.phase == _ANSWERING and self._earlier()):
            self._end_after_what_is_asked()
            return
        body = b'{"error":"' + words.encode() + b'"}'
        retry = b"retry-after: 1\r\n" if status == 503 else b""
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/json\r\nconnection: close\r\n"
            + retry
            + b"content-length: "
            + str(len(body)).encode()
            + b"\r\n\r\n"
            + body
        )
        self.transport.close()
        self.since = time.monotonic()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _end_after_what_is_asked(self) -> None:
        """Say nothing in place of an answer that is still to come, but close behind it."""
        if self.cycle is not None and self.phase == _ANSWERING:
            self.cycle.keep_alive = False
        else:
            self.transport.close()


def limited(limits: Limits, lane: Lane | None = None) -> type[Connection]:
    """The connections of a server with these limits, and what it answers at once."""
    outbox = Outbox(lane.confirm if lane is not None else None)
    return type("LimitedConnection", (Connection,), {"limits": limits, "outbox": outbox, "lane": lane})
