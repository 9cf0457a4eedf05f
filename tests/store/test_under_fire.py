"""A whole run of the small system on a store that others lock, whose clock jumps, whose disk fills."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.store.fire import REFUSED, Small, problems
from tests.store.invariants import faults
from tests.store.small import SYSTEM
from tests.store.test_faults import MAY_MOUNT, fill, mount

pytestmark = pytest.mark.slow
LOCK = """
import os, sqlite3, sys, time
catalog = sqlite3.connect(sys.argv[1], isolation_level=None)
catalog.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end and not os.path.exists(sys.argv[1] + "-unlock"):
    time.sleep(0.05)
"""
RUN = [sys.executable, "-m", "ninetyfive.cli", "run", "--json"]


@dataclass
class Locked:
    """A project whose catalog another process locks for some seconds, from the training of its run on."""

    small: Small
    run: subprocess.Popen[str]


def lock_meanwhile(small: Small, seconds: float) -> Locked:
    lock = [sys.executable, "-c", LOCK, str(small.store / "catalog.sqlite"), str(seconds)]
    code = f"import subprocess\nsubprocess.Popen({lock!r}, stdout=-1, stderr=-3).stdout.readline()"
    small.meanwhile(code)
    run = subprocess.Popen(RUN, cwd=small.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return Locked(small, run)


@pytest.fixture(scope="module", autouse=True)
def locked(whole: Small, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[float, Locked]]:
    """Two that wait for a lock while the other tests of this module run: one long enough, one not."""
    folder = tmp_path_factory.mktemp("locked")
    some = {
        seconds: lock_meanwhile(Small.new(folder / f"for-{seconds}", whole.nursery), seconds) for seconds in (14, 100)
    }
    yield some
    for one in some.values():
        one.small.store.mkdir(exist_ok=True)
        (one.small.store / "catalog.sqlite-unlock").touch()
        one.run.kill()
        one.run.communicate()


def told(small: Small, *says: str) -> None:
    """A run is refused in clear words, with exit code 1."""
    ended = small.run()
    assert ended.code == 1, ended
    assert "a fault of ninetyfive itself" not in ended.err
    for text in says:
        assert text in ended.err


def test_a_clock_set_back_between_runs_changes_no_order(whole: Small, tmp_path: Path) -> None:
    """What comes later is later: numbers and epochs order the store, and no lease or trigger waits for a wall clock."""
    small = Small.new(tmp_path / "small", whole.nursery)
    late, early = {"NINETYFIVE_CLOCK": "2026-03-10T12:00"}, {"NINETYFIVE_CLOCK": "2026-03-08T12:00"}
    first = small.run(env=late).json["release"]
    assert small.run("promote", first, env=late).code == 0
    path = small.folder / "system.py"
    path.write_text(path.read_text().replace("1_000", "2_000"))
    second = small.run(env=early).json["release"]
    assert second != first
    assert small.run("promote", second, env=early).code == 0
    assert [one["release"] for one in small.run("releases", env=early).json["releases"]] == [second, first]
    status = small.run("status", env=early).json
    assert (status["champion"]["release"], status["champion"]["epoch"]) == (second, 2)
    assert small.run("rollback", env=late).json["release"] == first
    assert small.query("select epoch, release, substr(since, 1, 10) from pointers order by epoch") == [
        (1, first, "2026-03-10"),
        (2, second, "2026-03-08"),
        (3, first, "2026-03-10"),
    ]
    assert faults(small.store) == []


def test_a_clock_set_back_in_a_run_ends_it_as_ever(whole: Small, tmp_path: Path) -> None:
    small = Small.new(tmp_path / "small", whole.nursery)
    small.meanwhile('import os\nos.environ["NINETYFIVE_CLOCK"] = "2026-03-08T12:00"')
    small.run(env={"NINETYFIVE_CLOCK": "2026-03-10T12:00"})
    assert small.query("select status, started > ended from runs") == [("refused", 1)]
    assert faults(small.store) == []
    assert small.run("audit", "verify").code == 0


@pytest.mark.parametrize("moment", ["kill after commit 1", "kill computed train"])
def test_a_killed_run_is_resumed_by_one_whose_clock_was_set_back(moment: str, whole: Small, tmp_path: Path) -> None:
    small = Small.new(tmp_path / "small", whole.nursery)
    killed = small.run(env={"NINETYFIVE_CRASH": moment, "NINETYFIVE_CLOCK": "2031-01-01"})
    assert problems(small, killed, whole, {-9}, promote=True) == []


if MAY_MOUNT:

    @contextlib.contextmanager
    def small_disk(folder: Path, kilobytes: int) -> Iterator[Callable[[], None]]:
        """A disk of 8 MiB at `folder`, of which so much is free; the function frees the rest."""
        folder.mkdir()
        assert mount(folder, "size=8m")
        try:
            filler = fill(folder)
            with filler.open("r+b") as stream:
                stream.truncate(filler.stat().st_size - (kilobytes << 10))
            yield filler.unlink
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)

    @pytest.mark.parametrize("kilobytes", [0, 8, 32, 64])
    def test_a_full_disk_of_artifacts_and_tmp(kilobytes: int, whole: Small, tmp_path: Path) -> None:
        """The catalog has room, the files have none: what was recorded stays, and it goes on when there is room."""
        small = Small.new(tmp_path / "small", whole.nursery)
        catalog = elsewhere(small, tmp_path / "catalog.sqlite")
        with small_disk(small.store, kilobytes) as free:
            told(small, "No space left on device", "free space")
            assert faults(small.store, catalog=catalog) == []
            free()
            assert small.run().json["release"] == whole.release
            assert faults(small.store, catalog=catalog) == []

    @pytest.mark.parametrize("kilobytes", [0, 64, 128])
    def test_a_full_disk_of_the_catalog(kilobytes: int, whole: Small, tmp_path: Path) -> None:
        small = Small.new(tmp_path / "small", whole.nursery)
        with small_disk(tmp_path / "disk", kilobytes) as free:
            catalog = elsewhere(small, tmp_path / "disk" / "catalog.sqlite")
            told(small, "full disk", "free space there, then run again")
            assert faults(small.store, settled=False, catalog=catalog) == []
            free()
            assert small.run().json["release"] == whole.release
            assert faults(small.store, catalog=catalog) == []

    @pytest.mark.parametrize("name", ["artifacts", "folders", "tmp"])
    def test_a_folder_of_the_store_on_another_disk_is_refused(name: str, whole: Small, tmp_path: Path) -> None:
        """A rename between disks is no rename, so nothing could be published at once."""
        small = Small.new(tmp_path / "small", whole.nursery)
        small.store.mkdir()
        (small.store / name).mkdir()
        assert mount(small.store / name, "size=8m")
        try:
            told(small, "artifacts, folders and tmp of a store on one disk", "mount or link the whole store")
            assert faults(small.store) == []
        finally:
            subprocess.run(["umount", "-l", str(small.store / name)], check=True)
        assert small.run().json["release"] == whole.release

    @pytest.mark.parametrize("name", ["", "tmp"])
    def test_a_folder_that_cannot_be_written(name: str, whole: Small, tmp_path: Path) -> None:
        small = whole.copy(tmp_path / "small")
        path = small.folder / "system.py"
        path.write_text(path.read_text().replace("1_000", "2_000"))
        place = small.store / name
        for words in (["--bind", str(place)], ["-o", "remount,bind,ro"]):
            subprocess.run(["mount", *words, str(place)], check=True)
        try:
            ended = small.run()
            assert ended.code == 1
            assert "make it writable for this user, or name another store" in ended.err
            assert small.run("status").code == 0
        finally:
            subprocess.run(["umount", "-l", str(place)], check=True)
        assert faults(small.store) == []
        assert small.run().code == REFUSED
        assert faults(small.store) == []


def elsewhere(small: Small, catalog: Path) -> Path:
    """Keep the catalog in another file."""
    with (small.folder / "ninetyfive.toml").open("r+") as stream:
        rest = stream.read()
        stream.seek(0)
        stream.write(f'store = ".ninetyfive"\ncatalog = "sqlite:///{catalog}"\n{rest}')
    return catalog


def test_a_catalog_locked_for_a_while_is_waited_for(locked: dict[float, Locked], whole: Small) -> None:
    one = locked[14]
    _, err = one.run.communicate(timeout=110)
    assert one.run.returncode == REFUSED, err
    assert one.small.query("select status, resumes from runs") == [("refused", 0)]
    assert faults(one.small.store) == []


def test_a_catalog_locked_for_longer_is_refused_and_nothing_is_lost(locked: dict[float, Locked], whole: Small) -> None:
    one = locked[100]
    _, err = one.run.communicate(timeout=110)
    assert one.run.returncode == 1, err
    assert "expected the catalog within 20 s, got another process that is still writing to it" in err
    assert "database is locked" not in err
    unlock = one.small.store / "catalog.sqlite-unlock"
    unlock.touch()
    recorded = one.small.recorded()
    unlock.unlink()
    assert recorded == ["ingest", "analyze", "validate", "split", "fit", "apply"]
    assert faults(one.small.store, settled=False) == []
    (one.small.folder / "system.py").write_text(SYSTEM, encoding="utf-8")
    ended = one.small.run()
    assert (ended.code, ended.json["run"]) == (REFUSED, "run-2"), "another model function is another key"
    assert faults(one.small.store) == []
