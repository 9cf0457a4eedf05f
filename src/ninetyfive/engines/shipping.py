"""How a job gets to its workers, and how an error of ours gets back.

    driver: graph, functions ── dumps ──▶ bytes ── pickle.loads ──▶ worker
    driver: raise the same error ◀── found in the text of what the runner says ◀── carried ── worker

Classes and functions of installed packages travel by name, as the worker has the same packages. Those of the project
(system.py, a notebook, a test) travel as code. What does not belong here: what is shipped (`submission`, `tasks`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from types import ModuleType, TracebackType

from ninetyfive import errors
from ninetyfive.errors import EngineError, NinetyfiveError
from ninetyfive.loading import own_modules

_CARRIED = re.compile(r"ninetyfive-error:([A-Za-z0-9_=-]+):")
_SHIPPING = Lock()
"""cloudpickle keeps one register for all threads."""
_SHOWN = 2_000


class CarriedError(Exception):
    """An error of ours on its way out of a worker, in a form that survives being wrapped into any text."""


def dumps(*values: object) -> list[bytes]:
    """For each value, bytes that `pickle.loads` gives back elsewhere, with what is not installed there as code.

    `EngineError` where a part of a value cannot be pickled.
    """
    import cloudpickle

    with _SHIPPING, _by_value(own_modules()):
        try:
            return [bytes(cloudpickle.dumps(value, protocol=5)) for value in values]
        except (TypeError, AttributeError, RecursionError, cloudpickle.pickle.PicklingError) as error:
            raise EngineError(
                "plans for the workers of the engine",
                expected="functions, reducers and readers that can be pickled",
                got=str(error),
                do="make them frozen dataclasses of plain values: no open files, locks or connections",
            ) from error


@contextmanager
def _by_value(modules: list[ModuleType]) -> Iterator[None]:
    """Let cloudpickle send these modules as code; those that somebody registered before stay registered."""
    import cloudpickle

    known = cloudpickle.list_registry_pickle_by_value()
    mine = [module for module in modules if module.__name__ not in known]
    for module in mine:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in mine:
            cloudpickle.unregister_pickle_by_value(module)


@contextmanager
def carried() -> Iterator[None]:
    """In a worker: turn an error of ours into a `CarriedError`; others pass as they are."""
    try:
        yield
    except NinetyfiveError as error:
        text = base64.urlsafe_b64encode(json.dumps(error.as_dict()).encode()).decode()
        raise CarriedError(f"{error} ninetyfive-error:{text}:") from error


class Told(AbstractContextManager[None]):
    """In the driver: raise what a worker raised, and any other error of an engine's library as an `EngineError`."""

    def __init__(self, engine: str) -> None:
        self._engine = engine

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, NinetyfiveError):
            return
        carried = _CARRIED.search(str(error))
        if carried is None:
            raise _shown(error, self._engine) from error
        said = json.loads(base64.urlsafe_b64decode(carried[1]))
        raise getattr(errors, said.pop("kind"), EngineError)(said.pop("where"), **said) from None


def _shown(error: Exception, engine: str) -> EngineError:
    text = str(error)
    lines = [line for line in text.strip().splitlines() if line.strip() and not line.lstrip().startswith("at ")]
    shown = " ".join(f"{type(error).__name__}: {' '.join(lines)}".split())
    module = "ModuleNotFoundError" in text
    return EngineError(
        f"engine {engine}",
        expected="a job that ends well",
        got=shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN // 2]} … {shown[-_SHOWN // 2 :]}",
        do="install the same packages on the workers as here"
        if module
        else f"correct what it names, or look into the logs of {engine} (NINETYFIVE_LOG=info: those of here)",
    )
