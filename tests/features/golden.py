"""Writes golden.json: what every operation gives on every class of values, by the Python 3.11 that runs this.

    python -m tests.features.golden

A value that stands there may change only with the `meaning` of its operation. `golden_replay.py` reads the file.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.features.golden_replay import FILE, asked, node_of, rows_of, written
from tests.features.strategies import expressions
from tests.features.value_classes import CLASSES, MEGABYTE, TYPES, rows_of_classes

from ninetyfive.features import machine, tree
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.recording import Expr
from ninetyfive.features.source import source

WRITER = (3, 11)
COMMAND = "python -m tests.features.golden"


def golden_operations() -> list[str]:
    """All but those that run a user's own function, whose values are the user's."""
    return [name for name, operation in OPERATIONS.items() if operation.call is None]


def written_input(value: Any) -> Any:
    """An input as JSON; the long string by how it is made."""
    if value in CLASSES[tree.STRING][MEGABYTE]:
        return {"repeat": [value[:4], len(value) // 4]}
    return f"s {value}" if isinstance(value, str) else written(value)


def case_of(expression: Expr) -> dict[str, Any]:
    """An operation on columns: its text, inputs, arguments and what it learned; without outputs."""
    node = expression.node
    assert isinstance(node, tree.Call)
    case: dict[str, Any] = {
        "operation": node.operation,
        "text": source(node),
        "columns": [one.name if isinstance(one, tree.Column) else None for one in node.inputs],
        "arguments": {name: whole(value) for name, value in node.arguments},
        "outputs": [],
    }
    if node.constants is not None:
        case["learned"] = {name: whole(value) for name, value in node.constants}
    return case


def whole(value: Any) -> Any:
    """A learned constant as JSON, all of it."""
    if isinstance(value, tuple | list):
        return [whole(item) for item in value]
    return f"s {value}" if isinstance(value, str) else written(value)


def document() -> dict[str, Any]:
    """The whole file, with what this Python gives."""
    rows = rows_of_classes()
    made: dict[str, Any] = {
        "meanings": {name: operation.meaning for name, operation in OPERATIONS.items()},
        "depends": machine.stated(
            tree.Call(name, (tree.Column("a"),)) for name, operation in OPERATIONS.items() if operation.depends
        ),
        "inputs": {name: [written_input(row[name]) for row in rows] for name in TYPES},
        "cases": [],
    }
    for name in golden_operations():
        cases = {json.dumps(case_of(expression)): case_of(expression) for _, expression in expressions(name, 2)}
        made["cases"] += cases.values()
    for case in made["cases"]:
        case["outputs"] = asked(made, case, whole=False)
    return made


def changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The cases of both whose outputs differ though the meaning of their operation is the same."""

    def outputs(made: dict[str, Any]) -> dict[tuple[Any, ...], Any]:
        found = {}
        for case in made["cases"]:
            names = sorted(tree.columns_of(node_of(case)))
            meaning = made["meanings"][case["operation"]]
            for row, output in zip(rows_of(made, names), case["outputs"], strict=True):
                found[case["text"], str(case.get("learned")), meaning, repr(row)] = output
        return found

    before, after = outputs(old), outputs(new)
    return sorted({key[0] for key in before.keys() & after.keys() if before[key] != after[key]})


def text_of(made: dict[str, Any]) -> str:
    """The file: a line for each part and case, ASCII."""
    head = [f'"{name}": {json.dumps(made[name])},' for name in ("meanings", "depends", "inputs")]
    cases = ",\n".join(json.dumps(case) for case in made["cases"])
    return "{" + "\n".join(head) + f'\n"cases": [\n{cases}\n]}}\n'


def main() -> int:
    """Write the file; 1 where this is another Python, or a value changed that may not."""
    if sys.version_info[:2] != WRITER:
        print(f"golden values are written by Python {WRITER[0]}.{WRITER[1]}, this is {sys.version.split()[0]}")
        return 1
    made = document()
    if FILE.exists():
        differ = changed(json.loads(FILE.read_text(encoding="utf-8")), made)
        if differ:
            print("these give other values than before: raise `meaning` of their operations, or mend them")
            print("\n".join(differ))
            return 1
    FILE.write_text(text_of(made), encoding="utf-8")
    print(f"{FILE}: {len(made['cases'])} cases, {sum(len(case['outputs']) for case in made['cases']):,} values")
    return 0


if __name__ == "__main__":
    sys.exit(main())
