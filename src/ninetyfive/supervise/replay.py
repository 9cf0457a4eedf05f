"""Replay: the rows of a request log are asked again of a running service, and the answers compared.

    spans ─ by time ─▶ row, when it is due ─▶ connections ─ POST :predict ─▶ status, answer, latency ─▶ Report

The rule: with a rate or a speed the loop is open: a request is due when its turn has come, whether or not the ones
before it are answered, and its latency counts from then. A row is sent as it was logged; what the log hides (hash,
drop) is left out, and such answers are compared with nothing.
What does not belong here: reading spans in chunks (`sources`), printing (`cli`).
"""

from __future__ import annotations

import base64
import heapq
import http.client
import itertools
import math
import queue
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from http import HTTPStatus
from typing import Any

import msgspec
import polars as pl

from ninetyfive.errors import SourceError, UsageError
from ninetyfive.schema import LOGGED
from ninetyfive.sources import parquet_files
from ninetyfive.sources.discovery import FileFound, discover
from ninetyfive.sources.files import request_log
from ninetyfive.sources.log_spans import about

TIMEOUT = 30.0
"""How many seconds a connection waits for an answer."""
CONNECTIONS = 16
_AHEAD = 256


class _Metadata(msgspec.Struct):
    release: str


class _Answer(msgspec.Struct):
    """What is read of an answer."""

    predictions: list[float | dict[str, float] | None]
    metadata: _Metadata


class _Models(msgspec.Struct):
    models: list[str]


_answer = msgspec.json.Decoder(_Answer).decode
_models = msgspec.json.Decoder(_Models).decode


@dataclass(frozen=True, slots=True)
class Asked:
    """How to replay: at `rate` requests a second, or `speed` times as fast as they came (neither: without a pause).

    `limit`: at most so many rows. `model`: the name in the URL (None: asked of the service). `token`: sent as a bearer.
    """

    rate: float | None = None
    speed: float | None = None
    limit: int | None = None
    connections: int = CONNECTIONS
    model: str | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("--rate", self.rate), ("--speed", self.speed)):
            if value is not None and not 0.0 < value < math.inf:
                raise UsageError(name, expected="a number above 0", got=str(value), do="correct it, or leave it out")
        if self.rate is not None and self.speed is not None:
            raise UsageError("replay", expected="one of --rate and --speed", got="both", do="leave one out")


class Report(msgspec.Struct, frozen=True):
    """What came of a replay.

    `sent` rows; `statuses` {status: answers}, "none" where there was no answer. Of the answers by the release that
    answered before: `equal`, `different`, by at most `largest`. `other_release` is that of another one, `hidden` rows
    were sent without columns that the log hides, `skipped` records have no row. Latencies and `seconds` in seconds;
    `late` is the longest that a request was sent after it was due; `rate` is what was reached, a second.
    """

    sent: int
    statuses: dict[str, int]
    equal: int
    different: int
    largest: float
    other_release: int
    hidden: int
    skipped: int
    p50: float | None
    p99: float | None
    late: float
    seconds: float
    rate: float


@dataclass(slots=True)
class _Tally:
    """What one connection has seen."""

    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    equal: int = 0
    different: int = 0
    largest: float = 0.0
    other_release: int = 0
    hidden: int = 0
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Logged:
    """A row to ask again: when it came (µs UTC), the body, what was answered by which release; `hidden`: not all."""

    at: int
    body: bytes
    answer: list[float] | None
    release: str
    hidden: bool


def replay(log: str, url: str, asked: Asked) -> Report:
    """Ask the rows of a log (a folder of spans, or one of them) of the service at `url` again.

    `UsageError` for a url that is none, `SourceError` for files that are no log, or a service that does not answer.
    """
    where = urllib.parse.urlsplit(url)
    if where.scheme not in ("http", "https") or not where.hostname:
        do = "write it like http://127.0.0.1:8080"
        raise UsageError("--to", expected="the URL of a service", got=repr(url), do=do)
    headers = {"content-type": "application/json"}
    if asked.token is not None:
        headers["authorization"] = f"Bearer {asked.token}"
    model = asked.model or _model(where, headers)
    path = f"{where.path.rstrip('/')}/v1/models/{urllib.parse.quote(model)}:predict"
    files = discover(request_log(log))
    skipped = sum(about(file.part).rowless for file in files)
    rows = itertools.islice(logged(files), asked.limit)
    work: queue.Queue[tuple[float | None, Logged] | None] = queue.Queue(_AHEAD)
    tallies = [_Tally() for _ in range(asked.connections)]
    threads = [
        threading.Thread(target=_ask, args=(where, path, headers, work, tally), daemon=True) for tally in tallies
    ]
    for thread in threads:
        thread.start()
    start = time.perf_counter()
    sent = _feed(rows, work, asked, start)
    for _ in threads:
        work.put(None)
    for thread in threads:
        thread.join()
    return _report(sent, skipped, tallies, time.perf_counter() - start)


def logged(files: Sequence[FileFound]) -> Iterator[Logged]:
    """The rows of the spans in the order they came; only spans that overlap in time are held at once."""
    spans = sorted(((about(file.part).first, number, file) for number, file in enumerate(files)), reverse=True)
    heap: list[tuple[int, int, Logged, Iterator[Logged]]] = []
    while spans or heap:
        while spans and (not heap or spans[-1][0] <= heap[0][0]):
            _, number, file = spans.pop()
            rows = _of(file)
            for row in itertools.islice(rows, 1):
                heapq.heappush(heap, (row.at, number, row, rows))
        if heap:
            _, number, row, rows = heapq.heappop(heap)
            for after in itertools.islice(rows, 1):
                heapq.heappush(heap, (after.at, number, after, rows))
            yield row


def _of(file: FileFound) -> Iterator[Logged]:
    """The rows of one span in the order they came; records without a row are left out."""
    policy = about(file.part).policy
    hidden = any(kept != "keep" for kept in policy.values())
    frame = pl.concat(parquet_files.read(file.part, 0, None, None)).sort("request_time", maintain_order=True)
    columns = [name for name in frame.columns if name not in LOGGED and policy.get(name, "keep") == "keep"]
    cells = [frame[name] for name in columns]
    own = (frame["request_time"].to_physical(), frame["request_answer"], frame["request_release"])
    for at, answer, release, *row in zip(*own, *cells, strict=True):
        if any(cell is not None for cell in row):
            yield Logged(at, body_of(columns, row), None if answer is None else list(answer), release, hidden)


def body_of(columns: Sequence[str], row: Sequence[Any]) -> bytes:
    """The body of a request for one row, without its nulls."""
    given = {name: request_cell(cell) for name, cell in zip(columns, row, strict=True) if cell is not None}
    return msgspec.json.encode({"instances": [given]})


def request_cell(cell: Any) -> Any:
    """A cell of a frame as a request holds it in JSON; NaN becomes null when it is written."""
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=None).isoformat() + ("" if cell.tzinfo is None else "Z")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, bytes):
        return {"b64": base64.b64encode(cell).decode()}
    return cell.to_list() if isinstance(cell, pl.Series) else cell


def _feed(rows: Iterator[Logged], work: queue.Queue[Any], asked: Asked, start: float) -> int:
    """Hand out the rows, each with the moment it is due."""
    sent, first = 0, None
    for row in rows:
        first = row.at if first is None else first
        due = None
        if asked.rate is not None:
            due = start + sent / asked.rate
        elif asked.speed is not None:
            due = start + (row.at - first) / 1e6 / asked.speed
        work.put((due, row))
        sent += 1
    return sent


def _ask(where: Any, path: str, headers: Mapping[str, str], work: queue.Queue[Any], tally: _Tally) -> None:
    """One connection: take a row, wait until it is due, ask, compare."""
    connection = _connection(where)
    while (given := work.get()) is not None:
        due, row = given
        if due is not None and (ahead := due - time.perf_counter()) > 0:
            time.sleep(ahead)
        now = time.perf_counter()
        tally.late = max(tally.late, now - due) if due is not None else 0.0
        said = _say(connection, "POST", path, row.body, headers)
        if said is None:
            tally.statuses["none"] += 1
            continue
        status, data = said
        tally.latencies.append(time.perf_counter() - (due or now))
        tally.statuses[str(status)] += 1
        if status == HTTPStatus.OK:
            _compare(row, data, tally)
    connection.close()


def _say(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> tuple[int, bytes] | None:
    """Status and body of one answer, None where there is none; a connection that was kept open may have been closed."""
    for _ in range(2):
        kept = connection.sock is not None
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            if not kept:
                break
    return None


def _compare(row: Logged, data: bytes, tally: _Tally) -> None:
    if row.hidden:
        tally.hidden += 1
        return
    try:
        answer = _answer(data)
        (got,) = answer.predictions
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        tally.statuses["200, not to be read"] += 1
        return
    if answer.metadata.release != row.release:
        tally.other_release += 1
        return
    values = None if got is None else list(got.values()) if isinstance(got, dict) else [got]
    if values == row.answer or (values is None and all(map(math.isnan, row.answer or []))):
        tally.equal += 1
        return
    tally.different += 1
    pairs = zip(values or [], row.answer or [], strict=False)
    tally.largest = max([tally.largest, *(abs(one - other) for one, other in pairs)])


def _model(where: Any, headers: Mapping[str, str]) -> str:
    """The name of the model that the service says it has."""
    connection = _connection(where)
    url = f"{where.path.rstrip('/')}/v1/models"
    said = _say(connection, "GET", url, None, headers)
    connection.close()
    try:
        if said is not None and said[0] == HTTPStatus.OK:
            (name,) = _models(said[1]).models
            return name
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        pass
    got = "no answer" if said is None else f"status {said[0]}: {said[1][:200].decode(errors='replace')}"
    do = "check the address and the token, or name the model with --model"
    raise SourceError(where.geturl(), expected="a service that names its model", got=got, do=do)


def _connection(where: Any) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    return kind(where.hostname, where.port, timeout=TIMEOUT)


def _report(sent: int, skipped: int, tallies: Sequence[_Tally], seconds: float) -> Report:
    latencies = sorted(itertools.chain.from_iterable(tally.latencies for tally in tallies))
    statuses: Counter[str] = sum((tally.statuses for tally in tallies), Counter())

    def quantile(share: float) -> float | None:
        return latencies[min(len(latencies) - 1, int(share * len(latencies)))] if latencies else None

    return Report(
        sent=sent,
        statuses=dict(sorted(statuses.items())),
        equal=sum(tally.equal for tally in tallies),
        different=sum(tally.different for tally in tallies),
        largest=max(tally.largest for tally in tallies),
        other_release=sum(tally.other_release for tally in tallies),
        hidden=sum(tally.hidden for tally in tallies),
        skipped=skipped,
        p50=quantile(0.5),
        p99=quantile(0.99),
        late=max(tally.late for tally in tallies),
        seconds=seconds,
        rate=sent / seconds if seconds > 0 else 0.0,
    )
