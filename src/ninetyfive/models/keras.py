"""The adapter for Keras 3 on TensorFlow: a Sequential or functional model of Keras' own layers.

    matrix model ─ save ───▶ model.keras    config and weights, no code, no optimiser; equal models give equal bytes
                 ─ export ─▶ ONNX or LiteRT one float32 input, one output, equal models give equal bytes

Every adapter is one file with the same functions in the same order: recognises, save, load, export, predict.
TensorFlow is imported by whoever made the model, or in the function that needs it. No pickle.
What does not belong here: how several inputs become one matrix (`keras_inputs`), fitting (`keras_training`), whether an
export is right (`proof`).
"""

from __future__ import annotations

import io
import json
import platform
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ninetyfive.errors import IntegrityError, ModelError
from ninetyfive.metrics import Task
from ninetyfive.models.canonical_onnx import canonical_graph
from ninetyfive.models.keras_inputs import refuse_code
from ninetyfive.models.onnx import CLASSES_KEY, COLUMNS_KEY, TASK_KEY
from ninetyfive.models.predictor import Answers, Inputs, answers
from ninetyfive.models.seeding import import_keras, import_tensorflow

NAME = "keras"
FILES: tuple[str, ...] = ("model.keras",)
FORMS: tuple[str, ...] = ("onnx", "litert", "native")
NEEDS: tuple[str, ...] = ("tensorflow-cpu" if platform.machine() == "x86_64" else "tensorflow",)

NUMPY_2 = "__array__ implementation doesn't accept a copy keyword"
"""How the warning starts that NumPy gives of Keras 3 whenever weights become arrays."""

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_ZIP = b"PK\x03\x04"
_TIME = (1980, 1, 1, 0, 0, 0)
_OPSET = 17
_FUNCTION = "_ninetyfive_function"
_NATIVE = "accept the native form with `@system.model(native=True)`, or use layers that convert"
_CONVERT_ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    NotImplementedError,
    AssertionError,
)


def recognises(model: object) -> bool:
    """Whether the model is a `keras.Model`; never imports Keras.

    >>> recognises({"not": "a model"})
    False
    """
    return any(kind.__module__.startswith("keras.") and kind.__name__ == "Model" for kind in type(model).__mro__)


def save(model: Any, folder: Path) -> None:
    """Write `folder/model.keras`; a layer that holds code, or a class of one's own, raises `ModelError`."""
    keras = import_keras()
    config = keras.saving.serialize_keras_object(model)
    refuse_code(config, _name(model))
    with _quiet(), tempfile.TemporaryDirectory() as scratch:
        plain = type(model).from_config(model.get_config())  # without optimiser and loss
        plain.set_weights(model.get_weights())
        plain.save(Path(scratch) / FILES[0])
        with zipfile.ZipFile(Path(scratch) / FILES[0]) as made:
            contents = {name: made.read(name) for name in (_METADATA, _CONFIG, _WEIGHTS)}
    said = json.loads(contents[_METADATA])
    contents[_METADATA] = json.dumps({**said, "date_saved": "1980-01-01@00:00:00"}).encode()
    (folder / FILES[0]).write_bytes(_zipped(contents))


def load(folder: Path) -> Any:
    """The model that `save` wrote; no such file, or one that holds code, raises `IntegrityError`."""
    path = folder / FILES[0]
    data = path.read_bytes()
    try:
        if not data.startswith(_ZIP):  # zipfile skips whatever stands before a zip, such as a pickle around it
            raise zipfile.BadZipFile
        with zipfile.ZipFile(io.BytesIO(data)) as found:
            config = json.loads(found.read(_CONFIG))
        refuse_code(config, str(path))
        keras = import_keras()
        with _quiet():
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except ModelError as cause:
        raise IntegrityError(
            str(path),
            expected="only layers of Keras itself",
            got=cause.got,
            do="do not load this file: it was not written by this version of ninetyfive",
        ) from cause
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError) as cause:
        raise IntegrityError(
            str(path),
            expected="a .keras file (a zip of data, never a pickle)",
            got=f"{len(data)} bytes that start {data[:4]!r} ({type(cause).__name__})",
            do="restore the release from where it was copied, or train again",
        ) from cause


def export(model: Any, columns: Sequence[str], task: Task, classes: Sequence[str], form: str = "onnx") -> bytes:
    """The model as ONNX bytes (input `x` float32, one output, task, classes and columns as metadata), or as "litert".

    Equal models give equal bytes. What cannot be converted raises `ModelError`.
    """
    try:
        with _quiet():
            return _litert(model) if form == "litert" else _onnx(model, columns, task, classes)
    except _CONVERT_ERRORS as cause:
        words = str(cause).strip()
        raise ModelError(
            _name(model),
            expected=f"a model that converts to {'LiteRT' if form == 'litert' else 'ONNX'}",
            got=f"{type(cause).__name__}: {words.splitlines()[0][:300] if words else 'no words'}",
            do=_NATIVE,
        ) from cause


def predict(model: Any, x: Inputs, task: Task, classes: Sequence[str]) -> Answers:
    """The model's own answers for float32 (rows, columns), as float64 in the shape of the task.

    A model that answers NaN to a row that misses an input raises `ValueError`: it does not take missing values.
    """
    given = np.asarray(_function(model)(np.ascontiguousarray(x, dtype=np.float32)).numpy())
    if task == "binary" and given.ndim == 2 and given.shape[1] == 2:
        given = given[:, 1]
    made = answers(given, task, tuple(classes), len(x), _name(model))
    lost = np.isnan(made) if made.ndim == 1 else np.isnan(made).any(axis=1)
    if lost.any() and np.isnan(np.asarray(x)[lost]).any(axis=1).all():
        raise ValueError(f"NaN is the answer to {int(lost.sum())} rows that miss an input")
    return made


def _function(model: Any) -> Any:
    """The model as a function of TensorFlow, traced once; it lies beside the model's own attributes, untracked."""
    found = vars(model).get(_FUNCTION)
    if found is None:
        tensorflow = import_tensorflow()
        signature = [tensorflow.TensorSpec((None, model.inputs[0].shape[1]), tensorflow.float32, name="x")]
        found = tensorflow.function(lambda x: model(x, training=False), input_signature=signature, autograph=False)
        vars(model)[_FUNCTION] = found
    return found


def _litert(model: Any) -> bytes:
    tensorflow = import_tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # Not frozen, the converter keeps variables that the runtime of a file alone cannot read.
    frozen = convert_variables_to_constants_v2(_function(model).get_concrete_function())
    return bytes(tensorflow.lite.TFLiteConverter.from_concrete_functions([frozen], model).convert())


def _onnx(model: Any, columns: Sequence[str], task: Task, classes: Sequence[str]) -> bytes:
    import tf2onnx

    function = _function(model)
    made, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=_OPSET)
    canonical_graph(made.graph)
    said = {
        TASK_KEY: task,
        CLASSES_KEY: msgspec.json.encode(list(classes)).decode(),
        COLUMNS_KEY: msgspec.json.encode(list(columns)).decode(),
    }
    del made.metadata_props[:]
    for key, value in sorted(said.items()):
        made.metadata_props.add(key=key, value=value)
    return bytes(made.SerializeToString(deterministic=True))


def _zipped(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, _TIME)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            file.writestr(entry, content)
    return buffer.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=NUMPY_2, category=DeprecationWarning)
        yield


def _name(model: Any) -> str:
    return type(model).__name__
