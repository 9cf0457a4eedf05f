"""The served form: one ONNX file with one float32 input and one output, run by ONNX Runtime on one thread.

    release/model.onnx ─ OnnxPredictor ─▶ predict(x) ─▶ float64, in the shape of the task

The file says what it is: task, classes and columns stand in its metadata, so nothing beside it is needed to serve.
What does not belong here: how a file is made (`models/<framework>.py`), whether it is right (`models/proof.py`).
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else its import writes an id and a database into the home folder

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

from ninetyfive.errors import ModelError
from ninetyfive.metrics import Task
from ninetyfive.models.predictor import Answers, Inputs, answer_complete, answers, inputs, task_of

TASK_KEY = "ninetyfive.task"
CLASSES_KEY = "ninetyfive.classes"
COLUMNS_KEY = "ninetyfive.columns"

RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    onnxruntime_pybind11_state.EPFail,
    onnxruntime_pybind11_state.Fail,
    onnxruntime_pybind11_state.InvalidArgument,
    onnxruntime_pybind11_state.InvalidGraph,
    onnxruntime_pybind11_state.InvalidProtobuf,
    onnxruntime_pybind11_state.NotImplemented,
    onnxruntime_pybind11_state.RuntimeException,
    RuntimeError,
    ValueError,
)
"""What ONNX Runtime raises; its own classes have no ancestor but Exception."""


class OnnxPredictor:
    """Answers by ONNX Runtime: CPU, one thread, no spinning; frozen, picklable, equal where the bytes are equal.

    Takes the bytes of a model that an adapter exported, or the path of a file that holds them. The session opens on
    first use, once a process. Bytes that are not such a model raise `ModelError` on first use. With `refuses_missing`
    (what the proof found) a row with a NaN has no answer: NaN.

    >>> OnnxPredictor(b"not a model").predict([[1.0]])
    Traceback (most recent call last):
    ninetyfive.errors.ModelError: model.onnx: expected an ONNX model, got 11 bytes that ONNX Runtime cannot open ...
    """

    def __init__(self, model: bytes | str | Path, *, refuses_missing: bool = False) -> None:
        self._where = "model.onnx" if isinstance(model, bytes) else str(model)
        self._data = model if isinstance(model, bytes) else Path(model).read_bytes()
        self.refuses_missing = refuses_missing
        self.digest = hashlib.sha256(self._data).hexdigest()
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OnnxPredictor) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return f"OnnxPredictor(sha256={self.digest[:12]}…, {self.size} bytes)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self._data, self.refuses_missing)

    def _identity(self) -> tuple[str, bool]:
        return self.digest, self.refuses_missing

    @property
    def data(self) -> bytes:
        """The bytes of the model."""
        return self._data

    @property
    def size(self) -> int:
        """The size of the model in bytes."""
        return len(self._data)

    @property
    def task(self) -> Task:
        """binary, multiclass or regression, as the file says."""
        return self._open().task

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of a multiclass model, sorted; () for the other tasks."""
        return self._open().classes

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the input's columns, in order."""
        return self._open().columns

    def predict(self, x: Inputs) -> Answers:
        """Answers for float32 (rows, columns): float64 (rows,), or (rows, classes) for multiclass."""
        opened = self._open()
        x = inputs(x, len(opened.columns), self._where)
        if not len(x):
            return np.zeros((0, len(opened.classes)) if opened.task == "multiclass" else (0,))
        if self.refuses_missing:
            return answer_complete(lambda rows: self._run(opened, rows), x, opened.task, opened.classes)
        return self._run(opened, x)

    def alone(self) -> Callable[[Sequence[float]], float | tuple[float, ...] | None]:
        """A function for one row at a time: as many inputs as `columns` → a number, one a class, or None (no answer).

        The bits of `predict`, in about half of its time: input and output stay bound to the session. Each call of this
        gives a function of its own, for one thread.
        """
        opened = self._open()
        given = np.zeros((1, len(opened.columns)), dtype=np.float32)
        made = opened.session.run(opened.outputs, {opened.input: given})[0]
        result = np.zeros(made.shape, dtype=made.dtype)
        binding = opened.session.io_binding()
        binding.bind_cpu_input(opened.input, given)
        binding.bind_output(opened.outputs[0], "cpu", 0, made.dtype.type, made.shape, result.ctypes.data)
        run, refuses, classes = opened.session.run_with_iobinding, self.refuses_missing, len(opened.classes)
        flat = result.reshape(-1)
        last = flat.shape[0] - 1

        def answer(row: Sequence[float]) -> float | tuple[float, ...] | None:
            if refuses and any(cell != cell for cell in row):
                return None
            given[0] = row
            try:
                run(binding)
            except RUNTIME_ERRORS as cause:
                raise self._failed(1, cause) from cause
            values: list[float] = flat.tolist()
            if classes:
                return tuple(values) if values[0] == values[0] else None
            return values[last] if values[last] == values[last] else None

        return answer

    def _failed(self, rows: int, cause: Exception) -> ModelError:
        return ModelError(
            self._where,
            expected=f"answers for {rows} rows",
            got=str(cause).splitlines()[0],
            do="check the model that was exported, or accept the native form with `native=True`",
        )

    def _run(self, opened: _Opened, x: Inputs) -> Answers:
        try:
            result = opened.session.run(opened.outputs, {opened.input: x})[0]
        except RUNTIME_ERRORS as cause:
            raise self._failed(len(x), cause) from cause
        if opened.task == "binary" and result.ndim == 2 and result.shape[1] == 2:
            result = result[:, 1]
        return answers(result, opened.task, opened.classes, len(x), self._where)

    def _open(self) -> _Opened:
        if self._opened is None:
            with self._lock:
                if self._opened is None:
                    self._opened = _open(self._data, self._where)
        return self._opened


def _rebuilt(data: bytes, refuses_missing: bool) -> OnnxPredictor:
    return OnnxPredictor(data, refuses_missing=refuses_missing)


class _Opened(msgspec.Struct, frozen=True):
    session: Any
    input: str
    outputs: list[str]
    task: Task
    classes: tuple[str, ...]
    columns: tuple[str, ...]


def session_of(data: bytes, where: str) -> Any:
    """ONNX Runtime's session of a model: CPU, one thread, no spinning; `ModelError` where it cannot open the bytes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as cause:
        raise ModelError(
            where,
            expected="an ONNX model",
            got=f"{len(data)} bytes that ONNX Runtime cannot open ({str(cause).splitlines()[0][-300:]})",
            do="export the model again",
        ) from cause


def run_session(session: Any, output: str, given: dict[str, Any], where: str) -> Any:
    """One output of a session; what ONNX Runtime raises, as a `ModelError`."""
    try:
        return session.run([output], given)[0]
    except RUNTIME_ERRORS as cause:
        raise ModelError(
            where,
            expected="answers to every row",
            got=str(cause).splitlines()[0][:300],
            do="export the model again, for any number of rows",
        ) from cause


def _open(data: bytes, where: str) -> _Opened:
    session = session_of(data, where)
    said = session.get_modelmeta().custom_metadata_map
    missing = sorted({TASK_KEY, CLASSES_KEY, COLUMNS_KEY} - set(said))
    if missing:
        raise ModelError(
            where,
            expected="an ONNX model that ninetyfive exported",
            got="one without the metadata " + ", ".join(missing),
            do="export it with an adapter of ninetyfive.models",
        )
    return _Opened(
        session=session,
        input=session.get_inputs()[0].name,
        outputs=[session.get_outputs()[0].name],
        task=task_of(said[TASK_KEY], where),
        classes=tuple(msgspec.json.decode(said[CLASSES_KEY], type=list[str])),
        columns=tuple(msgspec.json.decode(said[COLUMNS_KEY], type=list[str])),
    )
