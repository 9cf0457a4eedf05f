"""Rows that Vertex AI answers in a batch: sent as JSON Lines, each with its number, and put in order again.

    rows ─ instances/*.jsonl, numbered ─▶ BatchPredictions ─▶ <id>/answers/…/prediction.results-* ─▶ answers, in order

The service promises no order: the number of a row comes back with its answer (`keyField`).
What does not belong here: which rows those are, and the file of answers (`steps.predict`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive.engines.shipping import pack_error
from ninetyfive.errors import ServiceError
from ninetyfive.hashing import bytes_hash
from ninetyfive.managed.cloud import last
from ninetyfive.managed.container import CONFIG
from ninetyfive.managed.jobs import Request, Work
from ninetyfive.managed.packing import ERROR, Place
from ninetyfive.managed.vertex import NAME
from ninetyfive.managed.vertex_batch import ANSWERS, INSTANCES, KEY, SERVICE, BatchPredictions
from ninetyfive.models.predictor import Answers
from ninetyfive.steps.predict import Rows
from ninetyfive.store.records import Job
from ninetyfive.supervise.replay import request_cell

_FILE_ROWS = 50_000
_RESULTS, _ERRORS = ("prediction.results", "predictions_"), ("prediction.errors", "errors_")


class _Told(msgspec.Struct):
    key: str | int
    prediction: float | dict[str, float] | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to be answered, as an errand: `instances` and `service` are folders of this machine that are copied."""

    id: str
    place: Place
    purpose: str
    system: str
    service: Path
    instances: Path
    count: int
    classes: tuple[str, ...]
    to: BatchPredictions

    @property
    def nothing(self) -> Answers:
        """The answers to no rows."""
        return np.empty((0, len(self.classes))) if self.classes else np.empty(0)

    def results(self, attempts: Sequence[Job], /) -> Answers | None:
        """The answers in the order of the rows, where all of them are there; NaN for a row without an answer."""
        done = [attempt for attempt in attempts if attempt.state == "done"]
        return self._read(done[-1].id) if done else None

    def prepare(self, id: str) -> Request:
        """The service and the rows in the folder; the configuration is written last, and says that all is there."""
        self.place.remove(id)
        if self.place.read(f"{SERVICE}/{CONFIG}") is None:
            self.place.bring(self.service, SERVICE, last=CONFIG)
        self.place.bring(self.instances, INSTANCES)
        return self.to.render(Work(id=id, folder=self.place.url, system=self.system, purpose=self.purpose))

    def _read(self, id: str) -> Answers | None:
        width = max(len(self.classes), 1)
        values, seen = np.full((self.count, width), np.nan), np.zeros(self.count, dtype=bool)
        names = self.place.names(f"{id}/{ANSWERS}")
        odd = b""
        for line in self._lines(names, _RESULTS):
            number, answer = self._answer(line)
            if 0 <= number < self.count:
                values[number], seen[number] = answer, True
            else:
                odd = odd or line
        if seen.all():
            return values if self.classes else values[:, 0]
        said = next(iter(self._lines(names, _ERRORS)), odd).decode(errors="replace") or "no word of why"
        error = ServiceError(
            f"{NAME}, job {id}",
            expected=f"an answer for each of {self.count:,} rows",
            got=f"none for {int((~seen).sum()):,} of them, and {said[:500]}",
            do="look into the logs of its container, ninetyfive jobs show has the page; then the same command again",
        )
        self.place.write(f"{id}/{ERROR}", pack_error(error))
        return None

    def _answer(self, line: bytes) -> tuple[int, Any]:
        """The number of a row and its answer, NaN where the model gave none; -1 for a line that is no answer."""
        try:
            told = msgspec.json.decode(line, type=_Told)
            if told.prediction is None:
                return int(told.key), np.nan
            if isinstance(told.prediction, dict):
                return int(told.key), [told.prediction[name] for name in self.classes or ("",)]
            return (-1 if self.classes else int(told.key)), told.prediction
        except (msgspec.MsgspecError, ValueError, KeyError):
            return -1, np.nan

    def _lines(self, names: Sequence[str], begin: tuple[str, ...]) -> Iterator[bytes]:
        for name in names:
            if last(name).startswith(begin):
                yield from (line for line in (self.place.read(name) or b"").splitlines() if line.strip())


def write_instances(rows: Rows, folder: Path) -> str:
    """Write rows as JSON Lines, as the prediction API takes them, each with its number; the hash of all of them."""
    hashes, start, lines = [], 0, list[bytes]()

    def flush() -> None:
        data = b"".join(lines)
        hashes.append(bytes_hash(data))
        (folder / f"{len(hashes):05d}.jsonl").write_bytes(data)
        lines.clear()

    folder.mkdir(parents=True, exist_ok=True)
    for frame in rows.frames():
        for line in _instances(frame, start):
            lines.append(line)
            if len(lines) == _FILE_ROWS:
                flush()
        start += frame.height
    if lines:
        flush()
    return bytes_hash("".join(hashes).encode())


def _instances(frame: pl.DataFrame, start: int) -> Iterator[bytes]:
    for number, row in enumerate(frame.iter_rows(named=True), start):
        given = {name: request_cell(cell) for name, cell in row.items() if cell is not None}
        yield msgspec.json.encode({KEY: str(number), **given}) + b"\n"
