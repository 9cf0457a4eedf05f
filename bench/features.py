"""What a feature costs: both executions of a transform beside what one writes by hand.

    python -m bench.features [--rounds N] [--quick] [--json]

- rows: the compiled row function for 40 features, one row, beside a hand-written Python function of equal values
- frames: the frame lowering of the first 20 of them on 64 rows, beside a hand-written Polars select
- crossover: from how many rows on frames are quicker than rows, as a release measures it
Values are checked equal first, on rows with nulls and NaN. Each round times both in turn; the ratio is the median of
the rounds' ratios. The bounds: rows at most 2.0 ×, frames at most 1.3 ×.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
import zoneinfo
from bisect import bisect_left
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

import polars as pl
import xxhash

from ninetyfive.features.costs import measure
from ninetyfive.features.fitting import Fitting
from ninetyfive.features.frames import scalars
from ninetyfive.features.recording import Expr, col, cross, greatest, when
from ninetyfive.features.transform import Transform

BOUNDS = {"rows": 2.0, "frames": 1.3}
ROWS = 64
TYPES = {
    "scheduled_at": "timestamp[UTC]",
    "lands_at": "timestamp[UTC]",
    "carrier": "string",
    "origin": "string",
    "dest": "string",
    "tailnum": "string",
    "flight": "integer",
    "distance": "number",
    "temp": "number",
    "wind_speed": "number",
    "wind_gust": "number",
    "precip": "number",
    "pressure": "number",
    "visib": "number",
    "built": "integer",
    "seats": "integer",
}


def twenty() -> dict[str, Expr]:
    """Twenty features as a user writes them."""
    at = col("scheduled_at")
    return {
        "hour": at.hour(),
        "weekday": at.weekday(),
        "month": at.month(),
        "minutes": (col("lands_at") - at) * (1 / 60),
        "carrier": col("carrier").vocabulary(),
        "origin": col("origin").vocabulary(),
        "dest": col("dest").vocabulary(top=100),
        "route": (col("origin") + "-" + col("dest")).vocabulary(top=300),
        "line": col("tailnum").lower().vocabulary(top=200),
        "distance": col("distance").log1p().zscore(),
        "long": col("distance") > 1000,
        "temp": col("temp").fill_mean().zscore(),
        "wind": col("wind_speed").fill_mean().quantile_bins(10),
        "gust": col("wind_gust").fill_null(0).clip(low=0, high=60),
        "gusts": col("wind_gust").is_null(),
        "precip": col("precip").fill_null(0.0).log1p(),
        "pressure": col("pressure").zscore(),
        "visib": when(col("visib") < 3).then(1).otherwise(0),
        "age": 2013 - col("built"),
        "room": col("seats") / col("distance"),
    }


def forty() -> dict[str, Expr]:
    """Twenty more."""
    at, tail = col("scheduled_at"), col("tailnum")
    return twenty() | {
        "minute": at.minute(),
        "quarter": at.quarter(),
        "day of year": at.day_of_year(),
        "local hour": at.in_zone("America/New_York").hour(),
        "hours": col("lands_at").since(at, unit="hours"),
        "clock": at.hour().cyclic(24),
        "warmth": col("temp").bucketize([32, 50, 68, 86]),
        "seats": col("seats").minmax(),
        "robust": col("pressure").robust_scale(),
        "calm": col("wind_speed").winsorize(low=0.05, high=0.95),
        "filled": col("visib").fill_median(),
        "frequency": tail.frequency(),
        "hashed": col("dest").hash_bucket(64),
        "crossed": cross(col("origin"), col("carrier")).hash_bucket(100),
        "family": tail.slice(0, 2).isin(["N1", "N2"]),
        "seven": tail.contains("7"),
        "root": col("distance").sqrt(),
        "freezing": (col("temp") - 32.0).abs(),
        "square": col("visib") ** 2,
        "strongest": greatest(col("wind_gust"), col("wind_speed")),
    }


def data(rows: int) -> pl.DataFrame:
    """Rows as flights look, with nulls and NaN; always the same."""
    draw = random.Random(95)
    start = datetime(2013, 1, 1, tzinfo=UTC)
    airports = [f"{a}{b}{c}" for a in "ABCDE" for b in "KLMNO" for c in "XYZW"]

    def maybe(value: Any) -> Any:
        return (
            None if draw.random() < 0.03 else math.nan if isinstance(value, float) and draw.random() < 0.01 else value
        )

    made = []
    for _ in range(rows):
        at = start + timedelta(minutes=draw.randrange(525_600))
        made.append(
            {
                "scheduled_at": at,
                "lands_at": at + timedelta(minutes=draw.randrange(40, 400)),
                "carrier": maybe(draw.choice(["UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX"])),
                "origin": maybe(draw.choice(["EWR", "JFK", "LGA"])),
                "dest": maybe(draw.choice(airports)),
                "tailnum": maybe(f"N{draw.randrange(300)}UA"),
                "flight": draw.randrange(8000),
                "distance": maybe(float(draw.randrange(80, 4900))),
                "temp": maybe(draw.gauss(55.0, 18.0)),
                "wind_speed": maybe(abs(draw.gauss(10.0, 5.0))),
                "wind_gust": maybe(abs(draw.gauss(25.0, 6.0))) if draw.random() < 0.3 else None,
                "precip": maybe(draw.random() * 0.1),
                "pressure": maybe(draw.gauss(1018.0, 7.0)),
                "visib": maybe(draw.random() * 10.0),
                "built": maybe(draw.randrange(1956, 2013)),
                "seats": maybe(draw.randrange(2, 450)),
            }
        )
    times = pl.Datetime("us", "UTC")
    dtypes = {"string": pl.String, "integer": pl.Int64, "number": pl.Float64, "timestamp[UTC]": times}
    return pl.DataFrame(made, schema={name: dtypes[kind] for name, kind in TYPES.items()})


def fitted(features: dict[str, Expr], frame: pl.DataFrame) -> Transform:
    """The transform, fitted on `frame`."""
    fitting = Fitting(features, TYPES)
    while (phase := fitting.phase()) is not None:
        columns = phase.function(frame)
        fitting.advance({name: it.add(it.zero(), columns) for name, it in phase.reducers.items()})
    return fitting.transform()


def learned(transform: Transform) -> dict[str, dict[str, Any]]:
    """Feature → all that it learned, as the hand-written ones need it."""
    found: dict[str, dict[str, Any]] = {}
    for name, root in transform.trees:
        node: Any = root
        while node is not None:
            found.setdefault(name, {}).update(dict(getattr(node, "constants", None) or ()))
            node = next(iter(getattr(node, "inputs", ())), None)
    return found


def no_more(_: Mapping[str, Any]) -> list[float]:
    """Nothing beside the first twenty."""
    return []


def by_hand_rows(known: Mapping[str, dict[str, Any]]) -> Callable[[Mapping[str, Any]], list[float]]:
    """What one writes in plain Python for one row."""
    index = {
        name: {word: i for i, word in enumerate(found["values"], 1)}
        for name, found in known.items()
        if "values" in found
    }
    carriers, origins, dests, routes, lines = (index[name] for name in ("carrier", "origin", "dest", "route", "line"))
    distance_mean, distance_scale = known["distance"]["mean"], 1 / known["distance"]["std"]
    temp_fill = temp_mean = known["temp"]["mean"]
    temp_scale = 1 / known["temp"]["std"]
    wind_mean, wind_edges = known["wind"]["mean"], list(known["wind"]["edges"])
    pressure_mean, pressure_scale = known["pressure"]["mean"], 1 / known["pressure"]["std"]
    nan, log1p, day, more = (
        math.nan,
        math.log1p,
        date.fromordinal,
        (more_by_hand(known) if "clock" in known else no_more),
    )

    def row_of(row: Mapping[str, Any]) -> list[float]:
        at, lands, origin, dest, tail = row["scheduled_at"], row["lands_at"], row["origin"], row["dest"], row["tailnum"]
        distance, temp, wind, gust = row["distance"], row["temp"], row["wind_speed"], row["wind_gust"]
        precip, pressure, visib, built, seats = row["precip"], row["pressure"], row["visib"], row["built"], row["seats"]
        known_distance = distance is not None
        days = at // 86_400_000_000
        temp = temp_fill if temp is None or temp != temp else temp
        wind = wind_mean if wind is None or wind != wind else wind
        return [
            at // 3_600_000_000 % 24,
            (days + 3) % 7 + 1,
            day(days + 719_163).month,
            (lands - at) * 1e-6 * (1 / 60),
            carriers.get(row["carrier"], 0),
            origins.get(origin, 0),
            dests.get(dest, 0),
            0 if origin is None or dest is None else routes.get(f"{origin}-{dest}", 0),
            0 if tail is None else lines.get(tail.lower(), 0),
            (log1p(distance) - distance_mean) * distance_scale if known_distance else nan,
            distance > 1000 if known_distance and distance == distance else nan,
            (temp - temp_mean) * temp_scale,
            bisect_left(wind_edges, wind),
            0.0 if gust is None else min(max(gust, 0.0), 60.0) if gust == gust else nan,
            gust is None,
            0.0 if precip is None else log1p(precip),
            nan if pressure is None else (pressure - pressure_mean) * pressure_scale,
            1 if visib is not None and visib < 3 else 0,
            nan if built is None else 2013 - built,
            seats / distance if seats is not None and known_distance else nan,
            *more(row),
        ]

    return row_of


def more_by_hand(known: Mapping[str, dict[str, Any]]) -> Callable[[Mapping[str, Any]], list[float]]:
    """The twenty of `forty`."""
    new_york, epoch, step = zoneinfo.ZoneInfo("America/New_York"), datetime(1970, 1, 1, tzinfo=UTC), timedelta
    low, width = known["seats"]["low"], known["seats"]["high"] - known["seats"]["low"]
    median_pressure, spread = known["robust"]["median"], known["robust"]["spread"]
    least, most = known["calm"]["least"], known["calm"]["most"]
    median_visib = known["filled"]["median"]
    found, total = known["frequency"], known["frequency"]["rows"]
    share = {word: count / total for word, count in zip(found["values"], found["counts"], strict=True)}
    edges, turn, nan = [32.0, 50.0, 68.0, 86.0], math.tau / 24, math.nan
    digest, sqrt, day, sin, cos = xxhash.xxh3_64_intdigest, math.sqrt, date.fromordinal, math.sin, math.cos

    def row_of(row: Mapping[str, Any]) -> list[float]:
        at, dest, tail, origin, carrier = (
            row["scheduled_at"],
            row["dest"],
            row["tailnum"],
            row["origin"],
            row["carrier"],
        )
        seats, pressure, wind, gust = row["seats"], row["pressure"], row["wind_speed"], row["wind_gust"]
        temp, visib, distance = row["temp"], row["visib"], row["distance"]
        today = day(at // 86_400_000_000 + 719_163)
        angle = (at // 3_600_000_000 % 24) * turn
        if wind is None or (gust is not None and (gust > wind or gust != gust)):
            strongest = nan if gust is None else gust
        else:
            strongest = wind
        return [
            at // 60_000_000 % 60,
            (today.month + 2) // 3,
            today.toordinal() - day(today.toordinal()).replace(month=1, day=1).toordinal() + 1,
            (epoch + step(microseconds=at)).astimezone(new_york).hour,
            (row["lands_at"] - at) / 3_600_000_000,
            sin(angle),
            cos(angle),
            nan if temp is None or temp != temp else bisect_left(edges, temp),
            nan if seats is None else (seats - low) / width,
            nan if pressure is None else (pressure - median_pressure) / spread,
            nan if wind is None else least if wind < least else most if wind > most else wind,
            median_visib if visib is None or visib != visib else visib,
            share.get(tail, 0.0),
            nan if dest is None else digest(dest.encode()) % 64,
            nan if origin is None or carrier is None else digest(f"{origin}|{carrier}".encode()) % 100,
            nan if tail is None else tail[:2] in ("N1", "N2"),
            nan if tail is None else "7" in tail,
            nan if distance is None else sqrt(distance),
            nan if temp is None else abs(temp - 32.0),
            nan if visib is None else visib * visib,
            strongest,
        ]

    return row_of


def by_hand_frames(known: Mapping[str, dict[str, Any]]) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """What one writes in Polars; the expressions are built once, as ours are."""

    def words(expression: pl.Expr, name: str) -> pl.Expr:
        found = known[name]["values"]
        new = pl.Series(range(1, len(found) + 1), dtype=pl.Int64)
        return expression.replace_strict(pl.Series(found), new, default=0, return_dtype=pl.Int64)

    def filled(name: str, feature: str) -> pl.Expr:
        return pl.col(name).fill_nan(None).fill_null(known[feature]["mean"])

    def scaled(expression: pl.Expr, name: str) -> pl.Expr:
        return (expression - known[name]["mean"]) / known[name]["std"]

    at = pl.col("scheduled_at")
    distance = pl.col("distance")
    made = {
        "hour": at.dt.hour(),
        "weekday": at.dt.weekday(),
        "month": at.dt.month(),
        "minutes": (pl.col("lands_at") - at).dt.total_microseconds() * 1e-6 * (1 / 60),
        "carrier": words(pl.col("carrier"), "carrier"),
        "origin": words(pl.col("origin"), "origin"),
        "dest": words(pl.col("dest"), "dest"),
        "route": words(pl.col("origin") + "-" + pl.col("dest"), "route"),
        "line": words(pl.col("tailnum").str.to_lowercase(), "line"),
        "distance": scaled(distance.log1p(), "distance"),
        "long": distance.fill_nan(None) > 1000,
        "temp": scaled(filled("temp", "temp"), "temp"),
        "wind": pl.lit(pl.Series(known["wind"]["edges"])).search_sorted(filled("wind_speed", "wind")),
        "gust": pl.col("wind_gust").fill_null(0.0).clip(0.0, 60.0),
        "gusts": pl.col("wind_gust").is_null(),
        "precip": pl.col("precip").fill_null(0.0).log1p(),
        "pressure": scaled(pl.col("pressure"), "pressure"),
        "visib": pl.when(pl.col("visib") < 3).then(1).otherwise(0),
        "age": 2013 - pl.col("built"),
        "room": pl.col("seats") / distance,
    }
    selection = [expression.cast(pl.Float32).fill_null(math.nan).alias(name) for name, expression in made.items()]
    return lambda frame: frame.select(selection)


def check(transform: Transform, frame: pl.DataFrame) -> None:
    """Both executions and the hand-written ones give equal values, float32 for float32; by frames the first twenty."""
    known = learned(transform)
    ours, theirs = transform.frames()(frame), by_hand_frames(known)(frame)
    rows, hand = transform.rows(), by_hand_rows(known)
    schema = dict.fromkeys(transform.columns, pl.Float32)
    records = scalars(frame, TYPES)
    ours_rows = pl.DataFrame([rows(record) for record in records], schema=schema, orient="row")
    hand_rows = pl.DataFrame([[float(x) for x in hand(record)] for record in records], schema=schema, orient="row")
    for name, other in {"rows": ours_rows, "rows by hand": hand_rows, "frames by hand": theirs}.items():
        near = 0.0 if name == "rows" else 1e-6
        for column in other.columns:
            left, right = ours[column], other[column]
            same = (left.is_nan() & right.is_nan()) | ((left - right).abs() <= near * left.abs().clip(1.0))
            if not same.all():
                raise SystemExit(
                    f"{name} differ in {column}: {left.filter(~same).head(3)} {right.filter(~same).head(3)}"
                )


def seconds(function: Callable[[Any], Any], argument: Any, repeats: int) -> float:
    """The median time of one call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(argument)
        times.append(time.perf_counter() - start)
    return median(times)


def main() -> int:
    """Measure, print, and exit 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="a third of the rounds")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    frame = data(4096)
    transform, half = fitted(forty(), frame), fitted(twenty(), frame)
    check(transform, frame)
    known, few = learned(transform), frame.head(ROWS)
    rows = scalars(few, TYPES)
    row = rows[0]
    pairs: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], Any, int]] = {
        "rows": (transform.rows(), by_hand_rows(known), row, 5000),
        "frames": (half.frames(), by_hand_frames(known), few, 200),
    }
    figures: dict[str, dict[str, float]] = {}
    for name, (ours, hand, argument, repeats) in pairs.items():
        seconds(ours, argument, repeats), seconds(hand, argument, repeats)
        rounds = [
            (seconds(ours, argument, repeats), seconds(hand, argument, repeats))
            for _ in range(asked.rounds // 3 if asked.quick else asked.rounds)
        ]
        figures[name] = {
            "microseconds": round(median(one for one, _ in rounds) * 1e6, 2),
            "by_hand_microseconds": round(median(one for _, one in rounds) * 1e6, 2),
            "ratio": round(median(one / other for one, other in rounds), 3),
            "bound": BOUNDS[name],
        }
    held = all(figure["ratio"] <= figure["bound"] for figure in figures.values())
    costs = measure(transform, rows)
    if asked.json:
        print(json.dumps({"features": figures, "crossover": costs.crossover, "held": held}))
    else:
        print(f"{'':8}{'ours µs':>10}{'by hand µs':>12}{'ratio':>8}{'bound':>8}")
        for name, figure in figures.items():
            print(
                f"{name:8}{figure['microseconds']:>10}{figure['by_hand_microseconds']:>12}"
                f"{figure['ratio']:>8}{figure['bound']:>8}"
            )
        print(f"forty features: frames are quicker from {costs.crossover:,} rows on")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
