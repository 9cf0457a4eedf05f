"""The adapter for ONNX files that somebody else made: `ninetyfive import` gives one in place of a model function.

    model.onnx ─ OnnxFile(x, y, params) ─▶ Imported ─ save ───▶ imported.onnx   the file as it came
                                                    ─ export ─▶ ONNX bytes      one float32 input, one output, metadata

Its own answers are those of the file as it came, so that the proof holds the rewritten file against it like any other
export. What does not belong here: which files are refused (`onnx_file`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ninetyfive.errors import IntegrityError, ModelError
from ninetyfive.metrics import Task
from ninetyfive.models.exported import finished
from ninetyfive.models.onnx import run_session, session_of
from ninetyfive.models.onnx_file import Description, describe, parse
from ninetyfive.models.predictor import Answers, Inputs, answers

NAME = "imported"
FILES: tuple[str, ...] = ("imported.onnx", "imported.json")
FORMS: tuple[str, ...] = ("onnx",)
NEEDS: tuple[str, ...] = ()

_OWN = "ninetyfive"
"""What the names begin with that are put into the graph."""


@dataclass(frozen=True, repr=False)
class OnnxFile:
    """A file in place of a model function: `name` as it is told, its bytes, which output answers, its classes.

    `classes` are those of the columns of its answer, in their order; where they are not given, the file has to say.
    """

    name: str
    data: bytes
    output: str | None = None
    classes: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return self.name

    def __call__(self, x: Any, y: np.ndarray, params: Mapping[str, Any]) -> Imported:  # noqa: ARG002
        """The file as a model of the columns of `x` and the classes of `y`; `ModelError` where it is none."""
        found = describe(self.data, self.name, x.columns, self.output)
        said = self.classes or found.classes
        known = tuple(np.unique(y).tolist()) if y.dtype.kind == "U" else ()
        if y.dtype.kind == "b" and said is not None and list(said) != sorted(said):
            raise ModelError(
                self.name,
                expected="the probability of true in the last column",
                got=f"classes in the order {', '.join(said)}",
                do="export it with false before true",
            )
        classes = _ordered(said, known, self.name) if known else None
        return Imported(self.data, msgspec.structs.replace(found, classes=classes), self.name)


@dataclass(frozen=True, repr=False)
class Imported:
    """A file that was read: answers as it came, by ONNX Runtime."""

    data: bytes
    description: Description
    name: str = FILES[0]
    session: Any = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "session", session_of(self.data, self.name))

    def predict(self, x: Inputs) -> np.ndarray:
        """The output that answers, for float32 (rows, columns), as the file gives it."""
        inputs = self.description.inputs
        given: dict[str, Any] = {}
        for place, one in enumerate(inputs):
            column = x[:, place : place + 1] if one.rank == 2 else x[:, place]
            values = x if len(inputs) == 1 and one.rank == 2 else column
            given[one.name] = np.ascontiguousarray(values, dtype=np.float64 if one.double else np.float32)
        return np.asarray(run_session(self.session, self.description.output, given, self.name))


def recognises(model: object) -> bool:
    """Whether it is a file that was imported.

    >>> recognises({"not": "a model"})
    False
    """
    return isinstance(model, Imported)


def save(model: Any, folder: Path) -> None:
    """Write the file as it came, and what of it answers."""
    (folder / FILES[0]).write_bytes(model.data)
    (folder / FILES[1]).write_bytes(msgspec.json.encode(model.description))


def load(folder: Path) -> Any:
    """The file that `save` wrote; `IntegrityError` for anything else."""
    try:
        description = msgspec.json.decode((folder / FILES[1]).read_bytes(), type=Description)
        return Imported((folder / FILES[0]).read_bytes(), description)
    except (msgspec.MsgspecError, ModelError) as cause:
        raise IntegrityError(
            str(folder),
            expected="an ONNX file, and what of it answers",
            got=str(cause),
            do="restore the release from where it was copied, or import the file again",
        ) from cause


def export(model: Any, columns: Sequence[str], task: Task, classes: Sequence[str]) -> bytes:
    """The file with one float32 input, the one output that answers, and task, classes and columns as metadata."""
    from onnx import helper

    given: Description = model.description
    made = parse(model.data, model.name)
    graph = made.graph
    if not any(one.domain in ("", "ai.onnx") for one in made.opset_import):
        made.opset_import.extend([helper.make_opsetid("", 17)])
    weights = {one.name for one in graph.initializer}
    for one in [one for one in graph.input if one.name not in weights]:
        graph.input.remove(one)
    whole = f"{_OWN}/x"
    graph.input.insert(0, helper.make_tensor_value_info(whole, 1, [None, len(columns)]))
    nodes = [node for place, one in enumerate(given.inputs) for node in _bridge(given, place, whole)]
    last = given.output
    kind = next(one.type.tensor_type.elem_type for one in graph.output if one.name == last)
    after = []
    if given.classes is not None and list(given.classes) != list(classes):
        places = [given.classes.index(name) for name in classes]
        after = [_constant(f"{_OWN}/order", places), *_gather(last, f"{_OWN}/order", f"{_OWN}/answer")]
        last = f"{_OWN}/answer"
    old = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *old, *after])
    del graph.output[:]
    graph.output.extend([helper.make_tensor_value_info(last, kind, None)])
    return finished(made, 0, columns, task, classes)


def predict(model: Any, x: Inputs, task: Task, classes: Sequence[str]) -> Answers:
    """The answers of the file as it came, in the order of the classes."""
    values = model.predict(x)
    if task == "binary" and values.ndim == 2 and values.shape[1] == 2:
        values = values[:, 1]
    known = model.description.classes
    if task == "multiclass" and known is not None and values.ndim == 2 and values.shape[1] == len(known):
        values = values[:, [known.index(name) for name in classes]]
    return answers(values, task, tuple(classes), len(x), model.name)


def _ordered(said: tuple[str, ...] | None, known: tuple[str, ...], where: str) -> tuple[str, ...]:
    """The classes in the order of the file's answers: as they are said, by name or by place among the sorted ones."""
    if said is not None and set(said) == set(known) and len(said) == len(known):
        return said
    if said is not None and sorted(said, key=str) == sorted(map(str, range(len(known)))):
        return tuple(known[int(place)] for place in said)
    raise ModelError(
        where,
        expected=f"an answer of the classes {', '.join(known)}",
        got="a file that does not say the order of its classes" if said is None else f"one of {', '.join(said)}",
        do=f"say it, in the order of the file: --classes {','.join(known)}",
    )


def _bridge(given: Description, place: int, whole: str) -> list[Any]:
    """Nodes from the one input to an input of the file: all columns, or the one at a place."""
    from onnx import helper

    one, source, nodes = given.inputs[place], whole, []
    if len(given.inputs) > 1:
        index, source = f"{_OWN}/place {place}", f"{_OWN}/column {place}"
        nodes = [_constant(index, [place] if one.rank == 2 else place), *_gather(whole, index, source)]
    elif one.rank == 1:
        index, source = f"{_OWN}/place {place}", f"{_OWN}/column {place}"
        nodes = [_constant(index, place), *_gather(whole, index, source)]
    last = helper.make_node("Cast", [source], [one.name], to=11) if one.double else None
    return [*nodes, last or helper.make_node("Identity", [source], [one.name])]


def _constant(name: str, places: Any) -> Any:
    from onnx import helper, numpy_helper

    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(places, dtype=np.int64)))


def _gather(source: str, index: str, name: str) -> list[Any]:
    from onnx import helper

    return [helper.make_node("Gather", [source, index], [name], axis=1)]
