"""The entities that are asked about most, one by one: their shares of the requests, and how long their features last.

    last change ────────────── table built ───── age ─────▶        of 1,000 requests of the head
      known, or since when seen     │   hazard of a change at that age, pooled over the head ─▶ drawn futures ─▶ held

The rule: whether a share of a half of all requests has other features tomorrow is one event, not a mean; so what
features of the head do is drawn again and again, each entity from where it is now. The hazard of a change is that of
changes and waiting in all entities of the head, by the time since the last change (features that are renewed once a
day, each at its own time, have one of nothing and then one of certainty), and for those of which no change was seen a
constant one; an entity that changes more often than the others has more of it. What does not belong here: what follows
for a table (`expecting`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ninetyfive.design.occurrences import Occurrences

Numbers = np.ndarray[Any, np.dtype[np.float64]]
MICROS = 1_000_000
_MOST, _LEAST, _PIECES = 100, 20, 64
_BINS = np.concatenate([[0.0], np.geomspace(60.0, 400 * 86_400.0, 140)])
_PRIOR = 1.0
"""As many spells that had the mean hazard are taken to have been seen beside those that were."""
_FEWEST = 0.5
"""Changes that are taken to have been seen where there was none."""
_CELLS, _MORE_CELLS, _A_REFRESH, _UNITS = 64, 128, 8, 100_000
_SEED = 20_260_101


@dataclass(frozen=True)
class Head:
    """The entities asked about most before a moment, most of all first.

    `shares`: of the requests, for as long as they have been what they are. `counts`: of all before. `leaves`: how often
    a second one of them is asked about much less from then on. `age`: seconds since the last change of their features
    was seen, or since the first request where none was; `seen`: whether one was. `unseen`: seconds since the last
    request; `quiet`: from one to the next, in the mean. `hazard` of a change a second, by the age (`_BINS`); `first`:
    that of entities of which no change was seen; `often`: how many times as often an entity changes. `profile`: how
    many requests come in each hour of the day, the mean being 1; `begins`: seconds since midnight.
    """

    shares: Numbers
    counts: Numbers
    leaves: float
    age: Numbers
    seen: np.ndarray
    unseen: Numbers
    quiet: Numbers
    hazard: Numbers
    first: float
    often: Numbers
    begins: float
    profile: Numbers

    def __len__(self) -> int:
        return len(self.shares)


def head_of(known: Occurrences, last: int, counts: np.ndarray) -> tuple[Head, np.ndarray]:
    """The head of the requests before the place `last`, and the numbers of its entities; `counts` are theirs."""
    many = np.flatnonzero(counts >= _LEAST)
    chosen = many[np.argsort(-counts[many], kind="stable")][:_MOST]
    place = np.full(known.entities, -1, dtype=np.int32)
    place[chosen] = np.arange(len(chosen))
    code = known.code[:last]
    found = np.flatnonzero(place[code] >= 0)
    mine = place[code[found]]
    shares, leaves = _standing(known.time[:last], known.time[found], mine, len(chosen))
    begins, profile = _profile(known.time[:last])
    order = np.argsort(mine, kind="stable")
    now = float(known.time[min(last, len(known) - 1)]) / MICROS if len(known) else 0.0
    return Head(
        shares,
        counts[chosen].astype(np.float64),
        leaves,
        *_lasting(known, found[order], mine[order], len(chosen), now),
        begins,
        profile,
    ), chosen


def _standing(time: np.ndarray, mine: np.ndarray, code: np.ndarray, size: int) -> tuple[Numbers, float]:
    """The shares of the head, and how often one is left, from the moments of all requests, and of those of the head.

    A share is taken back in time from the end, by twice as long each time, while what comes before is like it: within
    three standard deviations, or by half.
    """
    if not size or time[-1] == time[0]:
        return np.bincount(code, minlength=size) / max(1, len(time)), 0.0
    edges = np.linspace(float(time[0]), float(time[-1]) + 1.0, _PIECES + 1)
    cell = np.minimum(((mine - edges[0]) * (_PIECES / (edges[-1] - edges[0]))).astype(np.int64), _PIECES - 1)
    counts = np.bincount(code * _PIECES + cell, minlength=size * _PIECES).reshape(size, _PIECES).astype(np.float64)
    every = np.diff(np.searchsorted(time, edges)).astype(np.float64)
    seen, asked, open_ = np.zeros(size), np.zeros(size), np.ones(size, dtype=bool)
    stop, length = _PIECES, 2
    while stop > 0:
        start = max(0, stop - length)
        here, among = counts[:, start:stop].sum(axis=1), every[start:stop].sum()
        if asked.any() and among:
            p = np.maximum((seen + here) / (asked + among), 1e-12)
            far = np.abs(seen / np.maximum(asked, 1) - here / among)
            luck = np.sqrt(p * (1 - p) * (1 / np.maximum(asked, 1) + 1 / among))
            large, small = np.maximum(seen / asked, here / among), np.minimum(seen / asked, here / among)
            open_ &= (far <= 3 * luck) | (large <= 1.5 * small)
        seen += np.where(open_, here, 0.0)
        asked += np.where(open_, among, 0.0)
        stop, length = start, (length if stop == _PIECES else 2 * length)
    days = max(3, round((edges[-1] - edges[0]) / (86_400 * MICROS)))
    daily = np.add.reduceat(counts, np.arange(days) * _PIECES // days, axis=1)
    all_of = np.maximum(np.add.reduceat(every, np.arange(days) * _PIECES // days), 1.0)
    due = daily[:, :-1] / all_of[:-1] * all_of[1:]
    enough = (daily[:, :-1] >= _LEAST) & (due >= _LEAST)
    left = enough & (daily[:, 1:] < due / 3)
    spent = float(enough.sum()) * (edges[-1] - edges[0]) / days / MICROS
    return seen / np.maximum(asked, 1.0), float(left.sum()) / spent if spent else 0.0


def _lasting(
    known: Occurrences, place: np.ndarray, mine: np.ndarray, size: int, now: float
) -> tuple[Numbers, np.ndarray, Numbers, Numbers, Numbers, float, Numbers]:
    """How long features last, as in `Head`; `place` are the requests of the head by entity (`mine`), then by time."""
    if not size:
        none = np.zeros(0)
        return none, none > 0, none, none, np.zeros(len(_BINS)), 0.0, none
    time = known.time[place] / MICROS
    first = np.flatnonzero(np.diff(mine, prepend=-1) != 0)
    pairs = np.flatnonzero(np.diff(mine, prepend=-1) == 0)
    same, alike = known.equal(place[pairs], place[pairs - 1])
    changes = pairs[~same if alike is None else ~same & alike]
    # A spell begins with a change (in the middle of the gap in which it was seen), or with the first request.
    marks = np.sort(np.append(first, changes))
    began, whose = time[marks], mine[marks]
    from_change = ~np.isin(marks, first)
    began[from_change] = (time[marks[from_change]] + time[marks[from_change] - 1]) / 2
    after = np.append(marks[1:], len(place))
    event = np.append(from_change[1:], False)
    ends = np.where(event, np.append(began[1:], now), time[after - 1])
    lasted = ends - began
    waited = float(lasted.sum())
    mean = max(float(event.sum()), _FEWEST) / max(waited, 1.0)
    hazard = _hazard(lasted[from_change], event[from_change], mean)
    middle = (now + time.min()) / 2
    late = ~from_change & (ends > middle)
    # Of entities of which no change was seen in the first half, how often one was seen in the second.
    spent = np.minimum(lasted[late], ends[late] - middle)
    first_hazard = (float(event[late].sum()) + _PRIOR) / (float(spent.sum()) + _PRIOR / mean)
    due = np.where(from_change, np.interp(lasted, _BINS, _summed(hazard)), first_hazard * lasted)
    often = (np.bincount(whose, weights=event, minlength=size) + 2.0) / (
        np.bincount(whose, weights=due, minlength=size) + 2.0
    )
    last = np.append(first, len(place))[1:] - 1
    newest = np.flatnonzero(~event)
    quiet = (now - time[first]) / np.bincount(mine, minlength=size)
    return now - began[newest], from_change[newest], now - time[last], quiet, hazard, first_hazard, often


def _hazard(lasted: Numbers, event: np.ndarray, mean: float) -> Numbers:
    """The hazard of a change by age (`_BINS`), of spells that began with a change, and may have ended with another."""
    ordered = np.sort(lasted)
    sums = np.append(0.0, np.cumsum(ordered))
    below = np.searchsorted(ordered, _BINS)
    exposed = np.append(np.diff(sums[below] + _BINS * (len(ordered) - below)), 0.0)
    events = np.bincount(np.searchsorted(_BINS, lasted[event], side="right") - 1, minlength=len(_BINS))
    width = np.append(np.diff(_BINS), _BINS[-1])
    found: Numbers = (events + _PRIOR * mean * width) / (exposed + _PRIOR * width)
    return found


def _profile(time: np.ndarray) -> tuple[float, Numbers]:
    """Seconds since midnight when these moments end, and the requests of each hour of the day (their mean is 1)."""
    if not len(time):
        return 0.0, np.ones(24)
    begins, spanned = float(time[-1] % (86_400 * MICROS)) / MICROS, float(time[-1] - time[0]) / MICROS
    if spanned < 86_400.0:
        return begins, np.ones(24)
    whole = time[time > time[-1] - int(spanned // 86_400) * 86_400 * MICROS]
    seen = np.bincount((whole // (3_600 * MICROS)) % 24, minlength=24).astype(np.float64)
    return begins, seen / max(seen.mean(), 1e-12)


def weights(head: Head, seconds: float, parts: int) -> Numbers:
    """How the requests of so many seconds after the table was built are spread over equal parts of them."""
    fine = max(1, -(-240 // parts))
    at = head.begins + (np.arange(parts * fine) + 0.5) * seconds / (parts * fine)
    found: Numbers = head.profile[(at // 3_600).astype(np.int64) % 24].reshape(parts, fine).sum(axis=1)
    total = found.sum()
    return found / total if total else np.full(parts, 1.0 / parts)


def held(head: Head, seconds: float, refresh: float | None, futures: int) -> tuple[Numbers, Numbers]:
    """Of the requests there would be about each entity in `seconds`, were its share to stay: how many there are, and
    how many of these have the features of the table (future × entity).

    The table is built now, and again every `refresh` (None: never).
    """
    chance = np.random.default_rng(_SEED)
    if not len(head) or seconds <= 0:
        return np.ones((futures, len(head))), np.ones((futures, len(head)))
    cells = _CELLS
    if refresh is not None:
        seconds = min(seconds, refresh * _MORE_CELLS / _A_REFRESH)  # longer ones are like these
        cells = max(_CELLS, math.ceil(_A_REFRESH * seconds / refresh))
    cell, share = seconds / cells, weights(head, seconds, cells)
    age = np.broadcast_to(head.age - head.unseen, (futures, len(head))).copy()
    seen = np.broadcast_to(head.seen, age.shape).copy()
    gone = np.zeros(age.shape, dtype=bool)
    kept = np.zeros(age.shape)
    each = None if refresh is None else max(1, round(refresh / cell))
    # A table that is built again has a head that is new, too.
    rate = head.leaves if refresh is None else 0.0
    leaves = chance.exponential(size=age.shape) / max(rate * cell, 1e-12)
    asked = np.cumsum(np.append(0.0, share))[np.minimum(leaves, cells).astype(np.int64)]
    chances = _Chances(head, cell, float(age.max() + head.unseen.max()) + seconds)
    for number in range(-1, cells):
        step = head.unseen if number < 0 else cell
        due = _due(head, age, seen, step) if number < 0 else chances(age, seen)
        changes = chance.random(age.shape) < due
        if number >= 0:
            if each is not None and number % each == 0:
                # The table has the features of the latest request.
                since = np.minimum(head.quiet, age)
                gone = chance.random(age.shape) < _due(head, age - since, seen, since)
            kept += share[number] * np.where(gone | (leaves < number), 0.0, np.where(changes, 0.5, 1.0))
        gone |= changes
        seen |= changes
        age = np.where(changes, step / 2, age + step)
    return asked, np.minimum(kept, asked)


class _Chances:
    """The chance of a change of each entity in the next cell, by its age: looked up, as there are many."""

    def __init__(self, head: Head, cell: float, oldest: float) -> None:
        self._unit = max(cell / 4, oldest / _UNITS)
        ages, sums = np.arange(int(oldest / self._unit) + 2) * self._unit, _summed(head.hazard)
        self._due = np.interp(ages + cell, _BINS, sums) - np.interp(ages, _BINS, sums)
        self._first, self._often = head.first * cell, head.often

    def __call__(self, age: Numbers, seen: np.ndarray) -> Numbers:
        at = np.minimum((age / self._unit).astype(np.int32), len(self._due) - 1)
        found: Numbers = -np.expm1(-np.where(seen, self._due[at], self._first) * self._often)
        return found


def _due(head: Head, age: Numbers, seen: np.ndarray, step: Numbers | float) -> Numbers:
    """The chance of a change in the next `step` seconds."""
    sums = _summed(head.hazard)
    from_change = np.interp(age + step, _BINS, sums) - np.interp(age, _BINS, sums)
    found: Numbers = -np.expm1(-np.where(seen, from_change, head.first * np.asarray(step)) * head.often)
    return found


def _summed(hazard: Numbers) -> Numbers:
    """The hazard summed up to each of `_BINS`."""
    found: Numbers = np.append(0.0, np.cumsum(hazard[:-1] * np.diff(_BINS)))
    return found
