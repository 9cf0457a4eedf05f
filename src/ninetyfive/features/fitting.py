"""Fitting: from features to a transform, one pass over the training rows per phase.

    Fitting ─ phase() ─▶ a row function and its reducers ─ (an engine runs them) ─▶ advance(states) ─ … ─▶ transform()

A learned operation is ready once nothing under it still has to learn; all that are ready make one phase. Equal
analyzers (the same reducer on the same expression) are one. States may come from storage: only their names count.
What does not belong here: running anything over data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import polars as pl

from ninetyfive.errors import FeatureError, PlanError
from ninetyfive.features import encoding, learned, projections, terms, tree
from ninetyfive.features.encoding import FOLD, LABEL, TARGET_ENCODE, learn_targets
from ninetyfive.features.frames import FrameFunction
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.program import check_model_inputs, program
from ninetyfive.features.recording import Expr
from ninetyfive.features.source import source
from ninetyfive.features.transform import Transform, kept, needed
from ninetyfive.metrics import Task
from ninetyfive.reducers.covariance import Covariance
from ninetyfive.reducers.keyed_counts import KeyedCounts
from ninetyfive.reducers.moments import Moments
from ninetyfive.reducers.quantiles import Quantiles
from ninetyfive.reducers.reducer import Reducer
from ninetyfive.reducers.target_means import TargetMeans
from ninetyfive.reducers.term_counts import TermCounts

Constants: TypeAlias = tuple[tuple[str, Any], ...]

REDUCERS: Mapping[str, Callable[..., Reducer[Any, Any]]] = {
    learned.MOMENTS: Moments,
    learned.QUANTILES: Quantiles,
    learned.KEYED_COUNTS: KeyedCounts,
    encoding.TARGET_MEANS: lambda column, *sizes: TargetMeans(column, LABEL, FOLD, *sizes),
    projections.COVARIANCE: lambda *columns: Covariance(columns),
    terms.TERM_COUNTS: TermCounts,
}
"""What builds a reducer, from the columns of an operation's inputs and the sizes that its `analyzer` says."""


@dataclass(frozen=True)
class Phase:
    """One pass: `function` makes the columns that the `reducers` read; `advance` wants one merged state per reducer.

    `output` is what a `Map` of `function` declares, behind the columns of `keep` (label and fold, where a reducer reads
    them). A column is named by the source text of its expression, a reducer by its kind and columns. `reads` are the
    source columns; with `fold` the frame must hold `__fold` too.
    """

    function: FrameFunction
    reducers: Mapping[str, Reducer[Any, Any]]

    @property
    def output(self) -> tuple[tuple[str, pl.DataType], ...]:
        """Names and dtypes of the analyzers' columns."""
        return self.function.output

    @property
    def keep(self) -> tuple[str, ...]:
        """The columns that stand before those of `output`, as they are in the frame."""
        return tuple(column for _, column in self.function.keep)

    @property
    def reads(self) -> tuple[str, ...]:
        """The source columns that `function` reads."""
        return tuple(name for name, _ in self.function.types if name != FOLD)

    @property
    def fold(self) -> bool:
        """Whether the frame must say which fold a row is in."""
        return FOLD in self.keep or FOLD in dict(self.function.types)


class Fitting:
    """The features of a system over columns of logical `types`, on the way to a `Transform`.

    Checks at once what only the schema knows: columns, the types of operands, that every feature is a number, an
    integer, a boolean or several columns, that `task` has labels to encode by (`FeatureError` with feature, operation,
    column, types and what to do).

    >>> from ninetyfive.features.recording import col
    >>> fitting = Fitting({"distance": col("distance").fill_mean()}, {"distance": "number"})
    >>> phase = fitting.phase()
    >>> frame = phase.function(pl.DataFrame({"distance": [100.0, None, 300.0]}))
    >>> fitting.advance({name: it.add(it.zero(), frame) for name, it in phase.reducers.items()})
    >>> fitting.transform().rows()({"distance": None})
    [200.0]
    """

    def __init__(self, features: Mapping[str, Expr], types: Mapping[str, str], task: Task = "binary") -> None:
        self._trees = {name: _tree(name, feature) for name, feature in features.items()}  # as training rows see them
        self._types = {**types, FOLD: tree.INTEGER}
        self._served: dict[tree.Node, Constants] = {}  # what a node that differs for training rows knows when serving
        if not self._trees:
            raise FeatureError(
                "features", expected="at least one feature", got="none", do='add one, as in {"x": col("x")}'
            )
        check_model_inputs(program(self._trees, self._types))
        for node in tree.distinct(self._trees.values()):
            if task == "multiclass" and isinstance(node, tree.Call) and node.operation == TARGET_ENCODE:
                raise FeatureError(
                    self._where(node),
                    expected="a label that is boolean or a number",
                    got="a label of several classes",
                    do="use .frequency() or .vocabulary(), or a label such as col(...) == value",
                )

    def phase(self) -> Phase | None:
        """The next pass, or None when all is learned."""
        ready = self._ready()
        if not ready:
            return None
        columns = {source(item): item for node in ready for item in node.inputs}
        reducers = {_name(node): _reducer(node) for node in ready}
        keep = (LABEL, FOLD) if any(node.operation == TARGET_ENCODE for node in ready) else ()
        return Phase(FrameFunction(tuple(columns.items()), needed(columns.values(), self._types), kept(keep)), reducers)

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
            operation, where, arguments = OPERATIONS[node.operation], self._where(node), dict(node.arguments)
            assert operation.learn is not None
            result = _reducer(node).result(states[_name(node)])
            learned_here = operation.checked_constants(operation.learn(result, arguments, where), where)
            made = tree.Call(node.operation, node.inputs, node.arguments, learned_here)
            if node.operation == TARGET_ENCODE:
                apart = operation.checked_constants(learn_targets(result, arguments, where, by_fold=True), where)
                made = tree.Call(node.operation, (*node.inputs, tree.Column(FOLD)), node.arguments, apart)
                self._served[made] = learned_here
            fitted[node] = made
        self._trees = tree.replace(self._trees, fitted)
        check_model_inputs(program(self._trees, self._types))

    def transform(self) -> Transform:
        """The fitted transform, as it serves and judges; `PlanError` where a phase is still to come."""
        trained = dict(self.training_transform().trees)
        done: dict[tree.Node, tree.Node] = {}
        for node in tree.distinct(trained.values()):
            done[node] = node
            if isinstance(node, tree.Call):
                constants = self._served.get(node)
                inputs = node.inputs if constants is None else node.inputs[:1]
                known = node.constants if constants is None else constants
                done[node] = tree.Call(node.operation, tuple(done[item] for item in inputs), node.arguments, known)
        return self._made({name: done[root] for name, root in trained.items()})

    def training_transform(self) -> Transform:
        """The fitted transform of training rows, which reads `__fold` where a row must not see its own label."""
        if self._ready():
            raise PlanError(
                "Fitting.transform", expected="all phases done", got="one to come", do="run phase() and advance()"
            )
        return self._made(self._trees)

    def _made(self, trees: Mapping[str, tree.Node]) -> Transform:
        return Transform(tuple(trees.items()), needed(trees.values(), self._types))

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
    return f"{kind}{list(sizes) if sizes else ''} of {', '.join(source(item) for item in node.inputs)}"


def _reducer(node: tree.Call) -> Reducer[Any, Any]:
    kind, sizes = _analyzer(node)
    return REDUCERS[kind](*(source(item) for item in node.inputs), *sizes)


def _analyzer(node: tree.Call) -> tuple[str, tuple[Any, ...]]:
    analyzer = OPERATIONS[node.operation].analyzer
    assert analyzer is not None
    return analyzer(dict(node.arguments))
