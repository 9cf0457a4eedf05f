"""Time zones: the same as plain `zoneinfo` on the `tzdata` package, in both forms, around every change of a clock."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
import tzdata

from ninetyfive.features.frames import FrameFunction
from ninetyfive.features.recording import col
from ninetyfive.features.zones import to_clock, to_moment, zone

FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1)
NAMES = (Path(tzdata.__file__).parent / "zones").read_text(encoding="utf-8").split()
CHOSEN = ("Europe/Paris", "America/New_York", "Pacific/Apia", "Africa/Casablanca", "Australia/Lord_Howe", "Etc/GMT+12")


def shown(place: ZoneInfo, moment: int) -> int | None:
    try:
        aware = (EPOCH + moment * MICROSECOND).replace(tzinfo=UTC)
        return (aware.astimezone(place).replace(tzinfo=None) - EPOCH) // MICROSECOND
    except OverflowError:
        return None


def meant(place: ZoneInfo, clock: int) -> int | None:
    offset = (EPOCH + clock * MICROSECOND).replace(tzinfo=place).utcoffset()
    assert offset is not None
    moment = clock - offset // MICROSECOND
    return moment if FIRST <= moment <= LAST else None


def changes(name: str) -> list[int]:
    """µs of every change of the clock from 1900 to 2101, found by halving: sampled each fortnight."""
    place, fortnight = zone(name), 14 * 86_400_000_000
    found, before = [], -2_208_988_800_000_000
    while before < 4_133_980_800_000_000:
        after = before + fortnight
        low, high = before, after
        if shown(place, low) != (shown(place, high) or 0) - fortnight:
            while high - low > 1:
                middle = (low + high) // 2
                same = (shown(place, middle) or 0) - middle == (shown(place, low) or 0) - low
                low, high = (middle, high) if same else (low, middle)
            found.append(high)
        before = after
    return found


def times_near(name: str) -> list[int]:
    draw = random.Random(name)
    near = [
        change + step for change in changes(name) for step in (-1, 0, 1, draw.randrange(-(10**10), 10**10)) if change
    ]
    return [*near, FIRST, LAST, 0, -1, *(draw.randrange(FIRST, LAST + 1) for _ in range(300))]


@pytest.mark.parametrize("name", CHOSEN)
def test_zones_equal_zoneinfo_around_every_change(name: str) -> None:
    place, moments = zone(name), times_near(name)
    clocks = [*moments, *(value for moment in moments if (value := shown(place, moment)) is not None)]
    want_clocks, want_moments = [shown(place, moment) for moment in moments], [meant(place, clock) for clock in clocks]
    assert [to_clock(name).of(moment) for moment in moments] == want_clocks
    assert [to_moment(name).of(clock) for clock in clocks] == want_moments
    frame = pl.DataFrame({"t": pl.Series(moments).cast(pl.Datetime("us", "UTC"))})
    made = FrameFunction((("x", col("t").in_zone(name).node),), (("t", "timestamp[UTC]"),))(frame)["x"]
    assert made.dtype == pl.Datetime("us")
    assert made.to_physical().to_list() == want_clocks
    frame = pl.DataFrame({"t": pl.Series(clocks).cast(pl.Datetime("us"))})
    made = FrameFunction((("x", col("t").from_zone(name).node),), (("t", "timestamp"),))(frame)["x"]
    assert made.dtype == pl.Datetime("us", "UTC")
    assert made.to_physical().to_list() == want_moments


def test_every_zone_equals_zoneinfo() -> None:
    for name in NAMES:
        place, draw = zone(name), random.Random(name)
        moments = [draw.randrange(-3_000_000_000, 5_000_000_000) * 1_000_000 for _ in range(40)]
        assert [to_clock(name).of(moment) for moment in moments] == [shown(place, moment) for moment in moments], name
        assert [to_moment(name).of(moment) for moment in moments] == [meant(place, moment) for moment in moments], name


def test_there_and_back_is_the_same_moment_but_for_the_second_of_two_equal_clocks() -> None:
    clock, moment = to_clock("Europe/Paris").of, to_moment("Europe/Paris").of
    second_time = 1_729_990_800_000_000  # 2024-10-27T01:00Z: the clock shows 02:00 for the second time
    for at in (0, second_time - 1, second_time + 3_600_000_000):
        assert moment(clock(at) or 0) == at
    assert moment(clock(second_time) or 0) == second_time - 3_600_000_000
