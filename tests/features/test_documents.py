"""docs/features.md holds the table of operations and the table of casts, word for word.

`python tests/features/test_documents.py` writes both tables anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ninetyfive.features.missing import CASTS
from ninetyfive.features.operation import REQUIRED, Operation
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.source import literal

PAGE = Path(__file__).parents[2] / "docs" / "features.md"


def operations_table() -> str:
    rows = ["| operation | written | arguments | takes | gives | null and NaN |", "|---|---|---|---|---|---|"]
    for operation in OPERATIONS.values():
        written = operation.example.replace("|", "\\|")
        words = " | ".join([operation.takes, operation.gives, operation.nulls])
        rows.append(f"| {operation.name} | `{written}` | {arguments(operation)} | {words} |")
    return "\n".join(rows)


def arguments(operation: Operation) -> str:
    """The arguments as they are written, each with its default; of a function of the user's own none of the source."""
    if operation.form == "feature":
        return "`returns`"
    named = [
        one.name if one.default is REQUIRED else f"{one.name}={literal(one.default)}" for one in operation.arguments
    ]
    return ", ".join(f"`{one}`" for one in named)


def casts_table() -> str:
    rows = ["| from | to | value |", "|---|---|---|"]
    return "\n".join([*rows, *(f"| {kind} | {to} | {words} |" for (kind, to), words in CASTS.items())])


TABLES = {"operations": operations_table, "casts": casts_table}


def section(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)


@pytest.mark.parametrize("name", TABLES)
def test_the_page_holds_the_table(name: str) -> None:
    found = section(name).search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found.group(0).split("\n", 1)[1].rsplit("\n", 1)[0].strip() == TABLES[name]()


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        text = section(name).sub(lambda found, table=table: f"{found[1]}\n{table()}\n\n{found[2]}", text)  # type: ignore[misc]
    PAGE.write_text(text, encoding="utf-8")
