"""One seed for all that draws while a model is made: `random`, `numpy.random` and, where it is used, Keras.

    with seeded(95): …      random and numpy are put back after; TensorFlow has no way to ask for its own state

Keras is imported by the model function itself, inside the block: it is seeded as soon as it is there. Its operations
are deterministic from then on (`enable_op_determinism`), oneDNN is off unless `TF_ENABLE_ONEDNN_OPTS` says otherwise,
and names of layers count from the start, so that the same rows, parameters and seed give the same bytes.
"""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed what draws, and put `random` and `numpy.random` back as they were."""
    old, old_numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    waiting = _WhenImported(seed)
    if "keras" in sys.modules:
        _seed_keras(seed)
    else:
        sys.meta_path.insert(0, waiting)
    try:
        yield
    finally:
        if waiting in sys.meta_path:
            sys.meta_path.remove(waiting)
        random.setstate(old)
        np.random.set_state(old_numpy)


def import_tensorflow() -> Any:
    """TensorFlow, imported without its greetings."""
    _environment()
    import tensorflow

    tensorflow.get_logger().setLevel("ERROR")  # below stand hints on tracing, of models that are made one by one
    return tensorflow


def import_keras() -> Any:
    """Keras on TensorFlow, imported without greetings."""
    _environment()
    import keras

    return keras


def _environment() -> None:
    """What has to stand in the environment before TensorFlow is imported."""
    for name, value in (
        ("TF_CPP_MIN_LOG_LEVEL", "2"),
        ("TF_ENABLE_ONEDNN_OPTS", "0"),
        ("KERAS_BACKEND", "tensorflow"),
    ):
        os.environ.setdefault(name, value)


def _seed_keras(seed: int) -> None:
    framework = import_keras()
    framework.utils.clear_session(free_memory=False)
    framework.utils.set_random_seed(seed)
    import_tensorflow().config.experimental.enable_op_determinism()


class _WhenImported(MetaPathFinder):
    """Seeds Keras when it is imported for the first time."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname not in ("keras", "tensorflow"):
            return None
        _environment()
        if fullname == "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executed(module: ModuleType) -> None:
                execute(module)
                _seed_keras(self._seed)

            spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec
