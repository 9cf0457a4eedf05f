"""A system.py, a clock, settings or words that cannot be: exit code 2, and nothing was done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ninetyfive.errors import DeclarationError, SettingsError, UsageError

if TYPE_CHECKING:
    from tests.bad_input.conftest import Victim


@pytest.mark.parametrize(
    ("text", "line", "got"),
    [
        ("import ninetyfive as nf\nx = (1,\n", ", line 2", "SyntaxError: '(' was never closed"),
        ("import ninetyfive as nf\n\nx = nff.System()\n", ", line 3", "NameError: name 'nff' is not defined"),
        ("import ninetyfive as nf\n\0", "", "SyntaxError: source code string cannot contain null bytes"),
        ("import sys\nsys.exit(0)\n", ", line 2", "SystemExit: 0"),
        ("import no_such_module\n", ", line 1", "No module named 'no_such_module'"),
    ],
)
def test_a_system_py_that_python_cannot_execute(unmoved: Victim, text: str, line: str, got: str) -> None:
    path = unmoved.project.folder / "system.py"
    with unmoved.edited():
        path.write_text(text)
        error = unmoved.refuses_to_load(DeclarationError, "expected a file that Python can execute", got)
        assert error.where == f"{path}{line}"
        said = unmoved.project.command("run", "--json")
        assert (said.code, said.json["error"]["kind"]) == (2, "DeclarationError")
    assert unmoved.runs()["promoted"]


def test_a_system_py_without_a_system(unmoved: Victim) -> None:
    path = unmoved.project.folder / "system.py"
    with unmoved.edited():
        path.write_text("# nothing yet\n")
        unmoved.refuses_to_load(UsageError, "expected one nf.System(...), got 0")
        path.unlink()
        unmoved.refuses_to_load(UsageError, "got no such file", "ninetyfive init")
    assert unmoved.runs()["promoted"]


@pytest.mark.parametrize("clock", ["nonsense", "2026-13-01", " ", "9999999", "2026-01-01T00:00:00+99:00"])
def test_a_clock_that_is_none(unmoved: Victim, monkeypatch: pytest.MonkeyPatch, clock: str) -> None:
    monkeypatch.setenv("NINETYFIVE_CLOCK", clock)
    with pytest.raises(SettingsError, match="NINETYFIVE_CLOCK: expected an ISO 8601 time") as caught:
        unmoved.project.run()
    assert caught.value.do == "write it like 2026-01-31T12:00:00Z, or unset it"
    said = unmoved.project.command("run", "--json")
    assert (said.code, said.json["error"]["where"]) == (2, "NINETYFIVE_CLOCK")
    monkeypatch.delenv("NINETYFIVE_CLOCK")
    assert unmoved.runs()["promoted"]


def test_a_clock_that_goes_back(live: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times in the audit are what the clock said; the chain is whole all the same."""
    for clock in ("2050-01-01", "1971-01-01T00:00:00-05:00"):
        monkeypatch.setenv("NINETYFIVE_CLOCK", clock)
        assert live.runs(start="train")["promoted"]


@pytest.mark.parametrize("threads", ["0", "-1", "1.5", "many"])
def test_settings_that_cannot_be(unmoved: Victim, monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    monkeypatch.setenv("NINETYFIVE_ENGINES_LOCAL_THREADS", threads)
    with pytest.raises(SettingsError, match="THREADS: expected a whole number from 1"):
        unmoved.project.run()


@pytest.mark.parametrize(
    "words",
    [
        ["runn"],
        ["run", "--nope"],
        ["run", "--from", "trian"],
        ["run", "--as-of", "yesterday"],
        ["promote", "zzz"],
        ["trace"],
        ["predict", "a.xlsx", "out.csv"],
    ],
)
def test_words_that_are_wrong_exit_2(unmoved: Victim, words: list[str]) -> None:
    before = sorted(os.listdir(unmoved.project.folder))
    said = unmoved.project.command(*words)
    assert said.code == 2
    assert said.out == ""
    assert "To do: " in said.err
    assert "Traceback" not in said.err
    assert sorted(os.listdir(unmoved.project.folder)) == before
    unmoved.check_store()
