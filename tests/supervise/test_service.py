"""A service under what happens to it: kills, swaps, damaged releases, restarts under load, its end."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import Project
from tests.supervise.conftest import QUIET, ROW, Service, Start, ask, gone, releases, states, until

pytestmark = pytest.mark.slow


class Load:
    """Clients that ask again and again on kept-alive connections; `answers` and `failures` of all of them."""

    def __init__(self, port: int) -> None:
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._port = port
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]

    @contextmanager
    def running(self) -> Iterator[Load]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        body = json.dumps({"instances": [ROW]})
        while not self._ended.is_set():
            try:
                connection.request("POST", "/v1/models/trips:predict", body, {"content-type": "application/json"})
                got = connection.getresponse()
                said = got.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                continue
            if got.status == 200:
                self.answers.append(json.loads(said)["metadata"]["release"])
            else:
                self.failures.append(f"{got.status} {said!r}")
            time.sleep(0.002)
        connection.close()


def counted(service: Service) -> dict[str, float]:
    text = service.admin("GET", "/metrics", scope="read").body.decode()
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def whole(service: Service, *, without: Iterable[int] = ()) -> list[int]:
    """Wait until both workers answer, none of them `without`; their processes."""
    return list(until(lambda: pids if len(pids := service.pids()) == 2 and not {*pids} & {*without} else None))


def test_workers_that_are_killed_are_replaced_and_their_counts_stay(two: Project, start: Start) -> None:
    service = start(two)
    first = whole(service)
    for _ in range(20):
        assert service.predict().status == 200
    before = until(lambda: found if (found := counted(service))["ninetyfive_rows_total model"] == 20.0 else None)
    os.kill(first[0], signal.SIGKILL)
    until(lambda: first[0] not in service.pids())
    after = counted(service)
    assert after["ninetyfive_rows_total model"] == 20.0
    assert after["ninetyfive_request_seconds_count"] == before["ninetyfive_request_seconds_count"]
    second = whole(service)
    for pid in second:
        os.kill(pid, signal.SIGKILL)
    whole(service, without=[*first, *second])
    assert service.predict().status == 200
    end = counted(service)
    assert end["ninetyfive_rows_total model"] == 21.0
    assert end["ninetyfive_worker_restarts_total"] == 3.0
    assert end["ninetyfive_workers_ready"] == 2.0
    assert len(service.events("worker.ended")) == 3


def test_a_worker_that_stands_still_is_replaced(two: Project, start: Start) -> None:
    service = start(two, NINETYFIVE_SERVE_LIMITS_HANG="1")
    pids = whole(service)
    os.kill(pids[0], signal.SIGSTOP)
    whole(service, without=pids[:1])
    until(lambda: gone(pids[0]))
    assert [one["worker"] for one in service.events("worker.stuck")] == ["w1"]
    assert pids[1] in service.pids()


def test_the_serving_port_tells_the_metrics_of_all_workers_where_that_is_wanted(two: Project, start: Start) -> None:
    service = start(two, "--metrics-on-serving")
    for _ in range(10):
        assert service.predict().status == 200
    answered = until(lambda: ask(service.port, "GET", "/metrics"))
    assert answered.headers["content-type"].startswith("text/plain")
    assert b'ninetyfive_rows_total{source="model"} 10.0' in answered.body
    assert ask(start(two).port, "GET", "/metrics").status == 404


def test_when_the_supervisor_is_killed_its_workers_end_and_another_can_start(two: Project, start: Start) -> None:
    service = start(two)
    pids = whole(service)
    service.stop(signal.SIGKILL)
    until(lambda: all(map(gone, pids)))
    assert states(two) == []
    again = start(two, "--port", str(service.port))
    assert again.port == service.port
    assert again.predict().status == 200


def test_it_ends_as_it_should(two: Project, start: Start) -> None:
    """SIGTERM: readiness is gone at once, what is in flight is answered, nothing is left; the exit code is 0."""
    service = start(two)
    pids = whole(service)
    with Load(service.port).running() as load:
        until(lambda: len(load.answers) > 20)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
    assert not [
        one for one in load.failures if "refused" not in one and "Disconnected" not in one and "Reset" not in one
    ]
    assert all(map(gone, pids))
    assert states(two) == []
    assert [one["code"] for one in service.events("worker.ended")] == [0, 0]
    assert service.events("ended")


def test_promote_and_rollback_wait_for_the_last_worker(two: Project, start: Start) -> None:
    first, second = releases(two)
    service = start(two)
    with Load(service.port).running() as load:
        for words, release, epoch in (
            (["promote", second], second, 2),
            (["rollback"], first, 3),
            (["promote", second], second, 4),
        ):
            said = two.command(*words, "--wait", "--json")
            assert said.code == 0
            assert [(one["outcome"], one["epoch"]) for one in said.json["services"]] == [("flipped", epoch)]
            assert {service.release() for _ in range(8)} == {release}
    assert load.failures == []
    assert set(load.answers) == {first, second}
    assert [one.epoch for one in states(two)] == [4]
    assert two.command("status").out.count("2 of 2 workers, epoch 4") == 1
    assert counted(service)["ninetyfive_swaps_total"] == 6.0


def damage_bit(folder: Path) -> None:
    path = folder / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def damage_end(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:-100])


def damage_name(folder: Path) -> None:
    (folder / "transform.json").unlink()


def damage_whole(folder: Path) -> None:
    shutil.rmtree(folder)


def damage_foreign(folder: Path) -> None:
    other = next(one for one in folder.parent.iterdir() if one.name.startswith("release-") and one != folder)
    shutil.rmtree(folder)
    shutil.copytree(other, folder)


def test_a_damaged_release_is_refused_and_the_old_one_goes_on(two: Project, start: Start) -> None:
    """The pointer is moved with the release whole, and its bytes are altered before the service can copy them."""
    first, second = releases(two)
    folder = two.release(second)
    kept = two.folder / "kept"
    shutil.copytree(folder, kept)
    service = start(two)
    with Load(service.port).running() as load:
        for number, damage in enumerate((damage_bit, damage_end, damage_name, damage_whole, damage_foreign)):
            service.process.send_signal(signal.SIGSTOP)
            assert two.command("promote", second).code == 0
            damage(folder)
            service.process.send_signal(signal.SIGCONT)
            epoch = str(2 + 2 * number)
            error = until(lambda epoch=epoch: service.status()["refused"].get(epoch))
            assert error["kind"] == "IntegrityError", damage
            assert service.release() == first
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(kept, folder)
            assert two.command("rollback", "--wait").code == 0
    assert load.failures == []
    assert set(load.answers) == {first}
    assert counted(service)["ninetyfive_service_refused_total"] == 5.0
    assert len(service.events("refused")) == 5


def test_what_was_refused_is_told_to_who_waits_and_tried_again_by_a_restart(two: Project, start: Start) -> None:
    _, second = releases(two)
    folder, whole_folder = two.release(second), two.folder / "kept"
    shutil.copytree(folder, whole_folder)
    service = start(two)
    service.process.send_signal(signal.SIGSTOP)
    words = [sys.executable, "-m", "ninetyfive.cli", "promote", second, "--wait", "--json"]
    waiting = subprocess.Popen(words, cwd=two.folder, stdout=subprocess.PIPE, text=True)
    until(lambda: _epoch(two) == 2)
    damage_bit(folder)
    service.process.send_signal(signal.SIGCONT)
    out, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 1
    (told,) = json.loads(out)["services"]
    assert told["outcome"] == "refused"
    assert "sha256" in told["error"]["expected"]
    assert any("epoch 2 is refused" in one for one in service.status()["degraded"])
    shutil.rmtree(folder)
    shutil.copytree(whole_folder, folder)
    assert service.admin("POST", "/restart", {}).status == 202
    until(lambda: service.release() == second)
    until(lambda: service.status()["degraded"] == [])


def test_a_damaged_copy_of_what_is_live_is_made_anew_by_a_restart(two: Project, start: Start) -> None:
    service = start(two)
    (copy,) = (two.folder / ".ninetyfive" / "serving").glob("*/releases/*")
    damage_bit(copy)
    os.kill(service.pids()[0], signal.SIGKILL)
    until(lambda: any("workers answer" in one for one in service.status()["degraded"]))
    assert service.predict().status == 200
    assert service.admin("POST", "/restart", {}).status == 202
    until(lambda: len(service.pids()) == 2 and service.status()["degraded"] == [])


def test_a_damaged_champion_at_the_start_leaves_the_one_before_it(two: Project, start: Start) -> None:
    first, second = releases(two)
    assert two.command("promote", second).code == 0
    damage_bit(two.release(second))
    service = start(two)
    assert service.release() == first
    assert service.status()["epoch"] == 1
    assert list(service.status()["refused"]) == ["2"]
    shutil.rmtree(two.release(first))
    words = [sys.executable, "-m", "ninetyfive.cli", "serve", "--json", "--port", "0", "--admin-port", "0"]
    done = subprocess.run(
        words, cwd=two.folder, env={**os.environ, **QUIET}, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["kind"] == "StoreError"


def test_a_worker_needs_neither_store_nor_catalog_once_it_serves(two: Project, start: Start) -> None:
    service = start(two)
    pids = whole(service)
    store = two.folder / ".ninetyfive"
    for name in ("catalog.sqlite", "folders", "artifacts"):
        (store / name).rename(store / f"tmp-{name}")
    until(lambda: any("catalog" in one for one in service.status()["degraded"]))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    whole(service, without=pids)
    assert service.predict().status == 200
    assert service.admin("GET", "/ready").json == {"ready": True, "degraded": True}
    for name in ("catalog.sqlite", "folders", "artifacts"):
        (store / f"tmp-{name}").rename(store / name)
    until(lambda: service.status()["degraded"] == [])


def test_a_rolling_restart_under_load_fails_no_request(two: Project, start: Start) -> None:
    """By a signal, by the route, and by a signal again."""
    service = start(two)
    first = whole(service)
    with Load(service.port).running() as load:
        for round_number, how in enumerate(("signal", "route", "signal")):
            before = len(load.answers)
            if how == "signal":
                service.process.send_signal(signal.SIGHUP)
            else:
                assert service.admin("POST", "/restart", {}).status == 202
            until(lambda number=round_number: len(service.events("restart.ended")) == number + 1)
            until(lambda before=before: len(load.answers) > before + 50)
    assert load.failures == []
    whole(service, without=first)
    assert [one["error"] for one in service.events("restart.ended")] == [None, None, None]
    until(lambda: all(map(gone, first)))


def test_a_worker_that_is_killed_in_a_swap_joins_it(two: Project, start: Start) -> None:
    first, second = releases(two)
    service = start(two)
    whole(service)
    for number in range(4):
        target, words = (second, ["promote", second]) if number % 2 == 0 else (first, ["rollback"])
        pids = whole(service)
        process = subprocess.Popen([sys.executable, "-m", "ninetyfive.cli", *words], cwd=two.folder)
        until(lambda number=number: _epoch(two) == number + 2)
        os.kill(pids[number % 2], signal.SIGKILL)
        assert process.wait(30) == 0
        until(lambda number=number: service.status()["epoch"] == number + 2)
        assert {service.release() for _ in range(6)} == {target}
    assert not service.events("refused")


def test_the_segments_of_the_log_become_spans(two: Project, start: Start) -> None:
    service = start(two, NINETYFIVE_SERVE_LOG_MODE="fast")
    for _ in range(5):
        assert service.predict().status == 200
    folder = two.folder / ".ninetyfive" / "requests"
    assert service.stop() == 0
    assert not list(folder.rglob("*.open"))
    assert not list(folder.rglob("*.closed"))
    import polars as pl

    rows = pl.concat([pl.read_parquet(path) for path in folder.rglob("*.parquet")])
    assert rows.height == 5
    assert set(rows["request_release"]) == {releases(two)[0]}


def test_two_services_of_one_store_both_follow(two: Project, start: Start) -> None:
    _, second = releases(two)
    services = [start(two, "--workers", "1"), start(two, "--workers", "1")]
    said = two.command("promote", second, "--wait", "--json")
    assert [one["outcome"] for one in said.json["services"]] == ["flipped", "flipped"]
    assert [one.release() for one in services] == [second, second]


def test_what_makes_serving_impossible_is_told(project: Project, finished: Project) -> None:
    words = ["serve", "--port", "0", "--admin-port", "0", "--json"]
    assert project.command(*words).json["error"]["kind"] == "StoreError"  # there is no store yet
    for more in (["--host", "0.0.0.0"], ["--port", "70000"], ["--workers", "0"]):
        assert finished.command(*words, *more).code == 2
    for name, value in {"AIP_HTTP_PORT": "x", "NINETYFIVE_SERVE_TLS_CERT": "cert.pem"}.items():
        done = subprocess.run(
            [sys.executable, "-m", "ninetyfive.cli", *words],
            cwd=finished.folder,
            env={**os.environ, name: value},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert json.loads(done.stdout)["error"]["kind"] == "SettingsError"


def test_on_vertex_it_listens_where_the_platform_says(two: Project, start: Start) -> None:
    port = _free_port()
    service = start(
        two, "--port", str(port), AIP_HTTP_PORT=str(port), AIP_HEALTH_ROUTE="/alive", AIP_PREDICT_ROUTE="/ask"
    )
    assert service.opening["url"] == f"http://0.0.0.0:{port}"
    assert ask(port, "GET", "/alive", host="whatever.example").status == 200
    answered = ask(port, "POST", "/ask", {"instances": [ROW]}, host="whatever.example")
    assert (answered.status, len(answered.json["predictions"])) == (200, 1)


def _free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _epoch(project: Project) -> int:
    with project.store() as store:
        champion = store.champion()
        return champion.epoch if champion else 0
