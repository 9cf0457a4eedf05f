"""What a table is expected to answer, and between what: from tables of earlier moments, and from the head one by one.

    Built … ─▶ covered ────────────────────┐
    Built … ─▶ features of the others ─────┼─▶ drawn futures ─▶ the middle one, and the range of nine in ten
    Head ────▶ features of the head, drawn ┘

What a table of K entities will cover is forecast as leave-one-out × what earlier tables covered ÷ what leaving one out
had said of those (where they covered more, that is added instead). The first is Good and Turing's estimate for requests
that come as those before (`left_one_out`); the quotient, of each age of a table and then their mean, is what drift and
new entities leave of it. A table counts by its requests and the square of those before it: late ones count more. Where
entities become more, "K" of an earlier table may mean as many as K, or as many as K is among those of then (log K in
the proportion of log entities): that is taken which forecast the later of the earlier tables better from those before
them. Of what is covered the share with equal features is drawn for the head (`heads`); for the others it is that of
earlier tables of the same ages. Ages count by the requests that come at that time of the day. What does not belong
here: what that costs (`forecast`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ninetyfive.design.heads import held, weights
from ninetyfive.design.hits import Built, Hits, Horizon, Shares

FUTURES = 100
LOW, HIGH = 0.05, 0.95
"""A range holds nine of ten futures."""
_POINTS, _FLOOR = 0.02, 0.005
_BETTER = 0.85
"""How much less wrong the scaled K has to have been, to be taken."""
_BEFORE, _BEFORE_OFTEN = 0.7, 0.82


class Expected(NamedTuple):
    """What a table is expected to do with requests: the shares whose entity it holds, and whose features it holds.

    `covered_range` and `equal_range`: nine of ten futures lie in them.
    """

    covered: float
    equal: float
    covered_range: tuple[float, float] = (0.0, 1.0)
    equal_range: tuple[float, float] = (0.0, 1.0)


class Forecast(NamedTuple):
    """The same for each K; ranges are low and high × K."""

    covered: Shares
    equal: Shares
    covered_range: Shares
    equal_range: Shares

    def at(self, place: int) -> Expected:
        """What is expected of the K at this place."""
        return Expected(
            float(self.covered[place]),
            float(self.equal[place]),
            (float(self.covered_range[0][place]), float(self.covered_range[1][place])),
            (float(self.equal_range[0][place]), float(self.equal_range[1][place])),
        )


class _State(NamedTuple):
    """What is known when a table is built: what leaving one out says for each K, and how many entities there are."""

    again: Shares
    entities: int


def expected(hits: Hits, k: int, refresh: float | None = None) -> Expected:
    """What a table of `k` entities does, built again every `refresh` seconds; None: built once, at the end of *choose*.

    Shares are of all requests, those without an entity too. A K between two of the grid is interpolated.
    """
    if not hits.k:
        return Expected(0.0, 0.0, (0.0, 0.0), (0.0, 0.0))
    return told_of(forecast(hits, refresh), hits, k)


def told_of(told: Forecast, hits: Hits, k: int) -> Expected:
    """What is told of a table of `k` entities."""
    at = np.asarray(hits.k, dtype=np.float64)
    shares = (told.covered, told.equal, *told.covered_range, *told.equal_range)
    covered, equal, *borders = (float(np.interp(k, at, one)) for one in shares)
    return Expected(covered, equal, (borders[0], borders[1]), (borders[2], borders[3]))


def horizon(hits: Hits, refresh: float | None) -> Horizon:
    """The tables that were asked for as long as a refresh; for longer than the last window lasts: for a window."""
    fitting = [one for one in hits.horizons if one.seconds is not None and refresh is not None]
    nearest = min(fitting, key=lambda one: abs(math.log((one.seconds or 1) / (refresh or 1))), default=None)
    whole = next(one for one in hits.horizons if one.seconds is None)
    if nearest is None or refresh is None or refresh >= hits.lasts:
        return whole
    return nearest


def forecast(hits: Hits, refresh: float | None) -> Forecast:
    """The shares of requests that a table will cover, and cover with equal features, for each K of the grid."""
    asked = horizon(hits, refresh)
    if not asked.built or not hits.k:
        known = hits.again * hits.named
        none = np.zeros_like(known)
        return Forecast(known, known, np.array([none, none + hits.named]), np.array([none, none + hits.named]))
    now = _State(hits.again, hits.k[-1])
    entities = now.entities if asked.seconds is None else _grown(hits)
    fixed, scaled = (_backtest(hits, asked, way) for way in (False, True))
    seen = _projected(hits, asked.built, now, entities, scaled=scaled < _BETTER * fixed)
    # What entities there are at all is known best: a table of fewer covers no more.
    covered = np.minimum(seen.covered, seen.covered[-1])
    window = hits.lasts if asked.seconds is None or refresh is None else refresh
    known = _known(hits)
    per_future, alike = _drawn(
        hits, covered * hits.named, seen.light, known, None if asked.seconds is None else refresh
    )
    luck = _luck(hits, asked, seen, known, window)
    covers = np.median(per_future, axis=0)
    likely = np.minimum(_likeliest(alike), covers)
    within, equal_within = (np.quantile(one * luck, [LOW, HIGH], axis=0) for one in (per_future, alike))
    return Forecast(_rising(covers), _rising(likely), _wider(within), _wider(equal_within))


def _wider(within: Shares) -> Shares:
    """A range, and half a point to both sides, by which what is like the past is still off."""
    return np.array([_rising(within[0] - _FLOOR), _rising(within[1] + _FLOOR)])


def _rising(shares: Shares) -> Shares:
    found: Shares = np.maximum.accumulate(np.clip(shares, 0.0, 1.0))
    return found


def _known(hits: Hits) -> Shares:
    """How far what a table of each K covers is told by the shares of its head: 1 within it, then ever less, to 0."""
    size, k = len(hits.head), np.asarray(hits.k, dtype=np.float64)
    if hits.moves or k[-1] <= size or k[0] > size:
        return np.zeros(len(k))
    largest = k[k <= size][-1]
    found: Shares = np.clip(1.0 - np.log(k / largest) / math.log(k[-1] / largest), 0.0, 1.0)
    return found


def _luck(hits: Hits, asked: Horizon, seen: _Projected, known: Shares, window: float) -> Shares:
    """By which factor a future may cover more or less than forecast (future × K): as earlier tables did.

    The less, the more is `known` of what becomes of its entities.

    Tables that were built again after a short time differ more from each other than the mean of as many as are built
    in the last window.
    """
    chance = np.random.default_rng(1)
    off = seen.off
    count = len(off)
    late = np.array([float(one.requests.sum()) * one.begin**2 for one in asked.built])
    spread = np.sqrt(late @ off**2 / late.sum() * count / (count - 1)) if count > 1 else np.zeros(len(hits.k))
    if asked.seconds is not None:
        spread = spread / math.sqrt(max(1.0, hits.lasts / window))
    spread = spread * (1.0 - known)
    drawn = chance.standard_t(max(2, count - 1), size=(FUTURES, 1)) * math.sqrt(1 + 1 / max(1, count))
    share = np.clip(seen.covered, 1e-9, 1 - 1e-9)
    binomial = np.sqrt((1 - share) / share / max(1, hits.requests / 2)) * chance.normal(size=(FUTURES, 1))
    found: Shares = np.clip(1.0 + spread * np.clip(drawn, -4, 4) + binomial, 0.0, 1.0 / share)
    return found


def _drawn(hits: Hits, covered: Shares, light: Shares, known: Shares, refresh: float | None) -> tuple[Shares, Shares]:
    """What futures cover, and cover with equal features (future × K), by what becomes of the head.

    `covered` is what earlier tables say. Where all K stand in the head, their shares of late say it better, less what
    leaving one out takes from what a table was chosen by; for more entities that counts the less the more they are.
    """
    head, k = hits.head, np.asarray(hits.k, dtype=np.float64)
    asked, kept = held(head, hits.lasts, refresh, FUTURES)
    place = np.minimum(hits.k, len(head))
    inside = k <= len(head)

    def summed(part: Shares) -> Shares:
        found: Shares = np.cumsum(np.append(np.zeros((len(part), 1)), head.shares * part, axis=1), axis=1)[:, place]
        return found

    there, same = summed(asked) * hits.named, summed(kept) * hits.named
    if known.any():
        whole = np.cumsum(np.append(0.0, head.counts))[place] / hits.requests
        fair = np.divide(hits.again, whole, out=np.ones(len(k)), where=inside & (whole > 0))
        shift = np.median(there, axis=0) * np.minimum(fair, 1.0) - covered
        covered = covered + np.where(inside, shift, shift[inside][-1]) * known
    # Who is asked about instead is somebody of all that are known.
    gone = there - np.median(there, axis=0)
    per_future = np.clip(covered + gone * (1.0 - k / k[-1]), 0.0, 1.0)
    scale = np.divide(per_future, there, out=np.ones_like(there), where=there > 0)
    others = np.clip(per_future - there, 0.0, 1.0) * np.clip(light, 0.0, 1.0)
    alike = np.where(inside, same * scale, same + others)
    return per_future, np.minimum(alike, per_future)


def _likeliest(futures: Shares) -> Shares:
    """For each K the middle one of the futures in that range of two points to both sides which holds most of them."""
    found = []
    for one in np.sort(futures, axis=0).T:
        ends = np.searchsorted(one, one + 2 * _POINTS, side="right")
        start = int(np.argmax(ends - np.arange(len(one))))
        found.append(one[(start + ends[start] - 1) // 2])
    return np.array(found)


class _Projected(NamedTuple):
    """Of the ages of a table their mean (K): what is covered, and of the entities beyond the head, how much is equal.

    `off`: by how much of it each earlier table covered more (table × K).
    """

    covered: Shares
    light: Shares
    off: Shares
    ages: Shares


def _projected(hits: Hits, built: Sequence[Built], state: _State, entities: float, *, scaled: bool) -> _Projected:
    """What a table that is built when there are so many `entities` covers, and the share of it that is equal.

    It is made from tables that were `built` before, and the `state` that is known.
    """
    ages = max(len(one.requests) for one in built)
    sums = np.zeros((4, ages, len(hits.k)))
    total = np.zeros((ages, 1))
    off = []
    for one in built:
        seen, weight = len(one.requests), (one.requests * (one.begin / hits.requests) ** 2)[:, None]
        at = _sizes(hits, entities, one.entities, scaled)
        covered, equal, light = (_at(hits, shares, at) for shares in (one.covered, one.light_equal, one.light))
        again = _at(hits, one.again[None, :], at)
        total[:seen] += weight
        for place, shares in enumerate((covered, equal, light, again)):
            sums[place, :seen] += weight * shares
        off.append(_mean(covered, one.requests) / np.maximum(again[0], 1e-12))
    known = total[:, 0] > 0
    covered, equal, light, again = sums[:, known] / total[known]
    shares = weights(hits.head, hits.lasts, ages)[known] if len(known) else np.ones(0)
    now = _at(hits, state.again[None, :], _sizes(hits, entities, state.entities, scaled))
    left = now * covered / np.maximum(again, 1e-12)
    each = np.clip(np.where(covered < again, left, now + covered - again), 0.0, 1.0)
    same = np.divide(_mean(equal, shares), _mean(light, shares), out=np.ones(len(hits.k)), where=light.sum(axis=0) > 0)
    ratios = np.array(off)
    mean = np.maximum(_mean(covered, shares) / np.maximum(_mean(again, shares), 1e-12), 1e-12)
    return _Projected(_mean(each, shares), same, ratios / mean - 1.0, each)


def _mean(shares: Shares, weight: Shares) -> Shares:
    total = weight.sum()
    found: Shares = weight @ shares / total if total else shares.mean(axis=0)
    return found


def _sizes(hits: Hits, entities: float, then: int, scaled: bool) -> Shares:
    """The logarithm of how many of the entities of then answer to each K among so many entities."""
    sizes: Shares = np.log(np.asarray(hits.k, dtype=np.float64))
    if not scaled or min(entities, then) < 2:
        return sizes
    scale = sizes * (math.log(then) / math.log(entities))
    scale[-1] = sizes[-1]  # of all entities as many as all of then
    return scale


def _at(hits: Hits, shares: Shares, sizes: Shares) -> Shares:
    """Shares of each K (age × K), interpolated at the logarithms of other sizes."""
    grid = np.log(np.asarray(hits.k, dtype=np.float64))
    return np.array([np.interp(sizes, grid, one) for one in shares])


def _grown(hits: Hits) -> float:
    """How many entities there will be in the middle of the last window, if they go on to come as they did."""
    whole = next(one for one in hits.horizons if one.seconds is None)
    if not whole.built:
        return float(hits.k[-1])
    early = min(whole.built, key=lambda one: abs(one.begin - hits.requests / 2))
    rate = (hits.k[-1] - early.entities) / max(1, hits.requests - early.begin)
    return hits.k[-1] + rate * hits.requests / 4


def _backtest(hits: Hits, asked: Horizon, scaled: bool) -> float:
    """How wrong it was to project later tables from those well before them: mean over requests and K, of `covered`."""
    wrong = total = 0.0
    for one in asked.built:
        before = _BEFORE if asked.seconds is None else _BEFORE_OFTEN
        earlier = [other for other in asked.built if other.begin <= before * one.begin]
        if not earlier:
            continue
        then = one if asked.seconds is None else earlier[-1]
        state = _State(then.again, then.entities)
        found = _projected(hits, earlier, state, one.entities, scaled=scaled).ages
        seen = min(len(found), len(one.requests))
        wrong += float(one.requests[:seen] @ np.abs(found[:seen] - one.covered[:seen]).mean(axis=1))
        total += float(one.requests[:seen].sum())
    return wrong / total if total else 0.0
