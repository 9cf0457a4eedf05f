"""The process edge: errors become text (or JSON on stdout) and an exit code. Here is the one broad `except`."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Sequence

import msgspec
import typer

from ninetyfive.errors import (
    DeclarationError,
    EngineError,
    FeatureError,
    ModelError,
    NinetyfiveError,
    SettingsError,
    UsageError,
    near_names,
)

INTERRUPTED = 130
"""The exit code of what was stopped by hand: 128 and the number of the signal, as shells count."""


def run_app(app: typer.Typer, words: Sequence[str], logs: str | None = None) -> int:
    """Run `app` on `words` and return the exit code; `--json` among the words makes errors JSON too.

    `logs` is the level from which libraries that log are heard on stderr ("": never; None: left as it is).
    """
    as_json = "--json" in words
    try:
        if logs is not None:
            _hear_logs(logs)
        code = app(args=list(words), prog_name="ninetyfive", standalone_mode=False)
    except NinetyfiveError as error:
        if error.__cause__ is not None and isinstance(error, (DeclarationError, EngineError, FeatureError, ModelError)):
            traceback.print_exception(error.__cause__)  # what the user's own code raised
        _tell(error.as_dict(), str(error), as_json)
        return error.exit_code
    except typer.TyperException as error:
        _tell_words(error, as_json)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        _tell({"kind": type(error).__name__, "got": str(error)}, f"a fault of ninetyfive itself: {error!r}", as_json)
        return 1
    if code == INTERRUPTED:  # Typer makes this exit code of Ctrl-C in a command
        told = {"kind": "Interrupted", "got": "an interrupt"}
        _tell(told, "interrupted: run the same command again to resume", as_json)
    return code if isinstance(code, int) else 0


def _hear_logs(level: str) -> None:
    """Let libraries log from `level` on; or not at all, as what they say of a failure stands in the error."""
    levels = logging.getLevelNamesMapping()
    if not level:
        heard = logging.StreamHandler()
        heard.addFilter(lambda record: not re.search(r"[/\\](site|dist)-packages[/\\]", record.pathname))
        logging.basicConfig(handlers=[heard], format="%(levelname)s:%(name)s:%(message)s")
    elif level.upper() in levels:
        logging.basicConfig(level=levels[level.upper()])
    else:
        raise SettingsError("NINETYFIVE_LOG", expected="a level", got=repr(level), do=near_names(level.upper(), levels))


def _tell_words(error: typer.TyperException, as_json: bool) -> None:
    """What is wrong with the words; where none were given, the help that Typer gives instead."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if message.startswith("Usage:"):
        print(message, file=sys.stderr)
        return
    where, message = context.command_path if context else "ninetyfive", message.rstrip(".")
    known = UsageError(where, expected="words that it knows", got=message, do=f"see `{where} --help`")
    _tell(known.as_dict(), f"{message[:1].lower()}{message[1:]}. To do: {known.do}.", as_json)


def _tell(document: dict[str, str], text: str, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode({"error": document}).decode())
    print(f"ninetyfive: {text}", file=sys.stderr)
