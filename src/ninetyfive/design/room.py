"""How many trainings are made at once: as many as cores and memory allow, where that is worth starting processes.

    cores, free memory, what one takes ─┐
    trainings to come, seconds of each ─┴─▶ decide ─▶ children, threads of each, and why

The rule: `decide` reads no clock, file or machine. What does not belong here: the processes (`children`).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SHARE = 0.5
"""The share of the memory that is free at the beginning which all children together may take."""
PRESUMED = 512 << 20
"""Bytes that a child is taken to need before one was seen."""
_WORTH = 2.0
"""How many times what a start takes has to be saved."""
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known when it is decided.

    `trainings` to come, of about so many `seconds` each, within `left` seconds; `start`: seconds until a new child
    trains. `cores`, and `free` bytes of memory, of which a child takes `each`. `threads` of the child that there is.
    """

    trainings: int
    seconds: float
    left: float
    start: float
    cores: int
    free: int
    each: int
    threads: int


@dataclass(frozen=True, slots=True)
class Decision:
    """So many children of so many threads each, and why."""

    children: int
    threads: int
    reason: str


def most(cores: int, free: int, each: int) -> tuple[int, int]:
    """As many children as there may be, and the threads of each: one, unless memory allows fewer than there are cores.

    >>> most(8, 8 << 30, 1 << 30), most(8, 1 << 30, 1 << 30)
    ((4, 2), (1, 8))
    """
    children = max(1, min(cores, int(SHARE * free) // max(1, each)))
    return children, max(1, cores // children)


def decide(known: Known) -> Decision:
    """More children than one where they end what is to come sooner, by more than twice what starting them takes."""
    children, threads = most(known.cores, known.free, known.each)
    children = min(children, max(1, known.trainings))
    alone = min(known.trainings * known.seconds, known.left)
    saved = alone * (1.0 - known.threads / max(known.threads, children * threads))
    if saved <= _WORTH * known.start:
        soon = f"{known.trainings:,} trainings of {known.seconds:.2g} s end sooner than more processes are worth"
        return Decision(1, known.threads, soon if known.cores > 1 else "one core makes one training at once")
    taken = f"{known.each / 2**20:,.0f} MiB of {SHARE:.0%} of {known.free / 2**30:.3g} GiB that are free"
    return Decision(
        children,
        threads,
        f"{children} at once, each on {threads} of {known.cores} cores: a training takes {taken}",
    )


def cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Bytes of memory that may be taken: what the system and its control group leave; of macOS half of all there is."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        with suppress(OSError, ValueError):
            limit, used = ((_CGROUP / f"memory.{name}").read_text(encoding="ascii") for name in ("max", "current"))
            found = min(found, max(0, int(limit) - int(used)))
        return found
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def peak_memory() -> int:
    """The most bytes of memory that this process has taken."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    import resource

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024
