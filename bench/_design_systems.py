"""Synthetic systems of which everything is known: a labelled history and a request log, from one setup and its seed.

    commit ─ sha256 ─▶ Setup: drift, noise, model · slope, cardinality, new, changing ─┬─▶ history: at most 20,000 rows
                                                                                      └─▶ requests: at most 10⁶

The rule: a setup says all; its seed comes from the hash of the commit that is measured, so nothing can have been
tuned to it. Vectorised: a million requests take about a second. What does not belong here: what is decided of them
(`design`), and how good that was (`_design_judge`).

**History.** Rows come evenly over `days`. Six inputs are uniform of variance 1; the label is true with log-odds of
`signal` × (a unit direction · inputs), and turned round in a share `flips` of rows. The direction stays (stationary),
turns evenly by 60 to 180 degrees (gradual), jumps by 45 to 120 degrees one to three times (sudden), or swings by 60
to 120 degrees and back, two to four times (seasonal). Labels are known after `delay` days.

**Requests.** The r-th of `cardinality` entities is asked about in proportion to r^-`slope`; a share `moves` of ranks
is dealt anew each day. A share `new` of all requests is about an entity that was never asked about before; it is
asked about `visits` times within minutes, and never again. The features of an entity change `changing` times a day,
each at its own time. More is asked by day than by night.

One system of three also has five features by a function of its own, so that an answer of its model takes several times
as long.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

DRIFTS = ("stationary", "gradual", "sudden", "seasonal")
MODELS = ("linear", "boosting", "forest")
INPUTS = tuple(f"x{number}" for number in range(6))
BEGIN = np.datetime64("2026-01-01", "us")
DAY = 86_400_000_000
_GOLDEN, _ONE, _TWO = (np.uint64(word) for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_HOURS = 1.0 + 0.7 * np.sin(2 * np.pi * (np.arange(24) - 9) / 24)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a system is made of; the head of this file says what each means."""

    number: int
    seed: int
    drift: str
    signal: float
    flips: float
    model: str
    rows: int
    days: int
    delay: int
    slope: float
    cardinality: int
    new: float
    visits: int
    changing: float
    moves: float
    requests: int
    log_days: int

    @property
    def dear(self) -> bool:
        """Whether its features are dear: one system of three."""
        return self.number % 3 == 0


def seed_of(commit: str, *place: object) -> int:
    """A seed that follows from the hash of a commit and a place."""
    words = ":".join([commit, *map(str, place)])
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big")


def setups(commit: str, count: int = 60) -> list[Setup]:
    """So many systems, spread evenly over what a setup can be (a Latin hypercube), as the commit deals them."""
    chance = np.random.default_rng(seed_of(commit, "setups"))

    def dealt() -> np.ndarray:
        return (chance.permutation(count) + chance.random(count)) / count

    drift, noise, model = chance.permutation(count) % 4, dealt(), dealt()
    slope, cardinality, new, requests = dealt() * 2.0, 10 ** (2 + 4 * dealt()), dealt(), 10 ** (5 + dealt() ** 3)
    changing, moves = dealt(), dealt()
    found = []
    for place in range(count):
        rows, days = int(chance.integers(8_000, 20_001)), int(chance.integers(40, 181))
        found.append(
            Setup(
                number=place + 1,
                seed=seed_of(commit, "system", place + 1),
                drift=DRIFTS[drift[place]],
                signal=1.0 if noise[place] < 0.5 else 3.0,
                flips=0.1 if noise[place] < 0.25 or noise[place] > 0.75 else 0.0,
                model=MODELS[int(np.searchsorted([0.6, 0.85], model[place]))],
                rows=rows,
                days=days,
                delay=int(chance.choice([0, 0, 1, 3])),
                slope=round(float(slope[place]), 3),
                cardinality=int(cardinality[place]),
                # A third of systems meets no new entity.
                new=round(0.5 * max(0.0, float(new[place]) * 1.5 - 0.5), 3),
                visits=int(chance.choice([1, 4])),
                changing=(0.0, 0.002, 0.05, 1.0, 24.0)[int(changing[place] * 5)],
                moves=(0.0, 0.0, 0.02, 0.2)[int(moves[place] * 4)],
                requests=int(requests[place]),
                log_days=int(chance.integers(3, 15)),
            )
        )
    return found


def stationary(commit: str, count: int = 200) -> list[Setup]:
    """Histories in which nothing changes, of every size and noise; they have no requests."""
    found = []
    for place in range(count):
        chance = np.random.default_rng(seed := seed_of(commit, "stationary", place + 1))
        found.append(
            Setup(
                number=place + 1,
                seed=seed,
                drift="stationary",
                signal=float(chance.choice([0.5, 1.0, 3.0])),
                flips=float(chance.choice([0.0, 0.1])),
                model=str(chance.choice(["linear", "boosting"], p=[0.8, 0.2])),
                rows=int(chance.integers(3_000, 12_001)),
                days=int(chance.integers(20, 361)),
                delay=int(chance.choice([0, 0, 1, 3])),
                slope=0.0,
                cardinality=0,
                new=0.0,
                visits=1,
                changing=0.0,
                moves=0.0,
                requests=0,
                log_days=0,
            )
        )
    return found


def history(setup: Setup) -> pl.DataFrame:
    """The labelled rows in order of time: `id`, `at`, `user`, the inputs, `y`, and `p`, the true probability of `y`."""
    chance = np.random.default_rng([setup.seed, 1])
    share = np.sort(chance.random(setup.rows))
    x = chance.uniform(-np.sqrt(3), np.sqrt(3), (setup.rows, len(INPUTS)))
    angle = _angles(setup, chance)(share)
    # Two directions at right angles span the plane in which the relation turns.
    plane = np.linalg.qr(chance.normal(size=(len(INPUTS), 2)))[0]
    direction = np.cos(angle)[:, None] * plane[:, 0] + np.sin(angle)[:, None] * plane[:, 1]
    p = 1 / (1 + np.exp(-setup.signal * (x * direction).sum(axis=1)))
    p = p + setup.flips * (1 - 2 * p)
    return pl.DataFrame(
        {
            "id": np.arange(setup.rows),
            "at": pl.Series(BEGIN + (share * setup.days * DAY).astype(np.int64).astype("timedelta64[us]")),
            "user": chance.integers(0, max(setup.cardinality, 1), setup.rows),
            **{name: x[:, place] for place, name in enumerate(INPUTS)},
            "y": chance.random(setup.rows) < p,
            "p": p,
        }
    )


def _angles(setup: Setup, chance: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """By which angle the relation has turned after a share of the history."""
    if setup.drift == "gradual":
        whole = chance.uniform(np.pi / 3, np.pi)
        return lambda share: whole * share
    if setup.drift == "sudden":
        moments = np.sort(chance.uniform(0.1, 0.95, chance.integers(1, 4)))
        turns = np.concatenate([[0.0], np.cumsum(chance.uniform(np.pi / 4, 2 * np.pi / 3, len(moments)))])
        return lambda share: turns[np.searchsorted(moments, share)]
    if setup.drift == "seasonal":
        wide, times = chance.uniform(np.pi / 3, 2 * np.pi / 3) / 2, chance.uniform(2, 4)
        return lambda share: wide * np.sin(2 * np.pi * times * share)
    return np.zeros_like


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests in order of time: µs (int64), which entity (int64), which state of its features (uint64)."""

    time: np.ndarray[Any, np.dtype[np.int64]]
    entity: np.ndarray[Any, np.dtype[np.int64]]
    state: np.ndarray[Any, np.dtype[np.uint64]]

    def __len__(self) -> int:
        return len(self.time)

    def rows(self) -> pl.DataFrame:
        """The requests as rows: the columns of a request, and `request_time`; inputs follow from the state."""
        moments = pl.Series(self.time.astype("datetime64[us]"))
        inputs = {name: _uniform(self.state, place) for place, name in enumerate(INPUTS)}
        ids = np.arange(10**9, 10**9 + len(self))
        return pl.DataFrame({"id": ids, "at": moments, "user": self.entity, **inputs, "request_time": moments})


def requests(setup: Setup) -> Asked:
    """The request log; it ends when the history ends."""
    chance = np.random.default_rng([setup.seed, 2])
    time = moments(setup, chance, setup.requests)
    rank, day = ranks(setup, chance, len(time)), days_of(time)
    entity = np.empty_like(rank)
    for number, holder in holders(setup):
        here = day == number
        entity[here] = holder[rank[here]]
    entity = _renewed(setup, chance, entity)
    version = np.floor(phases(entity) + setup.changing * time / 86_400).astype(np.uint64)
    first = BEGIN.astype(np.int64) + (setup.days - setup.log_days) * DAY
    return Asked(first + (time * 1e6).astype(np.int64), entity, _mix(_mix(entity.astype(np.uint64)) + version))


def moments(setup: Setup, chance: np.random.Generator, count: int) -> np.ndarray:
    """When requests come, in order: seconds since the log began."""
    day = chance.integers(0, setup.log_days, count)
    second = chance.choice(24, count, p=_HOURS / _HOURS.sum()) * 3_600 + chance.random(count) * 3_600
    return np.sort(day * 86_400.0 + second)


def days_of(time: np.ndarray) -> np.ndarray:
    """The day of the log of each moment, from 0."""
    return (time // 86_400).astype(np.int64)


def ranks(setup: Setup, chance: np.random.Generator, count: int) -> np.ndarray:
    """Which rank each request is about, from 0."""
    whole = np.cumsum(np.arange(1, setup.cardinality + 1, dtype=np.float64) ** -setup.slope)
    return np.minimum(np.searchsorted(whole, chance.random(count) * whole[-1]), setup.cardinality - 1)


def phases(entity: np.ndarray) -> np.ndarray:
    """How far an entity is from one change of its features to the next when the log begins, from 0 to 1."""
    return _uniform(entity.astype(np.uint64), 99) / (2 * np.sqrt(3)) + 0.5


def holders(setup: Setup) -> Iterator[tuple[int, np.ndarray]]:
    """Whose rank it is on each day: names stand in no order, and some ranks change hands each day."""
    chance = np.random.default_rng([setup.seed, 4])
    holder = chance.permutation(setup.cardinality)
    for number in range(setup.log_days):
        yield number, holder.copy()
        dealt = np.flatnonzero(chance.random(setup.cardinality) < setup.moves)
        holder[dealt] = holder[chance.permutation(dealt)]


def _renewed(setup: Setup, chance: np.random.Generator, entity: np.ndarray) -> np.ndarray:
    """The entities, with those of a share of the requests replaced by new ones, each for `visits` of them in a row."""
    fresh = np.flatnonzero(chance.random(len(entity)) < min(0.8, setup.new * setup.visits))
    found = entity.copy()
    found[fresh] = setup.cardinality + np.arange(len(fresh)) // setup.visits
    return found


def _mix(words: np.ndarray) -> np.ndarray:
    """64 bits well stirred (SplitMix64, Steele, Lea and Flood, 2014)."""
    mixed = words + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _ONE
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _TWO
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _uniform(words: np.ndarray, place: int) -> np.ndarray:
    """Uniform numbers of mean 0 and variance 1 that follow from the words, others for each place."""
    share = (_mix(words ^ _mix(np.full(1, place, dtype=np.uint64))) >> np.uint64(11)).astype(np.float64) / 2.0**53
    return np.sqrt(3) * (2 * share - 1)


def linear(x: Any, y: Any, params: Any) -> Any:
    """Logistic regression: an answer costs next to nothing."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**params).fit(x, y)


def boosting(x: Any, y: Any, params: Any) -> Any:
    """Boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**params, early_stopping=False, random_state=0).fit(x, y)


def forest(x: Any, y: Any, params: Any) -> Any:
    """Many deep trees that vote: an answer is dear."""
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(**params, random_state=0).fit(x, y)


FUNCTIONS = {"linear": linear, "boosting": boosting, "forest": forest}
PARAMS: dict[str, dict[str, Any]] = {
    "linear": {"C": 1.0},
    "boosting": {"max_iter": 40, "max_leaf_nodes": 8},
    "forest": {"n_estimators": 100, "min_samples_leaf": 5},
}
