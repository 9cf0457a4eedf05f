"""What a design takes: engine, workers, memory, money a month, what of it stands idle, and managed services for it.

    Load (plain numbers) + [prices] + prices.toml ─ size() ─▶ Sizing

Every figure is a product that a person can repeat; the constants stand here, with where they come from. A request log
is not needed: numbers that nobody knows are None, and what follows from them is said to be assumed. What does not
belong here: which design is chosen (`serving`, `training`).
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from ninetyfive.design.evidence import Managed, Sizing
from ninetyfive.durations import duration_text
from ninetyfive.prices import HOURS, MONTH, PriceTable, price_table
from ninetyfive.settings import PriceSettings

UTILISATION = 0.6
"""How busy a worker may be at the peak: where answers queue for one server (M/M/1) the wait is then 1 / (1 − 0.6) = 2.5
times the work; at 0.9 it would be ten times."""
STATISTICS_RATE, FEATURES_RATE = 1.1e6, 2.0e6
"""Rows that a core of `local` works through in a second, 12 columns: all statistics; ten features (docs/engines.md)."""
MACHINE_CORES, MACHINE_MEMORY = 16, 64 * 2**30
"""The largest single machine that is taken for granted; above it work is spread."""
TRAINING_COPIES = 3
"""The bytes of a history in memory while a model trains: the rows, the features as float32, what the trainer makes."""
WORKER_MEMORY = 200 * 2**20
"""A worker whose memory was not measured."""
TIME_BUDGET = 3600.0
"""Seconds that a run may take."""
TABLE_SHARE = 0.1
"""A table that costs less than this share of a worker that is kept ready should stand in its place."""
FEW, RARELY = 100_000, 0.01
"""Entities that are few; the share of one core that answers so rare take."""
NODE_CORES, BEAM_GIB_CORE, SPARK_DCU, SPARK_CORES, LEAST_SECONDS = 2, 3.75, 12, 8, 60.0
"""Vertex AI's e2-standard-2; memory of a Dataflow worker's core; the least batch of Dataproc Serverless (12 DCU, of
which 8 cores work), and the least time that it charges."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be carried; None: not known. Times in seconds, `cpu` of one answer by the chosen design.

    `bytes` of the history in memory. `every`: between two trainings (None: once). `entities`: whom a table would have
    to hold; `refresh`: how often it would be built; `cpu_log`: what reading the log takes each time; `static_keeps`:
    whether a table of all keeps the constraints.
    """

    rows: int = 0
    bytes: int = 0
    training_seconds: float = 0.0
    every: float | None = None
    rate: float | None = None
    peak_rate: float | None = None
    cpu: float | None = None
    memory: int | None = None
    paradigm: Literal["static", "dynamic", "hybrid"] = "dynamic"
    k: int | None = None
    entities: int | None = None
    refresh: float | None = None
    cpu_row: float | None = None
    cpu_log: float = 0.0
    bytes_row: float | None = None
    static_keeps: bool = False


_UNKNOWABLE = ("rate", "peak_rate", "cpu", "refresh", "cpu_row", "bytes_row")


class Takes(msgspec.Struct, frozen=True, kw_only=True):
    """The figures that the sentences of a sizing are made of, a month: CPU in seconds, money in that of `[prices]`."""

    data_cpu: float
    trainings: float
    workers: int
    used: float | None
    table_rows: int
    table_bytes: float
    builds: float
    serving_memory: float
    training_memory: float
    ready: float
    table: float
    training: float
    storage: float


def size(load: Load, prices: PriceSettings, managed: PriceTable | None = None) -> Sizing:
    """What `load` takes, by `prices`, and what managed services for it cost by the list prices of `managed`.

    >>> load = Load(rows=10**6, bytes=10**8, rate=5.0, peak_rate=20.0, cpu=4e-4, training_seconds=30.0, every=86_400)
    >>> sizing = size(load, PriceSettings())
    >>> sizing.engine, sizing.workers, round(sizing.month, 2), sizing.should_be_table
    ('local', 1, 23.68, False)
    """
    table = managed or price_table()
    load = msgspec.structs.replace(load, **{name: None for name in _UNKNOWABLE if _not_known(getattr(load, name))})
    load = msgspec.structs.replace(load, cpu_log=0.0) if math.isnan(load.cpu_log) else load
    takes = _takes(load, prices)
    engine, engine_reasons = _engine(load, takes, table)
    idle = takes.ready * (1.0 - (takes.used or 0.0))
    should, table_reasons = _should_be_table(load, takes, prices)
    return Sizing(
        engine=engine,
        workers=takes.workers,
        memory=math.ceil(max(takes.serving_memory, takes.training_memory)),
        month=takes.ready + takes.table + takes.training + takes.storage,
        idle=idle,
        should_be_table=should,
        reasons=(*engine_reasons, *_serving_reasons(load, takes, prices, idle), *table_reasons),
        managed=_managed(load, takes, table),
    )


def _not_known(value: float | None) -> bool:
    """What could not be measured is not a number: it counts as None."""
    return value is not None and math.isnan(value)


def _takes(load: Load, prices: PriceSettings) -> Takes:
    data_cpu = load.rows / STATISTICS_RATE + load.rows / FEATURES_RATE
    trainings = MONTH / load.every if load.every else 0.0
    known = load.cpu is not None and load.rate is not None
    busy = (load.peak_rate or load.rate or 0.0) * (load.cpu or 0.0)
    workers = max(1, math.ceil(busy / UTILISATION))
    rows = 0 if load.paradigm == "dynamic" else load.k if load.k is not None else load.entities or 0
    table_bytes = rows * (load.bytes_row or 0.0)
    builds = MONTH / load.refresh if load.refresh and rows else 0.0
    memory = workers * (load.memory or WORKER_MEMORY) + table_bytes
    core_hour, gib = prices.cpu_hour, prices.memory_gib_hour / 2**30
    return Takes(
        data_cpu=data_cpu,
        trainings=trainings,
        workers=workers,
        used=min(1.0, (load.rate or 0.0) * (load.cpu or 0.0) / workers) if known else None,
        table_rows=rows,
        table_bytes=table_bytes,
        builds=builds,
        serving_memory=memory,
        training_memory=float(load.bytes * TRAINING_COPIES),
        ready=HOURS * (workers * core_hour + memory * gib),
        table=builds * (rows * (load.cpu_row or 0.0) + load.cpu_log) / 3600 * core_hour,
        training=trainings * (load.training_seconds + data_cpu) / 3600 * core_hour,
        storage=(load.bytes + table_bytes) / 2**30 * prices.storage_gib_month,
    )


def _engine(load: Load, takes: Takes, table: PriceTable) -> tuple[str, tuple[str, ...]]:
    """The engine: `local` while one machine does it in time, else the managed one whose hours cost less."""
    alone = takes.data_cpu / MACHINE_CORES + load.training_seconds
    told = ("how many rows there are is not known: one machine is assumed to do",)
    if not load.rows:
        return "local", told
    told = (
        f"{load.rows:,} rows are {takes.data_cpu:,.1f} s of CPU in a run, by {STATISTICS_RATE:,.0f} and "
        f"{FEATURES_RATE:,.0f} rows a core and second for statistics and features",
    )
    if alone <= TIME_BUDGET and takes.training_memory <= MACHINE_MEMORY:
        return "local", (*told, f"one machine does it in the {duration_text(TIME_BUDGET)} that a run may take")
    if takes.training_memory > MACHINE_MEMORY:
        why = (
            f"training needs about {_gib(takes.training_memory)}, more than the {_gib(MACHINE_MEMORY)} of one machine: "
            "a shorter window or a sample trains on less, as a model is trained in one process on any engine"
        )
    elif load.training_seconds > TIME_BUDGET:
        why = "the training alone takes longer than a run may: no engine shortens it, a shorter window does"
    else:
        why = f"one machine of {MACHINE_CORES} cores would need {duration_text(alone)}"
    left = max(TIME_BUDGET - load.training_seconds, LEAST_SECONDS)
    cores = max(1, math.ceil(takes.data_cpu / left))
    beam, spark = _beam_price(takes.data_cpu, table), _spark_price(takes.data_cpu, table)
    engine, cheaper, dearer = ("beam", beam, spark) if beam < spark else ("spark", spark, beam)
    chosen = (
        f"spread over {cores:,} cores; {engine}, as a run costs {cheaper:,.2f} {table.currency} on its managed service "
        f"against {dearer:,.2f}"
    )
    return engine, (*told, why, chosen)


def _serving_reasons(load: Load, takes: Takes, prices: PriceSettings, idle: float) -> tuple[str, ...]:
    """How many workers, what they hold, and how much of them stands idle."""
    if load.cpu is None or (load.peak_rate is None and load.rate is None):
        workers = "one worker: how often requests come, or what an answer costs, is not known"
    else:
        peak = load.peak_rate if load.peak_rate is not None else load.rate or 0.0
        workers = (
            f"{_count(takes.workers, 'worker')}: {peak:,.4g} requests a second at the peak × {load.cpu * 1000:,.3g} ms "
            f"of CPU, at most {UTILISATION:.0%} busy"
        )
    said = [workers]
    if takes.table_rows:
        said.append(
            f"a table of {takes.table_rows:,} rows is {_gib(takes.table_bytes)}, built {takes.builds:,.1f} times a "
            f"month for {takes.table:,.2f} {prices.currency}; workers share it"
        )
    if takes.training_memory:
        said.append(
            f"the rows of a training take about {_gib(takes.training_memory)}, {TRAINING_COPIES} times the history's "
            "bytes; the libraries that it loads come on top"
        )
    if takes.used is not None:
        said.append(
            f"workers are busy {takes.used:.2%} of the time: of {takes.ready:,.2f} {prices.currency} a month that keep "
            f"them ready, {idle:,.2f} are paid for what stands idle"
        )
    return tuple(said)


def _should_be_table(load: Load, takes: Takes, prices: PriceSettings) -> tuple[bool, tuple[str, ...]]:
    """Whether predictions made beforehand do, without a worker that is kept ready.

    A table of all entities keeps the constraints; and it costs less than a tenth of what keeps workers ready, or its
    entities are few and asked about rarely.
    """
    if not load.static_keeps or not load.entities:
        return False, ()
    builds = MONTH / load.refresh if load.refresh else 1.0
    stored = load.entities * (load.bytes_row or 0.0) / 2**30 * prices.storage_gib_month
    build = load.entities * (load.cpu_row or 0.0) + load.cpu_log
    costs = builds * build / 3600 * prices.cpu_hour + stored
    cheap = load.cpu_row is not None and costs < TABLE_SHARE * takes.ready
    rare = takes.used is not None and takes.used * takes.workers < RARELY and load.entities <= FEW
    if not cheap and not rare:
        return False, ()
    why = (
        f"a table of all {load.entities:,} costs {costs:,.2f} {prices.currency} a month, and workers that are kept "
        f"ready {takes.ready:,.2f}"
        if cheap
        else f"it has {load.entities:,} entities, and its requests take less than {RARELY:.0%} of one core"
    )
    said = f"this endpoint should be a table: {why}; whoever asks can read a file that `ninetyfive predict` wrote"
    return True, (said,)


def _managed(load: Load, takes: Takes, table: PriceTable) -> tuple[Managed, ...]:
    """What managed services would cost a month, at list prices and before discounts."""
    prices, found = table.prices, []
    train_hours = max(load.training_seconds + takes.data_cpu / 4, LEAST_SECONDS) / 3600
    once = train_hours * prices.train_node_hour.value
    amount = f"{takes.trainings:,.1f} × {train_hours:,.3f} h of an n1-standard-4"
    if not takes.trainings:
        amount = f"once {train_hours:,.3f} h of an n1-standard-4: {once:,.2f} {table.currency}"
    found.append(Managed("Vertex AI training", "training", amount, takes.trainings * once))
    nodes = max(1, math.ceil(takes.workers / NODE_CORES))
    predict = nodes * HOURS * prices.predict_node_hour.value
    amount = f"{_count(nodes, 'e2-standard-2')}, always on"
    found.append(Managed("Vertex AI prediction", "answering", amount, predict))
    machines = HOURS * takes.workers * prices.vm_core_hour.value
    machines += HOURS * takes.serving_memory / 2**30 * prices.vm_gib_hour.value
    amount = f"{_count(takes.workers, 'E2 core')}, {_gib(takes.serving_memory)}, always on"
    found.append(Managed("Compute Engine", "answering, by ninetyfive serve", amount, machines))
    hours = takes.data_cpu / 3600
    for service, price, core_hours in (
        ("Dataflow", _beam_price(takes.data_cpu, table), f"{hours:,.3f} vCPU hours"),
        ("Dataproc Serverless", _spark_price(takes.data_cpu, table), f"{_dcu_hours(takes.data_cpu):,.3f} DCU hours"),
    ):
        amount = f"{takes.trainings:,.1f} × {core_hours}" if takes.trainings else f"once {core_hours}"
        found.append(Managed(service, "data of a run", amount, takes.trainings * price))
    stored = (load.bytes + takes.table_bytes) / 2**30
    amount = f"{stored:,.3f} GiB"
    found.append(Managed("Cloud Storage", "history and table", amount, stored * prices.storage_gib_month.value))
    return tuple(found)


def _beam_price(cpu: float, table: PriceTable) -> float:
    prices = table.prices
    return cpu / 3600 * (prices.beam_core_hour.value + BEAM_GIB_CORE * prices.beam_gib_hour.value)


def _spark_price(cpu: float, table: PriceTable) -> float:
    return _dcu_hours(cpu) * table.prices.spark_dcu_hour.value


def _dcu_hours(cpu: float) -> float:
    """DCU hours of a batch: 12 DCU carry 8 working cores, and a minute is charged at least."""
    return SPARK_DCU * max(cpu / SPARK_CORES, LEAST_SECONDS) / 3600


def _count(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def _gib(count: float) -> str:
    if count >= 2**30:
        return f"{count / 2**30:,.1f} GiB"
    return f"{count / 2**20:,.1f} MiB" if count >= 2**20 else f"{count / 2**10:,.1f} KiB"
