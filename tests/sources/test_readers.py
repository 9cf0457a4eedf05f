"""Reading files: fixed chunks, nothing lost, and each broken file named with its place."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pyarrow.parquet as pq
import pytest

from ninetyfive.conform import Conform
from ninetyfive.errors import SchemaError, SourceError
from ninetyfive.inference import agree, infer
from ninetyfive.plan import CHUNK_ROWS, Part
from ninetyfive.reducers.type_guess import TypeGuess
from ninetyfive.schema import ColumnSchema, Schema
from ninetyfive.sources import parquet_files, text_files
from ninetyfive.sources.discovery import discover
from ninetyfive.sources.files import Source, csv, frame, jsonl, parquet
from ninetyfive.sources.readers import SourceReader, reader_of


def opened(source: Source) -> tuple[SourceReader, Part]:
    (found,) = discover(source)
    return reader_of(source), found.part


def rows(source: Source, columns: tuple[str, ...] | None = None) -> pl.DataFrame:
    reader, part = opened(source)
    return pl.concat(list(reader.read(part, columns=columns)), how="diagonal")


def text(folder: Path, content: bytes | str, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def outcome(source: Source) -> pl.DataFrame | SourceError:
    try:
        return rows(source)
    except SourceError as error:
        return error


def refused(source: Source) -> SourceError:
    reader, part = opened(source)
    with pytest.raises(SourceError) as caught:
        list(reader.read(part))
    assert caught.value.where.startswith(part.url)
    return caught.value


# --- Parquet ---


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """300,000 rows in row groups of 70,000."""
    path = tmp_path / "n.parquet"
    frame = pl.DataFrame({"x": range(300_000), "a.b": range(300_000)})
    pq.write_table(frame.to_arrow(), path, row_group_size=70_000, write_page_checksum=True)
    return path


def test_parquet_chunks_do_not_follow_row_groups(numbers: Path) -> None:
    reader, part = opened(parquet(numbers))
    chunks = list(reader.read(part))
    assert [chunk.height for chunk in chunks] == [CHUNK_ROWS, CHUNK_ROWS, 300_000 - 2 * CHUNK_ROWS]
    assert reader.count(part) == 3
    assert pl.concat(chunks)["x"].to_list() == list(range(300_000))
    assert next(iter(reader.read(part, 1, 2))).equals(chunks[1])
    assert pl.concat(reader.read(part, 1)).equals(pl.concat(chunks[1:]))
    assert list(reader.read(part, 3)) == []
    assert [chunk.columns for chunk in reader.read(part, columns=("a.b",))] == [["a.b"]] * 3
    assert next(iter(reader.read(part, columns=("unknown",)))).height == CHUNK_ROWS


def test_wide_rows_make_short_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "CHUNK_BYTES", 1_000)
    path = tmp_path / "w.parquet"
    pl.DataFrame({"x": ["y" * 90 + str(n) for n in range(100)]}).write_parquet(path, compression="uncompressed")
    reader, part = opened(parquet(path))
    chunks = list(reader.read(part))
    assert 1 < len(chunks) == reader.count(part)
    assert pl.concat(chunks).height == 100


def test_the_footer_tells_types_and_nulls(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"x": [1, None], "s": ["a", "b"], "l": [[1], None]}).write_parquet(path)
    reader, part = opened(parquet(path))
    guesses = reader.inspect(part)
    assert guesses is not None
    assert [(guess.name, guess.type, guess.rows, guess.nulls) for guess in guesses][:2] == [
        ("x", "integer", 2, 1),
        ("s", "string", 2, 0),
    ]
    assert reader.names(part) == {"x": "integer", "s": "string", "l": "list[integer]"}


@pytest.mark.parametrize("keep", [0, 3, 200, -4])
def test_truncated_parquet(numbers: Path, keep: int) -> None:
    data = numbers.read_bytes()
    numbers.write_bytes(data[:keep])
    assert "broken or truncated" in refused(parquet(numbers)).got


def test_bit_flips_are_found_where_pages_have_checksums(numbers: Path) -> None:
    data = numbers.read_bytes()
    footer = len(data) - int.from_bytes(data[-8:-4], "little") - 8
    expected, found = rows(parquet(numbers)), 0
    for at in range(1_000, footer, footer // 25):
        flipped = bytearray(data)
        flipped[at] ^= 1 << (at % 8)
        numbers.write_bytes(flipped)
        answer = outcome(parquet(numbers))
        assert isinstance(answer, SourceError) or answer.equals(expected)  # some bits of page headers nothing reads
        found += isinstance(answer, SourceError)
    assert found > 20


def test_parquet_on_other_file_systems(numbers: Path) -> None:
    with fsspec.open("memory://readers/n.parquet", "wb") as stream:
        stream.write(numbers.read_bytes())
    assert rows(parquet("memory://readers/n.parquet"))["x"].sum() == sum(range(300_000))


def test_a_file_that_changed_or_went_is_not_read(numbers: Path) -> None:
    reader, part = opened(parquet(numbers))
    numbers.write_bytes(numbers.read_bytes() + b"x")
    with pytest.raises(SourceError, match=r"bytes that were found there, got .* bytes"):
        list(reader.read(part))
    _, part = opened(parquet(numbers))
    numbers.write_bytes(numbers.read_bytes())
    with pytest.raises(SourceError, match="a file that was written again since"):
        list(reader.read(part))
    numbers.unlink()
    with pytest.raises(SourceError, match="nothing there"):
        reader.count(part)


def test_a_file_that_is_written_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x\n1\n")
    reader, part = opened(csv(path))
    chunks = reader.read(part)
    next(chunks)
    path.write_bytes(b"x\n2\n")
    with pytest.raises(SourceError, match="written again"):
        list(chunks)


def test_parquet_names_and_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"__span": [1]}).write_parquet(path)
    assert "'__span'" in refused(parquet(path)).got
    pl.DataFrame({"x": [1]}).clear().write_parquet(path)
    reader, part = opened(parquet(path))
    assert list(reader.read(part)) == []
    with pytest.raises(SourceError, match="without any"):
        reader.inspect(part)


# --- CSV ---


def test_csv_fields_are_text(tmp_path: Path) -> None:
    content = '\ufeffx,naïve ☂,s\r\n1,,"a ""b"""\r\n\r\n 2,NA,"c\nd"\r\n'
    frame = rows(csv(text(tmp_path, content)))
    assert frame.schema == {"x": pl.String(), "naïve ☂": pl.String(), "s": pl.String()}
    assert frame.rows() == [("1", None, 'a "b"'), (" 2", "NA", "c\nd")]
    assert rows(csv(tmp_path / "a.csv"), ("s", "x")).height == 2
    reader, part = opened(csv(tmp_path / "a.csv"))
    assert reader.names(part) == {"x": None, "naïve ☂": None, "s": None}
    assert reader.inspect(part) is reader.count(part) is None


def test_csv_options(tmp_path: Path) -> None:
    path = text(tmp_path, "ä;b\nö;-\n".encode("latin-1"))
    assert rows(csv(path, separator=";", encoding="latin-1", null_values="-")).rows() == [("ö", None)]
    path = text(tmp_path, "ä,b\nö,1\n".encode("utf-16"))
    assert rows(csv(path, encoding="utf-16")).rows() == [("ö", "1")]
    path = text(tmp_path, "x,y\n1,∀∀∀\n".encode("utf-16"))
    assert rows(csv(path, encoding="utf-16"))["y"].to_list() == ["∀∀∀"]
    path = text(tmp_path, b"x,y\n1,2\n1,\x81\n")
    assert "text in cp1252" in refused(csv(path, encoding="cp1252")).expected
    path = text(tmp_path, gzip.compress(b"x\n1\n"), "a.csv.gz")
    assert rows(csv(path)).rows() == [("1",)]


def test_csv_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = text(tmp_path, "x,y\n" + "".join(f"{n},{n % 7}\n" for n in range(300_000)))
    reader, part = opened(csv(path))
    assert [chunk.height for chunk in reader.read(part)] == [CHUNK_ROWS, CHUNK_ROWS, 300_000 - 2 * CHUNK_ROWS]
    assert [chunk["x"][0] for chunk in reader.read(part, 1, 2)] == [str(CHUNK_ROWS)]
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 100_000)
    chunks = [chunk.height for chunk in reader.read(part)]
    assert sum(chunks) == 300_000
    assert max(chunks) < CHUNK_ROWS
    assert [chunk.height for chunk in reader.read(part, columns=("y",))] == chunks


@pytest.mark.parametrize(
    ("content", "expected", "got"),
    [
        (b"", "a header line", "an empty file"),
        (b"\n\n", "a header line", "an empty file"),
        (b"x,y\n", "rows", "a header and no rows"),
        (b"x,y", "rows", "a header and no rows"),
        (b"x,x\n1,2\n", "each column once", "'x' twice"),
        (b",x\n0,1\n", "a name for each column", "an empty column name"),
        (b"__position,x\n0,1\n", "column names that are free", "'__position'"),
        (b"*,x\n0,1\n", "column names that are free", "Polars takes"),
        (b"^x.$;y\n0;1\n", "columns with ',' between them", "the one column"),
        (b"x,y\n1,2\n3\n", "2 fields", "1 ('3')"),
        (b"x,y\n1,2\n3,4,5\n", "2 fields", "3 ('3,4,5')"),
        (b"x,y\n1,\xff\n", "text in utf-8", "bytes that are not"),
        ("é,x\n1,2\n".encode("latin-1"), "text in utf-8", "in the header"),
        ("x\n1\n".encode("utf-16"), "text in utf-8", "in the header"),
        (b'x,y\n1,"a\n2,b\n3,c\n', "quotes in pairs", "never closed"),
        (b'x,y\n1,2\n3,"a', "quotes in pairs", "never closed"),
        (b"y" * 200_000 + b",x\n1,2\n", "a header line", "larger than field limit"),
    ],
)
def test_csv_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, expected: str, got: str) -> None:
    error = refused(csv(text(tmp_path, content)))
    assert expected in error.expected
    assert got in error.got


def test_csv_errors_name_the_row(tmp_path: Path) -> None:
    ragged = "x,y\n" + "1,2\n" * 5_000 + "3\n"
    assert refused(csv(text(tmp_path, ragged))).where.endswith("a.csv, row 5002")
    assert refused(csv(text(tmp_path, b"x,y\n1,2\n1,\xff\n"))).where.endswith("a.csv, row 3")


def test_a_directory_or_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = text(tmp_path, "x\n1\n")
    reader, part = opened(csv(path))

    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError("not yours")

    monkeypatch.setattr(fsspec, "open", denied)
    with pytest.raises(SourceError, match="grant read access"):
        list(reader.read(part))


def test_an_inch_is_no_open_quote(tmp_path: Path) -> None:
    assert rows(csv(text(tmp_path, 'x,y\n1,5" pipe\n2,3\n'))).height == 2


def test_a_megabyte_in_a_field_and_two_thousand_columns(tmp_path: Path) -> None:
    names = ",".join(f"c{n}" for n in range(2_000))
    values = ",".join("1" for _ in range(1_999))
    frame = rows(csv(text(tmp_path, f"{names}\n{values},{'y' * 1_000_000}\n{values},\n")))
    assert frame.shape == (2, 2_000)
    assert len(frame["c1999"][0]) == 1_000_000


def test_a_value_larger_than_a_block_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 1_000)
    error = refused(csv(text(tmp_path, f"x,y\n1,2\n1,{'y' * 5_000}\n1,2\n")))
    assert "MiB" in error.got


# --- JSON Lines ---


def test_jsonl_fields_keep_their_json(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"a": 5, "b": "5"}\n\n{"b": null, "c": {"d": [1, 2]}}\n{}'
    frame = rows(jsonl(text(tmp_path, content, "a.jsonl")))
    assert frame.rows() == [("5", '"5"', None), (None, None, '{"d": [1, 2]}'), (None, None, None)]
    assert rows(jsonl(tmp_path / "a.jsonl"), ("c", "z")).columns == ["c", "z"]
    schema = Schema((ColumnSchema("a", "integer"), ColumnSchema("b", "string")))
    accepted, rejected = Conform(schema, "json")(frame)
    assert accepted.rows() == [(5, "5"), (None, None), (None, None)]
    assert rejected.is_empty()
    reader, part = opened(jsonl(tmp_path / "a.jsonl"))
    assert reader.names(part) is reader.inspect(part) is reader.count(part) is None


def test_jsonl_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = text(tmp_path, "".join(f'{{"x":{n}}}\n' for n in range(CHUNK_ROWS + 5)), "a.jsonl")
    reader, part = opened(jsonl(path))
    assert [chunk.height for chunk in reader.read(part)] == [CHUNK_ROWS, 5]
    assert [chunk["x"].to_list() for chunk in reader.read(part, 1, 2)] == [[str(CHUNK_ROWS + n) for n in range(5)]]
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 100_000)
    assert max(chunk.height for chunk in reader.read(part)) < CHUNK_ROWS


def test_only_empty_objects_are_rows(tmp_path: Path) -> None:
    assert rows(jsonl(text(tmp_path, "{}\n{}\n", "a.jsonl"))).height == 2


@pytest.mark.parametrize(
    ("content", "where", "said"),
    [
        (b"", "", "an empty file"),
        (b"\n \n", "", "an empty file"),
        (b'{"a":1}\n{"a":\n', ", line 2", "a JSON object"),
        (b'{"a":1}\n\n[1]\n', ", line 3", "a JSON object"),
        (b'{"a":NaN}\n', ", line 1", "a JSON object"),
        (b'{"a":01}\n', ", line 1", "a JSON object"),
        (b'{"a":"x"}\n{"a":"\xff"}\n', ", line 2, column 'a'", "text in utf-8"),
        (b'{"__span":1}\n', "", "reserved"),
        (b'{"":1}\n', "", "a name for each column"),
    ],
)
def test_jsonl_that_cannot_be_read_says_where(tmp_path: Path, content: bytes, where: str, said: str) -> None:
    error = refused(jsonl(text(tmp_path, content, "a.jsonl")))
    assert error.where.endswith("a.jsonl" + where)
    assert said in str(error)


def test_a_line_larger_than_a_block_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 1_000)
    assert "MiB" in refused(jsonl(text(tmp_path, '{"a":1}\n{"a":"' + "y" * 5_000 + '"}\n', "a.jsonl"))).got


def test_a_packed_file_that_is_none(tmp_path: Path) -> None:
    assert "read error" in refused(jsonl(text(tmp_path, b"plain", "a.jsonl.gz"))).got
    whole = gzip.compress(b'{"a":1}\n' * 1_000)
    assert "read error" in refused(jsonl(text(tmp_path, whole[:-20], "a.jsonl.gz"))).got
    csv_file = gzip.compress(b"x,y\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(50_000)))
    assert "read error" in refused(csv(text(tmp_path, csv_file[:-20], "a.csv.gz"))).got
    assert "read error" in refused(csv(text(tmp_path, csv_file[:-500] + b"\xff" * 500, "a.csv.gz"))).got
    assert "read error" in refused(csv(text(tmp_path, b"plain", "a.csv.zip"))).got


# --- frames ---


def test_frames_are_read_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    source = frame(pl.DataFrame({"x": range(CHUNK_ROWS + 5), "y": range(CHUNK_ROWS + 5)}))
    reader, part = opened(source)
    assert reader.count(part) == 2
    assert [chunk.height for chunk in reader.read(part)] == [CHUNK_ROWS, 5]
    assert [chunk.shape for chunk in reader.read(part, 1, 9, ("y",))] == [(5, 1)]
    assert reader.names(part) == {"x": "integer", "y": "integer"}
    with pytest.raises(SourceError, match="another one"):
        reader.count(Part("other", "frame"))
    reader, part = opened(frame(pl.DataFrame({"x": []})))
    with pytest.raises(SourceError, match="without any"):
        reader.inspect(part)


def sources(folder: Path) -> Iterator[Source]:
    yield parquet(folder)
    yield csv(folder, null_values=["-"])
    yield jsonl(folder)
    yield frame(pl.DataFrame({"x": [1]}))


def test_readers_are_values(tmp_path: Path) -> None:
    readers: list[Any] = [reader_of(source) for source in sources(tmp_path)]
    assert [reader.text for reader in readers] == ["typed", "csv", "json", "typed"]
    for reader in readers:
        assert pickle.loads(pickle.dumps(reader)) == reader
        assert len({reader, pickle.loads(pickle.dumps(reader))}) == 1


# --- from files to rows ---


def test_a_column_that_changes_type_between_files_names_both(tmp_path: Path) -> None:
    pl.DataFrame({"x": [1, 2]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"x": ["1", "2"]}).write_parquet(tmp_path / "b.parquet")
    source = parquet(tmp_path)
    files = {found.url: reader_of(source).inspect(found.part) or () for found in discover(source)}
    with pytest.raises(SchemaError) as caught:
        agree(files)
    assert all(name in str(caught.value) for name in ("a.parquet", "b.parquet", "column 'x'", "integer", "string"))


def test_text_files_become_rows_and_quarantine(tmp_path: Path) -> None:
    lines = [f"{n},{n / 2},2013-01-{n % 28 + 1:02d}T10:00Z,{'NA' if n % 3 else 'x'}" for n in range(200)]
    path = text(tmp_path, "key,half,at,word\n" + "\n".join([*lines, "200,late,2013-01-01T10:00Z,x"]) + "\n")
    reader, part = opened(csv(path))
    guess = TypeGuess(reader.text)
    state = guess.zero()
    for chunk in reader.read(part):
        state = guess.add(state, chunk)
    schema = infer(agree({part.url: guess.result(state)}, text=reader.text), required=["key"])
    assert schema.types == {"key": "integer", "half": "number", "at": "timestamp[UTC]", "word": "string"}
    accepted, rejected = Conform(schema, reader.text)(pl.concat(reader.read(part)))
    assert accepted.height == 200
    assert rejected.rows() == [
        ("type", "half", "late", '{"key":"200","half":"late","at":"2013-01-01T10:00Z","word":"x"}')
    ]
