"""Whether anybody notices that the release is swapped, or that the workers are restarted one by one.

    python -m bench.swaps [--swaps N] [--restarts N] [--quick] [--json]

`ninetyfive serve` with two workers and the dear model (bench/load/dear, about 5 ms a row), under open-loop Poisson
load at 0.7 C all through; C is what both answer in a closed loop.
- swaps: two releases are promoted in turn, each as soon as the one before has been taken by all workers
- restarts: SIGHUP, again as soon as both workers were replaced
Every request must be answered, by the answer of its own row of the release that it names; and one that was sent after
a promotion had returned, by that release or a later one.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from bisect import bisect
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.load import wrk
from bench.load.generator import LAG, Outcome
from bench.load.processes import Contestant, listen, start
from bench.load.releases import BUILD, Served, body, dear
from bench.load.report import Figure, tell
from bench.overload import Bench, Phase, late, outcomes_of, quantile

from ninetyfive.cli.project import load_system
from ninetyfive.supervise.states import ServiceState, running

PROJECT = BUILD / "dear"
SHARE, WITHIN = 0.7, 60.0
SWAP_SECONDS = 2.0


class Swaps(Bench):
    """The service, and what is done to it while it is asked."""

    def __init__(self, folder: Path, served: Sequence[Served]) -> None:
        super().__init__(folder, served)
        self.system = load_system(PROJECT / "system.py")
        self.flips: list[tuple[float, str]] = []

    def service(self) -> Contestant:
        """Start the service on the first release, with two workers."""
        self.promote(0)
        with listen() as one, listen() as other:
            port, admin = one.getsockname()[1], other.getsockname()[1]
        program = str(Path(sys.executable).parent / "ninetyfive")
        words = [program, "serve", "--system", str(PROJECT / "system.py"), "--workers", "2"]
        noise = self.folder / "service"
        process = start([*words, "--port", str(port), "--admin-port", str(admin)], noise)
        who = Contestant("service", port, self.served[0].path, process, noise)
        who.await_answer(body(self.served[0].rows[:1]))
        until(lambda: self.state().ready == 2)
        return who

    def state(self) -> ServiceState:
        """What the service says of itself."""
        return next(iter(running(PROJECT / ".ninetyfive")), ServiceState(service="", pid=0, system=""))

    def promote(self, which: int, wait: float | None = None) -> float:
        """Make this release champion; seconds until all workers answer by it."""
        release = self.served[which].live.release
        begun = time.monotonic()
        told = self.system.promote(release, reason="bench", wait=wait)
        services = told.get("services", [])
        if wait is not None and [one["outcome"] for one in services] != ["flipped"]:
            sys.exit(f"the service did not take the release: {services}")
        self.flips.append((time.monotonic(), release))
        return time.monotonic() - begun

    def restart(self) -> float:
        """Replace both workers; seconds."""
        begun, before = time.monotonic(), self.state().restarts
        os.kill(self.state().pid, signal.SIGHUP)
        until(lambda: self.state().restarts >= before + 2 and not self.state().restarting)
        return time.monotonic() - begun

    def under_load(self, name: str, who: Contestant, rate: float, times: int, do: Callable[[int], float]) -> Done:
        """Do it so many times while the load goes on."""
        process, plan = self.begin_load(who, rate, 3600.0)
        self.machine.look(who.cpu_seconds())
        time.sleep(3.0)
        took = [do(number) for number in range(times)]
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        self.machine.look(who.cpu_seconds())
        if process.wait():
            sys.exit((self.folder / "noise").read_text())
        outcomes = outcomes_of(plan)
        return Done(Phase(name, outcomes, outcomes[-1].intended), took, plan.begin)


class Done:
    """What came of it: the outcomes, how long each swap or restart took, when the load began."""

    def __init__(self, phase: Phase, took: Sequence[float], begin: float) -> None:
        self.phase, self.took, self.begin = phase, took, begin

    def old(self, flips: Sequence[tuple[float, str]]) -> int:
        """Answers by an older release than the one that was promoted before they were sent."""
        times = [at for at, _ in flips]
        return sum(
            one.status == 200 and one.release not in {release for _, release in flips[self._since(one, times) :]}
            for one in self.phase.outcomes
        )

    def _since(self, one: Outcome, times: Sequence[float]) -> int:
        return max(0, bisect(times, one.sent + self.begin) - 1)

    def figures(self, what: str, flips: Sequence[tuple[float, str]], most: float | None) -> list[Figure]:
        """The table."""
        phase = self.phase
        failed = sum(one.status != 200 for one in phase.outcomes)
        return [
            Figure(f"{what}: asked", phase.rate(phase.outcomes), "req/s"),
            Figure("  times", len(self.took), ""),
            Figure("  each took", quantile(self.took, 0.5), "s", most=most, spread=(min(self.took), max(self.took))),
            Figure("  generator's lag, p99", phase.lag * 1000, "ms", most=LAG * 1000),
            Figure("  answers, p50", quantile([late(one) for one in phase.good], 0.5) * 1000, "ms"),
            Figure("  answers, p99", phase.p99, "ms"),
            Figure("  not answered with 200", failed, "", most=0),
            *(Figure(f"    status {code}", phase.count(code), "") for code in sorted(statuses(phase))),
            Figure("  wrong or mixed answers", phase.wrong, "", most=0),
            Figure("  answers by a release before the promoted one", self.old(flips), "", most=0),
        ]


def statuses(phase: Phase) -> set[int]:
    """The statuses that came but 200; 0: refused or reset, -1: never answered."""
    return {one.status for one in phase.outcomes} - {200}


def until(true: Callable[[], bool]) -> None:
    """Wait, but not for ever."""
    end = time.monotonic() + WITHIN
    while not true():
        if time.monotonic() > end:
            sys.exit(f"expected within {WITHIN:.0f} s: {true}")
        time.sleep(0.02)


def main() -> int:
    """Measure, print, and exit 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="ten swaps, two restarts")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    wrk.ensure()
    served = dear(64)
    swaps, restarts = (10, 2) if asked.quick else (asked.swaps, asked.restarts)
    with tempfile.TemporaryDirectory() as name:
        bench = Swaps(Path(name), served)
        who = bench.service()
        try:
            capacity = bench.capacity(who, 5.0)
            rate = SHARE * capacity
            first = bench.under_load("swaps", who, rate, swaps, lambda number: bench.promote((number + 1) % 2, 30.0))
            flips = list(bench.flips)
            second = bench.under_load("restarts", who, rate, restarts, lambda _: bench.restart())
        finally:
            who.stop()
    figures = [
        Figure("capacity C of two workers", capacity, "req/s"),
        *first.figures("swaps at 0.7 C", flips, SWAP_SECONDS),
        *second.figures("rolling restarts at 0.7 C", flips, None),
    ]
    return tell("two workers, a model of about 5 ms a row, open loop", figures, bench.machine.say(), asked.json)


if __name__ == "__main__":
    sys.exit(main())
