"""`make soak`: every point at which strace can injure a whole run, and every crash point, in an order a seed draws.

    make soak SECONDS=1800 SEED=…     progress on stderr, at the end a table; exit code 1 if anything is wrong

When all points are done and there is time, two injuries in a row: the run that resumes is injured too.
What does not belong here: what is judged (`points`, `fire`, `invariants`).
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from tests.store.fire import ENDS, Small
from tests.store.nursery import Nursery
from tests.store.points import (
    KINDS,
    RENAMES,
    SYNCS,
    WRITES,
    Call,
    Judged,
    Point,
    all_calls,
    crash,
    every,
    injure,
    may_trace,
    of_threads,
)

WORKERS = 2
COMMITS, PUBLISHES = 16, 12
"""How many of each a run has at most; a point that is not reached is told as that."""


def main() -> int:
    """Soak as `SECONDS` and `SEED` say; 0 where nothing is wrong."""
    if not may_trace():
        print("there is no strace that may trace here: apt-get install strace", file=sys.stderr)
        return 1
    seconds, seed = float(os.environ.get("SECONDS") or 1800), int(os.environ.get("SEED") or random.randrange(2**32))
    print(f"make soak SECONDS={seconds:g} SEED={seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        judged = _soak(Path(scratch), seed, seconds)
        print(table(judged, seed))
        wrong = [one for one in judged if one.problems]
        for one in wrong:
            print(f"\nSEED={seed} {one.point}", *one.problems, sep="\n  ")
    return 1 if wrong or not judged else 0


def table(judged: list[Judged], seed: int) -> str:
    """kind × call: points injected, and the verdict on each."""
    lines = [f"{'kind':12}{'call':16}{'injected':>9}{'not reached':>13}{'wrong':>7}  what the command did"]
    for kind, call in sorted({(one.point.kind, one.point.call) for one in judged}):
        some = [one for one in judged if (one.point.kind, one.point.call) == (kind, call)]
        reached = [one for one in some if one.reached]
        did = ", ".join(f"{what} {times}" for what, times in Counter(one.verdict for one in reached).most_common())
        wrong = sum(bool(one.problems) for one in some)
        lines.append(f"{kind:12}{call:16}{len(reached):9}{len(some) - len(reached):13}{wrong:7}  {did}")
    injected, wrong = sum(one.reached for one in judged), sum(bool(one.problems) for one in judged)
    return "\n".join([*lines, f"seed {seed}: {injected} points injected, {wrong} wrong"])


def _soak(scratch: Path, seed: int, seconds: float) -> list[Judged]:
    with ExitStack() as opened:
        nurseries = [opened.enter_context(Nursery()) for _ in range(WORKERS)]
        whole = Small.new(scratch / "whole", nurseries[0])
        whole.finish()
        points = _points(all_calls(whole, scratch / "calls"), seed)
        judged: list[Judged] = []
        taking, places, end = threading.Lock(), count(), time.monotonic() + seconds

        def work(nursery: Nursery) -> None:
            mine = Small(whole.folder, nursery, whole.release)
            while time.monotonic() < end:
                with taking:
                    some, place = next(points), next(places)
                one = _injured(some, mine, scratch / f"small-{place}")
                judged.append(one)
                if one.problems or place % 50 == 0:
                    left = max(0.0, end - time.monotonic())
                    said = f"{place} points, {left:.0f} s left: {some[-1]} {one.verdict}"
                    print(said, *one.problems, file=sys.stderr, flush=True)

        with ThreadPoolExecutor(WORKERS) as workers:
            for done in [workers.submit(work, nursery) for nursery in nurseries]:
                done.result()
        return judged


def _points(calls: dict[str, list[Call]], seed: int) -> Iterator[tuple[Point, ...]]:
    """All points once, then pairs of points of a run without end."""
    chance = random.Random(seed)
    traced = [*every(calls, RENAMES + SYNCS + WRITES, tuple(KINDS)), *of_threads()]
    crashes = [
        Point("run", death, f"{moment} {what}", number)
        for death in ENDS
        for moment in ("before", "after")
        for what, most in (("commit", COMMITS), ("publish", PUBLISHES))
        for number in range(1, most)
    ]
    once = [(point,) for point in traced + crashes]
    chance.shuffle(once)
    yield from once
    of_runs = [point for point in traced if point.command == "run" and not point.after]
    while True:
        yield chance.choice(of_runs), chance.choice(of_runs)


def _injured(points: tuple[Point, ...], whole: Small, folder: Path) -> Judged:
    if points[-1].kind in ENDS:
        return crash(points[-1], whole, folder)
    return injure(points[-1], whole, folder, before=points[:-1])


if __name__ == "__main__":
    sys.exit(main())
