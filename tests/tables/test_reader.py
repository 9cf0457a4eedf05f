"""A table that was written is read again, entry for entry; one that is not whole, or not ours, is refused."""

from __future__ import annotations

import math
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ninetyfive.errors import IntegrityError, PlanError
from ninetyfive.store.manifests import MANIFEST, describe_folder
from ninetyfive.tables.about import Population, TableAbout, table_id
from ninetyfive.tables.keys import KEY_BYTES, entity_key, whole_key
from ninetyfive.tables.layout import ABOUT, ENTRIES, packer
from ninetyfive.tables.reader import Table
from ninetyfive.tables.writer import write_table

Rows = dict[tuple[Any, ...], tuple[int, tuple[float, ...]]]
ABOUT_IT = TableAbout(
    release="r" * 64,
    system="trips",
    task="binary",
    label="tip",
    entity=("zone", "hour"),
    classes=(),
    rows=0,
    as_of="2026-01-31T00:00:00+00:00",
    population=Population(kind="file", urls=("all.parquet",), sha256="", read=0),
    answers=(),
    made="2026-01-31T01:00:00+00:00",
)


def written(folder: Path, rows: Rows, about: TableAbout = ABOUT_IT, run_bytes: int = 1 << 20) -> Path:
    """A table in a new folder, with its manifest."""
    pack = packer(len(about.classes))
    entries = []
    for entity, (fingerprint, answers) in rows.items():
        key, whole = entity_key(entity), whole_key(entity)
        assert key is not None
        assert whole is not None
        entries.append((key, pack(fingerprint, *answers) + (b"" if key == whole else whole)))
    (folder / "table").mkdir(parents=True)
    (folder / "runs").mkdir()
    told = write_table(folder / "table", about, entries, folder / "runs", run_bytes)
    assert told.rows == len(rows)
    (folder / "table" / MANIFEST).write_bytes(describe_folder(folder / "table").data)
    return folder / "table"


def bits(answers: tuple[float, ...]) -> bytes:
    return struct.pack(f"{len(answers)}d", *answers)


def holds(table: Table, rows: Rows) -> None:
    for entity, (fingerprint, answers) in rows.items():
        key = entity_key(entity)
        assert key is not None
        found = table.get(key)
        assert found is not None
        assert found[0] == fingerprint
        assert bits(found[1]) == bits(answers)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=700), st.integers(-(2**63), 2**63 - 1)),
        st.tuples(st.integers(0, 2**64 - 1), st.tuples(st.floats(), st.floats(), st.floats())),
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: Rows, chance: random.Random) -> None:
    about = msgspec.structs.replace(ABOUT_IT, task="multiclass", classes=("a", "b", "c"))
    folder = tmp_path_factory.mktemp("table")
    path = written(folder / "one", rows, about, run_bytes=900)
    table = Table(path, release="r" * 64, checked=False, entity=("zone", "hour"))
    assert table.size == len(rows)
    holds(table, rows)
    assert sorted(table.keys()) == sorted(whole_key(entity) or b"" for entity in rows)
    assert table.get(entity_key(["somebody", "else"]) or b"") is None
    table.close()
    shuffled = list(rows.items())
    chance.shuffle(shuffled)
    again = written(folder / "two", dict(shuffled), about)
    assert (again / ENTRIES).read_bytes() == (path / ENTRIES).read_bytes() or len(rows) == 0


def test_a_large_table_is_merged_from_runs(tmp_path: Path) -> None:
    rows: Rows = {(f"user-{number}", number): (number, (number / 7,)) for number in range(100_000)}
    shuffled = list(rows.items())
    random.Random(95).shuffle(shuffled)
    path = written(tmp_path, dict(shuffled), run_bytes=4 << 20)
    assert len(list((tmp_path / "runs").iterdir())) > 3
    table = Table(path, release="r" * 64, checked=True)
    assert table.size == 100_000
    holds(table, rows)
    assert (path / ENTRIES).stat().st_size < 60 * 100_000  # full pages: keys of 18 bytes, values of 16
    table.close()


def test_no_answer_is_nan_and_a_hashed_key_is_answered_by_its_whole_one_only(tmp_path: Path) -> None:
    long = ("x" * KEY_BYTES, 1)
    path = written(tmp_path, {long: (1, (0.5,)), ("short", 1): (2, (math.nan,))})
    table = Table(path, release="r" * 64, checked=True)
    key, short = entity_key(long), entity_key(["short", 1])
    assert key is not None
    assert short is not None
    assert table.get(key) == (1, (0.5,))
    found = table.get(short)
    assert found is not None
    assert math.isnan(found[1][0])
    table.close()


def test_a_hash_that_stands_for_another_key_is_not_answered(tmp_path: Path) -> None:
    key = entity_key(["x" * KEY_BYTES, 1])
    assert key is not None
    for name in ("table", "runs"):
        (tmp_path / name).mkdir()
    write_table(tmp_path / "table", ABOUT_IT, [(key, packer(0)(1, 0.5) + b"another")], tmp_path / "runs")
    (tmp_path / "table" / MANIFEST).write_bytes(describe_folder(tmp_path / "table").data)
    table = Table(tmp_path / "table", release="r" * 64, checked=True)
    assert table.get(key) is None
    table.close()


def test_an_entity_that_comes_twice_is_refused(tmp_path: Path) -> None:
    for name in ("table", "runs"):
        (tmp_path / name).mkdir()
    entries = [(b"a", packer(0)(1, 0.5)), (b"b", packer(0)(1, 0.5)), (b"a", packer(0)(2, 0.5))]
    with pytest.raises(PlanError, match="each entity once"):
        write_table(tmp_path / "table", ABOUT_IT, entries, tmp_path / "runs")


def flip(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 4
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


def forged(folder: Path, **words: Any) -> None:
    """Another table.json, with a manifest that fits."""
    about = msgspec.structs.replace(msgspec.json.decode((folder / ABOUT).read_bytes(), type=TableAbout), **words)
    (folder / ABOUT).write_bytes(msgspec.json.encode(about))
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).write_bytes(describe_folder(folder).data)


INJURIES: dict[str, tuple[Callable[[Path], object], str, bool]] = {
    **{f"a bit turned at {place}": (lambda f, p=place: flip(f / ENTRIES, p), "sha256", False) for place in (0, 0.5, 1)},
    "a bit of table.json turned": (lambda f: flip(f / ABOUT, 0.5), "sha256", False),
    "cut": (lambda f: cut(f / ENTRIES), "bytes", True),
    "empty": (lambda f: (f / ENTRIES).write_bytes(b""), "bytes", True),
    "gone": (lambda f: (f / ENTRIES).unlink(), "no file", True),
    "no manifest": (lambda f: (f / MANIFEST).unlink(), "no file", True),
    "a manifest that is none": (lambda f: (f / MANIFEST).write_bytes(b"{}"), "a manifest that can be read", True),
    "a file more": (lambda f: (f / "extra").write_bytes(b"x"), "not listed", False),
    "another release": (lambda f: forged(f, release="s" * 64), "of release ssss", True),
    "another entity": (lambda f: forged(f, entity=("zone",)), "looked up by", True),
    "more entries than there are": (lambda f: forged(f, rows=4), "4 entries", True),
    "another version": (lambda f: forged(f, version=2), "version 2", True),
    "a table.json that says nothing": (
        lambda f: (
            (f / ABOUT).write_bytes(b"{}"),
            (f / MANIFEST).unlink(),
            (f / MANIFEST).write_bytes(describe_folder(f).data),
        ),
        "a table of version",
        True,
    ),
    "no table": (
        lambda f: (
            (f / ENTRIES).write_bytes(b"x" * 8192),
            (f / MANIFEST).unlink(),
            (f / MANIFEST).write_bytes(describe_folder(f).data),
        ),
        "can be read",
        True,
    ),
}


@pytest.mark.parametrize("name", INJURIES)
def test_what_is_not_whole_or_not_ours_is_refused(name: str, tmp_path: Path) -> None:
    injure, told, also_checked = INJURIES[name]
    path = written(tmp_path, {("airport", hour): (hour, (hour / 24,)) for hour in range(24)})
    words: Any = {"release": "r" * 64, "entity": ("zone", "hour")}
    Table(path, checked=False, **words).close()
    injure(path)
    for checked in (False, True) if also_checked else (False,):
        with pytest.raises(IntegrityError, match=told):
            Table(path, checked=checked, **words)


def test_the_name_of_a_table_is_what_it_says_and_holds(tmp_path: Path) -> None:
    path = written(tmp_path, {("airport", 1): (1, (0.5,))})
    entry = describe_folder_entry(path)
    later = msgspec.structs.replace(ABOUT_IT, made="2026-02-01T00:00:00+00:00")
    fresher = msgspec.structs.replace(ABOUT_IT, as_of="2026-02-01T00:00:00+00:00")
    assert table_id(ABOUT_IT, entry) == table_id(later, entry)
    assert table_id(ABOUT_IT, entry) != table_id(fresher, entry)
    assert table_id(ABOUT_IT, entry) != table_id(ABOUT_IT, msgspec.structs.replace(entry, sha256="0" * 64))


def describe_folder_entry(path: Path) -> Any:
    (path / MANIFEST).unlink()
    return describe_folder(path).files[ENTRIES]


FULL = """
import resource, sys
from pathlib import Path
from tests.tables.test_reader import ABOUT_IT
from ninetyfive.errors import StoreError
from ninetyfive.tables.layout import packer
from ninetyfive.tables.writer import write_table

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
table, runs = (Path(sys.argv[1]) / name for name in ("table", "runs"))
table.mkdir(), runs.mkdir()
entries = ((b"%08d" % number, packer(0)(number, 0.5)) for number in range(20_000))
try:
    write_table(table, ABOUT_IT, entries, runs, int(sys.argv[2]))
except StoreError as error:
    print(error.do)
"""


@pytest.mark.slow
@pytest.mark.parametrize("run_bytes", [1 << 30, 2_000_000])
def test_a_full_disk_is_told(tmp_path: Path, run_bytes: int) -> None:
    """Under the table, and under its runs."""
    words = [sys.executable, "-c", FULL, str(tmp_path), str(run_bytes)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.startswith("free space there")
