"""The native form as a predictor: for a release that says `native=True`, and for measuring the served form against.

folder with model.skops ─ NativePredictor ─▶ predict(x), by the framework itself, imported on first use
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ninetyfive.hashing import content_hash
from ninetyfive.metrics import Task
from ninetyfive.models.adapters import adapter_named
from ninetyfive.models.predictor import Answers, Inputs, answer_complete, inputs


class NativePredictor:
    """Answers by the framework that made the model; picklable, equal where the saved bytes are equal.

    `files` are what the adapter saved, as {name: bytes}; the model is loaded on first use, once a process. With
    `refuses_missing` (what the proof found) a row with a NaN has no answer: NaN.
    """

    def __init__(
        self,
        adapter: str,
        files: dict[str, bytes],
        task: Task,
        classes: Sequence[str] = (),
        *,
        refuses_missing: bool = False,
    ) -> None:
        self.adapter = adapter
        self.files = dict(sorted(files.items()))
        self.task = task
        self.classes = tuple(classes)
        self.refuses_missing = refuses_missing
        self.digest = content_hash([adapter, task, self.classes, self.files, refuses_missing])
        self._lock = threading.Lock()
        self._model: Any = None

    @classmethod
    def of(
        cls, adapter: str, folder: Path, task: Task, classes: Sequence[str] = (), *, refuses_missing: bool = False
    ) -> NativePredictor:
        """The predictor of the files that the adapter saved in `folder`."""
        names = adapter_named(adapter).FILES
        files = {name: (folder / name).read_bytes() for name in names}
        return cls(adapter, files, task, classes, refuses_missing=refuses_missing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NativePredictor) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"NativePredictor({self.adapter}, {self.size} bytes)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.adapter, self.files, self.task, self.classes, self.refuses_missing)

    @property
    def size(self) -> int:
        """The size of the saved files in bytes."""
        return sum(len(data) for data in self.files.values())

    def predict(self, x: Inputs) -> Answers:
        """Answers for float32 (rows, columns), in the shape of the task; what the framework raises is passed on."""
        rows = inputs(x, None, self.adapter)
        if self.refuses_missing:
            return answer_complete(self._run, rows, self.task, self.classes)
        return self._run(rows)

    def _run(self, x: Inputs) -> Answers:
        return adapter_named(self.adapter).predict(self._loaded(), x, self.task, self.classes)

    def _loaded(self) -> Any:
        if self._model is None:
            with self._lock:
                if self._model is None:
                    with tempfile.TemporaryDirectory() as folder:
                        for name, data in self.files.items():
                            (Path(folder) / name).write_bytes(data)
                        self._model = adapter_named(self.adapter).load(Path(folder))
        return self._model


def _rebuilt(
    adapter: str, files: dict[str, bytes], task: Task, classes: tuple[str, ...], refuses_missing: bool
) -> NativePredictor:
    return NativePredictor(adapter, files, task, classes, refuses_missing=refuses_missing)
