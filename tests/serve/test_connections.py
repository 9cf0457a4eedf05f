"""Clients that are slow, too large, or too many are cut, told why, and keep nobody else from being answered."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest
from tests.serve.conftest import PREDICT, ROW, Service, Start, eventually

from ninetyfive.serve.messages import Limits

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def connected(service: Service, data: bytes) -> Iterator[socket.socket]:
    """A connection that has sent `data`."""
    with socket.create_connection(("127.0.0.1", service.port), 20) as sock:
        sock.sendall(data)
        yield sock


def until_closed(sock: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(65536):
            found += data
    return found


def test_slow_heads_slow_bodies_and_silence_are_cut(start: Start) -> None:
    service = start(limits=Limits(receive_headers=1.0, receive_body=1.0, idle=1.0))
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
    with (
        connected(service, b"POST /v1") as slow_head,
        connected(service, head.encode() + b"\r\n{") as slow_body,
        connected(service, b"") as silent,
        connected(service, b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n") as idle,
    ):
        assert service.predict(ROW).status == 200
        assert b" 408 " in until_closed(slow_head)
        assert b" 408 " in until_closed(slow_body)
        assert b" 408 " in until_closed(silent)
        answer = until_closed(idle)
    assert b" 200 " in answer
    assert b" 408 " not in answer
    assert service.predict(ROW).status == 200


def test_a_head_that_trickles_is_cut_although_it_never_stops(start: Start) -> None:
    service = start(limits=Limits(receive_headers=1.0))
    with connected(service, f"POST {PREDICT} HTTP/1.1\r\n".encode()) as sock:
        sock.settimeout(0.1)
        end, answer = time.monotonic() + 20, b""
        while time.monotonic() < end and not answer:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(b"X-A: b\r\n")
            with contextlib.suppress(TimeoutError):
                answer = sock.recv(1000)
    assert b" 408 " in answer


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(200)), b" 431 "),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n", b" 431 "),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n", b" 414 "),
        (b"GET /v2 HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", b" 400 "),
        (b"nonsense\r\n", b" 400 "),
    ],
)
def test_heads_that_cannot_be(start: Start, head: bytes, status: bytes) -> None:
    service = start()
    with connected(service, head + b"\r\n") as sock:
        answer = until_closed(sock)
    assert status in answer.partition(b"\r\n")[0], answer
    assert service.predict(ROW).status == 200


def test_a_huge_body_is_refused_before_it_is_read(start: Start) -> None:
    service = start()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with connected(service, head.encode() + b"Content-Length: 300000000\r\n\r\n") as declared:
        assert b" 413 " in until_closed(declared)
    with connected(service, head.encode() + b"Transfer-Encoding: chunked\r\n\r\n") as chunked:
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(100):
                chunked.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
        assert b" 413 " in until_closed(chunked)


def test_more_connections_than_are_taken_are_told_so_at_once(start: Start) -> None:
    service = start(limits=Limits(connections=3))
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connected(service, b""))
        with connected(service, b"") as late:
            answer = until_closed(late)
        assert b" 503 " in answer
        assert b"retry-after" in answer
    assert eventually(lambda: service.predict(ROW).status == 200)


def test_pipelined_requests_are_answered_in_their_order(start: Start) -> None:
    service = start()
    one = "GET /v2 HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {}\r\n\r\n"
    with connected(service, "".join(one.format(n) for n in range(50)).encode()) as sock:
        sock.settimeout(10)
        answer = b""
        while answer.count(b"x-request-id") < 50:
            answer += sock.recv(65536)
    ids = [int(part.split(b"\r\n")[0]) for part in answer.split(b"x-request-id: ")[1:]]
    assert ids == list(range(50))


def posted(body: bytes, more: str = "", path: str = PREDICT) -> bytes:
    """A request of JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_who_says_nothing_is_cut_whatever_was_answered_before(start: Start) -> None:
    service = start(limits=Limits(receive_headers=1.0, receive_body=1.0, idle=1.0))
    early = posted(b"12345", path="/nothing")
    with contextlib.ExitStack() as stack:
        behind, trickle = (stack.enter_context(connected(service, early[:-5])) for _ in range(2))
        for sock, rest in ((behind, b"12345"), (trickle, b"12345GET /v")):
            assert b" 404 " in sock.recv(65536)  # before its body came
            sock.sendall(rest)
        queued = stack.enter_context(connected(service, b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n" + early[:-5]))
        assert until_closed(behind) == b""
        assert b" 408 " in until_closed(trickle)
        answers = until_closed(queued)
    assert answers.count(b"HTTP/1.1 ") == 2
    assert b" 404 " in answers


def test_who_reads_no_answers_is_not_answered_for_ever(start: Start) -> None:
    service = start(access_log="none")
    one = posted(json.dumps({"instances": [ROW]}).encode())
    with connected(service, one) as sock:
        assert b" 200 " in sock.recv(65536)
        sock.settimeout(1.0)
        sent, limit = 0, 64 * 2**20
        with contextlib.suppress(TimeoutError):
            while sent < limit:
                sent += sock.send((one * 1000)[sent % len(one) :])
        assert sent < limit
        assert service.predict(ROW).status == 200


def test_what_stands_behind_the_body_is_no_header(start: Start) -> None:
    service = start()
    body = json.dumps({"instances": [ROW]}).encode()
    head = posted(b"", "Transfer-Encoding: chunked\r\n").replace(b"Content-Length: 0\r\n", b"")
    with connected(service, head + b"%x\r\n%b\r\n0\r\nX-Request-Id: late\r\n\r\n" % (len(body), body)) as sock:
        answer = sock.recv(65536)
    assert b" 200 " in answer
    assert b"late" not in answer
    assert service.records()[-1].client_id is None


def test_what_cannot_be_read_takes_no_place_of_an_answer(start: Start) -> None:
    service = start()
    body = json.dumps({"instances": [ROW]}).encode()
    for path in (PREDICT, PREDICT + "?"):
        with connected(service, posted(body, path=path) * 3 + b"nonsense\r\n\r\n") as sock:
            answers = until_closed(sock).split(b"HTTP/1.1 ")[1:]
        assert [answer[:3] for answer in answers[:3]] == [b"200"] * 3
        assert all(answer.startswith(b"400") for answer in answers[3:])
