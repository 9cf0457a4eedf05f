"""The checker of N3 to N8 is itself tested: each fault that is planted in a whole store is found, by its name."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.store.fire import Small
from tests.store.invariants import faults, lease_is_free

pytestmark = pytest.mark.slow
Plant = Callable[[Path], None]


def sql(*statements: str) -> Plant:
    """Change the catalog by hand."""

    def plant(store: Path) -> None:
        with closing(sqlite3.connect(store / "catalog.sqlite")) as connection, connection:
            for statement in statements:
                assert connection.execute(statement).rowcount, statement

    return plant


def artifact(column: str) -> Callable[[Path], Path]:
    """The file of a column of the one span."""

    def find(store: Path) -> Path:
        with closing(sqlite3.connect(store / "catalog.sqlite")) as connection:
            ((name,),) = connection.execute(f"select {column} from spans").fetchall()
        return store / "artifacts" / str(name)

    return find


def release(store: Path) -> Path:
    return next((store / "folders").iterdir())


def changed(find: Callable[[Path], Path], change: Callable[[Path], object]) -> Plant:
    return lambda store: (change(find(store)), None)[1]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def write(name: str, data: bytes) -> Plant:
    def plant(store: Path) -> None:
        (store / name).parent.mkdir(exist_ok=True)
        (store / name).write_bytes(data)

    return plant


COPY_RUN = (
    "insert into runs select number + {by}, words, key, 'running', actor, started, null, resumes, null, document"
    " from runs"
)
COPY_POINTER = (
    "insert into pointers select name, {epoch}, release, 1, action, reason, actor, since, {table}"
    " from pointers where epoch = 1"
)
ELSEWHERE = "0" * 64
PLANTS: dict[str, tuple[Plant, str, str]] = {
    "a row was read and is nowhere": (sql("update spans set read = read + 1"), "N3", "rows lost"),
    "a step counted a row twice": (
        sql("update steps set output = replace(output, '\"duplicate\":10', '\"duplicate\":11') where name = 'ingest'"),
        "N3",
        "rows not conserved",
    ),
    "the span says more rows than its file": (
        sql("update spans set read = read + 1, accepted = accepted + 1"),
        "N3",
        "another number of rows",
    ),
    "the quarantine has no file": (sql("update spans set quarantine = null"), "N3", "rows without a file"),
    "a run is running, and nobody holds the lease": (
        sql("update runs set status = 'running', ended = null"),
        "N4",
        "running without a lease",
    ),
    "two runs are running": (
        sql(COPY_RUN.format(by=1), COPY_RUN.format(by=2).replace("from runs", "from runs where number = 1")),
        "N4",
        "running without a lease",
    ),
    "a run registered twice": (
        sql(
            "insert into audit select seq + 100, time, actor, action, subject, details, previous, hash from audit"
            " where action = 'release.add'"
        ),
        "N4",
        "more than one release",
    ),
    "an epoch is missing": (sql(COPY_POINTER.format(epoch=3, table="null")), "N5", "a gap in the epochs"),
    "the champion is changed to itself": (
        sql(COPY_POINTER.format(epoch=2, table="null")),
        "N5",
        "a change that changes nothing",
    ),
    "the champion has a table that is none": (
        sql("update pointers set \"table\" = 'x'"),
        "N5",
        "a table of another release",
    ),
    "the table of the champion is of another release": (
        sql(
            "insert into tables select 't', 1, 'another', null, '', 1, '', '', '', '{}' from releases",
            "update pointers set \"table\" = 't'",
        ),
        "N5",
        "a table of another release",
    ),
    "a table has no record": (
        sql("insert into tables select 't', 1, release, null, '', 1, '', '', '', '{}' from releases"),
        "N7",
        "a change without a record",
    ),
    "the folder of a table is not there": (
        sql("insert into tables select 't', 1, release, 'table-t', '', 1, '', '', '', '{}' from releases"),
        "N6",
        "a name without a row",
    ),
    "the champion is no release": (
        sql(f"update pointers set release = '{ELSEWHERE}'"),
        "N5",
        "a champion that is no release",
    ),
    "the first epoch has one below": (sql("update pointers set below = 1"), "N5", "a wrong place below"),
    "a file is gone": (changed(artifact("artifact"), Path.unlink), "N6", "missing file"),
    "a bit of a file is turned": (changed(artifact("artifact"), flip), "N6", "altered file"),
    "a file is cut short": (changed(artifact("quarantine"), truncate), "N6", "altered file"),
    "a release is gone": (changed(release, shutil.rmtree), "N6", "missing file"),
    "a file of a release is gone": (
        changed(lambda store: release(store) / "model.onnx", Path.unlink),
        "N6",
        "missing file",
    ),
    "a bit of a release is turned": (changed(lambda store: release(store) / "model.onnx", flip), "N6", "altered file"),
    "a manifest is altered": (changed(lambda store: release(store) / "manifest.json", truncate), "N6", "altered file"),
    "a file lies in a release": (
        changed(release, lambda folder: (folder / "extra").write_bytes(b"x")),
        "N6",
        "foreign file",
    ),
    "an artifact has no row": (sql("delete from artifacts where files is not null"), "N6", "a name without a row"),
    "a state is altered": (sql("update states set blob = x'00' where blob is not null"), "N6", "altered state"),
    "an orphan is half written": (write(f"artifacts/{ELSEWHERE}", b"half"), "N6", "half an orphan"),
    "a folder is half written": (write("folders/release-0/model.onnx", b"half"), "N6", "half an orphan"),
    "a file lies in the store": (write("notes.txt", b"x"), "N6", "foreign file"),
    "an attempt was left behind": (write("tmp/attempt", b"x"), "N6", "leftover"),
    "a record is altered": (sql("update audit set actor = 'mallory' where seq = 2"), "N7", "an altered record"),
    "a record is missing": (sql("delete from audit where seq = 2"), "N7", "a broken chain"),
    "the last record is missing": (
        sql("delete from audit where seq = (select max(seq) from audit)"),
        "N7",
        "another head",
    ),
    "a step has no record": (
        sql("insert into steps select 'k', name, run, output, artifacts, seconds from steps where name = 'fit'"),
        "N7",
        "a change without a record",
    ),
    "a recorded step is gone": (sql("delete from steps where name = 'fit'"), "N7", "a record without a change"),
    "a run says another end than its record": (
        sql("update runs set status = 'done'"),
        "N7",
        "a record that says otherwise",
    ),
    "a champion has no record": (sql(COPY_POINTER.format(epoch=2, table="null")), "N7", "a change without a record"),
    "an act is unknown": (sql("update audit set action = 'magic' where seq = 1"), "N7", "an unknown act"),
    "a state has neither bytes nor a file": (
        sql("update states set blob = null, artifact = null"),
        "N8",
        "half a state",
    ),
    "a run ended without a document": (sql("update runs set document = '{}'"), "N8", "half an end"),
    "a run ended without its release": (sql("update runs set release = null"), "N8", "half a release"),
    "a row names a row that is not there": (sql("delete from runs"), "N8", "database"),
    "the catalog is no database": (write("catalog.sqlite", b"x" * 5_000), "N8", "database"),
}


def test_nothing_is_wrong_with_a_whole_store(whole: Small) -> None:
    assert faults(whole.store) == []
    assert lease_is_free(whole.store)
    assert faults(whole.folder / "nowhere") == []


def test_it_counts_what_the_small_system_is(whole: Small) -> None:
    """What the other tests of this folder rest on: the system has rows of every kind, steps, a release, an epoch."""
    (row,) = whole.query("select read, accepted, quarantined from spans")
    assert row == (200, 198, 2)
    (output,) = whole.query("select output from steps where name = 'ingest'")
    (counts,) = json.loads(str(output[0]))["counts"].values()
    assert (counts["unlabelled"], counts["duplicate"]) == (6, 10)
    assert len(whole.recorded()) == 10


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found_by_name(name: str, whole: Small, tmp_path: Path) -> None:
    plant, rule, kind = PLANTS[name]
    store = whole.copy(tmp_path / "small").store
    plant(store)
    assert (rule, kind) in {fault[:2] for fault in faults(store)}


def test_just_after_a_kill_one_run_may_be_called_running(whole: Small, tmp_path: Path) -> None:
    small = whole.copy(tmp_path / "small")
    killed = small.run(env={"NINETYFIVE_CRASH": "kill after commit 1"})
    assert killed.code == -9
    assert faults(small.store, settled=False) == []
    assert {fault[:2] for fault in faults(small.store)} == {("N4", "running without a lease")}
