"""The process edge: whatever happens becomes a line on stderr and an exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from ninetyfive.cli.edge import run_app
from ninetyfive.errors import ModelError


def app_that(act: Any) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def command(json: bool = False) -> None:
        act()

    return app


def raising(error: BaseException) -> Any:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (KeyboardInterrupt(), 130, "Interrupted"),
        (typer.Abort(), 130, "Interrupted"),
        (ValueError("odd"), 1, "ValueError"),
        (typer.Exit(3), 3, None),
    ],
)
def test_what_is_raised_becomes_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, kind: str | None
) -> None:
    assert run_app(app_that(raising(error)), ["--json"]) == code
    said = capsys.readouterr()
    if kind is None:
        assert (said.out, said.err) == ("", "")
    else:
        assert msgspec.json.decode(said.out)["error"]["kind"] == kind
        assert said.err.splitlines()[-1].startswith("ninetyfive: ")
    assert run_app(app_that(raising(error)), []) == code
    assert capsys.readouterr().out == ""


def test_a_fault_of_our_own_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    run_app(app_that(raising(ZeroDivisionError("odd"))), [])
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "a fault of ninetyfive itself: ZeroDivisionError('odd')" in said


def test_what_the_users_code_raised_is_shown_before_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    error = ModelError("model", expected="a fit", got="an error", do="look at it")
    error.__cause__ = ValueError("from the model")
    assert run_app(app_that(raising(error)), []) == 1
    said = capsys.readouterr().err
    assert "ValueError: from the model" in said
    assert said.splitlines()[-1] == "ninetyfive: model: expected a fit, got an error. To do: look at it."


def test_a_command_that_ends_well_is_0() -> None:
    assert run_app(app_that(lambda: None), []) == 0


def test_no_words_give_the_help() -> None:
    done = subprocess.run([sys.executable, "-m", "ninetyfive.cli"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Usage: ninetyfive" in done.stderr + done.stdout


def test_a_reader_that_goes_away_is_no_fault() -> None:
    command = f"set -o pipefail; {sys.executable} -m ninetyfive.cli run --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


LOGS = """
import logging, sys, typer
from ninetyfive.cli.edge import run_app

app = typer.Typer()

@app.command()
def command() -> None:
    logging.getLogger("library").warning("a warning")
    logging.warning("another")
    logging.getLogger("library").info("more")

sys.exit(run_app(app, [], logs=sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("level", "code", "heard"),
    [("warning", 0, ["a warning", "another"]), ("INFO", 0, ["a warning", "another", "more"])],
)
def test_libraries_are_heard_from_a_level_on(level: str, code: int, heard: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", LOGS, level], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert [line.rpartition(":")[2] for line in done.stderr.splitlines()] == heard


def test_a_level_that_is_none_is_an_error() -> None:
    done = subprocess.run([sys.executable, "-c", LOGS, "warnin"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "NINETYFIVE_LOG: expected a level, got 'warnin'. To do: did you mean 'WARN" in done.stderr


def test_by_default_libraries_are_not_heard_and_ones_own_code_is(tmp_path: Path) -> None:
    library = tmp_path / "site-packages" / "loud_library.py"
    library.parent.mkdir()
    library.write_text("import logging\nlogging.error('a library')\nlogging.getLogger('x').error('too')\n")
    script = f"import sys; sys.path.insert(0, {str(library.parent)!r})\n" + LOGS
    script = script.replace('    logging.warning("another")', '    import loud_library\n    logging.warning("another")')
    done = subprocess.run([sys.executable, "-c", script, ""], capture_output=True, text=True, check=False)
    assert [line.rpartition(":")[2] for line in done.stderr.splitlines()] == ["a warning", "another"]
