"""A run inside a training job of a platform: what its environment says of where things go, and of its machines.

    AIP_CHECKPOINT_DIR, AIP_TENSORBOARD_LOG_DIR, AIP_MODEL_DIR ─▶ Platform: places, each a path or an url
    TF_CONFIG ─▶ nothing, or refused: several machines would each train the whole, and each write the release

TensorFlow reads TF_CONFIG only where a strategy of several machines is made, which nothing here does.
What does not belong here: reading the environment (`api`), writing to the places (`train`, `export`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ninetyfive.errors import SettingsError

_CONFIG = "TF_CONFIG"
_FIRST = ("chief", "master", "worker")
"""Kinds of tasks of which one alone trains."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Where a platform wants checkpoints, TensorBoard logs and the SavedModel; None: where they are anyway."""

    checkpoints: str | None = None
    logs: str | None = None
    model: str | None = None


NONE = Platform()


class _Task(msgspec.Struct):
    type: str = "worker"
    index: int = 0


class _Config(msgspec.Struct):
    cluster: dict[str, list[str]] = {}
    task: _Task = msgspec.field(default_factory=_Task)


def platform_of(environment: Mapping[str, str]) -> Platform:
    """What the environment says; `SettingsError` for a cluster of several machines, or a TF_CONFIG that says nothing.

    >>> platform_of({"AIP_MODEL_DIR": "gs://bucket/job/model/"}).model
    'gs://bucket/job/model/'
    """
    _check_machines(environment.get(_CONFIG) or "{}")
    words = ("AIP_CHECKPOINT_DIR", "AIP_TENSORBOARD_LOG_DIR", "AIP_MODEL_DIR")
    return Platform(*(environment.get(word) or None for word in words))


def _check_machines(text: str) -> None:
    try:
        config = msgspec.json.decode(text, type=_Config)
    except msgspec.MsgspecError as error:
        raise SettingsError(
            _CONFIG,
            expected='JSON such as {"cluster": {"chief": ["host:2222"]}, "task": {"type": "chief", "index": 0}}',
            got=str(error),
            do="see who sets it, or unset it: one machine needs none",
        ) from None
    machines = sum(map(len, config.cluster.values()))
    task = config.task
    if machines > 1 or task.index or task.type not in _FIRST:
        counts = ", ".join(f"{len(hosts)} {kind}" for kind, hosts in config.cluster.items())
        raise SettingsError(
            _CONFIG,
            expected="one machine: ninetyfive trains on one, with tf.distribute.MirroredStrategy over its devices",
            got=f"{task.type} {task.index} of a cluster of {counts or 'no machines'}",
            do="start the job with one replica, on a larger machine or one with several accelerators",
        )
