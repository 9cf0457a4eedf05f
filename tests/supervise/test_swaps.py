"""Swaps to releases that are whole and cannot be served: one that raises, kills its worker, or hangs."""

from __future__ import annotations

import contextlib
import http.client
import signal
import threading
import time
from pathlib import Path

import pytest
from tests.conftest import Project
from tests.supervise.conftest import Service, Start, gone, releases, until

pytestmark = pytest.mark.slow

FUNCTION = """

def moody(distance):
    import os
    import time
    from pathlib import Path

    mood = Path("{mood}")
    said = mood.read_text() if mood.exists() else ""
    if said == "die" and "NINETYFIVE_SERVE_LOG_MODE" in os.environ:
        os._exit(7)
    if said == "hang":
        time.sleep(3600)
    if said == "raise":
        raise ValueError("I do not want to")
    return distance


"""


def third(project: Project) -> Path:
    """Make a release whose feature does as a file says; returns the file."""
    mood = project.folder / "mood"
    declared = '        "zone": col("zone").vocabulary(),\n'
    project.edit(
        ("\ntrips = ", f"{FUNCTION.format(mood=mood)}\ntrips = "),
        (declared, f'{declared}        "moody": nf.feature(moody, [col("distance").fill_mean()], returns="number"),\n'),
    )
    project.run(promote=False)
    return mood


def refusal(service: Service, epoch: int) -> dict[str, str]:
    found = until(lambda: service.status()["refused"].get(str(epoch)), 60.0)
    assert isinstance(found, dict)
    return found


def test_a_release_that_cannot_be_served_is_refused_whatever_it_does(two: Project, start: Start) -> None:
    """It raises at its golden requests; it kills each worker that tries them: of two workers one is always there."""
    mood = third(two)
    first, last = releases(two)[0], releases(two)[-1]
    service = start(two)
    before = service.pids()

    mood.write_text("raise", encoding="utf-8")
    assert two.command("promote", last, "--wait").code == 1
    assert "I do not want to" in refusal(service, 2)["got"]
    assert (service.release(), service.pids()) == (first, before)
    assert two.command("rollback", "--wait").code == 0

    mood.write_text("die", encoding="utf-8")
    assert two.command("promote", last, "--wait").code == 1
    assert "died" in refusal(service, 4)["got"]
    assert service.release() == first
    until(lambda: len(service.pids()) == 2)
    assert len(set(service.pids()) & set(before)) >= 1
    assert two.command("rollback", "--wait").code == 0

    mood.unlink()
    assert two.command("promote", last, "--wait").code == 0
    assert service.release() == last
    assert service.status()["degraded"] == []


def test_a_worker_whose_model_hangs_where_it_runs_inline_is_replaced(two: Project, start: Start) -> None:
    mood = third(two)
    assert two.command("promote", releases(two)[-1]).code == 0
    service = start(two, "--workers", "1", NINETYFIVE_SERVE_LIMITS_HANG="1")
    (before,) = service.pids()
    assert service.predict().status == 200
    mood.write_text("hang", encoding="utf-8")
    asking = threading.Thread(target=_asked_in_vain, args=(service,))
    asking.start()
    time.sleep(1.0)  # the request is in the model
    mood.unlink()
    until(lambda: service.pids() not in ([], [before]))
    asking.join()
    assert service.predict().status == 200
    assert service.stop(signal.SIGTERM) == 0


def test_a_worker_whose_loop_hangs_ends_with_its_supervisor_all_the_same(two: Project, start: Start) -> None:
    mood = third(two)
    assert two.command("promote", releases(two)[-1]).code == 0
    service = start(two, "--workers", "1", NINETYFIVE_SERVE_LIMITS_DRAIN="1")
    (pid,) = service.pids()
    mood.write_text("hang", encoding="utf-8")
    asking = threading.Thread(target=_asked_in_vain, args=(service,))
    asking.start()
    time.sleep(1.0)
    service.stop(signal.SIGKILL)
    until(lambda: gone(pid))
    asking.join()


def _asked_in_vain(service: Service) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        service.predict()
