"""A worker beside what one would use else: FastAPI round a scikit-learn pipeline, and LitServe with batching.

    python -m bench.peers [--rounds N] [--seconds S] [--quick] [--json]

- ninetyfive: one worker, dynamic, `fast` log, the release of examples/flights
- fastapi: bench/peers/fastapi_app.py, litserve: bench/peers/litserve_app.py, each in a virtual environment of its own
  under build/bench, made by pip from the hash-locked file beside it
All three have the same model; each answers each of 256 flights, one row a request, and is checked to 1e-6 against the
release before it is measured. Load by wrk, one thread, closed loop; rounds take turns, medians of the rounds' ratios.
The bounds: 40 × FastAPI at one connection, 6 × LitServe at 64.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.load import wrk
from bench.load.machine import Machine
from bench.load.processes import ROOT, Contestant, environment, listen, start
from bench.load.releases import BUILD, Served, body, flights
from bench.load.report import Figure, tell
from bench.load.workers import begin, config

from ninetyfive.serve.messages import Policy

HERE = Path(__file__).parent
ROWS = 256
CASES = (("fastapi", 1, 40.0), ("fastapi", 64, None), ("litserve", 1, None), ("litserve", 64, 6.0))
OURS = "ninetyfive"


def python(peer: str) -> str:
    """The Python of a peer's environment, which is made where it is not there or of another lock file."""
    lock, home = HERE / f"{peer}.lock", BUILD / peer
    wanted, ready = hashlib.sha256(lock.read_bytes()).hexdigest(), home / ".ready"
    if not ready.exists() or ready.read_text() != wanted:
        print(f"making the environment of {peer}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        words = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)]
        if subprocess.run(words, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}, check=False).returncode:
            sys.exit(f"{peer} cannot be installed: it needs PyPI, and {lock} is what it needs of it")
        ready.write_text(wanted)
    return str(home / "bin" / "python")


def learned(served: Served) -> dict[str, Any]:
    """The learned constants of the release's transform, by the column that they were learned of."""
    document = json.loads((Path(served.live.folder) / "transform.json").read_text())
    nodes, ends = document["nodes"], dict(document["features"])
    said = {name: nodes[end].get("learned", {}) for name, end in ends.items()}
    wind = nodes[ends["wind"]]
    return {
        "carrier": said["carrier"]["values"],
        "origin": nodes[nodes[ends["origin"]]["inputs"][0]]["learned"]["values"],
        "dest": said["dest"]["values"],
        "route": said["route"]["values"],
        "distance": [said["distance"]["mean"], said["distance"]["std"]],
        "humid": said["humidity"]["mean"],
        "temp": said["temperature"]["mean"],
        "edges": wind["learned"]["edges"],
        "wind_speed": nodes[wind["inputs"][0]]["learned"]["mean"],
    }


MAKE = """
import json, sys
import joblib
from bench.peers.pipeline import answers, frame, pipeline
said = json.load(open(sys.argv[1]))
fitted = pipeline(said["learned"], joblib.load(sys.argv[2]), frame(said["rows"]))
joblib.dump(fitted, sys.argv[3])
print(json.dumps(answers(fitted, said["rows"])))
"""


def fitted(peer: str, served: Served, folder: Path) -> Path:
    """The pipeline as a file for this peer's environment; its answers are those of the release."""
    import joblib

    from ninetyfive.models.sklearn import load

    said, model, made = (folder / f"{peer}.{kind}" for kind in ("json", "model", "pipeline"))
    said.write_text(json.dumps({"learned": learned(served), "rows": list(served.rows)}))
    joblib.dump(load(Path(served.live.folder)), model)
    words = [python(peer), "-c", MAKE, str(said), str(model), str(made)]
    ran = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(ran.stderr)
    check(peer, json.loads(ran.stdout), served.answers(served.rows))
    return made


def check(who: str, got: Sequence[float], right: Sequence[float]) -> None:
    """Exit where an answer is another than the release's."""
    for number, (one, other) in enumerate(zip(got, right, strict=True)):
        if abs(one - other) > 1e-6:
            sys.exit(f"{who}: expected {other} for row {number}, got {one}: what answers wrongly is not measured")


def contestants(served: Served, folder: Path) -> list[Contestant]:
    """All, started, each answer checked."""
    ours = begin("ninetyfive.serve", config(OURS, served, served.live, Policy(), folder), folder)
    found = [ours]
    for peer in ("fastapi", "litserve"):
        os.environ["PIPELINE"] = str(fitted(peer, served, folder))
        with listen() as sock:
            port = sock.getsockname()[1]
        words = {
            "fastapi": ["-m", "uvicorn", "bench.peers.fastapi_app:app", "--port", str(port), "--no-access-log"],
            "litserve": ["-m", "bench.peers.litserve_app", str(port)],
        }[peer]
        noise = folder / f"{peer}.noise"
        found.append(Contestant(peer, port, served.path, start(words, noise, python=python(peer)), noise))
    right = served.answers(served.rows)
    for who in found:
        who.await_answer(body(served.rows[:1]))
        check(who.name, [who.ask(body([row]))["predictions"][0] for row in served.rows], right)
    return found


def main() -> int:
    """Measure, print, and exit 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of load for each case")
    parser.add_argument("--quick", action="store_true", help="two seconds of load for each case")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    wrk.ensure()
    seconds = 2.0 if asked.quick else asked.seconds
    machine, rounds = Machine(), defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        served = flights(ROWS)
        bodies = wrk.write_bodies(Path(name) / "bodies", [body([row]) for row in served.rows])
        running = contestants(served, Path(name))
        try:
            for connections in (1, 64) * asked.rounds:
                for who in running:
                    found = wrk.drive(who, bodies, connections, seconds)
                    if found.errors:
                        sys.exit(f"{who.name} at {connections}: {found.errors} requests failed\n{who.said()}")
                    for kind in ("rate", "p50", "p99", "cpu"):
                        rounds[who.name, connections, kind].append(getattr(found, kind))
                    machine.look(sum(one.cpu_seconds() for one in running))
        finally:
            for who in running:
                who.stop()
    title = f"one worker each, one row a request, medians of {asked.rounds} rounds (least to most)"
    return tell(title, figures(rounds), machine.say(), asked.json)


def figures(rounds: dict[tuple[str, int, str], list[float]]) -> list[Figure]:
    """The table, from the figures of the rounds."""
    made = []
    for connections in (1, 64):
        for name in (OURS, "fastapi", "litserve"):
            for kind, unit, words in (
                ("rate", "req/s", f"{name}, {connections} connections"),
                ("p50", "ms", "  p50"),
                ("p99", "ms", "  p99"),
                ("cpu", "ms", "  CPU a request"),
            ):
                found = rounds[name, connections, kind]
                made.append(Figure(words, median(found), unit, spread=(min(found), max(found))))
    for peer, connections, least in CASES:
        pairs = zip(rounds[OURS, connections, "rate"], rounds[peer, connections, "rate"], strict=True)
        ratios = [ours / theirs for ours, theirs in pairs]
        words = f"{OURS} / {peer}, {connections} connections"
        made.append(Figure(words, median(ratios), "×", least, spread=(min(ratios), max(ratios))))
    return made


if __name__ == "__main__":
    sys.exit(main())
