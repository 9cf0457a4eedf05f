"""Batch prediction: which source a name means, and files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq
import pytest

from ninetyfive.errors import DataError, StoreError, UsageError
from ninetyfive.sources.files import source_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.parquet", "parquet"),
        ("s3://bucket/*.PQ", "parquet"),
        ("a.csv", "csv"),
        ("a.txt.gz", "csv"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson.bz2", "jsonl"),
        ("a.json", "jsonl"),
    ],
)
def test_the_ending_says_the_format(name: str, kind: str) -> None:
    assert (source_of(name).kind, source_of(name).urls) == (kind, (name,))
    assert source_of("a.tsv").separator == "\t"


@pytest.mark.parametrize("name", ["a.xlsx", "a", "parquet"])
def test_another_ending_is_told(name: str) -> None:
    with pytest.raises(UsageError, match=r"a name that ends in \.parquet, \.csv, \.jsonl"):
        source_of(name)


def test_several_files_are_answered_into_one(finished: Project, tmp_path: Path) -> None:
    rows = pl.read_parquet(finished.folder / "data" / "a.parquet")
    for number in range(3):
        rows[100 * number : 100 * number + 100].write_parquet(tmp_path / f"part-{number}.parquet")
    document = finished.load().predict_file(str(tmp_path / "part-*.parquet"), tmp_path / "all.parquet")
    assert document["rows"] == {"answered": 300, "unanswered": 0, "rejected": 0}
    table = pq.read_table(tmp_path / "all.parquet", page_checksum_verification=True)
    assert sorted(table["trip"].to_pylist()) == list(range(300))


def test_an_answer_that_cannot_be_written_leaves_nothing(finished: Project, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    out.mkdir()
    with pytest.raises(StoreError, match=r"out\.parquet"):
        finished.load().predict_file(str(finished.folder / "data" / "a.parquet"), out)
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_without_an_id_every_request_column_stands_beside_the_answer(project: Project) -> None:
    project.edit((', id="trip"', ""))
    project.run()
    rows = pl.read_parquet(project.folder / "data" / "a.parquet").head(3)
    answers = project.load().predict(rows)
    assert answers.columns == ["trip", "at", "zone", "distance", "prediction"]
    assert answers.drop("prediction").equals(rows.drop("fare", "tip"))


def test_a_row_outside_the_rules_is_refused_by_its_rule(copied: Project) -> None:
    path = copied.folder / "schema.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("distance = { type", "distance = { maximum = 100.0, type"), "utf-8"
    )
    copied.run()
    rows = pl.read_parquet(copied.folder / "data" / "a.parquet").head(2).with_columns(distance=pl.Series([1.0, 1e9]))
    with pytest.raises(DataError, match=r"got 1 that do not, the first by rule 'range': 1000000000.0"):
        copied.load().predict(rows)


@pytest.mark.slow
def test_what_is_read_is_not_written_over(copied: Project, trips: Callable[..., pl.DataFrame], tmp_path: Path) -> None:
    data = copied.folder / "data" / "a.parquet"
    before = data.read_bytes()
    for output in (data, copied.folder / "data" / "answers.parquet"):
        with pytest.raises(UsageError, match="a file that nothing is read from"):
            copied.load().predict_file(str(data), output)
    assert data.read_bytes() == before
    bad = trips(3, first=9_000).with_columns(zone=pl.lit(None, pl.String), at=pl.lit(None, pl.Datetime("us")))
    bad.write_parquet(tmp_path / "bad.parquet")
    trips(3, first=9_000).write_parquet(tmp_path / "good.parquet")
    first = copied.load().predict_file(str(tmp_path / "bad.parquet"), tmp_path / "answers.csv")
    assert first["rejected"] is not None
    second = copied.load().predict_file(str(tmp_path / "good.parquet"), tmp_path / "answers.csv")
    assert second["rows"] == {"answered": 3, "unanswered": 0, "rejected": 0}
    assert not (tmp_path / "answers.rejected.csv").exists()
