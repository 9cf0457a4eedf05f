"""Operations on times: the parts of the calendar and the clock, the difference of two times, and since in a unit.

A `timestamp` is read as the clock on the wall, a `timestamp[UTC]` in UTC; rows hold both as microseconds since 1970
and dates as days since 1970. The calendar is the Gregorian one, proleptic, for every year. What does not belong here:
time zones (`zones`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import Any

from ninetyfive.features import tree
from ninetyfive.features.operation import (
    Argument,
    Frame,
    Operation,
    Outcome,
    Polars,
    Site,
    divided_by,
    never,
    once,
    word_argument,
)

_HOUR = 3_600_000_000
_DAY = 86_400_000_000
YEARS = "years"
_MICROS = {"seconds": 1e6, "minutes": 6e7, "hours": 3.6e9, "days": 8.64e10, "weeks": 6.048e11}
_PER_DAY = {"seconds": 86_400.0, "minutes": 1_440.0, "hours": 24.0}
_CYCLE = 146_097  # days of 400 years: the calendar repeats, so that every year maps into those that `date` knows
_BEFORE_1970 = date(1970, 1, 1).toordinal() - 1


def difference_result(types: tuple[str, ...]) -> str | None:
    """The type of a difference of times: number (seconds), or None where these are not two times of one type."""
    times = (*tree.TIMES, tree.DATE)
    return tree.NUMBER if types[0] in times and len(set(types)) == 1 else None


def difference_frame(pl: Polars, site: Site) -> Frame:
    """Seconds from the second time to the first. Times 1e-6 is exact for whole seconds: its error is below 2^-54."""
    left, right = (frame.to_physical() for frame in site.inputs)
    if site.types[0] == tree.DATE:
        return (left.cast(pl.Int64) - right.cast(pl.Int64)).cast(pl.Float64) * 86_400.0
    return (left - right).cast(pl.Float64) * 1e-6


def difference_row(site: Site) -> str:
    """Seconds from the second time to the first."""
    unit = "86400.0" if site.types[0] == tree.DATE else "1e-06"
    return site.strict(f"({site.inputs[0]} - {site.inputs[1]}) * {unit}")


def whole_years(later: int, earlier: int, day: int) -> int:
    """Calendar years that are over from the earlier time to the later; `day` is how many of their units make a day.

    A year from 29 February is over on 1 March where there is no 29th. Below zero where the order is the other one.

    >>> whole_years(365, 0, 1), whole_years(364, 0, 1), whole_years(-1, 0, 1)
    (1, 0, -1)
    """
    later_year, later_day = _year_and_day(later // day)
    earlier_year, earlier_day = _year_and_day(earlier // day)
    return later_year - earlier_year - ((later_day, later % day) < (earlier_day, earlier % day))


def _year_and_day(days: int) -> tuple[int, int]:
    cycles, ordinal = divmod(days + _BEFORE_1970, _CYCLE)
    found = date.fromordinal(ordinal + 1)
    return found.year + 400 * cycles, found.month * 32 + found.day


def _since_result(types: tuple[str, ...], arguments: Mapping[str, Any]) -> str | None:
    kind = difference_result(types)
    return tree.INTEGER if kind is not None and arguments["unit"] == YEARS else kind


def _since_frame(pl: Polars, site: Site) -> Frame:
    is_date, unit = site.types[0] == tree.DATE, site.arguments["unit"]
    if unit == YEARS:
        return once(pl, site.inputs, partial(_whole_years, pl, 1 if is_date else _DAY), pl.Int64)
    left, right = (frame.to_physical().cast(pl.Int64) for frame in site.inputs)
    difference = (left - right).cast(pl.Float64)
    if is_date and unit in _PER_DAY:
        return difference * _PER_DAY[unit]
    return once(pl, [difference], lambda number: divided_by(pl, number, _unit(site)), pl.Float64)


def _whole_years(pl: Polars, day: int, later: Frame, earlier: Frame) -> Frame:
    (later_year, later_day), (earlier_year, earlier_day) = (
        (
            frame.dt.year().cast(pl.Int64),
            (frame.dt.month().cast(pl.Int64) * 32 + frame.dt.day()) * day + frame.to_physical().cast(pl.Int64) % day,
        )
        for frame in (later, earlier)
    )
    return later_year - earlier_year - (later_day < earlier_day).cast(pl.Int64)


def _since_row(site: Site) -> str:
    (left, right), is_date, unit = site.inputs, site.types[0] == tree.DATE, site.arguments["unit"]
    if unit == YEARS:
        return site.strict(f"{site.bind('_whole_years', whole_years)}({left}, {right}, {1 if is_date else _DAY})")
    if is_date and unit in _PER_DAY:
        return site.strict(f"({left} - {right}) * {_PER_DAY[unit]!r}")
    return site.strict(f"({left} - {right}) / {_unit(site)!r}")


def _unit(site: Site) -> float:
    """How many of the time's own units, days or microseconds, make the unit that is asked for."""
    return _MICROS[site.arguments["unit"]] / (_DAY if site.types[0] == tree.DATE else 1)


def _result(kinds: tuple[str, ...]) -> Callable[[tuple[str, ...], Mapping[str, Any]], str | None]:
    return lambda types, _: tree.INTEGER if types[0] in kinds else None


def _range(first: int, last: int) -> Callable[[Site], tuple[Outcome, ...]]:
    outcomes = tuple((value, str(value)) for value in range(first, last + 1))
    return lambda _: outcomes


def _days(site: Site) -> str:
    return site.inputs[0] if site.types[0] == tree.DATE else f"{site.inputs[0]} // {_DAY}"


def _dated(part: str) -> Callable[[Site], str]:
    """A part of the calendar that repeats every 400 years: `part` is Python source with the date for {}."""

    def row(site: Site) -> str:
        ordinal = site.bind("_date", date.fromordinal)
        return site.strict(part.format(f"{ordinal}(({_days(site)} + {_BEFORE_1970}) % {_CYCLE} + 1)"))

    return row


def _year_row(site: Site) -> str:
    ordinal, days = site.bind("_date", date.fromordinal), f"({_days(site)} + {_BEFORE_1970})"
    return site.strict(f"{ordinal}({days} % {_CYCLE} + 1).year + {days} // {_CYCLE} * 400")


def _part(name: str, first: int, last: int, part: str, gives: str = "") -> Operation:
    """A part of the calendar; `part` is the source of the row form, and the frame form is Polars' of the same name."""
    polars = {"day_of_year": "ordinal_day"}.get(name, name)
    return Operation(
        name=name,
        example=f'col("t").{name}()',
        takes="a timestamp or a date",
        gives=f"integer from {first} to {last}{gives}",
        nulls=_NULLS,
        hint=_HINT,
        result=_result((*tree.TIMES, tree.DATE)),
        frame=lambda pl, site: getattr(site.inputs[0].dt, polars)().cast(pl.Int64),
        row=_dated(part),
        outcomes=_range(first, last),
    )


def _clock(name: str, last: int, unit: int) -> Operation:
    """A part of the clock: of its `unit` (µs) there are `last + 1` in the next one."""
    return Operation(
        name=name,
        example=f'col("t").{name}()',
        takes="a timestamp",
        gives=f"integer from 0 to {last}",
        nulls=_NULLS,
        hint=_HINT,
        result=_result(tree.TIMES),
        frame=lambda pl, site: getattr(site.inputs[0].dt, name)().cast(pl.Int64),
        row=lambda site: site.strict(f"{site.inputs[0]} // {unit} % {last + 1}"),
        outcomes=_range(0, last),
    )


_NULLS = "null stays null"
_HINT = "use it on a column of times"

OPERATIONS = (
    Operation(
        name="year",
        example='col("t").year()',
        takes="a timestamp or a date",
        gives="integer",
        nulls=_NULLS,
        hint=_HINT,
        result=_result((*tree.TIMES, tree.DATE)),
        frame=lambda pl, site: site.inputs[0].dt.year().cast(pl.Int64),
        row=_year_row,
    ),
    _part("quarter", 1, 4, "({}.month + 2) // 3"),
    _part("month", 1, 12, "{}.month"),
    _part(
        "week", 1, 53, "{}.isocalendar()[1]", ", the week of ISO 8601: the first is that of the year's first Thursday"
    ),
    _part("day", 1, 31, "{}.day", " in the month"),
    _part("day_of_year", 1, 366, "(_t := {}).toordinal() - _t.replace(month=1, day=1).toordinal() + 1"),
    Operation(
        name="weekday",
        example='col("t").weekday()',
        takes="a timestamp or a date",
        gives="integer from 1 (Monday) to 7, as ISO 8601 counts",
        nulls=_NULLS,
        hint=_HINT,
        result=_result((*tree.TIMES, tree.DATE)),
        frame=lambda pl, site: site.inputs[0].dt.weekday().cast(pl.Int64),
        row=lambda site: site.strict(f"({_days(site)} + 3) % 7 + 1"),
        outcomes=_range(1, 7),
    ),
    _clock("hour", 23, _HOUR),
    _clock("minute", 59, 60_000_000),
    _clock("second", 59, 1_000_000),
    Operation(
        name="since",
        inputs=(2, 2),
        example='col("t").since(col("u"), unit="years")',
        takes="two times of one type",
        gives="number of the unit, negative where the other is later; for years an integer, the calendar years over",
        nulls="null where either is null",
        hint="make both times one type, with .cast(...), .in_zone(...) or .from_zone(...)",
        arguments=(Argument("unit", word_argument("unit", (*_MICROS, YEARS)), "days"),),
        result=_since_result,
        nan=never,
        frame=_since_frame,
        row=_since_row,
    ),
)
