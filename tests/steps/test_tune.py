"""Tuning in a run: on training rows alone, recorded trial by trial, the same twice, and resumed after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

import ninetyfive as nf
from ninetyfive.design.trainer import Recipe
from ninetyfive.errors import ModelError
from ninetyfive.models.release import open_release
from ninetyfive.run import _prepare
from ninetyfive.steps.tune import edges, parts_by_fold, parts_by_time
from ninetyfive.tuning import Tuning

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project

DECLARED = 'params={"max_depth": 4}'
SPACE = '{"max_depth": nf.int_range(1, 8), "min_samples_leaf": nf.int_range(1, 90, log=True)}'


def tune(project: Project, words: str = f"tune=nf.Tuning({SPACE}, trials=8)", params: str = DECLARED) -> None:
    project.edit((DECLARED, f"{params}, {words}"))


def crashed(project: Project, point: str) -> None:
    """A real run that kills itself at a point."""
    done = subprocess.run(
        [sys.executable, "-m", "ninetyfive.cli", "run"],
        cwd=project.folder,
        env=os.environ | {"NINETYFIVE_CRASH": f"kill {point}"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def trials_kept(project: Project) -> list[str]:
    with project.store() as store:
        return [record.subject for record in store.audit_records() if record.subject.endswith(" trial")]


def test_parts_by_time_are_the_newest_half_and_wait_for_labels() -> None:
    at = np.array([5, 0, 1, 2, 3, 4, 6, 7, 8, 9])
    parts = parts_by_time(at, at + 2, 2)
    assert [sorted(at[part.scored]) for part in parts] == [[5, 6], [7, 8, 9]]
    assert [sorted(at[part.fitted]) for part in parts] == [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]
    (one,) = parts_by_time(np.array([1, 1, 1, 2]), np.array([1, 1, 1, 2]), 1)
    assert one.scored.all()
    assert not one.fitted.any()


def test_parts_by_fold_score_each_row_once() -> None:
    fold = np.arange(40) % 20
    parts = parts_by_fold(fold, 3)
    assert sum(part.scored.astype(int) for part in parts).tolist() == [1] * 40
    assert all((part.fitted != part.scored).all() for part in parts)
    (one,) = parts_by_fold(fold, 1)
    assert one.scored.mean() == 0.2


def test_edges_are_of_ranges_only() -> None:
    tuning = Tuning({"depth": nf.int_range(1, 100), "loss": ["a", "b"], "rate": nf.float_range(0.0, 1.0)})
    found = edges(tuning, {"depth": 100, "loss": "a", "rate": 0.5})
    assert found == [{"name": "depth", "value": 100, "end": "upper", "range": "1..100"}]


def test_a_tuned_run_says_what_was_tried_and_releases_what_was_found(project: Project) -> None:
    tune(project)
    document = project.run()
    found = document["tuning"]
    assert [step["name"] for step in document["steps"]][5:8] == ["apply", "tune", "train"]
    assert (found["metric"], sum(found["counts"].values())) == ("auc", 8)
    assert found["trials"][0]["params"] == {"max_depth": 4}
    values = [one["value"] for one in found["trials"] if one["state"] == "complete"]
    assert found["value"] == max(values) >= found["untuned"] == values[0]
    assert sum(part["scored"] for part in found["parts"]) == 300
    about = open_release(project.release(document["release"])).about
    assert about.params == found["params"] == {"max_depth": 4} | found["trials"][found["best"]]["params"]
    folder = project.release(document["release"])
    lineage, evidence = (json.loads((folder / f"{name}.json").read_bytes()) for name in ("lineage", "evidence"))
    assert lineage["tuned"] == {"study": found["study"], "best": found["best"]}
    assert evidence["tuning"]["trials"] == found["trials"]
    assert project.load().status()["champion"]["tuning"]["best"] == found["best"]
    status = project.command("status").out
    assert "tuned     auc " in status
    assert f"max_depth {about.params['max_depth']} of 1..8" in status

    drawn = project.folder / "search.svg"
    shown = project.command("tuning", "--picture", drawn)
    assert (shown.code, shown.out.count("the best"), shown.out.splitlines()[0].split()[:2]) == (0, 1, ["trial", "auc"])
    assert all(word in drawn.read_text(encoding="utf-8") for word in ("<svg", "max_depth", "min_samples_leaf"))
    refused = project.command("tuning", "--picture", project.folder / "nowhere" / "search.svg")
    assert refused.code == 2
    assert refused.err.startswith("ninetyfive: --picture: expected a file that can be written")

    with project.load()._context(None) as context:
        prepared = _prepare(context)
        assert Recipe.of(prepared, "binary").params == found["params"]
        elsewhere = replace(prepared.model, tuning=Tuning({"min_samples_leaf": nf.int_range(100, 200)}))
        assert Recipe.of(replace(prepared, model=elsewhere), "binary").params == {"max_depth": 4}

    again = project.command("run")
    assert "11 of 11 steps unchanged" in again.out
    assert "min_samples_leaf  1..90 by their logarithm" in again.out
    anew = project.run(start="tune")
    assert project.done(anew)[0] == "tune"
    assert len(trials_kept(project)) == 16
    assert (anew["tuning"], anew["release"]) == (found, document["release"])
    with project.store() as store:
        assert not [one for one in store.doctor() if one.level == "error"]


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_and_ends_the_same(project: Project, tmp_path: Path) -> None:
    tune(project)
    crashed(project, "after trial 4")
    assert len(trials_kept(project)) == 5
    resumed = project.run()
    assert resumed["run"] == "run-1"
    assert len(trials_kept(project)) == 8
    (project.folder / ".ninetyfive").rename(tmp_path / "aside")
    whole = project.run()
    assert (whole["tuning"], whole["release"]) == (resumed["tuning"], resumed["release"])


def test_a_release_that_was_not_tuned_has_no_trials(finished: Project) -> None:
    assert "expected one whose model was tuned" in finished.command("tuning").err


def test_rows_without_times_are_tuned_by_their_folds(project: Project) -> None:
    project.edit((', time="at"', ""), ('nf.Split("time", 0.5)', 'nf.Split("id", 0.5)'))
    tune(project, f"tune=nf.Tuning({SPACE}, trials=3, folds=2)")
    document = project.run()
    assert sum(part["scored"] for part in document["tuning"]["parts"]) == document["window"]["train"]


def test_late_labels_are_not_fitted_on(project: Project) -> None:
    rows = pl.read_parquet(project.folder / "data" / "a.parquet")
    project.add("a", rows.with_columns(told=pl.col("at") + pl.duration(hours=10)))
    project.edit(("> 3.0,", '> 3.0,\n    label_time="told",'))
    tune(project, f"tune=nf.Tuning({SPACE}, time='1s', folds=1)")
    document = project.run()
    (part,) = document["tuning"]["parts"]
    assert part["scored"] + part["fitted"] == document["window"]["train"] - 59


BROKEN = 'if params["max_depth"] > 2:\n        raise ValueError("too deep")\n    return Dec'


def test_a_trial_that_raises_is_one_that_failed(project: Project) -> None:
    project.edit(("return Dec", BROKEN))
    tune(project, "tune=nf.Tuning({'max_depth': nf.int_range(1, 4)}, trials=20)")
    document = project.run()
    found = document["tuning"]
    assert found["params"]["max_depth"] <= 2
    assert found["untuned"] is None
    assert {one["state"] for one in found["trials"] if one["params"]["max_depth"] > 2} == {"failed"}
    assert any("trials failed" in text and "too deep" in text for text in document["notices"])
    assert any("the declared params failed" in text for text in document["notices"])


def test_where_every_trial_fails_the_commonest_reason_is_told(project: Project) -> None:
    tune(project, "tune=nf.Tuning({'max_dept': nf.int_range(1, 40)})")
    with pytest.raises(ModelError, match=r"10 of 11 that failed, 10 of them: .*unexpected keyword argument 'max_dept'"):
        project.run()


def test_the_least_error_wins_where_less_is_better(project: Project) -> None:
    project.edit(
        ('label=col("tip") > 3.0', 'label=col("tip")'),
        ("import DecisionTreeClassifier", "import DecisionTreeRegressor as DecisionTreeClassifier"),
    )
    tune(project, "tune=nf.Tuning({'max_depth': [1, 4, 12]}, trials=9)")
    found = project.run()["tuning"]
    values = [one["value"] for one in found["trials"] if one["state"] == "complete"]
    assert (found["metric"], found["value"]) == ("rmse", min(values))
    assert len(set(values)) > 1


def test_the_declared_params_stay_where_nothing_is_better(project: Project) -> None:
    share = "min_weight_fraction_leaf"
    tune(project, f'tune={{"{share}": [0.0, 0.5]}}', f'params={{"max_depth": 4, "{share}": 0.0}}')
    document = project.run()
    found = document["tuning"]
    assert (found["best"], found["params"][share]) == (0, 0.0)
    assert {one["params"][share] for one in found["trials"]} == {0.0, 0.5}
    assert len(found["trials"]) < 50  # there is nothing else to try
    assert "tuning: no trial was better than the declared params, which stay" in document["notices"]
