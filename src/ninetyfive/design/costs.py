"""What answers and tables cost on this machine, by the code that does them.

    rows ─┬─▶ a worker without a table ────── model ┐
          ├─▶ a static one that has them ──── table ├─ in turn, round after round ─▶ CPU, p50, p99: their medians
          ├─▶ a static one that has others ── miss  │
          ├─▶ a hybrid one that has others ── look  ┘
          └─▶ a small and a larger table, in turn ──▶ CPU and bytes of a row

The rule: what is compared is measured in turn, since a machine's speed changes within minutes; what is told of the
model is the median of the rounds, of the others how many times as much they took in the same round, and of `noise` how
far the rounds lie apart. Nothing else should run in this process meanwhile.
What does not belong here: what follows from the costs (`forecast`).
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Protocol

import numpy as np
import polars as pl

from ninetyfive.design.evidence import Measured
from ninetyfive.design.ground import Ground, latest, live, made, multiplied, new
from ninetyfive.design.traffic import bodies, conformed, spread
from ninetyfive.design.worker import Answer, worker
from ninetyfive.errors import DataError
from ninetyfive.serve.messages import Live, Policy, WorkerConfig
from ninetyfive.sources.files import frame
from ninetyfive.steps.population import Latest

_DISTINCT = 1_000
"""How many rows are asked for, again and again."""
_WARM = 200
_CHUNK_SECONDS = 0.1
_ROUNDS = (5, 25)
_SMALL, _LARGE = 200, 10_000
_OTHERS = 500
"""How many entities the table has that holds none of those that are asked for."""
_BUILDS = 3
_BUILD_SECONDS = 1.0


class Asker(Protocol):
    """Who answers: a worker, or its code in this process."""

    def ready(self) -> None: ...

    def request(self, body: bytes) -> bytes: ...

    def ask(self, request: bytes) -> Answer: ...

    def cpu(self) -> float: ...

    def memory(self) -> int: ...


Opens = Callable[[Live, Policy, WorkerConfig, Path], AbstractContextManager[Asker]]


@dataclass(slots=True)
class _Seen:
    """What each round gave of one kind: seconds a request."""

    cpu: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


def measure(ground: Ground, rows: pl.DataFrame, until: float, opens: Opens = worker) -> Measured:
    """What answering `rows` costs, the latest requests (columns of a request).

    It ends about when the clock of `time.monotonic` says `until`, but not before a few rounds. `opens`: who answers, a
    worker or `inside`. What only a table would tell is NaN where no row has an entity. `DataError` where no row keeps
    the schema; `ModelError` where a worker does not start or answer.
    """
    kept = asked_for(ground, rows)
    if kept.is_empty():
        raise DataError("design", expected="rows that keep the schema of a request", got="none", do="see the log")
    row, size, read, lives = math.nan, math.nan, math.nan, {"model": (ground.live, Policy())}
    found = latest(ground, frame(kept), None) if ground.release.about.entity else None
    if found is not None and found.counts["entities"]:
        row, size = _rows_of_table(ground, found)
        read = _reading(ground, conformed(rows, ground.release))
        static, now = Policy(paradigm="static"), time.time_ns() // 1000
        lives["table"] = live(ground, made(ground, found, None, now)), static
        others = made(ground, multiplied(ground, found, _OTHERS), None, now)
        lives["miss"] = live(ground, others), static
        lives["look"] = live(ground, others), Policy(paradigm="hybrid")
    with contextlib.ExitStack() as stack:
        askers = {
            kind: stack.enter_context(opens(what, policy, ground.config, new(ground, "answers") / kind))
            for kind, (what, policy) in lives.items()
        }
        for one in askers.values():
            one.ready()
        seen = _rounds(askers, bodies(kept, ground.release), until)
        memory = askers["model"].memory()
    return _measured(seen, memory, (row, size, read))


def asked_for(ground: Ground, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows by which costs are measured: some that keep the schema, evenly spread."""
    return spread(conformed(rows, ground.release), _DISTINCT)


def machine() -> str:
    """This machine in words: processor, how many of them, Python."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}"


def _rounds(askers: Mapping[str, Asker], asked: Sequence[bytes], until: float) -> dict[str, _Seen]:
    """Ask each in turn, until it is time."""
    requests = {kind: [one.request(body) for body in asked] for kind, one in askers.items()}
    counts = {}
    for kind, one in askers.items():
        begun = time.perf_counter()
        for place in range(_WARM):
            one.ask(requests[kind][place % len(asked)])
            if time.perf_counter() - begun > 5 * _CHUNK_SECONDS and place >= _ROUNDS[0]:
                break
        counts[kind] = max(10, int(_CHUNK_SECONDS * (place + 1) / (time.perf_counter() - begun)))
    seen: dict[str, _Seen] = {kind: _Seen() for kind in askers}
    fewest, most = _ROUNDS
    for turn in range(most):
        if turn >= fewest and time.monotonic() > until:
            break
        for kind, one in askers.items():
            chunk = taken(requests[kind], turn, counts[kind])
            cpu, answers = timed(one, chunk)
            latencies = [answer.seconds for answer in answers]
            seen[kind].cpu.append(cpu / len(chunk))
            p50, p99 = np.quantile(latencies, [0.5, 0.99])
            seen[kind].p50.append(float(p50))
            seen[kind].p99.append(float(p99))
    return seen


def taken(some: Sequence[bytes], turn: int, count: int) -> list[bytes]:
    """So many of them, in turn, from where the turns before ended."""
    return [some[place % len(some)] for place in range(turn * count, (turn + 1) * count)]


def timed(one: Asker, requests: Sequence[bytes]) -> tuple[float, list[Answer]]:
    """Ask one after the other: the CPU that all took, and the answers."""
    ask = one.ask
    before = one.cpu()
    answers = [ask(request) for request in requests]
    return one.cpu() - before, answers


def _measured(seen: Mapping[str, _Seen], memory: int, table: tuple[float, float, float]) -> Measured:
    model = seen["model"]

    def told(kind: str, name: str) -> float:
        if kind not in seen:
            return math.nan
        mine: list[float] = getattr(seen[kind], name)
        models: list[float] = getattr(model, name)
        return median(models) * median(one / other for one, other in zip(mine, models, strict=True))

    row, size, read = table
    return Measured(
        machine=machine(),
        cpu_model=median(model.cpu),
        cpu_table=told("table", "cpu"),
        cpu_miss=told("miss", "cpu"),
        p50_model=median(model.p50),
        p50_table=told("table", "p50"),
        p99_model=median(model.p99),
        p99_table=told("table", "p99"),
        p50_miss=told("miss", "p50"),
        p99_miss=told("miss", "p99"),
        cpu_row=row,
        bytes_row=size,
        memory=memory,
        noise=max(noise_of(one.cpu) for one in seen.values()),
        cpu_read=read,
        cpu_look=_beyond(told("look", "cpu"), median(model.cpu)),
        p50_look=_beyond(told("look", "p50"), median(model.p50)),
    )


def _beyond(value: float, other: float) -> float:
    """How much more a value is; 0.0 where it is less, NaN of NaN."""
    return value if math.isnan(value) else max(0.0, value - other)


def noise_of(values: Sequence[float]) -> float:
    """Half the distance of the quartiles, as a share of the median."""
    if len(values) < 2 or not median(values):
        return 0.0
    low, _, high = quantiles(values, n=4)
    return (high - low) / 2.0 / median(values)


def _rows_of_table(ground: Ground, found: Latest) -> tuple[float, float]:
    """CPU and bytes of one more row of a table: the difference of a larger one and a small one."""
    small, some = multiplied(ground, found, _SMALL), multiplied(ground, found, 2 * _SMALL)
    row = max(1e-9, (_built(ground, some)[0] - _built(ground, small)[0]) / _SMALL)
    many = int(min(_LARGE, max(3 * _SMALL, _BUILD_SECONDS / row)))
    large = multiplied(ground, found, many)
    costs, size = [], math.nan
    for _ in range(_BUILDS if many * row < _BUILD_SECONDS * 2 else 1):
        few_spent, few_size = _built(ground, small)
        many_spent, many_size = _built(ground, large)
        costs.append((many_spent - few_spent) / (many - _SMALL))
        size = (many_size - few_size) / (many - _SMALL)
    return max(0.0, median(costs)), size


def _built(ground: Ground, rows: Latest) -> tuple[float, int]:
    """CPU that a table of these rows takes, and its size."""
    begun = time.process_time()
    table = made(ground, rows, None, 0)
    spent = time.process_time() - begun
    size = sum(entry.size for entry in table.manifest.files.values())
    shutil.rmtree(table.folder.parent)
    return spent, size


def _reading(ground: Ground, rows: pl.DataFrame) -> float:
    """CPU of one more row that a build reads to find the latest of each entity."""
    few = rows.head(max(1, rows.height // 10))
    many = pl.concat([rows] * max(1, math.ceil(_LARGE / rows.height)))
    costs = []
    for _ in range(_BUILDS):
        spent = []
        for some in (few, many):
            begun = time.process_time()
            latest(ground, frame(some), None)
            spent.append(time.process_time() - begun)
        costs.append((spent[1] - spent[0]) / (many.height - few.height))
    return max(0.0, median(costs))
