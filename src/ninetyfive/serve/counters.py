"""A worker's counters: numbers in a mapped file, which whoever sums them reads, and which outlive the worker.

    w3.counters   magic, then one float64 for each of NAMES, then for each of HISTOGRAMS its buckets and its sum

The rule: adding is a store into mapped memory, so a counter costs no call into the system and survives kill -9. One
writer a file; who reads may see one number of a histogram before the next.
What does not belong here: names and help of the metrics as they are exposed (`exposition`).
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from pathlib import Path

MAGIC = 9.5e95
CODES = (
    *("2xx", "400", "401", "403", "404", "405", "408", "409", "411", "413", "415", "421", "422", "429", "431"),
    *("500", "503", "504", "other"),
)
SOURCES = ("table", "cache", "model", "default")
ROUTES = ("predict", "infer", "entity", "status", "health", "metrics", "other")
NAMES = (
    *(f"requests.{route}.{code}" for route in ROUTES for code in CODES),
    *(f"rows.{source}" for source in SOURCES),
    "rows.stale",
    "rows.missing",
    "rows.outside",
    "rows.unanswered",
    "log.records",
    "log.bytes",
    "log.failures",
    "swaps",
    "swaps.refused",
    "in_flight",
    "queue",
    "connections",
    "cpu_seconds",
    "resident_bytes",
    "epoch",
    "release.number",
    "release.created",
    "table.as_of",
    "ready",
    "degraded",
    "started",
)
"""The numbers of a worker. Those from "in_flight" on are states, not counters: a dead worker has none."""
STATES = frozenset(NAMES[NAMES.index("in_flight") :])
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
HISTOGRAMS = {"request_seconds": SECONDS, "model_seconds": SECONDS, "batch_rows": SIZES}
"""Histograms and the upper bounds of their buckets; one more bucket holds what is above."""

PLACES = {name: 1 + place for place, name in enumerate(NAMES)}
_START = 1 + len(NAMES)
_FIRST: dict[str, int] = {}
for _name, _bounds in HISTOGRAMS.items():
    _FIRST[_name] = _START
    _START += len(_bounds) + 2
LENGTH = _START


class Counters:
    """The counters of one worker, all 0.0 at first: `add` and `set` by the place of a name in `PLACES`, `observe`.

    `path` is made, or None keeps them in memory of its own. One that exists already is continued.

    >>> counters = Counters(None)
    >>> counters.add(PLACES["rows.model"], 3)
    >>> counters.observe("request_seconds", 0.0002)
    >>> counters.values()["rows.model"], counters.histogram("request_seconds")
    (3.0, ([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0.0002))
    """

    def __init__(self, path: str | Path | None) -> None:
        if path is None:
            self._map = mmap.mmap(-1, 8 * LENGTH)
        else:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(descriptor, 8 * LENGTH)
                self._map = mmap.mmap(descriptor, 8 * LENGTH)
            finally:
                os.close(descriptor)
        self._cells = memoryview(self._map).cast("d")
        self._cells[0] = MAGIC

    def add(self, place: int, amount: float = 1.0) -> None:
        """Add to the number at `place`."""
        self._cells[place] += amount

    def set(self, place: int, value: float) -> None:
        """Set the number at `place`."""
        self._cells[place] = value

    def observe(self, name: str, value: float) -> None:
        """Count a value in a histogram."""
        bounds = HISTOGRAMS[name]
        first = _FIRST[name]
        self._cells[first + bisect_left(bounds, value)] += 1.0
        self._cells[first + len(bounds) + 1] += value

    def values(self) -> dict[str, float]:
        """All numbers by name."""
        return {name: self._cells[place] for name, place in PLACES.items()}

    def histogram(self, name: str) -> tuple[list[int], float]:
        """How many values fell into each bucket (not summed up), the last one above all bounds; and their sum."""
        return _histogram(self._cells, name)


class Snapshot:
    """The counters in a file, read at once; `ValueError` where it holds none."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        if len(data) != 8 * LENGTH or memoryview(data).cast("d")[0] != MAGIC:
            raise ValueError(f"{path}: no counters of this version")
        self._cells = memoryview(data).cast("d")

    def values(self) -> dict[str, float]:
        """All numbers by name."""
        return {name: self._cells[place] for name, place in PLACES.items()}

    def histogram(self, name: str) -> tuple[list[int], float]:
        """As `Counters.histogram`."""
        return _histogram(self._cells, name)


def _histogram(cells: memoryview[float], name: str) -> tuple[list[int], float]:
    first, size = _FIRST[name], len(HISTOGRAMS[name])
    return [int(cells[first + place]) for place in range(size + 1)], cells[first + size + 1]
