"""A Keras model as a model of one matrix: what every form of it is made from, and what it may be made of.

    Input "carrier"  ◀─ column carrier ─────────────────┐
    Input "numeric"  ◀─ the columns no input is named ──┴─ x: float32 (rows, columns)
    Embedding        ◀─ indices, those it has no row for as 0

The rule: an input that has the name of a column gets this column; every other input gets the columns that no input is
named after, in their order. An index outside an Embedding, and a missing one, counts as 0, which is what `vocabulary`
calls unknown: TensorFlow would raise, ONNX Runtime raise otherwise, LiteRT read what lies behind the table.
What does not belong here: how the result is saved, converted and asked (`keras`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ninetyfive.errors import ModelError
from ninetyfive.models.seeding import import_keras

REFUSED = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
"""Layers whose file would hold code, or name a file that does."""

_PRECISIONS = ("float16", "bfloat16", "float64")


def matrix_model(model: Any, columns: Sequence[str], where: str) -> Any:
    """The same model, its layers shared, with one input `x` of float32 (rows, columns) and one output.

    `ModelError` where an input finds no column or a column no input, where there are several outputs, mixed precision,
    an own class, a layer that holds code, or a loss that takes logits.
    """
    keras = import_keras()
    if not model.built or not getattr(model, "inputs", None):
        _build(model, len(columns), where)
    refuse_code(keras.saving.serialize_keras_object(model), where)
    _refuse_precision(model, where)
    _refuse_logits(model, where)
    if len(model.outputs) != 1:
        raise ModelError(
            where, expected="one output", got=f"{len(model.outputs)} outputs", do="return a model with one of them"
        )
    taken = _taken(model.inputs, columns, where)
    x = keras.Input((len(columns),), name="x", dtype="float32")
    inputs = [_cut(keras, x, wanted, places) for wanted, places in zip(model.inputs, taken, strict=True)]
    return keras.Model(x, _guarded(keras, model)(inputs), name="matrix")


def refuse_code(config: Any, where: str) -> None:
    """`ModelError` where a serialised model holds anything but Keras' own classes, or a layer that holds code."""
    for part in _dicts(config):
        name, module, registered = part.get("class_name"), part.get("module"), part.get("registered_name")
        if not isinstance(name, str) or "config" not in part:
            continue
        own = module is None or str(module).partition(".")[0] in ("keras", "builtins")
        if name in REFUSED or name == "function" or not own or (registered or name) not in (name, None):
            shown = f"a {name} layer" if name in REFUSED else f"{module or ''}.{name}".lstrip(".")
            if name == "function":
                shown = f"the function {part['config']!r}"
            raise ModelError(
                where,
                expected="layers, activations and initialisers of Keras itself",
                got=shown,
                do="build it from Keras' own layers and operations (keras.ops): a file with other code is not loaded",
            )


def _dicts(config: Any) -> Iterator[dict[str, Any]]:
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(value for key, value in part.items() if key != "compile_config")
        elif isinstance(part, list | tuple):
            waiting.extend(part)


def _build(model: Any, columns: int, where: str) -> None:
    try:
        model.build((None, columns))
    except (ValueError, TypeError, NotImplementedError, AttributeError) as cause:
        raise _no_graph(model, where) from cause
    if not getattr(model, "inputs", None):
        raise _no_graph(model, where)


def _no_graph(model: Any, where: str) -> ModelError:
    return ModelError(
        where,
        expected="a Sequential or functional Keras model",
        got=f"a {type(model).__name__} whose inputs are not known",
        do="start from keras.Input and end with keras.Model(inputs, output)",
    )


def _refuse_precision(model: Any, where: str) -> None:
    for layer in model._flatten_layers():
        if layer.compute_dtype in _PRECISIONS:
            raise ModelError(
                where,
                expected="float32 throughout",
                got=f"{layer.compute_dtype} in layer {layer.name!r}",
                do='leave out keras.mixed_precision and dtype= (keras.config.set_dtype_policy("float32"))',
            )


def _refuse_logits(model: Any, where: str) -> None:
    loss = getattr(model, "loss", None)
    said = getattr(loss, "from_logits", None)
    if said is None:
        said = getattr(loss, "_fn_kwargs", {}).get("from_logits")
    if said:
        raise ModelError(
            where,
            expected="a model that answers with probabilities",
            got="logits (a loss with from_logits=True)",
            do="end with a sigmoid or softmax layer, and leave from_logits out",
        )


def _taken(inputs: Sequence[Any], columns: Sequence[str], where: str) -> list[list[int]]:
    """The places of the columns that each input gets."""
    place = {name: index for index, name in enumerate(columns)}
    rest = [index for name, index in place.items() if name not in {given.name for given in inputs}]
    taken = []
    for given in inputs:
        places = [place[given.name]] if given.name in place else rest
        width = 1 if len(given.shape) == 1 else given.shape[1]
        if len(given.shape) > 2 or width != len(places):
            raise ModelError(
                f"{where}, input {given.name!r}",
                expected=f"shape (None, {len(places)}): "
                + ("a column" if given.name in place else f"the {len(rest)} columns that no input is named after"),
                got=f"shape {tuple(given.shape)}",
                do=f"name it after one of {', '.join(map(repr, columns[:8]))}{' …' * (len(columns) > 8)}, "
                f"or make it {len(places)} wide",
            )
        taken.append(places)
    lost = [columns[index] for index in rest] if not any(places is rest for places in taken) else []
    if lost:
        raise ModelError(
            where,
            expected="an input for every column",
            got=f"none for {', '.join(map(repr, lost[:8]))}",
            do=f"add keras.Input(({len(lost)},)) for them, or take them out of features=",
        )
    return taken


def _cut(keras: Any, x: Any, wanted: Any, places: list[int]) -> Any:
    """The columns at `places`, in the shape and type that an input wants."""
    whole = places == list(range(x.shape[1]))
    straight = places == list(range(places[0], places[-1] + 1)) if places else False
    cut = x if whole else x[:, places[0] : places[-1] + 1] if straight else keras.ops.take(x, places, axis=1)
    if len(wanted.shape) == 1:
        cut = cut[:, 0]
    dtype = keras.backend.standardize_dtype(wanted.dtype)
    return cut if dtype == "float32" else keras.ops.cast(cut, dtype)


def _guarded(keras: Any, model: Any) -> Any:
    """The model over a list of its inputs, in which every Embedding gets only indices that it has a row for."""

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, keras.layers.Embedding):
            index = keras.ops.cast(args[0], "int32")  # of NaN: the least integer, or 0
            known = keras.ops.logical_and(index >= 0, index < layer.input_dim)
            args = (index * keras.ops.cast(known, "int32"), *args[1:])
        return layer(*args, **kwargs)

    def shared(layer: Any) -> Any:
        return _guarded(keras, layer) if isinstance(layer, keras.Model) and layer.inputs else layer

    plain = keras.Model(list(model.inputs), model.outputs[0], name=model.name)
    embeds = any(isinstance(layer, keras.layers.Embedding) for layer in model._flatten_layers())
    return keras.models.clone_model(plain, clone_function=shared, call_function=call) if embeds else plain
