"""gc on real projects: what it shows is what it removes, and everything that is kept works as before."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from ninetyfive.progress import Silent
from ninetyfive.settings import KeepSettings
from ninetyfive.steps.collect import collect
from ninetyfive.store.records import collected_folder

if TYPE_CHECKING:
    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]

LEAST = '[keep]\nreleases = 0\nage = "1s"\nrollbacks = 1\nruns = 1\n'


@pytest.fixture(scope="module")
def grown(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with five releases, each made in a month of its own, each champion in its turn."""
    folder = tmp_path_factory.mktemp("grown") / "project"
    shutil.copytree(finished.folder, folder)
    project = type(finished)(folder)
    with pytest.MonkeyPatch.context() as patch:
        for levels in (2, 3, 5, 6):
            patch.setenv("NINETYFIVE_CLOCK", f"2026-0{levels}-01")
            deepen(project, levels)
            assert promoted(project)
    (folder / "ninetyfive.toml").write_text(LEAST, encoding="utf-8")
    return folder


def deepen(project: Project, levels: int) -> None:
    """Write a tree of another depth into system.py."""
    head, _, tail = (project.folder / "system.py").read_text(encoding="utf-8").partition('"max_depth": ')
    (project.folder / "system.py").write_text(f'{head}"max_depth": {levels}{tail[1:]}', encoding="utf-8")


def promoted(project: Project) -> str:
    """The release of a run that is champion afterwards, whatever the gates said."""
    document = project.run()
    if not document["promoted"]:
        project.load().promote(document["release"])
    return str(document["release"])


@pytest.fixture
def old(grown: Path, finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of `grown`, a year later."""
    shutil.copytree(grown, tmp_path / "old")
    monkeypatch.setenv("NINETYFIVE_CLOCK", "2027-01-01")
    return type(finished)(tmp_path / "old")


def stored(project: Project) -> dict[str, bytes]:
    """All files of the store that last."""
    root = project.folder / ".ninetyfive"
    places = (root / "artifacts", root / "folders", root / "catalog.sqlite")
    files = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def names(project: Project) -> list[str]:
    """The releases, newest first."""
    return [one["release"] for one in project.load().releases()]


def answers(project: Project, release: str) -> pl.DataFrame:
    rows = pl.read_parquet(project.folder / "data" / "a.parquet").head(50).drop("tip", "fare")
    return project.load().predict(rows, release=release)


def wrong(project: Project) -> list[dict[str, Any]]:
    return [finding for finding in project.load().doctor()["findings"] if finding["kind"] != "disk space"]


@pytest.mark.slow
def test_it_shows_first_and_then_removes_what_it_showed(old: Project) -> None:
    *_, third, second, first = names(old)
    champion, before = names(old)[:2]
    expected = {name: answers(old, name) for name in (champion, before)}
    files = stored(old)
    shown = old.command("gc", "--json").json
    assert stored(old) == files
    verdicts = {one["release"]: one["keep"] for one in shown["releases"]}
    assert verdicts == {champion: True, before: True, third: False, second: False, first: False}
    assert "rollback 4 in a row would return to it, and rollbacks = 1" in str(shown["releases"][-1]["reasons"])
    done = old.command("gc", "--yes", "--json").json
    assert done == {**shown, "removed": True}
    left = stored(old)
    assert sum(map(len, left.values())) < sum(map(len, files.values()))
    assert {name.split("/")[1] for name in left if name.startswith("folders")} == {
        *(f"release-{name}" for name in (champion, before)),
        *(collected_folder(name) for name in (first, second, third)),
    }
    again = old.command("gc", "--yes", "--json").json
    assert (again["bytes"], again["collected_before"]) == (0, 3)
    assert stored(old) == left
    assert wrong(old) == []
    assert old.command("audit", "verify").code == 0
    for name, frame in expected.items():
        assert answers(old, name).equals(frame)
    assert old.done(old.run()) == []
    assert old.load().rollback()["release"] == before
    assert old.command("rollback").code == 1


@pytest.mark.slow
def test_what_is_printed_names_each_release_and_the_largest_files(old: Project) -> None:
    shown = old.command("gc").out
    for name in names(old):
        assert name[:12] in shown
    assert "rollback 4 in a row would return to it, and rollbacks = 1" in shown
    assert " of step train of run-" in shown
    assert "rule     releases = 0, age = 1s, rollbacks = 1, runs = 1 ([keep] in ninetyfive.toml)" in shown
    assert "nothing is removed yet: `ninetyfive gc --yes` removes" in shown
    said = old.command("gc", "--yes")
    assert "removed  " in said.out
    assert "removing files" in said.err
    listed = old.command("releases").out.splitlines()
    assert [line.split()[5] for line in listed[1:]] == ["champion", "rollback", "removed", "removed", "removed"]
    assert "there is nothing to remove" in old.command("gc").out
    assert "and 3 releases removed before" in old.command("gc").out


@pytest.mark.slow
def test_a_release_that_is_gone_says_so_and_is_made_again_by_the_same_inputs(old: Project) -> None:
    third = names(old)[2]
    expected, metrics = answers(old, third), old.load().releases()[2]["metrics"]
    old.command("gc", "--yes")
    row = '{"trip": 1, "at": "2026-01-01T00:00:00", "zone": "airport", "distance": 2.0}'
    for words in (["promote", third], ["pin", third], ["trace", "--row", row, "--release", third]):
        said = old.command(*words)
        assert said.code == 1
        assert "one whose files gc has removed" in said.err
        assert "it is made anew" in said.err
    assert old.load().releases()[2]["metrics"] == metrics
    with old.store() as store:
        kept = {path.name for path in store.path(collected_folder(third)).iterdir()}
    assert kept >= {"release.json", "metrics.json", "lineage.json", "evidence.json", "release-manifest.json"}
    deepen(old, 3)
    document = old.run(promote=False)
    assert document["release"] == third
    assert old.done(document)[0] == "train"
    assert answers(old, third).equals(expected)
    assert wrong(old) == []
    assert not old.load().releases()[2]["collected"]
    assert old.load().audit_verify()["whole"]
    old.load().promote(third)
    assert old.champion() == third


@pytest.mark.slow
def test_what_is_pinned_stays_until_it_is_not(old: Project) -> None:
    first = names(old)[-1]
    assert old.command("pin", first[:10], "--reason", "the audit of May").out.endswith("pinned: the audit of May\n")
    assert old.load().releases()[-1]["pinned"] == "the audit of May"
    old.command("gc", "--yes")
    assert answers(old, first).height == 50
    assert "pinned: the audit of May" in old.command("releases").out
    assert old.command("unpin", first).code == 0
    assert old.command("unpin", first).code == 2
    old.command("gc", "--yes")
    assert old.load().releases()[-1]["collected"]
    actions = [record.action for record in old.store().audit_records()]
    assert [action for action in actions if "pin" in action] == ["release.pin", "release.unpin"]
    assert wrong(old) == []


@pytest.mark.slow
def test_spans_and_states_go_with_the_last_that_was_made_of_them(
    old: Project, trips: Trips, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old.folder / "data" / "a.parquet").unlink()
    old.add("b", trips(seed=7))
    assert promoted(old)
    with old.store() as store:
        spans = {span.url for span in store.inventory(()).spans}
    assert len(spans) == 2
    shown = old.command("gc", "--json").json["groups"]
    assert (shown["spans"]["count"], shown["states"]["count"]) == (0, 0)  # a rollback returns to what was made of it
    deepen(old, 2)
    assert promoted(old)
    assert old.command("gc", "--json").json["groups"]["spans"]["count"] == 0  # what was made of it was live just now
    monkeypatch.setenv("NINETYFIVE_CLOCK", "2027-02-01")
    done = old.command("gc", "--yes", "--json").json["groups"]
    assert (done["spans"]["count"], done["spans"]["kept"], done["states"]["kept"]) == (1, 1, 2)
    assert done["states"]["count"] >= 2
    assert old.done(old.run()) == []
    assert wrong(old) == []


@pytest.mark.slow
def test_states_of_features_that_no_fit_has_any_more_go(old: Project, trips: Trips) -> None:
    for place in range(1, 4):
        old.add(f"b{place}", trips(first=1_200 * place))
    assert promoted(old)
    with old.store() as store:
        before = len(store.inventory(()).states)
    old.edit(('col("zone").vocabulary()', 'col("zone").vocabulary(top=2)'))
    assert old.run(promote=False)["release"]
    done = old.command("gc", "--yes", "--json").json["groups"]["states"]
    assert (done["kept"], done["count"]) == (before, 0)  # the vocabulary counts the same: all of them are used
    old.edit(('"zone": col("zone").vocabulary(top=2),\n', ""))
    old.run()
    done = old.command("gc", "--yes", "--json").json["groups"]["states"]
    assert done["count"] > 0
    assert old.done(old.run()) == []


@pytest.mark.slow
def test_a_run_that_was_killed_is_resumed_where_it_was(old: Project) -> None:
    deepen(old, 9)
    killed = subprocess.run(
        [sys.executable, "-m", "ninetyfive.cli", "run"],
        cwd=old.folder,
        env={**os.environ, "NINETYFIVE_CRASH": "kill after train"},
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    leftover = old.folder / ".ninetyfive" / "tmp" / "77-left"
    leftover.mkdir()
    (leftover / "half").write_bytes(bytes(5_000))
    shown = old.command("gc", "--json").json
    assert shown["groups"]["leftovers"]["count"] >= 1
    old.command("gc", "--yes")
    assert not leftover.exists()
    document = old.run()
    assert old.done(document) == ["evaluate", "gate", "release"]
    assert wrong(old) == []


@pytest.mark.slow
def test_while_a_run_holds_the_store_it_only_looks(old: Project) -> None:
    with old.store() as store, store.lease("ninetyfive run"):
        store.put_bytes(b"of the run that is at work")
        shown = old.command("gc", "--json").json
        assert "ninetyfive run" in shown["held_by"]
        assert shown["groups"]["orphans"]["count"] == 0
        said = old.command("gc", "--yes")
        assert said.code == 1
        assert f"process {os.getpid()}" in said.err
    assert old.command("gc", "--json").json["groups"]["orphans"]["count"] == 1


READ = """
import sys, time
from pathlib import Path
import polars as pl
from ninetyfive.cli.project import load_system
from ninetyfive.errors import StoreError
system, releases = load_system(Path(sys.argv[1])), sys.argv[3:]
rows = pl.read_parquet(sys.argv[2]).head(20).drop("tip", "fare")
whole = {release: system.predict(rows, release=release) for release in releases}
print("ready", flush=True)
read = refused = 0
for turn in range(10_000):
    release = releases[turn % len(releases)]
    try:
        assert system.predict(rows, release=release).equals(whole[release]), release
        read += 1
    except StoreError as error:
        assert "one whose files gc has removed" in str(error), str(error)
        refused += 1
    if Path(sys.argv[2] + ".stop").exists():
        break
print(read, refused)
"""


@pytest.mark.slow
def test_readers_see_a_whole_release_or_that_it_is_gone(old: Project) -> None:
    known, data = names(old), old.folder / "data" / "a.parquet"
    words = [sys.executable, "-c", READ, str(old.folder / "system.py"), str(data), *known]
    readers = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
        for keep in (4, 3, 2):
            rule = KeepSettings(releases=keep, age=1, rollbacks=1, runs=1)
            with old.store() as store:
                done = collect(store, rule, remove=True, reporter=Silent())
            assert sum(not one["keep"] for one in done["releases"]) == 1
            time.sleep(0.3)
        Path(f"{data}.stop").touch()
        told = [reader.communicate(timeout=60)[0] for reader in readers]
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()
    assert [reader.returncode for reader in readers] == [0, 0]
    read, refused = zip(*(map(int, line.split()) for line in told), strict=True)
    assert min(read) > 0
    assert sum(refused) > 0
