"""docs/features.md holds the table of operations and the table of casts, word for word.

`python tests/features/test_documents.py` writes both tables anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ninetyfive.features.missing import CASTS
from ninetyfive.features.operations import OPERATIONS

PAGE = Path(__file__).parents[2] / "docs" / "features.md"


def operations_table() -> str:
    rows = ["| operation | written | takes | gives | null and NaN |", "|---|---|---|---|---|"]
    for operation in OPERATIONS.values():
        written = operation.example.replace("|", "\\|")
        rows.append(f"| {operation.name} | `{written}` | {operation.takes} | {operation.gives} | {operation.nulls} |")
    return "\n".join(rows)


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
