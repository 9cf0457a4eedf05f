"""All that the design command finds out and decides, as data: what passes between its parts, and what a record holds.

    TrainingEvidence ─▶ TrainingChoice ─┐
    ServingEvidence ──▶ ServingChoice ──┼─▶ Design
    Sizing, Assumption, prices ─────────┘

Shares are from 0 to 1, times in seconds unless a name says otherwise, moments ISO 8601 in UTC, money in the currency of
`[prices]`. A value that could not be found out is None, and `cannot` says why. What does not belong here: how any of it
is measured, decided or shown.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Confidence = Literal["proved", "measured", "assumed", "none"]
"""How sure a decision is: replayed through the service; measured, not replayed; assumed; there is no evidence."""


Range = tuple[float, float]
"""From where to where a forecast may be off by chance."""


class Interval(msgspec.Struct, frozen=True):
    """A value with its 95 % interval; the borders are None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None


class AgePoint(msgspec.Struct, frozen=True, kw_only=True):
    """How much worse a model of an `age` is than the freshest one, on the same rows; `excess` above 0 is worse.

    In units of the metric, whatever its direction; `pairs` of trainings and blocks, and the `rows` that were scored.
    """

    age: float
    excess: Interval
    pairs: int
    rows: int


class Decay(msgspec.Struct, frozen=True, kw_only=True):
    """How a metric falls with the age of the model: `decays` is what a test says, with its `p_value`.

    `half_life`: the age at which half of what the freshest model gains over the constant baseline is lost; None where
    no age that was seen loses so much, which `reason` says. `detectable`: the least excess, as a mean over all pairs of
    an old and a fresh model, that the test would have told from chance.
    """

    metric: str
    points: tuple[AgePoint, ...]
    decays: bool
    p_value: float | None = None
    half_life: float | None = None
    reason: str
    detectable: float | None = None


class WindowScore(msgspec.Struct, frozen=True, kw_only=True):
    """Trainings on a window of this length (None: all that came before), scored on the block that follows each.

    `excess` is the loss beyond that of the best window, on the same blocks.
    """

    window: str | None = None
    excess: Interval
    trainings: int


class PolicyScore(msgspec.Struct, frozen=True, kw_only=True):
    """A retraining policy replayed over the backtest. `excess`: mean loss beyond that of a model made anew each block.

    `cost` = `quality_cost` + `training_cost`, over the days that were replayed; `typical`: the same as the mean over
    all blocks at which it could have begun, of as many days. `recovered`: the share of what the oracle saves over never
    retraining (None where it saves nothing). `runs`: `ninetyfive run --if-due` can do it today.
    `trainings` are those beyond the first, which every policy starts with. `saves`: what it costs less than never
    retraining, with its 90 % interval: that it is above 0 by its lower bound is wrong in 5 of 100. `watch` and `drop`
    are those of `StaticTraining`, of a policy that watches quality.
    """

    name: str
    every: str | None = None
    window: str | None = None
    watch: str | None = None
    drop: float | None = None
    runs: bool
    trainings: int
    excess: float
    quality_cost: float
    training_cost: float
    cost: float
    typical: float
    recovered: float | None = None
    saves: Interval | None = None


class TrainingEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the backtest found. `metric` is the primary one; blocks are the steps in which time goes on.

    `worth`: what one unit of the metric is worth a day, and where that was said (`worth_from`). `made_by`: how many
    processes made the trainings, and why so many. `noticed` says what is odd about the history, `left_out` what the
    budget cut, `cannot` what cannot be concluded, and why.
    """

    metric: str
    task: str
    rows: int
    first: str | None = None
    last: str | None = None
    blocks: int
    block: float
    label_delay: float
    gain: float | None = None
    decay: tuple[Decay, ...] = ()
    windows: tuple[WindowScore, ...] = ()
    policies: tuple[PolicyScore, ...] = ()
    replayed_days: float = 0.0
    training_seconds: float = 0.0
    training_price: float = 0.0
    worth: float = 0.0
    worth_from: str = ""
    currency: str = "USD"
    trainings: int = 0
    made_by: str | None = None
    noticed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()


class Alternative(msgspec.Struct, frozen=True):
    """What was not chosen, and why not."""

    what: str
    why_not: str


class TrainingChoice(msgspec.Struct, frozen=True, kw_only=True):
    """How to train: `policy` is "never", "periodic" or "on quality drop"; the rest is what the paradigm takes.

    `saves`: what it costs less a month than never training again, in money.
    """

    paradigm: Literal["static", "dynamic"]
    policy: str
    every: str | None = None
    window: str | None = None
    watch: str | None = None
    drop: float | None = None
    half_life: float | None = None
    saves: float | None = None
    confidence: Confidence
    reasons: tuple[str, ...]
    alternatives: tuple[Alternative, ...] = ()
    would_change: tuple[str, ...] = ()


class Growth(msgspec.Struct, frozen=True):
    """After so many requests so many distinct entities had been asked about."""

    requests: int
    entities: int


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What a table of the `k` entities most asked about in the window before answers of the window that follows.

    `covered`: the share of requests whose entity it holds; `hit`: of which the fingerprint is the table's too.
    """

    k: int
    covered: float
    hit: float


class Change(msgspec.Struct, frozen=True):
    """Of requests about entities of a table of this age, the share whose fingerprint is another than the table's."""

    age: float
    changed: float


class CacheSize(msgspec.Struct, frozen=True):
    """The share of requests that a least-recently-used cache of so many entities would answer."""

    size: int
    hit: float


class Window(msgspec.Struct, frozen=True):
    """A part of the log: its requests came from `first` to `last`."""

    first: str
    last: str
    requests: int


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What a request log says of who is asked about, and how often. Nulls in the entity are counted as `nameless`.

    `rate` is the mean of requests a second, `peak_rate` that of the busiest minute. `new_entity_rate`: of the requests
    of the last window, the share about entities that had not been asked about before. `entropy` is normalised by that
    of equal shares; `peakedness` is 1 − `entropy`. `zipf_slope` and the R² of its fit on log rank, log requests.
    `change_rate`: of requests about an entity known before, the share with another fingerprint than the one before.
    `repeats`: quantiles of the seconds between two requests about an entity. `windows`: to fit, to choose, to judge.
    `head_kept`: how much of a head is still one a day later, from 0 to 1; None where there is no head.
    """

    requests: int
    entities: int
    nameless: int
    first: str
    last: str
    days: float
    rate: float
    peak_rate: float
    peak_to_mean: float
    growth: tuple[Growth, ...]
    new_entity_rate: float
    entropy: float
    peakedness: float
    zipf_slope: float | None = None
    zipf_fit: float | None = None
    gini: float
    coverage: tuple[Coverage, ...]
    repeats: dict[str, float]
    repeated: float
    lru: tuple[CacheSize, ...]
    change_rate: float
    changes: tuple[Change, ...]
    windows: tuple[Window, Window, Window]
    noticed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    head_kept: float | None = None


LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""The quantiles that are kept of latencies."""
SOON = 6
"""For how many requests an answer of the model slows those of a table."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What answers cost on this machine, by the code of a worker; CPU and latencies in seconds a request.

    `cpu_miss`: of saying that a table does not hold it, as `p50_miss` and `p99_miss` (0: not measured). `cpu_row`: CPU
    of one row of a table that is built; `bytes_row` of one that is stored; `cpu_read`: CPU of one row of a log that a
    build reads; `memory`: bytes of a worker.
    `cpu_look` and `p50_look`: what a request takes longer that is looked up in vain before the model answers it.
    `cpu_after`: what an answer of a table takes longer right after one of the model, which leaves the caches of a
    processor full of its own. `latencies`: at the `LEVELS`, of "model", "table", "miss", "look" (the model after a
    look-up in vain), "after" (a table right after the model) and "soon" (after that, within `SOON` requests of the
    model); of the first three what is not there is taken as log-normal.
    `noise`: half the distance between the quartiles of the rounds, as a share of their median. What only a
    table would tell is NaN where there can be none.
    """

    machine: str
    cpu_model: float
    cpu_table: float
    cpu_miss: float
    p50_model: float
    p50_table: float
    p99_model: float
    p99_table: float
    cpu_row: float
    bytes_row: float
    memory: int
    noise: float
    p50_miss: float = 0.0
    p99_miss: float = 0.0
    cpu_read: float = 0.0
    cpu_look: float = 0.0
    p50_look: float = 0.0
    cpu_after: float = 0.0
    latencies: dict[str, tuple[float, ...]] = {}


class Constraints(msgspec.Struct, frozen=True, kw_only=True):
    """What a design has to keep: `latency` (p99, seconds), `staleness` (how old a table may become, seconds), `budget`.

    `misses`: the share of requests that nothing answers; `changed`: that are answered from features that have changed
    since; the budget is money a month. None: no bound.
    """

    latency: float | None = None
    staleness: float
    misses: float
    changed: float
    budget: float | None = None


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A way to serve, and what is expected of it. `refresh`: seconds after which its table is built again.

    `hit`: share of requests that the table answers; `miss`: that nothing answers; `stale`: that are answered from other
    features than the request's. `cost` a month is the sum of `parts`; `cpu_month`: seconds of CPU a month, of answers
    and of building tables. `broken`: the constraints that it breaks. `hit_range` holds nine of ten futures that the log
    allows; `cpu_range` and `p50_range` what follows from it, and from the noise of this machine. `miss_most` and
    `stale_most`: the most in nine of ten futures, by which a forecast has to keep the constraints; None: replayed.
    """

    paradigm: Literal["static", "dynamic", "hybrid"]
    k: int | None = None
    refresh: float | None = None
    hit: float
    miss: float
    stale: float
    cpu: float
    p50: float
    p99: float
    table_bytes: int
    parts: dict[str, float]
    cost: float
    broken: tuple[str, ...] = ()
    cpu_month: float = 0.0
    hit_range: Range | None = None
    cpu_range: Range | None = None
    p50_range: Range | None = None
    miss_most: float | None = None
    stale_most: float | None = None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate's forecast for the held-out window, and what the replay of that window gave; the errors follow.

    `by`: "worker code" (in this process) or "service" (a worker, over HTTP). p50 and cpu are None where not
    measured, `forecast_stale` where it is not known. Ranges are those of the
    candidate. `noise`: of the CPU, half the distance of the quartiles of the rounds, as a share of their median.
    """

    paradigm: Literal["static", "dynamic", "hybrid"]
    k: int | None = None
    by: str
    requests: int
    forecast_hit: float
    hit: float
    miss: float
    stale: float
    forecast_cpu: float
    cpu: float | None = None
    forecast_p50: float
    p50: float | None = None
    p99: float | None = None
    forecast_stale: float | None = None
    forecast_hit_range: Range | None = None
    forecast_cpu_range: Range | None = None
    forecast_p50_range: Range | None = None
    forecast_p99: float | None = None
    noise: float | None = None


class ServingEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the requests and of what answering them costs.

    `assumed`: there is no request log; the workload is that of the history taken for requests, or of answers.
    `sampled`: the share of entities whose requests the log keeps.
    """

    workload: Workload | None = None
    measured: Measured | None = None
    constraints: Constraints
    candidates: tuple[Candidate, ...] = ()
    replayed: tuple[Replayed, ...] = ()
    overruled: tuple[str, ...] = ()
    currency: str = "USD"
    assumed: bool = False
    sampled: float = 1.0
    noticed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()


class ServingChoice(msgspec.Struct, frozen=True, kw_only=True):
    """How to serve: `k` entities in the table (None: no table), which is built again every `refresh` (a duration)."""

    paradigm: Literal["static", "dynamic", "hybrid"]
    k: int | None = None
    refresh: str | None = None
    cost: float | None = None
    confidence: Confidence
    reasons: tuple[str, ...]
    alternatives: tuple[Alternative, ...] = ()
    would_change: tuple[str, ...] = ()


class Managed(msgspec.Struct, frozen=True):
    """A managed service that would do a part of it: what for, how much of it, and what that costs a month."""

    service: str
    what: str
    amount: str
    month: float


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes: engine, workers, bytes of memory; money a month in all and of that for what stands idle."""

    engine: str
    workers: int
    memory: int
    month: float
    idle: float
    should_be_table: bool
    reasons: tuple[str, ...]
    managed: tuple[Managed, ...] = ()


class Assumption(msgspec.Struct, frozen=True):
    """What was taken for granted, and the measurement that would settle it."""

    what: str
    settle: str


class Design(msgspec.Struct, frozen=True, kw_only=True):
    """A design as it is recorded, under the `number` of its record; `prices` are those of the settings.

    `release`: the hash of the release that was measured (None: none was). `seconds` it took of its `budget`.
    """

    number: int
    system: str
    made: str
    version: str
    release: str | None = None
    training: TrainingChoice
    training_evidence: TrainingEvidence | None = None
    serving: ServingChoice
    serving_evidence: ServingEvidence
    sizing: Sizing
    assumptions: tuple[Assumption, ...]
    confidence: Confidence
    prices: dict[str, float | str | None]
    budget: float
    seconds: float
    left_out: tuple[str, ...] = ()
    noticed: tuple[str, ...] = ()
