"""What a request log says of who is asked about: how many, how unevenly, how often again, how much that changes.

    Requests ─ occurrences ─┬─ counts ─▶ entropy, Zipf slope, Gini
                            ├─ firsts ─▶ growth, new entities         ─▶ Workload
                            ├─ times between ─▶ repeats, LRU curve
                            └─ a table as of a third, asked for a third ─▶ coverage, changes

The rule: a share says of which requests; a table is asked about requests later than those that chose it, and never
about the last window, on which a design is judged. What does not belong here: what follows from it (`forecast`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from ninetyfive.design.evidence import CacheSize, Change, Coverage, Growth, Window, Workload
from ninetyfive.design.heads import MICROS
from ninetyfive.design.hits import built, head_kept, sizes
from ninetyfive.design.occurrences import Occurrences
from ninetyfive.design.requests import Requests
from ninetyfive.design.stack import lru_hits
from ninetyfive.durations import duration_text

FEW = 3_000
"""Fewer requests than so many tell little: a share of a third of them is not known to 2 points."""
QUANTILES = {"p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99}
AGES = (60, 300, 900, 3_600, 4 * 3_600, 12 * 3_600, 86_400, 3 * 86_400, 7 * 86_400, 30 * 86_400, 90 * 86_400)
_GROWTH, _RANKS_A_BIN, _LEAST_COUNT, _LEAST_BINS = 24, 1.5, 5.0, 3
_GAP_SECONDS, _GAP_SHARE = 600.0, 0.05
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def workload(requests: Requests) -> Workload:
    """What the requests say; of no requests every number is 0, and `noticed` says so."""
    known = requests.occurrences
    times = requests.time if not len(requests.nameless) else np.sort(np.concatenate([requests.time, requests.nameless]))
    seconds = float(times[-1] - times[0]) / MICROS if len(times) else 0.0
    rate = len(times) / seconds if seconds else 0.0
    peak = max(rate, _busiest(times) / 60)
    cuts = known.cuts
    first = known.before < 0
    entropy, (slope, fit) = _entropy(known.counts), zipf(known.counts)
    between, repeated = _repeats(known)
    again = np.flatnonzero(~first)
    same, alike = known.equal(again, known.before[again])
    compared = same if alike is None else same[alike]
    caches = sizes(known.entities)
    return Workload(
        requests=len(times),
        entities=known.entities,
        nameless=len(requests.nameless),
        first=moment_text(times[0]) if len(times) else "",
        last=moment_text(times[-1]) if len(times) else "",
        days=seconds / 86_400,
        rate=rate,
        peak_rate=peak,
        peak_to_mean=peak / rate if rate else 1.0,
        growth=_growth(known),
        new_entity_rate=float(first[cuts[1] :].mean()) if cuts[1] < len(known) else 0.0,
        entropy=entropy,
        peakedness=1.0 - entropy,
        zipf_slope=slope,
        zipf_fit=fit,
        gini=gini(known.counts),
        coverage=_coverage(known),
        repeats=between,
        repeated=repeated,
        lru=tuple(CacheSize(size, hit) for size, hit in zip(caches, lru_hits(known, caches), strict=True)),
        change_rate=float(1.0 - compared.mean()) if len(compared) else 0.0,
        changes=changes(known, AGES),
        windows=windows(known),
        head_kept=head_kept(known),
        noticed=(*requests.noticed, *_odd(requests, times, seconds)),
        left_out=requests.left_out,
    )


def windows(known: Occurrences) -> tuple[Window, Window, Window]:
    """The thirds of the requests by time: to fit, to choose, to judge. A moment is never cut apart."""
    borders = (0, *known.cuts, len(known))
    first, second, third = (
        Window(moment_text(known.time[one]), moment_text(known.time[other - 1]), other - one)
        if other > one
        else Window("", "", 0)
        for one, other in pairwise(borders)
    )
    return first, second, third


def moment_text(micros: int) -> str:
    """A moment in µs as ISO 8601 in UTC.

    >>> moment_text(1_700_000_000_000_000)
    '2023-11-14T22:13:20+00:00'
    """
    return (_EPOCH + timedelta(microseconds=int(micros))).isoformat()


def zipf(counts: np.ndarray) -> tuple[float | None, float | None]:
    """The Zipf exponent (0: all equal) and the R² of its fit; None where there are too few ranks.

    The mean count of logarithmic bins of ranks, each half as long again as the one before, is fitted by least squares
    on log rank; bins with a mean below 5 are left out, as chance makes them. Source: S. Milojević: Power Law
    Distributions in Information Science: Making the Case for Logarithmic Binning, JASIST 61(12), 2010.

    >>> import numpy as np
    >>> slope, fit = zipf((1e6 / np.arange(1, 1001)).astype(int))
    >>> round(slope, 2), round(fit, 2)
    (1.0, 1.0)
    """
    ordered = np.sort(counts)[::-1].astype(np.float64)
    borders = [0]
    while borders[-1] < len(ordered):
        borders.append(min(len(ordered), max(borders[-1] + 1, int(borders[-1] * _RANKS_A_BIN))))
    if len(borders) < 2:
        return None, None
    lengths = np.diff(borders)
    means = np.add.reduceat(ordered, borders[:-1]) / lengths
    ranks = np.add.reduceat(np.log(np.arange(1, len(ordered) + 1)), borders[:-1]) / lengths
    enough = means >= _LEAST_COUNT
    if enough.sum() < _LEAST_BINS:
        return None, None
    x, y = ranks[enough], np.log(means[enough])
    slope, start = np.polyfit(x, y, 1)
    spread = float(((y - y.mean()) ** 2).sum())
    left = float(((y - slope * x - start) ** 2).sum())
    return max(0.0, float(-slope)), (1.0 - left / spread if spread > 0 else 1.0)


def gini(counts: np.ndarray) -> float:
    """How unequal the counts are: 0 where all are equal, near 1 where one has all.

    >>> import numpy as np
    >>> gini(np.array([5, 5])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    size, total = len(counts), float(counts.sum())
    if not total:
        return 0.0
    ordered = np.sort(counts).astype(np.float64)
    found = 2.0 * float(ordered @ np.arange(1, size + 1)) / (size * total) - (size + 1) / size
    return max(0.0, found)


def changes(known: Occurrences, ages: Sequence[int]) -> tuple[Change, ...]:
    """Of requests about entities of a table, by its age up to each of `ages`, how many have other features by then.

    The tables are those of a third and of a half of the requests, of every entity known then.
    """
    last = known.cuts[1]
    asked = np.zeros(len(ages))
    other = np.zeros(len(ages))
    for begin in sorted({known.moment(last // 2), known.moment(3 * last // 4)}):
        if not 0 < begin < last:
            continue
        latest = np.full(known.entities, -1, dtype=np.int64)
        latest[known.code[:begin]] = np.arange(begin)
        held = np.flatnonzero(latest[known.code[begin:last]] >= 0) + begin
        same, alike = known.equal(held, latest[known.code[held]])
        if alike is not None:
            held, same = held[alike], same[alike]
        place = np.searchsorted(np.asarray(ages) * MICROS, known.time[held] - known.time[begin], side="left")
        asked += np.bincount(place, minlength=len(ages) + 1)[: len(ages)]
        other += np.bincount(place[~same], minlength=len(ages) + 1)[: len(ages)]
    return tuple(
        Change(float(age), float(one / all_of)) for age, one, all_of in zip(ages, other, asked, strict=True) if all_of
    )


def _coverage(known: Occurrences) -> tuple[Coverage, ...]:
    """What tables of the first third answered of the second."""
    begin, end = known.cuts
    if not 0 < begin < end:
        return ()
    k = sizes(int(np.count_nonzero(np.bincount(known.code[:begin]))))
    (found,) = built(known, [(begin, end)], k)
    return tuple(
        Coverage(k=one, covered=float(covered), hit=float(equal))
        for one, covered, equal in zip(k, found.covered[0], found.equal[0], strict=True)
    )


def _growth(known: Occurrences) -> tuple[Growth, ...]:
    even = np.linspace(len(known) / _GROWTH, len(known), _GROWTH).astype(np.int64).tolist()
    places = np.unique([known.moment(place) for place in even])
    places = places[places > 0]
    seen = np.cumsum(known.before < 0, dtype=np.int64)[places - 1]
    return tuple(Growth(int(place), int(entities)) for place, entities in zip(places, seen, strict=True))


def _entropy(counts: np.ndarray) -> float:
    """Shannon's, over that of equal shares; 0 where there is one entity, or none."""
    if len(counts) < 2:
        return 0.0
    shares = counts / counts.sum()
    return float(min(1.0, -(shares * np.log(shares)).sum() / np.log(len(counts))))


def _repeats(known: Occurrences) -> tuple[dict[str, float], float]:
    """Quantiles of the seconds between two requests about an entity, and the share of requests that are repeats."""
    again = known.before >= 0
    if not again.any():
        return {}, 0.0
    between = (known.time[again] - known.time[known.before[again]]) / MICROS
    found = np.quantile(between, list(QUANTILES.values()))
    return dict(zip(QUANTILES, found.tolist(), strict=True)), float(again.mean())


def _busiest(times: np.ndarray) -> int:
    """The requests of the busiest minute of the clock."""
    if not len(times):
        return 0
    minutes = times // (60 * MICROS)
    starts = np.flatnonzero(np.concatenate([[True], minutes[1:] != minutes[:-1]]))
    return int(np.diff(np.append(starts, len(minutes))).max())


def _odd(requests: Requests, times: np.ndarray, seconds: float) -> tuple[str, ...]:
    """What limits what can be concluded."""
    known = requests.occurrences
    if not len(times):
        return ("there are no requests: nothing can be concluded",)
    told = []
    if len(times) < FEW:
        told.append(f"{len(times):,} requests are few: shares of them are known to some points only")
    if not seconds:
        told.append("all requests came in one moment: neither a rate nor a later window is known")
    if not len(known):
        told.append("no request has an entity: a table could answer none")
    elif known.entities == 1:
        told.append("all requests are about one entity")
    elif known.entities == len(known):
        told.append("no entity was asked about twice: a table could answer none")
    if 0 < seconds < 3 * 86_400:
        lasts, a_third = duration_text(seconds), duration_text(seconds / 3)
        told.append(f"the log lasts {lasts}: nothing is known of tables that are older than {a_third}")
    return (*told, *_gaps(times, seconds))


def _gaps(times: np.ndarray, seconds: float) -> list[str]:
    """Pauses of at least ten minutes and 5 % of the time: rates are means over them, too."""
    if len(times) < 2:
        return []
    between = np.diff(times)
    found = np.flatnonzero(between >= max(_GAP_SECONDS, _GAP_SHARE * seconds) * MICROS)
    told = [
        f"no request for {duration_text(float(between[one]) / MICROS)} after {moment_text(times[one])}: "
        "a pause, a lost log or a clock that was set; the rate is the mean over it"
        for one in found[:3].tolist()
    ]
    return [*told, *([f"{len(found) - 3} more such pauses"] * (len(found) > 3))]
