"""Tables in the store: named with their files, live with their release and never without, collected, looked after."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.store.invariants import faults
from tests.store.test_releases import A, B, register

from ninetyfive.errors import BusyError, IntegrityError, StoreError, UsageError
from ninetyfive.progress import Silent
from ninetyfive.settings import KeepSettings
from ninetyfive.steps.collect import collect
from ninetyfive.store.opening import Store, open_store
from ninetyfive.store.records import TableRecord


def add(store: Store, root: Path, name: str, release: str, *, passed: bool = True) -> TableRecord:
    """A table of a release: its id begins with `name`."""
    id = name + "0" * (64 - len(name))
    folder = root / f"table-{id}"
    folder.mkdir(exist_ok=True)
    (folder / "table.mdb").write_text(name)
    (folder / "table.json").write_bytes(msgspec.json.encode({"release": release, "rows": 3, "as_of": "2026-01-31"}))
    put = store.put_folder(folder, f"table-{id}")
    return store.add_table(
        TableRecord(
            id=id,
            release=release,
            folder=put,
            as_of="2026-01-31",
            rows=3,
            words="table build",
            document={"passed": passed},
        )
    )


def live(store: Store) -> tuple[str, str | None]:
    """The first letters of what is live."""
    pointer = store.champion()
    assert pointer is not None
    return pointer.release, pointer.table and pointer.table.rstrip("0")


def findings(store: Store) -> list[tuple[str, str]]:
    return [(finding.kind, finding.subject) for finding in store.doctor() if finding.level == "error"]


def test_a_table_is_added_once_and_found(store: Store, tmp_path: Path) -> None:
    register(store, tmp_path, A)
    first, second = add(store, tmp_path, "a1", A), add(store, tmp_path, "b2", A, passed=False)
    assert (first.number, second.number, first.actor) == (1, 2, store.actor)
    assert store.tables() == [second, first]
    assert store.table("a1") == first
    records = len(store.audit_records())
    assert add(store, tmp_path, "a1", A) == first
    assert len(store.audit_records()) == records
    assert store.newest_table(A) == first
    assert store.newest_table(B) is None
    for words in ("zz", ""):
        with pytest.raises(UsageError, match="no such table"):
            store.table(words)
    with pytest.raises(StoreError, match="a table of a release that is registered"):
        add(store, tmp_path, "c3", B)
    assert store.audit_verify() == []
    assert findings(store) == []


def test_a_table_whose_files_are_not_there_is_not_named(store: Store, tmp_path: Path) -> None:
    register(store, tmp_path, A)
    given = TableRecord(id="c", release=A, folder="table-c", as_of="", rows=1, words="", document={})
    with pytest.raises(IntegrityError):
        store.add_table(given)
    assert store.tables() == []


def test_release_and_table_go_live_together_and_back(store: Store, tmp_path: Path) -> None:
    register(store, tmp_path, A, B)
    store.promote(A, 0, "no table yet")
    assert live(store) == (A, None)
    for name in ("a1", "a2"):
        add(store, tmp_path, name, A)
    add(store, tmp_path, "a3", A, passed=False)
    assert store.promote(A, 1, "the newest good one").epoch == 2
    assert live(store) == (A, "a2")
    assert store.promote(A, 99, "nothing changes").epoch == 2
    add(store, tmp_path, "b1", B)
    store.promote(B, 2, "better")
    assert live(store) == (B, "b1")
    store.promote(B, 3, "the same release, no other table")
    assert live(store) == (B, "b1")
    add(store, tmp_path, "b2", B)
    assert store.promote(B, 3, "a refresh").epoch == 4
    for expected, epoch in (((B, "b1"), 4), ((A, "a2"), 5), ((A, None), 6)):
        store.rollback(epoch, "worse")
        assert live(store) == expected
    with pytest.raises(StoreError, match="a champion with one before it"):
        store.rollback(7, "worse")
    assert store.audit_verify() == []
    assert findings(store) == []


def test_a_table_is_promoted_by_name_whatever_its_gates_said_and_never_with_another_release(
    store: Store, tmp_path: Path
) -> None:
    register(store, tmp_path, A, B)
    bad = add(store, tmp_path, "a1", A, passed=False)
    store.promote(A, 0, "by hand", bad.id)
    assert live(store) == (A, "a1")
    store.promote(A, 1, "it stays, as there is no better one")
    assert live(store) == (A, "a1")
    with pytest.raises(UsageError, match=f"a table of release {B[:12]}"):
        store.promote(B, 1, "mixed", bad.id)
    with pytest.raises(BusyError, match="epoch 0, as seen before"):
        store.promote(B, 0, "late")
    assert live(store) == (A, "a1")


def test_an_altered_table_goes_not_live(store: Store, tmp_path: Path, damage: object) -> None:
    register(store, tmp_path, A, B)
    store.promote(A, 0, "first")
    table = add(store, tmp_path, "b1", B)
    damage.alter(store, table.folder, b"evil", "table.mdb")  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError):
        store.promote(B, 1, "better")
    assert live(store) == (A, None)
    found = [finding for finding in store.doctor() if finding.level == "error"]
    assert [finding.kind for finding in found] == ["altered file"]
    assert f"ninetyfive table build --release {B[:12]}" in found[0].do


RULE = KeepSettings(releases=1, age=1, rollbacks=1, runs=0)


def test_gc_keeps_live_tables_and_leaves_of_others_what_they_were(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(store, tmp_path, A, B)
    for epoch, (name, release) in enumerate((("a1", A), ("a2", A), ("b1", B), ("b2", B), ("b3", B))):
        add(store, tmp_path, name, release)
        store.promote(release, epoch, "newer")
    add(store, tmp_path, "b4", B)
    add(store, tmp_path, "b5", B, passed=False)
    monkeypatch.setenv("NINETYFIVE_CLOCK", "2027-01-01")
    shown = collect(store, RULE, remove=False, reporter=Silent())
    assert shown["groups"]["tables"]["kept"] == 3
    done = collect(store, RULE, remove=True, reporter=Silent())
    assert done["groups"]["tables"]["count"] == 4
    there = {table.id.rstrip("0") for table in store.tables() if not table.collected}
    assert there == {"b3", "b2", "b4"}  # live, returned to, what promote would take
    assert len(store.tables()) == 7
    assert findings(store) == []
    assert store.unnamed() == ([], [])
    assert store.audit_verify() == []
    store.rollback(5, "worse")
    assert live(store) == (B, "b2")
    with pytest.raises(StoreError, match=r"whose files gc has removed\. To do: make another one"):
        store.rollback(6, "worse")
    again = add(store, tmp_path, "b1", B)
    assert not again.collected
    store.rollback(6, "worse")
    assert live(store) == (B, "b1")
    assert store.audit_verify() == []
    assert findings(store) == []


def test_what_is_left_keeps_the_promises(local: Store, tmp_path: Path) -> None:
    register(local, tmp_path, A)
    for epoch, name in enumerate(("a1", "a2", "a3")):
        add(local, tmp_path, name, A)
        local.promote(A, epoch, "newer")
    local.rollback(3, "worse")
    collect(local, RULE, remove=True, reporter=Silent())
    local.close()
    found = [fault for fault in faults(Path(local.url)) if fault.kind != "half an end"]  # `register` writes no document
    assert found == []


PLANTS: dict[str, tuple[str, tuple[str, str]]] = {
    "its row is of another release": ("update tables set release = '{B}'", ("foreign table", "table {a1}")),
    "it has more rows": ("update tables set rows = 4", ("foreign table", "table {a1}")),
    "nobody added it": (
        "insert into tables select 'x', 9, release, null, as_of, rows, created, actor, words, document from tables",
        ("audit", "table x"),
    ),
    "its row is gone": (
        'update pointers set "table" = null; delete from tables',
        ("audit", "table {a1}"),
    ),
    "its document is altered": ("update tables set document = '{{}}'", ("altered row", "table {a1}")),
    "nobody made it live": ('update pointers set "table" = null', ("audit", "champion epoch 1")),
    "it is live with another release": (f"update pointers set release = '{B}'", ("foreign table", "champion epoch 1")),
}


@pytest.mark.parametrize("name", PLANTS)
def test_the_doctor_finds_what_is_wrong_with_a_table(name: str, local: Store, tmp_path: Path) -> None:
    statements, (kind, subject) = PLANTS[name]
    register(local, tmp_path, A, B)
    table = add(local, tmp_path, "a1", A)
    local.promote(A, 0, "first")
    assert findings(local) == []
    with closing(sqlite3.connect(local.catalog.where)) as database, database:
        for statement in statements.format(B=B).split("; "):
            assert database.execute(statement).rowcount, statement
    with open_store(local.url, create=False) as store:
        assert (kind, subject.format(a1=table.id)) in findings(store)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (Path.unlink, "missing file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "truncated file"),
        (lambda path: path.with_name("extra").write_bytes(b"x"), "foreign file"),
    ],
)
def test_the_doctor_reads_the_files_of_tables(
    change: Callable[[Path], object], kind: str, local: Store, tmp_path: Path
) -> None:
    register(local, tmp_path, A)
    table = add(local, tmp_path, "a1", A)
    assert table.folder is not None
    change(local.path(table.folder) / "table.mdb")
    assert [found for found, _ in findings(local)] == [kind]
