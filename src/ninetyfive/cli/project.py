"""Finds and loads the system that a command is about: one `System` in one file, system.py unless said otherwise."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path

from ninetyfive.api import System
from ninetyfive.errors import DeclarationError, NinetyfiveError, UsageError


def load_system(path: Path, *, trains: bool = False) -> System:
    """Execute the file `path` and return the one `System` in it; its folder is importable while it runs.

    No such file, no system or several in it: `UsageError`. A fault in it: `DeclarationError` with its line.
    Where it `trains`, one without a model too.
    """
    if not path.is_file():
        raise UsageError(
            str(path),
            expected="a file that declares a system",
            got="no such file",
            do="go to the project's folder, name it with --system, or start one with `ninetyfive init`",
        )
    spec = importlib.util.spec_from_file_location("system", path)
    if spec is None or spec.loader is None:
        raise UsageError(str(path), expected="a Python file", got=path.suffix or "no suffix", do="name it system.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["system"] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        # Not by the loader: it knows compiled files by second and size, and may run an edit before this one.
        with redirect_stdout(sys.stderr):  # stdout is for what the command says
            exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except NinetyfiveError:
        raise
    except (Exception, SystemExit) as error:  # the file is the user's: whatever it raises is told with its place
        frames = [
            one for one in traceback.extract_tb(error.__traceback__) if Path(one.filename).resolve() == path.resolve()
        ]
        line = frames[-1].lineno if frames else getattr(error, "lineno", None)
        raise DeclarationError(
            f"{path}, line {line}" if line else str(path),
            expected="a file that Python can execute",
            got=f"{type(error).__name__}: {error}",
            do="correct that line",
        ) from error
    found = [value for value in vars(module).values() if isinstance(value, System)]
    distinct = list({id(system): system for system in found}.values())
    if len(distinct) != 1:
        raise UsageError(
            str(path),
            expected="one nf.System(...)",
            got=f"{len(distinct)}",
            do="declare one system in the file"
            if not distinct
            else "keep one system to a file, and name it with --system",
        )
    if trains and distinct[0].declared_model is None:
        raise DeclarationError(
            f"{path}, system {distinct[0].name!r}",
            expected="a model",
            got="none",
            do=f"write a function below `@{_name_of(module.__dict__, distinct[0])}.model(params=...)`",
        )
    return distinct[0]


def _name_of(names: dict[str, object], system: System) -> str:
    return next(name for name, value in names.items() if value is system)
