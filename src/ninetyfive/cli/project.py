"""Finds and loads the system that a command is about: one `System` in one file, system.py unless said otherwise."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import ninetyfive
from ninetyfive.api import System
from ninetyfive.errors import DeclarationError, UsageError, near_names
from ninetyfive.loading import executed

_NO_SUCH_WORD = re.compile(r"([\w.]+)\(\) got an unexpected keyword argument '(\w+)'")
"""How Python says that a function does not take a word."""


def load_system(path: Path, *, trains: bool = False) -> System:
    """Execute the file `path` and return the one `System` in it; its folder is importable while it runs.

    No such file, no system or several in it: `UsageError`. A fault in it: `DeclarationError` with its line.
    Where it `trains`, one without a model too.
    """
    try:
        names = executed(path)
    except DeclarationError as error:
        if (meant := _meant(error.__cause__)) is None:
            raise
        raise DeclarationError(error.where, expected=error.expected, got=error.got, do=meant) from error.__cause__
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
    if trains and distinct[0].declared_model is None:
        raise DeclarationError(
            f"{path}, system {distinct[0].name!r}",
            expected="a model",
            got="none",
            do=f"write a function below `@{_name_of(names, distinct[0])}.model(params=...)`",
        )
    return distinct[0]


def _name_of(names: dict[str, object], system: System) -> str:
    return next(name for name, value in names.items() if value is system)


def _meant(error: BaseException | None) -> str | None:
    """The near words of one that no function of ours takes, where that is the fault in the file."""
    said = _NO_SUCH_WORD.match(str(error)) if isinstance(error, TypeError) else None
    for name in ninetyfive.__all__ if said else ():
        one = getattr(ninetyfive, name)
        for function in (one, *(member for _, member in inspect.getmembers(one, inspect.isfunction))):
            if said and getattr(function, "__qualname__", "") == said[1]:
                return near_names(said[2], inspect.signature(function).parameters.keys() - {"self"})
    return None
