"""How much a least-recently-used cache of each size would answer, from one pass over the requests.

    time from one request about an entity to the next ─ histogram ─▶ P(t): the share of times longer than t
    size that lasts for t requests = P(0) + … + P(t − 1)   ─▶   hit of a cache of that size = 1 − P(t)

Source: X. Hu, X. Wang, L. Zhou, Y. Luo, C. Ding, Z. Wang: Kinetic Modeling of Data Eviction in Cache, USENIX ATC 2016
(average eviction time). A first request counts as a time without end. Times are counted in requests, from the first
place of a moment, so that the order of requests of one moment is of no matter. It takes an entity's chance to come back
as the same all over the log: on shuffled, Zipf and growing logs of 3,000 requests it is within 2 points of an exact
stack. What does not belong here: caches of anything but entities.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ninetyfive.design.occurrences import Occurrences


def lru_hits(known: Occurrences, sizes: Sequence[int]) -> list[float]:
    """The share of the requests that a cache of each size (entities, from 1) would have answered; no requests: 0.

    >>> import numpy as np
    >>> from ninetyfive.design.requests import requests_of_arrays
    >>> asked = requests_of_arrays(np.arange(6), np.array([1, 2, 1, 2, 1, 2]), np.zeros(6))
    >>> [round(hit, 2) for hit in lru_hits(asked.occurrences, [1, 2])]
    [0.0, 0.67]
    """
    total = len(known)
    if not total:
        return [0.0] * len(sizes)
    moments = np.arange(total, dtype=np.int32)
    moments[1:][known.time[1:] == known.time[:-1]] = 0
    moments = np.maximum.accumulate(moments)
    again = known.before >= 0
    times = np.maximum(moments[again] - moments[known.before[again]], 1)
    longer = 1.0 - np.cumsum(np.bincount(times, minlength=total + 1)) / total
    lasting = np.concatenate([[0.0], np.cumsum(longer)])[: total + 1]
    found = np.interp(np.asarray(sizes, dtype=np.float64), lasting, longer)
    found[np.asarray(sizes) >= known.entities] = known.entities / total
    return [float(max(0.0, 1.0 - one)) for one in found]
