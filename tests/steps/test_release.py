"""The folder of a release: what answers, and what says why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl

from ninetyfive.models.release import open_release

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]


def test_the_folder_of_a_release(copied: Project) -> None:
    copied.edit(("    split=", '    entity="zone",\n    training=nf.DynamicTraining(every="1d"),\n    split='))
    (copied.folder / "helper.py").write_text("LIMIT = 3.0\n", encoding="utf-8")
    copied.edit(("from ninetyfive import col", "from ninetyfive import col\nfrom helper import LIMIT"))
    document = copied.run()
    folder = copied.release(document["release"])
    opened = open_release(folder)
    assert opened.hash == document["release"]
    assert {path.name for path in folder.iterdir()} == {
        *("release.json", "transform.json", "schema.json", "model.onnx", "model.skops", "golden.json", "metrics.json"),
        *("baseline-constant.json", "baseline-linear.json", "statistics.json", "lineage.json", "evidence.json"),
        "manifest.json",
    }
    about = opened.about
    assert (about.system, about.task, about.columns) == ("trips", "binary", ("hour", "distance", "zone"))
    assert (about.id, about.time, about.entity, about.hindsight) == (("trip",), "at", ("zone",), ("fare", "tip"))
    assert (about.params, about.seed, about.form, about.adapter) == ({"max_depth": 4}, 95, "onnx", "sklearn")
    assert about.label == 'col("tip") > 3.0'
    assert about.training["text"] == "DynamicTraining(every='1d')"
    assert about.serving == {
        "paradigm": "DynamicServing",
        "arguments": {"on_outside": 422},
        "declared": False,
        "text": "DynamicServing(), not yet measured",
    }
    lineage = json.loads((folder / "lineage.json").read_text())
    assert set(lineage["code"]) == {"system.py", "helper.py"}
    assert lineage["lock"]["file"] == "requirements.lock"
    assert list(lineage["spans"].values()) == [{"rows": 1_200}]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["metrics"] == document["metrics"]
    assert metrics["baselines"] == document["baselines"]
    evidence = json.loads((folder / "evidence.json").read_text())
    assert evidence["files"].keys() == lineage["spans"].keys()
    assert evidence["gates"] == document["gates"]
    assert {"made", "by", "host", "platform", "python", "engine", "git", "proof", "notices"} <= set(evidence)
