"""The values that features are tried on: classes by logical type, each with a name, and frames made of them.

    CLASSES["number"]["subnormal"] ─▶ (5e-324, -2e-310)      row scalars: times in µs, dates in days, null as None

A new logical type needs its classes here. What does not belong here: operations and what they should give.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from ninetyfive.features import tree

KINDS = [kind for kind in tree.TYPES if kind != tree.OPAQUE]
LISTS = list(tree.LISTS)
TYPES = {f"{kind} {index}": kind for kind in KINDS for index in (1, 2, 3)}

Classes = Mapping[str, tuple[Any, ...]]

DAY = 86_400_000_000
MEGABYTE = "1 MB"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(text: str) -> int:
    """Microseconds since 1970 of an ISO time, UTC where it names no zone."""
    moment = datetime.fromisoformat(text)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(microseconds=1)


def _around(*texts: str) -> tuple[int, ...]:
    return tuple(micros(text) + step for text in texts for step in (-1, 0))


YEAR_1, YEAR_10000 = micros("0001-01-01T00:00"), micros("9999-12-31T00:00") + DAY

_NUMBERS: Classes = {
    "null": (None,),
    "NaN": (math.nan,),
    "zero": (0.0, -0.0),
    "one": (1.0, -1.0),
    "plain": (0.1, 7.1, -2.5, 0.5, 1e6 + 0.25),
    "infinite": (math.inf, -math.inf),
    "subnormal": (5e-324, -2e-310),
    "smallest normal": (2.2250738585072014e-308,),
    "largest": (1.7976931348623157e308, -1.7976931348623157e308),
    "integers end to be exact": (2.0**53 - 1, 2.0**53, 2.0**53 + 2, -(2.0**53)),
    "edge of int64": (2.0**63, -(2.0**63), math.nextafter(2.0**63, 0)),
    "float32 largest and above": (3.4028234663852886e38, 3.4028235677973366e38, -3.5e38, 1e39),
    "float32 halfway": (1.0 + 2**-24, 1.0 + 3 * 2**-24, 16_777_217.0),
    "float32 subnormal and below": (1.401298464324817e-45, 7.006492321624085e-46, -1e-46),
}
_INTEGERS: Classes = {
    "null": (None,),
    "zero": (0,),
    "small": (1, -1, 2, 12),
    "float64 ends to be exact": (2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1),
    "float32 ends to be exact": (2**24 + 1,),
    "its square overflows": (3_037_000_500, -3_037_000_500),
    "half of the edge": (2**62, -(2**62)),
    "edge of int64": (2**63 - 1, -(2**63)),
}
_STRINGS: Classes = {
    "null": (None,),
    "empty": ("",),
    "ascii": ("a", "A", "UA", "a-b-c", "Ab 1"),
    "spaces": (" ", " a ", "\t\r\n", "a  b"),
    "digits": ("12", "-7", "1e3", " 1", "1_0", "9223372036854775808", ".5", "nan"),
    "non-ascii digits": ("٣", "²", "１２"),
    "case pair of Unicode 16: U+1C89": ("\u1c89", "\u1c8a"),
    "information separator U+001C": ("\u001ca\u001c", "\u001f"),
    "spaces beyond ascii": ("\u00a0a\u00a0", "\u2003\u3000", "\ufeff", "\u180e", "\u0085"),
    "Kelvin sign": ("K", "\u212b"),
    "Turkish İ and ı": ("İ", "ı", "Iİıi"),
    "sigma at the end": ("ΑΣ", "Σ", "ΑΣ.", "ΑΣΑ", "ΑΣ\u0301"),
    "grows in upper case": ("ß", "ﬀ", "ŉ", "ΐ"),
    "title case": ("ǅ",),
    "combining marks": ("e\u0301", "é", "\u0345", "a\u0308\u0301"),
    "astral": ("𝔞", "😀a😀", "𐐀", "👩‍👩‍👧"),
    "NUL": ("\0", "a\0b"),
    "not assigned": ("\u0378", "\U0001fbff"),
    "patterns": (".*", "a|b", "\\d", "$1", "^a$"),
    MEGABYTE: ("aB é" * 209_715,),
}
_EVERY_TIME: Classes = {
    "null": (None,),
    "epoch": (0, DAY),
    "epoch less 1 µs": (-1,),
    "plain": (micros("2013-01-01T05:15:30.250001"), micros("2024-12-31T23:59:59.999999")),
    "leap day": (micros("2024-02-29T12:00"), micros("2000-02-29T00:00"), micros("1900-02-28T23:59:59.999999")),
    "ends of a year": _around("2024-01-01T00:00", "2021-01-01T00:00", "2020-12-28T00:00"),
    "year 1": (YEAR_1, YEAR_1 + DAY - 1),
    "year 9999": (YEAR_10000 - 1, YEAR_10000 - DAY),
}
_UTC: Classes = _EVERY_TIME | {
    "gap of Berlin": _around("2024-03-31T01:00"),
    "fold of Berlin": _around("2024-10-27T00:00", "2024-10-27T01:00", "2024-10-27T02:00"),
    "gap of New York": _around("2024-03-10T07:00"),
    "fold of New York": _around("2024-11-03T05:00", "2024-11-03T06:00", "2024-11-03T07:00"),
    "half an hour of Lord Howe": _around("2024-04-06T15:00", "2024-10-05T15:30"),
    "no midnight in Sao Paulo": _around("2018-11-04T03:00"),
    "no 30 December in Apia": _around("2011-12-30T10:00"),
    "seconds of Amsterdam": _around("1937-06-30T23:40:28"),
}
_WALL: Classes = _EVERY_TIME | {
    "in a gap": (micros("2024-03-31T02:30"), micros("2024-03-10T02:30"), micros("2018-11-04T00:30")),
    "in a fold": (micros("2024-10-27T02:30"), micros("2024-11-03T01:30")),
}
_DATES: Classes = {
    name: tuple(dict.fromkeys(None if value is None else value // DAY for value in values))
    for name, values in _EVERY_TIME.items()
}

_PLAIN: Mapping[str, Classes] = {
    tree.BOOLEAN: {"null": (None,), "false": (False,), "true": (True,)},
    tree.INTEGER: _INTEGERS,
    tree.NUMBER: _NUMBERS,
    tree.STRING: _STRINGS,
    tree.TIMESTAMP: _WALL,
    tree.TIMESTAMP_UTC: _UTC,
    tree.DATE: _DATES,
}


def _lists(element: str) -> Classes:
    """Lists of an element type: each class of it makes one list, without null, which has classes of its own."""
    every = {name: values for name, values in _PLAIN[element].items() if name not in ("null", MEGABYTE)}
    first = next(iter(every.values()))
    return {
        "null": (None,),
        "empty": ((),),
        "of null": ((None,), (None, None)),
        "with null": ((first[0], None), (None, first[0])),
        "twice the same": (first[:1] * 2,),
        "long": (tuple(value for values in every.values() for value in values) * 2,),
        **{f"of {name}": (values,) for name, values in every.items()},
    }


CLASSES: Mapping[str, Classes] = {**_PLAIN, **{kind: _lists(tree.LISTS[kind]) for kind in LISTS}}
assert max(len(value.encode()) for value in _STRINGS[MEGABYTE]) > 2**20 - 8
assert date.fromordinal(1).toordinal() - date(1970, 1, 1).toordinal() == YEAR_1 // DAY


def values_of(kind: str, *, large: bool = True) -> list[Any]:
    """All values of a type, class by class; without the 1 MB string unless `large`."""
    return [value for name, values in CLASSES[kind].items() for value in values if large or name != MEGABYTE]


def rows_of_classes(turns: int = 1, *, large: bool = True) -> list[dict[str, Any]]:
    """Rows in which each column of TYPES takes each of its values at least once per turn.

    Columns of one type, and the turns, pair the values differently, so that two inputs meet in many ways.
    """
    values = {name: values_of(kind, large=large) for name, kind in TYPES.items()}
    height = turns * max(len(found) for found in values.values())
    shift = {name: 0 if name.endswith(" 1") else 3 * place + 1 for place, name in zip(count(), TYPES, strict=False)}
    rows = []
    for row in range(height):
        turn = row // (height // turns)
        rows.append({name: found[(row + shift[name] * (turn + 1)) % len(found)] for name, found in values.items()})
    return rows


def bits(value: Any) -> Any:
    """A value that compares as bits do; every NaN is one."""
    if isinstance(value, tuple | list):
        return tuple(bits(item) for item in value)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    return (type(value).__name__, value)
