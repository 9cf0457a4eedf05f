"""Trainings in children are those of this process, can be ended, and fail one by one; nothing of them stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.conftest import Project
from tests.design.histories import made, rows

from ninetyfive.cli.project import load_system
from ninetyfive.design import room
from ninetyfive.design.blocks import blocks_of
from ninetyfive.design.children import Children, children
from ninetyfive.design.history import History
from ninetyfive.design.trainer import Job, Outcome, Recipe, Trainer
from ninetyfive.system import Declaration

SYSTEM = """\
import os, signal, sys, time
from pathlib import Path

import ninetyfive as nf
from ninetyfive import col

system = nf.System(
    "drifting",
    source=nf.parquet("rows.parquet", time="at", id="id"),
    label=col("y"),
    features={"day": col("day"), "word": col("word").target_encode(), "x0": col("x0").fill_mean().zscore()},
)


@system.model(params={"max_iter": 10})
def model(x, y, params):
    from sklearn.ensemble import HistGradientBoostingClassifier

    day = round(float(x["day"].max()))
    return HistGradientBoostingClassifier(max_iter=params["max_iter"]).fit(x, y)
"""
ODD = """
    if day == DAYS[1]:
        if not os.fork():
            Path(params["begun"] + "-forked").write_text(str(os.getpid()))
            time.sleep(600)
        print("farewell", flush=True)
        while not Path(params["begun"] + "-forked").exists():
            time.sleep(0.01)
        os._exit(7)
    if day == DAYS[2]:
        os.kill(os.getpid(), signal.SIGSEGV)
    if day == DAYS[3]:
        raise ValueError("an odd day")
    if day == DAYS[4]:
        Path(params["begun"]).write_text(str(os.getpid()))
        time.sleep(600)
"""


def drifting() -> History:
    """Rows of 120 days that carry their day."""
    frame = rows("gradual", size=2_000)
    day = (frame["at"].to_physical() - frame["at"].to_physical()[0]).cast(pl.Float64) / 86_400e6
    return made(frame.with_columns(day=day, word=(pl.col("id") % 50).cast(pl.String)))


def declared(folder: Path, text: str = SYSTEM) -> Declaration:
    """The system of `text`, loaded from a file."""
    (folder / "system.py").write_text(text, encoding="utf-8")
    return load_system(folder / "system.py")


def recipe_of(system: Declaration) -> Recipe:
    """What is trained of a system."""
    assert system.declared_model is not None
    return Recipe(system.features, system.declared_model.function, ("log_loss",), system.declared_model.params)


def trained(crew: Children, system: Declaration, jobs: list[Job], left: Any) -> tuple[Any, Any]:
    """What children make of jobs."""
    history, recipe = drifting(), recipe_of(system)
    crew.give(history, recipe)
    trains = crew.trains(history, recipe, blocks_of(history))
    assert trains is crew, crew.why_not
    return trains.run(jobs, left)


def alive(process: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def same(one: Mapping[Job, Outcome], other: Mapping[Job, Outcome]) -> bool:
    """Whether all figures but the seconds have the same bits."""
    return one.keys() == other.keys() and all(
        np.array_equal(one[job].losses["log_loss"], other[job].losses["log_loss"], equal_nan=True)
        and np.array_equal(one[job].constant["log_loss"], other[job].constant["log_loss"], equal_nan=True)
        and np.array_equal(one[job].shift, other[job].shift, equal_nan=True)
        for job in one
    )


@pytest.mark.slow
def test_one_child_two_children_and_this_process_give_the_same(tmp_path: Path, monkeypatch: Any) -> None:
    system, history = declared(tmp_path), drifting()
    blocks = blocks_of(history)
    jobs = [Job(origin, window) for window in (blocks.warm, None) for origin in range(blocks.warm, blocks.warm + 5)]
    here, none = Trainer(history, recipe_of(system), blocks).run(jobs, lambda: 1e9)
    assert len(here) == len(jobs)
    assert not none
    monkeypatch.setattr("ninetyfive.design.children.cores", lambda: 2)
    for worth, started in ((1e9, 1), (0.0, 2)):
        monkeypatch.setattr(room, "_WORTH", worth)
        with children(system, tmp_path) as crew:
            there, none = trained(crew, system, jobs, lambda: 1e9)
            assert len(crew.processes) == started
        assert same(here, there)
        assert not none


@pytest.mark.slow
def test_what_happens_to_a_child_happens_to_one_training(tmp_path: Path) -> None:
    history = drifting()
    blocks = blocks_of(history)
    begun = tmp_path / "begun"
    jobs = [Job(origin, blocks.warm) for origin in range(blocks.warm, blocks.warm + 5)]
    days = [round((int(blocks.edges[job.origin]) - int(history.frame["__time"][0])) / 86_400e6) for job in jobs]
    text = SYSTEM.replace("    return Hist", ODD.replace("DAYS", repr(days)) + "    return Hist")
    system = declared(tmp_path, text.replace('"max_iter": 10', f'"max_iter": 10, "begun": {str(begun)!r}'))
    with children(system, tmp_path) as crew:
        done, failed = trained(crew, system, jobs, lambda: 0.0 if begun.exists() and begun.read_text() else 1e9)
    assert done.keys() == {jobs[0]}
    assert failed[jobs[1]] == "its process ended with exit code 7; it said last: farewell"
    assert failed[jobs[2]].startswith("its process ended with signal SIGSEGV")
    assert failed[jobs[3]].endswith("got ValueError: an odd day")
    assert jobs[4] not in failed
    assert not alive(int(begun.read_text()))
    assert not alive(int((tmp_path / "begun-forked").read_text()))


SLEEPING = """\
    import os, time
    from pathlib import Path

    os.fork()  # what a training starts ends with it
    Path(f"begun-{os.getpid()}").touch()
    time.sleep(600)
"""


@pytest.fixture
def begun(project: Project) -> Iterator[tuple[Project, subprocess.Popen[bytes], list[int]]]:
    """A design of a project whose model never ends, once it trains: the command, the child, and what that started."""
    project.edit(("    from sklearn.tree", SLEEPING + "    from sklearn.tree"))
    words = [sys.executable, "-m", "ninetyfive.cli", "design", "--budget", "100"]
    command = subprocess.Popen(words, cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while len(begun := [int(path.name[6:]) for path in project.folder.glob("begun-*")]) < 2:
            assert command.poll() is None
            time.sleep(0.05)
        yield project, command, begun
    finally:
        command.kill()
        command.wait()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_child_outlives_the_command(begun: tuple[Project, subprocess.Popen[bytes], list[int]], how: int) -> None:
    project, command, started = begun
    assert all(map(alive, started))
    os.kill(command.pid, how)
    command.wait()
    while any(map(alive, started)):
        time.sleep(0.05)  # the time that a test may take bounds it
    if how == signal.SIGINT:
        assert not [path for path in (project.folder / ".ninetyfive" / "tmp").iterdir() if path.is_dir()]


def test_what_is_declared_in_no_file_of_its_own_is_trained_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, history = declared(tmp_path), drifting()
    recipe, program = recipe_of(system), __file__
    monkeypatch.setattr(sys.modules["__main__"], "__file__", program, raising=False)
    for origin, why in ((None, "in no file"), (program, "cannot be loaded once more")):
        system.origin = origin
        with children(system, tmp_path) as crew:
            assert isinstance(crew.trains(history, recipe, blocks_of(history)), Trainer)
        assert why in str(crew.why_not)


@pytest.mark.slow
def test_a_file_that_declares_another_system_each_time_is_trained_here(tmp_path: Path) -> None:
    text = SYSTEM.replace('"day": col("day")', '"day": col("day") + float(os.getpid())')
    system, history = declared(tmp_path, text), drifting()
    with children(system, tmp_path) as crew:
        crew.give(history, recipe_of(system))
        assert isinstance(crew.trains(history, recipe_of(system), blocks_of(history)), Trainer)
    assert "as it was declared before, got another one" in str(crew.why_not)
