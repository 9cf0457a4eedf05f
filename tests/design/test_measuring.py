"""The whole command on a real system: measured, proved, recorded, accepted, in force, checked; and without a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.conftest import Project, trips
from tests.design import designs

from ninetyfive.design import measuring_serving
from ninetyfive.design.measuring_serving import LEAST_REPLAY, RESERVE, Given, reserve
from ninetyfive.design.record import read_record
from ninetyfive.errors import UsageError
from ninetyfive.progress import Silent
from ninetyfive.settings import load_settings
from ninetyfive.testing.request_logs import write_request_log

pytestmark = pytest.mark.slow


def requests(count: int, seed: int = 3) -> pl.DataFrame:
    """Requests about three zones; one of ten is about the suburb, whose distance is another one every ten minutes."""
    chance = np.random.default_rng(seed)
    zone = chance.choice(["airport", "harbour", "suburb"], count, p=[0.7, 0.2, 0.1])
    usual = {"airport": 8.0, "harbour": 3.0}
    distance = [usual.get(one, float(place // 90)) for place, one in enumerate(zone.tolist())]
    start = np.datetime64("2026-01-10T00:00:00", "us")
    at = start + (np.arange(count) * 7_000_000).astype("timedelta64[us]")
    return pl.DataFrame(
        {
            "trip": pl.Series(range(10**6, 10**6 + count)),
            "at": [datetime(2026, 1, 10, 18)] * count,
            "zone": pl.Series(zone),
            "distance": pl.Series(distance),
            "request_time": pl.Series(at),
        }
    )


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with an entity that ran once, and a log of 6,000 requests where its service would keep it."""
    from tests.conftest import _project

    with _project(tmp_path_factory.mktemp("logged")) as project:
        project.edit(('    split=nf.Split("time", 0.5),', '    split=nf.Split("time", 0.5),\n    entity="zone",'))
        project.run()
        system = project.load()
        write_request_log(
            project.folder / ".ninetyfive" / "requests", system, requests(6_000), release=project.champion()
        )
        yield project


def test_it_is_measured_proved_recorded_accepted_and_checked(logged: Project) -> None:
    said = logged.command("design", "--budget", "40", "--json")
    assert said.code == 0, said.err
    found = said.json
    assert found["number"] == 1
    assert set(found["training"]) >= {"paradigm", "policy", "half_life", "evidence"}
    serving = found["serving"]
    assert serving["evidence"]["cardinality"] == 3
    assert serving["evidence"]["new_entity_rate"] == 0.0
    assert serving["evidence"]["coverage"][-1]["covered"] == 1.0
    by = {one["paradigm"]: one for one in serving["evidence"]["replayed"] if one["by"] == "service"}
    assert set(by) == {"static", "dynamic", "hybrid"}, serving["evidence"]["cannot"]
    assert (by["dynamic"]["hit"], by["static"]["miss"]) == (0.0, 0.0)
    assert by["static"]["stale"] == pytest.approx(0.1, abs=0.03)
    assert by["hybrid"]["hit"] == pytest.approx(0.9, abs=0.03)
    assert by["hybrid"]["forecast_hit"] == pytest.approx(by["hybrid"]["hit"], abs=0.02)
    assert found["seconds"] < 60
    record = read_record(Path(found["record"]["toml"]))
    assert (record.number, record.serving.paradigm) == (1, serving["paradigm"])
    assert Path(found["record"]["html"]).read_text(encoding="utf-8").startswith("<!")

    accepted = logged.command("design", "--accept", "--json")
    assert accepted.code == 0, accepted.err
    system = logged.load()
    assert system.accepted is not None
    assert system.accepted.serving.paradigm == serving["paradigm"]
    assert "by design 1" in system.status()["serving"]["text"]
    with logged.store() as store:
        assert [one.action for one in store.audit_records()][-1] == "design.accept"

    checked = logged.command("design", "--check", "--budget", "40", "--json")
    assert checked.code == (3 if checked.json["changed"] else 0), checked.err
    assert checked.json["number"] == 1
    assert checked.json["measured"] == (2 if checked.json["reasons"] or checked.json["unsure"] else 1)
    assert not [path for path in (logged.folder / "design").iterdir() if path.name.startswith("0002")]


def test_without_a_log_nothing_is_sure_and_a_table_needs_a_word(copied: Project) -> None:
    copied.edit(('    split=nf.Split("time", 0.5),', '    split=nf.Split("time", 0.5),\n    entity="zone",'))
    copied.run()
    found = copied.load().design(budget=25.0)
    assert found["confidence"] in ("assumed", "none")
    assert found["serving"]["paradigm"] == "dynamic"
    assert found["serving"]["confidence"] in ("assumed", "none")
    assert any("request log" in one["settle"] for one in found["assumptions"])
    taken = copied.load().design(budget=25.0, assume="requests-like-data")
    assert taken["serving"]["confidence"] in ("assumed", "none")
    if taken["serving"]["paradigm"] != "dynamic":
        with pytest.raises(UsageError, match="requests-like-data"):
            copied.load().accept_design()
    assert copied.load().accept_design(assume="requests-like-data")["number"] == 2


def test_before_a_run_the_history_is_measured_and_serving_is_not(project: Project) -> None:
    found = project.load().design(budget=25.0)
    assert found["release"] is None
    assert any("there is no release" in one for one in found["cannot"])
    assert found["serving"]["confidence"] in ("assumed", "none")
    assert found["training"]["evidence"]["rows"] == 1_200


def test_a_release_that_no_gate_let_in_is_measured_all_the_same(project: Project) -> None:
    project.add("a", trips(300))
    assert project.load().run()["promoted"] is False
    found = project.load().design(budget=25.0)
    assert found["release"] is not None
    assert not any("no release" in one for one in found["cannot"])
    assert any("too few" in one for one in found["cannot"])
    assert (found["training"]["confidence"], found["serving"]["paradigm"]) == ("none", "dynamic")


def test_a_short_budget_leaves_serving_as_it_is_and_says_so(logged: Project) -> None:
    found = logged.load().design(budget=10.0)
    assert any("what an answer costs" in one for one in found["left_out"])
    assert found["serving"]["confidence"] == "none"
    assert found["serving"]["evidence"]["measured"] is None
    assert found["serving"]["evidence"]["cardinality"] == 3


def test_a_replay_that_has_no_time_left_is_left_out(tmp_path: Path) -> None:
    budget, none = 60.0, None
    given = Given(none, "log", none, none, tmp_path, load_settings(tmp_path), budget, time.monotonic() + 5.0, Silent())
    assert given.left < LEAST_REPLAY
    evidence = designs.design().serving_evidence
    told = measuring_serving._proved(given, none, evidence, (), pl.DataFrame())
    assert told.left_out == (*evidence.left_out, "the replay: the time was over")
    assert told.candidates == evidence.candidates
    assert reserve(1e9) >= RESERVE
    assert reserve(10.0) <= 4.0


def test_a_log_that_is_none_and_a_check_of_nothing_are_refused(copied: Project) -> None:
    system = copied.load()
    with pytest.raises(UsageError, match="--log"):
        system.design(log="nowhere", budget=10.0)
    foreign = requests(50).rename({"zone": "area", "distance": "length"})
    copied.edit(
        ('"distance": col("distance")', '"length": col("length")'), ('"zone": col("zone")', '"area": col("area")')
    )
    write_request_log(copied.folder / "foreign", copied.load(), foreign)
    with pytest.raises(UsageError, match="50 records hold the columns of another system"):
        system.design(log=str(copied.folder / "foreign"), budget=10.0)
    with pytest.raises(UsageError, match="a design in force"):
        system.check_design(budget=10.0)
    with pytest.raises(UsageError, match="--assume"):
        system.design(assume="everything")
    with pytest.raises(UsageError, match="record"):
        system.accept_design(7)
