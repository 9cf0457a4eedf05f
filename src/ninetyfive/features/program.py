"""A program: the trees of many features as one straight list of steps, each distinct node once, with its type.

    {"a": tree, "b": tree} + {column: type} ─▶ [column, constant, call, …], inputs first, and which step is which output

Both lowerings, the trace and the JSON form walk this list. Checking happens here: a column that is not there, a type
that an operation does not take, a feature that is no number. What does not belong here: any execution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ninetyfive.errors import FeatureError, near_names
from ninetyfive.features import tree
from ninetyfive.features.operation import COLUMNS, MAX_COLUMNS, Operation, Outcome, Site
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.source import source

_TRUTH = ((False, "false"), (True, "true"))
_TO_NUMBER = {
    tree.STRING: "add .vocabulary(), or compare it with a value",
    tree.TIMESTAMP: "add .hour(), .weekday() or .month(), or subtract another time",
    tree.TIMESTAMP_UTC: "add .hour(), .weekday() or .month(), or subtract another time",
    tree.DATE: "add .weekday() or .month(), or subtract another date",
    **dict.fromkeys(tree.LISTS, "add .list_length(), .list_contains(...) or .list_element(...)"),
    tree.OPAQUE: "leave the column out: no operation takes an opaque column",
}
_TO_OTHER = {
    **dict.fromkeys(
        tree.TIMES,
        "use a time of the same type; written down: datetime(2024, 1, 31, tzinfo=timezone.utc) for one in UTC, without "
        "tzinfo for one of no zone",
    ),
    tree.DATE: "use another date; written down: date(2024, 1, 31)",
    tree.STRING: 'cast the string, as in .cast("number")',
    tree.BOOLEAN: 'cast the boolean, as in .cast("integer")',
    **dict.fromkeys(tree.LISTS, "take a list with .list_length(), .list_contains(...) or .list_element(...)"),
    tree.OPAQUE: "use another column: no operation takes an opaque column",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One node: the steps it reads, its logical type, whether it may be null, be NaN or refuse, its known outcomes."""

    node: tree.Node
    inputs: tuple[int, ...]
    type: str
    nullable: bool
    nan: bool
    outcomes: tuple[Outcome, ...] | None
    feature: str
    refuses: bool = False

    @property
    def operation(self) -> Operation | None:
        """The table's entry of a call."""
        return OPERATIONS[self.node.operation] if isinstance(self.node, tree.Call) else None


@dataclass(frozen=True, slots=True)
class Program:
    """Steps, inputs first, and the step of each output by name."""

    steps: tuple[Step, ...]
    outputs: tuple[tuple[str, int], ...]

    def columns(self, name: str, index: int) -> tuple[str, ...]:
        """The names of the model's columns that an output makes: its own, or `name=…` for each of several."""
        operation = self.steps[index].operation
        if operation is None or not operation.many:
            return (name,)
        return tuple(f"{name}={column}" for column in operation.columns(self.site(index, ())))

    def site(self, index: int, inputs: tuple[Any, ...], bind: Callable[[str, Any], str] | None = None) -> Site:
        """The use of an operation at a step, with `inputs` and `bind` as its lowering wants them."""
        step = self.steps[index]
        assert isinstance(step.node, tree.Call)
        read = [self.steps[i] for i in step.inputs]
        site = _site(step.node, read, inputs, step.type, index)
        return site if bind is None else replace(site, bind=bind)


def program(features: Mapping[str, tree.Node], types: Mapping[str, str]) -> Program:
    """The program of `features` over columns of the logical `types`; `FeatureError` for what cannot be."""
    index: dict[tree.Node, int] = {}
    steps: list[Step] = []
    for feature, root in features.items():
        for node in tree.distinct([root]):
            if node not in index:
                index[node] = len(steps)
                inputs = tuple(index[source] for source in node.inputs) if isinstance(node, tree.Call) else ()
                steps.append(_step(node, inputs, steps, types, feature))
    return Program(tuple(steps), tuple((name, index[root]) for name, root in features.items()))


def check_model_inputs(made: Program) -> None:
    """`FeatureError` where an output is neither a number, an integer, a boolean nor several; says what to add."""
    for name, index in made.outputs:
        step = made.steps[index]
        if step.type not in (*tree.NUMERIC, tree.BOOLEAN, COLUMNS):
            raise FeatureError(
                f"feature {name!r}",
                expected="a number, an integer or a boolean",
                got=f"{source(step.node)} of type {step.type}",
                do=_TO_NUMBER[step.type],
            )


def _step(node: tree.Node, inputs: tuple[int, ...], steps: list[Step], types: Mapping[str, str], feature: str) -> Step:
    if isinstance(node, tree.Column):
        if node.name not in types:
            raise FeatureError(
                f"feature {feature!r}",
                expected="a column of the schema",
                got=f"column {node.name!r}",
                do=near_names(node.name, types),
            )
        known = _TRUTH if types[node.name] == tree.BOOLEAN else None
        return Step(node, inputs, types[node.name], True, types[node.name] == tree.NUMBER, known, feature)
    if isinstance(node, tree.Constant):
        return Step(node, inputs, node.type, node.type == tree.NULL, node.value != node.value, None, feature)
    operation = OPERATIONS[node.operation]
    read = [steps[i] for i in inputs]
    kinds = tuple(step.type for step in read)
    result = None if COLUMNS in kinds else operation.result(kinds, dict(node.arguments))
    if result is None:
        raise _wrong_types(node, read, operation, feature)
    site = _site(node, read, (), result, len(steps))
    where = f"feature {feature!r}, operation {operation.name}"
    operation.refuse(site, where)
    width = len(operation.columns(site))
    if width > MAX_COLUMNS:
        raise FeatureError(
            where,
            expected=f"at most {MAX_COLUMNS:,} columns",
            got=f"{width:,}",
            do="keep the most frequent ones, as in .vocabulary(top=300).one_hot()",
        )
    outcomes = _TRUTH if result == tree.BOOLEAN else operation.outcomes(site)
    nan = result == tree.NUMBER and operation.nan(site)
    return Step(node, inputs, result, operation.nullable(site), nan, outcomes, feature, operation.refuses(site))


def _site(node: tree.Call, read: list[Step], inputs: tuple[object, ...], result: str, index: int) -> Site:
    return Site(
        inputs=inputs,
        nodes=node.inputs,
        types=tuple(step.type for step in read),
        nullable=tuple(step.nullable for step in read),
        nan=tuple(step.nan for step in read),
        outcomes=tuple(step.outcomes for step in read),
        arguments=dict(node.arguments),
        constants=None if node.constants is None else dict(node.constants),
        result=result,
        step=index,
    )


def _wrong_types(node: tree.Call, read: list[Step], operation: Operation, feature: str) -> FeatureError:
    found = " and ".join(f"{source(step.node)} of type {step.type}" for step in read)
    odd = sorted((step.type for step in read if step.type in _TO_OTHER), key=list(_TO_OTHER).index)
    hint = operation.hint or (_TO_OTHER[odd[0]] if odd else f"write it as in {operation.example}")
    return FeatureError(
        f"feature {feature!r}, operation {node.operation}", expected=operation.takes, got=found, do=hint
    )
