"""How right the forecast of a table is, and what a choice costs beyond the best in hindsight, over synthetic logs.

    python -m bench.forecasts [--requests N] [--part P] [--seed S] [--json]

Zipf 0 to 2 × cardinality 10² to 10⁶ × new entities 0 to 50 % (that come back or not) × features that change, and heads
that move. Of each log the middle and the greatest K are forecast before the last third, for a table that is built once
and for one that is built again each day, and compared with real tables there. "Attainable": how often the mean of four
other futures of the same past would have been as near: what chance leaves. The choice is made from forecasts alone,
without a replay. Bounds, of logs whose entities keep their ranks: the hit rate within 2 points in 90 % of them, and a
cost within 5 % of the best in hindsight in 90 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from bench._request_logs import Log

from ninetyfive.design.evidence import Candidate, Constraints, Measured, ServingEvidence, Workload
from ninetyfive.design.expecting import Expected, expected
from ninetyfive.design.forecast import Costs, candidates
from ninetyfive.design.heads import MICROS
from ninetyfive.design.hits import Hits, built, table_hits
from ninetyfive.design.occurrences import Occurrences
from ninetyfive.design.serving import choose_serving
from ninetyfive.design.workload import workload
from ninetyfive.settings import PriceSettings

DAY = 86_400.0
POINTS, EXCESS, SHARE = 0.02, 0.05, 0.9
CONSTRAINTS = Constraints(latency=0.1, staleness=DAY, misses=0.01, changed=0.01, budget=None)
MEASURED = Measured(
    machine="assumed",
    cpu_model=400e-6,
    cpu_table=120e-6,
    cpu_miss=100e-6,
    p50_model=1e-3,
    p50_table=0.4e-3,
    p99_model=4e-3,
    p99_table=1e-3,
    cpu_row=20e-6,
    bytes_row=64.0,
    memory=100 << 20,
    noise=0.02,
)


def logs(requests: int, seed: int) -> Iterator[tuple[str, Log]]:
    """Every log, with the name of its kind."""
    number = seed
    for zipf in (0.0, 0.5, 1.0, 1.5, 2.0):
        for cardinality in (100, 1_000, 10_000, 100_000, 1_000_000):
            for new, once in ((0.0, True), (0.05, True), (0.5, True), (0.05, False), (0.5, False)):
                for changing in (0.0, 0.2, 5.0):
                    number += 1
                    kind = "renewed" if not once else "changing" if changing else "stays"
                    yield (
                        kind,
                        Log(requests, zipf, cardinality, new, once, changing=changing, seed=number),
                    )
    for zipf in (0.5, 1.0, 1.5):
        for cardinality in (1_000, 100_000):
            for head in ("daily", "new", 0.05, 0.2):
                number += 1
                yield "moves", Log(requests, zipf, cardinality, head=head, wave=0.5, seed=number)


def real(known: Occurrences, k: tuple[int, ...], refresh: float | None) -> tuple[np.ndarray, np.ndarray]:
    """What real tables cover of the last third, and cover with equal features, for each K."""
    last = known.cuts[1]
    borders = [(last, len(known))]
    if refresh is not None:
        moments = np.arange(float(known.time[last]), float(known.time[-1]) + 1, refresh * MICROS)
        places = [*np.searchsorted(known.time, moments).tolist(), len(known)]
        borders = [(one, other) for one, other in pairwise(places) if one < other]
    found = list(built(known, borders, k))
    asked = np.array([one.requests[0] for one in found])
    covered, equal = (np.array([getattr(one, name)[0] for one in found]) for name in ("covered", "equal"))
    return asked @ covered / asked.sum(), asked @ equal / asked.sum()


def hindsight(hits: Hits, known: Occurrences, found: tuple[Candidate, ...], log: Workload) -> list[Candidate]:
    """The candidates as the last third would have it, for each refresh."""
    shares = {one: real(known, hits.k, one) for one in hits.refreshes}
    made, costs = [found[0]], Costs(log, MEASURED, CONSTRAINTS, PriceSettings())
    for one in found[1:]:
        place = hits.k.index(one.k or 0)
        for refresh, (covered, equal) in shares.items():
            told = Expected(float(covered[place]), float(equal[place]))
            made.append(costs.candidate(one.paradigm, one.k, refresh, told))
    return made


def system(kind_and_log: tuple[str, Log], futures: int) -> dict[str, Any]:
    """The errors of one log: of the middle and the greatest K, and of what was chosen; and what the choice costs."""
    kind, log = kind_and_log
    requests = log.requests_of()
    known, hits, told = requests.occurrences, table_hits(requests, DAY), workload(requests)
    ks = (hits.k[len(hits.k) // 2], hits.k[-1])
    others = [replace(log, future=10_000 + number).requests_of().occurrences for number in range(futures)]
    errors: dict[str, list[float]] = {}
    for name, refresh in (("once", None), ("daily", DAY)):
        truth = real(known, ks, refresh)[1]
        errors[name] = [expected(hits, k, refresh).equal - float(one) for k, one in zip(ks, truth, strict=True)]
        other = [real(one, ks, refresh)[1] for one in others]
        errors[f"{name}, attainable"] = (np.mean(other, axis=0) - truth).tolist() if other else []
    found = candidates(told, hits, MEASURED, CONSTRAINTS, PriceSettings())
    choice = choose_serving(
        ServingEvidence(workload=told, measured=MEASURED, constraints=CONSTRAINTS, candidates=found), None, 0.1
    )
    late = hindsight(hits, known, found, told)
    whole = [one for one in late if not one.broken] or late
    best = min(one.cost for one in whole)
    chosen = next(one for one in found if (one.paradigm, one.k) == (choice.paradigm, choice.k))
    mine = next(
        one for one in late if (one.paradigm, one.k, one.refresh) == (choice.paradigm, choice.k, chosen.refresh)
    )
    errors["chosen"] = [chosen.hit - mine.hit]
    return {
        "kind": kind,
        "log": str(log),
        "errors": errors,
        "chosen": f"{choice.paradigm} {choice.k}",
        "best": f"{min(whole, key=lambda one: one.cost).paradigm}",
        "excess": mine.cost / best - 1,
        "broken": list(mine.broken),
    }


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each kind of log: how many are within the bounds."""
    kinds = {}
    for kind in dict.fromkeys(one["kind"] for one in found):
        alike = [one for one in found if one["kind"] == kind]
        within = {
            name: float(np.mean([abs(error) <= POINTS for one in alike for error in one["errors"][name]]))
            for name in alike[0]["errors"]
        }
        kinds[kind] = {
            "logs": len(alike),
            "within 2 points": within,
            "excess within 5 %": float(np.mean([one["excess"] <= EXCESS for one in alike])),
            "breaks in hindsight": float(np.mean([bool(one["broken"]) for one in alike])),
            "worst excess": max(one["excess"] for one in alike),
        }
    return kinds


def main() -> int:
    """Measure, print, and exit 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=30_000)
    parser.add_argument("--part", type=int, default=4, help="take one log in so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--futures", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    chosen = list(logs(given.requests, given.seed))[given.seed % given.part :: given.part]
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(partial(system, futures=given.futures), chosen, chunksize=2))
    kinds = summary(found)
    print(json.dumps({"kinds": kinds, "logs": found} if given.json else kinds, indent=2))
    stays = kinds["stays"]
    return int(min(stays["within 2 points"]["once"], stays["excess within 5 %"]) < SHARE)


if __name__ == "__main__":
    sys.exit(main())
