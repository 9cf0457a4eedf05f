"""A worker: what it needs, what it refuses to serve, how it flips and how it ends."""

from __future__ import annotations

import json
import resource
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.serve.conftest import PREDICT, ROW, Made, Start, eventually

from ninetyfive.serve import messages
from ninetyfive.serve.counters import Snapshot
from ninetyfive.serve.messages import Limits, Policy

pytestmark = pytest.mark.slow

ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"sklearn", "skops", "polars", "pyarrow", "sqlalchemy", "fsspec", "typer", "system"}:
            raise ImportError(f"{name} is absent here")
sys.meta_path.insert(0, Absent())
"""
NO_PICKLE = """
import pickle, _pickle
def refuse(*_, **__):
    raise RuntimeError("the server reads a pickle")
pickle.loads = pickle.load = pickle.Unpickler = _pickle.loads = _pickle.load = refuse
"""


def test_a_worker_needs_no_trainer_no_frames_no_sql_and_no_pickle(
    start: Start, made: Made, table: Callable[..., Path]
) -> None:
    service = start(Policy(paradigm="hybrid"), table(ROW), code=ABSENT + NO_PICKLE)
    assert service.predict(ROW, {**ROW, "distance": 1.0}).json["metadata"]["sources"] == ["table", "model"]
    service.order(messages.Load(made.live(2)))
    assert service.hear(messages.Loaded).epoch == 2


def test_a_flip_changes_what_answers_and_nothing_fails(start: Start, made: Made, table: Callable[..., Path]) -> None:
    service = start(Policy(paradigm="hybrid"))
    tables = [table(ROW, name=str(n)) for n in range(3)]
    seen: list[tuple[int, str | None]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answer = service.predict(ROW)
            seen.append((answer.status, answer.json["metadata"]["table"]))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for one in asking:
        one.start()
    for epoch, folder in enumerate(tables, 2):
        live = made.live(epoch, number=epoch, table=folder)
        service.order(messages.Load(live))
        assert service.hear(messages.Loaded).epoch == epoch
        service.order(messages.Flip(epoch))
        assert service.hear(messages.Flipped).epoch == epoch
        assert service.predict(ROW).json["metadata"]["table"] == live.table
    done.set()
    for one in asking:
        one.join()
    assert {status for status, _ in seen} == {200}
    assert service.config.counters is not None
    assert Snapshot(Path(service.config.counters)).values()["swaps"] == 3.0


def damaged(made: Made, folder: Path, how: str) -> Path:
    """A copy of the release with something wrong."""
    shutil.copytree(made.folder, folder)
    model = folder / "model.onnx"
    data = bytearray(model.read_bytes())
    if how == "flipped":
        data[len(data) // 2] ^= 1
        model.write_bytes(data)
    elif how == "truncated":
        model.write_bytes(data[:-1])
    elif how == "missing":
        model.unlink()
    else:
        shutil.rmtree(folder)
    return folder


def test_a_table_that_is_live_is_loaded_again_for_a_later_epoch(
    start: Start, made: Made, table: Callable[..., Path]
) -> None:
    folder = table(ROW)
    service = start(table=folder, policy=Policy(paradigm="static"))
    for epoch, live in enumerate((made.live(2, table=folder), made.live(3), made.live(4, table=folder)), 2):
        service.order(messages.Load(live))
        assert service.hear(messages.Loaded).epoch == epoch
        service.order(messages.Flip(epoch))
        assert service.hear(messages.Flipped).epoch == epoch
    assert service.predict(ROW).json["metadata"]["sources"] == ["table"]


@pytest.mark.parametrize("how", ["flipped", "truncated", "missing", "no folder"])
def test_a_release_that_is_not_whole_is_refused_and_the_old_one_goes_on(
    start: Start, made: Made, tmp_path: Path, how: str
) -> None:
    service = start()
    folder = damaged(made, tmp_path / "bad", how)
    live = messages.Live(epoch=2, release=made.hash, number=2, folder=str(folder))
    service.order(messages.Load(live))
    refused = service.hear(messages.Refused)
    assert refused.epoch == 2
    assert "bad" in refused.error["where"]
    service.order(messages.Flip(2))
    assert service.hear(messages.Flipped).epoch == 1
    assert service.predict(ROW).json["predictions"] == [made.answer(ROW)]


def test_another_release_and_a_foreign_table_are_refused(start: Start, made: Made, table: Callable[..., Path]) -> None:
    service = start()
    foreign = table(ROW, name="foreign", release="f" * 64)
    for live, words in (
        (messages.Live(epoch=2, release="0" * 64, number=2, folder=str(made.folder)), "release 000"),
        (made.live(3, table=foreign), "a table of release"),
    ):
        service.order(messages.Load(live))
        assert words in service.hear(messages.Refused).error["expected"]
    assert service.predict(ROW).status == 200


def test_a_release_that_cannot_be_served_never_listens(start: Start, made: Made, tmp_path: Path) -> None:
    folder = damaged(made, tmp_path / "bad", "flipped")
    live = messages.Live(epoch=1, release=made.hash, number=1, folder=str(folder))
    service = start(live=live, ready=False)
    assert service.hear(messages.Refused).epoch == 1
    assert service.process.wait(20) == 1


def test_a_log_that_cannot_be_kept_is_said_before_it_listens(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    service = start(log=messages.Log(folder=str(tmp_path / "file" / "log")), ready=False)
    assert "log" in service.hear(messages.Refused).error["where"]
    assert service.process.wait(20) == 1


WRONG = """
from ninetyfive.models.release import OpenRelease
import ninetyfive.serve.loaded as loaded
first = loaded.Loaded.one
loaded.Loaded.one = lambda self, cells: first(self, cells) + 0.01 * (self.live.epoch > 1)
"""


def test_a_release_that_answers_its_golden_requests_otherwise_is_refused(start: Start, made: Made) -> None:
    service = start(code=WRONG)
    service.order(messages.Load(made.live(2)))
    refused = service.hear(messages.Refused)
    assert "golden request 1" in refused.error["where"]
    assert service.predict(ROW).status == 200


def slow(seconds: float, until: float = 1e18) -> str:
    """Code by which every call of the model takes so long, from the third second on (after it was proved)."""
    return f"""
import time
import ninetyfive.serve.loaded as loaded
first, begun = loaded.Loaded.predict, time.monotonic()
def predict(self, inputs):
    if getattr(self, "proved", False):
        time.sleep({seconds})
    return first(self, inputs)
def prove(self, warm=()):
    proving(self, warm)
    self.proved = self.dear = True
    self.light = False
proving = loaded.Loaded.prove
loaded.Loaded.predict, loaded.Loaded.prove = predict, prove
"""


def test_a_model_that_hangs_is_late_for_its_own_requests_alone_and_is_told_as_stuck(start: Start) -> None:
    service = start(code=slow(30.0), limits=Limits(deadline=0.5, hang=1.0, queue=4))
    begun = time.monotonic()
    assert service.predict(ROW).status == 504
    assert time.monotonic() - begun < 10
    assert service.ask("GET", "/v2/health/live").status == 200
    state = service.hear(messages.State)
    assert state.stuck
    assert eventually(lambda: service.ask("GET", "/v2/health/ready").status == 503)


def test_too_many_for_a_dear_model_are_refused_at_once(start: Start) -> None:
    service = start(code=slow(0.2), limits=Limits(queue=3, deadline=20.0))
    answers: list[Any] = []
    asking = [threading.Thread(target=lambda: answers.append(service.predict(ROW))) for _ in range(20)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    refused = [answer for answer in answers if answer.status == 503]
    assert refused
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert {answer.status for answer in answers} == {200, 503}
    assert len(service.records()) == sum(answer.status == 200 for answer in answers)


def test_what_waits_for_a_dear_model_goes_as_one_batch_and_each_gets_its_own(start: Start, made: Made) -> None:
    service = start(code=slow(0.1), limits=Limits(deadline=20.0))
    rows = [{**ROW, "distance": number / 3} for number in range(24)]
    answers: dict[int, Any] = {}

    def ask(number: int) -> None:
        answers[number] = service.predict(rows[number]).json["predictions"][0]

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(len(rows))]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert answers == {number: made.answer(row) for number, row in enumerate(rows)}
    assert service.config.counters is not None
    batches, total = Snapshot(Path(service.config.counters)).histogram("batch_rows")
    assert total == len(rows)
    assert sum(batches) < len(rows)


def test_a_request_whose_client_is_gone_is_not_computed(start: Start) -> None:
    service = start(code=slow(0.5), limits=Limits(deadline=20.0))
    first = threading.Thread(target=service.predict, args=(ROW,))
    first.start()
    time.sleep(0.2)
    body = json.dumps({"instances": [ROW]}).encode()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", service.port)) as sock:
        sock.sendall(head.encode() + b"\r\n" + body)
        time.sleep(0.1)
    first.join()
    assert service.predict(ROW).status == 200
    assert len(service.records()) == 2


def test_drain_is_unready_first_and_lets_what_is_under_way_end(start: Start) -> None:
    service = start(code=slow(1.0), limits=Limits(deadline=20.0))
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(service.predict(ROW)))
    asking.start()
    time.sleep(0.3)
    service.order(messages.Drain(settle=0.3))
    ready = eventually(lambda: service.ask("GET", "/v2/health/ready"))
    assert ready.status == 503
    asking.join()
    assert answers[0].status == 200
    assert answers[0].headers["connection"] == "close"
    service.hear(messages.Drained)
    assert service.process.wait(20) == 0


def test_a_worker_ends_with_its_supervisor(start: Start) -> None:
    service = start()
    service.control.close()
    assert service.process.wait(20) == 0


def test_tokens_change_while_it_runs(start: Start) -> None:
    from ninetyfive.serve.access import digest

    service = start()
    assert service.predict(ROW).status == 200
    token = messages.Token(name="client", scope="predict", sha256=digest(b"secret"))
    service.order(messages.Admit(messages.Access(tokens=(token,), required=True)))
    eventually(lambda: service.predict(ROW).status == 401)
    assert service.predict(ROW, Authorization="Bearer secret").status == 200
    assert service.predict(ROW, Authorization="Bearer guess").status == 401
    assert service.ask("GET", "/v2/health/ready").status == 200


def test_a_full_disk_under_the_log_refuses_and_says_so_and_answers_again(start: Start, tmp_path: Path) -> None:
    limit = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, resource.RLIM_INFINITY))
"""
    service = start(code=limit)
    statuses = [service.predict(ROW).status for _ in range(60)]
    assert 503 in statuses
    assert len(service.records()) == statuses.count(200)
    assert service.config.counters is not None
    counted = Snapshot(Path(service.config.counters)).values()
    assert counted["log.records"] == counted["requests.predict.2xx"] == statuses.count(200)
    assert counted["requests.predict.503"] == statuses.count(503)


def test_a_log_in_which_nothing_can_be_begun_is_told_as_long_as_that_is_so(start: Start) -> None:
    service, free = start(), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    assert {service.predict(ROW).status for _ in range(10)} == {503}
    eventually(lambda: service.ask("GET", "/v2/health/ready").json["degraded"])
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, free)
    assert service.predict(ROW).status == 200
    eventually(lambda: not service.ask("GET", "/v2/health/ready").json["degraded"])
    assert len(service.records()) == 1


def test_the_log_is_durable_where_that_is_asked(start: Start, tmp_path: Path) -> None:
    service = start(log=messages.Log(folder=str(tmp_path / "durable"), mode="durable"))
    assert [service.predict(ROW).status for _ in range(5)] == [200] * 5
    assert len(service.records()) == 5
    service.order(messages.Rotate())
    eventually(lambda: list((tmp_path / "durable").glob("*.closed")))


def test_it_answers_where_nobody_reads_what_it_tells(start: Start) -> None:
    """Its stderr is a pipe whose reader is gone, as behind `| head`."""
    deaf = "import os\nreader, writer = os.pipe()\nos.dup2(writer, 2)\nos.close(reader), os.close(writer)"
    service = start(code=deaf)
    assert [service.predict({"no": 1}).status for _ in range(3)] == [400] * 3  # each is told in the access log
    assert service.ask("POST", PREDICT + "?", {"instances": [{"no": 1}]}).status == 400
    assert service.predict(ROW).status == 200
    service.order(messages.Drain())
    service.hear(messages.Drained)
    assert service.process.wait(30) == 0
