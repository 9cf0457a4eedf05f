"""Evaluation: each task by its metrics, slices with a minimum size, golden requests that answer again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from ninetyfive.models.release import open_release

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]

TASKS = {
    "binary": (),
    "multiclass": (
        ('label=col("tip") > 3.0', 'label=col("zone")'),
        ('"zone": col("zone").vocabulary()', '"tip": col("tip")'),
        ("    split=", '    metrics=["accuracy", "log_loss", "macro_f1"],\n    split='),
    ),
    "regression": (
        ('label=col("tip") > 3.0', 'label=col("tip")'),
        ("import DecisionTreeClassifier", "import DecisionTreeRegressor as DecisionTreeClassifier"),
    ),
}
METRICS = {
    "binary": ["auc", "log_loss", "brier"],
    "multiclass": ["accuracy", "log_loss", "macro_f1"],
    "regression": ["rmse", "mae", "r2"],
}


@pytest.mark.parametrize("task", TASKS)
def test_each_task_is_judged_and_answers_its_golden_requests_again(project: Project, task: str) -> None:
    project.edit(*TASKS[task])
    document = project.run()
    assert document["promoted"], document["gates"]
    assert list(document["metrics"]) == METRICS[task]
    opened = open_release(project.release(document["release"]))
    assert opened.about.task == task
    golden = opened.golden
    assert len(golden) == 32
    assert all("fare" not in one.row for one in golden)
    frame = pl.DataFrame([one.row for one in golden], infer_schema_length=None)
    answers = project.load().predict(frame.with_columns(pl.from_epoch("at", "us")))
    assert answers["trip"].to_list() == frame["trip"].to_list()
    for number, one in enumerate(golden):
        assert opened.answer(one.row) == one.answer
        batch = answers.drop("trip").row(number)
        alone = tuple(one.answer.values()) if isinstance(one.answer, dict) else (one.answer,)
        assert batch == pytest.approx(alone, abs=opened.about.tolerance)
    if task == "multiclass":
        classes = ["airport", "harbour", "suburb"]
        assert list(opened.about.classes) == classes
        assert answers.columns == ["trip", *(f"prediction:{name}" for name in classes)]
        assert sum(golden[0].answer.values()) == pytest.approx(1.0)


def test_slices_have_a_minimum_size(project: Project, trips: Trips) -> None:
    rare = pl.when(pl.col("trip") % 10 == 0).then(pl.lit("mountain")).otherwise("zone").alias("zone")
    project.add("a", trips().with_columns(pl.when(pl.col("trip") % 97 == 0).then(None).otherwise(rare).alias("zone")))
    project.edit(
        (
            "    split=",
            '    slices=["zone"],\n    gates=[nf.Gate("auc", at_least=0.5, slice="zone", rows=100)],\n    split=',
        )
    )
    document = project.run()
    groups = {group["value"]: group for group in document["slices"]["zone"]}
    assert set(groups) == {"airport", "harbour", "suburb", "mountain", None}
    assert sum(group["rows"] for group in groups.values()) == document["window"]["test"]
    assert [group["rows"] for group in groups.values()] == sorted(
        (one["rows"] for one in groups.values()), reverse=True
    )
    for value in ("mountain", None):
        assert groups[value]["rows"] < 100
        assert (groups[value]["metrics"], groups[value]["gain"]) == (None, None)
    whole = groups["harbour"]["metrics"]["auc"]
    assert whole["low"] < whole["value"] < whole["high"]
    (gate,) = [gate for gate in document["gates"] if gate["name"] == "auc by zone"]
    assert gate["got"] == "all 3 judged values keep it"
    project.edit(('"max_depth": 4', '"max_depth": 3'))
    champion = project.run()["slices"]["zone"][0]["over_champion"]
    assert champion["auc"]["low"] <= champion["auc"]["value"] <= champion["auc"]["high"]
