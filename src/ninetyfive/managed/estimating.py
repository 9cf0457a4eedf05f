"""What a job costs an hour, from the dated price table: what is asked for times its list price.

How long it takes, nobody knows before.

    settings ─▶ cores, GiB ─ prices ─▶ Estimate: lines, an hour, the least, the most (`hours` of the settings)

What does not belong here: what a service really bills: `docs/managed.md` says what comes on top.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ninetyfive.managed.pipelining import TASKS
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.prices import Price, price_table

MINUTE = 1 / 60
_CORE_DCU, _GIB_DCU = 0.6, 0.1
_MACHINE = re.compile(r"(?P<family>n1|n2|n2d|e2|t2d|c2)-(?P<kind>standard|highmem|highcpu)-(?P<cores>\d+)")
_CUSTOM = re.compile(r"(?:(?:n1|n2|n2d|e2)-)?custom-(?P<cores>\d+)-(?P<mib>\d+)")
_GIB = {"standard": 4.0, "highmem": 8.0, "highcpu": 1.0}
_GIB_N1 = {"standard": 3.75, "highmem": 6.5, "highcpu": 0.9}
_NODE_CORES = 4
"""Cores of the machine whose price the table has for training."""
_NODE = "e2-standard-2"
"""The machine whose price the table has for prediction."""


class Line(msgspec.Struct, frozen=True):
    """One thing that is paid for: how much of it an hour, its price, and what the price rests on."""

    what: str
    amount: float
    unit: str
    price: float
    source: str
    as_of: str


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a job costs: an hour, at the least (what the service bills at the least), at the most (where we end it).

    `most` is None where nothing ends it but people, or its work.

    `not_known` says what is not in it; all at list prices in one `currency`, of a table `dated` so.
    """

    lines: tuple[Line, ...]
    hour: float
    least: float
    most: float | None
    currency: str
    region: str
    dated: str
    not_known: tuple[str, ...] = ()


def line(what: str, amount: float, price: Price) -> Line:
    """An amount an hour of what a price is for."""
    return Line(what, amount, price.unit, price.value, price.source, price.as_of)


def estimate(
    lines: Sequence[Line], hours: float | None, least: float = MINUTE, not_known: Sequence[str] = ()
) -> Estimate:
    """The sum of lines, for a job that runs `hours` at most (None: without an end); `least` hours are billed always."""
    table = price_table()
    hour = sum(one.amount * one.price for one in lines)
    return Estimate(
        lines=tuple(lines),
        hour=hour,
        least=hour * least,
        most=None if hours is None else hour * hours,
        currency=table.currency,
        region=table.region,
        dated=table.dated,
        not_known=tuple(not_known),
    )


def dataproc(settings: ManagedSettings, _: str = "run") -> Estimate:
    """What a batch costs with all its executors: DCU of driver and executors; of a cluster's job nothing is known.

    >>> round(dataproc(ManagedSettings()).hour, 3)
    0.72
    """
    said = settings.dataproc
    if said.cluster:
        owned = f"the cluster {said.cluster!r}, which costs as long as it stands, whether a job runs or not"
        return estimate([], settings.hours, 0.0, [owned])
    nodes = 1 + max(said.executors, 2)
    dcu = nodes * said.cores * (_CORE_DCU + _GIB_DCU * said.memory_gib)
    told = ["shuffle storage, network between regions, what the bucket holds"]
    return estimate(
        [line("driver and executors", dcu, price_table().prices.spark_dcu_hour)], settings.hours, not_known=told
    )


def dataflow(settings: ManagedSettings, _: str = "run") -> Estimate:
    """What a job costs with all its workers: their cores and memory.

    >>> round(dataflow(ManagedSettings()).hour, 3)
    1.109
    """
    said = settings.dataflow
    told = ["disks of the workers, data that is shuffled, network between regions, what the bucket holds"]
    machine = machine_of(said.machine_type)
    if machine is None:
        owned = f"workers of the type {said.machine_type!r}, whose cores and memory are not known here"
        return estimate([], settings.hours, 0.0, [owned, *told])
    (cores, gib), prices = machine, price_table().prices
    lines = [
        line("cores of the workers", said.workers * cores, prices.beam_core_hour),
        line("memory of the workers", said.workers * gib, prices.beam_gib_hour),
    ]
    return estimate(lines, settings.hours, 0.0, told)


def machine_of(name: str) -> tuple[int, float] | None:
    """Cores and GiB of a machine of Compute Engine, by its name; None where the name does not tell.

    >>> machine_of("n1-standard-4"), machine_of("n2-highmem-8"), machine_of("a2-highgpu-1g")
    ((4, 15.0), (8, 64.0), None)
    """
    if custom := _CUSTOM.fullmatch(name):
        return int(custom["cores"]), int(custom["mib"]) / 1024
    if named := _MACHINE.fullmatch(name):
        cores = int(named["cores"])
        return cores, cores * (_GIB_N1 if named["family"] == "n1" else _GIB)[named["kind"]]
    return None


def vertex(settings: ManagedSettings, what: str = "run") -> Estimate:
    """What a pipeline or a custom job costs: hours of its machines, one after the other, reckoned by their cores.

    >>> made = vertex(ManagedSettings(hours=1.0))
    >>> round(made.hour, 4), round(made.most, 4)
    (0.2185, 0.6555)
    """
    if what in ("predict", "serve"):
        return _nodes(settings, what)
    said, node = settings.vertex, price_table().prices.train_node_hour
    told = ["what the bucket holds, network between regions, the catalog's server"]
    if said.accelerator:
        told.insert(0, f"{said.accelerators} {said.accelerator}: the table has no price of accelerators")
    hours = settings.hours
    if what == "run" and said.pipeline:
        cores, name = max(said.cores, said.train_cores), "the dearest task, by its cores"
        hours *= len(TASKS)  # each may take so long
        told.insert(0, "the fee of each pipeline run")
    else:
        digits = said.machine.rpartition("-")[2]
        cores, name = (int(digits) if digits.isdecimal() else _NODE_CORES), said.machine
        if not digits.isdecimal():
            told.insert(0, f"what {said.machine} costs beside an n1-standard-4")
    return estimate([line(name, cores / _NODE_CORES, node)], hours, not_known=told)


def _nodes(settings: ManagedSettings, what: str) -> Estimate:
    """What serving or a batch prediction costs: hours of the machines that answer, as many as there may be."""
    said, node = settings.vertex, price_table().prices.predict_node_hour
    lasts = {"serve": "every hour until it is undeployed, asked or not", "predict": "every hour until all are answered"}
    told = ["what the bucket holds, network between regions", *(["the request log"] if said.request_log else [])]
    if said.serving_machine != _NODE:
        told.insert(0, f"what {said.serving_machine} costs beside an {_NODE}, whose price this is")
    name = f"{said.max_replicas} {said.serving_machine}, {lasts[what]}"
    return estimate([line(name, said.max_replicas, node)], None, not_known=told)
