"""The small system of the fault tests: 200 rows in one Parquet file, one feature, a model that always says the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

ROWS = 200
SYSTEM = """\
import ninetyfive as nf
from ninetyfive import col

small = nf.System(
    "small",
    source=nf.parquet("data/*.parquet", time="at", id="trip"),
    label=col("tip") > 3.0,
    features={"distance": col("distance").fill_mean()},
    split=nf.Split("time", 0.5),
)


@small.model()
def model(x, y, params):
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(min_samples_leaf=1_000).fit(x, y)
"""


def small_system(folder: Path) -> Path:
    """Write the project into a new folder; returns its store, which is not there yet.

    Of its rows 10 stand there twice, 2 have no time and are put into quarantine, 6 have no label.
    """
    import polars as pl

    (folder / "data").mkdir(parents=True)
    (folder / "system.py").write_text(SYSTEM, encoding="utf-8")
    (folder / "requirements.lock").write_text("scikit-learn\n", encoding="utf-8")
    (folder / "ninetyfive.toml").write_text("[engines.local]\nthreads = 1\n", encoding="utf-8")
    numbers = [*range(ROWS - 10), *range(10)]
    start = datetime(2026, 1, 1)
    rows = pl.DataFrame(
        {
            "trip": numbers,
            "at": [None if number in (50, 51) else start + timedelta(minutes=10 * number) for number in numbers],
            "distance": [None if number % 50 == 7 else number % 17 / 2 for number in numbers],
            "tip": [None if number % 30 == 13 else float(number * 7 % 6) for number in numbers],
        },
        schema_overrides={"at": pl.Datetime("us")},
    )
    rows.write_parquet(folder / "data" / "a.parquet")
    return folder / ".ninetyfive"
