"""The process edge: errors become text (or JSON on stdout) and an exit code. The one broad `except` of the command line."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click
import msgspec
import typer

from ninetyfive.errors import NinetyfiveError


def run_app(app: typer.Typer, words: Sequence[str]) -> int:
    """Run `app` on `words` and return the exit code; `--json` among the words makes errors JSON too."""
    as_json = "--json" in words
    try:
        code = app(args=list(words), prog_name="ninetyfive", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except NinetyfiveError as error:
        _tell(error.as_dict(), str(error), as_json)
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        message = error.format_message()
        if as_json:
            _tell({"kind": "UsageError", "got": message}, message, as_json)
        else:
            error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        _tell({"kind": "Interrupted", "got": "an interrupt"}, "interrupted: run the same command again to resume", as_json)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        traceback.print_exc()
        _tell({"kind": type(error).__name__, "got": str(error)}, f"a fault of ninetyfive itself: {error!r}", as_json)
        return 1


def _tell(document: dict[str, str], text: str, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode({"error": document}).decode())
    print(f"ninetyfive: {text}", file=sys.stderr)
