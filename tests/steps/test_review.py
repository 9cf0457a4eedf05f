"""Review of the schema: accepting it changes two lines of the user's file, and keeps the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ninetyfive.schema_toml import UNREVIEWED, from_toml

if TYPE_CHECKING:
    from tests.conftest import Project


def test_accepting_keeps_the_comments(copied: Project) -> None:
    path = copied.folder / "schema.toml"
    before = path.read_text(encoding="utf-8").replace("\nzone =", "\n# ask Ada\nzone =")
    assert UNREVIEWED in before
    path.write_text(before, encoding="utf-8")
    document = copied.load().accept_schema()
    after = path.read_text(encoding="utf-8")
    assert document["reviewed"]
    assert from_toml(after).reviewed
    assert after == before.replace(UNREVIEWED + "\n", "").replace("reviewed = false", "reviewed = true")
    assert "# ask Ada" in after


def test_a_changed_schema_gets_the_next_version_once(copied: Project) -> None:
    path = copied.folder / "schema.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace(
            'zone = { type = "string"', 'zone = { type = "string", values = ["airport", "harbour", "suburb"]'
        ),
        encoding="utf-8",
    )
    assert copied.load().accept_schema()["version"] == 2
    assert copied.load().accept_schema()["version"] == 2
    assert "version = 2\n" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ['reviewed=false\nversion   =  1 # "first"', "reviewed = false\nversion = 1"])
def test_however_the_lines_are_written(copied: Project, text: str) -> None:
    path = copied.folder / "schema.toml"
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(("version", "reviewed"))
    ]
    path.write_text("\n".join([text, *lines]) + "\n", encoding="utf-8")
    assert copied.load().accept_schema()["reviewed"]
    assert from_toml(path.read_text(encoding="utf-8")).reviewed
