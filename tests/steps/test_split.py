"""What training sees: the window, the cut, the embargo; never a label or a row from afterwards."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ninetyfive import run as running
from ninetyfive.engines.local import LocalEngine
from ninetyfive.errors import DataError
from ninetyfive.hashing import row_hash
from ninetyfive.progress import Silent
from ninetyfive.run import as_of_microseconds
from ninetyfive.steps.apply import training_rows
from ninetyfive.steps.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]


def parts(project: Project, **words: Any) -> dict[str, Any]:
    """The outputs of the steps up to apply, and under "x" the training rows."""
    system = project.load()
    with system._store(system.settings, create=True) as store, store.lease():
        context = Context(system, system.settings, store, LocalEngine(2), Silent(), **words)
        begun = store.begin_run("parts", "key")
        outputs = running.run_steps(running.STEPS[:6], running._prepare(context), store, begun.id).outputs
        store.finish_run(begun.id, "done")
        x, _ = training_rows(store, outputs["apply"])
        return {**outputs, "x": x}


def test_as_of_in_the_past_trains_on_the_past_only(project: Project) -> None:
    project.edit(('"hour": col("at").hour()', '"trip": col("trip")'), ("> 3.0,", '> 3.0,\n    label_delay="10h",'))
    as_of = "2026-01-06T00:00:00"
    outputs = parts(project, as_of=as_of_microseconds(as_of))
    rows = pl.read_parquet(project.folder / "data" / "a.parquet")
    moment, cut = pl.lit(as_of).str.to_datetime(), pl.from_epoch(pl.lit(outputs["split"]["cut"]), "us")
    known = pl.col("at") + timedelta(hours=10)
    train = rows.filter(known <= cut)["trip"].to_list()
    test = rows.filter(pl.col("at") >= cut, known <= moment)
    assert sorted(outputs["x"]["trip"].to_list()) == train
    assert outputs["apply"]["parts"]["test"] == test.height
    assert outputs["apply"]["parts"]["embargo"] == rows.filter(pl.col("at") < cut, known > cut).height == 59
    assert outputs["apply"]["parts"]["unlabelled"] == rows.filter(pl.col("at") <= moment, known > moment).height == 60
    full = project.run()
    past = project.run(as_of=as_of)
    assert past["release"] != full["release"]
    assert past["window"]["to"] == as_of
    assert past["window"]["train"] == len(train) < full["window"]["train"]


def test_a_time_far_ahead_is_told_before_it_empties_the_window(
    project: Project, trips: Trips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NINETYFIVE_CLOCK", "2026-01-09")
    project.edit(("    split=", '    training=nf.DynamicTraining("1d", window="30d"),\n    split='))
    late = pl.when(pl.col("trip") == 600).then(datetime(2099, 1, 1)).otherwise("at").cast(pl.Datetime("us"))
    project.add("a", trips().with_columns(at=late))
    said = project.command("run")
    assert said.code == 3
    assert "the newest time is 2099-01-01T00:00:00, 26,655 days after the clock" in said.err
    schema = project.folder / "schema.toml"
    bounded = 'at = { type = "timestamp", maximum = 2030-01-01T00:00:00,'
    schema.write_text(schema.read_text().replace('at = { type = "timestamp",', bounded))
    document = project.run()  # whose newest time is 8 hours after the clock
    assert (document["rows"]["quarantined"], document["window"]["rows"]) == (1, 1_199)
    assert not any("the newest time is" in notice for notice in document["notices"])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    share=st.sampled_from(["0.2", "0.5"]),
    known=st.sampled_from(["", 'label_delay="3h",', 'label_time="known",']),
    window=st.sampled_from(["", '"2d"', '"1d"']),
    until=st.integers(300, 900),
)
def test_no_training_row_is_after_the_cut_or_had_no_label_then(
    project: Project, trips: Trips, share: str, known: str, window: str, until: int
) -> None:
    rows = trips(900).with_columns(known=pl.col("at") + pl.duration(minutes=pl.col("trip") * 37 % 600))
    text = (project.folder / "system.py").read_text(encoding="utf-8")
    try:
        project.edit(
            ('"hour": col("at").hour()', '"trip": col("trip")'),
            ("> 3.0,", f"> 3.0,\n    {known}\n    training=nf.StaticTraining({window}),"),
            ('nf.Split("time", 0.5)', f'nf.Split("time", {share})'),
        )
        project.add("a", rows[:500])
        project.add("b", rows[500:])
        as_of = rows["at"][until - 1]
        outputs = parts(project, as_of=as_of_microseconds(as_of.isoformat()))
    finally:
        (project.folder / "system.py").write_text(text, encoding="utf-8")
        shutil.rmtree(project.folder / ".ninetyfive")
        (project.folder / "schema.toml").unlink()
    cut, start = (pl.from_epoch(pl.lit(outputs["split"][name], pl.Int64), "us") for name in ("cut", "start"))
    label_known = {"": pl.col("at"), 'label_delay="3h",': pl.col("at") + timedelta(hours=3)}.get(known, pl.col("known"))
    begun = start.is_null() | (pl.col("at") >= start)
    train = rows.filter(begun, pl.col("at") < cut, label_known <= cut)
    test = rows.filter(pl.col("at") >= cut, pl.col("at") <= as_of, label_known <= as_of)
    assert outputs["x"]["trip"].sort().cast(pl.Int64).to_list() == train["trip"].to_list()
    assert outputs["apply"]["parts"]["test"] == test.height
    inside = rows.filter(begun, pl.col("at") <= as_of).height
    assert rows.filter(begun, pl.col("at") <= as_of, pl.col("at") >= cut).height == pytest.approx(
        float(share) * inside, abs=max(2.0, 0.02 * inside)
    )


def test_labels_of_test_rows_change_nothing_that_is_fitted(project: Project, trips: Trips) -> None:
    rows = trips()
    before = project.run()
    cut = datetime.fromisoformat(before["window"]["cut"])
    late = rows.filter(pl.col("at") >= cut)
    project.add("a", pl.concat([rows.filter(pl.col("at") < cut), late.with_columns(late["tip"].shuffle(seed=3))]))
    after = project.run(promote=False)
    assert after["rows"]["read"] == 1_200
    assert after["metrics"] != before["metrics"]
    for name in ("transform.json", "model.onnx", "baseline-linear.json", "baseline-constant.json"):
        one, two = (project.release(document["release"]) / name for document in (before, after))
        assert one.read_bytes() == two.read_bytes(), name


def test_a_window_keeps_the_newest_rows(project: Project) -> None:
    project.edit(("    split=", '    training=nf.StaticTraining(window="5d"),\n    split='))
    document = project.run()
    window = document["window"]
    assert (window["from"], window["to"]) == ("2026-01-04T07:50:00", "2026-01-09T07:50:00")
    assert window["train"] + window["test"] == 721
    assert window["outside"] == 1_200 - 721
    assert document["rows"]["accepted"] == 1_200


@pytest.mark.parametrize("chosen", ["time", "id"])
def test_after_a_drop_a_release_has_the_rows_that_it_is_judged_by(project: Project, chosen: str) -> None:
    project.edit(
        ('nf.Split("time", 0.5)', f'nf.Split("{chosen}", 0.5)'),
        ("> 3.0,", '> 3.0,\n    label_delay="10h",'),
    )
    last = as_of_microseconds("2026-01-09T07:00:00")
    window = parts(project, since=last)["apply"]["parts"]
    assert window["test"] >= 500, "what the gate of size asks for"
    assert window["outside"] > 0


def test_a_split_by_id_has_no_id_in_both_parts(project: Project) -> None:
    project.edit(('nf.Split("time", 0.5)', 'nf.Split("id", 0.5)'), ('"hour": col("at").hour()', '"trip": col("trip")'))
    outputs = parts(project)
    ids = pl.Series(range(1_200))
    train = ids.filter(pl.Series(row_hash(ids.to_frame("trip"), ["trip"]) >= 2**63))
    assert sorted(outputs["x"]["trip"].to_list()) == train.to_list()
    assert outputs["apply"]["parts"]["test"] == 1_200 - train.len()
    assert project.run()["window"]["cut"] is None


def test_times_that_do_not_differ_cannot_split(project: Project, trips: Trips) -> None:
    project.add("a", trips().with_columns(at=pl.lit("2026-01-01").str.to_datetime()))
    with pytest.raises(DataError, match="times that differ"):
        project.run()
