"""What a worker costs beside its floor: one row, a hundred rows, two workers, its start, its memory.

    python -m bench.serving [--rounds N] [--seconds S] [--quick] [--json]

- floor F: bench/load/floor.py: the worker's own HTTP server and connections, which read the body, decode it into the
  same struct and encode a constant of the size of an answer; no checks, log, counters or access
- static, dynamic, hybrid: one worker each with the release of examples/flights, `fast` log; 256 flights of as many
  entities, each a body of its own; static finds all of them in its table, hybrid every other one
- hundred: 100 rows in one request, one after another, beside transform and model of the same rows in this process
- two: two workers that share a listening socket, beside one, both at 64 connections: CPU per request
- cold: from the start of a process to its first correct answer, beside a process that only imports the libraries
Load is put on by wrk, one thread, closed loop. Answers are checked equal to the release's before anything is measured.
Each round measures all in turn; a ratio is the median of the rounds' ratios. No pool has more than one thread.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import msgspec
from bench.load import wrk
from bench.load.machine import Machine
from bench.load.processes import ROOT, Contestant, environment, listen, memory
from bench.load.releases import Served, body, flights, table
from bench.load.report import Figure, tell
from bench.load.workers import begin, config

from ninetyfive.serve.counters import Snapshot
from ninetyfive.serve.messages import Policy, WorkerConfig

WORKER, FLOOR = "ninetyfive.serve", "bench.load.floor"
ROWS, HUNDRED = 256, 100
CONNECTIONS = (1, 16, 64)
RATES = {"static": 0.8, "dynamic": 0.4}
P50, HUNDREDS, TWO, COLD = 1.5, 0.6, 1.1, 1.6
LIBRARIES = "uvicorn, uvloop, httptools, msgspec, numpy, onnxruntime, lmdb, xxhash"

Rounds = dict[str, list[float]]


class Bench:
    """The contestants, and the figures of each round by name."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder
        self.seconds = seconds
        self.machine = Machine()
        self.rounds: Rounds = defaultdict(list)
        self.served: Served = flights(ROWS)
        self.singles = [body([row]) for row in self.served.rows]
        self.bodies = wrk.write_bodies(folder / "bodies", self.singles)
        batches = [[self.served.rows[(at + place) % ROWS] for place in range(HUNDRED)] for at in range(0, ROWS, 16)]
        self.batches = batches
        self.hundreds = wrk.write_bodies(folder / "hundreds", [body(batch) for batch in batches])
        self.configs = self._configs()
        self.running: dict[str, Contestant] = {}
        self._spent = 0.0

    def _configs(self) -> dict[str, WorkerConfig]:
        rows, live = self.served.rows, self.served.live
        whole = table(self.served, rows, self.folder / "whole")
        half = table(self.served, rows[::2], self.folder / "half")
        made = {
            "floor": (live, Policy()),
            "static": (whole, Policy(paradigm="static")),
            "dynamic": (live, Policy()),
            "hybrid": (half, Policy(paradigm="hybrid")),
        }
        return {name: config(name, self.served, *said, self.folder) for name, said in made.items()}

    def start(self, name: str) -> Contestant:
        """Start it and check every answer."""
        module = FLOOR if name == "floor" else WORKER
        self.running[name] = who = begin(module, self.configs[name], self.folder)
        who.ask(self.singles[0])
        if name != "floor":
            self._check(who)
        return who

    def _check(self, who: Contestant) -> None:
        """Every row alone, and one batch; a table answers some of them where there is one."""
        truth = self.served.answers(self.served.rows)
        for asked, right in zip(self.singles, truth, strict=True):
            _equal(who.name, who.ask(asked)["predictions"], [right])
        batch = self.batches[3]
        _equal(who.name, who.ask(body(batch))["predictions"], self.served.answers(batch))
        kinds = {who.ask(asked)["metadata"]["sources"][0] for asked in self.singles[:2]}
        expected = {"static": {"table"}, "hybrid": {"table", "model"}}.get(who.name, {"model"})
        if kinds != expected:
            sys.exit(f"{who.name}: expected answers from {sorted(expected)}, got {sorted(kinds)}")

    def look(self) -> None:
        """Sample the machine."""
        self._spent = sum(who.cpu_seconds() for who in self.running.values())
        self.machine.look(self._spent)

    def note(self, name: str, value: float) -> None:
        """Keep a figure of this round."""
        self.rounds[name].append(value)

    def stop(self) -> None:
        """End every process."""
        for who in self.running.values():
            who.stop()
        self.running = {}

    def load(self, who: Contestant, connections: int, bodies: Path) -> wrk.Load:
        """Put load on; nothing else than good answers may come."""
        found = wrk.drive(who, bodies, connections, self.seconds)
        if found.errors:
            sys.exit(f"{who.name} at {connections} connections: {found.errors} requests failed\n{who.said()}")
        return found

    def one_row(self) -> None:
        """All contestants at each number of connections, one after the other."""
        for connections in CONNECTIONS:
            for name, who in self.running.items():
                found = self.load(who, connections, self.bodies)
                for kind in ("rate", "p50", "p99", "cpu"):
                    self.note(f"{name} {connections} {kind}", getattr(found, kind))
                self.look()

    def hundred(self) -> None:
        """Rows a second over HTTP, one request at a time, beside the same rows in this process."""
        found = self.load(self.running["dynamic"], 1, self.hundreds)
        scalars = [[self.served.scalars(row) for row in batch] for batch in self.batches]
        number, start = 0, time.perf_counter()
        while time.perf_counter() - start < self.seconds / 2:
            self.served.compute(scalars[number % len(scalars)])
            number += 1
        inside = number * HUNDRED / (time.perf_counter() - start)
        self.note("hundred rate", found.rate * HUNDRED)
        self.note("hundred inside", inside)
        self.look()

    def two(self) -> None:
        """CPU per request of one worker, then of two on one socket, and the smaller share of the two."""
        self.note("one cpu", self.load(self.running["dynamic"], 64, self.bodies).cpu)
        sock = listen()
        pair = []
        for name in ("left", "right"):
            given = config(name, self.served, self.served.live, Policy(), self.folder)
            pair.append(begin(WORKER, given, self.folder, sock))
            _until(lambda name=name: _counter(self.folder / name, "ready") == 1.0)
        before = [_requests(self.folder / who.name) for who in pair]
        used = sum(who.cpu_seconds() for who in pair)
        found = self.load(pair[0], 64, self.bodies)
        used = sum(who.cpu_seconds() for who in pair) - used
        done = [_requests(self.folder / who.name) - was for who, was in zip(pair, before, strict=True)]
        self.note("two cpu", used * 1000 / sum(done))
        self.note("two rate", found.rate)
        self.note("two share", min(done) / sum(done))
        for who in pair:
            who.stop()
        sock.close()
        self.look()

    def cold(self) -> None:
        """Start a worker, and a process that only imports; memory of both, when the other is not there."""
        truth = self.served.answers(self.served.rows[:1])
        start = time.perf_counter()
        who = begin(WORKER, msgspec.structs.replace(self.configs["dynamic"], name="cold"), self.folder)
        _equal("cold", who.ask(self.singles[0])["predictions"], truth)
        self.note("cold", time.perf_counter() - start)
        _note_memory(self, "worker", who.process.pid)
        who.stop()
        words = [sys.executable, "-c", f"import {LIBRARIES}, sys; print(flush=True); sys.stdin.read()"]
        start = time.perf_counter()
        with subprocess.Popen(
            words, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as imports:
            assert imports.stdout is not None
            imports.stdout.readline()
            self.note("imports", time.perf_counter() - start)
            _note_memory(self, "imports", imports.pid)
            imports.communicate()


def _note_memory(bench: Bench, name: str, pid: int) -> None:
    for kind, mib in memory(pid).items():
        bench.note(f"{name} {kind}", mib)


def _equal(who: str, got: Sequence[float], right: Sequence[float]) -> None:
    if len(got) != len(right) or any(abs(one - other) > 1e-6 for one, other in zip(got, right, strict=True)):
        sys.exit(f"{who}: expected the answers {right[:3]}, got {got[:3]}: what answers wrongly is not measured")


def _counter(folder: Path, name: str) -> float:
    return Snapshot(folder / "counters").values()[name] if (folder / "counters").exists() else 0.0


def _requests(folder: Path) -> float:
    return _counter(folder, "requests.predict.2xx")


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        if time.monotonic() > end:
            sys.exit("a worker was not ready within 60 s")
        time.sleep(0.05)


def _ratio(rounds: Rounds, what: str, one: str, other: str, **bound: float) -> Figure:
    ratios = [a / b for a, b in zip(rounds[one], rounds[other], strict=True)]
    return Figure(what, median(ratios), "×", spread=(min(ratios), max(ratios)), **bound)


def _median(rounds: Rounds, what: str, name: str, unit: str) -> Figure:
    found = rounds[name]
    return Figure(what, median(found), unit, spread=(min(found), max(found)))


def figures(rounds: Rounds) -> list[Figure]:
    """The table, from the figures of the rounds."""
    made = []
    for connections in CONNECTIONS:
        for name in ("floor", "static", "dynamic", "hybrid"):
            at = f"{name} {connections}"
            made.append(_median(rounds, f"{name}, {connections} connections", f"{at} rate", "req/s"))
            made.append(_median(rounds, "  p50", f"{at} p50", "ms"))
            made.append(_median(rounds, "  p99", f"{at} p99", "ms"))
            made.append(_median(rounds, "  CPU a request", f"{at} cpu", "ms"))
            if name == "floor":
                continue
            floor = f"floor {connections}"
            if connections == 1:
                made.append(_ratio(rounds, "  p50 / F", f"{at} p50", f"{floor} p50", most=P50))
            else:
                bound = {"least": RATES[name]} if name in RATES else {}
                made.append(_ratio(rounds, "  req/s / F", f"{at} rate", f"{floor} rate", **bound))
            made.append(_ratio(rounds, "  CPU / F", f"{at} cpu", f"{floor} cpu"))
    made += [
        _median(rounds, "100 rows a request", "hundred rate", "rows/s"),
        _median(rounds, "  in process", "hundred inside", "rows/s"),
        _ratio(rounds, "  over HTTP / in process", "hundred rate", "hundred inside", least=HUNDREDS),
        _median(rounds, "one worker, 64 connections, CPU", "one cpu", "ms"),
        _median(rounds, "two workers, 64 connections, CPU", "two cpu", "ms"),
        _ratio(rounds, "  two / one", "two cpu", "one cpu", most=TWO),
        _median(rounds, "  req/s of two", "two rate", "req/s"),
        _median(rounds, "  share of the lesser one", "two share", ""),
        _median(rounds, "cold start", "cold", "s"),
        _median(rounds, "  imports alone", "imports", "s"),
        _ratio(rounds, "  cold / imports", "cold", "imports", most=COLD),
        _median(rounds, "memory of a worker, PSS", "worker pss", "MiB"),
        _median(rounds, "  its own alone", "worker private", "MiB"),
        _median(rounds, "memory of imports, PSS", "imports pss", "MiB"),
        _median(rounds, "  its own alone", "imports private", "MiB"),
    ]
    return made


def main() -> int:
    """Measure, print, and exit 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each case")
    parser.add_argument("--quick", action="store_true", help="one second of load for each case")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    wrk.ensure()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), 1.0 if asked.quick else asked.seconds)
        try:
            for _ in range(asked.rounds):
                bench.cold()
            for contestant in bench.configs:
                bench.start(contestant)
            bench.look()
            for _ in range(asked.rounds):
                bench.one_row()
                bench.hundred()
                bench.two()
        finally:
            bench.stop()
    title = f"one worker, the flights model, medians of {asked.rounds} rounds (least to most)"
    return tell(title, figures(bench.rounds), bench.machine.say(), asked.json)


if __name__ == "__main__":
    sys.exit(main())
