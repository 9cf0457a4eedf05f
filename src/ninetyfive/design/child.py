"""One process that makes trainings, and nothing else; it is told what on a stream.

    System ─▶ loads system.py ─▶ Said      Data ─▶ maps the history ─▶ Said      Job ─▶ trains ─▶ Said     … end ─▶ exit

The rule: each order is answered once, in turn; where the stream ends, because the parent ended it or is gone, this
process ends too, whatever it is doing. A fault that no training should have ends it: the parent sees how. What does not
belong here: which trainings are made (`backtest`), how many processes there are (`children`).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import polars as pl

from ninetyfive.design.blocks import blocks_of
from ninetyfive.design.history import History
from ninetyfive.design.room import peak_memory
from ninetyfive.design.trainer import Job, Outcome, Recipe, Trainer
from ninetyfive.errors import NinetyfiveError, UsageError
from ninetyfive.loading import executed
from ninetyfive.metrics import Task
from ninetyfive.system import Declaration


@dataclass(frozen=True, slots=True)
class System:
    """Where a system is declared, its name, how it looks, and where modules are looked for."""

    file: str
    name: str
    look: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Data:
    """A history, whose frame is an Arrow file, and what the recipe is beside what system.py says."""

    frame: str
    types: Mapping[str, str]
    task: Task
    metrics: tuple[str, ...]
    params: Mapping[str, Any]
    seed: int
    window: str | None
    held_out: float


@dataclass(frozen=True, slots=True)
class Said:
    """The answer to an order: what came of a job, or why nothing did; seconds of CPU and bytes at most, so far."""

    outcome: Outcome | None = None
    why_not: str | None = None
    seconds: float = 0.0
    peak: int = 0


def look_of(declaration: Declaration) -> str:
    """What has to be the same of a system that was loaded twice."""
    model = declaration.declared_model
    params = None if model is None else sorted(model.params.items())
    return repr([[(name, str(feature)) for name, feature in declaration.features.items()], params])


def main() -> None:
    """Answer the orders that come on the descriptor which the command line names, until there are none."""
    link = Connection(int(sys.argv[1]))
    orders: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(link, orders), daemon=True).start()
    try:
        declaration = _declaration(orders.get())
        link.send(Said(seconds=time.process_time()))
        trainer = _trainer(declaration, orders.get())
        link.send(Said(seconds=time.process_time()))
    except NinetyfiveError as error:
        link.send(Said(why_not=error.said))
        return
    while True:
        link.send(_made(trainer, orders.get()))


def _listen(link: Connection, orders: SimpleQueue[Any]) -> None:
    while True:
        try:
            orders.put(link.recv())
        except (EOFError, OSError):
            os.killpg(0, signal.SIGKILL)  # this process, and what the model started: it leads a session of its own


def _declaration(order: System) -> Declaration:
    sys.path[:] = order.path
    names = executed(Path(order.file))
    found = [one for one in names.values() if isinstance(one, Declaration) and one.name == order.name]
    if not found or any(look_of(one) != order.look for one in found):
        raise UsageError(
            order.file,
            expected=f"the system {order.name!r}, as it was declared before",
            got="another one" if found else "none",
            do="declare it at the top level of the file, from nothing but that file",
        )
    return found[0]


def _trainer(declaration: Declaration, order: Data) -> Trainer:
    model = declaration.declared_model
    assert model is not None
    history = History(pl.read_ipc(order.frame), order.types, order.task)
    recipe = Recipe(
        declaration.features, model.function, order.metrics, order.params, order.seed, order.window, order.held_out
    )
    return Trainer(history, recipe, blocks_of(history))


def _made(trainer: Trainer, job: Job) -> Said:
    try:
        return Said(trainer.train(job), peak=peak_memory())
    except NinetyfiveError as error:
        return Said(why_not=error.said, peak=peak_memory())
