"""Ids that repeat: with the same content they are duplicates, with other content nobody knows which row is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from ninetyfive.errors import DataError, SchemaError

if TYPE_CHECKING:
    from tests.bad_input.conftest import Victim

TRIP = pl.col("trip")


def other(rows: pl.DataFrame) -> pl.DataFrame:
    """The same ids with another fare."""
    return rows.with_columns(fare=pl.col("fare") + 1.0)


def test_the_same_rows_again_in_one_file(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.write("a.parquet", pl.concat([rows, rows.head(7), rows.head(2)]))
    assert fresh.runs()["rows"] == {
        "read": 1_209,
        "accepted": 1_200,
        "quarantined": 0,
        "unlabelled": 0,
        "duplicate": 9,
    }


def test_the_same_rows_again_in_another_file_and_a_later_run(live: Victim, rows: pl.DataFrame) -> None:
    live.write("b.parquet", rows.tail(300).reverse())
    document = live.runs()
    assert (document["rows"]["read"], document["window"]["rows"]) == (300, 1_200)
    assert sum(count["duplicate"] for count in live.counts.values()) == 300
    live.write("c.parquet", rows.select(reversed(rows.columns)))
    document = live.runs()
    assert (document["rows"]["read"], document["window"]["rows"]) == (1_200, 1_200)
    assert sum(count["duplicate"] for count in live.counts.values()) == 1_500
    live.write("copy.parquet", (live.data / "a.parquet").read_bytes())
    assert live.runs()["rows"]["read"] == 0, "a file under another name is the same file"


def test_the_same_ids_with_other_content(live: Victim, fresh: Victim, rows: pl.DataFrame, more: pl.DataFrame) -> None:
    """Up to one in a hundred they are left out by rule id, those of earlier runs too, and it is told."""
    fresh.write("a.parquet", pl.concat([rows, other(rows.head(5))]))
    document = fresh.runs()
    assert document["rows"] == {"read": 1_205, "accepted": 1_195, "quarantined": 10, "unlabelled": 0, "duplicate": 0}
    assert any("10 of 1,205 rows share their id" in text and "trip=0; trip=1" in text for text in document["notices"])
    live.write("b.parquet", pl.concat([more, other(rows.head(5))]))
    document = live.runs()
    assert document["rows"] == {"read": 405, "accepted": 400, "quarantined": 5, "unlabelled": 0, "duplicate": 0}
    assert document["window"]["rows"] == 1_595
    (live.data / "b.parquet").unlink()
    assert live.runs()["window"]["rows"] == 1_200, "without the file the earlier rows are good again"


@pytest.mark.parametrize("later", [True, False])
def test_too_many_ids_with_other_content(live: Victim, fresh: Victim, rows: pl.DataFrame, later: bool) -> None:
    """More than one in a hundred: the id is wrong. What would name the rows is proposed, not what they measure."""
    victim = live if later else fresh
    victim.write("b.parquet", rows.head(50).with_columns(zone=pl.lit("old town"), distance=pl.lit(0.5)))
    error = victim.refuses(DataError, "100 of 1,250 rows share their id with other content", "trip=0; trip=1; trip=2")
    assert error.where == "source parquet('data/*.parquet'), id=['trip']"
    assert error.do.startswith("if 'zone' or 'distance' belongs to the name of a row, add it to id=")
    (victim.data / "b.parquet").unlink()
    assert victim.runs()["promoted"]


def test_rows_that_differ_in_what_is_known_later_only(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.write("b.parquet", other(rows.head(50)))
    error = fresh.refuses(DataError, "write each row once: such rows differ only in 'fare'")
    assert "id=" not in error.do


def test_a_proposed_id_column_is_enough(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.write("a.parquet", rows.with_columns(trip=TRIP // 2))
    fresh.refuses(DataError, "1,200 of 1,200 rows", "if 'at' ")
    fresh.project.edit(('id="trip"', 'id=["trip", "at"]'))
    assert fresh.runs()["rows"]["accepted"] == 1_200


def test_ids_that_are_null(live: Victim, more: pl.DataFrame) -> None:
    live.write("b.parquet", more.with_columns(trip=pl.when(TRIP != 1_300).then(TRIP)))
    document = live.runs()
    assert document["rows"] == {"read": 400, "accepted": 399, "quarantined": 1, "unlabelled": 0, "duplicate": 0}
    assert "1 of 400 rows in quarantine (1 by null of 'trip'), kept in " in document["notices"][0]
    live.write("b.parquet", more.with_columns(trip=pl.when(TRIP % 2 == 0).then(TRIP)))
    live.refuses(SchemaError, "200 of 400 rows in quarantine (200 by null of 'trip')")


def test_ids_of_zeros_nan_and_none(fresh: Victim, rows: pl.DataFrame) -> None:
    """−0.0 is 0.0, NaN is NaN: such rows repeat."""
    keys = pl.when(TRIP == 0).then(-0.0).when(TRIP == 1).then(0.0).when(TRIP < 4).then(float("nan")).otherwise(TRIP / 3)
    fresh.write("a.parquet", rows.with_columns(trip=keys))
    document = fresh.runs()
    assert document["rows"] == {"read": 1_200, "accepted": 1_196, "quarantined": 4, "unlabelled": 0, "duplicate": 0}
