"""What a worker answers from: one release folder and one table folder, opened, held against each other, and tried.

    release folder ─ open_release ─┐
    table folder ─── Table ────────┼─▶ Loaded ─ prove() ─▶ its golden requests answered ─▶ may go live
    policy ────────────────────────┘

The rule: whatever cannot answer its golden requests as it did when it was evaluated is refused, here.
What does not belong here: requests (`rows`), and when a release goes live (`worker`).
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ninetyfive.errors import FeatureError, IntegrityError, ModelError
from ninetyfive.features.frames import frame_of
from ninetyfive.models.predictor import Answers
from ninetyfive.models.release import EVIDENCE, OpenRelease, open_release
from ninetyfive.models.scoring import matrix
from ninetyfive.serve.messages import Live, Policy
from ninetyfive.serve.rows import Row, Rows
from ninetyfive.tables.keys import entity_key
from ninetyfive.tables.reader import Table

Answer = float | tuple[float, ...] | None
"""What one row is answered: a number, one probability a class, or None where the model refuses a missing input."""

_DEAR = 0.0005
"""Seconds of one row from which on the model runs in a thread of its own; the way there and back costs 0.1 ms."""
_TRIES = 5
_ROUNDING = 1e-6
"""How far, relative to 1 or the answer, a golden answer may differ: another processor may round a float32 otherwise."""


class Loaded:
    """A release and its table, ready to answer; all attributes are fixed. Errors of either are passed on.

    `key` makes the table's key of a row of scalars (None: no entity, or a null in it), `inputs` the tuple whose bytes
    are fingerprinted. `seconds`: the measured time of one row by the row function and the model; `dear`: it is so long
    that it would hold up others. `opened` holds the tables that this process has open, by id: LMDB opens no file twice
    in a process, and the table of another epoch may be one that is answered from.
    """

    def __init__(
        self, live: Live, policy: Policy, system: str, opened: MutableMapping[str, Table] | None = None
    ) -> None:
        self.live = live
        self.policy = policy
        self.release: OpenRelease = open_release(Path(live.folder), live.release)
        about = self.release.about
        if about.system != system:
            raise IntegrityError(
                live.folder,
                expected=f"a release of system {system!r}",
                got=f"one of {about.system!r}",
                do="start a service of its own for each system",
            )
        self.table = _table(live, about.entity, {} if opened is None else opened)
        self.as_of = self.table.about.as_of if self.table is not None else None
        self.as_of_seconds = datetime.fromisoformat(self.as_of).timestamp() if self.as_of else 0.0
        self.created = _made(Path(live.folder))
        self.schema = self.release.request
        self.rows = Rows(self.schema)
        self.classes = about.classes
        self.key = _keys(about.entity)
        self.inputs = _tuples(list(self.release.transform.inputs))
        self.cells = _tuples(list(self.schema.names))
        self.by_row = self.release.transform.rows()
        self.alone = about.tolerance > 0
        self.seconds = 0.0
        self.dear = False

    def model_inputs(self, row: Row) -> list[float]:
        """The model's inputs of one row; `FeatureError` where an integer leaves 64 bits."""
        return self.by_row(row)

    def predict(self, inputs: Sequence[list[float]]) -> list[Answer]:
        """The answers for rows of model inputs: the same bits, whatever else is in the batch."""
        if self.alone and len(inputs) > 1:
            return [answer for one in inputs for answer in self.predict([one])]
        return self._told(self.release.predictor.predict(np.array(inputs, dtype=np.float32)))

    def compute(self, rows: Sequence[Row]) -> list[Answer]:
        """The answers for rows of scalars: by frames where that is quicker, else by the row function."""
        if len(rows) < self.release.crossover:
            return self.predict([self.by_row(row) for row in rows])
        transform = self.release.transform
        made = matrix(transform.frames()(frame_of(rows, transform.inputs)))
        if self.alone:
            return self.predict(made.tolist())
        return self._told(self.release.predictor.predict(made))

    def _told(self, answers: Answers) -> list[Answer]:
        values: list[Any] = answers.tolist()
        if self.classes:
            return [None if math.isnan(value[0]) else tuple(value) for value in values]
        return [None if value != value else value for value in values]

    def shown(self, answer: Answer) -> float | dict[str, float] | None:
        """An answer as JSON says it: {class: probability} for a multiclass model."""
        return dict(zip(self.classes, answer, strict=True)) if isinstance(answer, tuple) else answer

    def default(self, said: float | str) -> Answer:
        """An answer that was declared: the number, or probability 1 for the class of that name."""
        if not self.classes:
            return float(said)
        return tuple(float(name == said) for name in self.classes)

    def prove(self, warm: Sequence[Row] = ()) -> None:
        """Answer the golden requests, and warm up on rows that were asked before; `ModelError` where one differs.

        Also measures what a row costs. Rows of another schema are left out.
        """
        allowed = self.release.about.tolerance
        for number, golden in enumerate(self.release.golden, 1):
            row = {name: tuple(cell) if isinstance(cell, list) else cell for name, cell in golden.row.items()}
            try:
                [got] = self.compute([row])
            except FeatureError as error:
                raise _wrong(self.live.folder, number, golden.answer, str(error)) from None
            if not _equal(self.shown(got), golden.answer, allowed):
                raise _wrong(self.live.folder, number, golden.answer, str(self.shown(got)))
        rows = [row for row in warm if row.keys() >= self.release.transform.inputs.keys()]
        rows = rows or [dict(golden.row) for golden in self.release.golden]
        for row in rows[: _TRIES * 20]:
            self.compute([row])
        self.seconds = min(self._timed(rows[place % len(rows)]) for place in range(_TRIES)) if rows else 0.0
        self.dear = self.seconds > _DEAR

    def _timed(self, row: Row) -> float:
        start = time.perf_counter()
        self.compute([row])
        return time.perf_counter() - start


class _Evidence(msgspec.Struct):
    """What is read of evidence.json."""

    made: datetime | None = None


def _table(live: Live, entity: Sequence[str], opened: MutableMapping[str, Table]) -> Table | None:
    """The table of `live`, opened once."""
    if live.table is None or live.table_folder is None:
        return None
    table = opened.get(live.table)
    if table is None or table.about.release != live.release:
        folder = Path(live.table_folder)
        table = Table(folder, release=live.release, checked=live.table_checked, entity=entity)
        opened[live.table] = table
    return table


def _made(folder: Path) -> float:
    """When a release was made, in seconds since 1970; 0.0 where it does not say."""
    made = msgspec.json.decode((folder / EVIDENCE).read_bytes(), type=_Evidence).made
    return made.timestamp() if made is not None else 0.0


def _equal(got: Any, golden: Any, allowed: float) -> bool:
    if isinstance(golden, Mapping):
        return isinstance(got, Mapping) and all(_equal(got.get(name), golden[name], allowed) for name in golden)
    if golden is None or got is None:
        return golden is got
    return bool(abs(got - golden) <= max(allowed, _ROUNDING * max(1.0, abs(golden))))


def _wrong(folder: str, number: int, expected: Any, got: str) -> ModelError:
    return ModelError(
        f"{folder}, golden request {number}",
        expected=f"the answer {expected}, as when it was evaluated",
        got=got,
        do="serve another release; run ninetyfive doctor on the store, and install what requirements the release names",
    )


def _tuples(names: list[str]) -> Callable[[Row], tuple[Any, ...]]:
    """The function from a row to the tuple of its values of `names`."""
    if len(names) == 1:
        one = names[0]
        return lambda row: (row[one],)
    if not names:
        return lambda _: ()
    return operator.itemgetter(*names)


def _keys(entity: tuple[str, ...]) -> Callable[[Row], bytes | None]:
    values = _tuples(list(entity))
    return (lambda row: entity_key(values(row))) if entity else (lambda _: None)
