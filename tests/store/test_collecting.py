"""gc from below: on a folder and on a bucket, while others change the store, and killed at every single act."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ninetyfive.errors import BusyError, StoreError
from ninetyfive.progress import Silent
from ninetyfive.settings import KeepSettings
from ninetyfive.steps import collect as steps
from ninetyfive.steps.collect import collect
from ninetyfive.store.collecting import Forgotten
from ninetyfive.store.opening import Store, open_store
from ninetyfive.store.records import collected_folder

Fill = Callable[[Store, int, Path], list[str]]
RULE = KeepSettings(releases=1, age=1, rollbacks=1, runs=1)
NOTHING = Forgotten(releases={}, tables={}, steps=(), spans=(), states=(), artifacts=())


def gc(store: Store) -> dict[str, Any]:
    """Collect by `RULE`, a year later."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NINETYFIVE_CLOCK", "2027-01-01")
        return collect(store, RULE, remove=True, reporter=Silent())


def errors(store: Store) -> list[object]:
    return [finding for finding in store.doctor() if finding.level == "error"]


def test_what_the_rule_does_not_reach_goes_on_a_folder_and_on_a_bucket(
    store: Store, tmp_path: Path, fill: Fill
) -> None:
    made = fill(store, 5, tmp_path / "made")
    done = gc(store)
    assert {name: group["count"] for name, group in done["groups"].items()} == {
        "releases": 3,
        "tables": 0,
        "steps": 11,  # of five runs three each; kept are those of the last, and what the release before it was made of
        "spans": 3,
        "states": 6,
        "files": 4,  # models; rows and large states count as what they are of
        "orphans": 0,
        "leftovers": 0,
    }
    seen = store.inventory(())
    assert {release.release for release in seen.releases if not release.collected} == set(made[3:])
    assert errors(store) == []
    assert store.unnamed() == ([], [])
    for release in made[3:]:
        store.verify(f"release-{release}")
    with store.open_folder(store.release(made[4])) as folder:
        assert (folder / "model").read_bytes() == b"model 5"
    for release in made[:3]:
        folder = store.path(collected_folder(release))
        assert sorted(path.name for path in folder.iterdir()) == [
            "evidence.json",
            "manifest.json",
            "release-manifest.json",
        ]
    assert store.rollback(5, "worse").release == made[3]
    with pytest.raises(StoreError, match="whose files gc has removed"):
        store.rollback(6, "worse")


def test_what_changed_since_it_was_decided_is_decided_again(
    local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: Fill
) -> None:
    made = fill(local, 4, tmp_path / "made")
    judge, turns = steps.judge, iter(range(1, 100))

    def late(looked: Store, rule: KeepSettings) -> steps.Judged:
        judged = judge(looked, rule)
        if next(turns) == 1:
            with open_store(local.url, actor="bob") as other:
                other.promote(made[0], 4, "after gc has looked")
                other.pin(made[1], "and this too")
        return judged

    monkeypatch.setattr(steps, "judge", late)
    done = gc(local)
    assert next(turns) == 3
    assert {one["release"]: one["keep"] for one in done["releases"]} == dict.fromkeys(made, True) | {made[2]: False}
    assert errors(local) == []


def test_a_store_that_never_stands_still_is_told(
    local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: Fill
) -> None:
    made = fill(local, 2, tmp_path / "made")
    judge = steps.judge

    def late(looked: Store, rule: KeepSettings) -> steps.Judged:
        judged = judge(looked, rule)
        local.pin(made[0], str(judged.seen.record))
        return judged

    monkeypatch.setattr(steps, "judge", late)
    with pytest.raises(BusyError, match="when nobody promotes, rolls back or pins"):
        gc(local)
    assert local.holder() is None


def test_nothing_is_forgotten_or_removed_without_the_lease(local: Store) -> None:
    with pytest.raises(StoreError, match="the lease of the store"):
        local.forget(NOTHING, 0, ())
    with pytest.raises(StoreError, match="the lease of the store"):
        local.remove_unnamed()


def test_a_promotion_of_what_gc_takes_meanwhile_is_refused(
    local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: Fill
) -> None:
    made = fill(local, 3, tmp_path / "made")
    verify = local.verify

    def slow(artifact: str) -> None:
        verify(artifact)
        with open_store(local.url) as other, other.lease("gc"):
            gone = msgspec.structs.replace(NOTHING, releases={made[0]: "old"})
            assert other.forget(gone, len(other.audit_records()), ())
            other.remove_unnamed()

    monkeypatch.setattr(local, "verify", slow)
    with pytest.raises(StoreError, match="whose files gc has removed"):
        local.promote(made[0], 3, "race")
    assert len(local.history()) == 3
    assert errors(local) == []


def test_what_is_not_the_stores_own_is_left_and_told(local: Store, tmp_path: Path, fill: Fill) -> None:
    fill(local, 1, tmp_path / "made")
    root = tmp_path / "store"
    (root / "artifacts" / "notes.txt").write_text("mine")
    (root / "folders" / "my notes").mkdir()
    orphan = local.put_bytes(b"orphan")
    done = gc(local)
    assert done["foreign"] == ["notes.txt", "my notes"]
    assert done["groups"]["orphans"]["count"] == 1
    assert (root / "artifacts" / "notes.txt").read_text() == "mine"
    assert not (root / "artifacts" / orphan).exists()


def test_a_damaged_release_goes_too_and_its_whole_files_are_kept_as_evidence(
    local: Store, tmp_path: Path, fill: Fill
) -> None:
    made = fill(local, 3, tmp_path / "made")
    folder = local.path(f"release-{made[0]}")
    (folder / "evidence.json").write_text("evil")
    (folder / "manifest.json").unlink()
    gc(local)
    kept = local.path(collected_folder(made[0]))
    assert [path.name for path in sorted(kept.iterdir())] == ["manifest.json", "release-manifest.json"]
    assert errors(local) == []


EVERY_ACT = '''
"""Kill gc at every third act (sync, rename, commit, deletion): the store is whole, and the next gc ends it."""
import contextlib, os, shutil, signal, sys
from pathlib import Path
from ninetyfive.progress import Silent
from ninetyfive.settings import KeepSettings
from ninetyfive.steps.collect import collect
from ninetyfive.store import artifacts, catalog
from ninetyfive.store.opening import open_store

os.environ["NINETYFIVE_CLOCK"] = "2027-01-01"
RULE = KeepSettings(releases=1, age=1, rollbacks=1, runs=1)

def gc(root):
    with open_store(root, create=False) as store:
        return collect(store, RULE, remove=True, reporter=Silent())

def state(root):
    with open_store(root, create=False) as store:
        seen = store.inventory(())
        assert not [one for one in store.doctor() if one.level == "error"], store.doctor()
        assert [pointer.epoch for pointer in store.history()] == [3, 2, 1]
        files = sorted(path.name for place in ("artifacts", "folders") for path in (Path(root) / place).iterdir())
        return files, [one.folder for one in seen.releases], [one.key for one in seen.steps], len(seen.states)

def die_at(k):
    count = 0
    def act():
        nonlocal count
        count += 1
        if count == k:
            os.kill(os.getpid(), signal.SIGKILL)
    def counted(function):
        def call(*words, **named):
            act()
            found = function(*words, **named)
            act()
            return found
        return call
    write = catalog.Catalog.write
    @contextlib.contextmanager
    def counted_write(self):
        with write(self) as connection:
            yield connection
            act()
        act()
    artifacts.sync, os.rename, os.unlink = counted(artifacts.sync), counted(os.rename), counted(os.unlink)
    catalog.Catalog.write = counted_write

whole = f"{sys.argv[1]}/collected"
shutil.copytree(sys.argv[2], whole)
gc(whole)
expected = state(whole)
for k in range(1 + int(sys.argv[3]) % 3, 300, 3):
    root = f"{sys.argv[1]}/killed"
    shutil.copytree(sys.argv[2], root)
    child = os.fork()
    if child == 0:
        die_at(k)
        gc(root)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), code
    state(root)
    gc(root)
    assert state(root) == expected, (k, state(root))
    assert os.listdir(Path(root) / "tmp") == ["gate"]
    shutil.rmtree(root)
    if code == 0:
        break
print(k)
'''


@pytest.mark.slow
def test_killed_at_any_act_nothing_that_is_kept_is_lost_and_the_next_one_ends_it(
    tmp_path: Path, fill: Fill, seed: int
) -> None:
    with open_store(tmp_path / "store") as store:
        fill(store, 3, tmp_path / "made")
    words = [sys.executable, "-c", EVERY_ACT, str(tmp_path), str(tmp_path / "store"), str(seed)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 30 < int(done.stdout) < 299
