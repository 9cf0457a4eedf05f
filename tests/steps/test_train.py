"""Training in a run: the native form where it is asked for, and inputs that tell the label."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
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


BOOSTED = """\
@trips.model()
def model(x, y, params):
    import lightgbm as lgb

    rows = lgb.Dataset(x, y, categorical_feature=["zone"])
    given = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 0, "min_data_per_group": 1}
    return lgb.train({**given, "cat_smooth": 1, "max_cat_to_onehot": 1}, rows, 8)
"""

PROVE_WITHOUT_TRAINERS = """
import json, sys
others = ("sklearn", "onnx", "onnxmltools", "skl2onnx", "xgboost")
sys.modules["sklearn"] = None
from ninetyfive.serve.loaded import Loaded
from ninetyfive.serve.messages import Live, Policy
folder, release = sys.argv[1:]
loaded = Loaded(Live(release=release, number=1, folder=folder, epoch=1), Policy(), "trips")
before = "lightgbm" in sys.modules
loaded.prove()
print(json.dumps([before, "lightgbm" in sys.modules, [one for one in others if sys.modules.get(one)]]))
"""


@pytest.mark.slow
def test_categorical_splits_are_served_natively_by_themselves_and_by_one_framework(copied: Project) -> None:
    path = copied.folder / "system.py"
    path.write_text(path.read_text().partition("@trips.model")[0] + BOOSTED)
    document = copied.run()
    assert any("served as native: proved, and onnx is not (Booster: categorical" in one for one in document["notices"])
    folder = copied.release(document["release"])
    assert {one.name for one in folder.glob("model.*")} == {"model.txt"}
    assert open_release(folder).about.form == "native"
    command = [sys.executable, "-c", PROVE_WITHOUT_TRAINERS, str(folder), document["release"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [False, True, []]
    copied.load().deploy(copied.folder / "image", insecure=True)
    pins = (copied.folder / "image" / "requirements.txt").read_text()
    assert f"lightgbm=={version('lightgbm')}" in pins
    assert "scikit-learn" not in pins
