"""States of services: who lives is asked of the kernel; who waits for a flip is told of each service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ninetyfive.errors import BusyError, StoreError
from ninetyfive.supervise.states import FOLDER, ServiceState, StateFile, running, wait_flipped


def state(service: str = "here-1", **words: object) -> ServiceState:
    return ServiceState(**{"service": service, "pid": os.getpid(), "system": "trips", **words})  # type: ignore[arg-type]


def test_a_service_runs_as_long_as_its_lock_is_held(tmp_path: Path) -> None:
    assert running(tmp_path) == []
    kept = StateFile(tmp_path, "here-1")
    assert [(one.service, one.epoch) for one in running(tmp_path)] == [("here-1", 0)]
    kept.write(state(epoch=3))
    assert running(tmp_path) == [state(epoch=3)]
    with pytest.raises(BusyError, match="--port"):
        StateFile(tmp_path, "here-1")
    kept.close()
    assert running(tmp_path) == []
    again = StateFile(tmp_path, "here-1")
    assert running(tmp_path)[0].epoch == 0  # what a former one said is forgotten
    again.close()


def test_a_name_never_becomes_a_path(tmp_path: Path) -> None:
    kept = StateFile(tmp_path, "../../evil host-1")
    assert kept.folder.parent == tmp_path / FOLDER
    kept.close()


def test_a_killed_service_does_not_run(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom ninetyfive.supervise.states import *\n"
        "kept = StateFile(Path(sys.argv[1]), 'x')\nkept.write(ServiceState(service='x', pid=1, system='s', epoch=7))\n"
        "print('kept', flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"kept\n"
    assert [one.epoch for one in running(tmp_path)] == [7]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert (tmp_path / FOLDER / "x.json").exists()
    assert running(tmp_path) == []


def test_a_state_of_another_version_is_told(tmp_path: Path) -> None:
    kept = StateFile(tmp_path, "x")
    (tmp_path / FOLDER / "x.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StoreError, match="of this version"):
        running(tmp_path)
    kept.close()


def test_waiting_ends_when_each_service_has_said_something(tmp_path: Path) -> None:
    assert wait_flipped(tmp_path, 1, 5.0) == []
    error = {"where": "model.onnx", "expected": "a", "got": "b", "do": "c"}
    services = {name: StateFile(tmp_path, name) for name in ("flips", "refuses", "ends", "sleeps")}
    for name, kept in services.items():
        kept.write(state(name, epoch=1))

    def later() -> None:
        time.sleep(0.1)
        services["flips"].write(state("flips", epoch=3))  # past what was waited for
        services["refuses"].write(state("refuses", epoch=1, refused={"2": error}))
        services["ends"].close()

    thread = threading.Thread(target=later)
    thread.start()
    outcomes = {one["service"]: one for one in wait_flipped(tmp_path, 2, 1.5)}
    thread.join()
    assert {name: one["outcome"] for name, one in outcomes.items()} == {
        "flips": "flipped",
        "refuses": "refused",
        "ends": "ended",
        "sleeps": "late",
    }
    assert outcomes["refuses"]["error"] == error
    for name in ("flips", "refuses", "sleeps"):
        services[name].close()
