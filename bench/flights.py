"""What a whole run costs: `ninetyfive run` on the flights of 2013 beside a plain script, each in a fresh process.

    python -m bench.flights [--rounds N] [--json]

- script: bench/flights_script.py: the same reads, features, three trainings, export and scoring; nothing is kept
- run: the first run in a new project (schema inferred, statistics, store, evaluation by slice with intervals, release)
- again: the run once more, in which nothing changed
The bound: run takes at most 1.15 × script (medians of wall time; rounds take turns).
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "flights"
BOUND = 1.15


def timed(command: list[str], folder: Path) -> dict[str, float]:
    """Wall and CPU seconds of a command in a fresh process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"wall": wall, "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def one_round(folder: Path) -> dict[str, dict[str, float]]:
    """One round in a new project folder."""
    project = folder / "project"
    shutil.copytree(
        EXAMPLE, project, ignore=shutil.ignore_patterns(".ninetyfive", "schema.toml", "build", "__pycache__")
    )
    command = [str(Path(sys.executable).parent / "ninetyfive"), "run", "--json"]
    script = [sys.executable, str(ROOT / "bench" / "flights_script.py"), str(project / "data")]
    figures = {"script": timed(script, folder), "run": timed(command, project), "again": timed(command, project)}
    shutil.rmtree(project)
    return figures


def main() -> int:
    """Measure, print, and exit 1 where the bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    subprocess.run([sys.executable, "prepare.py"], cwd=EXAMPLE, check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        rounds = [one_round(Path(folder)) for _ in range(asked.rounds)]
    medians = {
        name: {kind: median(one[name][kind] for one in rounds) for kind in ("wall", "cpu")} for name in rounds[0]
    }
    ratio = median(one["run"]["wall"] / one["script"]["wall"] for one in rounds)
    cpu = median(one["run"]["cpu"] / one["script"]["cpu"] for one in rounds)
    result = {
        **medians,
        "ratio": ratio,
        "cpu_ratio": cpu,
        "bound": BOUND,
        "held": ratio <= BOUND,
        "rounds": asked.rounds,
    }
    if asked.json:
        print(json.dumps(result))
    else:
        for name, figures in medians.items():
            print(f"{name:<8} {figures['wall']:7.2f} s wall {figures['cpu']:7.2f} s CPU")
        held = "held" if result["held"] else "BROKEN"
        print(f"run / script: {ratio:.2f} wall, {cpu:.2f} CPU; at most {BOUND} wall: {held}")
    return 0 if result["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
