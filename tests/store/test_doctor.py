"""The doctor finds each planted fault, names it and says what to do; a whole store has none."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ninetyfive.decisions.retention import rollbacks
from ninetyfive.errors import IntegrityError
from ninetyfive.store.catalog import to_json
from ninetyfive.store.opening import Store, open_store
from ninetyfive.store.records import Finding


def found(store: Store) -> list[Finding]:
    """What the doctor finds, but for the room on this machine's disk."""
    return [finding for finding in store.doctor() if finding.kind != "disk space"]


@pytest.fixture
def filled(store: Store, tmp_path: Path) -> Store:
    with store.lease("test"):
        run = store.begin_run("run", "key")
        blob = store.put_bytes(b"model")
        store.record(run.id, "train", "k", {}, artifacts=[blob], seconds=0.0)
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "model").write_bytes(b"a model")
        store.add_release("1" * 64, store.put_folder(tmp_path / "made", "release-1"), {}, run.id)
        store.finish_run(run.id, "done")
    store.promote("1" * 64, 0, "first")
    return store


def test_a_whole_store_has_no_findings(filled: Store) -> None:
    assert found(filled) == []


def test_an_orphan_is_a_warning(filled: Store) -> None:
    blob = filled.put_bytes(b"orphan")
    (finding,) = found(filled)
    assert (finding.kind, finding.level) == ("orphan file", "warning")
    assert blob in finding.subject


def test_what_a_living_run_has_put_is_no_orphan(filled: Store) -> None:
    with filled.lease("run"):
        filled.put_bytes(b"not named yet")
        assert found(filled) == []


@pytest.mark.parametrize("kind", ["missing file", "altered file"])
def test_missing_and_altered_files_are_named_and_come_first(
    store: Store, tmp_path: Path, kind: str, damage: Any
) -> None:
    with store.lease("test"):
        run = store.begin_run("run", "key")
        blob = store.put_bytes(b"model")
        store.record(run.id, "train", "k", {}, artifacts=[blob], seconds=0.0)
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "model").write_bytes(b"a model")
        store.add_release("1" * 64, store.put_folder(tmp_path / "made", "release-1"), {}, run.id)
        store.finish_run(run.id, "done")
    store.put_bytes(b"orphan")
    places = [(blob, ""), ("release-1", "model")]
    for name, file in places:
        if kind == "missing file":
            damage.remove(store, name, file)
        else:
            damage.alter(store, name, b"evil on" if file else b"devil", file)
    first, second, third = found(store)
    assert [first.kind, second.kind, third.kind] == [kind, kind, "orphan file"]
    assert {first.subject, second.subject} == {damage.where(store, name, file) for name, file in places}
    assert [words for words in (first.do, second.do) if "promote another one" in words] == [second.do]


def test_a_broken_catalog_is_found(filled: Store) -> None:
    with filled.catalog.write() as connection:
        connection.exec_driver_sql("UPDATE audit SET actor = 'mallory' WHERE seq = 2")
    assert [finding.kind for finding in found(filled)] == ["audit"]


def test_a_row_that_names_nothing_is_found(filled: Store) -> None:
    if filled.catalog.database.where.startswith("postgresql"):
        with filled.catalog.write() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = 'replica'")  # looks at no reference
            connection.exec_driver_sql("UPDATE pointers SET release = 'gone'")
    else:
        database = sqlite3.connect(filled.catalog.where)
        database.execute("UPDATE pointers SET release = 'gone'")
        database.commit()
        database.close()
    kinds = {finding.kind for finding in found(filled)}
    in_a_bucket = filled.artifacts.mirror is not None  # where live.json still says what was promoted
    assert kinds == {"catalog", "audit"} | ({"lagging mirror"} if in_a_bucket else set())


def test_little_room_is_a_warning(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    (finding,) = local.doctor()
    assert (finding.kind, finding.level) == ("disk space", "warning")


@dataclass(frozen=True)
class Place:
    """A store with a past in which a fault is planted."""

    root: Path
    release: Path
    span: Path
    model: Path
    state: Path

    def sql(self, *words: str) -> None:
        """Change the catalog behind the store's back."""
        database = sqlite3.connect(self.root / "catalog.sqlite", isolation_level=None)
        for word in words:
            database.execute(word)
        database.close()

    def page(self, table: str) -> None:
        """Overwrite the first page of a table."""
        database = sqlite3.connect(self.root / "catalog.sqlite", isolation_level=None)
        ((number,),) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchall()
        ((size,),) = database.execute("PRAGMA page_size").fetchall()
        database.close()
        with (self.root / "catalog.sqlite").open("r+b") as stream:
            stream.seek((number - 1) * size)
            stream.write(b"\xa5" * size)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, fill: Callable[[Store, int, Path], list[str]]) -> Path:
    root = tmp_path_factory.mktemp("past")
    with open_store(root / "store", actor="ada") as store:
        fill(store, 3, root / "made")
    return root / "store"


@pytest.fixture
def place(past: Path, tmp_path: Path) -> Place:
    root = tmp_path / "store"
    shutil.copytree(past, root)
    with open_store(root, create=False) as store:
        seen = store.inventory(())
        ids = [seen.spans[0].artifacts[0], seen.steps[-1].artifacts[0]]
        large = next(row.artifact for row in seen.states if row.artifact)
        return Place(root, store.path(seen.releases[0].folder), *(store.path(name) for name in (*ids, large)))


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def swapped(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def linked(place: Place, path: Path) -> None:
    """A link to the same bytes elsewhere."""
    shutil.copyfile(path, place.root / "elsewhere")
    swapped(path, str(place.root / "elsewhere"))


def moved_out(path: Path) -> None:
    path.rename(path.parent.parent / "away")
    path.symlink_to("../away")


def torn(data: bytes) -> bytes:
    return data[:-2]


def emptied(data: bytes) -> bytes:
    return b""


def evil(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


CHAIN = "find out who changed the catalog by hand"
RELEASE = "restore it from a backup, or delete its folder and run with the same data, code and lock"
SPAN = "it is read anew from data/1.csv"
ANEW = "run again: it is computed anew"
PLANTS: dict[str, tuple[Callable[[Place], Any], str, str, str]] = {
    "a release's file is gone": (lambda p: (p.release / "model").unlink(), "missing file", "/model", RELEASE),
    "a release is gone": (lambda p: shutil.rmtree(p.release), "missing file", "release-", RELEASE),
    "a release's file is altered": (lambda p: rewrite(p.release / "model", evil), "altered file", "/model", RELEASE),
    "a release's file is cut": (lambda p: rewrite(p.release / "model", torn), "truncated file", "/model", RELEASE),
    "a release's file is empty": (
        lambda p: (p.release / "model").write_bytes(b""),
        "truncated file",
        "/model",
        RELEASE,
    ),
    "a release's file is longer": (
        lambda p: rewrite(p.release / "model", lambda data: data + b"x"),
        "altered file",
        "/model",
        RELEASE,
    ),
    "a file too many in a release": (
        lambda p: (p.release / "notes.txt").write_text("mine"),
        "foreign file",
        "/notes.txt",
        "move it elsewhere: the folder is whole without it",
    ),
    "a manifest is gone": (lambda p: (p.release / "manifest.json").unlink(), "missing file", "manifest.json", RELEASE),
    "a manifest is no manifest": (
        lambda p: (p.release / "manifest.json").write_text("{]"),
        "unreadable manifest",
        "manifest.json",
        RELEASE,
    ),
    "a manifest is another one": (
        lambda p: (p.release / "manifest.json").write_text('{"files":{},"version":1}'),
        "altered file",
        "manifest.json",
        RELEASE,
    ),
    "a link in a release": (lambda p: linked(p, p.release / "model"), "link", "/model", "put a copy there"),
    "a link to a release": (lambda p: moved_out(p.release), "link", "release-", "put a copy there"),
    "a span's file is gone": (lambda p: p.span.unlink(), "missing file", "artifacts/", f"run again: {SPAN}"),
    "a span's file is altered": (
        lambda p: rewrite(p.span, evil),
        "altered file",
        "artifacts/",
        f"delete it and run again: {SPAN}",
    ),
    "a span's file is cut": (lambda p: rewrite(p.span, torn), "truncated file", "artifacts/", SPAN),
    "a step's file is gone": (lambda p: p.model.unlink(), "missing file", "artifacts/", ANEW),
    "a step's file is altered": (
        lambda p: rewrite(p.model, evil),
        "altered file",
        "artifacts/",
        f"delete it and {ANEW}",
    ),
    "a large state is altered": (lambda p: rewrite(p.state, evil), "altered file", "artifacts/", ANEW),
    "a link in place of a file": (lambda p: linked(p, p.span), "link", "artifacts/", "put a copy there"),
    "a dangling link": (lambda p: swapped(p.span, "nowhere"), "link", "artifacts/", "put a copy there"),
    "a file with another name": (
        lambda p: (p.root / "artifacts" / "notes.txt").write_text("mine"),
        "foreign file",
        "notes.txt",
        "gc leaves it alone",
    ),
    "a folder with another name": (
        lambda p: (p.root / "folders" / "my notes").mkdir(),
        "foreign file",
        "my notes",
        "gc leaves it alone",
    ),
    "an orphan": (
        lambda p: (p.root / "artifacts" / ("0" * 64)).write_bytes(b""),
        "orphan file",
        "0" * 64,
        "ninetyfive gc --yes",
    ),
    "an orphaned folder": (
        lambda p: shutil.copytree(p.release, p.root / "folders" / "release-0"),
        "orphan file",
        "release-0",
        "ninetyfive gc --yes",
    ),
    "a record is altered": (
        lambda p: p.sql("UPDATE audit SET actor = 'eve' WHERE seq = 4"),
        "audit",
        "record 4",
        CHAIN,
    ),
    "a record is deleted": (lambda p: p.sql("DELETE FROM audit WHERE seq = 4"), "audit", "record 4", CHAIN),
    "the last records are cut": (lambda p: p.sql("DELETE FROM audit WHERE seq > 20"), "audit", "record 21 to", CHAIN),
    "two records change places": (
        lambda p: p.sql(
            "UPDATE audit SET seq = 99 WHERE seq = 4",
            "UPDATE audit SET seq = 4 WHERE seq = 5",
            "UPDATE audit SET seq = 5 WHERE seq = 99",
        ),
        "audit",
        "record 4",
        CHAIN,
    ),
    "a record is put in": (
        lambda p: p.sql(
            "INSERT INTO audit SELECT seq + 1, time, actor, action, subject, details, previous, hash "
            "FROM audit ORDER BY seq DESC LIMIT 1"
        ),
        "audit",
        "record",
        CHAIN,
    ),
    "a pointer that nobody set": (
        lambda p: p.sql(
            'INSERT INTO pointers SELECT name, 9, release, below, action, reason, actor, since, "table" '
            "FROM pointers WHERE epoch = 1"
        ),
        "audit",
        "champion epoch 9",
        CHAIN,
    ),
    "a pointer to no release": (
        lambda p: p.sql("PRAGMA foreign_keys = 0", "UPDATE pointers SET release = 'gone' WHERE epoch = 1"),
        "catalog",
        "catalog.sqlite",
        "restore the catalog from a backup",
    ),
    "a release without a folder": (
        lambda p: p.sql("PRAGMA foreign_keys = 0", "DELETE FROM artifacts WHERE id LIKE 'release-%'"),
        "catalog",
        "catalog.sqlite",
        "restore the catalog from a backup",
    ),
    "a page of the audit": (lambda p: p.page("audit"), "catalog", "catalog.sqlite", "restore"),
    "a page of the artifacts": (lambda p: p.page("artifacts"), "catalog", "catalog.sqlite", "restore"),
    "a pointer that is gone": (
        lambda p: p.sql("DELETE FROM pointers WHERE epoch = 3"),
        "audit",
        "champion epoch 3",
        CHAIN,
    ),
    "a pointer to an epoch that is none": (
        lambda p: p.sql("UPDATE pointers SET below = 77 WHERE epoch = 3"),
        "audit",
        "champion epoch 3",
        CHAIN,
    ),
    "a pointer to itself": (
        lambda p: p.sql("UPDATE pointers SET below = 3 WHERE epoch = 3"),
        "audit",
        "champion epoch 3",
        CHAIN,
    ),
    "a pointer of somebody else": (
        lambda p: p.sql("UPDATE pointers SET actor = 'eve' WHERE epoch = 2"),
        "audit",
        "champion epoch 2",
        CHAIN,
    ),
    "a pointer for another reason": (
        lambda p: p.sql("UPDATE pointers SET reason = 'worse' WHERE epoch = 2"),
        "audit",
        "champion epoch 2",
        CHAIN,
    ),
    "a release that is gone from the catalog": (
        lambda p: p.sql(
            "PRAGMA foreign_keys = 0",
            "UPDATE runs SET release = NULL WHERE number = 1",
            "DELETE FROM releases WHERE number = 1",
        ),
        "audit",
        "release ",
        CHAIN,
    ),
    "a release with the folder of another": (
        lambda p: p.sql("UPDATE releases SET folder = (SELECT folder FROM releases WHERE number = 1) WHERE number = 3"),
        "audit",
        "release ",
        CHAIN,
    ),
    "a pin that nobody set": (
        lambda p: p.sql("INSERT INTO pins SELECT release, 'mine', 'eve', created FROM releases WHERE number = 1"),
        "audit",
        "pin of release",
        "pin or unpin it again",
    ),
    "an output that is no JSON": (
        lambda p: p.sql("UPDATE steps SET output = '{' WHERE key = 'train 1'"),
        "altered row",
        "step train of run-1",
        "ninetyfive run --from train",
    ),
    "an output that is another": (
        lambda p: p.sql("UPDATE steps SET output = '{}' WHERE key = 'fit 2'"),
        "altered row",
        "step fit of run-2",
        "ninetyfive run --from fit",
    ),
    "a release's document is another": (
        lambda p: p.sql("UPDATE releases SET document = '{}' WHERE number = 2"),
        "altered row",
        "release ",
        CHAIN,
    ),
    "a release's document is no JSON": (
        lambda p: p.sql("UPDATE releases SET document = 'x' WHERE number = 2"),
        "altered row",
        "release ",
        CHAIN,
    ),
    "a run's document is another": (
        lambda p: p.sql("UPDATE runs SET document = '[]' WHERE number = 2"),
        "altered row",
        "run-2",
        CHAIN,
    ),
    "a span's details are others": (
        lambda p: p.sql("UPDATE spans SET details = '{\"checks\": 1}' WHERE sequence = 1"),
        "altered row",
        "data/1.csv",
        CHAIN,
    ),
    "a span without its rows": (
        lambda p: p.sql("UPDATE spans SET artifact = NULL WHERE sequence = 1"),
        "altered row",
        "data/1.csv",
        CHAIN,
    ),
    "a span with the rows of another": (
        lambda p: p.sql(
            "UPDATE spans SET artifact = (SELECT artifact FROM spans WHERE sequence = 2) WHERE sequence = 1"
        ),
        "altered row",
        "data/1.csv",
        CHAIN,
    ),
    "a state with nothing in it": (
        lambda p: p.sql("UPDATE states SET artifact = NULL WHERE artifact IS NOT NULL"),
        "altered state",
        "state ",
        "ninetyfive run --from ingest",
    ),
    "a state in the file of another": (
        lambda p: p.sql("UPDATE states SET artifact = (SELECT max(artifact) FROM states) WHERE artifact IS NOT NULL"),
        "altered state",
        "state ",
        "ninetyfive run --from ingest",
    ),
    "a file of another size": (
        lambda p: p.sql("UPDATE artifacts SET size = size + 1 WHERE files IS NULL"),
        "altered row",
        "artifact ",
        CHAIN,
    ),
    "a folder of another size": (
        lambda p: p.sql("UPDATE artifacts SET size = 1 WHERE files IS NOT NULL"),
        "altered row",
        "artifact release-",
        CHAIN,
    ),
    "a folder with other files": (
        lambda p: p.sql("UPDATE artifacts SET files = '{}' WHERE files IS NOT NULL"),
        "altered row",
        "artifact release-",
        CHAIN,
    ),
    "rows that do not add up": (
        lambda p: p.sql("UPDATE spans SET read = read + 1 WHERE sequence = 1"),
        "span counts",
        "data/1.csv",
        CHAIN,
    ),
    "chunks that do not add up": (
        lambda p: p.sql("UPDATE spans SET chunks = '[1,1]' WHERE sequence = 1"),
        "span counts",
        "data/1.csv",
        CHAIN,
    ),
    "a small state is altered": (
        lambda p: p.sql(
            "UPDATE states SET blob = x'00' WHERE blob IS NOT NULL AND rowid = "
            "(SELECT min(rowid) FROM states WHERE blob IS NOT NULL)"
        ),
        "altered state",
        "state p:1",
        "ninetyfive run --from ingest",
    ),
    "a step that made nothing": (
        lambda p: p.sql(f"UPDATE steps SET artifacts = '[\"{'f' * 64}\"]' WHERE key = 'train 1'"),
        "broken step",
        "step train of run-1",
        "the next run does this step again",
    ),
    "a file that cannot be read": (lambda p: p.span.chmod(0), "wrong permissions", "artifacts/", "chmod u+rX"),
    "a folder that cannot be read": (lambda p: p.release.chmod(0o400), "wrong permissions", "release-", "chmod u+rX"),
    "a store that others may write": (lambda p: p.root.chmod(0o777), "wrong permissions", "store", "chmod go-w"),
    "a catalog that others may write": (
        lambda p: (p.root / "catalog.sqlite").chmod(0o666),
        "wrong permissions",
        "catalog.sqlite",
        "chmod go-w",
    ),
    "files that others may write": (
        lambda p: (p.root / "artifacts").chmod(0o777),
        "wrong permissions",
        "/artifacts",
        "chmod go-w",
    ),
    "folders that others may write": (
        lambda p: (p.root / "folders").chmod(0o777),
        "wrong permissions",
        "/folders",
        "chmod go-w",
    ),
    "a release that others may write": (
        lambda p: p.release.chmod(0o777),
        "wrong permissions",
        "release-",
        "chmod go-w",
    ),
    "a release's file that others may write": (
        lambda p: (p.release / "model").chmod(0o666),
        "wrong permissions",
        "/model",
        "chmod go-w",
    ),
    "a file that the group may write, which may enter": (
        lambda p: (p.root.chmod(0o750), (p.release / "model").chmod(0o660)),
        "wrong permissions",
        "/model",
        "chmod go-w",
    ),
    "a link in place of the catalog": (
        lambda p: linked(p, p.root / "catalog.sqlite"),
        "link",
        "catalog.sqlite",
        "put a copy there",
    ),
    "a file beside the catalog": (
        lambda p: (p.root / "notes.txt").write_text("mine"),
        "foreign file",
        "notes.txt",
        "the store leaves it alone",
    ),
    "a lease of the dead": (
        lambda p: (p.root / "lease.json").write_text("{}"),
        "stale lease",
        "lease.json",
        "who comes next takes the lease",
    ),
    "what a killed process left": (
        lambda p: (p.root / "tmp" / "77-dead").mkdir(),
        "leftover",
        "77-dead",
        "the next run removes it",
    ),
    "a run that was killed": (
        lambda p: p.sql("UPDATE runs SET status = 'running' WHERE number = 3"),
        "unfinished run",
        "run-3",
        "it resumes where it stopped",
    ),
}


@pytest.mark.parametrize("words", PLANTS)
def test_each_planted_fault_is_found_and_said_what_to_do(place: Place, words: str) -> None:
    plant, kind, subject, do = PLANTS[words]
    with open_store(place.root, create=False) as store:
        assert found(store) == []
        plant(place)
        findings = found(store)
    named = [finding for finding in findings if finding.kind == kind and subject in finding.subject]
    assert named, findings
    assert do in named[0].do
    harmless = {"orphan file", "broken step", "stale lease", "leftover", "unfinished run"}
    warning = kind in harmless or "leaves it alone" in do or "go-w" in do
    assert {finding.level for finding in named} == {"warning" if warning else "error"}
    if not warning:
        assert findings[0].level == "error"
    tampered = {"catalog", "audit", "span counts", "altered row"}
    allowed = {kind, *(tampered if kind in tampered else ()), *ALSO.get(words, ())}
    allowed |= {"foreign file"} if kind == "link" else set()  # what it leads to
    assert {finding.kind for finding in findings} <= allowed


ALSO = {
    "a dangling link": ("missing file",),
    "a release without a folder": ("orphan file", "broken step"),
    "a page of the artifacts": ("orphan file", "broken step"),
    "a file that cannot be read": ("unreadable file",),
    "a folder that cannot be read": ("unreadable file", "missing file"),
}
"""What else is found where one fault makes others."""


def test_what_the_group_may_write_and_not_enter_is_no_finding(place: Place) -> None:
    """As a umask of 002 makes it, in a store that is private."""
    place.root.chmod(0o700)
    for path in place.root.rglob("*"):
        path.chmod(path.stat().st_mode | 0o020)
    with open_store(place.root, create=False) as store:
        assert found(store) == []


def test_a_pointer_that_leads_nowhere_is_no_place_to_return_to(place: Place) -> None:
    for below in (77, 3):
        place.sql(f"UPDATE pointers SET below = {below} WHERE epoch = 3")
        with open_store(place.root, create=False) as store:
            assert rollbacks(store.history()) == []
            with pytest.raises(IntegrityError, match=f"no epoch {below} before epoch 3"):
                store.rollback(3, "back")


@pytest.mark.parametrize("output", ["{", "[]", "7", ""])
def test_a_step_whose_output_cannot_be_read_is_done_again(place: Place, output: str) -> None:
    with open_store(place.root, create=False) as store:
        assert store.recorded("train 1") == {}
        place.sql(f"UPDATE steps SET output = '{output}' WHERE key = 'train 1'")
        assert store.recorded("train 1") is None
        run = store.runs()[0].id
        store.record(run, "train", "train 1", {"made": 1}, artifacts=[], seconds=0.0)
        assert found(store) == []


def test_what_was_recorded_before_rows_had_hashes_is_not_called_altered(place: Place) -> None:
    """An older ninetyfive left them out; that a row cannot be read is found all the same."""
    with open_store(place.root, create=False) as store:
        for number, record in enumerate(store.audit_records(), 1):
            left_out = {name: record.details[name] for name in record.details.keys() - {"rows", "output", "document"}}
            place.sql(f"UPDATE audit SET details = '{to_json(left_out)}' WHERE seq = {number}")
        place.sql("UPDATE steps SET output = '{\"a\": 1}'", "UPDATE spans SET details = '{' WHERE sequence = 1")
        rows = [finding for finding in found(store) if finding.kind == "altered row"]
    assert [finding.problem for finding in rows] == ["its details cannot be read"]


def test_every_file_that_is_wrong_is_named(place: Place) -> None:
    """Not only the first of a release."""
    files = sorted(path for path in place.release.iterdir() if path.name != "manifest.json")
    for path in files:
        rewrite(path, evil)
    rewrite(place.span, evil)
    place.model.unlink()
    with open_store(place.root, create=False) as store:
        subjects = {finding.subject for finding in found(store) if finding.level == "error"}
    assert subjects == {str(path) for path in (*files, place.span, place.model)}


def test_a_catalog_that_cannot_be_opened_is_told_when_it_is(place: Place) -> None:
    (place.root / "catalog.sqlite").write_bytes(b"x" * 5_000)
    with pytest.raises(IntegrityError, match="restore it from a backup"):
        open_store(place.root, create=False)


def test_progress_goes_to_the_end(place: Place) -> None:
    told: list[tuple[int, int | None]] = []
    with open_store(place.root, create=False) as store:
        store.doctor(lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert len(told) > 3


def test_a_manifest_that_is_no_text_is_told(place: Place) -> None:
    rewrite(place.release / "manifest.json", lambda data: data[:2] + b"\xb2" + data[3:])
    with open_store(place.root, create=False) as store:
        assert [finding.kind for finding in found(store)] == ["unreadable manifest"]
