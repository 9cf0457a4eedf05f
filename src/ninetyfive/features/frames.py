"""The frame execution: a program as Polars expressions, for every engine and for large requests.

    frame ─ with_columns(what several steps read) ─ select(features) ─▶ frame

What several outputs share is computed once, in a stage before the others. So is what may refuse a row: Polars leaves
out a branch of `when` that no row of the frame takes, and a row would be refused or not by its neighbours. Expressions
are built once per function and process, and are never pickled.

What does not belong here: the meaning of an operation (`operations`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ninetyfive.errors import FeatureError, near_names
from ninetyfive.features import document, tree
from ninetyfive.features.operation import COLUMNS
from ninetyfive.features.program import Program, Step, program
from ninetyfive.features.rows import every_value
from ninetyfive.hashing import content_hash
from ninetyfive.schema import dtype

if TYPE_CHECKING:
    import polars as pl

_READS = 3
"""How often a frame form may read an input; one that would read it more often is built with `operation.once`."""
_LARGE = 100
"""The size, with inputs counted as often as they may be read, from which on an expression gets a stage of its own."""


@cache
def dtypes() -> Mapping[str, pl.DataType]:
    """Logical type → Polars dtype, of all types that an operation takes."""
    return {kind: dtype(kind) for kind in tree.TYPES if kind != tree.OPAQUE}


class Stage(NamedTuple):
    """Expressions that are computed together, and calls (name of the column, inputs, function of their Series)."""

    expressions: list[pl.Expr]
    calls: list[tuple[str, list[pl.Expr], Callable[[list[pl.Series]], pl.Series]]]


@dataclass(frozen=True)
class FrameFunction:
    """A row-wise function, frame → frame, for a `Map`: `keep` first, then `outputs`, in order; compared by value.

    `outputs` are (name, tree), `types` the logical types of the columns that they read, `keep` (name in the result,
    column of the frame). Each output has the dtype of its logical type; with `model=True` it is Float32: booleans are
    0 and 1, integers go by way of Float64, null is NaN, and an operation may give several. Rows stay in order; no rows
    give no rows. A column that is not there and an int64 overflow raise `FeatureError`.
    """

    outputs: tuple[tuple[str, tree.Node], ...]
    types: tuple[tuple[str, str], ...]
    keep: tuple[tuple[str, str], ...] = ()
    model: bool = False

    def __post_init__(self) -> None:
        names = [*(name for name, _ in self.keep), *self.names]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise FeatureError(
                "columns of the model's input",
                expected="each name once",
                got=f"{twice[0]!r} twice",
                do="rename the feature, or what is kept beside it",
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return FrameFunction, (self.outputs, self.types, self.keep, self.model)

    @cached_property
    def program(self) -> Program:
        """The steps of the outputs."""
        made = program(dict(self.outputs), dict(self.types))
        _refuse_unfitted(made)
        return made

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the output columns in order, without those of `keep`."""
        return tuple(name for output, index in self.program.outputs for name in self.program.columns(output, index))

    @property
    def output(self) -> tuple[tuple[str, pl.DataType], ...]:
        """Names and dtypes of the output columns in order, without those of `keep`: what a `Map` declares."""
        if self.model:
            import polars as pl

            return tuple((name, pl.Float32()) for name in self.names)
        return tuple((name, dtypes()[self.program.steps[index].type]) for name, index in self.program.outputs)

    @cached_property
    def identity(self) -> str:
        """A hash (64 hex digits) of what the function computes, for keys of what is stored; not of what it keeps."""
        return content_hash([document.encode(self.outputs, self.types), self.model])

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """What is added to the frame, stage by stage, and last the selection."""
        return _stages(self.program, self.keep, self.model)

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        *before, last = self.stages
        try:
            full = frame
            for stage in before:
                full = full.with_columns(stage.expressions)
                for name, inputs, call in stage.calls:
                    full = full.with_columns(call(full.select(inputs).get_columns()).alias(name))
            return full.select(last.expressions)
        except pl.exceptions.ColumnNotFoundError:
            raise self._missing(frame) from None
        except pl.exceptions.InvalidOperationError:
            self._raise_overflow(frame)
            raise

    def _missing(self, frame: pl.DataFrame) -> FeatureError:
        needed = [*(name for name, _ in self.types), *(column for _, column in self.keep)]
        name = next((name for name in needed if name not in frame.columns), "")
        return FeatureError(
            f"frame, column {name!r}",
            expected="a column",
            got="none of that name",
            do=near_names(name, frame.columns),
        )

    def _raise_overflow(self, frame: pl.DataFrame) -> None:
        values = every_value(self.program)
        for row in scalars(frame, dict(self.types)):
            values(row)


def scalars(frame: pl.DataFrame, types: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of a frame as row scalars of the columns in `types`: times as µs, dates as days, lists as tuples.

    Null is None.
    """
    times = (*tree.TIMES, tree.DATE)
    physical = [column(name).to_physical() if kind in times else column(name) for name, kind in types.items()]
    rows = frame.select(physical).to_dicts()
    for name in (name for name, kind in types.items() if kind in tree.LISTS):
        for row in rows:
            row[name] = None if row[name] is None else tuple(row[name])
    return rows


def frame_of(rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> pl.DataFrame:
    """The frame of columns `types` whose `scalars` are `rows`."""
    import polars as pl

    times, known = {**dict.fromkeys(tree.TIMES, pl.Int64), tree.DATE: pl.Int32}, dtypes()
    return pl.DataFrame(
        [
            pl.Series(name, [row[name] for row in rows], dtype=times.get(kind, known[kind])).cast(known[kind])
            for name, kind in types.items()
        ]
    )


def column(name: str) -> pl.Expr:
    """The column of exactly that name, also where Polars would read `*` or `^…$` as a pattern."""
    import polars as pl

    if name == "*" or (name.startswith("^") and name.endswith("$")):
        escaped = "".join(letter if letter.isalnum() or letter == "_" else f"\\x{{{ord(letter):X}}}" for letter in name)
        return pl.col(f"^{escaped}$")
    return pl.col(name)


def _refuse_unfitted(made: Program) -> None:
    for step in made.steps:
        if step.operation is not None and step.operation.learned and getattr(step.node, "constants", None) is None:
            raise FeatureError(
                f"feature {step.feature!r}, operation {step.operation.name}",
                expected="an operation that has learned its constants, or needs none",
                got="one that has not been fitted",
                do="fit it first; a label cannot use what is learned",
            )


def _expressions(made: Program, shared: Mapping[int, int]) -> list[Any]:
    """The expression of each step; a step of `shared` reads its column of an earlier stage."""
    import polars as pl

    expressions: list[Any] = []
    for index in range(len(made.steps)):
        expressions.append(pl.col(f"__shared_{index}") if index in shared else _lowered(made, index, expressions))
    return expressions


def _lowered(made: Program, index: int, expressions: Sequence[Any]) -> Any:
    step = made.steps[index]
    if isinstance(step.node, tree.Column):
        return column(step.node.name)
    if isinstance(step.node, tree.Constant):
        return _constant(step.node)
    import polars as pl

    assert step.operation is not None
    assert step.operation.frame is not None
    return step.operation.frame(pl, made.site(index, tuple(expressions[i] for i in step.inputs)))


def _constant(node: tree.Constant) -> pl.Expr:
    import polars as pl

    if node.type == tree.NULL:
        return pl.lit(None)
    dtype = dtypes()[node.type]
    if node.type in (*tree.TIMES, tree.DATE):
        return pl.lit(pl.Series([node.value], dtype=pl.Int64).cast(dtype)).first()
    return pl.lit(node.value, dtype=dtype)


def _shared(made: Program) -> dict[int, int]:
    """What is computed in a stage before others read it, with its stage: 1 more than the latest that it depends on.

    Those are calls of functions, columns that are made together, what is read more than once, what may refuse a row and
    is read at all, and what is so large that it must not be written out again: an operation may read its input several
    times, and Polars works each time.
    """
    uses = [0] * len(made.steps)
    for step in made.steps:
        for i in step.inputs:
            uses[i] += 1
        if step.type == COLUMNS and not _together(step):
            for i in step.inputs:
                uses[i] += 1
    read = tuple(uses)
    for _, index in made.outputs:
        uses[index] += 1
    stages: dict[int, int] = {}
    depends: list[int] = []
    sizes: list[int] = []
    for index, step in enumerate(made.steps):
        size = 1 + _READS * sum(sizes[i] for i in step.inputs)
        before = max((depends[i] for i in step.inputs), default=0)
        once = step.operation is not None and (step.operation.together or step.operation.call is not None)
        again = uses[index] > 1 or size > _LARGE or (step.refuses and read[index] > 0)
        shared = once or (step.operation is not None and step.type != COLUMNS and again)
        if shared:
            stages[index] = before
        depends.append(before + 1 if shared else before)
        sizes.append(1 if shared else size)
    return stages


def _stages(made: Program, keep: Sequence[tuple[str, str]], model: bool) -> tuple[Stage, ...]:
    import polars as pl

    shared = _shared(made)
    expressions = _expressions(made, shared)
    stages = [Stage([], []) for _ in range(1 + max(shared.values(), default=-1))]
    for index, stage in shared.items():
        step, name = made.steps[index], f"__shared_{index}"
        if step.operation is not None and step.operation.call is not None:
            inputs = [expressions[i].alias(str(place)) for place, i in enumerate(step.inputs)]
            stages[stage].calls.append((name, inputs, step.operation.call(pl, made.site(index, tuple(inputs)))))
        else:
            stages[stage].expressions.append(_lowered(made, index, expressions).alias(name))
    last = [column(source).alias(name) for name, source in keep]
    for name, index in made.outputs:
        names = made.columns(name, index)
        outputs = _outputs(made, index, expressions, model, len(names))
        last += [expression.alias(alias) for alias, expression in zip(names, outputs, strict=True)]
    return (*stages, Stage(last, []))


def _together(step: Step) -> bool:
    """Whether its columns are made together, as one Array."""
    return step.operation is not None and step.operation.together


def _outputs(made: Program, index: int, expressions: Sequence[Any], model: bool, width: int) -> list[pl.Expr]:
    import polars as pl

    step = made.steps[index]
    if _together(step):
        return [expressions[index].arr.get(place) for place in range(width)]
    if step.type == COLUMNS:
        return [expression.cast(pl.Float32) for expression in expressions[index]]
    expression: pl.Expr = expressions[index]
    if not model:
        return [expression]
    if step.type == tree.INTEGER and step.outcomes is None:
        expression = expression.cast(pl.Float64)
    expression = expression.cast(pl.Float32)
    return [expression.fill_null(float("nan")) if step.nullable else expression]
