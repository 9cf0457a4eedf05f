"""Training that continues from the champion: which one it is given, what names it, and when there is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.conftest import trips

from ninetyfive.models.adapters import adapter_named

if TYPE_CHECKING:
    from tests.conftest import Project

CONTINUES = """\
@trips.model()
def model(x, y, params, champion):
    import lightgbm as lgb

    given = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 0}
    return lgb.train(given, lgb.Dataset(x, y), 5, init_model=champion)
"""

pytestmark = pytest.mark.slow


def continuing(project: Project, zone: str) -> None:
    path = project.folder / "system.py"
    head = path.read_text().partition("@trips.model")[0]
    path.write_text(head + CONTINUES)
    project.edit(
        ('col("distance").fill_mean().log1p().zscore()', 'col("distance")'), ('col("zone").vocabulary()', zone)
    )


def trees(project: Project, release: str) -> int:
    count: int = adapter_named("lightgbm").load(project.release(release)).num_trees()
    return count


def test_a_release_continues_the_champion_names_it_and_not_itself(project: Project) -> None:
    continuing(project, 'col("zone").hash_bucket(8)')
    first = project.run()["release"]
    assert trees(project, first) == 5
    project.add("b", trips(600, first=1_200))
    done = project.run()
    second = done["release"]
    assert done["promoted"]
    assert trees(project, second) == 10
    lineage = [json.loads((project.release(one) / "lineage.json").read_bytes()) for one in (first, second)]
    assert [one["continued"] for one in lineage] == [None, first]
    again = project.run()
    assert again["release"] == second
    assert project.done(again) == []
    assert project.run(cache=False)["release"] == second


def test_a_champion_that_learned_other_constants_is_not_continued(project: Project) -> None:
    continuing(project, 'col("zone").vocabulary()')
    project.run()
    project.add("b", trips(600, first=1_200).with_columns(zone=pl.lit("harbour")))
    done = project.run()
    assert trees(project, done["release"]) == 5
    assert any("is not continued: its features learned other constants" in one for one in done["notices"])
