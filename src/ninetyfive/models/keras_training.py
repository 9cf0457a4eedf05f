"""Fitting a compiled Keras model from rows that are read while it learns: `tf.data`, never all of them in memory.

    row groups ─ order of the epoch ─▶ a bounded buffer, shuffled ─▶ batches ─ prefetched ─▶ model.fit
                     │                                                                          │ after each epoch
                     └ a seeded share is held out: validation, for early stopping   checkpoint ◀┴▶ TensorBoard log

The rule: what is learned depends on rows, `params` and seed alone. Each epoch has its own order, made from the seed and
the epoch's number, and a checkpoint holds all that goes on changing (weights, optimiser, random states of layers, what
early stopping knows): a fit that was killed goes on at the epoch it was in, and ends with the same bits.
What does not belong here: where rows lie (`steps/streaming`), how a model is saved and served (`keras`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import msgspec
import numpy as np

from ninetyfive.errors import DeclarationError, ModelError
from ninetyfive.metrics import Task
from ninetyfive.models.keras_inputs import matrix_model
from ninetyfive.models.predictor import Inputs
from ninetyfive.models.seeding import import_keras, import_tensorflow
from ninetyfive.models.training_places import Places
from ninetyfive.store.crashing import crash_point

Positive = Annotated[int, msgspec.Meta(ge=1)]

_VALIDATION_ROWS = 100_000
_BUFFER_CELLS = 8_000_000
_BLOCK = 131_072
_PIECE = 64
"""Batches that go to TensorFlow at once."""


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """How a compiled model is fitted, as its `params` say in Keras' own words.

    `validation_split`: the share held out for early stopping, at most 100,000 rows (0: none). `patience`: epochs
    without a better `monitor` before it stops and the best weights are restored. `class_weight`: {class: weight}, or
    "balanced". `shuffle_buffer`: rows that are shuffled among each other, at most 8 million cells.
    """

    batch_size: Positive = 256
    epochs: Positive = 10
    validation_split: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.1
    patience: Annotated[int, msgspec.Meta(ge=0)] = 2
    monitor: str = "val_loss"
    class_weight: Literal["balanced"] | dict[str, float] | None = None
    shuffle_buffer: Positive = 131_072


class Stream(Protocol):
    """Training rows in blocks, which are read one at a time."""

    @property
    def task(self) -> Task: ...

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def blocks(self) -> tuple[int, ...]:
        """The rows of each block."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """The rows of each class, by its name; of a binary label "false" and "true"; {} for a number."""
        ...

    def read(self, block: int) -> tuple[Inputs, np.ndarray]:
        """A block: float32 (rows, columns), and the labels: 0 and 1, the number of the class, or the number."""
        ...


class MemoryStream:
    """Rows that are in memory as a stream: `labels` as a model function gets them."""

    def __init__(
        self, task: Task, classes: tuple[str, ...], columns: tuple[str, ...], x: Inputs, labels: np.ndarray
    ) -> None:
        self.task, self.classes, self.columns = task, classes, columns
        self._x = np.ascontiguousarray(x, dtype=np.float32)
        names = np.array(classes if task == "multiclass" else [])
        self._y = np.searchsorted(names, labels) if task == "multiclass" else labels.astype(np.float64)
        self._starts = range(0, len(x), _BLOCK)
        self.blocks = tuple(min(_BLOCK, len(x) - start) for start in self._starts)
        words = classes if task == "multiclass" else ("false", "true") if task == "binary" else ()
        self.counts = {word: int((self._y == number).sum()) for number, word in enumerate(words)}

    def read(self, block: int) -> tuple[Inputs, np.ndarray]:
        """A block of the rows."""
        start = self._starts[block]
        return self._x[start : start + _BLOCK], self._y[start : start + _BLOCK]


def fit_of(params: Mapping[str, Any], where: str) -> Fit:
    """The words of `params` that say how to fit, with defaults; `DeclarationError` for a value that cannot be.

    >>> fit_of({"epochs": 3, "units": 8}, "here").epochs
    3
    """
    known = {field: params[field] for field in Fit.__struct_fields__ if field in params}
    if isinstance(known.get("class_weight"), Mapping):
        known["class_weight"] = {_word(key): value for key, value in known["class_weight"].items()}
    try:
        return msgspec.convert(known, Fit)
    except msgspec.ValidationError as error:
        raise DeclarationError(
            f"{where}, params",
            expected=f"values for {', '.join(Fit.__struct_fields__)} that Keras takes",
            got=str(error),
            do="correct it in @system.model(params=...)",
        ) from None


def fit_stream(
    function: Callable[[dict[str, Any]], Any], stream: Stream, params: dict[str, Any], seed: int, places: Places | None
) -> Any:
    """Call `function(params)`, which compiles a Keras model, and fit it; returns it as a model of one matrix.

    Where several devices are there, it is made and fitted under `tf.distribute.MirroredStrategy`.
    """
    keras, tensorflow = import_keras(), import_tensorflow()
    where = f"model function {getattr(function, '__name__', function)!r}"
    asked = fit_of(params, where)
    strategy = _strategy(tensorflow)
    with strategy.scope():
        model = function(params)
        _check_compiled(keras, model, where)
        model = _compiled_matrix(model, stream.columns, where)
        model.optimizer.build(model.trainable_variables)
    epochs = Epochs(stream, asked, seed, _weights(asked, stream, where), strategy.num_replicas_in_sync)
    callbacks = _callbacks(keras, model, asked, places, epochs)
    if not callbacks[0].stopped:
        model.fit(
            dataset(tensorflow, epochs),
            epochs=asked.epochs,
            initial_epoch=callbacks[0].first,
            validation_data=_validation(tensorflow, epochs) if epochs.held else None,
            shuffle=False,  # it is, in its own way
            callbacks=callbacks,
            verbose=0,
        )
    else:
        callbacks[0].restore_best()
    return model


def _strategy(tensorflow: Any) -> Any:
    """One copy of the model a device, where several are there; else TensorFlow's default.

    Gradients are summed on one device: the collective operations, which are the default, are numbered by process, and a
    second fit of other shapes in it would meet the numbers of the first and fail.
    """
    devices = tensorflow.config.list_logical_devices("GPU") or tensorflow.config.list_logical_devices("CPU")
    if len(devices) < 2:
        return tensorflow.distribute.get_strategy()
    return tensorflow.distribute.MirroredStrategy(
        [one.name for one in devices], cross_device_ops=tensorflow.distribute.ReductionToOneDevice()
    )


def _word(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _check_compiled(keras: Any, model: Any, where: str) -> None:
    if not isinstance(model, keras.Model) or not model.compiled:
        raise ModelError(
            where,
            expected="a compiled Keras model, for a function of params alone",
            got=f"a {type(model).__name__}" + (" that is not compiled" if isinstance(model, keras.Model) else ""),
            do='end with model.compile("adam", loss=...) and return model, or take (x, y, params) and fit it yourself',
        )


def _compiled_matrix(model: Any, columns: Sequence[str], where: str) -> Any:
    """The model of one matrix, compiled as the user's."""
    made = matrix_model(model, columns, where)
    made.compile(
        optimizer=model.optimizer,
        loss=model.loss,
        metrics=getattr(model._compile_metrics, "_user_metrics", None),
        steps_per_execution=model.steps_per_execution,
        jit_compile=False,
    )
    return made


def _weights(asked: Fit, stream: Stream, where: str) -> np.ndarray | None:
    """The weight of each class, by its number; None: all alike."""
    if asked.class_weight is None:
        return None
    names = {name: number for number, name in enumerate(stream.counts)}
    if asked.class_weight == "balanced":  # as scikit-learn: rows / (classes × rows of the class)
        rows = sum(stream.counts.values())
        given = {name: rows / (len(names) * max(1, count)) for name, count in stream.counts.items()}
        return np.array(list(given.values()), dtype=np.float32)
    numbered = {"0": "false", "1": "true"} if stream.task == "binary" else {}
    given = {numbered.get(name, name): weight for name, weight in asked.class_weight.items()}
    if set(given) != set(names):
        raise DeclarationError(
            f"{where}, params, class_weight",
            expected=f"a weight for each of {', '.join(map(repr, names)) or 'the classes (a number has none)'}",
            got=", ".join(map(repr, given)) or "none",
            do='name every class once, or say "balanced"',
        )
    return np.array([given[name] for name in names], dtype=np.float32)


class Epochs:
    """The rows of each epoch, in an order made from the seed and the epoch's number.

    Each of several `devices` gets equally many rows of each batch: one with fewer would weigh its rows more, and one
    with none makes NaN of a BatchNormalization. So `size`, the rows of a batch, is rounded up, and an epoch leaves out
    up to devices - 1 rows, others each time; so does what is held out.
    """

    def __init__(self, stream: Stream, asked: Fit, seed: int, weights: np.ndarray | None, devices: int = 1) -> None:
        self.stream, self.asked, self.seed, self.devices = stream, asked, seed, devices
        self.size = -(-asked.batch_size // devices) * devices
        self.weights = weights
        self.epoch = 0
        rows = sum(stream.blocks)
        cells = max(1, len(stream.columns))
        share = min(asked.validation_split, _VALIDATION_ROWS / rows, _BUFFER_CELLS / (rows * cells))
        self._share = share
        self.held = sum(int(self._held_out(block).sum()) for block in range(len(stream.blocks)))
        if self.held == rows:
            self._share, self.held = 0.0, 0
        self.rows = rows - self.held
        self.held -= self.held % devices
        self.buffer = max(self.size, min(asked.shuffle_buffer, _BUFFER_CELLS // cells))
        self.type = np.int32 if stream.task == "multiclass" else np.float32

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return self.rows // self.size + (self.rows % self.size >= self.devices)

    def validation(self) -> tuple[Inputs, np.ndarray]:
        """The rows that are held out, in memory."""
        parts = []
        for block in range(len(self.stream.blocks)):
            held = self._held_out(block)
            if held.any():
                x, y = self.stream.read(block)
                parts.append((x[held], y[held]))
        x, y = np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
        return x[: self.held], y[: self.held].astype(self.type)

    def batches(self) -> Iterator[tuple[np.ndarray, ...]]:
        """The batches of an epoch, several a piece: float32 (batches, rows, columns), labels, weights if any."""
        draw = np.random.default_rng([self.seed, 1, self.epoch])
        xs, ys, count = [], [], 0
        for block in draw.permutation(len(self.stream.blocks)).tolist():
            x, y = self.stream.read(block)
            if self._share:
                kept = ~self._held_out(block)
                x, y = x[kept], y[kept]
            xs.append(x)
            ys.append(y.astype(self.type))
            count += len(x)
            if count >= self.buffer:
                left = yield from self._shuffled(xs, ys, draw, last=False)
                xs, ys, count = [left[0]], [left[1]], len(left[0])
        if count:
            yield from self._shuffled(xs, ys, draw, last=True)

    def _shuffled(self, xs: list[np.ndarray], ys: list[np.ndarray], draw: np.random.Generator, *, last: bool) -> Any:
        """Pieces of what is held, shuffled; returns what makes no whole batch, for later unless this is the last."""
        x, y = np.concatenate(xs), np.concatenate(ys)
        order, size = draw.permutation(len(x)), self.size
        whole = len(x) // size * size
        for start in range(0, whole, size * _PIECE):
            chosen = order[start : min(start + size * _PIECE, whole)]
            labels = y[chosen].reshape(-1, size)
            yield (x[chosen].reshape(-1, size, x.shape[1]), labels, *self._weight(labels))
        rest = order[whole:]
        ending = rest[: len(rest) // self.devices * self.devices]
        if last and len(ending):
            yield (x[ending][None], y[ending][None], *self._weight(y[ending][None]))
        return x[rest], y[rest]

    def _weight(self, labels: np.ndarray) -> tuple[np.ndarray, ...]:
        return () if self.weights is None else (self.weights[labels.astype(np.int32)],)

    def _held_out(self, block: int) -> np.ndarray:
        held: np.ndarray = np.random.default_rng([self.seed, 0, block]).random(self.stream.blocks[block]) < self._share
        return held


def dataset(tensorflow: Any, epochs: Epochs) -> Any:
    data = tensorflow.data
    signature = (
        tensorflow.TensorSpec((None, None, len(epochs.stream.columns)), tensorflow.float32),
        tensorflow.TensorSpec((None, None), tensorflow.as_dtype(epochs.type)),
        *[tensorflow.TensorSpec((None, None), tensorflow.float32)] * (epochs.weights is not None),
    )
    pieces = data.Dataset.from_generator(epochs.batches, output_signature=signature).prefetch(1)
    batches = pieces.flat_map(lambda *piece: data.Dataset.from_tensor_slices(piece))
    return batches.apply(data.experimental.assert_cardinality(epochs.steps)).prefetch(2)


def _validation(tensorflow: Any, epochs: Epochs) -> Any:
    return tensorflow.data.Dataset.from_tensor_slices(epochs.validation()).batch(epochs.size)


def _callbacks(keras: Any, model: Any, asked: Fit, places: Places | None, epochs: Epochs) -> list[Any]:
    class Progress(keras.callbacks.EarlyStopping):  # type: ignore[misc]
        """Early stopping that goes on where a killed fit was; the epoch's order, checkpoint and log."""

        def __init__(self) -> None:
            monitor = asked.monitor if epochs.held or not asked.monitor.startswith("val_") else "loss"
            super().__init__(monitor=monitor, patience=asked.patience, restore_best_weights=bool(epochs.held))
            self.kept = _read(places, _variables(model)) if places else None
            self.first = self.kept.said["epoch"] + 1 if self.kept else 0
            self.stopped = bool(self.kept and (self.kept.said["stopped"] or self.first >= asked.epochs))
            self.set_model(model)
            if self.kept:
                for variable, value in zip(_variables(model), self.kept.values, strict=True):
                    variable.assign(value)

        def restore_best(self) -> None:
            """The best weights, of a fit that was over already."""
            if self.kept and self.kept.best:
                model.set_weights(self.kept.best)

        def on_train_begin(self, logs: Any = None) -> None:
            super().on_train_begin(logs)
            if self.kept:
                said = self.kept.said
                self.wait, self.best_epoch, self.best_weights = said["wait"], said["best_epoch"], self.kept.best or None
                if said["best"] is not None:
                    self.best = said["best"]

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            epochs.epoch = epoch

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(epoch, logs)
            said = {
                "epoch": epoch,
                "wait": self.wait,
                "best": None if self.best is None else float(self.best),
                "best_epoch": self.best_epoch,
                "stopped": bool(model.stop_training),
            }
            if places is None:
                return
            _log(places, epoch, logs or {})
            places.write(_packed(said, [one.numpy() for one in _variables(model)], self.best_weights or []))
            crash_point(f"after epoch {epoch + 1}")

    return [Progress()]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a checkpoint holds."""

    said: dict[str, Any]
    values: list[np.ndarray]
    best: list[np.ndarray]


def _variables(model: Any) -> list[Any]:
    """All that goes on changing while a model is fitted, but its metrics, which start anew each epoch."""
    metrics = {id(one) for one in model.metrics_variables}
    return [one for one in (*model.variables, *model.optimizer.variables) if id(one) not in metrics]


def _packed(said: dict[str, Any], values: Sequence[np.ndarray], best: Sequence[np.ndarray]) -> bytes:
    """A checkpoint: a zip of arrays."""
    named: dict[str, Any] = {f"v{number}": value for number, value in enumerate(values)}
    named |= {f"b{number}": value for number, value in enumerate(best)}
    file = io.BytesIO()
    np.savez(file, said=np.frombuffer(json.dumps(said).encode(), dtype=np.uint8), **named)
    return file.getvalue()


def _read(places: Places, variables: Sequence[Any]) -> _Kept | None:
    """The checkpoint of a fit that was killed; None where there is none that fits the model."""
    data = places.read()
    if data is None:
        return None
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        said = json.loads(found["said"].tobytes())
        values = [found[f"v{number}"] for number in range(sum(name.startswith("v") for name in found.files))]
        best = [found[f"b{number}"] for number in range(sum(name.startswith("b") for name in found.files))]
    if [value.shape for value in values] != [tuple(one.shape) for one in variables]:
        return None
    return _Kept(said, values, best)


def _log(places: Places, epoch: int, logs: Mapping[str, float]) -> None:
    """The scalars of an epoch, as TensorBoard reads them; TensorBoard itself need not be installed to write them."""
    tensorflow = import_tensorflow()
    from tensorflow.core.framework.summary_pb2 import SummaryMetadata

    scalar = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
    with places.logged() as folder:
        writer = tensorflow.summary.create_file_writer(folder, filename_suffix=f".{epoch}")
        with writer.as_default():
            for name, value in logs.items():
                tensorflow.summary.write(name, np.float32(value), step=epoch, metadata=scalar)
        writer.close()
