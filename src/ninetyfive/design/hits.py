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

from ninetyfive.design.heads import MICROS, Head, head_of
from ninetyfive.design.occurrences import Occurrences
from ninetyfive.design.requests import Requests

Shares = np.ndarray[Any, np.dtype[np.float64]]
HEAD_KEPT = 0.5
"""A head of which less is left a day later moves."""
_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
_BUILDS, _OVERLAPPING, _FIRST, _PARTS, _AGES, _WITHOUT_AGES = 24, 12, 3, 12, 24, 6
_DAY, _HEADS, _LEAST_HEAD = 86_400 * MICROS, 10, 0.05


@dataclass(frozen=True)
class Built:
    """A table built at place `begin` and asked later: for each age of it and each K, as shares of these requests.

    `requests` of each age. `again`: what it would cover if requests came as those before it did (leave one out), for
    each K; `entities` were known then. `light`: of the requests those about covered entities beyond the head of
    now; `light_equal`: of which the features are equal, too.
    """

    begin: int
    entities: int
    again: Shares
    requests: Shares
    covered: Shares
    equal: Shares
    light: Shares
    light_equal: Shares


@dataclass(frozen=True)
class Horizon:
    """Tables that were asked for `seconds` each after they were built (None: for as long as the last window lasts)."""

    seconds: float | None
    built: tuple[Built, ...]


@dataclass(frozen=True)
class Hits:
    """What is known of tables from all but the last window, for each K of `k` (ascending; the last: every entity).

    `requests` that came before the last window; `again` as in `Built`, at its begin. `named`: the share of all
    requests that have an entity. `lasts`: seconds of the last window. `refreshes`: periods after which a table may be
    built again, in seconds.
    """

    k: tuple[int, ...]
    requests: int
    again: Shares
    named: float
    lasts: float
    refreshes: tuple[float, ...]
    horizons: tuple[Horizon, ...]
    head: Head
    moves: bool


def sizes(entities: int) -> tuple[int, ...]:
    """Six sizes a decade up to `entities`, which is the last one.

    >>> sizes(12)
    (1, 2, 3, 5, 7, 10, 12)
    """
    decades = (int(step * 10**decade) for decade in range(10) for step in _STEPS)
    return tuple(sorted({size for size in decades if size < entities} | ({entities} if entities else set())))


_ROUND = (86_400, 3_600, 60)
"""A period is a whole number of the largest of these units that it holds."""


def refreshes(staleness: float, lasts: float) -> tuple[float, ...]:
    """The periods after which a table may be built again, in seconds: the longest that is allowed, and its halves.

    None is longer than the last window `lasts`: nobody saw what an older table answers.

    >>> refreshes(86_400.0, 200_000.0), refreshes(86_400.0, 7_300.0)
    ((86400.0, 43200.0, 21600.0, 10800.0), (7200.0, 3600.0, 1800.0, 900.0))
    """
    longest = min(staleness, float(int(lasts)))
    longest -= longest % next((unit for unit in _ROUND if unit <= longest), 1)
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
    kept = head_kept(known)
    moves = kept is not None and kept < HEAD_KEPT
    asked: dict[float | None, list[tuple[int, ...]]] = {None: _whole(known, last, lasts, daily=moves)}
    asked |= {one: _often(known, last, one, apart=moves) for one in periods if one < min(lasts, spanned / 2)}
    counted = np.bincount(known.code[:last], minlength=known.entities)
    k = sizes(int(np.count_nonzero(counted)))
    head, heavy = head_of(known, last, counted)
    light = np.ones(known.entities, dtype=bool)
    light[heavy] = False
    borders = sorted({one for several in asked.values() for one in several})
    found = dict(zip(borders, built(known, borders, k, light), strict=True))
    horizons = tuple(Horizon(one, tuple(found[each] for each in several)) for one, several in asked.items())
    return Hits(k, last, left_one_out(counted, k), named, lasts, periods, horizons, head, moves)


def built(
    known: Occurrences, borders: Sequence[tuple[int, ...]], k: Sequence[int], light: np.ndarray | None = None
) -> Iterator[Built]:
    """The tables of these borders, which ascend: a place at which each is built, and those at which its ages end.

    `light`: of each entity, whether it is none of the head (None: none is).
    """
    counts = np.zeros(known.entities, dtype=np.int64)
    latest = np.full(known.entities, -1, dtype=np.int64)
    done, again, entities = 0, np.zeros(len(k)), 0
    for begin, *ends in borders:
        if begin > done:
            counts += np.bincount(known.code[done:begin], minlength=known.entities)
            latest[known.code[done:begin]] = np.arange(done, begin)
            again, entities, done = left_one_out(counts, k), int(np.count_nonzero(counts)), begin
        requests = np.diff([begin, *ends]).astype(np.float64)
        yield Built(begin, entities, again, requests, *_answered(known, counts, latest, (begin, *ends), k, light))


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


def head_kept(known: Occurrences) -> float | None:
    """How much of what makes a head one is left a day later: 1 all of it, 0 nothing; None: no head, or no later.

    The head of a window is the entities that have half of its requests. Beyond an even share they have so much of them
    by leaving one out, and so much of a window that begins a day later. Windows are days, or a sixth of what came
    before the last third, where that is less; a day is at most half of that.
    """
    last = known.cuts[1]
    if not 0 < last < len(known):
        return None
    stop = int(known.time[last])
    spanned = stop - int(known.time[0])
    length, later = min(_DAY, spanned // 6), min(_DAY, spanned // 2)
    had = kept = pairs = 0.0
    for number in range(min(_HEADS, (spanned - later) // length) if length else 0):
        start = stop - later - (number + 1) * length
        begin, end, next_begin, next_end = np.searchsorted(
            known.time, [start, start + length, start + later, start + later + length]
        ).tolist()
        if begin == end or next_begin == next_end:
            continue
        counts = np.bincount(known.code[begin:end], minlength=known.entities)
        held = np.sort(counts)[::-1].cumsum()
        k = int(np.searchsorted(held, held[-1] / 2)) + 1
        even = k / int(np.count_nonzero(counts))
        covered = _answered(known, counts, np.zeros(known.entities, np.int64), (next_begin, next_end), (k,), None)[0]
        had += float(left_one_out(counts, (k,))[0]) - even
        kept += float(covered[0, 0]) - even
        pairs += 1
    if had <= _LEAST_HEAD * pairs:
        return None
    return float(min(1.0, max(0.0, kept / had)))


def _answered(
    known: Occurrences,
    counts: np.ndarray,
    latest: np.ndarray,
    borders: tuple[int, ...],
    k: Sequence[int],
    light: np.ndarray | None,
) -> tuple[Shares, Shares, Shares, Shares]:
    """Shares of requests (age × K) whose entity the table holds, and of these whose features it holds, too.

    Then both of `light` entities alone (None: of all).
    """
    many = np.bincount(counts, minlength=1)
    many[0] = 0
    levels = np.flatnonzero(many)
    ages = len(borders) - 1
    if not len(levels) or not len(k):
        none = np.zeros((ages, len(k)))
        return none, none, none, none
    numbers = np.cumsum(many > 0) - 1
    asked = known.code[borders[0] : borders[-1]]
    level = counts[asked]
    held = np.flatnonzero(level)
    same, alike = known.equal(held + borders[0], latest[asked[held]])
    age = np.searchsorted(np.asarray(borders[1:]) - borders[0], held, side="right")
    cell = age * len(levels) + numbers[level[held]]
    requests = np.maximum(np.diff(borders), 1)[:, None]

    def top(chosen: np.ndarray | slice) -> Shares:
        amounts = np.bincount(cell[chosen], minlength=ages * len(levels)).reshape(ages, len(levels))
        return _top(amounts, many[levels], k) / requests

    def equal(covered: Shares, of: np.ndarray | None) -> Shares:
        if alike is None:
            return top(same if of is None else same & of)
        compared = top(alike if of is None else alike & of)
        both = top(same & alike if of is None else same & alike & of)
        return covered * np.divide(both, compared, out=np.zeros_like(compared), where=compared > 0)

    covered = top(slice(None))
    if light is None:
        every = equal(covered, None)
        return covered, every, covered, every
    beyond = light[asked[held]]
    others = top(beyond)
    return covered, equal(covered, None), others, equal(others, beyond)


def _top(amounts: np.ndarray, many: np.ndarray, k: Sequence[int]) -> Shares:
    """The amounts (age × level) that belong to the top K, by levels of counts; of a level that is cut, its share."""
    entities = np.concatenate([[0], np.cumsum(many[::-1])])
    reached = np.concatenate([np.zeros((len(amounts), 1)), np.cumsum(amounts[:, ::-1], axis=1)], axis=1)
    at = np.minimum(np.asarray(k, dtype=np.float64), entities[-1])
    place = np.clip(np.searchsorted(entities, at, side="left"), 1, len(entities) - 1)
    part = (at - entities[place - 1]) / (entities[place] - entities[place - 1])
    held: Shares = reached[:, place - 1] + part * (reached[:, place] - reached[:, place - 1])
    return held


def _whole(known: Occurrences, last: int, lasts: float, *, daily: bool) -> list[tuple[int, ...]]:
    """Tables that were asked for as long as the last window lasts, or for as long as there is, by their age.

    Built at places spread evenly; `daily`: at the time of day at which the last window begins, if there are such.
    """
    places = [known.moment(last * part // _PARTS) for part in range(_FIRST, _PARTS)] if last else []
    if daily:
        days = int(known.time[last] - known.time[places[0]]) // _DAY
        moments = known.time[last] - _DAY * np.arange(min(days, _BUILDS), 0, -1)
        places = np.searchsorted(known.time, moments).tolist() or places
    found = []
    for begin in places:
        ages = known.time[begin] + (np.arange(1, _AGES + 1) * (lasts * MICROS / _AGES)).astype(np.int64)
        ends = np.searchsorted(known.time, ages, side="right")
        ends = ends[: int(np.searchsorted(ends, last, side="right"))]
        if begin > 0 and len(ends) and ends[0] > begin:
            found.append((begin, *ends.tolist()))
    # Of a last window that lasts longer than all before it (a clock that was set, a pause) no table was asked so long.
    return found or [(begin, last) for begin in places[:_WITHOUT_AGES] if 0 < begin < last]


def _often(known: Occurrences, last: int, seconds: float, *, apart: bool) -> list[tuple[int, ...]]:
    """Tables that were asked for so many seconds, spread over the last two thirds of what came before the last window.

    They overlap where that is short: a feature that seldom changes is seen at more ages of it. `apart`: they do not,
    and the last one ends where the last window begins, as the head moves at some time of the day.
    """
    stop, length = int(known.time[last]), int(seconds * MICROS)
    start = int(known.time[known.moment(last // 3)])
    room = max(0, stop - length - start)
    several = 1 + min(_BUILDS, max(_OVERLAPPING, room // length)) if room else 1
    moments = np.linspace(start if room else stop - length, stop - length, several).astype(np.int64)
    if apart:
        moments = stop - length * np.arange(1 + min(_BUILDS, room // length), 0, -1)
    found: list[tuple[int, ...]] = []
    for one in moments.tolist():
        begin, end = np.searchsorted(known.time, [one, one + length], side="left").tolist()
        if 0 < begin < end <= last:
            found.append((begin, end))
    return found
