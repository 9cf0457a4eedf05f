"""A build of a table dies at every commit and publish: what was live is live, whole, and the next build works."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.store.fire import REFUSED, Small
from tests.store.invariants import faults, lease_is_free
from tests.store.nursery import Nursery

pytestmark = pytest.mark.slow

POINTS = [f"{moment} {call}" for call in ("publish 1", "commit 1", "commit 2") for moment in ("before", "after")]
DEATHS = [("kill", point) for point in POINTS] + [(how, point) for how in ("term", "raise") for point in POINTS[1:5:3]]
ENDS = {"kill": -9, "term": 143, "raise": 1}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Small:
    """The small system with an entity, run, promoted, and with a table that is live."""
    small = Small.new(tmp_path_factory.mktemp("served") / "small", nursery)
    system = small.folder / "system.py"
    declared = 'entity=["trip"],\n    serving=nf.HybridServing(population="all.parquet"),\n    split='
    system.write_text(system.read_text().replace("split=", declared), encoding="utf-8")
    population(small, 50)
    small.finish()
    built = small.run("table", "build")
    assert built.code == 0, built.err
    assert built.json["promoted"]
    return small


def population(small: Small, rows: int) -> None:
    frame = (
        pl.read_parquet(small.folder / "data" / "a.parquet").drop("tip").drop_nulls("at").unique("trip").sort("trip")
    )
    frame.head(rows).write_parquet(small.folder / "all.parquet")


def live(small: Small) -> list[tuple[object, ...]]:
    return small.query('select release, "table" from pointers order by epoch desc limit 1')


def test_a_run_that_was_refused_made_no_table(served: Small) -> None:
    assert served.query("select count(*) from tables") == [(1,)]
    assert served.query("select status from runs") == [("refused",)]
    assert REFUSED == 3
    assert faults(served.store) == []


@pytest.mark.parametrize(("how", "point"), DEATHS)
def test_a_build_that_dies_leaves_what_was_live(how: str, point: str, served: Small, tmp_path: Path) -> None:
    small = served.copy(tmp_path / "small")
    before = live(small)
    population(small, 60)
    died = small.run("table", "build", env={"NINETYFIVE_CRASH": f"{how} {point}"})
    flipped = {point == "after commit 2"}
    if how == "term" and point == "before commit 2":
        flipped = {True, False}  # Python hears a signal a moment later
    assert died.code == ENDS[how], died.err
    assert lease_is_free(small.store)
    assert faults(small.store, settled=how != "kill") == []
    assert (live(small) != before) in flipped
    built = small.run("table", "build")
    assert built.code == 0, built.err
    assert (built.json["promoted"], built.json["entities"]) == (True, 60)
    assert live(small) == [(small.release, built.json["table"])]
    assert faults(small.store) == []
    doctor = small.run("doctor")
    errors = [finding for finding in doctor.json["findings"] if finding["level"] == "error"]
    assert errors == []


def test_a_run_that_dies_while_it_makes_the_table_is_resumed(served: Small, tmp_path: Path) -> None:
    """Its release is registered; the next run makes the table and promotes both. The model is one that passes gates."""
    small = Small.new(tmp_path / "small", served.nursery)
    system = small.folder / "system.py"
    text = (served.folder / "system.py").read_text()
    text = text.replace("min_samples_leaf=1_000", "max_depth=3").replace("HybridServing", "StaticServing")
    system.write_text(text, encoding="utf-8")
    rows = pl.DataFrame(
        {
            "trip": range(2_000),
            "at": pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 3, 1), "10m", eager=True).head(2_000),
            "distance": [number % 17 / 2 for number in range(2_000)],
            "tip": [number % 17 / 2 for number in range(2_000)],
        }
    )
    rows.write_parquet(small.folder / "data" / "a.parquet")
    population(small, 100)
    whole = Small(small.folder, small.nursery).copy(tmp_path / "whole").run()
    assert whole.code == 0, whole.err
    for number in range(1, 40):
        place = small.copy(tmp_path / f"small-{number}")
        died = place.run(env={"NINETYFIVE_CRASH": f"kill before publish {number}"})
        if died.code == 0:
            break
        registered = place.query("select count(*) from releases") == [(1,)]
        if not registered:
            continue
        assert place.query("select count(*) from pointers") == [(0,)]
        assert faults(place.store, settled=False) == []
        again = place.run()
        assert again.code == 0, again.err
        assert (again.json["promoted"], again.json["release"]) == (True, whole.json["release"])
        assert live(place) == [(again.json["release"], again.json["table"]["table"])]
        assert faults(place.store) == []
        return
    pytest.fail("no publish after the release was registered")
