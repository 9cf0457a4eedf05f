"""What people see: progress on a terminal, numbers they can read, every task and every kind of answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ninetyfive.cli.printing import number

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (1_234_567, "1,234,567"),
        (1_234_567.8, "1,234,568"),
        (-12_345.6, "-12,346"),
        (0.123456, "0.1235"),
        (1e-9, "1e-09"),
    ],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


def test_on_a_terminal_progress_is_drawn_and_goes_away(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    said = project.command("run")
    assert said.code == 0
    assert "\x1b[" in said.err
    assert "schema.toml was inferred, not reviewed" in said.err
    assert re.search(r"release\s.*promoted", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.out))


def test_a_run_without_times_and_with_a_rare_slice(project: Project) -> None:
    project.edit(
        (', time="at"', ""),
        ('nf.Split("time", 0.5)', 'nf.Split("id", 0.5),\n    slices=["zone", "trip"]'),
    )
    said = project.command("run")
    assert said.code == 0
    assert "too few" in said.out
    assert "as of" not in said.out
    assert "chosen" in said.out


def test_a_label_of_large_numbers(project: Project) -> None:
    project.edit(
        ('label=col("tip") > 3.0', 'label=col("tip") * 1000000'),
        ("import DecisionTreeClassifier", "import DecisionTreeRegressor as DecisionTreeClassifier"),
    )
    said = project.command("run")
    assert said.code == 0
    assert re.search(r"rmse +[0-9,]{7,} ±[0-9,]{5,}", said.out)


def test_a_trace_of_several_classes_and_of_what_is_missing(project: Project) -> None:
    project.edit(
        ('label=col("tip") > 3.0', 'label=col("zone"), metrics=["accuracy"]'),
        ('"zone": col("zone").vocabulary()', '"x": col("tip")'),
    )
    assert project.command("run").code == 0
    said = project.command("trace", "--row", '{"trip": 1, "at": "2026-01-01T10:00", "distance": null, "tip": 2.5}')
    assert said.code == 0
    assert re.search(r"airport: 0\.\d+, harbour", said.out)
    assert re.search(r"distance +null", said.out)


def test_a_schema_without_a_champion_is_compared_with_nothing(project: Project) -> None:
    said = project.command("schema", "diff")
    assert (said.code, "there is no champion yet" in said.out) == (0, True)
