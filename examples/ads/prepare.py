"""Make up a shop's ads: 20,000 clicks with whether they led to a purchase, and the 300,000 requests of two weeks.

    data/clicks-1.parquet … -3.parquet    what was clicked and what came of it, thirty days a file
    requests/*.parquet                    every auction of the last two weeks, as a service's request log

No such shop is known. What the generator assumes, and why:

- **Labels come days late.** Who clicks buys up to three days later, so a click is judged after three days:
  `label_delay` keeps those of the last three days out of training.
- **Fashion.** What sells changes within weeks: each of twelve categories, and discounts, has a pull of its own that
  stays, and one that walks (an Ornstein-Uhlenbeck process that forgets half in three weeks), so what was learnt two
  months ago holds in part.
- **A few thousand ads are asked about again and again**: before each auction the shop asks what a click on an ad is
  worth. Of the 3,000 ads that run, the r-th is asked about in proportion to 1/r^0.8.
- **An ad changes rarely.** Price, discount and rating are those of the catalogue; of an ad one of them changes on
  three days of a thousand. What the shop knows of the customer is no feature: an ad is worth the same to everybody
  here.
- **New ads are few**: each day two of a thousand ads end, and others begin in their place.

The seed is fixed: the same files each time, but for the names and random salts of the request log's spans.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from system import ads

from ninetyfive.testing.request_logs import write_request_log

HERE = Path(__file__).parent
BEGIN, DAYS, LOGGED_DAYS = datetime(2026, 1, 1), 90, 14
CLICKS, REQUESTS, ADS, CATEGORIES = 20_000, 300_000, 3_000, 12
SLOPE, CHANGES, ENDS, FORGETS, STAYS, WALKS, SECONDS = 0.8, 0.003, 0.002, 21.0, 1.1, 0.8, 86_400


def fashion(chance: np.random.Generator) -> np.ndarray:
    """By day and category, and in the last column of discounts, how they pull, in log-odds."""
    keeps = 0.5 ** (1 / FORGETS)
    pulls = np.empty((DAYS, CATEGORIES + 1))
    pulls[0] = chance.normal(0, WALKS, CATEGORIES + 1)
    for day in range(1, DAYS):
        pulls[day] = keeps * pulls[day - 1] + chance.normal(0, WALKS * np.sqrt(1 - keeps**2), CATEGORIES + 1)
    return pulls + chance.normal(0, STAYS, CATEGORIES + 1)


def catalogue(chance: np.random.Generator) -> pl.DataFrame:
    """Every ad that runs as it stands on each day: row `day` × `ADS` + `place`, the first place is asked about most."""
    ad, count = np.arange(ADS), ADS
    category = chance.integers(0, CATEGORIES, ADS)
    facts = np.column_stack([chance.lognormal(3.2, 0.8, ADS), chance.beta(1.2, 4.0, ADS), chance.normal(4.0, 0.5, ADS)])
    days = []
    for day in range(DAYS):
        ends = chance.random(ADS) < ENDS
        ad = np.where(ends, count + np.cumsum(ends) - 1, ad)
        count += int(ends.sum())
        category = np.where(ends, chance.integers(0, CATEGORIES, ADS), category)
        fresh = np.column_stack(
            [chance.lognormal(3.2, 0.8, ADS), chance.beta(1.2, 4.0, ADS), chance.normal(4.0, 0.5, ADS)]
        )
        changed = chance.random((ADS, 1)) < CHANGES
        facts = np.where(ends[:, None] | (changed & (np.arange(3) == chance.integers(0, 3, (ADS, 1)))), fresh, facts)
        days.append((np.full(ADS, day), np.arange(ADS), ad, category, facts))
    day, place, ad, category, facts = (np.concatenate(one) for one in zip(*days, strict=True))
    return pl.DataFrame(
        {
            "day": day,
            "place": place,
            "ad": ad,
            "category": np.array([f"category-{number:02}" for number in range(CATEGORIES)])[category],
            "price": facts[:, 0].round(2),
            "discount": facts[:, 1].round(2),
            "rating": facts[:, 2].clip(1.0, 5.0).round(1),
        }
    )


def asked(chance: np.random.Generator, known: pl.DataFrame, first: int, count: int) -> pl.DataFrame:
    """So many times that an ad is asked about from day `first` on, in order of time, with the ad as it then stands."""
    shares = np.arange(1, ADS + 1, dtype=np.float64) ** -SLOPE
    place = np.searchsorted(np.cumsum(shares) / shares.sum(), chance.random(count))
    seconds = np.sort(chance.integers(first * SECONDS, DAYS * SECONDS, count))
    moments = pl.Series(np.datetime64(BEGIN, "us") + seconds.astype("timedelta64[s]"))
    return known[seconds // SECONDS * ADS + place].with_columns(clicked_at=moments)


def generate() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The clicks with what came of them, and the requests."""
    chance = np.random.default_rng(95)
    pulls, known = fashion(chance), catalogue(chance)
    clicks = asked(chance, known, 0, CLICKS)
    day, category = clicks["day"].to_numpy(), clicks["category"].str.tail(2).cast(pl.Int64).to_numpy()
    discount, rating = clicks["discount"].to_numpy(), clicks["rating"].to_numpy()
    price = 0.5 * (np.log(clicks["price"].to_numpy()) - 3.2)
    odds = -1.8 + pulls[day, category] + (1.0 + pulls[day, -1]) * 2 * (discount - 0.23) + 0.6 * (rating - 4.0) - price
    bought = chance.random(CLICKS) < 1 / (1 + np.exp(-odds))
    columns = ("clicked_at", "ad", "category", "price", "discount", "rating")
    clicks = clicks.select("clicked_at", *columns[1:], bought=pl.Series(bought), click=pl.int_range(pl.len()))
    requests = asked(chance, known, DAYS - LOGGED_DAYS, REQUESTS).select(
        *columns, click=CLICKS + pl.int_range(pl.len()), request_time="clicked_at"
    )
    return clicks, requests


def main() -> None:
    clicks, requests = generate()
    for name in ("data", "requests"):
        shutil.rmtree(HERE / name, ignore_errors=True)
    (HERE / "data").mkdir()
    part = (pl.col("clicked_at") - BEGIN).dt.total_days() // 30
    for number in range(3):
        clicks.filter(part == number).write_parquet(HERE / "data" / f"clicks-{number + 1}.parquet")
    spans = write_request_log(HERE / "requests", ads, requests)
    print(f"data: {clicks.height:,} clicks of {DAYS} days, {clicks['bought'].mean():.0%} bought (made up)")
    print(f"requests: {requests.height:,} requests of {LOGGED_DAYS} days in {len(spans)} spans (made up)")
    print(f"  about {requests['ad'].n_unique():,} ads")


if __name__ == "__main__":
    main()
