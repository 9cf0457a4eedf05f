"""Which requests are about one entity: a number each, and the request about it before.

    time      1  2  3  4  5              code      0  1  0  2  1
    entity    a  b  a  c  b      ─▶      before   -1 -1  0 -1  1

One stable sort by entity gives both. The rule: what is made of them is the same whatever numbers entities get. What
does not belong here: where requests come from (`requests`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Whole = np.ndarray[Any, np.dtype[np.int32]]
Truths = np.ndarray[Any, np.dtype[np.bool_]]
Counted = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Occurrences:
    """Of each request, in time order: its entity as a number from 0 (`code`), and the place of the one before about it.

    `before` is -1 where there is none. `counts` are the requests of each entity.
    """

    time: np.ndarray
    fingerprint: np.ndarray
    release: np.ndarray | None
    code: Whole
    before: Whole
    counts: Counted

    def __len__(self) -> int:
        return len(self.code)

    @property
    def entities(self) -> int:
        """How many entities there are."""
        return len(self.counts)

    @cached_property
    def cuts(self) -> tuple[int, int]:
        """Where the second and the last third of the requests begin: each at a moment of its own."""
        return self.moment(len(self) // 3), self.moment(2 * len(self) // 3)

    def moment(self, place: int) -> int:
        """The first place of the moment at `place`: requests of one moment are not cut apart."""
        if not 0 < place < len(self):
            return max(0, min(place, len(self)))
        return int(np.searchsorted(self.time, self.time[place], side="left"))

    def equal(self, places: np.ndarray | slice, others: np.ndarray) -> tuple[Truths, Truths | None]:
        """Whether requests have the fingerprints of others, and which can be compared (None: all can)."""
        same = self.fingerprint[places] == self.fingerprint[others]
        if self.release is None:
            return same, None
        return same, self.release[places] == self.release[others]

    def changed_between(self) -> tuple[float, float, int]:
        """Of repeated requests, the share with another fingerprint within a release, and across two; pairs of these."""
        later = np.flatnonzero(self.before >= 0)
        same, alike = self.equal(later, self.before[later])
        if alike is None:
            return (float(1 - same.mean()) if len(same) else 0.0), 0.0, 0
        across = int((~alike).sum())
        within = float(1 - same[alike].mean()) if across < len(same) else 0.0
        return within, float(1 - same[~alike].mean()) if across else 0.0, across


def occurrences(
    time: np.ndarray, entity: np.ndarray, fingerprint: np.ndarray, release: np.ndarray | None
) -> Occurrences:
    """The occurrences of requests that are in time order.

    >>> import numpy as np
    >>> found = occurrences(np.arange(4), np.array([9, 5, 9, 9]), np.zeros(4), None)
    >>> found.before.tolist(), sorted(found.counts.tolist())
    ([-1, -1, 0, 2], [1, 3])
    """
    size = len(entity)
    code, before = np.empty(size, np.int32), np.full(size, -1, np.int32)
    if not size:
        return Occurrences(time, fingerprint, release, code, before, np.empty(0, np.int64))
    order = np.argsort(entity, kind="stable")
    ordered = entity[order]
    first = np.empty(size, dtype=bool)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    code[order] = np.cumsum(first, dtype=np.int32) - 1
    again = np.flatnonzero(~first)
    before[order[again]] = order[again - 1]
    return Occurrences(time, fingerprint, release, code, before, np.diff(np.append(starts, size)))
