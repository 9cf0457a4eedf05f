"""The settings `[managed]`: whose project pays, where jobs run, and as what; a table below it for each service.

They are data. What does not belong here: how they are read and told wrong (`settings`), what they become (`managed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0.01, le=3600)]
Hours = Annotated[float, msgspec.Meta(ge=0.17, le=336)]
Machines = Annotated[int, msgspec.Meta(ge=1, le=2000)]
Cores = Annotated[int, msgspec.Meta(ge=1, le=224)]
TaskCores = Annotated[int, msgspec.Meta(ge=1, le=96)]


class DataprocSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[managed.dataproc]`: `cluster` ("": Serverless), the `version` of its runtime, Spark's `properties`.

    `cores` of the driver and of each of the `executors`, `memory_gib` for each core: said to the service, and what the
    estimate reckons with. `executors` is the most of them.
    """

    cluster: str = ""
    version: str = "3.0"
    cores: Cores = 4
    memory_gib: Annotated[float, msgspec.Meta(ge=1, le=7.25)] = 4.0
    executors: Machines = 2
    properties: Mapping[str, Any] = {}
    endpoint: str = ""


class DataflowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[managed.dataflow]`: the `machine_type` of the workers, how many `workers` at most, Beam's `options` over ours.

    `disk_gib` of each worker (0: the service's default); `public_ips`: whether workers have an address of their own.
    """

    machine_type: str = "n1-standard-4"
    workers: Machines = 4
    disk_gib: Annotated[int, msgspec.Meta(ge=0, le=65_536)] = 0
    public_ips: bool = False
    options: Mapping[str, Any] = {}
    endpoint: str = ""


class VertexSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[managed.vertex]`: whether a run is a `pipeline` of three tasks, else one custom job on one `machine`.

    Tasks of data, evaluation and release get `cores` and `memory_gib` (in all), that of training `train_cores` and
    `train_memory_gib`. `accelerators` of the type `accelerator` ("": none) are for training, or for the whole custom
    job. `network`: of a VPC that is peered ("": none).

    A release is served, and batches are answered, by the container `serving_image` ("": `managed.image`) on from
    `min_replicas` to `max_replicas` machines `serving_machine`. `request_log`: the table of BigQuery, bq://…, into
    which the service writes all requests of an endpoint and their answers ("": none).
    """

    pipeline: bool = True
    cores: TaskCores = 4
    memory_gib: Annotated[float, msgspec.Meta(ge=1, le=624)] = 16.0
    train_cores: TaskCores = 4
    train_memory_gib: Annotated[float, msgspec.Meta(ge=1, le=624)] = 16.0
    machine: str = "n1-standard-4"
    accelerator: str = ""
    accelerators: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    network: str = ""
    serving_image: str = ""
    serving_machine: str = "e2-standard-2"
    min_replicas: Machines = 1
    max_replicas: Machines = 1
    request_log: str = ""
    endpoint: str = ""


class ManagedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[managed]`: the `project` that pays, the `region`, a `temporary` folder in a bucket, the `image` of the workers.

    `service_account`, `subnetwork`: as what and where workers run ("": the service's default). `hours` after which a
    job is ended, whatever it does; `poll` seconds between two looks at it; `patience`: for so many seconds a service
    that does not answer, or says that it is too much, is asked again. `endpoint`, of each service: where it is reached
    ("": the region's; http:// for one on this machine that asks for no credentials).
    """

    project: str = ""
    region: str = ""
    temporary: str = ""
    image: str = ""
    service_account: str = ""
    subnetwork: str = ""
    hours: Hours = 4.0
    poll: Seconds = 10.0
    patience: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 300.0
    dataproc: DataprocSettings = DataprocSettings()
    dataflow: DataflowSettings = DataflowSettings()
    vertex: VertexSettings = VertexSettings()


SERVICES: dict[str, type[msgspec.Struct]] = {
    "dataproc": DataprocSettings,
    "dataflow": DataflowSettings,
    "vertex": VertexSettings,
}
"""The tables below `[managed]`, one a service."""
MAPPINGS = ("options", "properties")
"""Settings that are tables of a service's own names."""
