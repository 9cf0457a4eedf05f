"""Declarations of sources, and finding their files: what is declared wrong fails before anything is opened."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pytest

from ninetyfive.errors import DeclarationError, SourceError
from ninetyfive.hashing import bytes_hash
from ninetyfive.sources.discovery import discover, frame_hash
from ninetyfive.sources.files import Source, csv, frame, jsonl, parquet


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_csv", ".csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(source: Source, folder: Path) -> list[str]:
    return sorted(found.url.removeprefix(f"{folder}/") for found in discover(source, str(folder)))


# --- declarations ---


def test_one_and_many_are_tuples() -> None:
    source = parquet("a", time="at", id="key", types={"zip": "string"}, optional="wind")
    assert source == Source("parquet", ("a",), "at", ("key",), (("zip", "string"),), ("wind",))
    assert csv([Path("a"), "b"], id=["x", "y"]).urls == ("a", "b")
    assert hash(source) == hash(parquet(["a"], time="at", id=["key"], types={"zip": "string"}, optional=["wind"]))
    assert str(csv(["a", "b"])) == "csv('a', 'b')"


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: parquet(""), "a path, a glob"),
        (lambda: parquet([]), "a path, a glob"),
        (lambda: parquet(["a", 5]), "a path, a glob"),  # type: ignore[list-item]
        (lambda: parquet(5), "a path, a glob"),  # type: ignore[arg-type]
        (lambda: parquet("a", time=5), "a column name"),  # type: ignore[arg-type]
        (lambda: parquet("a", time=""), "a column name"),
        (lambda: parquet("a", id=["x", "x"]), "each name once"),
        (lambda: parquet("a", id={"x": 1}), "a name or a list"),  # type: ignore[arg-type]
        (lambda: parquet("a", id="__span"), "names that start with __ are reserved"),
        (lambda: parquet("a", types={"x": "int"}), "a column type"),
        (lambda: parquet("a", types=["x"]), "a mapping"),  # type: ignore[arg-type]
        (lambda: parquet("a", id="x", optional="x"), "neither time nor id"),
        (lambda: csv("a", separator=";;"), "one ASCII character"),
        (lambda: csv("a", separator='"'), "one ASCII character"),
        (lambda: csv("a", encoding="latin-99"), "a text encoding"),
        (lambda: csv("a", null_values=5), "a name or a list"),
        (lambda: csv("a", seperator=";"), "did you mean 'separator'"),
        (lambda: jsonl("a", optional=[1]), "a column name"),  # type: ignore[list-item]
        (lambda: frame({"x": [1]}), "a frame in memory"),
        (lambda: frame(pl.DataFrame({"x": [1]}).lazy()), r"\.collect\(\)"),
    ],
)
def test_wrong_words_fail_at_once(declare: Callable[[], Source], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        declare()


# --- discovery ---


def test_globs_folders_and_lists_leave_out_what_is_hidden(tmp_path: Path) -> None:
    write(tmp_path, a_csv="1", b_csv="2", sub__c_csv="3")
    for hidden in ("_success.csv", ".d.csv", "_temporary/e.csv", "sub/.git/f.csv", "g.parquet"):
        path = tmp_path / hidden
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(hidden)
    assert names(csv("*.csv"), tmp_path) == ["a.csv", "b.csv"]
    assert names(csv("**/*.csv"), tmp_path) == ["a.csv", "b.csv", "sub/c.csv"]
    assert names(csv("."), tmp_path) == ["a.csv", "b.csv", "sub/c.csv"]
    assert names(csv(["sub", "a.csv", "a.*"]), tmp_path) == ["a.csv", "sub/c.csv"]
    assert names(csv("_temporary/*.csv"), tmp_path) == ["_temporary/e.csv"]
    assert names(csv(tmp_path / "_success.csv"), tmp_path) == ["_success.csv"]


def test_a_file_is_its_content(tmp_path: Path) -> None:
    write(tmp_path, a_csv="1", b_csv="1", c_csv="2")
    files = discover(csv("*.csv"), str(tmp_path))
    assert [found.sha256 for found in files] == sorted([bytes_hash(b"1"), bytes_hash(b"2")])
    (twice,) = [found for found in files if found.same]
    assert twice.url.endswith("a.csv")
    assert twice.same == (f"{tmp_path}/b.csv",)
    assert twice.part.span == bytes_hash(b"1")
    assert twice.size == 1


def test_files_that_did_not_change_are_not_hashed_again(tmp_path: Path) -> None:
    write(tmp_path, a_csv="1")
    (first,) = discover(csv("a.csv"), str(tmp_path))
    (second,) = discover(csv("a.csv"), str(tmp_path), {first.mark: "known"})
    assert second.sha256 == "known"
    os.utime(tmp_path / "a.csv", ns=(1, 1))
    (third,) = discover(csv("a.csv"), str(tmp_path), {first.mark: "known"})
    assert third.sha256 == first.sha256


@pytest.mark.parametrize(
    ("url", "got"),
    [
        ("flghts.csv", "no match"),
        ("flghts*.csv", "no match"),
        ("missing/*.csv", "no folder .*/missing"),
        ("nothing/here.csv", "no folder .*/nothing"),
    ],
)
def test_no_match_is_an_error(tmp_path: Path, url: str, got: str) -> None:
    write(tmp_path, flights_csv="1")
    with pytest.raises(SourceError, match=got) as caught:
        discover(csv(url), str(tmp_path))
    assert caught.value.where == url
    if url == "flghts.csv":
        assert "did you mean 'flights.csv'" in caught.value.do


def test_urls_that_nothing_opens(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="fsspec knows"):
        discover(csv("nope://bucket/a.csv"))


def test_any_fsspec_url(tmp_path: Path) -> None:
    with fsspec.open("memory://sources/a.csv", "wb") as stream:
        stream.write(b"x\n1\n")
    (found,) = discover(csv("memory://sources/*.csv"))
    assert (found.url, found.size) == ("memory:///sources/a.csv", 4)


def test_packed_files_are_found_in_folders(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x\n1\n"))
    assert names(csv("."), tmp_path) == ["a.csv.gz"]


# --- frames ---

FRAME = pl.DataFrame(
    {
        "i": [1, None, 3],
        "f": [0.5, None, float("nan")],
        "s": ["a", None, "bc"],
        "b": [b"\xff", None, b""],
        "c": pl.Series(["x", "y", None], dtype=pl.Categorical),
        "d": pl.Series([1, 2, None]).cast(pl.Decimal(10, 2)),
        "l": [[1], None, []],
        "a": pl.Series([[1, 2], [3, None], [5, 6]], dtype=pl.Array(pl.Int64, 2)),
        "t": [{"x": "a"}, None, {"x": None}],
        "n": [None, None, None],
    }
)


def test_the_hash_of_a_frame_is_that_of_its_values() -> None:
    pieces = pl.concat([FRAME[:1], FRAME[1:]], rechunk=False)
    assert frame_hash(pieces) == frame_hash(FRAME) == frame_hash(pl.concat([FRAME, FRAME])[3:])
    others = [
        FRAME.rename({"i": "j"}),
        FRAME.reverse(),
        FRAME.with_columns(pl.col("i").cast(pl.Int32)),
        FRAME.with_columns(pl.col("i").fill_null(0)),
        FRAME.with_columns(s=pl.Series(["ab", None, "c"])),
        FRAME.with_columns(l=pl.Series([[1], [], None])),
        FRAME.with_columns(t=pl.Series([{"x": "a"}, {"x": None}, None])),
        FRAME[:2],
    ]
    assert len({frame_hash(other) for other in [FRAME, *others]}) == len(others) + 1


def test_frames_of_others_are_taken_through_arrow() -> None:
    rows = pl.DataFrame({"x": [1, 2]})
    (ours,) = discover(frame(rows))
    (theirs,) = discover(frame(rows.to_arrow()))
    assert (ours.url, ours.sha256) == (theirs.url, theirs.sha256) == ("frame", frame_hash(rows))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (pl.DataFrame({"__x": [1]}), "reserved"),
        (pl.DataFrame({"": [1]}), "a name for each column"),
        (pl.DataFrame({"x": pl.Series([np], dtype=pl.Object)}), "Python objects in 'x'"),
    ],
)
def test_frames_that_cannot_be_a_source(rows: Any, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        discover(frame(rows))
