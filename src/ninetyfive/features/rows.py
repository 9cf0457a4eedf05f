"""The row execution: a program compiled to one straight-line Python function of one row.

    v0 = row["distance"]
    v1 = None if v0 is None else (_log1p(v0) if v0 > -1.0 else …)
    return [_nan if v1 is None else v1, …]

A row is a dict of row scalars (None is null). Each distinct step is computed once; the same row lowerings make the
trace. The text of the function is its attribute `source`. What does not belong here: Polars.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

from ninetyfive.errors import FeatureError
from ninetyfive.features import tree
from ninetyfive.features.operation import COLUMNS
from ninetyfive.features.program import Program
from ninetyfive.features.source import source

Row = Mapping[str, Any]


class RowFeatures(Protocol):
    """Row dict → the model's inputs in order: floats that float32 holds exactly, NaN for null."""

    source: str

    def __call__(self, row: Row, /) -> list[float]: ...


class RowValues(Protocol):
    """Row dict → the value of every step of a program."""

    source: str

    def __call__(self, row: Row, /) -> tuple[Any, ...]: ...


class TupleFeatures(Protocol):
    """The values of a row's columns in a stated order → what `RowFeatures` gives."""

    source: str

    def __call__(self, row: tuple[Any, ...], /) -> list[float]: ...


def model_inputs(program: Program) -> RowFeatures:
    """The compiled function from a row to the model's inputs."""
    made: RowFeatures = _features(_Body(program))
    return made


def tuple_inputs(program: Program, columns: Sequence[str]) -> TupleFeatures:
    """The same function of a tuple of the values of `columns`, which are all that the program reads."""
    made: TupleFeatures = _features(_Body(program, tuple(columns)))
    return made


def _features(body: _Body) -> Any:
    program = body.program
    cells = [body.cell(index) for _, index in program.outputs]
    listed = f"({', '.join(cells)},)"
    return body.function(f'{body.bind("_array", array)}("f", {listed}).tolist()')


def every_value(program: Program) -> RowValues:
    """The compiled function from a row to the values of all steps, in the order of the program."""
    body = _Body(program)
    made: RowValues = body.function(f"({', '.join(body.texts)},)")
    return made


class _Body:
    """The lines of the function: `texts[i]` is what stands for step i, a name or a literal.

    With `columns` its row is a tuple of their values, else a mapping.
    """

    def __init__(self, program: Program, columns: tuple[str, ...] | None = None) -> None:
        self.program = program
        self.columns = columns
        self.globals: dict[str, Any] = {"__builtins__": {"KeyError": KeyError}}
        self.texts: list[str] = []
        self.reads: list[str] = []
        self.lines: list[str] = []
        self.bind("_overflow", _overflow(program))
        self.bind("_missing", _missing)
        for index, step in enumerate(program.steps):
            if isinstance(step.node, tree.Constant):
                self.texts.append(self.literal(step.node.value))
                continue
            name = f"v{index}"
            if isinstance(step.node, tree.Column):
                self.reads.append(f"{name} = row[{self.place(step.node.name)}]")
            else:
                self.lines.append(f"{name} = {self.lowered(index)}")
            self.texts.append(name)

    def place(self, column: str) -> str:
        return repr(column) if self.columns is None else str(self.columns.index(column))

    def bind(self, name: str, value: Any) -> str:
        """A name by which the source reaches `value`."""
        self.globals[name] = value
        return name

    def lowered(self, index: int) -> str:
        step = self.program.steps[index]
        assert step.operation is not None
        site = self.program.site(index, tuple(self.texts[i] for i in step.inputs), self.bind)
        return step.operation.row(site)

    def literal(self, value: Any) -> str:
        if isinstance(value, float) and not math.isfinite(value):
            name = self.bind("_nan" if math.isnan(value) else "_inf", abs(value))
            return f"(-{name})" if value < 0 else name
        text = repr(value)
        return f"({text})" if text.startswith("-") else text

    def cell(self, index: int) -> str:
        """What an output adds to the list of the model's inputs."""
        step, text = self.program.steps[index], self.texts[index]
        if step.type == COLUMNS:
            return f"*{text}"
        return f"{self.bind('_nan', math.nan)} if {text} is None else {text}" if step.nullable else text

    def function(self, answer: str) -> Any:
        lines = ["def features(row):", "    try:", *(f"        {line}" for line in self.reads)]
        lines += ["    except KeyError as missing:", "        raise _missing(missing) from None"]
        text = "\n".join([*lines, *(f"    {line}" for line in self.lines), f"    return {answer}", ""])
        exec(compile(text, "<features of a row>", "exec"), self.globals)
        made = self.globals["features"]
        made.source = text
        return made


def _overflow(program: Program) -> Callable[..., NoReturn]:
    def overflow(index: int, *values: Any) -> NoReturn:
        step = program.steps[index]
        assert step.operation is not None
        raise FeatureError(
            f"feature {step.feature!r}, operation {step.operation.name}",
            expected="an integer of 64 bits",
            got=f"{source(step.node)} of {' and '.join(str(value) for value in values)}",
            do='compute with floats, as in .cast("number"), or keep such rows out',
        )

    return overflow


def _missing(error: KeyError) -> FeatureError:
    return FeatureError(
        f"row, column {error.args[0]!r}",
        expected="a value or None",
        got="no such column",
        do="decode the row with the schema first",
    )
