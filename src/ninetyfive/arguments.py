"""Arguments of a declaration: whether one is what it has to be, and the error that says so.

What does not belong here: which arguments there are (`paradigms`, `system`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
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


def check_finite(where: str, value: object) -> None:
    """`DeclarationError` that names the place of the first NaN or infinity in a value, however deep: JSON has none.

    >>> check_finite("params", {"rates": [0.1, float("nan")]})
    Traceback (most recent call last):
    ninetyfive.errors.DeclarationError: params['rates'][1]: expected a finite number, got nan. To do: leave it out, or \
say it in words that the function knows, such as None or 'inf'.
    """
    if isinstance(value, float) and not math.isfinite(value):
        do = "leave it out, or say it in words that the function knows, such as None or 'inf'"
        raise DeclarationError(where, expected="a finite number", got=str(value), do=do)
    if isinstance(value, Mapping):
        for name, one in value.items():
            check_finite(f"{where}[{name!r}]", one)
    elif isinstance(value, list | tuple | set | frozenset):
        for number, one in enumerate(value):
            check_finite(f"{where}[{number}]", one)


def wrong(where: str, expected: str, got: object) -> DeclarationError:
    """The error of an argument."""
    shown = got if isinstance(got, str) and " " in got else repr(got)
    return DeclarationError(where, expected=expected, got=shown[:200], do="correct it in system.py")
