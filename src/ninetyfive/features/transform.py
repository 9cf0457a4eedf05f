"""A fitted transform: data with two executions, frames and rows, and a trace of one row.

    JSON ⇄ Transform ─┬ frames() ─▶ frame → Float32 frame
                      ├ rows()   ─▶ dict  → list of floats      equal, value for value
                      └ trace()  ─▶ what each step made of one row

What does not belong here: fitting (`fitting`), and the JSON form itself (`document`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from ninetyfive.errors import FeatureError
from ninetyfive.features import document, tree
from ninetyfive.features.frames import FrameFunction
from ninetyfive.features.functions import code_of
from ninetyfive.features.program import Program, check_model_inputs, program
from ninetyfive.features.rows import Row, RowFeatures, RowValues, TupleFeatures, every_value, model_inputs, tuple_inputs
from ninetyfive.features.source import source

if TYPE_CHECKING:
    import polars as pl

Kind = Literal["number"] | tuple[Literal["index"], int]


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step of a row through one feature: its source text, its logical type, the value it made (None: null)."""

    feature: str
    operation: str
    type: str
    value: Any


@dataclass(frozen=True)
class Transform:
    """What a model's inputs are made of: a tree per feature with all constants learned; compared by value, picklable.

    `trees` are (feature, tree) in declared order, `types` the logical types of the source columns they read.
    """

    trees: tuple[tuple[str, tree.Node], ...]
    types: tuple[tuple[str, str], ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return Transform, (self.trees, self.types)

    @cached_property
    def program(self) -> Program:
        """The steps of all features, each distinct one once."""
        made = program(dict(self.trees), dict(self.types))
        check_model_inputs(made)
        return made

    @property
    def features(self) -> dict[str, str]:
        """Feature → its source text, in declared order."""
        return {name: source(node) for name, node in self.trees}

    @property
    def inputs(self) -> dict[str, str]:
        """Source column → logical type, for each column that a feature reads, by name."""
        return dict(self.types)

    @property
    def code(self) -> dict[str, str]:
        """The sources of the users' functions in it, by their sha256; {} where it is data alone."""
        return code_of(tree.distinct(root for _, root in self.trees))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the model's inputs (all Float32) in order."""
        return tuple(self.kinds)

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """Model input → "number", or ("index", size) for integers from 0 to size - 1 that name a category or a bin."""
        kinds: dict[str, Kind] = {}
        for name, index in self.program.outputs:
            step = self.program.steps[index]
            is_index = step.type == tree.INTEGER and step.outcomes is not None
            size = 1 + max((value for value, _ in step.outcomes or ()), default=0)
            for column in self.program.columns(name, index):
                kinds[column] = ("index", size) if is_index else "number"
        return kinds

    @property
    def output(self) -> tuple[tuple[str, pl.DataType], ...]:
        """What a `Map` of `frames()` declares, without the columns of `keep`."""
        return self.frames().output

    def frames(self, keep: Mapping[str, str] | Sequence[str] = ()) -> FrameFunction:
        """The function frame → Float32 frame of `columns`, null as NaN, behind the columns of `keep` as they are.

        `keep` names columns of the frame (an id, a label); a mapping {name in the result: column} renames them, since
        a feature may have the name of a column.
        """
        return FrameFunction(self.trees, self.types, kept(keep), model=True)

    def rows(self) -> RowFeatures:
        """The compiled function dict of row scalars → list of floats in the order of `columns`, NaN for null.

        Each float is exactly a float32, equal to what `frames` gives. Compiled once; its text is its `source`. A
        missing key and an int64 overflow raise `FeatureError`; that values have their column's type is not checked.
        """
        return self._rows

    def tuples(self) -> TupleFeatures:
        """The function of `rows`, of a tuple of the values of `inputs` in their order instead of a dict."""
        return self._tuples

    @cached_property
    def _tuples(self) -> TupleFeatures:
        return tuple_inputs(self.program, tuple(self.inputs))

    @cached_property
    def _rows(self) -> RowFeatures:
        return model_inputs(self.program)

    @cached_property
    def _values(self) -> RowValues:
        return every_value(self.program)

    def trace(self, row: Row) -> list[TraceStep]:
        """What each step made of a row, feature by feature, inputs first, by the row lowering that serves.

        The last step of a feature is the feature; constants are left out.
        """
        steps = {step.node: step.type for step in self.program.steps}
        values = dict(zip(steps, self._values(row), strict=True))
        return [
            TraceStep(name, source(node), steps[node], values[node])
            for name, root in self.trees
            for node in tree.distinct([root])
            if not isinstance(node, tree.Constant)
        ]

    def to_json(self) -> str:
        """The transform as JSON text: versions, columns, and one list of nodes; no pickle, and of `code` the hashes."""
        return document.encode(self.trees, self.types)

    @staticmethod
    def from_json(text: str | bytes, code: Mapping[str, str] = MappingProxyType({})) -> Transform:
        """The transform that `to_json` wrote; an unknown version or operation, or altered content: `FeatureError`.

        So is a machine that might give other values: `machine` says which. `code` is what its `code` was. Where it has
        some, that runs as soon as the transform is read.
        """
        trees, types = document.decode(text, code)
        made = Transform(trees, types)
        read = {name: tree.columns_of(root) for name, root in trees}
        unread = sorted(set(dict(types)).difference(*read.values()))
        idle = [name for name, columns in read.items() if not columns]
        if unread or idle or not read:
            raise FeatureError(
                "transform",
                expected="features that read every input, and at least one each",
                got=f"input {unread[0]!r} that no feature reads" if unread else f"feature {idle[:1]} that reads none",
                do="restore the file, or fit the transform again",
            )
        made.frames()
        return made


def kept(keep: Mapping[str, str] | Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`keep` as pairs (name in the result, column)."""
    return tuple(keep.items()) if isinstance(keep, Mapping) else tuple((name, name) for name in keep)


def needed(trees: Iterable[tree.Node], types: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The columns that `trees` read with their types, by name."""
    names = {node.name for node in tree.distinct(trees) if isinstance(node, tree.Column)}
    return tuple((name, types[name]) for name in sorted(names))
