"""Files that are empty, cut off, damaged, ragged, in another encoding, gone, or written while they are read."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from ninetyfive.errors import DeclarationError, SourceError
from ninetyfive.sources import discovery
from ninetyfive.steps import land

if TYPE_CHECKING:
    from tests.bad_input.conftest import Victim


@pytest.mark.parametrize(
    ("keep", "got"),
    [(0, "Parquet file size is 0 bytes"), (3, "Parquet file size is 3 bytes"), (900, "not found"), (-9, "not found")],
)
def test_a_parquet_file_that_is_empty_or_cut_off(live: Victim, more: pl.DataFrame, keep: int, got: str) -> None:
    path = live.write("b.parquet", more)
    path.write_bytes(path.read_bytes()[:keep])
    error = live.refuses(SourceError, "expected a whole Parquet file", got, "write or fetch it again")
    assert error.where == str(path)
    live.write("b.parquet", more)
    assert live.runs()["rows"]["read"] == 400


def test_a_parquet_file_without_rows(live: Victim, more: pl.DataFrame) -> None:
    path = live.write("b.parquet", more.clear())
    live.refuses(SourceError, "expected rows, got a Parquet file without any", "remove it from the source")
    path.unlink()
    assert live.runs()["reason"].startswith("it is the champion already")


def test_a_file_of_another_kind(live: Victim, fresh: Victim, more: pl.DataFrame) -> None:
    live.write("b.parquet", more.write_csv())
    live.refuses(SourceError, "b.parquet", "expected a whole Parquet file")
    fresh.use("csv")
    more.write_parquet(fresh.data / "b.csv")
    fresh.refuses(SourceError, "b.csv", "expected text in utf-8", "in the header")


@pytest.mark.parametrize(
    ("kind", "content", "got"),
    [
        ("csv", "", "expected a header line, got an empty file"),
        ("csv", "\n\n", "expected a header line, got an empty file"),
        ("csv", "trip,at,zone,distance,fare,tip\n", "expected rows, got a header and no rows"),
        ("jsonl", "", "expected a JSON object a line, got an empty file"),
        ("jsonl", "\n \n", "expected a JSON object a line, got an empty file"),
    ],
)
def test_a_text_file_without_rows(fresh: Victim, rows: pl.DataFrame, kind: str, content: str, got: str) -> None:
    fresh.use(kind)
    fresh.write(f"a.{kind}", rows)
    bad = fresh.write(f"b.{kind}", content)
    error = fresh.refuses(SourceError, got, "remove it from the source")
    assert error.where == str(bad)
    bad.unlink()
    assert fresh.runs()["rows"]["accepted"] == 1_200
    bad.write_text(content)
    fresh.refuses(SourceError, got)


def test_a_flipped_bit_in_a_source_with_page_checksums(live: Victim, more: pl.DataFrame) -> None:
    path = live.data / "b.parquet"
    pq.write_table(more.to_arrow(), path, write_page_checksum=True)
    whole, chance = path.read_bytes(), random.Random(95)
    pages = pq.ParquetFile(path).metadata.row_group(0).column(0).total_compressed_size
    for place in (4 + pages - 5, *(chance.randrange(4, 4 + pages) for _ in range(3))):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        error = live.refuses(SourceError, "expected a whole Parquet file", "broken or truncated")
        assert error.where == str(path)
    path.write_bytes(whole)
    assert live.runs()["rows"]["accepted"] == 400


@pytest.mark.parametrize(
    ("change", "where", "says"),
    [
        (lambda line: f"{line},7", "row 701", "expected 6 fields, got 7"),
        (lambda line: line.rpartition(",")[0], "row 701", "expected 6 fields, got 5"),
        (lambda line: f'"{line}', "", "quote"),
        (lambda line: line.replace(",", ",\xe9", 2), "", "expected text in utf-8, got bytes that are not"),
    ],
)
def test_a_csv_with_one_bad_line(fresh: Victim, rows: pl.DataFrame, change: Any, where: str, says: str) -> None:
    fresh.use("csv")
    lines = fresh.write("a.csv", rows).read_text().splitlines()
    lines[700] = change(lines[700])
    path = fresh.write("a.csv", "\n".join(lines).encode("latin-1"))
    error = fresh.refuses(SourceError, says)
    assert error.where.startswith(str(path))
    assert where in error.where
    assert not (fresh.project.folder / "schema.toml").exists()
    fresh.write("a.csv", rows)
    assert fresh.runs()["rows"]["accepted"] == 1_200


def test_a_csv_whose_separator_is_another(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.use("csv")
    fresh.write("a.csv", rows.write_csv(separator=";", datetime_format="%FT%T"))
    fresh.refuses(SourceError, "columns with ',' between them", "separator=';'")
    fresh.project.edit(('id="trip"', 'id="trip", separator=";"'))
    assert fresh.runs()["rows"]["accepted"] == 1_200


def test_a_csv_in_an_encoding_that_was_not_declared(fresh: Victim, rows: pl.DataFrame) -> None:
    fresh.use("csv")
    path = fresh.write("a.csv", rows)
    path.write_bytes(path.read_text().encode("utf-16"))
    fresh.refuses(SourceError, "expected text in utf-8", "declare its encoding= (such as 'latin-1' or 'utf-16')")
    fresh.project.edit(('id="trip"', 'id="trip", encoding="utf-16"'))
    assert fresh.runs()["rows"]["accepted"] == 1_200
    fresh.project.edit(("utf-16", "utf-99"))
    fresh.refuses_to_load(DeclarationError, "expected a text encoding, got utf-99")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"trip": 5,', "expected a JSON object, got '{\"trip\": 5,'"),
        (b"[1, 2]", "expected a JSON object"),
        (b'{"trip": 5, "zone": "\xe9"}', "expected text in utf-8"),
        (b'{"trip": 5, "zone": NaN}', "expected a JSON object"),
    ],
)
def test_a_jsonl_with_one_bad_line(fresh: Victim, rows: pl.DataFrame, line: bytes, says: str) -> None:
    fresh.use("jsonl")
    lines = fresh.write("a.jsonl", rows).read_bytes().splitlines()
    fresh.write("a.jsonl", b"\n".join([*lines[:699], line, *lines[700:]]))
    error = fresh.refuses(SourceError, "a.jsonl, line 700", says)
    assert "encoding=" not in error.do, "JSON is always UTF-8"
    fresh.write("a.jsonl", rows)
    assert fresh.runs()["rows"]["accepted"] == 1_200


def test_objects_without_columns(fresh: Victim, rows: pl.DataFrame) -> None:
    """What was inferred from them is not kept: the mended file has a schema of its own."""
    fresh.use("jsonl")
    fresh.write("a.jsonl", "{}\n{}\n")
    fresh.refuses(DeclarationError, "expected a column of the data, got 'trip'")
    fresh.write("a.jsonl", rows)
    assert fresh.runs()["rows"]["accepted"] == 1_200


@pytest.mark.parametrize(
    ("glob", "got", "do"),
    [
        ("data/*.parqet", "no match", "a.parquet"),
        ("dta/*.parquet", "no folder", "starts beside system.py"),
        ("data/b.parquet", "no match", "did you mean 'a.parquet'"),
    ],
)
def test_a_glob_without_a_match(unmoved: Victim, glob: str, got: str, do: str) -> None:
    with unmoved.edited(("data/*.parquet", glob)):
        error = unmoved.refuses(SourceError, glob, got)
    assert do in error.do
    assert unmoved.runs()["promoted"]


def test_a_file_that_changes_between_discovery_and_reading(
    live: Victim, more: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it keeps its size: else rows would be stored under the hash of other rows."""
    live.write("b.parquet", more)

    def then_changed(*given: Any) -> Any:
        found = discovery.discover(*given)
        live.write("b.parquet", more.with_columns(zone=pl.col("zone").reverse()))
        return found

    monkeypatch.setattr(land, "discover", then_changed)
    live.refuses(SourceError, "b.parquet", "then run again")
    monkeypatch.undo()
    assert live.runs()["rows"]["accepted"] == 400


def test_a_string_of_a_megabyte(live: Victim, more: pl.DataFrame) -> None:
    long = "é" * 500_000
    live.write(
        "b.parquet", more.with_columns(zone=pl.when(pl.col("trip") == 1_300).then(pl.lit(long)).otherwise("zone"))
    )
    assert live.runs()["rows"]["accepted"] == 400
    answer = live.project.load().predict(more.head(1).with_columns(zone=pl.lit(long)).drop("fare", "tip"))
    assert answer.height == 1


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_string_of_a_megabyte_in_text(fresh: Victim, rows: pl.DataFrame, kind: str) -> None:
    fresh.use(kind)
    long = pl.when(pl.col("trip") == 7).then(pl.lit('",\n"' * 250_000)).otherwise("zone")
    fresh.write(f"a.{kind}", rows.with_columns(zone=long))
    assert fresh.runs()["rows"]["accepted"] == 1_200
