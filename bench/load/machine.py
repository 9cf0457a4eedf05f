"""How busy and how fast the machine is meanwhile, so that a figure can be judged: a probe, other programs, the load.

    probe_ms       CPU of a fixed Python loop; it changes where the machine's own speed does
    others_cores   cores that other programs kept busy, while this and its children are left out
What does not belong here: what a contestant costs (`processes`).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

_TICKS = os.sysconf("SC_CLK_TCK")


def probe_ms() -> float:
    """Milliseconds of CPU of a fixed loop of Python."""
    start = time.process_time()
    total = 0
    for number in range(200_000):
        total += number & 7
    return (time.process_time() - start) * 1000


class Machine:
    """Samples of the machine between `look()`s; `say()` is one line for people, `figures()` the same for programs."""

    def __init__(self) -> None:
        self.probes: list[float] = []
        self.others: list[float] = []
        self._last: tuple[float, float, float] | None = None

    def look(self, own_seconds: float) -> None:
        """Take a sample; `own_seconds` is the CPU that the contestants have used so far, all together."""
        times = os.times()
        own = own_seconds + times.user + times.system + times.children_user + times.children_system
        now = (time.monotonic(), _busy(), own)
        if self._last is not None:
            wall = now[0] - self._last[0]
            if wall > 0.2 and now[2] >= self._last[2]:
                self.others.append(max(0.0, (now[1] - self._last[1]) - (now[2] - self._last[2])) / wall)
        self._last = now
        self.probes.append(probe_ms())

    def figures(self) -> dict[str, float]:
        """Medians and extremes of the samples, and the load average of the last minute."""
        others = self.others or [0.0]
        return {
            "cores": float(os.cpu_count() or 1),
            "probe_ms": median(self.probes),
            "probe_ms_least": min(self.probes),
            "probe_ms_most": max(self.probes),
            "others_cores": median(others),
            "others_cores_most": max(others),
            "loadavg": os.getloadavg()[0],
        }

    def say(self) -> str:
        """One line."""
        f = self.figures()
        return (
            f"machine: {f['cores']:.0f} cores, probe {f['probe_ms']:.1f} ms of CPU ({f['probe_ms_least']:.1f} to "
            f"{f['probe_ms_most']:.1f}), other programs {f['others_cores']:.2f} cores (at most "
            f"{f['others_cores_most']:.2f}), load {f['loadavg']:.1f}"
            + ("" if f["others_cores"] < 0.1 else "; NOT IDLE: ratios of time are noise")
        )


def _busy() -> float:
    """Seconds of CPU that anything has used since the machine started."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / _TICKS
