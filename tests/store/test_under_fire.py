"""A whole run of the small system on a store that others lock, whose clock jumps, whose disk fills, whose files go."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.store.fire import REFUSED, Small, problems
from tests.store.invariants import faults
from tests.store.small import SYSTEM
from tests.store.test_faults import MAY_MOUNT, fill, mount

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


def meanwhile(small: Small, code: str) -> None:
    """Do `code` inside the model function, in the middle of a run."""
    path = small.folder / "system.py"
    head, line, tail = path.read_text().partition("    from sklearn")
    path.write_text(head + textwrap.indent(code.strip() + "\n", "    ") + line + tail)


@dataclass
class Locked:
    """A project whose catalog another process locks for some seconds, from the training of its run on."""

    small: Small
    run: subprocess.Popen[str]


def lock_meanwhile(small: Small, seconds: float) -> Locked:
    lock = [sys.executable, "-c", LOCK, str(small.store / "catalog.sqlite"), str(seconds)]
    code = f"import subprocess\nsubprocess.Popen({lock!r}, stdout=subprocess.PIPE).stdout.readline()"
    meanwhile(small, code)
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
    meanwhile(small, 'import os\nos.environ["NINETYFIVE_CLOCK"] = "2026-03-08T12:00"')
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


def kinds(small: Small) -> dict[str, Path]:
    """One file of each kind that a store holds, by what it is."""
    store = small.store
    ((rows, refused),) = small.query("select artifact, quarantine from spans")
    found = {"the rows of a span": rows, "its quarantine": refused}
    for step in ("analyze", "fit", "apply", "train", "evaluate"):
        ((listed,),) = small.query(f"select artifacts from steps where name = '{step}'")
        found[f"what {step} made"] = json.loads(str(listed))[-1]
    (folder,) = (store / "folders").iterdir()
    paths = {
        **{kind: store / "artifacts" / str(name) for kind, name in found.items()},
        **{f"{name} of the release": folder / name for name in ("manifest.json", "model.onnx", "evidence.json")},
        **{name: store / name for name in ("catalog.sqlite-journal", "lease", "lease.json", "tmp/gate")},
    }
    return {kind: path for kind, path in paths.items() if path.exists()}


DAMAGES = {
    "delete": "import os\nos.unlink({path!r})",
    "cut": "import os\nos.truncate({path!r}, os.path.getsize({path!r}) // 2)",
    "flip": """\
with open({path!r}, "r+b") as stream:
    data = bytearray(stream.read() or b"x")
    data[len(data) // 2] ^= 1
    stream.seek(0)
    stream.write(data)
""",
}
"""What is done to a file, as Python: for `exec`, and for the middle of a run."""


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestFiles:
    """A file of each kind is damaged in a way that the seed draws: it is healed, or refused and named by doctor."""

    def test_of_a_finished_store(self, whole: Small, tmp_path: Path, seed: int) -> None:
        chance, wrong = random.Random(seed), []
        for place, kind in enumerate(kinds(whole)):
            small, damage = whole.copy(tmp_path / f"small-{place}"), chance.choice(list(DAMAGES))
            path = kinds(small)[kind]
            exec(DAMAGES[damage].format(path=str(path)), {})
            if any(fault.rule == "N6" for fault in faults(small.store)):
                found = small.run("doctor")
                if found.code != 3 or path.name not in found.out:
                    wrong.append(f"{damage} {kind}: doctor says {found}")
            wrong += [f"{damage} {kind}: {text}" for text in healed(small, path, whole)]
        assert not wrong

    def test_of_a_store_at_work(self, whole: Small, tmp_path: Path, seed: int) -> None:
        """In the middle of a run that does every step again: it ends or refuses, and no damaged release is live."""
        chance, wrong = random.Random(seed), []
        for place, kind in enumerate(kinds(whole)):
            small, damage = whole.copy(tmp_path / f"small-{place}"), chance.choice(list(DAMAGES))
            path, before = kinds(small)[kind], (small.folder / "system.py").read_text()
            meanwhile(small, DAMAGES[damage].format(path=str(path)))
            ended = small.run("run", "--no-cache")
            if ended.code not in (1, REFUSED) or "a fault of ninetyfive itself" in ended.err:
                wrong.append(f"{damage} {kind}: {ended}")
            if ended.code == REFUSED and small.run("promote", ended.json["release"]).code == 0:
                wrong += [f"{damage} {kind}: a damaged release is live"] if champion_is_damaged(small) else []
            (small.folder / "system.py").write_text(before)
            wrong += [f"{damage} {kind}, afterwards: {text}" for text in healed(small, path, whole)]
        assert not wrong


def healed(small: Small, path: Path, whole: Small) -> list[str]:
    """What is wrong after a run that does every step again, or that and what it says is to be done."""
    ended = small.run("run", "--no-cache")
    doctor = small.run("doctor")
    if path.exists() and path.name in ended.err + doctor.out and "delete it and run again" in ended.err + doctor.out:
        path.unlink()
        ended = small.run("run", "--no-cache")
    if ended.code != REFUSED:
        return [f"exit {ended.code}: {ended.err[-400:]}"]
    found = [] if ended.json["release"] == whole.release else ["another release"]
    return found + [str(fault) for fault in faults(small.store)]


def champion_is_damaged(small: Small) -> bool:
    """Whether a file of the live release is not what its row says."""
    ((folder,),) = small.query("select folder from releases join pointers using (release) order by epoch desc limit 1")
    return any(fault.subject.startswith(str(folder)) for fault in faults(small.store) if fault.rule == "N6")


def test_a_catalog_that_is_deleted_is_not_made_up_again(whole: Small, tmp_path: Path) -> None:
    """Files without their catalog are a new store: what they held is known no more, and the run reads all."""
    small = whole.copy(tmp_path / "small")
    for path in small.store.glob("catalog.sqlite*"):
        path.unlink()
    assert small.run("status").json["champion"] is None
    document = small.run().json
    assert (document["run"], document["rows"]["read"], document["release"]) == ("run-1", 200, whole.release)
    assert faults(small.store) == []


def test_a_catalog_that_is_cut_short_is_found(whole: Small, tmp_path: Path) -> None:
    small = whole.copy(tmp_path / "small")
    path = small.store / "catalog.sqlite"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    ended = small.run("doctor")
    assert ended.code in (1, 3), "it is found, or it cannot be opened"
    assert "a fault of ninetyfive itself" not in ended.err


@pytest.mark.slow
def test_a_catalog_locked_for_a_while_is_waited_for(locked: dict[float, Locked], whole: Small) -> None:
    one = locked[14]
    _, err = one.run.communicate(timeout=110)
    assert one.run.returncode == REFUSED, err
    assert one.small.query("select status, resumes from runs") == [("refused", 0)]
    assert faults(one.small.store) == []


@pytest.mark.slow
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
