"""`make demo`: the whole path on real data, with each command shown before its output."""

from __future__ import annotations

import csv
import json
import math
import shlex
import signal
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent

# Seconds that the service may take to answer, and to end: it takes one or two.
PATIENCE = 60

# What happens to somebody who tries to learn from the future.
LEAK = """\
import system
system.nf.System(
    "leak", source=system.flights.source, label=system.flights.label, later=["dep_delay"],
    features={"delay": system.col("dep_delay")},
)
"""


def say(text: str) -> None:
    """A headline."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n# {text}", flush=True)


def do(command: str, expect: int = 0) -> None:
    """Show a command, run it here, and stop where it does not exit as expected."""
    print(f"$ {command}", flush=True)
    words = shlex.split(command)
    words[0] = str(BIN / words[0])
    code = subprocess.run(words, cwd=HERE, check=False).returncode
    if code != expect:
        sys.exit(f"demo: `{command}` exited {code}, expected {expect}")


def leak() -> None:
    """Show the error that a feature known only afterwards gives, when the file is loaded."""
    said = subprocess.run([sys.executable, "-c", LEAK], cwd=HERE, capture_output=True, text=True, check=False)
    if said.returncode == 0:
        sys.exit("demo: a feature from the future was not refused")
    print(said.stderr.strip().splitlines()[-1])


def steps_done() -> tuple[int, int]:
    """Run once more, as JSON: how many steps were skipped, of how many."""
    words = [str(BIN / "ninetyfive"), "run", "--json"]
    said = subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=True)
    steps = json.loads(said.stdout)["steps"]
    return sum(step["skipped"] for step in steps), len(steps)


def serve() -> None:
    """Serve the release on free ports, ask it the ten flights, and end it, whatever happens meanwhile."""
    print("$ ninetyfive serve --port 0 --admin-port 0 --json &", flush=True)
    words = [str(BIN / "ninetyfive"), "serve", "--port", "0", "--admin-port", "0", "--json"]
    told = HERE / "build" / "serve.log"
    with told.open("wb") as log:
        service = subprocess.Popen(words, cwd=HERE, stdout=subprocess.PIPE, stderr=log, text=True)
    # Its workers end by themselves where it is killed.
    watch = threading.Timer(PATIENCE, service.kill)
    watch.start()
    try:
        assert service.stdout is not None
        line = service.stdout.readline()
        said = json.loads(line or "{}")
        if "url" not in said:
            sys.exit(f"demo: the service did not start: {line}{told.read_text(encoding='utf-8')}")
        ask(said)
    finally:
        service.terminate()
        code = service.wait()
        watch.cancel()
    if code != 0:
        sys.exit(f"demo: the service exited {code}:\n{told.read_text(encoding='utf-8')}")
    print("the service has ended: what was in flight is answered, what was asked is in its log")


def ask(service: dict[str, Any]) -> None:
    """Ask the ten flights in one request, show the answer, and hold it against that of `ninetyfive predict`."""
    path = f"/v1/models/{service['system']}:predict"
    print(f"$ curl {service['url']}{path} -d @build/ten.json", flush=True)
    # Not urllib: a proxy that the environment names is no way to this machine.
    connection = HTTPConnection(urlsplit(service["url"]).netloc, timeout=PATIENCE)
    body = (HERE / "build" / "ten.json").read_bytes()
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    print(text)
    if reply.status != 200:
        sys.exit(f"demo: the service answered {reply.status}")
    with (HERE / "build" / "ten-answers.csv").open(encoding="utf-8", newline="") as file:
        before = [float(row["prediction"]) for row in csv.DictReader(file)]
    answers: list[float] = json.loads(text)["predictions"]
    same = sum(math.isclose(*pair, rel_tol=1e-6) for pair in zip(answers, before, strict=True))
    print(f"{same} of {len(before)} answers are those of `ninetyfive predict`")


def main() -> None:
    """The demo, from data to an answering service."""
    # So that `serve` ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("demo: ended"))
    start = time.monotonic()
    say("336,776 flights, joined to what was known before departure")
    do("python prepare.py")
    say("New data in, a gated release out")
    do("ninetyfive run")
    say("What is live")
    do("ninetyfive status")
    say("Ten flights answered, and one of them step by step")
    do("python ten.py")
    do("ninetyfive predict build/ten.parquet build/ten-answers.csv")
    print((HERE / "build" / "ten-answers.csv").read_text(encoding="utf-8"), end="")
    do("ninetyfive trace --file build/ten.parquet --number 0")
    say("A feature that is known only afterwards is refused when the file is loaded")
    leak()
    say("Nothing changed, so a second run does nothing")
    skipped, all_steps = steps_done()
    print(f"{skipped} of {all_steps} steps skipped")
    say("The release answers, until it is told to end")
    serve()
    print(f"\ndemo: done in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
