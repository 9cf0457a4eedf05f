"""A worker of one's own: it answers, tells what it costs, says why it cannot, and outlives nobody."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ninetyfive.design.ground import Ground
from ninetyfive.design.traffic import bodies, newest
from ninetyfive.design.worker import Worker, worker
from ninetyfive.errors import ModelError
from ninetyfive.models.release import OpenRelease
from ninetyfive.serve.messages import Policy

pytestmark = pytest.mark.slow

On = Callable[[OpenRelease], Ground]


def test_a_worker_answers_and_tells_what_it_costs(zones: OpenRelease, on: On, log: str) -> None:
    ground, rows = on(zones), newest(log, zones, 50)
    with worker(ground.live, Policy(), ground.config, ground.folder / "one") as one:
        one.ready()
        process, before = one.process, one.cpu()
        answers = [one.ask(one.request(body)) for body in bodies(rows, zones)]
        assert {answer.status for answer in answers} == {200}
        said = [msgspec.json.decode(answer.body) for answer in answers]
        wanted = [zones.answer(zones.request.row(row)) for row in rows.drop("request_time").to_dicts()]
        assert [one["predictions"][0] for one in said] == pytest.approx(wanted)
        assert said[0]["metadata"]["sources"] == ["model"]
        assert one.cpu() > before > 0.0
        assert one.memory() > 10**6
        assert one.ask(one.request(b"{")).status == 400
    assert process.returncode == -signal.SIGKILL
    assert list((ground.folder / "one" / "requests").iterdir()), "it logs as a service does"


def test_cpu_and_memory_where_the_system_does_not_tell(
    zones: OpenRelease, on: On, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = on(zones)
    monkeypatch.setattr("ninetyfive.design.worker._PROC", Path("/nowhere"))
    with worker(ground.live, Policy(), ground.config, ground.folder / "one") as one:
        one.ready()
        before = one.cpu()
        for body in bodies(newest(log, zones, 50), zones):
            one.ask(one.request(body))
        assert one.cpu() > before > 0.0
        assert one.memory() > 10**6


def test_why_a_worker_does_not_start_is_told(zones: OpenRelease, on: On) -> None:
    ground = on(zones)
    damaged = ground.folder / "damaged"
    shutil.copytree(zones.folder, damaged)
    path = damaged / "schema.json"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b" ")
    live = msgspec.structs.replace(ground.live, folder=str(damaged))
    with (
        worker(live, Policy(), ground.config, ground.folder / "one") as one,
        pytest.raises(ModelError, match=r"schema\.json"),
    ):
        one.ready()
    config = msgspec.structs.replace(ground.config, system="other")
    with (
        worker(ground.live, Policy(), config, ground.folder / "two") as one,
        pytest.raises(ModelError, match="a release of system 'other'"),
    ):
        one.ready()


def test_a_worker_that_is_gone_is_missed(zones: OpenRelease, on: On, log: str) -> None:
    ground = on(zones)
    (body,) = bodies(newest(log, zones, 1), zones)
    with worker(ground.live, Policy(), ground.config, ground.folder / "one") as one:
        one.ready()
        one.process.kill()
        with pytest.raises(ModelError, match="expected answers"):
            ask_on(one, body)


def ask_on(one: Worker, body: bytes) -> None:
    for _ in range(1_000):
        one.ask(one.request(body))


PARENT = """\
import sys, time
from pathlib import Path
from ninetyfive.design.ground import Ground
from ninetyfive.design.worker import worker
from ninetyfive.models.release import open_release
from ninetyfive.serve.messages import Policy

folder, place = map(Path, sys.argv[1:])
ground = Ground(open_release(folder), None, place)
with worker(ground.live, Policy(), ground.config, place / "one") as one:
    one.ready()
    print(one.process.pid, flush=True)
    time.sleep(600)
"""


def test_a_worker_does_not_outlive_who_started_it(zones: OpenRelease, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(zones.folder), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    end = time.monotonic() + 60.0
    while alive(pid):
        assert time.monotonic() < end, "it is still there"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
