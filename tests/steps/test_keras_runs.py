"""Whole runs of a system whose model function takes `params` alone: streamed, killed, gone on with, served."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from ninetyfive.models.release import open_release
from ninetyfive.steps.apply import training_parts, training_rows
from ninetyfive.steps.streaming import open_stream

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project

SKLEARN = """@trips.model(params={"max_depth": 4})
def model(x, y, params):
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(**params, random_state=0).fit(x, y)
"""
KERAS = """@trips.model(params={"batch_size": 64, "epochs": 4, "patience": 1, "class_weight": "balanced", "units": 4})
def model(params):
    import keras
    from keras import layers

    sizes = {name: size for name, size in params["columns"].items() if size}
    inputs = {name: keras.Input((1,), name=name, dtype="int32") for name in sizes}
    numbers = keras.Input((len(params["columns"]) - len(sizes),), name="numeric")
    embedded = [layers.Flatten()(layers.Embedding(sizes[name], 2)(inputs[name])) for name in sizes]
    hidden = layers.Dense(params["units"], activation="relu")(layers.Concatenate()([*embedded, numbers]))
    output = layers.Dense(1, activation="sigmoid")(layers.Dropout(0.1)(hidden))
    made = keras.Model({**inputs, "numeric": numbers}, output)
    made.compile("adam", "binary_crossentropy", metrics=["AUC"])
    return made
"""
CHIEF = '{"cluster": {"chief": ["localhost:2222"]}, "task": {"type": "chief", "index": 0}}'


@pytest.mark.slow
def test_a_fit_that_is_killed_goes_on_at_its_epoch_and_ends_with_the_same_release(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second in the places of a platform's job, with a TF_CONFIG of one machine: neither changes a byte."""
    project.edit((SKLEARN, KERAS))
    killed = tmp_path / "killed"
    shutil.copytree(project.folder, killed)
    whole = project.run()
    assert whole["promoted"], whole["reason"]

    words = [sys.executable, "-m", "ninetyfive.cli", "run", "--json"]
    job = {name: str(tmp_path / "job" / name) for name in ("AIP_CHECKPOINT_DIR", "AIP_TENSORBOARD_LOG_DIR")}
    job |= {"AIP_MODEL_DIR": str(tmp_path / "job" / "model"), "TF_CONFIG": CHIEF}
    surroundings = {**os.environ, **job, "NINETYFIVE_CRASH": "kill after epoch 2"}
    first = subprocess.run(words, cwd=killed, env=surroundings, capture_output=True, check=False)
    assert first.returncode == -9, first.stderr.decode()
    (checkpoint,) = (tmp_path / "job" / "AIP_CHECKPOINT_DIR").iterdir()
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    again = type(project)(killed).run()
    for name in job:
        monkeypatch.delenv(name)
    assert not checkpoint.exists()
    assert (tmp_path / "job" / "model" / "saved_model.pb").is_file()
    assert any("a SavedModel of the release stands in" in notice for notice in again["notices"])
    made = {name: project.release(whole["release"]) / name for name in ("model.keras", "model.onnx")}
    kept = type(project)(killed).release(again["release"])
    assert all((kept / name).read_bytes() == path.read_bytes() for name, path in made.items())
    (logs,) = (tmp_path / "job" / "AIP_TENSORBOARD_LOG_DIR").iterdir()
    assert not (killed / "build").exists()
    epochs = sorted(int(path.name.rpartition(".")[2]) for path in logs.iterdir())
    assert epochs == sorted(set(epochs)), "an epoch that was logged before the kill was fitted again"
    assert epochs[:3] == [0, 1, 2]
    assert not (killed / ".ninetyfive" / "training").exists()
    assert not any((project.folder / ".ninetyfive" / "training").iterdir())

    folder = project.release(whole["release"])
    about = open_release(folder).about
    assert (about.adapter, about.form) == ("keras", "onnx")
    rows = pl.read_parquet(project.folder / "data" / "a.parquet")
    answers = project.load().predict(rows)["prediction"]
    assert answers.is_between(0, 1).all()
    few = rows.head(20).drop("tip", "fare").with_columns(pl.col("at").dt.to_string("iso:strict"))
    assert served(project, few.to_dicts()) == answers.head(20).to_list()
    assert project.command("doctor").code == 0
    said = project.command("export", "saved", "--json")
    assert said.code == 0, said.err
    assert list(said.json["inputs"]) == list(about.columns)
    assert "transformed" in said.json["takes"]
    assert (project.folder / "saved" / "saved_model.pb").is_file()
    assert "new or empty folder" in project.command("export", "saved").err


def served(project: Project, rows: list[dict[str, Any]]) -> list[float]:
    """What a service of the project answers over HTTP."""
    words = [sys.executable, "-m", "ninetyfive.cli", "serve", "--json", "--port", "0", "--admin-port", "0"]
    quiet = {**os.environ, "NINETYFIVE_SERVE_LOG_MODE": "off", "NINETYFIVE_SERVE_WORKERS": "1"}
    with subprocess.Popen(
        words, cwd=project.folder, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            body = json.dumps({"instances": rows}).encode()
            asked = urllib.request.Request(f"{url}/v1/models/trips:predict", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(asked, timeout=30) as response:
                answers: list[float] = json.loads(response.read())["predictions"]
        finally:
            process.terminate()
    assert process.returncode == 0
    return answers


def test_only_a_keras_model_is_exported_as_a_saved_model(finished: Project) -> None:
    assert "a release of a Keras model, got one of sklearn" in finished.command("export", "saved").err


def test_a_stream_gives_the_rows_and_the_sample_of_the_whole(finished: Project) -> None:
    with finished.store() as store:
        key = next(step["key"] for step in store.runs()[0].document["steps"] if step["name"] == "apply")
        applied: Any = store.recorded(key)
        x, y = training_rows(store, applied)
        stream, sample, known = open_stream(training_parts(store, applied), "binary", "label")
        blocks = [stream.read(block) for block in range(len(stream.blocks))]
    assert np.array_equal(np.concatenate([block for block, _ in blocks]), x.to_numpy())
    assert np.array_equal(np.concatenate([labels for _, labels in blocks]), y.to_numpy())
    assert sample.equals(x)
    assert np.array_equal(known.values, y.to_numpy())
    assert stream.counts == {"false": int((~y).sum()), "true": int(y.sum())}
    assert stream.summary.constant().values == pytest.approx((y.mean(),))
