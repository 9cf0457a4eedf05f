"""What tables that were built at some moments answered of the requests that followed.

    ───── requests before ─────┬──── requests that follow ────▶ time
      top K, newest features   build        covered: the entity is held · equal: so are its features

The rule: one pass gives every K. Entities of equal counts are held with equal chance, as which of them a table takes
hangs on their names alone; so nothing here depends on names. What does not belong here: what that tells of later
requests (`forecast`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ninetyfive.design.occurrences import Occurrences
from ninetyfive.design.requests import Requests

Shares = np.ndarray[Any, np.dtype[np.float64]]
MICROS = 1_000_000
_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
_BUILDS, _ENOUGH = 24, 30_000


@dataclass(frozen=True)
class Built:
    """A table built at place `begin` and asked until `end`, for each K of a grid, as shares of these requests.

    `again`: what it would cover if a request came as those before it did (leave one out); `entities` were known then.
    """

    begin: int
    end: int
    entities: int
    covered: Shares
    equal: Shares
    again: Shares

    @property
    def requests(self) -> int:
        """How many requests it was asked."""
        return self.end - self.begin


@dataclass(frozen=True)
class Horizon:
    """Tables that were asked for `seconds` each after they were built (None: for as long as the last window lasts)."""

    seconds: float | None
    built: tuple[Built, ...]


@dataclass(frozen=True)
class Hits:
    """What is known of tables from all but the last window, for each K of `k` (ascending; the last: every entity).

    `requests` that came before the last window; `again` as in `Built`, at its begin, and `earlier`: half as many
    requests before. `named`: the share of all requests that have an entity. `lasts`: seconds of the last window.
    `refreshes`: periods after which a table may be built again, in seconds.
    """

    k: tuple[int, ...]
    requests: int
    again: Shares
    earlier: Shares
    named: float
    lasts: float
    refreshes: tuple[float, ...]
    horizons: tuple[Horizon, ...]


def sizes(entities: int) -> tuple[int, ...]:
    """Six sizes a decade up to `entities`, which is the last one.

    >>> sizes(12)
    (1, 2, 3, 5, 7, 10, 12)
    """
    decades = (int(step * 10**decade) for decade in range(10) for step in _STEPS)
    return tuple(sorted({size for size in decades if size < entities} | ({entities} if entities else set())))


def refreshes(staleness: float, lasts: float) -> tuple[float, ...]:
    """The periods after which a table may be built again, in seconds: the longest that is allowed, and its halves.

    None is longer than the last window `lasts`: nobody saw what an older table answers.

    >>> refreshes(86_400.0, 200_000.0), refreshes(86_400.0, 7_200.0)
    ((86400.0, 43200.0, 21600.0, 10800.0), (7200.0, 3600.0, 1800.0, 900.0))
    """
    longest = min(staleness, float(int(lasts)))
    return tuple(longest / 2**halved for halved in range(4)) if longest >= 1 else ()


def table_hits(requests: Requests, staleness: float) -> Hits:
    """What tables answered in the first two windows, asked for each of `refreshes`, and for a whole window.

    `staleness`: seconds that a table may become old. Of no requests with an entity there is no K.
    """
    known, nameless = requests.occurrences, len(requests.nameless)
    last = known.cuts[1]
    total = len(known) + nameless
    named = len(known) / total if total else 0.0
    lasts = float(known.time[-1] - known.time[last]) / MICROS if last < len(known) else 0.0
    spanned = float(known.time[last] - known.time[0]) / MICROS if 0 < last < len(known) else 0.0
    periods = refreshes(staleness, lasts)
    asked: dict[float | None, list[tuple[int, int]]] = {None: _whole(known, last, lasts)}
    asked |= {one: _often(known, last, one) for one in periods if one < min(lasts, spanned / 2)}
    pairs = sorted({pair for one in asked.values() for pair in one})
    half = known.moment(last // 2)
    counted = np.bincount(known.code[:last], minlength=known.entities)
    k = sizes(int(np.count_nonzero(counted)))
    found = {(one.begin, one.end): one for one in built(known, pairs, k)}
    horizons = tuple(Horizon(one, tuple(found[pair] for pair in pairs)) for one, pairs in asked.items())
    again = left_one_out(counted, k)
    earlier = left_one_out(np.bincount(known.code[:half], minlength=known.entities), k)
    return Hits(k, last, again, earlier, named, lasts, periods, horizons)


def built(known: Occurrences, pairs: Sequence[tuple[int, int]], k: Sequence[int]) -> Iterator[Built]:
    """The tables of these (begin, end), which ascend; each begin at a moment of its own."""
    counts = np.zeros(known.entities, dtype=np.int64)
    latest = np.full(known.entities, -1, dtype=np.int64)
    done, again, entities = 0, np.zeros(len(k)), 0
    for begin, end in pairs:
        if begin > done:
            counts += np.bincount(known.code[done:begin], minlength=known.entities)
            latest[known.code[done:begin]] = np.arange(done, begin)
            again, entities, done = left_one_out(counts, k), int(np.count_nonzero(counts)), begin
        covered, equal = _answered(known, counts, latest, (begin, end), k)
        yield Built(begin, end, entities, covered, equal, again)


def left_one_out(counts: np.ndarray, k: Sequence[int]) -> Shares:
    """The share of requests whose entity the top K of all the others hold, for each K.

    An entity of c requests is then one of c − 1, which is held if fewer than K have more, and by chance among those
    that have as many. For the greatest K it is Good and Turing's 1 − (entities asked about once) / requests. Source:
    I. J. Good: The Population Frequencies of Species and the Estimation of Population Parameters, Biometrika 40, 1953.

    >>> import numpy as np
    >>> left_one_out(np.array([3, 1]), (1, 2)).tolist()
    [0.75, 0.75]
    """
    total = int(counts.sum())
    if not total or not len(k):
        return np.zeros(len(k))
    many = np.bincount(counts)
    many[0] = 0
    level = np.flatnonzero(many)
    level = level[level > 1]
    above = np.cumsum(many[::-1])[::-1]
    free = np.asarray(k, dtype=np.float64)[:, None] - (above[level] - 1)
    chance = np.clip(free / (many[level - 1] + 1), 0.0, 1.0)
    shares: Shares = chance @ (level * many[level]) / total
    return shares


def _answered(
    known: Occurrences, counts: np.ndarray, latest: np.ndarray, pair: tuple[int, int], k: Sequence[int]
) -> tuple[Shares, Shares]:
    begin, end = pair
    asked = known.code[begin:end]
    if not len(asked) or not counts.any():
        return np.zeros(len(k)), np.zeros(len(k))
    level = counts[asked]
    held = np.flatnonzero(level)
    same, alike = known.equal(held + begin, latest[asked[held]])
    many = np.bincount(counts)
    many[0] = 0
    width = len(many)
    requests = np.bincount(level[held], minlength=width)
    equals = np.bincount(level[held][same if alike is None else same & alike], minlength=width)
    covered, equal = _top(requests, many, k), _top(equals, many, k)
    if alike is not None:
        compared = _top(np.bincount(level[held][alike], minlength=width), many, k)
        equal = covered * equal / np.maximum(compared, 1e-9)
    return covered / len(asked), equal / len(asked)


def _top(amount: np.ndarray, many: np.ndarray, k: Sequence[int]) -> Shares:
    """The amount that belongs to the top K, by levels of counts; of a level that is cut, its even share."""
    levels = np.flatnonzero(many)[::-1]
    entities = np.concatenate([[0], np.cumsum(many[levels])])
    amounts = np.concatenate([[0], np.cumsum(amount[levels])])
    held: Shares = np.interp(np.asarray(k, dtype=np.float64), entities, amounts)
    return held


def _whole(known: Occurrences, last: int, lasts: float) -> list[tuple[int, int]]:
    """Tables that were asked for as long as the last window lasts, begun at several moments of the first."""
    found = []
    for share in (1 / 4, 1 / 3, 1 / 2) if last else ():
        begin = known.moment(int(last * share))
        end = min(last, int(np.searchsorted(known.time, known.time[begin] + int(lasts * MICROS), side="right")))
        if 0 < begin < end:
            found.append((begin, end))
    return found


def _often(known: Occurrences, last: int, seconds: float) -> list[tuple[int, int]]:
    """Tables that were asked for so many seconds, spread over the second half of what came before the last window."""
    start, stop = known.time[known.moment(last // 2)], known.time[last]
    room = max(1, int((stop - start) / (seconds * MICROS)))
    begins = np.linspace(0, room - 1, min(room, _BUILDS)).astype(np.int64)
    found: list[tuple[int, int]] = []
    for one in begins[::-1].tolist():
        from_moment = int(stop - (one + 1) * seconds * MICROS)
        begin, end = np.searchsorted(known.time, [from_moment, int(from_moment + seconds * MICROS)], side="left")
        if 0 < begin < end <= last:
            found.append((int(begin), int(end)))
    return found
