"""The figures of a design, from what was measured of each system: each beside its bound, and as a page.

    results of systems and histories ─ figures ─▶ name, value, bound, held ─ page ─▶ Markdown

What does not belong here: measuring anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from bench._design_forecasts import CODE, Figure, forecasts, off, width_of, worst

Result = dict[str, Any]
EXCESS = 0.05
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

A few heavy entities decide many hit rates: whether features of one change tomorrow, or another takes its rank, no past
tells. So each forecast states the range of nine in ten futures; and what is *attainable* is measured on 40 other
futures of the same past, drawn by the generator: how often the best point for one half of them is within 2 points in
the other half, for every way that was replayed.

## What was chosen

{met}

## System by system

`train`: how often (`?`: only when a look that often finds a drop), and on how much data. `a day`: how often features
change. `off`: by how many points the hit rate was another than forecast, the worst of what was replayed; `range`: how
wide the widest is that was stated for it; `near`: how often somebody who knows how requests are made, but not chance,
forecasts within 2 points.

| system | drift | model | slope | entities | new | a day | train | best | serve | best | excess | off | range | near |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
{systems}
"""


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
        *forecasts(systems),
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
    error, width = worst(result, off, CODE), width_of(result)
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
        "–" if width is None else f"{100 * width:.1f}",
        f"{serve['attainable']:.0%}",
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
