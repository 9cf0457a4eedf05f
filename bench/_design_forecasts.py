"""The figures of forecasts: how far off they were, how far off the best forecast would be, and whether ranges hold.

    replays of a system ─ the worst of its ways to serve ─▶ within a bound? inside the range that was stated?

What does not belong here: excess costs (`_design_report`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Result = dict[str, Any]
_ENOUGH = 2_500
POINTS, SHARE, CODE, SERVICE = 0.02, 0.25, "worker code", "service"
_HALF = 0.0005
"""A range is stated to a tenth of a percent."""
_BOUND = "in ≥ 90 % of systems"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its bound; `held` is None where nothing was measured, or nothing was promised."""

    name: str
    value: str
    bound: str
    held: bool | None


def forecasts(systems: Sequence[Result]) -> Iterator[Figure]:
    """Every figure of forecasts of hits, CPU and p50."""
    narrow = [one for one in systems if 0 <= (width_of(one) or -1.0) <= 2 * POINTS]
    yield _within("hit rate forecast within 2 points", systems, off, CODE, POINTS)
    yield _attainable(systems)
    yield _within("… of systems whose range is no wider than ± 2 points", narrow, off, CODE, POINTS, bound=False)
    yield _inside("replayed hit rate inside the range that was stated", systems, "hit")
    for name, what in (("CPU a request", "cpu"), ("p50", "p50")):
        yield _within(f"{name} forecast within 25 %", systems, _share(what), CODE, SHARE)
        told = f"… of {name}, had the hit rate been known"
        yield _within(told, systems, _share(what, f"{what}_at_hit"), CODE, SHARE, bound=False)
        yield _inside(f"replayed {name} inside the range that was stated", systems, what)
    yield _within("by the service: hit rate within 2 points", systems, off, SERVICE, POINTS, bound=False)
    for name, what in (("CPU", "cpu"), ("p50", "p50")):
        yield _within(f"by the service: {name} within 25 %", systems, _share(what), SERVICE, SHARE, bound=False)
        told = f"… of {name}, had the hit rate been known"
        yield _within(told, systems, _share(what, f"{what}_at_hit"), SERVICE, SHARE, bound=False)


def worst(result: Result, error: Callable[[Result], float | None], by: str) -> float | None:
    """The greatest error of the ways of a system; None where there is none."""
    told = [error(one) for one in result["serving"]["replayed"] if one["by"] == by]
    known = [one for one in told if one is not None]
    return max(known, default=None)


def off(one: Result) -> float | None:
    """The error of a hit rate; None of fewer requests than tell it to a point."""
    return None if one["requests"] < _ENOUGH else abs(one["hit"] - one["forecast_hit"])


def width_of(result: Result) -> float | None:
    """How wide the widest range of a hit rate is."""
    return worst(result, lambda one: one["forecast_hit_range"][1] - one["forecast_hit_range"][0], CODE)


def _share(what: str, forecast: str = "") -> Callable[[Result], float | None]:
    """The error of CPU or p50 as a share of the forecast."""
    name = forecast or f"forecast_{what}"
    return lambda one: None if one[what] is None else abs(one[what] / one[name] - 1)


def _within(
    name: str,
    systems: Sequence[Result],
    error: Callable[[Result], float | None],
    by: str,
    most: float,
    *,
    bound: bool = True,
) -> Figure:
    """In how many systems every replayed way to serve is within a bound of its forecast."""
    known = [one for one in (worst(one, error, by) for one in systems) if one is not None]
    if not known:
        return Figure(name, "–", _BOUND if bound else "", None)
    good = np.mean([one <= most for one in known])
    value = f"in {good:.1%} of {len(known)} systems; the worst of a system: median {np.median(known):.2%}"
    return Figure(
        name, f"{value}, most {max(known):.1%}", _BOUND if bound else "", bool(good >= 0.9) if bound else None
    )


def _attainable(systems: Sequence[Result]) -> Figure:
    name = "… attainable by one who knows how requests are made, but not chance"
    known = [one["serving"]["attainable"] for one in systems]
    return Figure(name, f"in {np.mean(known):.1%} of {len(known)} systems" if known else "–", "", None)


def _inside(name: str, systems: Sequence[Result], what: str) -> Figure:
    """In how many systems every replayed way to serve gave what lies in its range, and how wide ranges are."""
    good, widths = [], []
    for result in systems:
        each = [one for one in result["serving"]["replayed"] if one["by"] == CODE and one[what] is not None]
        each = [one for one in each if what != "hit" or one["requests"] >= _ENOUGH]
        if not each:
            continue
        ranges = [one[f"forecast_{what}_range"] for one in each]
        more = _HALF if what == "hit" else 0.0
        found = zip(each, ranges, strict=True)
        good.append(all(low - more <= one[what] <= high + more for one, (low, high) in found))
        scale = [1.0 if what == "hit" else one[f"forecast_{what}"] for one in each]
        widths.append(max((high - low) / by for (low, high), by in zip(ranges, scale, strict=True)))
    if not good:
        return Figure(name, "–", _BOUND, None)
    share, (middle, wide) = np.mean(good), np.quantile(widths, [0.5, 0.9])
    told = f"in {share:.1%} of {len(good)} systems; the widest of a system"
    return Figure(name, f"{told}: median {middle:.1%}, in nine of ten ≤ {wide:.1%}", _BOUND, bool(share >= 0.9))
