"""One synthetic system through the design: what is measured and chosen, and what hindsight says of it.

    first two thirds of history ─▶ measure_training, choose_training ─┐
    first two thirds of requests ─▶ workload, candidates, choice ─────┼─▶ cost beside the best in hindsight
    last third of each ─▶ judged; requests replayed ──────────────────┘

The rule: the functions are those that `ninetyfive design` calls; what a system is made of is known here and told to
none of them. A choice is judged as it was made before the replay, since the replay looks at the judged requests. What
does not belong here: the generators, the hindsight, the table of figures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from bench._design_futures import attainable, hits_of_futures
from bench._design_judge import Judge, Policy, Trained, Way, judge_training
from bench._design_systems import DAY, FUNCTIONS, INPUTS, PARAMS, Setup, history, requests

from ninetyfive import col
from ninetyfive.cli.project import load_system
from ninetyfive.design.costs import measure
from ninetyfive.design.evidence import (
    Candidate,
    Measured,
    Replayed,
    ServingChoice,
    ServingEvidence,
    TrainingChoice,
    TrainingEvidence,
)
from ninetyfive.design.forecast import built_once, candidates, cpu_of, p50_of
from ninetyfive.design.ground import Ground
from ninetyfive.design.history import history_of
from ninetyfive.design.hits import Hits, table_hits
from ninetyfive.design.inside import inside
from ninetyfive.design.measuring_serving import constraints_of, contestants
from ninetyfive.design.proof import Reference, prove
from ninetyfive.design.requests import requests_of_arrays
from ninetyfive.design.serving import choose_serving
from ninetyfive.design.traffic import of_frame
from ninetyfive.design.training import Money, Recipe, choose_training, measure_training
from ninetyfive.design.worker import worker
from ninetyfive.design.workload import workload
from ninetyfive.durations import duration, duration_word
from ninetyfive.engines.local import LocalEngine
from ninetyfive.models.release import OpenRelease, open_release
from ninetyfive.prices import MONTH
from ninetyfive.settings import DesignSettings, PriceSettings
from ninetyfive.store.opening import open_store

PRICES, DESIGN = PriceSettings(), DesignSettings()
CONSTRAINTS = constraints_of(DESIGN)
TRAINING_SECONDS, COST_SECONDS, REPLAY_SECONDS = 8.0, 3.0, 10.0
"""What a system may take for its backtest, its unit costs, and the replay at most."""
FUTURES, POINTS = 40, 0.02
"""Other futures that say how near a forecast of the hit rate can be."""
SYSTEM = """\
import ninetyfive as nf
from ninetyfive import col
from bench._design_systems import FUNCTIONS, INPUTS, PARAMS


def angle(one, other):
    return (one * 2.0 + other).sin()


PAIRS = zip(INPUTS, INPUTS[1:], strict=False)
DEAR = {{f"angle {{one}}": nf.feature(angle, [col(one), col(other)], returns="number") for one, other in PAIRS}}
system = nf.System(
    "bench",
    source=nf.parquet("history.parquet", time="at", id="id"),
    label=col("y"),
    label_delay={delay!r},
    entity=["user"],
    features={{name: col(name) for name in INPUTS}} | (DEAR if {dear} else {{}}),
)
system.model(FUNCTIONS[{model!r}], params=PARAMS[{model!r}])
"""


def one_history(setup: Setup) -> dict[str, Any]:
    """What is advised for a history alone."""
    begun = time.monotonic()
    evidence, choice = _advised(setup, history(setup).drop("p"))
    return {
        "number": setup.number,
        "setup": msgspec.to_builtins(setup),
        "retrains": _retrains(evidence, choice),
        "policy": choice.policy,
        "every": choice.every,
        "confidence": choice.confidence,
        "seconds": time.monotonic() - begun,
    }


def _retrains(evidence: TrainingEvidence, choice: TrainingChoice) -> bool:
    """Whether more than one training is advised, or would have been made over the history by a watch that is."""
    if choice.watch is None:
        return choice.paradigm != "static"
    watched = next(one for one in evidence.policies if (one.watch, one.drop) == (choice.watch, choice.drop))
    return watched.trainings > 0


def one_system(setup: Setup, folder: Path, *, service: bool) -> dict[str, Any]:
    """All that is measured of a system, in a folder that may be filled; `service`: replayed over HTTP too."""
    begun = time.monotonic()
    rows = history(setup)
    start = rows.height * 2 // 3
    release = _release(setup, rows.head(start).drop("p"), folder)
    trained = _training(setup, rows, start)
    told = _serving(setup, release, Ground(release, LocalEngine(), folder), service=service)
    whole = {name: trained[f"{name}_cost"] + told[f"{name}_cost"] for name in ("chosen", "best")}
    return {
        "number": setup.number,
        "setup": msgspec.to_builtins(setup),
        "training": trained,
        "serving": told,
        "excess": _excess(whole["chosen"], whole["best"], told["broken"]),
        "excess_of_whole_loss": _excess(*(one + trained["losses"] for one in whole.values()), told["broken"]),
        "seconds": time.monotonic() - begun,
    }


def _excess(chosen: float, best: float, broken: list[str]) -> float | None:
    """By which share a design costs more than the best; None where it breaks a constraint: no price makes that good."""
    return None if broken else (chosen - best) / best


def _advised(setup: Setup, rows: pl.DataFrame) -> tuple[TrainingEvidence, TrainingChoice]:
    past = history_of(rows, "y", "at", f"{setup.delay}d" if setup.delay else None, key=("id",))
    features = {name: col(name) for name in INPUTS}
    recipe = Recipe(features, FUNCTIONS[setup.model], ("log_loss",), PARAMS[setup.model])
    until = time.monotonic() + TRAINING_SECONDS
    evidence = measure_training(past, recipe, Money.of(PRICES, DESIGN), lambda: until - time.monotonic())
    return evidence, choose_training(evidence, None)


def _training(setup: Setup, rows: pl.DataFrame, start: int) -> dict[str, Any]:
    evidence, choice = _advised(setup, rows.head(start).drop("p"))
    price = evidence.training_price or Money.of(PRICES, DESIGN).price(0.0)
    block = evidence.block
    chosen = Policy(_blocks(choice.every, block), choice.window, _blocks(choice.watch, block), choice.drop)
    asked = Trained(
        function=FUNCTIONS[setup.model],
        params=PARAMS[setup.model],
        rows=rows,
        delay=setup.delay * DAY / 1e6,
        start=start,
        block=evidence.block,
        price=price,
        worth=evidence.worth,
        windows=tuple(dict.fromkeys([chosen.window, *(one.window for one in evidence.windows)])),
    )
    judged = judge_training(asked)
    if chosen.every is not None and chosen.every >= judged.blocks:
        chosen = Policy(None, chosen.window)  # its turn does not come in the window that judges
    best = min(judged.costs, key=judged.costs.__getitem__)
    month = MONTH / (judged.blocks * evidence.block)
    return {
        "policy": choice.policy,
        "chosen": {"every": choice.every, "window": chosen.window, "watch": choice.watch},
        "best": {
            "every": best.every and duration_word(best.every * block),
            "window": best.window,
            "watch": best.watch and duration_word(best.watch * block),
        },
        "decays": bool(evidence.decay and evidence.decay[0].decays),
        "confidence": choice.confidence,
        "blocks": judged.blocks,
        "trainings": evidence.trainings,
        "left_out": list(evidence.left_out),
        "chosen_cost": judged.costs[chosen],
        "best_cost": judged.costs[best],
        "never_cost": judged.costs[Policy(None, chosen.window)],
        "oracle_cost": judged.oracle[chosen.window],
        "losses": judged.losses,
        # An oracle that saves less than one training saves by luck.
        "recovered": judged.recovered(chosen, price * month),
        "excess": _excess(judged.costs[chosen], judged.costs[best], []),
    }


def _blocks(every: str | None, block: float) -> int | None:
    return None if every is None else round(duration(every) / block)


def _release(setup: Setup, rows: pl.DataFrame, folder: Path) -> OpenRelease:
    """The system run once, as anybody runs it."""
    home = folder / "system"
    home.mkdir()
    rows.write_parquet(home / "history.parquet")
    delay = f"{setup.delay}d" if setup.delay else None
    (home / "system.py").write_text(SYSTEM.format(delay=delay, model=setup.model, dear=setup.dear), encoding="utf-8")
    document = load_system(home / "system.py").run()
    with open_store(home / ".ninetyfive", create=False) as store:
        return open_release(Path(store.path(store.release(document["release"]).folder)))


def _serving(setup: Setup, release: OpenRelease, ground: Ground, *, service: bool) -> dict[str, Any]:
    asked = requests(setup)
    known = requests_of_arrays(asked.time, asked.entity, asked.state)
    cut = known.occurrences.cuts[1]
    said, hits = workload(known), table_hits(known, CONSTRAINTS.staleness)
    rows = asked.rows().with_columns(pl.col("request_time").dt.replace_time_zone("UTC"))
    names = [*release.request.names]
    latest = rows[max(0, cut - 5_000) : cut].select(names)
    costs = measure(ground, latest, time.monotonic() + COST_SECONDS, inside)
    ways = candidates(said, hits, costs, CONSTRAINTS, PRICES)
    evidence = ServingEvidence(workload=said, measured=costs, constraints=CONSTRAINTS, candidates=ways)
    choice = choose_serving(evidence, None, DESIGN.hysteresis)
    judge = Judge(asked, cut, costs, PRICES, CONSTRAINTS)
    chosen = _way(choice, ways)
    (cost, broken), (best, least) = judge.cost(chosen), judge.best(list(_all(hits)))
    # The same, were what a build reads of the log for nothing: which part of an excess comes of that.
    unread = Judge(asked, cut, msgspec.structs.replace(costs, cpu_read=0.0), PRICES, CONSTRAINTS, judge.seen)
    free, (_, free_least) = unread.cost(chosen)[0], unread.best(list(_all(hits)))
    traffic = of_frame(rows.select(*names, "request_time"), release, int(asked.time[cut - 1]))
    replayed: list[dict[str, Any]] = []
    tables = [(one.paradigm, one.k) for one in contestants(ways) if one.k is not None]
    futures = hits_of_futures(setup, asked, cut, tables, FUTURES)
    for opens in (inside, worker) if service else (inside,):
        known = costs if opens is inside else measure(ground, latest, time.monotonic() + COST_SECONDS, worker)
        rivals = contestants(candidates(said, hits, known, CONSTRAINTS, PRICES))
        once = built_once(rivals, said, hits, known, CONSTRAINTS, PRICES)
        until = time.monotonic() + REPLAY_SECONDS
        found = prove(ground, traffic, once, until, opens, Reference(known, latest)).replayed
        # What the code of a worker gives was replayed first; of the service only what the service gives.
        found = tuple(one for one in found if opens is inside or one.by == "service")
        replayed += [msgspec.to_builtins(one) | _at_hit(one, known) for one in found]
    return {
        "chosen": chosen._asdict(),
        "best": best._asdict(),
        "chosen_cost": cost,
        "best_cost": least,
        "broken": list(broken),
        "excess": _excess(cost, least, list(broken)),
        "excess_unread": _excess(free, free_least, list(broken)),
        "workload": {
            name: getattr(said, name)
            for name in ("requests", "entities", "peakedness", "zipf_slope", "new_entity_rate", "change_rate", "rate")
        },
        "measured": msgspec.to_builtins(costs),
        "replayed": replayed,
        "attainable": attainable(futures, POINTS) if tables else 1.0,
    }


def _at_hit(one: Replayed, known: Measured) -> dict[str, float]:
    """What would have been forecast of the costs, had the hit rate been known: what is still off is not of the hits."""
    return {"cpu_at_hit": cpu_of(one.paradigm, one.hit, known), "p50_at_hit": p50_of(one.paradigm, one.hit, known)}


def _way(choice: ServingChoice, ways: tuple[Candidate, ...]) -> Way:
    known = next(one for one in ways if (one.paradigm, one.k) == (choice.paradigm, choice.k))
    return Way(known.paradigm, known.k, known.refresh)


def _all(hits: Hits) -> Iterator[Way]:
    """Every way to serve that could have been chosen."""
    yield Way("dynamic")
    for refresh in hits.refreshes:
        yield from (Way(paradigm, k, refresh) for k in hits.k for paradigm in ("static", "hybrid"))
