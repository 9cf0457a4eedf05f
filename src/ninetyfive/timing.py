"""How long a call takes, for figures that a release states. What does not belong here: benchmarks (`bench/`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median


def call_seconds(call: Callable[[], object], times: int, at_most: float) -> float:
    """The median seconds of `times` calls, after one to warm up; none begins once `at_most` seconds were spent.

    >>> call_seconds(lambda: None, 3, 0.1) < 0.1
    True
    """
    call()
    spent: list[float] = []
    while len(spent) < times and sum(spent) < at_most:
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return median(spent)
