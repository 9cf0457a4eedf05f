"""The design in force: design/accepted.toml beside system.py, which says what system.py leaves "measured".

    ninetyfive design --accept ─ write ─▶ design/accepted.toml ─ read ─▶ System.effective_training, .effective_serving

The rule: it holds paradigms and where they come from, never evidence; without the file nothing is in force.
What does not belong here: how a design is found and recorded (`design`).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from ninetyfive.durable import write_whole
from ninetyfive.errors import DeclarationError, SettingsError, StoreError
from ninetyfive.paradigms import (
    DROP,
    DynamicServing,
    DynamicTraining,
    HybridServing,
    Serving,
    StaticServing,
    StaticTraining,
    Training,
)
from ninetyfive.toml_text import toml_text

FOLDER = "design"
FILE = "accepted.toml"
_HEAD = '# Written by `ninetyfive design --accept`: what system.py leaves "measured" is done as this says.\n'


class AcceptedTraining(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[training]`: `every` is told of dynamic training only, `watch` and `drop` of static; durations are text."""

    paradigm: Literal["static", "dynamic"]
    every: str | None = None
    window: str | None = None
    watch: str | None = None
    drop: float | None = None

    def made(self) -> Training:
        """The paradigm; `DeclarationError` where its words cannot be."""
        if self.paradigm == "static":
            return StaticTraining(self.window, self.watch, DROP if self.drop is None else self.drop)
        return DynamicTraining(self.every or "", self.window)


class AcceptedServing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[serving]`: of static and hybrid serving the `top` entities of the request log that stand in the table.

    `refresh`: how often the table is to be built again.
    """

    paradigm: Literal["static", "dynamic", "hybrid"]
    top: int | None = None
    refresh: str | None = None

    def made(self) -> Serving:
        """The paradigm; `DeclarationError` where its words cannot be."""
        if self.paradigm == "dynamic":
            return DynamicServing()
        return StaticServing(top=self.top) if self.paradigm == "static" else HybridServing(top=self.top)


class Accepted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The design in force: the number of its record, of which `system`, when and by whom it was accepted.

    `assumed`: what was taken for granted in accepting it.
    """

    record: int
    system: str
    accepted: str
    by: str
    training: AcceptedTraining
    serving: AcceptedServing
    assumed: tuple[str, ...] = ()


def read_accepted(folder: Path) -> Accepted | None:
    """The design in force of the project in `folder`; None where there is none, `SettingsError` where it is unreadable.

    >>> read_accepted(Path("/nowhere")) is None
    True
    """
    path = folder / FOLDER / FILE
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Accepted)
        found.training.made(), found.serving.made()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError, DeclarationError) as error:
        got = error.said if isinstance(error, DeclarationError) else str(error)
        do = "accept a record anew: ninetyfive design --accept, or remove the file"
        raise SettingsError(str(path), expected="an accepted design", got=got, do=do) from None
    return found


def write_accepted(folder: Path, accepted: Accepted) -> Path:
    """Put a design in force, at once or not at all; the file. `StoreError` where the disk refuses it."""
    target = folder / FOLDER / FILE
    try:
        target.parent.mkdir(exist_ok=True)
        write_whole(target, (_HEAD + toml_text(msgspec.to_builtins(accepted))).encode(), 0o644)
    except OSError as error:
        do = "make room or give permission, then run the same command again"
        raise StoreError(str(target), expected="a file that can be written", got=str(error), do=do) from None
    return target
