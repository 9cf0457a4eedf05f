"""What a worker answers from: one release folder and one table folder, opened, held against each other, and tried.

    release folder ─ open_release ─┐
    table folder ─── Table ────────┼─▶ Loaded ─ prove() ─▶ its golden requests answered ─▶ may go live
    policy ────────────────────────┘

The rule: whatever cannot answer its golden requests as it did when it was evaluated is refused, here.
What does not belong here: requests (`rows`), and when a release goes live (`worker`).
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ninetyfive.errors import FeatureError, IntegrityError, ModelError
from ninetyfive.features.frames import frame_of
from ninetyfive.models.litert import LiteRtPredictor
from ninetyfive.models.onnx import OnnxPredictor
from ninetyfive.models.predictor import Answers
from ninetyfive.models.release import EVIDENCE, OpenRelease, open_release
from ninetyfive.models.scoring import matrix
from ninetyfive.serve.messages import Limits, Live, Policy
from ninetyfive.serve.rows import Rows
from ninetyfive.tables.keys import KEY_BYTES, entity_key
from ninetyfive.tables.reader import Table

Answer = float | tuple[float, ...] | None
"""What one row is answered: a number, one probability a class, or None where the model refuses a missing input."""

Cells = tuple[Any, ...]
"""The row scalars of the columns that the features read, in the order of the transform's `inputs`."""
_DEAR = 0.0005
"""Seconds of one row from which on the model runs in a thread of its own; the way there and back costs 0.1 ms."""
_WARM_SECONDS = 0.05
"""How long a release is warmed up at most: a dear one is warm after few rows, and what answers meanwhile pays."""
_TRIES = 5
_LIGHT = (OnnxPredictor, LiteRtPredictor)
"""What answers a row alone, with no framework behind it."""
_LIMITS = Limits()
_pack = msgspec.msgpack.Encoder().encode
_ROUNDING = 1e-6
"""How far, relative to 1 or the answer, a golden answer may differ: another processor may round a float32 otherwise."""


class Loaded:
    """A release and its table, ready to answer; all but `cache` is fixed. Errors of either are passed on.

    `cache` holds answers of its model by the bytes of `inputs`, the oldest first, as many as the policy says.

    `key` makes the table's key of a struct of row scalars (None: no entity, or a null in it), `inputs` the tuple of
    what the features read (`names`), whose bytes are fingerprinted, `cells` that of all columns. `seconds`: the
    measured time of one row by the row function and the model; `dear`: it is so long that it would hold up others;
    `light`: it is not, and no framework runs that may raise what it likes. `opened` holds the tables that this process
    has open, by id: LMDB opens no file twice in a process, and that of another epoch may be one that is answered from.
    """

    def __init__(
        self,
        live: Live,
        policy: Policy,
        system: str,
        opened: MutableMapping[str, Table] | None = None,
        limits: Limits = _LIMITS,
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
        self.rows = Rows(self.schema, limits.depth)
        self.classes = about.classes
        transform = self.release.transform
        self.inputs = self.rows.cells(tuple(transform.inputs))
        self.names = tuple(transform.inputs)
        self.cells = self.rows.cells(self.schema.names)
        self.nothing = (None,) * len(self.schema.columns)
        entity = self.rows.cells(about.entity)
        self.key = _key_function(entity, [self.schema.types[name] for name in about.entity])
        self.model_inputs = transform.tuples()
        self.alone = about.tolerance > 0
        self.cache: OrderedDict[bytes, Answer] = OrderedDict()
        self.seconds = 0.0
        self.dear = self.light = False
        predictor = self.release.predictor
        self._one = predictor.alone() if isinstance(predictor, _LIGHT) else self._by_batch

    def predict(self, inputs: Sequence[list[float]]) -> list[Answer]:
        """The answers for rows of model inputs, from any thread: the same bits, whatever else is in the batch."""
        if self.alone and len(inputs) > 1:
            return [self._by_batch(one) for one in inputs]
        return self._told(self.release.predictor.predict(np.array(inputs, dtype=np.float32)))

    def one(self, cells: Cells) -> Answer:
        """The answer for one row, from the thread of the event loop only."""
        return self._one(self.model_inputs(cells))

    def compute(self, rows: Sequence[Cells]) -> list[Answer]:
        """The answers for rows, from any thread: by frames where that is quicker, else by the row function."""
        if len(rows) < self.release.crossover:
            return self.predict([self.model_inputs(cells) for cells in rows])
        transform = self.release.transform
        frame = frame_of([dict(zip(self.names, cells, strict=True)) for cells in rows], transform.inputs)
        made = matrix(transform.frames()(frame))
        if self.alone:
            return self.predict(made.tolist())
        return self._told(self.release.predictor.predict(made))

    def _by_batch(self, inputs: Sequence[float]) -> Answer:
        return self.predict([list(inputs)])[0]

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

    def prove(self, warm: Sequence[Mapping[str, Any]] = ()) -> None:
        """Answer the golden requests, and warm up on rows that were asked before; `ModelError` where one differs.

        Also measures what a row costs. Rows of `warm` (column → row scalar) of another schema are left out.
        """
        allowed = self.release.about.tolerance
        names = self.names
        golden_rows: list[Cells] = []
        for number, golden in enumerate(self.release.golden, 1):
            cells = tuple(tuple(x) if isinstance(x := golden.row[name], list) else x for name in names)
            golden_rows.append(cells)
            try:
                got = self.shown(self.one(cells))
            except FeatureError as error:
                raise _wrong(self.live.folder, number, golden.answer, str(error)) from None
            if not _equal(got, golden.answer, allowed):
                raise _wrong(self.live.folder, number, golden.answer, str(got))
        rows = [tuple(row[name] for name in names) for row in warm if row.keys() >= set(names)] or golden_rows
        end = time.monotonic() + _WARM_SECONDS
        for cells in rows:
            self.one(cells)
            if time.monotonic() > end:
                break
        self.seconds = min((self._timed(cells) for cells in rows[:_TRIES]), default=0.0)
        self.dear = self.seconds > _DEAR
        self.light = not self.dear and isinstance(self.release.predictor, _LIGHT)

    def _timed(self, cells: Cells) -> float:
        start = time.perf_counter()
        self.one(cells)
        return time.perf_counter() - start


def _key_function(entity: Callable[[Any], Cells], types: Sequence[str]) -> Callable[[Any], bytes | None]:
    """The function from a struct to the table's key: `entity_key`, quicker where no value can be a float or list."""
    if not types:
        return lambda _: None
    if any(type == "number" or type.startswith("list") for type in types):
        return lambda row: entity_key(entity(row))

    def key(row: Any) -> bytes | None:
        values = entity(row)
        if None in values:
            return None
        packed = _pack(values)
        return packed if len(packed) <= KEY_BYTES else entity_key(values)

    return key


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
