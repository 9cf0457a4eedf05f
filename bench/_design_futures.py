"""Other futures of the requests of a system: what somebody would forecast who knows how they are made, but not chance.

    the requests before the last third, as they were ─┬─▶ a last third, drawn anew ─▶ hits of the same table
                                                      ├─▶ another one              ─▶ …
                                                      └─▶ …                        ─▶ how near a forecast can be

The rule: what could be known when the table is built is kept (who holds which rank, the moments at which features were
seen to change), and all else is drawn anew: requests, ranks that are dealt later, features that change at moments that
nobody saw. A future is thinned: a share of 20,000 requests is known to a third of a point. What does not belong here:
the requests themselves (`_design_systems`), and what was forecast of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from bench._design_systems import BEGIN, DAY, Asked, Setup, days_of, holders, moments, phases, ranks

_THINNED = 20_000
Way = tuple[str, int | None]
Shares = np.ndarray


def hits_of_futures(setup: Setup, asked: Asked, cut: int, ways: Sequence[Way], futures: int) -> Shares:
    """The hit rates (future × way) of tables that are built before the place `cut` and asked afterwards."""
    past = _Past(setup, asked, cut)
    return np.array([past.hits(np.random.default_rng([setup.seed, 3, number]), ways) for number in range(futures)])


def attainable(hits: Shares, points: float) -> float:
    """How often somebody is within so many points for every way, who knows one half of the futures, in the other."""
    found = []
    for known, others in ((hits[::2], hits[1::2]), (hits[1::2], hits[::2])):
        told = np.array([_likeliest(one, points) for one in known.T])
        found.append(float((np.abs(others - told) <= points).all(axis=1).mean()))
    return float(np.mean(found))


def _likeliest(values: Shares, points: float) -> float:
    """The middle of the values of a range of so many points to both sides that holds most of them."""
    ordered = np.sort(values)
    ends = np.searchsorted(ordered, ordered + 2 * points, side="right")
    start = int(np.argmax(ends - np.arange(len(ordered))))
    return float((ordered[start] + ordered[ends[start] - 1]) / 2)


class _Past:
    """What is known when the table is built."""

    def __init__(self, setup: Setup, asked: Asked, cut: int) -> None:
        self.setup = setup
        first = BEGIN.astype(np.int64) + (setup.days - setup.log_days) * DAY
        self.start = float(asked.time[cut] - first) / 1e6
        self.share = min(1.0, _THINNED / (len(asked) - cut))
        entity, time = asked.entity[:cut], (asked.time[:cut] - first) / 1e6
        size = max(setup.cardinality, int(entity.max()) + 1)
        counts = np.bincount(entity, minlength=size)
        # Of equal counts chance decides, as names do.
        order = np.lexsort((np.random.default_rng(setup.seed).random(size), -counts))
        self.place = np.full(size, size)
        self.place[order] = np.arange(size)
        self.place[counts == 0] = np.iinfo(np.int64).max
        turns = setup.changing * time / 86_400
        version = np.floor(phases(entity) + turns)
        self.latest = np.zeros(size)
        self.latest[entity] = version
        self.low, self.high = np.zeros(size), np.ones(size)
        np.maximum.at(self.low, entity, version - turns)
        np.minimum.at(self.high, entity, version + 1 - turns)
        day = int(self.start // 86_400)
        self.day, self.holder = day, next(one for number, one in holders(setup) if number == day)

    def hits(self, chance: np.random.Generator, ways: Sequence[Way]) -> list[float]:
        """The hit rate of each way in one future."""
        setup = self.setup
        time = moments(setup, chance, int(setup.requests * self.share))
        time = time[time >= self.start]
        rank = ranks(setup, chance, len(time))
        entity, day, holder = np.empty_like(rank), days_of(time), self.holder.copy()
        for number in range(self.day, setup.log_days):
            here = day == number
            entity[here] = holder[rank[here]]
            dealt = np.flatnonzero(chance.random(setup.cardinality) < setup.moves)
            holder[dealt] = holder[chance.permutation(dealt)]
        phase = self.low + (self.high - self.low) * chance.random(len(self.low))
        known = chance.random(len(entity)) >= min(0.8, setup.new * setup.visits)
        place = np.where(known, self.place[entity], np.iinfo(np.int64).max)
        same = np.floor(phase[entity] + setup.changing * time / 86_400) == self.latest[entity]
        return [
            0.0 if k is None else float(((place < k) & (same | (paradigm == "static"))).mean()) for paradigm, k in ways
        ]
