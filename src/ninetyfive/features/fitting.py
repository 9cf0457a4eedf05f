"""Fitting: from features to a transform, one pass over the training rows per phase.

    Fitting ─ phase() ─▶ a row function and its reducers ─ (an engine runs them) ─▶ advance(states) ─ … ─▶ transform()

A learned operation is ready once nothing under it still has to learn; all that are ready make one phase. Equal
analyzers (the same reducer on the same expression) are one. States may come from storage: only their names count.
What does not belong here: running anything over data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ninetyfive.errors import FeatureError, PlanError
from ninetyfive.features import learned, tree
from ninetyfive.features.frames import FrameFunction
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.program import check_model_inputs, program
from ninetyfive.features.recording import Expr
from ninetyfive.features.source import source
from ninetyfive.features.transform import Transform, kept, needed
from ninetyfive.reducers.keyed_counts import KeyedCounts
from ninetyfive.reducers.moments import Moments
from ninetyfive.reducers.quantiles import Quantiles
from ninetyfive.reducers.reducer import Reducer

REDUCERS: Mapping[str, Any] = {
    learned.MOMENTS: Moments,
    learned.QUANTILES: Quantiles,
    learned.KEYED_COUNTS: KeyedCounts,
}


@dataclass(frozen=True)
class Phase:
    """One pass: `function` makes the columns that the `reducers` read; `advance` wants one merged state per reducer.

    `output` is what a `Map` of `function` declares (without the columns of `keep`). A column is named by the source
    text of its expression, a reducer by its kind and column.
    """

    function: FrameFunction
    reducers: Mapping[str, Reducer[Any, Any]]

    @property
    def output(self) -> tuple[tuple[str, pl.DataType], ...]:
        """Names and dtypes of the analyzers' columns."""
        return self.function.output


class Fitting:
    """The features of a system over columns of logical `types`, on the way to a `Transform`.

    Checks at once what only the schema knows: columns, the types of operands, that every feature is a number, an
    integer, a boolean or one_hot (`FeatureError` with feature, operation, column, types and what to do).

    >>> from ninetyfive.features.recording import col
    >>> fitting = Fitting({"distance": col("distance").fill_mean()}, {"distance": "number"})
    >>> phase = fitting.phase()
    >>> frame = phase.function(pl.DataFrame({"distance": [100.0, None, 300.0]}))
    >>> fitting.advance({name: it.add(it.zero(), frame) for name, it in phase.reducers.items()})
    >>> fitting.transform().rows()({"distance": None})
    [200.0]
    """

    def __init__(self, features: Mapping[str, Expr], types: Mapping[str, str]) -> None:
        self._trees = {name: _tree(name, feature) for name, feature in features.items()}
        self._types = dict(types)
        if not self._trees:
            raise FeatureError(
                "features", expected="at least one feature", got="none", do='add one, as in {"x": col("x")}'
            )
        check_model_inputs(program(self._trees, self._types))

    def phase(self, keep: Mapping[str, str] | Sequence[str] = ()) -> Phase | None:
        """The next pass, or None when all is learned. `keep` passes columns through, as `Transform.frames` does."""
        ready = self._ready()
        if not ready:
            return None
        columns = {source(node.inputs[0]): node.inputs[0] for node in ready}
        reducers = {_name(node): _reducer(node) for node in ready}
        function = FrameFunction(tuple(columns.items()), needed(columns.values(), self._types), kept(keep))
        return Phase(function, reducers)

    def advance(self, states: Mapping[str, Any]) -> None:
        """Learn this phase from one merged state per reducer; what cannot be learned raises `FeatureError`."""
        ready = self._ready()
        missing = sorted({_name(node) for node in ready} - set(states))
        if missing:
            raise PlanError(
                "Fitting.advance", expected="a state of each reducer", got=f"none of {missing[0]}", do="add it"
            )
        fitted: dict[tree.Node, tree.Node] = {}
        for node in ready:
            operation = OPERATIONS[node.operation]
            assert operation.learn is not None
            result = _reducer(node).result(states[_name(node)])
            constants = operation.learn(result, dict(node.arguments), self._where(node))
            checked = operation.checked_constants(constants, self._where(node))
            fitted[node] = tree.Call(node.operation, node.inputs, node.arguments, checked)
        self._trees = tree.replace(self._trees, fitted)
        check_model_inputs(program(self._trees, self._types))

    def transform(self) -> Transform:
        """The fitted transform; `PlanError` where a phase is still to come."""
        if self._ready():
            raise PlanError(
                "Fitting.transform", expected="all phases done", got="one to come", do="run phase() and advance()"
            )
        return Transform(tuple(self._trees.items()), needed(self._trees.values(), self._types))

    def _ready(self) -> list[tree.Call]:
        waiting: set[tree.Node] = set()
        ready: list[tree.Call] = []
        for node in tree.distinct(self._trees.values()):
            if not isinstance(node, tree.Call):
                continue
            if any(item in waiting for item in node.inputs):
                waiting.add(node)
            elif OPERATIONS[node.operation].learned and node.constants is None:
                waiting.add(node)
                ready.append(node)
        return ready

    def _where(self, node: tree.Call) -> str:
        name = next(name for name, root in self._trees.items() if node in tree.distinct([root]))
        return f"feature {name!r}, {source(node)}"


def _tree(name: str, feature: Any) -> tree.Node:
    if not isinstance(feature, Expr):
        raise FeatureError(
            f"feature {name!r}",
            expected="a column expression",
            got=f"{type(feature).__name__} {str(feature)[:80]!r}",
            do='write it as in col("distance").log1p(), and end when(...) with .then(...).otherwise(...)',
        )
    if not name or name.startswith("__"):
        raise FeatureError(
            f"feature {name!r}", expected="a name without __ in front", got=repr(name), do="rename the feature"
        )
    return feature.node


def _name(node: tree.Call) -> str:
    kind, sizes = _analyzer(node)
    return f"{kind}{list(sizes) if sizes else ''} of {source(node.inputs[0])}"


def _reducer(node: tree.Call) -> Reducer[Any, Any]:
    kind, sizes = _analyzer(node)
    made: Reducer[Any, Any] = REDUCERS[kind](source(node.inputs[0]), *sizes)
    return made


def _analyzer(node: tree.Call) -> tuple[str, tuple[int, ...]]:
    analyzer = OPERATIONS[node.operation].analyzer
    assert analyzer is not None
    return analyzer(dict(node.arguments))
