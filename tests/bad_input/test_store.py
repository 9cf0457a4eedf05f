"""Our own files: a flipped bit is found wherever it is; what is deleted is made anew; a release is read whole."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ninetyfive.errors import IntegrityError, SchemaError

if TYPE_CHECKING:
    import polars as pl
    from tests.bad_input.conftest import Victim


@contextmanager
def flipped(path: Path, place: int, bit: int) -> Iterator[None]:
    """A file with one bit turned over, put back afterwards."""
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[place] ^= 1 << bit
    path.chmod(0o600)
    path.write_bytes(damaged)
    try:
        yield
    finally:
        path.write_bytes(whole)


def stored(victim: Victim) -> list[Path]:
    """Every file of the store that its catalog names."""
    home = victim.project.folder / ".ninetyfive"
    return sorted(path for part in ("artifacts", "folders") for path in (home / part).rglob("*") if path.is_file())


def span(victim: Victim) -> Path:
    """The Parquet file of the good rows of the one span."""
    home = victim.project.folder / ".ninetyfive"
    with sqlite3.connect(home / "catalog.sqlite") as catalog:
        ((artifact,),) = catalog.execute("select artifact from spans").fetchall()
    catalog.close()
    return home / "artifacts" / str(artifact)


def test_a_flipped_bit_anywhere_in_the_store_is_found(unmoved: Victim) -> None:
    chance = random.Random(95)
    system = unmoved.project.load()
    for path in stored(unmoved):
        with flipped(path, chance.randrange(path.stat().st_size), chance.randrange(8)):
            found = system.doctor()
            assert not found["healthy"], path
            assert any(path.name in finding["subject"] for finding in found["findings"])
            assert all(finding["do"] for finding in found["findings"])
    assert system.doctor()["healthy"]


def test_a_flipped_bit_in_our_parquet_is_never_read_as_data(unmoved: Victim) -> None:
    """At the first and last byte, in the footer, and at places all over: a run that reads the span fails on it."""
    path, chance = span(unmoved), random.Random(95)
    size = path.stat().st_size
    for place in (0, 4, size - 1, size - 6, size - 200, *(chance.randrange(size) for _ in range(12))):
        with (
            flipped(path, place, chance.randrange(8)),
            pytest.raises(IntegrityError, match="delete it and run again") as caught,
        ):
            unmoved.project.run(start="apply")
        assert caught.value.where == str(path)
    assert unmoved.runs(start="apply")["promoted"]


def test_a_span_that_is_deleted_is_read_anew(live: Victim, more: pl.DataFrame) -> None:
    live.write("b.parquet", more)
    path = span(live)
    path.unlink()
    assert not live.project.load().doctor()["healthy"]
    document = live.runs()
    assert path.exists()
    assert document["window"]["rows"] == 1_600
    assert document["rows"]["read"] == 400, "reading a file again adds none"


def test_a_release_that_is_damaged_answers_nobody(live: Victim, rows: pl.DataFrame) -> None:
    asked = rows.head(3).drop("fare", "tip")
    release = live.project.release(live.project.champion())
    for path in sorted(release.iterdir()):
        with flipped(path, path.stat().st_size // 2, 0), pytest.raises(IntegrityError) as caught:
            live.project.load().predict(asked)
        assert caught.value.expected != caught.value.got
    with flipped(release / "model.onnx", 100, 3):
        assert live.project.command("predict", live.data / "a.parquet", "out.csv").code == 1
        assert not (live.project.folder / "out.csv").exists()
        assert live.project.command("doctor", "--json").json["healthy"] is False
    shutil.rmtree(release)
    with pytest.raises(IntegrityError, match="expected the folder that was stored there, got no such folder"):
        live.project.load().predict(asked)
    assert live.runs()["promoted"], "the same inputs make the same release again"
    assert live.project.load().predict(asked).height == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[[[", "expected TOML"),
        (b"\xff\xfe", "expected TOML in UTF-8"),
        (b"", "expected a table [columns], got none"),
        (b'[columns]\ntrip = { type = "intger" }', "did you mean 'integer'"),
        (b'[columns]\n"*" = { type = "integer" }', "reserved"),
    ],
)
def test_a_schema_that_was_edited_wrongly(unmoved: Victim, content: bytes, says: str) -> None:
    path = unmoved.project.folder / "schema.toml"
    whole = path.read_bytes()
    path.write_bytes(content if not content.startswith(b"[columns") else b"format = 1\nversion = 1\n" + content)
    with pytest.raises(SchemaError, match=r"schema\.toml") as caught:
        unmoved.project.run()
    assert says in str(caught.value)
    path.write_bytes(whole)
    assert unmoved.runs()["promoted"]


def test_a_catalog_that_is_no_database(live: Victim) -> None:
    path = live.project.folder / ".ninetyfive" / "catalog.sqlite"
    whole = path.read_bytes()
    path.write_bytes(b"x" * 5_000)
    for words in (["run"], ["status"]):
        said = live.project.command(*words)
        assert said.code == 1
        assert "expected a catalog that can be read" in said.err
    said = live.project.command("doctor")
    assert said.code == 3
    assert "restore it from a backup" in said.out
    path.write_bytes(whole)
    assert live.runs()["promoted"]
