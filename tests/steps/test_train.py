"""Training in a run: the native form where it is asked for, and inputs that tell the label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from ninetyfive.models.release import open_release

if TYPE_CHECKING:
    from tests.conftest import Project


def test_the_native_form_is_judged_and_served_where_it_is_asked_for(copied: Project) -> None:
    rows = pl.read_parquet(copied.folder / "data" / "a.parquet")
    exported = copied.load().predict(rows)["prediction"]
    copied.edit(('@trips.model(params={"max_depth": 4})', '@trips.model(params={"max_depth": 4}, native=True)'))
    document = copied.run()
    assert document["promoted"]
    folder = copied.release(document["release"])
    assert open_release(folder).about.form == "native"
    assert not (folder / "model.onnx").exists()
    assert copied.load().predict(rows)["prediction"].to_list() == pytest.approx(exported.to_list(), abs=1e-6)


def test_an_input_that_tells_the_label_alone_is_told(project: Project) -> None:
    rows = pl.read_parquet(project.folder / "data" / "a.parquet")
    project.add("a", rows.with_columns(tip_share=pl.col("tip") / 100, one_sided=-pl.col("tip")))
    project.edit(('"hour": col("at").hour()', '"share": col("tip_share"), "side": col("one_sided")'))
    notices = project.run()["notices"]
    for name in ("share", "side"):
        (told,) = [text for text in notices if f"input {name!r} alone tells the label (AUC 1.000" in text]
        assert "later=[...]" in told
    assert not any("input 'distance'" in text for text in notices)


def test_labels_of_another_task_are_not_looked_at_for_leaks(project: Project) -> None:
    project.edit(
        ('label=col("tip") > 3.0', 'label=col("tip")'),
        ("import DecisionTreeClassifier", "import DecisionTreeRegressor as DecisionTreeClassifier"),
    )
    assert not any("alone tells" in text for text in project.run()["notices"])
