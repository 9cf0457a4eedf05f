"""What is served is what the catalog says was stored: every verb that opens a release refuses any other folder."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ninetyfive.errors import IntegrityError, StoreError
from ninetyfive.store.manifests import MANIFEST, describe_folder
from ninetyfive.store.releases import Releases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from conftest import Project


def altered(project: Project) -> None:
    """Another word in a vocabulary, and a manifest that says so."""
    folder = project.release(project.champion())
    path = folder / "transform.json"
    path.write_bytes(path.read_bytes().replace(b"airport", b"airfort"))
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).write_bytes(describe_folder(folder).data)


def exchanged(project: Project) -> None:
    """Another whole release in the champion's folder."""
    champion = project.release(project.champion())
    project.edit(('"max_depth": 4', '"max_depth": 2'))
    other = project.run(promote=False)["release"]
    assert other != project.champion()
    shutil.rmtree(champion)
    shutil.copytree(project.release(other), champion)


def renamed(project: Project) -> None:
    """The catalog names the folder of another release."""
    project.edit(('"max_depth": 4', '"max_depth": 2'))
    other = project.run(promote=False)["release"]
    with project.store() as store, store.catalog.write() as connection:
        connection.exec_driver_sql(
            f"UPDATE releases SET folder = 'release-{other}' WHERE release = '{project.champion()}'"
        )


@pytest.mark.slow
@pytest.mark.parametrize("plant", [altered, exchanged, renamed])
def test_no_verb_opens_another_folder(
    copied: Project, trips: Callable[..., Any], plant: Callable[[Project], None], tmp_path: Path
) -> None:
    plant(copied)
    rows = trips(3, first=9_000).drop("tip", "fare")
    rows.write_parquet(tmp_path / "rows.parquet")
    system = copied.load()
    verbs: tuple[Callable[[], Any], ...] = (
        lambda: system.predict(rows),
        lambda: system.predict_file(str(tmp_path / "rows.parquet"), tmp_path / "answers.parquet"),
        lambda: system.trace(rows.row(0, named=True)),
        system.explain_features,
        system.schema_diff,
    )
    for verb in verbs:
        with pytest.raises(IntegrityError):
            verb()
    copied.edit(("random_state=0", "random_state=1"))
    document = copied.run(promote=False)
    assert any("is not compared" in notice for notice in document["notices"])
    assert document["champion"] is None


def test_gc_at_any_moment_leaves_an_error_that_says_so(
    copied: Project, trips: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder goes right after it was read: what was opened answers on; opened again, it is told."""
    from contextlib import contextmanager

    rows, before = trips(3, first=9_000).drop("tip", "fare"), Releases.open_folder
    folder = copied.release(copied.champion())
    shutil.copytree(folder, copied.folder / "aside")

    @contextmanager
    def gone(self: Any, release: Any) -> Iterator[Path]:
        opened: AbstractContextManager[Path] = before(self, release)
        with opened as path:
            yield path
        shutil.rmtree(folder)

    monkeypatch.setattr(Releases, "open_folder", gone)
    system = copied.load()
    assert system.predict(rows).height == 3
    shutil.copytree(copied.folder / "aside", folder)
    assert system.explain_features()["rows"] == 1_200
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"no such folder|nothing there"):
        system.explain_features()
