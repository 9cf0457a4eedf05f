"""What a worker does when more is asked of it than it can: goodput, refusals, and how soon it is itself again.

    python -m bench.overload [--quick] [--seconds S] [--json]

- the model: bench/load/dear: about 5 ms of one core for each row, alone or in a batch (measured here, and said)
- capacity C: answers a second of one worker under closed-loop load at 16 connections, before and after; the mean
- before: open-loop Poisson arrivals at 0.7 C; then 2 C, 5 C, and 0.7 C again: the same arrivals as before; both are
  measured from the tenth second on
Goodput are right answers within the deadline of a second from the intended time. Refusals are 429 and 503. Every answer
is held against the row that was sent and the release that it names. At 5 C a probe of health is asked beside it.
The generator is a process of its own (bench/load/generator.py); a phase in which it lagged is void.
"""

from __future__ import annotations

import argparse
import http.client
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from bench.load import wrk
from bench.load.generator import LAG, Outcome, Plan
from bench.load.machine import Machine
from bench.load.processes import Contestant, Process, start
from bench.load.releases import Served, body, dear
from bench.load.report import Figure, tell
from bench.load.workers import begin, config

from ninetyfive.serve.messages import Policy

WORKER, GENERATOR = "ninetyfive.serve", "bench.load.generator"
ROWS = 64
DEADLINE = 1.0
RECOVERY = 10.0
GOODPUT = {2: 0.9, 5: 0.75}
REFUSED_MS, NORMAL, PROBE_S = 50.0, 1.2, 1.0


@dataclass(frozen=True)
class Phase:
    """What came of one phase: the outcomes that count, over so many seconds."""

    name: str
    outcomes: Sequence[Outcome]
    seconds: float

    def rate(self, outcomes: Sequence[Outcome]) -> float:
        """So many of them a second."""
        return len(outcomes) / self.seconds

    @property
    def lag(self) -> float:
        """How late the generator was, seconds at p99."""
        return quantile([one.sent - one.intended for one in self.outcomes], 0.99)

    @property
    def good(self) -> list[Outcome]:
        """Right answers in time."""
        return [one for one in self.outcomes if one.status == 200 and one.right and late(one) <= DEADLINE]

    @property
    def refused(self) -> list[Outcome]:
        """Told to come again."""
        return [one for one in self.outcomes if one.status in (429, 503)]

    def count(self, status: int) -> int:
        """Outcomes with this status."""
        return sum(one.status == status for one in self.outcomes)

    @property
    def wrong(self) -> int:
        """Answers of another row, or of no release that is known."""
        return sum(one.status == 200 and not one.right for one in self.outcomes)

    @property
    def p99(self) -> float:
        """Milliseconds of the answers at p99."""
        return quantile([late(one) for one in self.outcomes if one.status == 200], 0.99) * 1000


def late(outcome: Outcome) -> float:
    """Seconds from the intended time to the answer."""
    return outcome.done - outcome.intended


def quantile(values: Sequence[float], share: float) -> float:
    """The value at this share of the sorted ones; 0.0 of none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


class Bench:
    """One worker of the dear model, and what is asked of it."""

    def __init__(self, folder: Path, served: Sequence[Served]) -> None:
        self.folder = folder
        self.served = served
        first = served[0]
        self.bodies = wrk.write_bodies(folder / "bodies", [body([row]) for row in first.rows])
        self.answers = {one.live.release: one.answers(one.rows) for one in served}
        self.machine = Machine()
        self._number = 0

    def worker(self) -> Contestant:
        """Start it and check every answer."""
        first = self.served[0]
        who = begin(WORKER, config("dear", first, first.live, Policy(), self.folder), self.folder)
        for row, right in zip(first.rows, self.answers[first.live.release], strict=True):
            [got] = who.ask(body([row]))["predictions"]
            if abs(got - right) > 1e-6:
                sys.exit(f"{who.name}: expected {right}, got {got}")
        return who

    def busy_ms(self) -> float:
        """Milliseconds of CPU of the model for one row, in this process."""
        row = self.served[0].scalars(self.served[0].rows[0])
        start = time.process_time()
        for _ in range(50):
            self.served[0].compute([row])
        return (time.process_time() - start) * 1000 / 50

    def capacity(self, who: Contestant, seconds: float) -> float:
        """Answers a second in a closed loop."""
        return wrk.drive(who, self.bodies, 16, seconds).rate

    def begin_load(self, who: Contestant, rate: float, seconds: float, seed: int = 95) -> tuple[Process, Plan]:
        """Start the generator; its first second begins in one and a half."""
        self._number += 1
        plan = Plan(
            port=who.port,
            path=who.path,
            rate=rate,
            seconds=seconds,
            begin=time.monotonic() + 1.5,
            bodies=str(self.bodies),
            answers=self.answers,
            out=str(self.folder / f"outcomes-{self._number}"),
            seed=seed,
        )
        file = self.folder / f"plan-{self._number}"
        file.write_bytes(msgspec.json.encode(plan))
        return start(["-m", GENERATOR, str(file)], self.folder / "noise"), plan

    def end_load(self, name: str, process: Process, plan: Plan, after: float = 0.0) -> Phase:
        """What came of it, from the `after`th second on."""
        if process.wait():
            sys.exit((self.folder / "noise").read_text())
        outcomes = [one for one in outcomes_of(plan) if one.intended >= after]
        return Phase(name, outcomes, plan.seconds - after)

    def phase(self, name: str, who: Contestant, rate: float, seconds: float, after: float = 0.0) -> Phase:
        """Load at a rate, all through."""
        self.machine.look(who.cpu_seconds())
        found = self.end_load(name, *self.begin_load(who, rate, seconds), after)
        self.machine.look(who.cpu_seconds())
        return found


def outcomes_of(plan: Plan) -> list[Outcome]:
    """What the generator wrote."""
    return msgspec.msgpack.decode(Path(plan.out).read_bytes(), type=list[Outcome])


def probe(who: Contestant) -> float:
    """Seconds of an answer of the health route on a new connection."""
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", who.port, timeout=30)
    connection.request("GET", "/v2/health/live")
    if connection.getresponse().status != 200:
        sys.exit("the worker does not say that it lives")
    connection.close()
    return time.perf_counter() - start


def told(phase: Phase, capacity: float, times: float) -> list[Figure]:
    """The figures of a phase at so many times the capacity."""
    refused = phase.refused
    made = [
        Figure(f"{phase.name}: asked", phase.rate(phase.outcomes), "req/s"),
        Figure("  generator's lag, p99", phase.lag * 1000, "ms", most=LAG * 1000),
        Figure("  right answers in time", phase.rate(phase.good), "req/s"),
        Figure("  goodput / C", phase.rate(phase.good) / capacity, "×", least=GOODPUT.get(int(times))),
        Figure("  answers, p50", quantile([late(one) for one in phase.good], 0.5) * 1000, "ms"),
        Figure("  answers, p99", phase.p99, "ms"),
        Figure("  refused", phase.rate(refused), "req/s"),
    ]
    if refused:
        p99 = quantile([late(one) for one in refused], 0.99) * 1000
        made += [
            Figure("  refusals, p99", p99, "ms", most=REFUSED_MS),
            Figure("  refusals without Retry-After", sum(not one.retry for one in refused), "", most=0),
        ]
    return [
        *made,
        Figure("  too late (504)", phase.count(504), ""),
        Figure("  refused or reset connections", phase.count(0), "", most=0),
        Figure("  never answered", phase.count(-1), "", most=0),
        Figure("  wrong answers", phase.wrong, "", most=0),
        Figure("  other statuses", others(phase), "", most=0),
    ]


def others(phase: Phase) -> int:
    """Answers of a status that has no place here."""
    return sum(one.status not in (200, 429, 503, 504, 0, -1) for one in phase.outcomes)


def measure(bench: Bench, seconds: float) -> list[Figure]:
    """All phases, in their order, on one worker."""
    who = bench.worker()
    try:
        busy = bench.busy_ms()
        first = bench.capacity(who, max(4.0, seconds / 2))
        before = bench.phase("before, 0.7 C", who, 0.7 * first, RECOVERY + seconds, RECOVERY)
        double = bench.phase("2 C", who, 2 * first, seconds)
        process, plan = bench.begin_load(who, 5 * first, seconds)
        time.sleep(1.5 + seconds / 3)
        alive = max(probe(who) for _ in range(10))
        five = bench.end_load("5 C", process, plan)
        after = bench.phase("after, 0.7 C", who, 0.7 * first, RECOVERY + seconds, RECOVERY)
        last = bench.capacity(who, max(4.0, seconds / 2))
    finally:
        who.stop()
    capacity = (first + last) / 2
    return [
        Figure("the model, one row", busy, "ms CPU"),
        Figure("capacity C", capacity, "req/s", spread=(min(first, last), max(first, last))),
        *told(before, capacity, 0.7),
        *told(double, capacity, 2),
        *told(five, capacity, 5),
        Figure("  health answers within", alive, "s", most=PROBE_S),
        *told(after, capacity, 0.7),
        Figure("  p99 after / before", after.p99 / before.p99, "×", most=NORMAL),
    ]


def main() -> int:
    """Measure, print, and exit 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase")
    parser.add_argument("--quick", action="store_true", help="six seconds a phase")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    wrk.ensure()
    served = dear(ROWS)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), served)
        figures = measure(bench, 6.0 if asked.quick else asked.seconds)
    return tell("one worker, a model of about 5 ms a row, open loop", figures, bench.machine.say(), asked.json)


if __name__ == "__main__":
    sys.exit(main())
