"""`make demo`: the whole path on real data, with each command shown before its output."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent

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


def main() -> None:
    """The demo, from data to an explained prediction."""
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
    print(f"\ndemo: done in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
