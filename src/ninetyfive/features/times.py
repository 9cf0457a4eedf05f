"""Operations on times: hour, weekday, month, and the difference of two times.

A `timestamp` is read as the clock on the wall, a `timestamp[UTC]` in UTC; rows hold both as microseconds since 1970
and dates as days since 1970. The calendar is the Gregorian one, proleptic, for every year.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from ninetyfive.features import tree
from ninetyfive.features.operation import Frame, Operation, Outcome, Polars, Site

_HOUR = 3_600_000_000
_DAY = 86_400_000_000
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


def _result(kinds: tuple[str, ...]) -> Callable[[tuple[str, ...], Mapping[str, Any]], str | None]:
    return lambda types, _: tree.INTEGER if types[0] in kinds else None


def _range(first: int, last: int) -> Callable[[Site], tuple[Outcome, ...]]:
    outcomes = tuple((value, str(value)) for value in range(first, last + 1))
    return lambda _: outcomes


def _days(site: Site) -> str:
    return site.inputs[0] if site.types[0] == tree.DATE else f"{site.inputs[0]} // {_DAY}"


def _month_row(site: Site) -> str:
    ordinal = site.bind("_date", date.fromordinal)
    return site.strict(f"{ordinal}(({_days(site)} + {_BEFORE_1970}) % {_CYCLE} + 1).month")


_NULLS = "null stays null"
_HINT = "use it on a column of times"

OPERATIONS = (
    Operation(
        name="hour",
        example='col("t").hour()',
        takes="a timestamp",
        gives="integer from 0 to 23",
        nulls=_NULLS,
        hint=_HINT,
        result=_result(tree.TIMES),
        frame=lambda pl, site: site.inputs[0].dt.hour().cast(pl.Int64),
        row=lambda site: site.strict(f"{site.inputs[0]} // {_HOUR} % 24"),
        outcomes=_range(0, 23),
    ),
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
    Operation(
        name="month",
        example='col("t").month()',
        takes="a timestamp or a date",
        gives="integer from 1 to 12",
        nulls=_NULLS,
        hint=_HINT,
        result=_result((*tree.TIMES, tree.DATE)),
        frame=lambda pl, site: site.inputs[0].dt.month().cast(pl.Int64),
        row=_month_row,
        outcomes=_range(1, 12),
    ),
)
