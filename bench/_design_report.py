"""The figures of a design, from what was measured of each system: each beside its bound, and as a page.

    results of systems and histories ─ figures ─▶ name, value, bound, held ─ page ─▶ Markdown

What does not belong here: measuring anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Result = dict[str, Any]
_ENOUGH = 2_500
EXCESS, POINTS, SHARE = 0.05, 0.02, 0.25
PAGE = """\
# How right a design is

Written by `python -m bench.design`, which makes up systems of which everything is known, lets the design choose from
the first two thirds of history and requests, and judges the choice on the last third, which it never saw. How systems
are made stands at the head of `bench/_design_systems.py`; what hindsight compares, in `bench/_design_judge.py`.

| | |
|---|---|
{about}

| figure | measured | bound | held |
|---|---|---|---|
{figures}

A design costs a month what its answers, tables, trainings and predictions that lose cost, at the prices of the
settings: that is what the owner of the system pays. The second line leaves out what the best model that there was for
each block loses too, and no policy can save: what is left of the best is near 0 then, so that one training more is a
large share of it. The best in hindsight is the cheapest of all that could have been chosen, and keeps the constraints
on the judged requests. The first training is counted too, which every policy needs. Loss is the expected one: the
true probability of each label is known; a policy that watches quality sees labels as they fell. A stationary history
counts as advised to retrain where it is, and where the watch that is advised would have made a training. A forecast
is of a table that is built once, before the judged requests, as it is replayed.

## What was chosen

{met}

## System by system

`train`: how often (`?`: only when a look that often finds a drop), and on how much data. `hit error`: of the forecast
of the hit rate, in points, the worst of what was replayed.

| system | drift | model | slope | entities | new | changes a day | train | best | serve | best | excess | hit error |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
{systems}
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its bound; `held` is None where nothing was measured, or nothing was promised."""

    name: str
    value: str
    bound: str
    held: bool | None


def figures(systems: Sequence[Result], histories: Sequence[Result]) -> list[Figure]:
    """Every figure that the issue of a design promises, and what explains it."""
    by_code = [one for result in systems for one in result["serving"]["replayed"] if one["by"] == "worker code"]
    kept = [result["recovered"] for result in (one["training"] for one in systems) if result["recovered"] is not None]
    quiet = [not one["retrains"] for one in histories]
    found = [
        _excess("excess cost of the design over the best in hindsight", systems, _whole),
        _excess("… without what the best model loses too", systems, lambda one: one, bound=False),
        _excess("… of the way to serve alone", systems, lambda one: one["serving"], bound=False),
        _excess("… of the way to serve, if builds read the log for nothing", systems, _unread, bound=False),
        _excess("… of the way to train alone", systems, lambda one: one["training"], bound=False),
        _broken(systems),
        Figure(
            "share of (never − oracle) that the chosen retraining recovers, median",
            f"{np.median(kept):.2f} of {len(kept)} systems in which the oracle saves a training" if kept else "–",
            "≥ 0.8",
            bool(np.median(kept) >= 0.8) if kept else None,
        ),
        Figure(
            "no retraining advised for stationary histories",
            f"{np.mean(quiet):.1%} of {len(quiet)}" if quiet else "–",
            "≥ 95 %",
            bool(np.mean(quiet) >= 0.95) if quiet else None,
        ),
        _within("hit rate forecast within 2 points", systems, _off, "worker code", POINTS),
        _within("CPU a request forecast within 25 %", systems, _cpu, "worker code", SHARE),
        _within("p50 forecast within 25 %", systems, _p50, "worker code", SHARE),
        _within("by the service: hit rate within 2 points", systems, _off, "service", POINTS, bound=False),
        _within("by the service: CPU within 25 %", systems, _cpu, "service", SHARE, bound=False),
        _within("by the service: p50 within 25 %", systems, _p50, "service", SHARE, bound=False),
    ]
    asked = sum(one["requests"] for one in by_code)
    return [*found, Figure("requests replayed by the worker's own code", f"{asked:,}", "", None)]


def _excess(name: str, systems: Sequence[Result], part: Callable[[Result], Result], *, bound: bool = True) -> Figure:
    if not systems:
        return Figure(name, "–", "≤ 5 % in ≥ 90 % of systems" if bound else "", None)
    told = [part(one)["excess"] for one in systems]
    good = np.mean([one is not None and one <= EXCESS for one in told])
    whole = [one for one in told if one is not None] or [np.nan]
    low, high = np.quantile(whole, [0.5, 0.9])
    value = f"≤ 5 % in {good:.1%} of {len(told)} systems; median {low:.1%}, in nine of ten ≤ {high:.1%}"
    return Figure(name, value, "≤ 5 % in ≥ 90 % of systems" if bound else "", bool(good >= 0.9) if bound else None)


def _whole(result: Result) -> Result:
    return {"excess": result["excess_of_whole_loss"]}


def _unread(result: Result) -> Result:
    return {"excess": result["serving"]["excess_unread"]}


def _broken(systems: Sequence[Result]) -> Figure:
    kinds = Counter(word for one in systems for word in one["serving"]["broken"])
    told = ", ".join(f"{word} {number}" for word, number in sorted(kinds.items())) or "none"
    return Figure("designs that break a constraint on the judged requests (counted as over 5 %)", told, "", None)


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
    worst = [_worst(one, error, by) for one in systems]
    known = [one for one in worst if one is not None]
    text = "in ≥ 90 % of systems" if bound else ""
    if not known:
        return Figure(name, "–", text, None)
    good = np.mean([one <= most for one in known])
    value = f"in {good:.1%} of {len(known)} systems; the worst of a system: median {np.median(known):.2%}"
    return Figure(name, f"{value}, most {max(known):.1%}", text, bool(good >= 0.9) if bound else None)


def _worst(result: Result, error: Callable[[Result], float | None], by: str) -> float | None:
    told = [error(one) for one in result["serving"]["replayed"] if one["by"] == by]
    known = [one for one in told if one is not None]
    return max(known, default=None)


def _off(one: Result) -> float | None:
    """The error of a hit rate; None of fewer requests than tell it to a point."""
    return None if one["requests"] < _ENOUGH else abs(one["hit"] - one["forecast_hit"])


def _cpu(one: Result) -> float | None:
    return None if one["cpu"] is None else abs(one["cpu"] / one["forecast_cpu"] - 1)


def _p50(one: Result) -> float | None:
    return None if one["p50"] is None else abs(one["p50"] / one["forecast_p50"] - 1)


def page(about: dict[str, str], found: Sequence[Figure], systems: Sequence[Result]) -> str:
    """The figures as a page of the documents."""
    return PAGE.format(
        about="\n".join(f"| {name} | {value} |" for name, value in about.items()),
        figures="\n".join(f"| {one.name} | {one.value} | {one.bound or '–'} | {_word(one.held)} |" for one in found),
        met="\n".join(_met(systems)),
        systems="\n".join(map(_row, systems)),
    )


def _word(held: bool | None) -> str:
    return {True: "yes", False: "**no**", None: "–"}[held]


def _met(systems: Sequence[Result]) -> Iterable[str]:
    """Chosen paradigms against the best."""
    yield "| best in hindsight → chosen | systems |"
    yield "|---|---|"
    pairs: Counter[tuple[str, str]] = Counter()
    for one in systems:
        train = [_kind(one["training"][name]) for name in ("best", "chosen")]
        pairs[f"{train[0]} → {train[1]}", "train"] += 1
        serve = [one["serving"][name]["paradigm"] for name in ("best", "chosen")]
        pairs[f"{serve[0]} → {serve[1]}", "serve"] += 1
    for (words, kind), number in sorted(pairs.items(), key=lambda pair: (pair[0][1] == "serve", pair[0][0])):
        yield f"| {kind}: {words} | {number} |"


def _kind(training: Result) -> str:
    return "again" if training["every"] else "watched" if training["watch"] else "never"


def _row(result: Result) -> str:
    setup, train, serve = result["setup"], result["training"], result["serving"]
    error = _worst(result, _off, "worker code")
    cells = (
        result["number"],
        setup["drift"],
        setup["model"] + ", dear" * (setup["number"] % 3 == 0),
        f"{setup['slope']:.2f}",
        f"{serve['workload']['entities']:,}",
        f"{setup['new']:.0%}",
        f"{setup['changing']:g}",
        _policy(train["chosen"]),
        _policy(train["best"]),
        _served(serve["chosen"]),
        _served(serve["best"]),
        "breaks " + ", ".join(serve["broken"]) if serve["broken"] else f"{result['excess_of_whole_loss']:.1%}",
        "–" if error is None else f"{100 * error:.1f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _policy(training: Result) -> str:
    when = training["every"] or (f"{training['watch']}?" if training["watch"] else "never")
    return f"{when} · {training['window'] or 'all'}"


def _served(way: Result) -> str:
    if way["k"] is None:
        return "dynamic"
    return f"{way['paradigm']} {way['k']:,}"


def plain(found: Sequence[Figure]) -> list[dict[str, Any]]:
    """The figures as JSON takes them."""
    return [asdict(one) for one in found]
