"""The environment of a platform's job: places, and machines of which one alone trains."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from ninetyfive.errors import SettingsError
from ninetyfive.steps.export import hand_over
from ninetyfive.steps.platform import NONE, Platform, platform_of

if TYPE_CHECKING:
    from tests.conftest import Project


def config(kind: str, index: int = 0, **cluster: int) -> dict[str, str]:
    hosts = {name: [f"{name}-{number}:2222" for number in range(count)] for name, count in cluster.items()}
    return {"TF_CONFIG": json.dumps({"cluster": hosts, "task": {"type": kind, "index": index}, "job": {"a": 1}})}


def test_places_are_those_that_the_environment_names() -> None:
    assert platform_of({}) == NONE == platform_of({"TF_CONFIG": "", "AIP_MODEL_DIR": ""})
    places = {"AIP_CHECKPOINT_DIR": "gs://b/c", "AIP_TENSORBOARD_LOG_DIR": "gs://b/l", "AIP_MODEL_DIR": "/m"}
    one = config("chief", chief=1)
    assert platform_of({**places, **one}) == Platform("gs://b/c", "gs://b/l", "/m")
    assert platform_of({"TF_CONFIG": '{"task": {"type": "worker", "index": 0}}'}) == NONE


@pytest.mark.parametrize(
    ("environment", "got"),
    [
        (config("chief", chief=1, worker=2), "got chief 0 of a cluster of 1 chief, 2 worker"),
        (config("worker", 1, worker=2), "got worker 1 of a cluster of 2 worker"),
        (config("ps", chief=1), "got ps 0"),
        ({"TF_CONFIG": "{"}, "see who sets it"),
        ({"TF_CONFIG": '{"cluster": {"worker": "host"}}'}, "see who sets it"),
    ],
)
def test_several_machines_are_refused(environment: dict[str, str], got: str) -> None:
    with pytest.raises(SettingsError, match=got):
        platform_of(environment)


def test_a_run_on_several_machines_ends_before_it_reads_anything(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", config("worker", worker=2)["TF_CONFIG"])
    said = project.command("run")
    assert said.code == 2
    assert "one replica" in said.err
    assert not os.path.exists(project.folder / ".ninetyfive")


def test_no_savedmodel_is_made_of_another_framework(finished: Project) -> None:
    with finished.store() as store:
        told = hand_over(store, finished.champion(), str(finished.folder / "model"))
    assert "this is one of sklearn" in told
    assert not (finished.folder / "model").exists()
