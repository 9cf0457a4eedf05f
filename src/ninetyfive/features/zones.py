"""Operations on time zones: in_zone (a moment → the clock on a wall there) and from_zone (that clock → the moment).

    timestamp[UTC] ── in_zone("Europe/Paris") ──▶ timestamp ── from_zone("Europe/Paris") ──▶ timestamp[UTC]

The truth is Python's `zoneinfo` on the data of the `tzdata` package, whatever the machine has: Polars brings its own,
which ends in 2100 or so. What leaves the years 1 to 9999 is null. What does not belong here: calendars (`times`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import tzdata

from ninetyfive.errors import near_names
from ninetyfive.features import tree
from ninetyfive.features.operation import Argument, Frame, Operation, Polars, Site, fail, once, over_distinct

_PACKAGE = Path(tzdata.__file__).parent
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # of the years 1 to 9999
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY = 86_400_000_000
_CACHED_DAYS = 16_384


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted((_PACKAGE / "zones").read_text(encoding="utf-8").split()))


@cache
def zone(name: str) -> ZoneInfo:
    """A zone of the `tzdata` package."""
    with (_PACKAGE / "zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _at_moment(place: ZoneInfo, micros: int) -> int:
    """µs by which the clock there is ahead of UTC at a moment."""
    moment = (_EPOCH + micros * _MICROSECOND).replace(tzinfo=UTC).astimezone(place)
    return _offset(moment)


def _at_clock(place: ZoneInfo, micros: int) -> int:
    """µs by which the clock there, when it shows this for the first time, is ahead of UTC."""
    return _offset((_EPOCH + micros * _MICROSECOND).replace(tzinfo=place))


def _offset(moment: datetime) -> int:
    offset = moment.utcoffset()
    assert offset is not None
    return offset // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Shift:
    """A way between moments and a clock: µs → µs or None by `of`, which adds `sign` times an offset.

    `of_day` is the offset of a whole day (counted from 1970), or None where it changes within it.
    """

    sign: int
    of_day: Callable[[int], int | None]
    of: Callable[[int], int | None]


@cache
def to_clock(name: str) -> Shift:
    """From a moment (µs in UTC) to what the clock in the zone shows then.

    >>> to_clock("Europe/Paris").of(0), to_clock("Europe/Paris").of(-62_135_596_800_000_000)
    (3600000000, -62135596239000000)
    """
    return _shift(zone(name), _at_moment, 1)


@cache
def to_moment(name: str) -> Shift:
    """From what the clock in the zone shows (µs) to the moment when it first does (µs in UTC).

    A time that the clock leaves out counts on with the offset of before: 02:30 means an hour after 01:30.

    >>> to_moment("Europe/Paris").of(3_600_000_000)
    0
    """
    return _shift(zone(name), _at_clock, -1)


def _shift(place: ZoneInfo, offset: Callable[[ZoneInfo, int], int], sign: int) -> Shift:
    """The offset of a day is asked for once, where it is the same at both ends.

    No clock changes there and back within a day: in the tz database of 2026 changes are a week apart at least.
    """

    @lru_cache(maxsize=_CACHED_DAYS)
    def of_day(day: int) -> int | None:
        try:
            first, last = offset(place, day * _DAY), offset(place, day * _DAY + _DAY - 1)
        except OverflowError:
            return None
        return first if first == last else None

    def of(micros: int) -> int | None:
        by = of_day(micros // _DAY)
        if by is None:
            try:
                by = offset(place, micros)
            except OverflowError:
                return None
        moved = micros + sign * by
        return moved if _FIRST <= moved <= _LAST else None

    return Shift(sign, of_day, of)


def _zone_name(value: Any, where: str) -> str:
    names = _names()
    if value not in names:
        near = near_names(value, names) if isinstance(value, str) else 'write zone="Europe/Paris"'
        raise fail(where, "zone: the name of a time zone, as in the tz database", value, near)
    return str(value)


def _row(made: Callable[[str], Shift], prefix: str) -> Callable[[Site], str]:
    def row(site: Site) -> str:
        return site.strict(f"{site.bind(f'{prefix}_{site.step}', made(site.arguments['zone']).of)}({site.inputs[0]})")

    return row


def _frame(made: Callable[[str], Shift], utc: str | None) -> Callable[[Polars, Site], Frame]:
    def frame(pl: Polars, site: Site) -> Frame:
        shift = made(site.arguments["zone"])

        def by_day(micros: Frame) -> Frame:
            return once(pl, [micros, over_distinct(pl, micros // _DAY, shift.of_day, pl.Int64)], moved, pl.Int64)

        def moved(micros: Frame, by: Frame) -> Frame:
            plain, odd = micros + by * shift.sign, by.is_null()
            exact = over_distinct(pl, pl.when(odd).then(micros), shift.of, pl.Int64)
            return pl.when(odd).then(exact).when(plain.is_between(_FIRST, _LAST)).then(plain)

        return once(pl, [site.inputs[0].to_physical()], by_day, pl.Int64).cast(pl.Datetime("us", utc))

    return frame


def _from_to(kind: str, to: str) -> Callable[[tuple[str, ...], Mapping[str, Any]], str | None]:
    return lambda types, _: to if types[0] == kind else None


_ZONE = (Argument("zone", _zone_name),)

OPERATIONS = (
    Operation(
        name="in_zone",
        example='col("t").in_zone("Europe/Paris")',
        takes="a timestamp[UTC]",
        gives="timestamp: what the clock in the zone shows",
        nulls="null stays null; null where that is outside of the years 1 to 9999",
        hint="a timestamp without a zone is a clock already; .from_zone(...) makes a moment of it",
        depends=("tzdata",),
        arguments=_ZONE,
        result=_from_to(tree.TIMESTAMP_UTC, tree.TIMESTAMP),
        nullable=lambda _: True,
        frame=_frame(to_clock, None),
        row=_row(to_clock, "_to_clock"),
    ),
    Operation(
        name="from_zone",
        example='col("t").from_zone("Europe/Paris")',
        takes="a timestamp: what a clock in the zone shows",
        gives="timestamp[UTC]: the first moment when it shows this; a time that it leaves out counts on from before",
        nulls="null stays null; null where that is outside of the years 1 to 9999",
        hint="a timestamp[UTC] is a moment already; .in_zone(...) says what the clock shows",
        depends=("tzdata",),
        arguments=_ZONE,
        result=_from_to(tree.TIMESTAMP, tree.TIMESTAMP_UTC),
        nullable=lambda _: True,
        frame=_frame(to_moment, "UTC"),
        row=_row(to_moment, "_to_moment"),
    ),
)
