"""Closed-loop load by wrk: one thread, so many connections, each asks again as soon as it is answered.

What does not belong here: load that does not wait for answers (`generator`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load.processes import Contestant

_SCRIPT = Path(__file__).with_name("wrk.lua")
_IDLE_WITHIN = 10.0


@dataclass(frozen=True)
class Load:
    """What came of it: requests a second, latencies and CPU in milliseconds, answers that were none."""

    rate: float
    p50: float
    p99: float
    cpu: float
    errors: int


def ensure() -> None:
    """Have wrk: from the system, or installed by apt where that is allowed; else exit and say what to do."""
    if shutil.which("wrk"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        for words in (["update", "-qq"], ["install", "-qq", "-y", "wrk"]):
            subprocess.run(["apt-get", *words], check=False, stdout=subprocess.DEVNULL)
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed, and puts the load on: apt-get install wrk, as root, then try again")


def write_bodies(path: Path, bodies: Sequence[bytes]) -> Path:
    """The file of bodies, a line each."""
    assert not any(b"\n" in body for body in bodies)
    path.write_bytes(b"\n".join(bodies) + b"\n")
    return path


def drive(who: Contestant, bodies: Path, connections: int, seconds: float) -> Load:
    """Load on `who` for so long, after a short start that is not counted."""
    _wrk(who, bodies, connections, min(1.0, seconds / 4))
    _until_idle(who)
    before = who.cpu_seconds()
    said = _wrk(who, bodies, connections, seconds)
    used = who.cpu_seconds() - before
    requests = max(1, said["requests"])
    return Load(
        said["requests"] / said["seconds"],
        said["p50"],
        said["p99"],
        used * 1000 / requests,
        int(said["status"] + said["socket"]),
    )


def _until_idle(who: Contestant) -> None:
    """Wait until it has done with the requests of those who went away."""
    end = time.monotonic() + _IDLE_WITHIN
    while time.monotonic() < end:
        used = who.cpu_seconds()
        time.sleep(0.1)
        if who.cpu_seconds() - used <= 0.02:
            return


def _wrk(who: Contestant, bodies: Path, connections: int, seconds: float) -> dict[str, float]:
    url = f"http://127.0.0.1:{who.port}{who.path}"
    duration = max(1, round(seconds))
    words = ["wrk", "-t1", f"-c{connections}", f"-d{duration}s", "--timeout", "30s", "-s", str(_SCRIPT), url, "--"]
    ran = subprocess.run([*words, str(bodies)], check=False, capture_output=True, text=True)
    if ran.returncode:
        ended = who.process.poll()
        sys.exit(f"wrk on {who.name} (ended: {ended}): {ran.stderr}{ran.stdout}\n{who.said()}")
    line = next(line for line in ran.stdout.splitlines() if line.startswith("JSON "))
    found: dict[str, float] = json.loads(line[5:])
    return found
