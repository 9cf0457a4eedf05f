"""The design in force: what is written is read, bad files are named, and it says what system.py leaves "measured"."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.conftest import Project

from ninetyfive.accepted import FILE, FOLDER, Accepted, AcceptedServing, AcceptedTraining, read_accepted, write_accepted
from ninetyfive.errors import SettingsError, StoreError
from ninetyfive.paradigms import DynamicServing, DynamicTraining, HybridServing, StaticServing, StaticTraining

ACCEPTED = Accepted(
    record=3,
    system="trips",
    accepted="2026-01-31T12:00:00+00:00",
    by='a "user"@host',
    training=AcceptedTraining(paradigm="dynamic", every="7d", window="90d"),
    serving=AcceptedServing(paradigm="hybrid", top=1000, refresh="1d"),
    assumed=("requests-like-data",),
)


def test_what_is_written_is_read_and_written_over_at_once(tmp_path: Path) -> None:
    assert read_accepted(tmp_path) is None
    write_accepted(tmp_path, ACCEPTED)
    assert read_accepted(tmp_path) == ACCEPTED
    other = msgspec.structs.replace(ACCEPTED, serving=AcceptedServing(paradigm="dynamic"), assumed=())
    path = write_accepted(tmp_path, other)
    assert read_accepted(tmp_path) == other
    assert [file.name for file in path.parent.iterdir()] == [FILE]


def test_a_disk_that_refuses_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("no folder", encoding="utf-8")
    with pytest.raises(StoreError, match=FILE):
        write_accepted(tmp_path, ACCEPTED)


@pytest.mark.parametrize(
    ("training", "made"),
    [
        (AcceptedTraining(paradigm="static"), StaticTraining()),
        (AcceptedTraining(paradigm="static", window="30d"), StaticTraining("30d")),
        (AcceptedTraining(paradigm="static", watch="3d"), StaticTraining(watch="3d")),
        (AcceptedTraining(paradigm="static", watch="3d", drop=0.2), StaticTraining(watch="3d", drop=0.2)),
        (AcceptedTraining(paradigm="dynamic", every="1d"), DynamicTraining("1d")),
    ],
)
def test_a_training_is_made_of_its_words(training: AcceptedTraining, made: object) -> None:
    assert training.made() == made


@pytest.mark.parametrize(
    ("serving", "made"),
    [
        (AcceptedServing(paradigm="dynamic"), DynamicServing()),
        (AcceptedServing(paradigm="static", top=10), StaticServing(top=10)),
        (AcceptedServing(paradigm="hybrid", top=10, refresh="1d"), HybridServing(top=10)),
    ],
)
def test_a_serving_is_made_of_its_words(serving: AcceptedServing, made: object) -> None:
    assert serving.made() == made


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("record = 3", "record = "),
        ("record = 3", 'record = "three"'),
        ('paradigm = "hybrid"', 'paradigm = "both"'),
        ('every = "7d"', 'every = "soon"'),
        ('paradigm = "dynamic"\nevery = "7d"', 'paradigm = "static"\nwatch = "x"'),
        ('paradigm = "dynamic"\nevery = "7d"', 'paradigm = "static"\ndrop = "a"'),
        ("top = 1000", "tops = 1000"),
        ("top = 1000", "top = 0"),
        ("top = 1000\n", ""),
        ('paradigm = "dynamic"\nevery = "7d"', 'paradigm = "dynamic"'),
    ],
)
def test_a_file_that_says_what_cannot_be_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = write_accepted(tmp_path, ACCEPTED)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"^(?!.*system\.py).*accepted\.toml.*design --accept"):
        read_accepted(tmp_path)


def test_a_design_in_force_says_what_the_declaration_leaves_open(project: Project) -> None:
    project.edit(('    split=nf.Split("time", 0.5),', '    split=nf.Split("time", 0.5),\n    entity="zone",'))
    write_accepted(project.folder, ACCEPTED)
    system = project.load()
    assert (system.effective_training, system.effective_serving) == (
        DynamicTraining("7d", "90d"),
        HybridServing(top=1000),
    )
    status = system.status()
    assert status["training"]["text"] == "DynamicTraining(every='7d', window='90d'), by design 3"
    assert status["serving"]["text"] == "HybridServing(top=1000), by design 3"
    project.edit(('    entity="zone",', '    entity="zone",\n    training=nf.StaticTraining(),'))
    assert project.load().effective_training == StaticTraining()


def test_a_design_of_another_system_is_refused(project: Project) -> None:
    write_accepted(project.folder, msgspec.structs.replace(ACCEPTED, system="flights"))
    with pytest.raises(SettingsError, match=FOLDER):
        project.load()
