"""Finds and loads the system that a command is about: one `System` in one file, system.py unless said otherwise."""

from __future__ import annotations

from pathlib import Path

from ninetyfive.api import System
from ninetyfive.errors import DeclarationError, UsageError
from ninetyfive.loading import executed


def load_system(path: Path) -> System:
    """Execute the file `path` and return the one `System` in it; its folder is importable while it runs.

    No such file, no system or several in it: `UsageError`. A fault in it: `DeclarationError` with its line.
    """
    names = executed(path)
    found = [value for value in names.values() if isinstance(value, System)]
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
    if distinct[0].declared_model is None:
        raise DeclarationError(
            f"{path}, system {distinct[0].name!r}",
            expected="a model",
            got="none",
            do=f"write a function below `@{_name_of(names, distinct[0])}.model(params=...)`",
        )
    return distinct[0]


def _name_of(names: dict[str, object], system: System) -> str:
    return next(name for name, value in names.items() if value is system)
