"""How right a design is: sixty synthetic systems and two hundred stationary histories, judged in hindsight.

    python -m bench.design [--quick | --only N …] [--commit HASH] [--write PAGE] [--json]

Seeds come from the hash of the commit that is measured (`git rev-parse HEAD`), so nothing can have been tuned to them.
Two processes, each one thread; about 25 minutes on two idle cores. `--quick` takes six systems and ten histories,
`--only` the systems of these numbers and no history. Every tenth system is replayed through a worker over HTTP too. A
whole run writes docs/design-figures.md; a part writes where `--write` says. Exits 1 where a bound is broken.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench._design_report import Figure, figures, page, plain
from bench._design_systems import Setup, setups, stationary

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "design-figures.md"
PROCESSES, SERVICE_EVERY = 2, 10
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
Result = dict[str, Any]


def system(setup: Setup) -> Result:
    """A system, measured in a process of the pool."""
    from bench._design_measure import one_system

    with tempfile.TemporaryDirectory() as folder:
        return one_system(setup, Path(folder), service=setup.number % SERVICE_EVERY == 0)


def alone(setup: Setup) -> Result:
    """A stationary history, measured in a process of the pool."""
    from bench._design_measure import one_history

    return one_history(setup)


def main() -> int:
    """Measure, print and write."""
    asked = arguments()
    commit, dirty = asked.commit or git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", "src", "bench"))
    systems, histories = setups(commit), stationary(commit)
    if asked.only:
        systems, histories = [one for one in systems if one.number in asked.only], []
    elif asked.quick:
        systems, histories = systems[4::SERVICE_EVERY], histories[:10]
    begun = time.monotonic()
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        measured = told(pool, system, systems, "system")
        quiet = told(pool, alone, histories, "history")
    found = figures(measured, quiet)
    about = {
        "commit measured, from which seeds follow": f"`{commit}`" + ", with changes not committed" * dirty,
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{processor()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        "systems and histories": f"{len(measured)} of 60, {len(quiet)} of 200",
        "it took": f"{(time.monotonic() - begun) / 60:.1f} minutes, in {PROCESSES} processes",
    }
    where = asked.write or (None if asked.only or asked.quick else PAGE)
    if where:
        where.write_text(page(about, found, measured), encoding="utf-8")
    document = {"about": about, "figures": plain(found), "systems": measured, "histories": quiet}
    print(json.dumps(document) if asked.json else text(about, found))
    return 1 if any(one.held is False for one in found) else 0


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.design", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="six systems and ten histories")
    parser.add_argument("--only", type=int, action="append", help="the system of this number; may be repeated")
    parser.add_argument("--commit", help="take the seeds of this commit instead of HEAD's")
    parser.add_argument("--write", type=Path, help="write the page here")
    parser.add_argument("--json", action="store_true", help="print everything that was measured")
    return parser.parse_args()


def told(pool: Any, function: Callable[[Setup], Result], asked: Sequence[Setup], name: str) -> list[Result]:
    """The results in order; on stderr, how far it is."""
    found = []
    for result in pool.imap_unordered(function, asked):
        found.append(result)
        print(f"{name} {result['number']}: {result['seconds']:.1f} s ({len(found)} of {len(asked)})", file=sys.stderr)
    return sorted(found, key=lambda result: int(result["number"]))


def text(about: dict[str, str], found: Sequence[Figure]) -> str:
    """The figures as lines."""
    lines = [f"{name}: {value}" for name, value in about.items()]
    words = {True: "held", False: "BROKEN", None: ""}
    lines += [f"{one.name}: {one.value}   {one.bound} {words[one.held]}".rstrip() for one in found]
    return "\n".join(lines)


def processor() -> str:
    """What the processor is called."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def git(*words: str) -> str:
    """What git says of this checkout."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
