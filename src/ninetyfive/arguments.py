"""Arguments of a declaration: whether one is what it has to be, and the error that says so.

What does not belong here: which arguments there are (`paradigms`, `system`).
"""

from __future__ import annotations

import math
from typing import TypeGuard

from ninetyfive.durations import duration
from ninetyfive.errors import DeclarationError


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is a text that is not empty."""
    return isinstance(value, str) and bool(value)


def is_whole(value: object, least: int) -> TypeGuard[int]:
    """Whether it is a whole number from `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a finite number; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_duration(where: str, text: str | None) -> None:
    """`DeclarationError` where it is neither None nor a length of time such as "6h"."""
    if text is not None:
        duration(text, where)


def wrong(where: str, expected: str, got: object) -> DeclarationError:
    """The error of an argument."""
    shown = got if isinstance(got, str) and " " in got else repr(got)
    return DeclarationError(where, expected=expected, got=shown[:200], do="correct it in system.py")
