"""Each operation on each class of values of the types it takes: frames equal rows, nothing is drawn.

Counted at the end of a session: an operation, a type that it takes and a class of that type make one.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.features.equality import check
from tests.features.strategies import call, columns, combinations, drawn_constants, expressions, samples
from tests.features.value_classes import CLASSES, KINDS, LISTS, TYPES, rows_of_classes, values_of

from ninetyfive.features import tree
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.program import program
from ninetyfive.features.recording import Expr

Counted = Any


def in_groups(features: dict[str, tree.Node]) -> list[dict[str, tree.Node]]:
    """Those that may refuse a row alone, since one refusal hides what the others give; the rest in one."""
    single = [name for name, node in features.items() if program({"x": node}, TYPES).steps[-1].refuses]
    rest = {name: node for name, node in features.items() if name not in single}
    return [*({name: features[name]} for name in single), *([rest] if rest else [])]


def tried(features: dict[str, tree.Node], rows: list[dict[str, Any]], alone: int | None = None) -> int:
    """Check the features group by group; how many rows were refused, by those alone that say that they may."""
    count = 0
    for group in in_groups(features):
        refused = check(group, rows, alone=alone)
        says = any(step.refuses for step in program(group, TYPES).steps)
        assert not refused or says, (
            f"{next(iter(group.values()))} refuses rows: declare it in `refuses` of the operation"
        )
        count += refused
    return count


@pytest.mark.slow
@pytest.mark.parametrize("name", list(OPERATIONS))
def test_columns_of_each_class(name: str, record_property: Counted) -> None:
    """Each input is a column that takes every value of its type; each row is also tried alone and in another order."""
    made = expressions(name, 3)
    assert made, "no input type fits: give it samples"
    rows = rows_of_classes()
    tried({str(index): expression.node for index, (_, expression) in enumerate(made)}, rows)
    taken = {kind for kinds, _ in made for kind in kinds if kind != tree.NULL}
    record_property("counted", ["operations × value classes", sum(len(CLASSES[kind]) for kind in taken)])
    record_property("counted", ["expressions on columns of all classes", len(made)])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, operation in OPERATIONS.items() if operation.inputs != (1, 1)])
def test_constants_of_each_class(name: str, record_property: Counted) -> None:
    """One input is a constant of each value of its type, which Polars holds as a scalar, the others are columns."""
    features: dict[str, tree.Node] = {}
    operation = OPERATIONS[name]
    (arguments, *_), rows = samples(name, 1), rows_of_classes(large=False)
    learned = {kinds: drawn_constants(name, kinds, arguments, 1)[0] for kinds in combinations(operation, arguments)}
    for kinds in learned:
        few = tree.NULL not in kinds and len(kinds) == max(2, operation.inputs[0])
        for place in range(len(kinds)) if few else ():
            for value in values_of(kinds[place], large=False):
                if value is not None and kinds[place] not in LISTS:
                    inputs = columns(kinds)
                    inputs[place] = Expr(tree.Constant(kinds[place], value))
                    features[f"{len(features)}"] = call(operation, inputs, arguments, learned[kinds]).node
    tried(features, rows, alone=2)
    record_property("counted", ["expressions on constants of all classes", len(features)])


def test_every_type_has_its_classes() -> None:
    assert set(CLASSES) == set(KINDS)
    assert all(None in classes["null"] and len(classes) > 2 for classes in CLASSES.values())
    rows = rows_of_classes()
    for name, kind in TYPES.items():
        assert {repr(row[name]) for row in rows} == {repr(value) for value in values_of(kind)}
    pairs = list(itertools.islice(rows, 3))
    assert any(row["number 1"] != row["number 2"] for row in pairs)
