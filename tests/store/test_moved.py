"""A store that is moved, copied or linked to: nothing in it says where it is, and all of it works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

if TYPE_CHECKING:
    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]

ODD = "läger mit Platz/店 #1 100%?"
LEAST = '\n[keep]\nreleases = 0\nage = "1s"\nruns = 1\n'


@pytest.fixture(scope="module")
def lived(finished: Project, tmp_path_factory: pytest.TempPathFactory, trips: Trips) -> Path:
    """A project with two releases, and with rows in quarantine."""
    folder = tmp_path_factory.mktemp("lived") / "project"
    shutil.copytree(finished.folder, folder)
    project = type(finished)(folder)
    project.add("b", trips(first=1_200).with_columns(at=pl.when(pl.col("trip") == 1_300).then(None).otherwise("at")))
    schema = folder / "schema.toml"
    text = schema.read_text(encoding="utf-8")
    schema.write_text(re.sub(r"max_quarantined = \S+", "max_quarantined = 0.5", text), encoding="utf-8")
    document = project.run(promote=False)
    assert document["rows"]["quarantined"] == 1
    project.load().promote(document["release"])
    return folder


@pytest.fixture
def project(lived: Path, finished: Project, tmp_path: Path) -> Project:
    shutil.copytree(lived, tmp_path / "project")
    return type(finished)(tmp_path / "project")


def answers(project: Project) -> pl.DataFrame:
    rows = pl.read_parquet(project.folder / "data" / "a.parquet").head(50).drop("tip", "fare")
    return project.load().predict(rows)


def works(project: Project, expected: pl.DataFrame) -> None:
    """Everything that there is to do with a store does what it did before."""
    assert answers(project).equals(expected)
    assert project.done(project.run()) == []
    assert [one for one in project.load().doctor()["findings"] if one["kind"] != "disk space"] == []
    assert project.load().audit_verify()["whole"]
    champion, before = (one["release"] for one in project.load().releases())
    assert project.load().rollback()["release"] == before
    assert project.load().promote(champion)["release"] == champion
    project.edit(('"max_depth": 4', '"max_depth": 3'))
    assert project.done(project.run(promote=False))[0] == "train"
    assert project.command("gc", "--yes").code == 0
    assert [one for one in project.load().doctor()["findings"] if one["kind"] != "disk space"] == []


def use(project: Project, store: str) -> None:
    toml = f'store = "{store}"{LEAST}'
    (project.folder / "ninetyfive.toml").write_text(toml, encoding="utf-8")


@pytest.mark.slow
def test_nothing_in_a_store_says_where_it_is(project: Project, lived: Path) -> None:
    store = project.folder / ".ninetyfive"
    names = [str(lived / ".ninetyfive").encode(), str(store).encode()]
    files = [path for path in store.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if any(name in path.read_bytes() for name in names)]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["moved", "copied", "linked"])
def test_a_store_works_wherever_it_is(project: Project, tmp_path: Path, how: str) -> None:
    expected, here, there = answers(project), project.folder / ".ninetyfive", tmp_path / ODD
    there.parent.mkdir()
    if how == "copied":
        subprocess.run(["cp", "-a", here, there], check=True)
        use(project, str(there))
        works(project, expected)
        use(project, ".ninetyfive")
        assert len(project.load().releases()) == 2, "what was done to the copy was done to it alone"
        assert answers(project).equals(expected)
        return
    here.rename(there)
    if how == "linked":
        here.symlink_to(there)
    use(project, ".ninetyfive" if how == "linked" else str(there))
    works(project, expected)


@pytest.mark.slow
def test_a_project_works_wherever_it_is(project: Project, finished: Project, tmp_path: Path) -> None:
    expected = answers(project)
    (tmp_path / ODD).parent.mkdir()
    project.folder.rename(tmp_path / ODD)
    moved = type(finished)(tmp_path / ODD)
    use(moved, ".ninetyfive")
    works(moved, expected)


RUN = [sys.executable, "-m", "ninetyfive.cli", "run", "--json"]


@pytest.mark.slow
def test_of_runs_at_once_one_works_and_the_others_wait_or_say_who_works(project: Project) -> None:
    project.edit(('"max_depth": 4', '"max_depth": 3'))
    runs = [
        subprocess.Popen(RUN, cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told: list[tuple[int, dict[str, Any]]] = []
    for run in runs:
        out, err = run.communicate(timeout=100)
        assert run.returncode in (0, 1, 3), err
        told.append((run.returncode, json.loads(out)))
    worked = [document for code, document in told if code != 1]
    assert len({document["release"] for document in worked}) == 1
    assert sum(bool(project.done(document)) for document in worked) == 1
    for code, document in told:
        if code == 1:
            assert document["error"]["kind"] == "BusyError"
            assert any(f"process {run.pid} on {os.uname().nodename}" in document["error"]["got"] for run in runs)
    assert len(project.load().releases()) == 3
    assert [one for one in project.load().doctor()["findings"] if one["kind"] != "disk space"] == []
