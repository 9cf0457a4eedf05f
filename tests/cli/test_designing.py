"""The command `design`: its words, and what it prints for people."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tests.conftest import Project
from tests.design.designs import bare, design

from ninetyfive.cli.designing import accepted, checked, designed
from ninetyfive.design.document import document
from ninetyfive.design.record import write_record


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_questions_are_a_file_to_fill_in(empty: Project) -> None:
    said = empty.command("design", "--questions")
    assert (said.code, said.err) == (0, "")
    assert set(tomllib.loads(said.out)) >= {"entities", "relation", "requests"}
    assert empty.command("design", "--questions", "--json").json["questions"] == said.out


def test_answers_make_a_provisional_design_where_there_is_no_system_yet(empty: Project) -> None:
    (empty.folder / "answers.toml").write_text('[relation]\nwhy = "adversary"\n', encoding="utf-8")
    said = empty.command("design", "--answers", "answers.toml")
    assert said.code == 0, said.err
    for text in (
        "design 1: confidence assumed",
        "dynamic: every 1d, on the newest 16d (assumed)",
        "cannot    nothing is measured",
        "next      read it, then `ninetyfive design --accept 1 --assume answers` puts it in force",
    ):
        assert text in said.out, text
    assert len(said.out.splitlines()) <= 25
    found = empty.command("design", "--answers", "answers.toml", "--json").json
    assert (found["number"], found["confidence"], found["training"]["every"]) == (2, "assumed", "1d")
    assert Path(found["record"]["html"]).is_file()


WRONG = [
    (["--answers", "nowhere.toml"], "a file of answers"),
    (["--accept", "--check"], "one thing at a time"),
    (["--questions", "--answers", "a.toml"], "one thing at a time"),
    (["3"], "--accept with the number of a record"),
    (["3", "--check"], "--accept with the number of a record"),
    (["--budget", "9"], "greater than or equal to 10"),
    (["--accept", "0"], "greater than or equal to 1"),
    (["--answers"], "requires an argument"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_wrong_words(empty: Project, words: list[str], said: str) -> None:
    found = empty.command("design", *words)
    assert found.code == 2
    assert said in found.err
    assert found.out == ""
    assert not (empty.folder / "design").exists()


def test_a_measured_design_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = write_record(tmp_path, bare())
    designed(document(design(), record), as_json=False)
    out = capsys.readouterr().out
    for text in (
        "trips, design 1: confidence measured",
        "training  dynamic: every 7d, on the newest 90d (measured)",
        "serving   hybrid: a table of the 1,000 entities most asked about, built again every 1d",
        "proof     forecast: hits 39.7 %, CPU 257 µs, p50 500 µs",
        "replayed by the service: hits 38.9 %, CPU 267 µs, p50 550 µs, 20,000 requests",
        "sizing    local, 1 worker, 180.1 MiB: 23.61 USD a month, 23.61 USD of it idle",
        "cannot    the season of a year",
        "left out  window 180d: 40 trainings",
        "record    ",
    ):
        assert text in out, text
    assert len(out.splitlines()) <= 25


def test_what_does_not_fit_on_a_line_goes_on_below_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(design())
    found["training"]["reasons"] = ["word " * 60]
    designed(found, as_json=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if "word word" in line]
    assert len(lines) > 1
    assert all(line.startswith(" " * 10 + "word") and not line.endswith(" ") for line in lines)


def test_an_accepted_design_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    accepted(document(design()), as_json=False)
    assert capsys.readouterr().out.splitlines()[0] == 'design 1 is in force, where system.py says "measured"'


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"changed": False, "reasons": [], "unsure": []}, "the design in force is still the answer"),
        ({"changed": False, "reasons": [], "unsure": ["they do not agree"]}, "they do not agree"),
        ({"changed": True, "reasons": ["serving: dynamic, not hybrid"], "unsure": []}, "serving: dynamic, not hybrid"),
    ],
)
def test_a_checked_design_for_people(found: dict[str, object], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    checked(found, as_json=False)
    out = capsys.readouterr().out
    assert said in out
    assert ("next: `ninetyfive design` records the new one" in out) is found["changed"]
