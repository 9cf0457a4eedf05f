"""The adapter for Keras: the contract of every adapter, what is refused, and that three forms answer alike."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from ninetyfive.errors import DeclarationError, IntegrityError, ModelError
from ninetyfive.models import keras as adapter
from ninetyfive.models.adapters import ADAPTERS
from ninetyfive.models.forms import Form
from ninetyfive.models.keras_training import Epochs, Fit, MemoryStream, fit_of
from ninetyfive.models.litert import LiteRtPredictor
from ninetyfive.models.onnx import OnnxPredictor
from ninetyfive.models.saved_model import signature_names, write_saved_model
from ninetyfive.models.seeding import import_tensorflow
from ninetyfive.models.training import Fitted, Offered, fit_model, fit_streamed, labels, with_columns
from ninetyfive.models.training_places import Places
from ninetyfive.testing.adapter_suite import AdapterSuite, Case, rows, target

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

OUTPUTS = {"binary": (1, "sigmoid"), "multiclass": (3, "softmax"), "regression": (1, "linear")}
LOSSES = {"binary": "binary_crossentropy", "multiclass": "sparse_categorical_crossentropy", "regression": "mse"}


def dense(task: str) -> Any:
    """A model function of one plain input."""

    def model(x: pl.DataFrame, y: Any, params: dict[str, Any]) -> Any:
        import keras

        units, activation = OUTPUTS[task]
        layers = [keras.layers.Dense(4, activation="relu"), keras.layers.Dropout(0.1)]
        made = keras.Sequential([keras.Input((x.width,)), *layers, keras.layers.Dense(units, activation=activation)])
        made.compile("adam", LOSSES[task])
        known = np.unique(y, return_inverse=True)[1] if task == "multiclass" else y
        made.fit(x.to_numpy(), known, epochs=2, verbose=0)
        return made

    return model


def two_inputs(x: pl.DataFrame, y: Any, params: dict[str, Any]) -> Any:
    """An embedding of column `c` beside the others."""
    import keras

    index, numbers = keras.Input((1,), name="c", dtype="int32"), keras.Input((2,), name="numeric")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(4, 3)(index))
    joined = keras.layers.Concatenate()([embedded, keras.layers.BatchNormalization()(numbers)])
    made = keras.Model({"c": index, "numeric": numbers}, keras.layers.Dense(1, activation="sigmoid")(joined))
    made.compile("adam", "binary_crossentropy")
    made.fit({"c": x[["c"]].to_numpy(), "numeric": x[["a", "b"]].to_numpy()}, y, epochs=2, verbose=0)
    return made


class TestKeras(AdapterSuite):
    """The contract, with LiteRT beside ONNX."""

    adapter: ClassVar[Any] = ADAPTERS["keras"]
    frameworks: ClassVar[tuple[str, ...]] = ("keras", "tensorflow", "tf2onnx", "onnx", "ai_edge_litert")
    cases: ClassVar[Any] = {
        "two inputs": Case("binary", two_inputs),
        "multiclass": Case("multiclass", dense("multiclass")),
        "regression": Case("regression", dense("regression")),
    }

    def exported(self, fitted: Fitted, form: Form) -> bytes:
        """A file of either form."""
        return adapter.export(fitted.model, fitted.columns, fitted.task, fitted.classes, form)


def litert(fitted: Fitted) -> LiteRtPredictor:
    data = adapter.export(fitted.model, fitted.columns, fitted.task, fitted.classes, "litert")
    return LiteRtPredictor(data, fitted.task, fitted.classes)


@pytest.mark.parametrize("form", ["onnx", "litert", "native"])
def test_an_index_that_an_embedding_has_no_row_for_counts_as_unknown(form: str) -> None:
    fitted = TestKeras().fitted(TestKeras.cases["two inputs"])
    x = rows(6).to_numpy().copy()
    x[:] = x[0]
    x[:, 2] = [0.0, np.nan, 4.0, -1.0, 1e12, -np.inf]
    predict = {
        "onnx": lambda: OnnxPredictor(adapter.export(fitted.model, fitted.columns, "binary", ())).predict,
        "litert": lambda: litert(fitted).predict,
        "native": lambda: fitted.predict,
    }[form]()
    answers = predict(x)
    assert np.allclose(answers, answers[0], atol=1e-6)
    assert not np.allclose(answers, predict(np.where(np.arange(3) == 2, np.float32(1.0), x)), atol=1e-6)


@pytest.mark.parametrize("name", ["two inputs", "multiclass"])
def test_a_saved_model_takes_columns_by_name_and_answers_alike(name: str, tmp_path: Path) -> None:
    fitted = TestKeras().fitted(TestKeras.cases[name])
    write_saved_model(fitted.model, ["a", "b=1", "c"], fitted.task, fitted.classes, tmp_path)
    signature = import_tensorflow().saved_model.load(str(tmp_path)).signatures["serving_default"]
    x = rows(7).to_numpy()
    said = signature(a=x[:, 0], b_1=x[:, 1], c=x[:, 2])
    expected = fitted.predict(x)
    if name == "two inputs":
        assert np.allclose(said["prediction"].numpy(), expected, atol=1e-6)
    else:
        assert np.allclose(said["probabilities"].numpy(), expected, atol=1e-6)
        assert said["classes"].numpy()[6].tolist() == [word.encode() for word in fitted.classes]


def test_columns_whose_names_meet_in_a_signature_are_refused() -> None:
    with pytest.raises(ModelError, match="several columns as 'a_b'"):
        signature_names(["a b", "a.b", "c"])


def fit(make: Any, task: str = "binary") -> Fitted:
    """What a function of keras makes, unfitted, on the suite's rows."""

    def model(x: pl.DataFrame, y: Any, params: dict[str, Any]) -> Any:
        import keras

        return make(keras, x.width)

    return fit_model(model, rows(), labels(target(rows(), task)), {}, 7)  # type: ignore[arg-type]


def _lambda(keras: Any, width: int) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((width,)), layers.Lambda(lambda x: x), layers.Dense(1, activation="sigmoid")])


def _own(keras: Any, width: int) -> Any:
    class Own(keras.layers.Dense):  # type: ignore[misc]
        pass

    return keras.Sequential([keras.Input((width,)), Own(1, activation="sigmoid")])


def _function(keras: Any, width: int) -> Any:
    def mine(x: Any) -> Any:
        return keras.ops.sigmoid(x)

    return keras.Sequential([keras.Input((width,)), keras.layers.Dense(1, activation=mine)])


def _half(keras: Any, width: int) -> Any:
    layer = keras.layers.Dense(1, activation="sigmoid", dtype="mixed_float16")
    return keras.Sequential([keras.Input((width,)), layer])


def _from_logits(keras: Any, width: int) -> Any:
    made = keras.Sequential([keras.Input((width,)), keras.layers.Dense(1)])
    made.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    return made


def _logits(keras: Any, width: int) -> Any:
    return keras.Sequential([keras.Input((width,)), keras.layers.Dense(1, bias_initializer="ones")])


def _strange_input(keras: Any, width: int) -> Any:
    a, other = keras.Input((1,), name="a"), keras.Input((5,), name="wide")
    return keras.Model([a, other], keras.layers.Dense(1, activation="sigmoid")(keras.layers.Concatenate()([a, other])))


def _one_column(keras: Any, width: int) -> Any:
    a = keras.Input((1,), name="a")
    return keras.Model(a, keras.layers.Dense(1, activation="sigmoid")(a))


def _subclass(keras: Any, width: int) -> Any:
    class Own(keras.Model):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x

    return Own()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_lambda, "a Lambda layer"),
        (_own, r"\.Own"),
        (_function, "the function 'mine'"),
        (_half, "float16 in layer"),
        (_from_logits, "from_logits=True"),
        (_logits, "from_logits"),
        (_strange_input, r"input 'wide': expected shape \(None, 2\)"),
        (_one_column, "none for 'b', 'c'"),
        (_subclass, "whose inputs are not known"),
    ],
)
def test_what_cannot_be_kept_or_served_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        fit(make)


def test_a_model_that_gets_nan_says_which_column_to_fill() -> None:
    def model(x: pl.DataFrame, y: Any, params: dict[str, Any]) -> Any:
        import keras

        return keras.Sequential([keras.Input((x.width,)), keras.layers.Dense(1, activation="sigmoid")])

    x = rows().with_columns(b=pl.when(pl.col("c") == 1).then(float("nan")).otherwise("b").cast(pl.Float32))
    with pytest.raises(ModelError, match="fill what is missing in 'b'"):
        fit_model(model, x, labels(target(rows(), "binary")), {}, 7)


def test_a_file_with_code_in_it_is_not_loaded(tmp_path: Path) -> None:
    import keras

    _lambda(keras, 3).save(tmp_path / adapter.FILES[0])
    with pytest.raises(IntegrityError, match="a Lambda layer"):
        adapter.load(tmp_path)


def test_bytes_that_are_no_litert_model_are_refused() -> None:
    with pytest.raises(ModelError, match="cannot open"):
        LiteRtPredictor(b"not a model", "binary").predict(np.zeros((1, 3), dtype=np.float32))


def test_litert_answers_one_row_as_many_and_in_any_thread() -> None:
    fitted = TestKeras().fitted(TestKeras.cases["multiclass"])
    predictor, x = litert(fitted), rows(40).to_numpy()
    alone, whole = predictor.alone(), predictor.predict(x)
    assert np.allclose([alone(row) for row in x.tolist()], whole, atol=1e-6)
    with ThreadPoolExecutor(4) as threads:
        for answer in threads.map(predictor.predict, [x] * 16):
            assert np.array_equal(answer, whole)


def streamed(params: dict[str, Any]) -> Any:
    """A model function of params alone."""
    import keras

    zones = params["columns"]["c"]
    index, numbers = keras.Input((1,), name="c", dtype="int32"), keras.Input((2,), name="numeric")
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(keras.layers.Embedding(zones, 3)(index)), numbers])
    hidden = keras.layers.Dropout(0.2)(keras.layers.Dense(4, activation="relu")(joined))
    made = keras.Model([index, numbers], keras.layers.Dense(1, activation="sigmoid")(hidden))
    made.compile("adam", "binary_crossentropy")
    return made


KINDS = {"a": "number", "b": "number", "c": ("index", 4)}

TWO_DEVICES = """
import sys
import numpy as np
from ninetyfive.models.seeding import import_tensorflow
tensorflow = import_tensorflow()
(cpu,) = tensorflow.config.list_physical_devices("CPU")
halves = [tensorflow.config.LogicalDeviceConfiguration()] * 2
tensorflow.config.set_logical_device_configuration(cpu, halves)
from tests.models.test_keras import normalised, plain, stream_of
np.savez(sys.argv[1], plain=stream_of(601, plain), normalised=stream_of(606, normalised))
"""


def plain(params: dict[str, Any]) -> Any:
    """A model in which nothing depends on how a batch is cut between devices."""
    import keras

    layers = [keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
    made = keras.Sequential([keras.Input((3,)), *layers])
    made.compile("adam", "binary_crossentropy", metrics=["AUC"])
    return made


def normalised(params: dict[str, Any]) -> Any:
    """A model of other shapes, of which a device without rows would make NaN."""
    import keras

    layers = [keras.layers.BatchNormalization(), keras.layers.Dense(1, activation="sigmoid")]
    made = keras.Sequential([keras.Input((3,)), *layers])
    made.compile("adam", "binary_crossentropy")
    return made


def stream_of(count: int, function: Any) -> np.ndarray:
    """What a model answers that is fitted on `count` rows in batches of 55."""
    x, y = rows(count), labels(target(rows(count), "binary"))
    stream = MemoryStream("binary", (), tuple(x.columns), x.to_numpy(), y.values)
    params = with_columns({"epochs": 2, "batch_size": 55, "validation_split": 0}, x.columns, KINDS)
    if function is plain:  # one whole batch of 546, and 55 are held out
        params |= {"batch_size": 1_000, "validation_split": 0.11}
    return fit_streamed(function, stream, (x, y), params, 7).predict(x.to_numpy())


@pytest.mark.slow
def test_two_devices_fit_what_one_does(tmp_path: Path) -> None:
    """To 1e-5 where every batch is whole; then a model of other shapes, whose rows leave 1 for the last batch of 55."""
    words = [sys.executable, "-W", "ignore", "-c", TWO_DEVICES, str(tmp_path / "answers.npz")]
    chief = '{"cluster": {"chief": ["localhost:2222"]}, "task": {"type": "chief", "index": 0}}'
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    subprocess.run(words, check=True, env={**os.environ, "TF_CONFIG": chief, "PYTHONPATH": paths})
    with np.load(tmp_path / "answers.npz") as found:
        two = {name: found[name] for name in found.files}
    assert np.allclose(two["plain"], stream_of(601, plain), rtol=0, atol=1e-5)
    assert np.allclose(two["normalised"], stream_of(606, normalised), rtol=0, atol=0.02)


def test_devices_get_equally_many_rows_of_each_batch() -> None:
    x = np.arange(1_000, dtype=np.float32).reshape(-1, 1)
    stream = MemoryStream("binary", (), ("a",), x, np.arange(1_000) % 4 == 0)
    epochs = Epochs(stream, Fit(batch_size=62, validation_split=0, shuffle_buffer=100), 7, None, devices=4)
    batches = [batch for piece, _ in epochs.batches() for batch in piece]
    assert [len(batch) for batch in batches] == [64] * 15 + [40]
    assert len(batches) == epochs.steps
    odd = Epochs(stream, Fit(batch_size=111, validation_split=0), 7, None, devices=3)
    assert [len(batch) for piece, _ in odd.batches() for batch in piece] == [111] * 9
    assert odd.steps == 9


def test_a_fit_goes_on_from_its_checkpoint_as_if_it_had_not_ended(tmp_path: Path) -> None:
    x, y = rows(600), labels(target(rows(600), "binary"))
    stream = MemoryStream("binary", (), tuple(x.columns), x.to_numpy(), y.values)
    places = Places(f"memory://{tmp_path}/fit.npz", str(tmp_path / "log"))

    def fitted_to(epochs: int) -> Fitted:
        params = {"epochs": epochs, "batch_size": 50, "class_weight": "balanced", "patience": 9}
        params = with_columns(params, x.columns, KINDS)
        return fit_streamed(streamed, stream, (x, y), params, 7, places)

    def fit_to(epochs: int) -> np.ndarray:
        return fitted_to(epochs).predict(x.to_numpy())

    early, model = fit_to(1), fitted_to(3)
    resumed, over = model.predict(x.to_numpy()), fit_to(3)
    params = {"epochs": 3, "batch_size": 50, "class_weight": "balanced", "patience": 9}
    whole = fit_model(streamed, x, y, params, 7, Offered(kinds=KINDS))
    assert whole.warnings == ()
    assert np.array_equal(whole.predict(x.to_numpy()), resumed)
    assert np.array_equal(resumed, over)
    assert not np.array_equal(early, resumed)
    assert sorted(path.name.rpartition(".")[2] for path in (tmp_path / "log").iterdir()) == ["0", "1", "2"]
    logged = scalars(tmp_path / "log")
    assert set(logged) == {"loss", "val_loss"}
    for name, values in model.model.history.history.items():  # of the second and third epoch
        assert [logged[name][step] for step in (1, 2)] == [np.float32(value) for value in values]


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """{name: {step: value}} as TensorFlow's own reader of such logs finds them."""
    tensorflow = import_tensorflow()
    found: dict[str, dict[int, float]] = {}
    for path in folder.iterdir():
        for record in tensorflow.data.TFRecordDataset(str(path)):
            event = tensorflow.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found.setdefault(value.tag, {})[event.step] = float(tensorflow.make_ndarray(value.tensor))
    return found


def test_an_epoch_has_every_training_row_once_in_an_order_of_its_own() -> None:
    count = 1_000
    x = np.arange(count, dtype=np.float32).reshape(-1, 1)
    y = np.arange(count) % 4 == 0
    stream = MemoryStream("binary", (), ("a",), x, y)
    epochs = Epochs(stream, Fit(batch_size=32, shuffle_buffer=100), 7, np.array([1.0, 3.0], dtype=np.float32))
    held, seen = set(epochs.validation()[0][:, 0].tolist()), []
    for epoch in (0, 1, 0):
        epochs.epoch = epoch
        pieces = list(epochs.batches())
        batches = [batch for piece, _, _ in pieces for batch in piece]
        assert len(batches) == epochs.steps
        assert [len(batch) for batch in batches[:-1]] == [32] * (len(batches) - 1)
        seen.append([row for batch in batches for row in batch[:, 0].tolist()])
        for piece, known, weights in pieces:
            assert np.array_equal(known, piece[..., 0] % 4 == 0)
            assert np.array_equal(weights, np.where(known, 3.0, 1.0))
    assert 60 < len(held) < 140
    assert sorted(seen[0]) == sorted(set(range(count)) - held)
    assert seen[0] == seen[2]
    assert seen[0] != seen[1]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"epochs": "ten"}, "epochs"),
        ({"validation_split": 1.0}, "validation_split"),
        ({"class_weight": {"a": "b"}}, "class_weight"),
    ],
)
def test_words_of_a_fit_that_cannot_be_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        fit_of(params, "here")


def test_class_weights_name_every_class() -> None:
    y = labels(target(rows(), "binary"))
    with pytest.raises(DeclarationError, match="a weight for each of 'false', 'true'"):
        fit_model(streamed, rows(), y, {"class_weight": {"1": 2.0}}, 7, Offered(kinds=KINDS))


def test_a_function_of_params_alone_returns_a_compiled_model() -> None:
    y = labels(target(rows(), "binary"))
    with pytest.raises(ModelError, match="got a Sequential that is not compiled"):
        fit_model(_uncompiled, rows(), y, {}, 7, Offered(kinds=KINDS))


def _uncompiled(params: dict[str, Any]) -> Any:
    import keras

    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
