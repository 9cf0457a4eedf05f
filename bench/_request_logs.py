"""Synthetic request logs, and what a table really answers of them: used by the benchmarks and the tests of a design.

    Zipf exponent × cardinality × new entities × changing features × how the head moves ─▶ arrays in time order

A new entity comes back or not: "once" ones are asked about one time; others take a random rank from an old one. Ranks
are names in no order, so that ties of counts are broken at random, as keys break them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ninetyfive.design.requests import Requests, requests_of_arrays

DAY = 86_400 * 1_000_000


@dataclass(frozen=True)
class Log:
    """What a log is made of: `days` long; `new` is the share of requests about an entity never asked about before.

    `changing`: how often the features of an entity change a day. `head`: the ranks are dealt anew "daily", to "new"
    entities each day, or a share of them a day (a number); None: they stay. `once`: new entities do not come back.
    """

    requests: int = 60_000
    zipf: float = 1.0
    cardinality: int = 10_000
    new: float = 0.0
    once: bool = True
    changing: float = 0.0
    head: str | float | None = None
    days: float = 9.0
    wave: float = 0.0
    seed: int = 0
    future: int | None = None

    def requests_of(self) -> Requests:
        """The log."""
        time = self._times()
        weights = 1.0 / np.arange(1, self.cardinality + 1) ** self.zipf
        drawn = self._drawn("rank", lambda chance: chance.random(self.requests))
        ranks = np.searchsorted(np.cumsum(weights) / weights.sum(), drawn).astype(np.int64)
        ranks = np.minimum(ranks, self.cardinality - 1)
        entity = self._renewed(ranks, self._moved(time, ranks))
        names = np.random.default_rng([self.seed, 1]).permutation(2 * int(entity.max()) + 2).astype(np.uint64)
        return requests_of_arrays(time, names[entity], self._features(time, entity))

    def _drawn(self, what: str, draw: Callable[[np.random.Generator], np.ndarray]) -> np.ndarray:
        """A value for each request: of the last third from the other seed, if there is one."""
        made = draw(np.random.default_rng([self.seed, *what.encode()]))
        if self.future is not None:
            last = 2 * self.requests // 3
            made[last:] = draw(np.random.default_rng([self.future, 1, *what.encode()]))[last:]
        return made

    def _times(self) -> np.ndarray:
        """Moments over the days, more of them by day than by night by the share `wave`."""
        at = (np.arange(self.requests) + np.random.default_rng(self.seed).random(self.requests)) / self.requests
        at = at * self.days
        at = at - self.wave * np.sin(2 * np.pi * at) / (2 * np.pi)
        return (np.sort(at) * DAY).astype(np.int64) + 1_700_000_000_000_000

    def _moved(self, time: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        """Which entity has a rank, by day."""
        if self.head is None:
            return ranks.copy()
        names = np.arange(self.cardinality)
        day = (time - time[0]) // DAY
        entity = np.empty_like(ranks)
        for one in np.unique(day).tolist():
            later = self.future is not None and one >= 2 * self.days / 3
            chance = np.random.default_rng([self.future if later else self.seed, 2, one])  # type: ignore[list-item]
            if self.head == "daily":
                names = chance.permutation(self.cardinality)
            elif self.head == "new":
                names = self.cardinality * one + np.arange(self.cardinality)
            else:
                moved = chance.choice(self.cardinality, max(2, int(float(self.head) * self.cardinality)), replace=False)
                names[moved] = names[chance.permutation(moved)]
            entity[day == one] = names[ranks[day == one]]
        return entity

    def _renewed(self, ranks: np.ndarray, entity: np.ndarray) -> np.ndarray:
        """With the share `new` of requests about entities that were never asked about."""
        if not self.new:
            return entity
        fresh = self._drawn("new", lambda chance: chance.random(self.requests)) < self.new
        if self.once:
            return np.where(fresh, int(entity.max()) + np.cumsum(fresh), entity)
        # Each new one takes the place of the rank that was asked for, until the next new one of that rank.
        order = np.argsort(ranks, kind="stable")
        number = int(entity.max()) + np.cumsum(fresh)[order]
        place = np.maximum.accumulate(np.where(fresh[order], np.arange(len(order)), -1))
        starts = np.searchsorted(ranks[order], ranks[order])
        made = np.empty_like(entity)
        made[order] = np.where(place >= starts, number[np.maximum(place, 0)], entity[order])
        return made

    def _features(self, time: np.ndarray, entity: np.ndarray) -> np.ndarray:
        """Fingerprints that change `changing` times a day in the mean, at random moments (Poisson)."""
        if not self.changing:
            return np.zeros(len(entity), np.uint64)
        order = np.argsort(entity, kind="stable")
        waited = np.empty(len(entity))
        waited[order] = np.diff(time[order], prepend=time[0]) / DAY
        fresh = np.empty(len(entity), dtype=bool)
        fresh[order] = np.diff(entity[order], prepend=-1) != 0
        waited[fresh] = 0.0
        changes = self._drawn("change", lambda chance: chance.poisson(waited * self.changing))
        made = np.empty(len(entity), np.uint64)
        made[order] = np.cumsum(changes[order])
        return made


def replayed(requests: Requests, k: int, refresh: float | None = None) -> tuple[float, float]:
    """The share of the last third that a table covers, and covers with equal features: the real top K, rebuilt or not.

    Of equal counts the least name is taken, as a table takes the least key. `refresh` in seconds.
    """
    known = requests.occurrences
    begin, covered, equal = known.cuts[1], 0, 0
    start = begin
    moment = float(known.time[begin])
    while begin < len(known):
        end = len(known)
        if refresh is not None:
            moment += refresh * 1_000_000
            end = int(np.searchsorted(known.time, moment, side="left"))
            if end == begin:
                continue
        names, place = np.unique(requests.entity[:begin][::-1], return_index=True)
        _, counts = np.unique(requests.entity[:begin], return_counts=True)
        top = np.lexsort((names, -counts))[:k]
        held, prints = names[top], requests.fingerprint[:begin][::-1][place[top]]
        order = np.argsort(held)
        held, prints = held[order], prints[order]
        asked = requests.entity[begin:end]
        at = np.minimum(np.searchsorted(held, asked), len(held) - 1)
        found = held[at] == asked
        covered += int(found.sum())
        equal += int((found & (prints[at] == requests.fingerprint[begin:end])).sum())
        begin = end
    return covered / (len(known) - start), equal / (len(known) - start)
