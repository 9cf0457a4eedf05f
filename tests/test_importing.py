"""`ninetyfive import`: an ONNX file becomes a release by the steps of a run, and gates compare it with the champion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.tree import DecisionTreeClassifier

from ninetyfive.models.release import open_release

if TYPE_CHECKING:
    from tests.conftest import Project

pytestmark = pytest.mark.slow


def write(path: Path, width: int = 3) -> None:
    """A tree of made-up rows, as others export one."""
    random = np.random.default_rng(0)
    x = random.normal(size=(400, width)).astype(np.float32)
    model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(x, x[:, 1] > 0)
    made = convert_sklearn(
        model, initial_types=[("input", FloatTensorType([None, width]))], options={id(model): {"zipmap": False}}
    )
    path.write_bytes(made.SerializeToString())


def test_a_file_becomes_a_release_that_is_compared_with_the_champion(copied: Project) -> None:
    file, champion = copied.folder / "theirs.onnx", copied.champion()
    write(file)
    said = copied.command("import", "theirs.onnx", "--no-promote", "--json")
    document = said.json
    assert document["compared_with"] == champion
    assert {"train", "evaluate", "gate", "release"} <= set(copied.done(document))
    assert "ingest" not in copied.done(document)
    assert copied.champion() == champion
    folder = copied.release(document["release"])
    about = open_release(folder).about
    assert (about.adapter, about.form, about.params["file"]) == ("imported", "onnx", "theirs.onnx")
    assert (folder / "imported.onnx").read_bytes() == file.read_bytes()
    rows = pl.read_parquet(copied.folder / "data" / "a.parquet")
    assert copied.load().predict(rows, release=document["release"])["prediction"].is_between(0, 1).all()
    again = copied.command("import", "theirs.onnx", "--no-promote", "--json").json
    assert again["release"] == document["release"]
    assert copied.done(again) == []


def test_a_system_without_a_model_function_imports_and_does_not_train(project: Project) -> None:
    path = project.folder / "system.py"
    path.write_text(path.read_text().partition("@trips.model")[0])
    write(project.folder / "theirs.onnx")
    release = project.command("import", "theirs.onnx", "--no-promote", "--json").json["release"]
    assert project.command("promote", release, "--reason", "by hand").code == 0
    assert project.command("status", "--json").json["champion"]["release"] == release
    refused = project.command("run")
    assert refused.code == 2
    assert "expected a model" in refused.err


def test_a_file_of_another_width_and_no_file_are_refused(copied: Project) -> None:
    write(copied.folder / "wide.onnx", width=5)
    said = copied.command("import", "wide.onnx")
    assert "wide.onnx, input 'input': expected 3 columns, which the features give, got 5" in said.err
    assert said.code != 0
    assert "expected an ONNX file, got no such file" in copied.command("import", "no.onnx").err
