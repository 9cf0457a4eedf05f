"""Times with and without a zone, at the ends of time, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from ninetyfive.errors import SchemaError

if TYPE_CHECKING:
    from tests.bad_input.conftest import Victim

AT = pl.col("at")


def test_times_with_a_zone_into_a_schema_without_and_back(
    live: Victim, fresh: Victim, rows: pl.DataFrame, more: pl.DataFrame
) -> None:
    live.write("b.parquet", more.with_columns(AT.dt.replace_time_zone("UTC")))
    live.refuses(SchemaError, "column 'at'", "expected timestamp, got timestamp[UTC]", "write the times without a zone")
    fresh.write("a.parquet", rows.with_columns(AT.dt.replace_time_zone("Europe/Berlin")))
    assert fresh.runs()["window"]["to"] == "2026-01-09T06:50:00"
    fresh.write("b.parquet", more)
    fresh.refuses(SchemaError, "expected timestamp[UTC], got timestamp", "write the times with their zone")
    fresh.write("b.parquet", more.with_columns(AT.dt.replace_time_zone("America/New_York")))
    assert fresh.runs()["window"]["to"] == "2026-01-12T07:30:00"


def test_times_of_both_kinds_in_the_first_run(fresh: Victim, more: pl.DataFrame) -> None:
    fresh.write("b.parquet", more.with_columns(AT.dt.replace_time_zone("UTC")))
    error = fresh.refuses(SchemaError, "column 'at'", "timestamp[UTC] in", "timestamp in")
    assert error.do == "write the times of all files with their zone, or all without"
    fresh.write("b.parquet", more)
    assert fresh.runs()["promoted"]


@pytest.mark.parametrize(
    ("times", "says"),
    [
        (
            pl.when(pl.col("trip") % 2 == 0).then(AT.dt.strftime("%FT%TZ")).otherwise(AT.dt.strftime("%FT%T")),
            "times that all have a zone, or none that has, got 600 with a zone and 600 without",
        ),
        (
            AT.dt.strftime("%d/%m/%y %R"),
            "expected ISO 8601 times, got 1,200 of 1,200 values that are none, such as '01/",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_text_that_is_no_time(fresh: Victim, rows: pl.DataFrame, kind: str, times: pl.Expr, says: str) -> None:
    fresh.use(kind)
    fresh.write(f"a.{kind}", rows.with_columns(at=times))
    error = fresh.refuses(SchemaError, "column 'at', time= of the source", says)
    assert error.do.startswith("write them like 2026-01-31T12:00:00Z")
    assert not (fresh.project.folder / "schema.toml").exists()
    fresh.write(f"a.{kind}", rows)
    assert fresh.runs()["promoted"]


def test_naive_text_into_a_schema_with_a_zone(fresh: Victim, rows: pl.DataFrame, more: pl.DataFrame) -> None:
    fresh.use("csv")
    fresh.write("a.csv", rows.with_columns(AT.dt.strftime("%FT%TZ")))
    fresh.runs()
    fresh.write("b.csv", more)
    fresh.refuses(SchemaError, "400 of 400 rows in quarantine (400 by type of 'at')", "such as '2026-01-09T08:00:00'")
    fresh.write("b.csv", more.with_columns(AT.dt.strftime("%FT%T+02:00")))
    assert fresh.runs()["rows"]["accepted"] == 400


def test_times_that_are_null(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.write("a.parquet", rows.with_columns(at=pl.when(pl.col("trip") != 5).then(AT)))
    assert fresh.runs()["rows"]["quarantined"] == 1
    fresh.write("a.parquet", rows.with_columns(at=pl.lit(None, pl.Datetime("us"))))
    fresh.refuses(SchemaError, "1,200 of 1,200 rows in quarantine (1,200 by null of 'at')")


def test_times_beyond_the_years_1_to_9999(fresh: Victim, rows: pl.DataFrame) -> None:
    far = pl.when(pl.col("trip") < 5).then(pl.lit(2**62).cast(pl.Datetime("us"))).otherwise(AT)
    fresh.write("a.parquet", rows.with_columns(at=far))
    document = fresh.runs()
    assert document["rows"]["quarantined"] == 5
    assert "5 by time of 'at'" in document["notices"][0]


def test_times_at_the_ends(fresh: Victim, rows: pl.DataFrame) -> None:
    ends = (
        pl.when(pl.col("trip") == 0)
        .then(pl.datetime(1, 1, 1))
        .when(pl.col("trip") == 1)
        .then(pl.datetime(9999, 12, 31))
    )
    fresh.write("a.parquet", rows.with_columns(at=ends.otherwise(AT)))
    document = fresh.runs()
    assert document["window"]["to"] == "9999-12-31T00:00:00"
    assert document["promoted"]
