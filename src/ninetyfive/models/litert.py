"""A served form: one LiteRT file with one float32 input and one output, run on one thread without TensorFlow.

    release/model.tflite ─ LiteRtPredictor ─▶ predict(x) ─▶ float64, in the shape of the task

An interpreter of LiteRT is of one thread, so each thread opens its own. XNNPACK stays out: it writes of itself to
stderr.
What does not belong here: how a file is made (`models/keras.py`), whether it is right (`models/proof.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ninetyfive.errors import ModelError
from ninetyfive.hashing import content_hash
from ninetyfive.metrics import Task
from ninetyfive.models.predictor import Answers, Inputs, answer_complete, answers, inputs

_WHERE = "model.tflite"
_RUNTIME_ERRORS = (RuntimeError, ValueError)
"""What an interpreter raises."""


class LiteRtPredictor:
    """Answers by LiteRT: CPU, one thread; picklable, equal where the bytes are equal.

    Interpreters open on first use, one a thread. Bytes that are no such model raise `ModelError` on first use. With
    `refuses_missing` (what the proof found) a row with a NaN has no answer: NaN.

    >>> LiteRtPredictor(b"not a model", "regression").predict([[1.0]])
    Traceback (most recent call last):
    ninetyfive.errors.ModelError: model.tflite: expected a LiteRT model, got 11 bytes that LiteRT cannot open ...
    """

    def __init__(self, model: bytes, task: Task, classes: Sequence[str] = (), *, refuses_missing: bool = False) -> None:
        self.data = model
        self.task = task
        self.classes = tuple(classes)
        self.refuses_missing = refuses_missing
        self.digest = content_hash([model, task, self.classes, refuses_missing])
        self._threads = threading.local()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LiteRtPredictor) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"LiteRtPredictor({self.digest[:12]}…, {self.size} bytes)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.data, self.task, self.classes, self.refuses_missing)

    @property
    def size(self) -> int:
        """The size of the model in bytes."""
        return len(self.data)

    def predict(self, x: Inputs) -> Answers:
        """Answers for float32 (rows, columns): float64 (rows,), or (rows, classes) for multiclass."""
        opened = self._mine()
        x = inputs(x, opened.columns, _WHERE)
        if not len(x):
            return np.zeros((0, len(self.classes)) if self.task == "multiclass" else (0,))
        if self.refuses_missing:
            return answer_complete(lambda rows: self._run(opened, rows), x, self.task, self.classes)
        return self._run(opened, x)

    def alone(self) -> Callable[[Sequence[float]], float | tuple[float, ...] | None]:
        """A function for one row at a time: as many inputs as columns → a number, one a class, or None (no answer).

        The bits of `predict`. Each call of this gives a function of its own, for one thread.
        """
        opened = _Opened(self.data)
        given = np.zeros((1, opened.columns), dtype=np.float32)
        refuses, several = self.refuses_missing, bool(self.classes)

        def answer(row: Sequence[float]) -> float | tuple[float, ...] | None:
            if refuses and any(cell != cell for cell in row):
                return None
            given[0] = row
            try:
                values: list[float] = opened.run(given).reshape(-1).tolist()
            except _RUNTIME_ERRORS as cause:
                raise _failed(1, cause) from cause
            if several:
                return tuple(values) if values[0] == values[0] else None
            return values[-1] if values[-1] == values[-1] else None

        return answer

    def _run(self, opened: _Opened, x: Inputs) -> Answers:
        try:
            result = opened.run(x)
        except _RUNTIME_ERRORS as cause:
            raise _failed(len(x), cause) from cause
        if self.task == "binary" and result.ndim == 2 and result.shape[1] == 2:
            result = result[:, 1]
        return answers(result, self.task, self.classes, len(x), _WHERE)

    def _mine(self) -> _Opened:
        """The interpreters of this thread."""
        opened: _Opened | None = getattr(self._threads, "opened", None)
        if opened is None:
            opened = self._threads.opened = _Opened(self.data)
        return opened


class _Opened:
    """Two interpreters of one thread: one for a row alone, which is never sized anew, and one for batches."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        try:
            self._one = _interpreter(data)
            self._one.allocate_tensors()
        except _RUNTIME_ERRORS as cause:
            raise ModelError(
                _WHERE,
                expected="a LiteRT model",
                got=f"{len(data)} bytes that LiteRT cannot open ({(str(cause) or 'no words').splitlines()[0][:200]})",
                do="export the model again",
            ) from cause
        given = self._one.get_input_details()[0]
        self._input: int = given["index"]
        self._output: int = self._one.get_output_details()[0]["index"]
        self.columns = int(given["shape"][1])
        self._many: Any = None
        self._rows = 0

    def run(self, x: Inputs) -> np.ndarray:
        """What the model gives for rows, as a copy."""
        interpreter = self._one if len(x) == 1 else self._sized(len(x))
        interpreter.set_tensor(self._input, x)
        interpreter.invoke()
        result: np.ndarray = interpreter.get_tensor(self._output)
        return result

    def _sized(self, rows: int) -> Any:
        if self._many is None:
            self._many = _interpreter(self._data)
        if rows != self._rows:
            self._many.resize_tensor_input(self._input, [rows, self.columns])
            self._many.allocate_tensors()
            self._rows = rows
        return self._many


def _interpreter(data: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=plain)


def _failed(rows: int, cause: Exception) -> ModelError:
    return ModelError(
        _WHERE,
        expected=f"answers for {rows} rows",
        got=(str(cause) or type(cause).__name__).splitlines()[0],
        do="check the model that was exported, or accept the native form with `native=True`",
    )


def _rebuilt(data: bytes, task: Task, classes: tuple[str, ...], refuses_missing: bool) -> LiteRtPredictor:
    return LiteRtPredictor(data, task, classes, refuses_missing=refuses_missing)
