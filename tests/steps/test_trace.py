"""Trace: one row step by step, wherever the row stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from ninetyfive.errors import DataError, UsageError

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_row_of_a_file_is_answered_as_the_row_itself(copied: Project, ending: str) -> None:
    rows = pl.read_parquet(copied.folder / "data" / "a.parquet").head(9)
    path = copied.folder / f"rows.{ending}"
    {"parquet": rows.write_parquet, "csv": rows.write_csv, "jsonl": rows.write_ndjson}[ending](path)
    system = copied.load()
    traced = system.trace(file=str(path), number=7)
    assert traced == system.trace(rows.row(7, named=True))
    assert traced["row"]["distance"] is None
    assert traced["answer"] == system.predict(rows)["prediction"][7]


def test_a_row_of_a_file_that_breaks_the_schema_is_told(copied: Project) -> None:
    path = copied.folder / "rows.csv"
    path.write_text("trip,at,zone,distance\n1,2026-01-01T10:00,airport,far\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"row 0, column 'distance'.*'far', against rule 'type'"):
        copied.load().trace(file=str(path))


def test_a_row_that_is_not_there(copied: Project) -> None:
    path = copied.folder / "data" / "a.parquet"
    with pytest.raises(UsageError, match="give a number below 1200"):
        copied.load().trace(file=str(path), number=1200)
    with pytest.raises(UsageError, match="one of --row and --file, got neither"):
        copied.load().trace()
