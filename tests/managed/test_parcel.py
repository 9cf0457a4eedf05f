"""What travels to a service, and how it is laid out there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.conftest import Project
from tests.managed.commands import SAID, elsewhere

from ninetyfive.errors import SettingsError
from ninetyfive.managed.asked import Asked
from ninetyfive.managed.parcel import MODULES, Parcel, laid_out, parcel_of


def parcel(project: Project, shared_disk: bool) -> Parcel:
    system = project.load()
    return parcel_of(Asked(system, system.settings, "run"), shared_disk)


def test_a_folder_of_data_with_a_module_in_it_is_there_whole(project: Project, tmp_path: Path) -> None:
    """Modules travel, hidden files and links to nothing do not; what stays here is linked, at any depth."""
    (project.folder / "data" / "made.py").write_text("ROWS = 1_200\n")
    (project.folder / "data" / ".secrets.py").write_text("TOKEN = 'hunter2'\n")
    (project.folder / ".#system.py").symlink_to("ada@host.123:456")  # how an editor marks what it has open
    (project.folder / "gone.py").symlink_to("nothing")
    sent = parcel(project, shared_disk=True)
    assert [name for name, _ in sent.files if name.endswith(".py") and not name.startswith(MODULES)] == [
        "data/made.py",
        "system.py",
    ]
    there = tmp_path / "there"
    laid_out(sent, there)
    assert not (there / "data" / "made.py").is_symlink()
    assert (there / "data" / "a.parquet").samefile(project.folder / "data" / "a.parquet")


def test_the_password_of_an_index_does_not_travel(project: Project) -> None:
    lock = project.folder / "requirements.lock"
    lock.write_text("--index-url https://ada:${WORD}@host/simple\npolars==1\n")
    assert lock.name in dict(parcel(project, shared_disk=True).files)
    lock.write_text("--index-url https://ada:hunter2@host/simple\npolars==1\n")
    with pytest.raises(SettingsError, match=r"requirements\.lock: expected a value that may be read") as caught:
        parcel(project, shared_disk=True)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "source", ['nf.bigquery("my-project.rides.trips"', 'nf.pubsub("projects/my-project/subscriptions/rides"']
)
def test_what_lands_is_asked_of_its_service_there(
    project: Project, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(monkeypatch, "postgresql://ada@host/late")
    file = project.folder / "system.py"
    file.write_text(re.sub(r'nf\.parquet\("[^"]*"', source, file.read_text()))
    told = parcel(project, shared_disk=False).environment
    assert told["NINETYFIVE_MANAGED_PROJECT"] == SAID["PROJECT"]
    assert told["NINETYFIVE_MANAGED_TEMPORARY"] == "gs://bucket/temporary"
