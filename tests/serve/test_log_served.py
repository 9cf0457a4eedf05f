"""The request log of a service under fire: a ledger of what clients were told proves that each answer has a record."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.conftest import Project
from tests.serve.conftest import PREDICT, ROW, Made, Service, Start

from ninetyfive.models.release import open_release
from ninetyfive.serve import messages
from ninetyfive.serve.counters import Snapshot
from ninetyfive.serve.messages import Live, Log
from ninetyfive.serve.segments import Segment
from ninetyfive.supervise.rotation import rotate

pytestmark = pytest.mark.slow
KEPT_SEEDS: tuple[int, ...] = ()
"""Seeds that failed once."""


def client(service: Service, number: int, ledger: dict[str, Any]) -> None:
    """Ask until the service is gone; the ledger has each id with the answer and the row."""
    chance = random.Random(number)
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        while True:
            rows = [
                {**ROW, "trip": chance.randrange(10**6), "distance": chance.random()} for _ in range(1 + number % 3)
            ]
            connection.request("POST", PREDICT, json.dumps({"instances": rows}), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = json.loads(answer.read())
            assert answer.status == 200, body
            told = body["metadata"]["id"]
            for place, row in enumerate(rows):
                key = told if len(rows) == 1 else f"{told}-{place}"
                ledger[key] = (body["predictions"][place], row["trip"], body["metadata"]["release"])


@pytest.mark.parametrize("mode", ["fast", "durable"])
def test_each_answer_has_one_record_after_kill_9_and_rotation(
    start: Start, tmp_path: Path, mode: str, seed: int
) -> None:
    ledger: dict[str, Any] = {}
    folder = tmp_path / "log"
    chance = random.Random(seed)
    for _ in range(2):
        service = start(log=Log(folder=str(folder), mode=mode, segment_bytes=20_000))  # type: ignore[arg-type]
        clients = [threading.Thread(target=client, args=(service, number, ledger)) for number in range(6)]
        for one in clients:
            one.start()
        time.sleep(0.3 + chance.random() / 2)
        rotate(folder)
        time.sleep(chance.random() / 5)
        service.process.kill()
        for one in clients:
            one.join()
        service.process.wait()
    _, errors = rotate(folder)
    assert not errors
    assert {path.suffix for path in folder.iterdir()} == {".parquet"}
    frame = pl.concat([pl.read_parquet(path) for path in folder.glob("*.parquet")])
    assert frame["request_id"].n_unique() == frame.height
    columns = ("request_id", "request_answer", "trip", "request_release")
    logged = {id: (answer[0], trip, release) for id, answer, trip, release in frame.select(columns).rows()}
    assert len(ledger) > 50
    assert {id: logged.get(id) for id in ledger} == ledger
    assert len(logged) - len(ledger) <= 2 * 6 * 3


def test_after_a_swap_the_columns_are_those_of_the_other_release(
    start: Start, made: Made, project: Project, trips: Callable[..., pl.DataFrame]
) -> None:
    project.add("a", trips().with_columns(pl.lit(1.5).alias("wind")))
    project.run()
    release = project.champion()
    folder = project.release(release)
    assert open_release(folder).request.names != made.opened.request.names
    service = start()
    assert service.predict(ROW).status == 200
    service.order(messages.Load(Live(epoch=2, release=release, number=2, folder=str(folder))))
    service.hear(messages.Loaded)
    service.order(messages.Flip(2))
    service.hear(messages.Flipped)
    assert service.predict({**ROW, "wind": 7.25}).status == 200
    service.order(messages.Drain())
    service.hear(messages.Drained)
    service.process.wait()
    assert service.config.log is not None
    assert service.config.counters is not None
    counted = Snapshot(Path(service.config.counters)).values()
    assert counted["log.records"] == 2.0
    log = Path(service.config.log.folder)
    sizes = [Segment(path.read_bytes()) for path in log.iterdir()]
    assert counted["log.bytes"] == sum(20 + len(payload) for segment in sizes for payload in segment.payloads())
    _, errors = rotate(log)
    assert not errors
    first, second = sorted((pl.read_parquet(path) for path in log.glob("*.parquet")), key=lambda frame: frame.width)
    assert first["request_release"].to_list() == [made.hash]
    assert second["request_release"].to_list() == [release]
    assert second["wind"].to_list() == [7.25]
    assert "wind" not in first.columns
