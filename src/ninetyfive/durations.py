"""Lengths of time as people write them: a whole number and a unit, "30m", "6h", "1d", "12w".

There is no unit for months or years: they are not lengths. What does not belong here: points in time (`clock`).
"""

from __future__ import annotations

import re

from ninetyfive.errors import DeclarationError

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_WORDS = re.compile(r"([0-9]{1,6})([smhdw])")
_MOST = 999_999


def duration(text: str, where: str = "duration") -> int:
    """The length in seconds that `text` says, from 1 second; anything else raises `DeclarationError` at `where`.

    >>> duration("90d"), duration("6h"), duration("30m")
    (7776000, 21600, 1800)
    """
    found = _WORDS.fullmatch(str(text))
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not seconds:
        raise DeclarationError(
            where,
            expected="a whole number from 1 and a unit: s, m, h, d or w",
            got=repr(text),
            do='write it like "30m", "6h", "1d" or "12w"',
        )
    return seconds


def duration_text(seconds: float) -> str:
    """A length in seconds in the largest unit that says it, to one decimal; for people to read.

    >>> duration_text(86400), duration_text(5400), duration_text(12)
    ('1d', '1.5h', '12s')
    """
    unit, size = "s", 1
    for name, length in (("m", 60), ("h", 3_600), ("d", 86_400)):
        if abs(seconds) >= length:
            unit, size = name, length
    return f"{round(seconds / size, 1):g}{unit}"


def duration_word(seconds: float) -> str:
    """A length as `duration` reads it, at least a second: to the second, of more than 999,999 of them to the minute.

    >>> duration_word(1_209_600), duration_word(5_400), duration_word(7_201.0), duration_word(1_000_001)
    ('14d', '90m', '7201s', '16666m')
    """
    whole = max(1, round(seconds))
    units = [(unit, _UNITS[unit]) for unit in "dhms"]
    said = (
        f"{whole // size}{unit}"
        for grain in (1, 60, 3_600, 86_400)
        for unit, size in units
        if whole // grain * grain % size == 0 and whole // size <= _MOST
    )
    return next(said)
