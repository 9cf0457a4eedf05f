"""Replay: what a worker has logged is asked of it again, in order, at a rate, and compared."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest
from tests.conftest import Project
from tests.sources.logs import log_trips

from ninetyfive.errors import SourceError, UsageError
from ninetyfive.serve.messages import Access, Live, Log, Token, WorkerConfig
from ninetyfive.sources.discovery import discover
from ninetyfive.sources.files import request_log
from ninetyfive.supervise import replay as module
from ninetyfive.supervise.replay import Asked, logged, replay
from ninetyfive.supervise.rotation import rotate

Trips = Callable[..., pl.DataFrame]


@contextlib.contextmanager
def served(project: Project, folder: Path, **changes: object) -> Iterator[str]:
    """The URL of a worker that serves the champion, and logs to folder/log; drained in the end."""
    sock = socket.create_server(("127.0.0.1", 0))
    release = project.champion()
    live = Live(epoch=1, release=release, number=1, folder=str(project.release(release)))
    config = WorkerConfig(
        name="w1",
        system="trips",
        live=live,
        log=Log(folder=str(folder / "log")),
        listen_fd=sock.fileno(),
        **changes,  # type: ignore[arg-type]
    )
    path = folder / "config.json"
    path.write_bytes(msgspec.json.encode(config))
    words = [sys.executable, "-m", "ninetyfive.serve", str(path)]
    worker = subprocess.Popen(words, pass_fds=[sock.fileno()])
    port = sock.getsockname()[1]
    try:
        for _ in range(600):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            with contextlib.closing(connection), contextlib.suppress(OSError):
                connection.request("GET", "/v1/models")
                if connection.getresponse().status in (200, 401):
                    break
            time.sleep(0.05)
            assert worker.poll() is None
        yield f"http://127.0.0.1:{port}"
    finally:
        sock.close()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0


def ask(url: str, rows: pl.DataFrame) -> list[float]:
    """The answers to rows, asked one by one."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    answers = []
    for row in rows.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%S")).iter_rows(named=True):
        connection.request("POST", "/v1/models/trips:predict", body=msgspec.json.encode({"instances": [row]}))
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        answers += msgspec.json.decode(data)["predictions"]
    connection.close()
    return answers


@pytest.mark.slow
class TestService:
    def test_what_was_answered_is_answered_again(self, finished: Project, trips: Trips, tmp_path: Path) -> None:
        rows = trips(60, 3_000).drop("tip", "fare")
        with served(finished, tmp_path) as url:
            answers = ask(url, rows)
        _, errors = rotate(tmp_path / "log")
        assert not errors
        (span,) = (tmp_path / "log").glob("*.parquet")
        frame = pl.read_parquet(span)
        assert frame["request_answer"].list.first().to_list() == answers
        assert frame.select("trip", "at", "zone", "distance").equals(rows.select("trip", "at", "zone", "distance"))
        again = tmp_path / "again"
        again.mkdir()
        with served(finished, again) as url:
            report = replay(str(tmp_path / "log"), url, Asked(connections=4))
            assert (report.sent, report.statuses, report.equal, report.different) == (60, {"200": 60}, 60, 0)
            assert report.p50 is not None
            assert report.p99 is not None
            assert 0 < report.p50 <= report.p99
            paced = replay(str(span), url, Asked(rate=100, limit=30))
            assert paced.equal == 30
            assert paced.seconds >= 0.29
            said = finished.command("replay", tmp_path / "log", "--to", url, "--limit", "10", "--json")
            assert (said.code, said.json["equal"]) == (0, 10)
            text = finished.command("replay", tmp_path / "log", "--to", url, "--limit", "10", "--speed", "1000000")
            assert "10 rows asked again: 10 × 200" in text.out
        rotate(again / "log")
        assert sum(pl.read_parquet(path).height for path in (again / "log").glob("*.parquet")) == 110

    def test_another_release_hidden_columns_and_differences_are_told_apart(
        self, finished: Project, trips: Trips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = trips(5)
        later = ("tip", "fare")
        log_trips(tmp_path / "other", rows, later=later)
        log_trips(tmp_path / "hidden", rows, later=later, columns={"zone": "hash"}, key_file=str(tmp_path / "key"))
        log_trips(tmp_path / "wrong", rows, later=later, release=finished.champion())
        sha = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
        access = Access(tokens=(Token(name="me", scope="predict", sha256=sha),), required=True)
        monkeypatch.setenv("THE_TOKEN", "test")
        with served(finished, tmp_path, access=access) as url:
            with pytest.raises(SourceError, match="status 401"):
                replay(str(tmp_path / "other"), url, Asked())
            refused = replay(str(tmp_path / "other"), url, Asked(model="trips"))
            assert refused.statuses == {"401": 5}
            asked = Asked(token="test")
            found = {name: replay(str(tmp_path / name), url, asked) for name in ("other", "hidden", "wrong")}
            said = finished.command("replay", tmp_path / "other", "--to", url, "--token-env", "THE_TOKEN", "--json")
            assert said.json["statuses"] == {"200": 5}
        assert (found["other"].other_release, found["other"].equal) == (5, 0)
        assert found["hidden"].hidden == 5
        assert (found["wrong"].different, found["wrong"].equal) == (5, 0)
        assert 0 < found["wrong"].largest <= 0.5


def test_rows_come_in_the_order_of_their_time_over_spans(tmp_path: Path, trips: Trips) -> None:
    rows = trips(300)
    for worker in range(3):
        log_trips(tmp_path / "log", rows.filter(pl.col("trip") % 3 == worker).reverse(), f"w{worker}")
    log_trips(tmp_path / "log", trips(50, 1_000))
    found = list(logged(discover(request_log(tmp_path / "log"))))
    assert [row.at for row in found] == sorted(row.at for row in found)
    assert len(found) == 350
    body = msgspec.json.decode(found[0].body)
    assert body == {"instances": [{"at": "2026-01-01T00:00:00", **rows.select("zone", "distance").row(0, named=True)}]}


def test_cells_are_sent_as_a_request_holds_them() -> None:
    frame = pl.DataFrame(
        {
            "moment": pl.Series([0], dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
            "day": pl.Series([1]).cast(pl.Date),
            "bytes": [b"\xff"],
            "list": [["a", None]],
            "whole": [2**62],
        }
    )
    cells = [module.request_cell(frame[name][0]) for name in frame.columns]
    assert cells == ["1970-01-01T00:00:00Z", "1970-01-02", {"b64": "/w=="}, ["a", None], 2**62]


def test_where_nobody_answers_that_is_said(tmp_path: Path, trips: Trips) -> None:
    log_trips(tmp_path / "log", trips(3))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with pytest.raises(SourceError, match="no answer"):
        replay(str(tmp_path / "log"), f"http://127.0.0.1:{port}", Asked())
    report = replay(str(tmp_path / "log"), f"http://127.0.0.1:{port}", Asked(model="trips"))
    assert (report.statuses, report.p50) == ({"none": 3}, None)


def test_words_that_cannot_be(tmp_path: Path, finished: Project) -> None:
    for words, said in (({"rate": 0.0}, "--rate"), ({"rate": 1.0, "speed": 1.0}, "leave one out")):
        with pytest.raises(UsageError, match=said):
            Asked(**words)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the URL of a service"):
        replay(str(tmp_path), "localhost:8080", Asked())
    said = finished.command("replay", tmp_path, "--to", "http://127.0.0.1:1", "--token-env", "NO_SUCH_VARIABLE")
    assert said.code == 2
    assert "NO_SUCH_VARIABLE, which is empty" in said.err
