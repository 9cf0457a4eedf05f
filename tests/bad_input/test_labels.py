"""Labels of one class, NaN, infinite, null, or known for some rows only; windows with one row, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from ninetyfive.errors import DataError, DeclarationError

if TYPE_CHECKING:
    from tests.bad_input.conftest import Victim

TRIP, TIP = pl.col("trip"), pl.col("tip")


def regression(victim: Victim) -> None:
    victim.project.edit(
        ('col("tip") > 3.0', 'col("tip")'),
        ("import DecisionTreeClassifier", "import DecisionTreeRegressor"),
        ("return DecisionTreeClassifier", "return DecisionTreeRegressor"),
    )


def test_one_class(live: Victim, more: pl.DataFrame) -> None:
    """In the new rows it is allowed; in all rows there is nothing to learn."""
    live.write("b.parquet", more.with_columns(tip=pl.lit(9.0)))
    live.runs()
    live.project.edit(('col("tip") > 3.0', 'col("tip") > -1.0'))
    error = live.refuses(DataError, "expected at least two classes", "got only True", "it never changes")
    assert error.where == 'label col("tip") > -1.0'
    live.project.edit(('col("tip") > -1.0', 'col("tip") > 3.0'))
    live.write("b.parquet", more)
    assert live.runs()["window"]["rows"] == 1_600


def test_one_class_of_several(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.project.edit(('col("tip") > 3.0', 'col("mood")'))
    fresh.write("a.parquet", rows.with_columns(mood=pl.lit("glad")))
    fresh.refuses(DataError, "got only 'glad', 599 times")
    mood = pl.when(TIP > 4).then(pl.lit("glad")).when(TIP > 1).then(pl.lit("meh")).otherwise(pl.lit("bad"))
    fresh.write("a.parquet", rows.with_columns(mood=mood))
    assert fresh.runs()["metrics"]["log_loss"]["value"] > 0.0


def test_nan_labels_are_no_labels(fresh: Victim, rows: pl.DataFrame) -> None:
    regression(fresh)
    fresh.write("a.parquet", rows.with_columns(tip=pl.when(TRIP % 3 == 0).then(float("nan")).otherwise(TIP)))
    document = fresh.runs()
    assert document["rows"] == {"read": 1_200, "accepted": 800, "quarantined": 0, "unlabelled": 400, "duplicate": 0}
    assert document["window"]["unlabelled"] == 400


def test_nan_in_the_column_of_a_comparison_is_no_label_either(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.write("a.parquet", rows.with_columns(tip=pl.when(TRIP % 12 == 0).then(float("nan")).otherwise(TIP)))
    assert fresh.runs()["rows"]["unlabelled"] == 100


def test_infinite_labels(fresh: Victim, rows: pl.DataFrame) -> None:
    regression(fresh)
    fresh.write("a.parquet", rows.with_columns(tip=pl.when(TRIP == 3).then(float("inf")).otherwise(TIP)))
    fresh.refuses(DataError, 'label col("tip")', "0 null and 1 NaN or infinite of")


def test_no_labels_at_all(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.write("a.parquet", rows.with_columns(tip=pl.lit(None, pl.Float64)))
    fresh.refuses(DataError, "training rows", "got none of 1,200: 1,200 have no label yet")
    fresh.write("a.parquet", rows)
    (fresh.project.folder / "schema.toml").unlink()
    assert fresh.runs()["promoted"]


@pytest.mark.parametrize("learned", [True, False])
def test_labels_in_the_last_rows_only(fresh: Victim, rows: pl.DataFrame, learned: bool) -> None:
    """What is wrong are the labels, whatever the features learn."""
    if not learned:
        fresh.project.edit((".fill_mean().log1p().zscore()", ""), (".vocabulary()", ".is_null()"))
    fresh.write("a.parquet", rows.with_columns(tip=pl.when(TRIP >= 1_100).then(TIP)))
    fresh.refuses(
        DataError,
        "training rows: expected rows with a label before 2026-01-05",
        "got none of 1,200: 100 are held out for the test, 1,100 have no label yet",
    )


def test_labels_in_the_first_rows_only(fresh: Victim, rows: pl.DataFrame) -> None:
    """It is told before anything is trained."""
    fresh.write("a.parquet", rows.with_columns(tip=pl.when(TRIP < 100).then(TIP)))
    fresh.project.edit(("    return Dec", "    raise AssertionError\n    return Dec"))
    fresh.refuses(DataError, "test rows", "got none of 1,200: 100 train, 1,100 have no label yet")


def test_labels_that_come_after_the_cut(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.project.edit(("later=", 'label_delay="6d",\n    later='))
    fresh.refuses(DataError, "training rows", "have a label that was not known yet at the cut")
    fresh.project.edit(('"6d"', '"6h"'))
    document = fresh.project.run()
    assert document["window"]["embargo"] in (35, 36)
    assert document["window"]["unlabelled"] == 36
    assert sum(document["window"][part] for part in ("train", "test", "embargo", "unlabelled")) == rows.height


def test_a_label_that_is_no_label(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.write("a.parquet", rows.with_columns(tip=pl.struct("tip", "fare")))
    fresh.refuses(DeclarationError, "label=", "of type opaque")


# Few rows, no rows


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (1, "expected times that differ, to hold the newest rows out, got one time"),
        (2, "expected at least two classes in the training rows"),
    ],
)
def test_a_row_or_two(fresh: Victim, rows: pl.DataFrame, count: int, says: str) -> None:
    fresh.write("a.parquet", rows.head(count))
    fresh.refuses(DataError, says)
    fresh.write("a.parquet", rows)
    assert fresh.runs()["promoted"]


def test_few_rows_make_a_release_that_is_not_promoted(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.write("a.parquet", rows.head(20))
    document = fresh.runs()
    assert (document["promoted"], document["rows"]["accepted"]) == (False, 20)
    assert "a gate said no: size" in document["reason"]
    assert fresh.project.command("run").code == 3
    assert fresh.live is None


def test_one_time_in_all_rows(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.write("a.parquet", rows.with_columns(at=pl.lit(rows["at"][0])))
    fresh.refuses(DataError, "column 'at'", "got one time in all rows", "split=nf.Split('id')")
    fresh.project.edit(('nf.Split("time", 0.5)', 'nf.Split("id", 0.5)'))
    assert fresh.runs()["window"]["test"] > 500


@pytest.mark.parametrize("as_of", ["1970-01-01", "2025-12-31T23:59:59+00:00"])
def test_as_of_before_all_rows(unmoved: Victim, as_of: str) -> None:
    unmoved.refuses(
        DataError,
        "expected rows in the window, got none: the data goes from 2026-01-01T00:00:00 to 2026-01-09T07:50:00",
        "correct --as-of",
        as_of=as_of,
    )


def test_as_of_inside_the_rows(unmoved: Victim) -> None:
    document = unmoved.runs(as_of="2026-01-02", promote=False)
    assert document["window"]["outside"] == 1_200 - 145
    assert not document["promoted"]
