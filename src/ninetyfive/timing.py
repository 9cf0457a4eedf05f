"""How long a call takes, for figures that a release states; how busy this machine is.

What does not belong here: benchmarks (`bench/`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median


def call_seconds(
    call: Callable[[], object], times: int, at_most: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """The median seconds of `times` calls, after one to warm up; none begins once `at_most` seconds were spent.

    `clock` says of what: `time.process_time` of CPU, which what others want of the machine does not count to.

    >>> call_seconds(lambda: None, 3, 0.1) < 0.1
    True
    """
    call()
    spent: list[float] = []
    while len(spent) < times and sum(spent) < at_most:
        start = clock()
        call()
        spent.append(clock() - start)
    return median(spent)


def slower() -> float:
    """About how many times its usual time work takes here now: by the processes that want a processor, at least 1.0.

    >>> slower() >= 1.0
    True
    """
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
