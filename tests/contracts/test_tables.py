"""A table is the same on every engine, byte for byte: here of the head of a request log, which is a file and more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.sources.logs import log_trips

from ninetyfive.settings import ENGINES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]

pytestmark = pytest.mark.slow


@pytest.mark.timeout(300)
def test_a_table_is_the_same_on_every_engine(
    project: Project, trips: Trips, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model that answers a row in a batch otherwise than alone, so that rows are scored one at a time."""
    project.edit(
        ("    split=", '    entity=["zone", "trip"],\n    serving=nf.HybridServing(top=40),\n    split='),
        ("from sklearn.tree import DecisionTreeClassifier", "from sklearn.linear_model import LogisticRegression"),
        ("DecisionTreeClassifier(**params, random_state=0)", "LogisticRegression()"),
    )
    rows = trips(900)
    later = trips(300).with_columns(pl.col("at") + pl.duration(days=30), distance=pl.lit(1.5))
    every = pl.concat([rows, later, rows.head(5).with_columns(zone=pl.lit(None, pl.String))])
    log = project.folder / "log"
    for number in range(3):
        part = every[400 * number : 400 * number + (405 if number == 2 else 400)]
        log_trips(log, part, worker=f"w{number}", later=("tip", "fare"))
    project.run()
    monkeypatch.setenv("NINETYFIVE_CLOCK", "2026-06-01")
    made = {}
    for engine in ENGINES:
        monkeypatch.setenv("NINETYFIVE_ENGINE", engine)
        one = project.load().build_table(log=str(log), promote=False)
        assert one["passed"]
        made[engine] = (one["table"], one["rows"], one["jobs"])
    _, counts, jobs = made["local"]
    assert jobs == 2
    assert (counts["read"], counts["nameless"], counts["rejected"]) == (1205, 5, 0)
    assert (counts["entities"], counts["repeated"], counts["beyond"]) == (900, 300, 860)
    assert made["spark"] == made["local"]
    assert made["beam"] == made["local"]
