"""All operations on every engine: byte-equal frames, equal to the rows; and what is fitted is the same there too."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from tests.conftest import SEED
from tests.features.strategies import call, columns, combinations, expressions, samples
from tests.features.value_classes import CLASSES, LISTS, TYPES, bits, rows_of_classes, values_of

from ninetyfive.engines.beam import BeamEngine
from ninetyfive.engines.local import LocalEngine
from ninetyfive.engines.spark import SparkEngine
from ninetyfive.errors import FeatureError
from ninetyfive.features import tree
from ninetyfive.features.encoding import FOLD, FOLDS, LABEL
from ninetyfive.features.fitting import Fitting
from ninetyfive.features.frames import FrameFunction, frame_of, scalars
from ninetyfive.features.operation import COLUMNS
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.program import program
from ninetyfive.features.recording import Expr, col
from ninetyfive.features.rows import every_value, model_inputs
from ninetyfive.features.transform import needed
from ninetyfive.plan import Engine, Map, Plan, Read, Reduce, Write, merge_states
from ninetyfive.testing.engine_plans import FrameReader, frame_part

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow

CHUNK = 128
TAME = ("null", "NaN", "zero", "one", "plain", "float32 halfway", "small", "false", "true")
"""Classes of numbers that have a finite mean and spread."""


@pytest.fixture(scope="module")
def engines(spark: SparkSession) -> dict[str, Engine]:
    """One of each."""
    return {"local": LocalEngine(threads=2), "spark": SparkEngine(spark), "beam": BeamEngine()}


def parts_of(frame: pl.DataFrame) -> Read:
    """Two spans of several chunks."""
    half = frame.height // 2
    return Read(tuple(frame_part(some, chunk=CHUNK) for some in (frame[:half], frame[half:])), FrameReader())


def random_rows(count: int, kinds: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Rows of values drawn by the seed of the session, each column by itself."""
    chance = random.Random(SEED)
    return [{name: chance.choice(kinds[kind]) for name, kind in TYPES.items()} for _ in range(count)]


def features() -> dict[str, tree.Node]:
    """Each operation on columns of each combination of types that it takes."""
    found = [(name, expression) for name in OPERATIONS for _, expression in expressions(name, 1)]
    return {f"{index} {name}": expression.node for index, (name, expression) in enumerate(found)}


def good_rows(nodes: dict[str, tree.Node]) -> list[dict[str, Any]]:
    """Rows of all classes and random ones, without those that an operation refuses."""
    values = every_value(program(nodes, TYPES))
    drawn = random_rows(200, {kind: values_of(kind, large=False) for kind in CLASSES})

    classes = rows_of_classes(2)
    small = {name: 1 for name, kind in TYPES.items() if kind == tree.INTEGER}

    def accepted() -> Iterator[dict[str, Any]]:
        for row in [*classes, *(row | small for row in classes), *drawn]:
            try:
                values(row)
            except FeatureError:
                continue
            yield row

    return list(accepted())


def test_every_operation_gives_the_same_bytes_on_every_engine(
    engines: dict[str, Engine], tmp_path: Path, record_property: Any
) -> None:
    nodes = features()
    assert {name.split()[1] for name in nodes} == set(OPERATIONS)
    rows = good_rows(nodes)
    for name, kind in TYPES.items():
        left_out = set(CLASSES[kind]) - {"null", "zero", "small"} if kind == tree.INTEGER else set()
        for label, values in CLASSES[kind].items():
            assert label in left_out or {repr(value) for value in values} & {repr(row[name]) for row in rows}, label
    made = program(nodes, TYPES)
    kinds = {name: made.steps[index].type for name, index in made.outputs}
    typed = {name: node for name, node in nodes.items() if kinds[name] != COLUMNS}
    inputs = {name: node for name, node in nodes.items() if kinds[name] in (*tree.NUMERIC, tree.BOOLEAN, COLUMNS)}
    read = parts_of(frame_of(rows, TYPES))
    plans: dict[str, Map] = {}
    for name, chosen, model in (("typed", typed, False), ("inputs", inputs, True)):
        function = FrameFunction(tuple(chosen.items()), needed(chosen.values(), TYPES), model=model)
        plans[name] = Map(read, function, function.output)
    found = {}
    for engine, runs in engines.items():
        sinks: dict[str, Plan] = {**plans, "file": Write(plans["inputs"], str(tmp_path / engine))}
        found[engine] = runs.run(sinks)
    for engine, results in found.items():
        assert [file.sha256 for file in results["file"]] == [file.sha256 for file in found["local"]["file"]], engine
        for name in plans:
            one, other = results[name], found["local"][name]
            assert one.schema == other.schema
            assert [bits(row) for row in one.rows()] == [bits(row) for row in other.rows()], (engine, name)
    ordered = [row for part in sorted(read.parts, key=lambda part: part.span) for row in rows_of(part)]
    values, row_inputs = every_value(program(typed, TYPES)), model_inputs(program(inputs, TYPES))
    places = [index for _, index in program(typed, TYPES).outputs]
    computed = scalars(found["local"]["typed"], {name: kinds[name] for name in typed})
    for got, model, row in zip(computed, found["local"]["inputs"].rows(), ordered, strict=True):
        whole = values(row)
        assert bits(list(got.values())) == bits([whole[index] for index in places])
        assert bits(list(model)) == bits(row_inputs(row))
    record_property("counted", ["expressions of all operations on each of 3 engines", len(nodes)])


def rows_of(part: Any) -> list[dict[str, Any]]:
    """The rows of a part as row scalars."""
    return [row for chunk in FrameReader().read(part) for row in scalars(chunk, TYPES)]


def test_every_engine_refuses_an_overflow_in_the_same_words(engines: dict[str, Engine]) -> None:
    node = (col("integer 1") * 2).node
    function = FrameFunction((("twice", node),), (("integer 1", tree.INTEGER),))
    plan = Map(parts_of(pl.DataFrame({"integer 1": [1, 2, 2**62, 4]})), function, function.output)
    for engine in engines.values():
        with pytest.raises(
            FeatureError, match=r"operation multiply: expected an integer of 64 bits, got .*904 and 2\."
        ):
            engine.run({"rows": plan})


def unfitted() -> dict[str, Expr]:
    """Each learned operation on columns of each type that it takes, nothing learned yet."""
    made = {}
    for name, operation in OPERATIONS.items():
        if operation.learned:
            (arguments, *_) = samples(name, 1)
            for kinds in combinations(operation, arguments):
                node = call(operation, columns(kinds), arguments, None).node
                assert isinstance(node, tree.Call)
                if name == "target_encode" and len(kinds) > 1:
                    continue  # the fold, which no user writes
                made[f"{name} of {' and '.join(kinds)}"] = Expr(node) if _is_input(node) else Expr(node).is_null()
    return made


def _is_input(node: tree.Node) -> bool:
    """Whether a model takes what it gives."""
    return program({"x": node}, TYPES).steps[-1].type in (*tree.NUMERIC, tree.BOOLEAN, COLUMNS)


def test_every_learned_operation_learns_the_same_on_every_engine(
    engines: dict[str, Engine], record_property: Any
) -> None:
    declared = unfitted()
    assert {name.split()[0] for name in declared} == {name for name, one in OPERATIONS.items() if one.learned}
    tame = {
        kind: [value for name, values in classes.items() if name in TAME for value in values]
        if kind in tree.NUMERIC or kind in LISTS
        else values_of(kind, large=False)
        for kind, classes in CLASSES.items()
    }
    chance = random.Random(SEED)
    labelled = frame_of(random_rows(500, tame), TYPES).with_columns(
        pl.Series(LABEL, [chance.random() < 0.5 for _ in range(500)]),
        pl.Series(FOLD, [chance.randrange(FOLDS) for _ in range(500)]),
    )
    read, fitted = parts_of(labelled), {}
    for engine, runs in engines.items():
        fitting = Fitting(declared, TYPES, "binary")
        while (phase := fitting.phase()) is not None:
            kept = tuple((name, labelled.schema[name]) for name in (LABEL, FOLD) if name in phase.keep)
            mapped = Map(read, phase.function, (*kept, *phase.output))
            found = runs.run({name: Reduce(mapped, reducer) for name, reducer in phase.reducers.items()})
            fitting.advance({name: merge_states(reducer, found[name]) for name, reducer in phase.reducers.items()})
        fitted[engine] = fitting.transform().to_json()
    assert fitted["spark"] == fitted["local"]
    assert fitted["beam"] == fitted["local"]
    record_property("counted", ["learned expressions fitted on each of 3 engines", len(declared)])
