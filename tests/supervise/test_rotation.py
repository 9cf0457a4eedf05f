"""Segments of the request log become spans: each record once, whatever dies in between and whatever is damaged."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pyarrow.parquet as pq
import pytest
from tests.serve.logs import COLUMNS, config, record, segments
from tests.store.points import may_trace
from tests.store.test_faults import MAY_MOUNT, fill, mount

from ninetyfive.conform import Conform
from ninetyfive.errors import StoreError
from ninetyfive.features.frames import scalars
from ninetyfive.schema import LOGGED, ColumnSchema, Schema, dtype
from ninetyfive.serve.log import RequestLog
from ninetyfive.sources.discovery import discover
from ninetyfive.sources.files import request_log
from ninetyfive.sources.log_spans import SpanAbout
from ninetyfive.sources.readers import reader_of
from ninetyfive.supervise import rotation
from ninetyfive.supervise.rotation import about, expired, remove_expired, rotate, spans, turn
from ninetyfive.values import DAYS_MAX, DAYS_MIN, INTEGER_MAX, INTEGER_MIN, MICROS_MAX, MICROS_MIN, TYPES, Scalar


def write(folder: Path, numbers: range, worker: str = "w1", **changes: object) -> Path:
    """A closed segment with these records."""
    known = set(segments(folder)) if (folder / "log").is_dir() else set()
    log = RequestLog(config(folder, **changes), worker, COLUMNS)
    log.append([record(number) for number in numbers])
    log.close()
    (path,) = set(segments(folder)) - known
    return path


def ids(folder: Path) -> list[str]:
    """The ids in the spans of the log."""
    found = [pl.read_parquet(path) for path in sorted((folder / "log").glob("*.parquet"))]
    return [one for frame in found for one in frame["request_id"]]


def test_a_segment_becomes_a_span_of_the_same_name_with_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path, range(3))
    done, errors = rotate(tmp_path / "log")
    assert (len(done), errors) == (1, [])
    span = path.with_suffix(".parquet")
    assert [one.name for one in (tmp_path / "log").iterdir()] == [span.name]
    assert stat.S_IMODE(span.stat().st_mode) == 0o600
    frame = pl.read_parquet(span)
    expected = {name: dtype(type) for name, type in (LOGGED | COLUMNS).items()} | {"request_fingerprint": pl.UInt64()}
    assert dict(frame.schema) == expected
    row = frame.row(1, named=True)
    assert row["request_id"] == record(1).id
    assert row["request_time"] == datetime(2023, 11, 14, 22, 13, 20, 1, UTC)
    assert (row["request_fingerprint"], row["request_answer"], row["request_table"]) == (2**63 + 95, [0.25], None)
    assert (row["carrier"], row["distance"], row["at"]) == ("AA", 5.5, datetime(2020, 9, 13, 12, 26, 40))
    assert (row["tags"], row["blob"]) == (["x", None], b"\x00\xff")
    known = about(span)
    assert known is not None
    assert (known.records, known.first, known.last, known.lost) == (3, record(0).at, record(2).at, 0)
    assert pq.ParquetFile(span).metadata.row_group(0).column(0).total_compressed_size > 0


def test_pages_are_checked(tmp_path: Path) -> None:
    write(tmp_path, range(2000))
    rotate(tmp_path / "log")
    (span,) = (tmp_path / "log").glob("*.parquet")
    data = bytearray(span.read_bytes())
    data[len(data) // 2] ^= 1
    span.write_bytes(data)
    with pytest.raises(OSError, match="CRC checksum"):
        pq.read_table(span, page_checksum_verification=True)


def test_what_is_being_written_is_left_alone_and_what_a_dead_worker_left_is_not(tmp_path: Path) -> None:
    log = RequestLog(config(tmp_path), "w1", COLUMNS)
    log.append([record(1)])
    dead = write(tmp_path, range(5, 7), worker="w2")
    dead = dead.rename(dead.with_suffix(".open"))
    done, _ = rotate(tmp_path / "log")
    assert [one.name for one in done] == [dead.stem]
    assert [path.suffix for path in segments(tmp_path)] == [".open"]
    log.append([record(2)])
    log.close()
    rotate(tmp_path / "log")
    assert sorted(ids(tmp_path)) == [record(number).id for number in (1, 2, 5, 6)]


def test_a_segment_that_has_just_been_made_is_not_taken_for_a_dead_one(tmp_path: Path) -> None:
    log = RequestLog(config(tmp_path, segment_bytes=1), "w1", COLUMNS)
    done = threading.Event()

    def rotating() -> None:
        while not done.is_set():
            _, errors = rotate(tmp_path / "log")
            assert not errors

    other = threading.Thread(target=rotating)
    other.start()
    for number in range(150):
        log.append([record(number)])
    log.close()
    done.set()
    other.join()
    rotate(tmp_path / "log")
    assert sorted(ids(tmp_path)) == [record(number).id for number in range(150)]
    assert {path.suffix for path in (tmp_path / "log").iterdir()} == {".parquet"}


@pytest.mark.parametrize("how", ["taken", "held"])
def test_a_worker_whose_new_segment_was_taken_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Rotation looks at a file between its making and its locking, and has removed it by then, or still holds it."""
    held = []
    real = fcntl.flock

    def quick(descriptor: int, operation: int) -> None:
        if not held:
            (path,) = segments(tmp_path)
            held.append(path.open("rb"))
            if how == "taken":
                turn(path)
            else:
                real(held[0], fcntl.LOCK_EX)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", quick)
    log = RequestLog(config(tmp_path), "w1", COLUMNS)
    log.append([record(1)])
    log.close()
    held[0].close()
    rotate(tmp_path / "log")
    assert ids(tmp_path) == [record(1).id]
    assert [one.stem[-6:] for one in (tmp_path / "log").iterdir()] == ["000002"]


def test_answers_of_every_shape_and_many_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "_ROWS", 2)
    log = RequestLog(config(tmp_path), "w1", {"x": "date"})
    answers = (None, 0.5, (0.25, 0.75), float("nan"), 1.0)
    log.append([record(number, row=(number,), answer=answer) for number, answer in enumerate(answers)])
    log.close()
    rotate(tmp_path / "log")
    (span,) = (tmp_path / "log").glob("*.parquet")
    frame = pl.read_parquet(span)
    assert pq.ParquetFile(span).num_row_groups == 3
    assert str(frame["request_answer"].to_list()) == "[None, [0.5], [0.25, 0.75], [nan], [1.0]]"
    assert frame["x"].to_list() == [datetime(1970, 1, 1 + number).date() for number in range(5)]


def test_hashed_columns_are_text_and_dropped_ones_are_not_there(tmp_path: Path) -> None:
    path = write(tmp_path, range(1), columns={"distance": "hash", "blob": "drop"}, key_file=str(tmp_path / "key"))
    rotate(tmp_path / "log")
    span = path.with_suffix(".parquet")
    frame = pl.read_parquet(span)
    assert frame.schema["distance"] == pl.String()
    assert "blob" not in frame.columns
    known = about(span)
    assert known is not None
    assert known.policy == {"distance": "hash", "blob": "drop"}


VALUES: dict[str, list[Scalar]] = {
    "boolean": [True, False, None],
    "integer": [0, -1, INTEGER_MIN, INTEGER_MAX, None],
    "number": [0.0, -0.0, 5e-324, 1.7976931348623157e308, float("inf"), float("nan"), None],
    "string": ["", "é\u0000", "🦆" * 300, None],
    "timestamp": [0, -1, MICROS_MIN, MICROS_MAX, None],
    "timestamp[UTC]": [0, -1, MICROS_MIN, MICROS_MAX, None],
    "date": [0, -1, DAYS_MIN, DAYS_MAX, None],
    "list[boolean]": [(), (True, None), None],
    "list[integer]": [(), (INTEGER_MIN, None, INTEGER_MAX), None],
    "list[number]": [(), (-0.0, None, 1.5), None],
    "list[string]": [(), ("", None, "é"), None],
    "opaque": [b"", b"\x00\xff", b'{"a":1}', None],
}


@pytest.mark.parametrize("type", TYPES)
def test_a_value_of_each_type_comes_back_as_it_was(tmp_path: Path, type: str) -> None:
    log = RequestLog(config(tmp_path), "w1", {"x": type, "y": "integer"})
    log.append([record(number, row=(value, 1)) for number, value in enumerate(VALUES[type])])
    log.close()
    rotate(tmp_path / "log")
    source = request_log(tmp_path / "log")
    (file,) = discover(source)
    (raw,) = reader_of(source).read(file.part)
    accepted, rejected = Conform(Schema((ColumnSchema("x", type),)), "typed")(raw)
    assert rejected.height == 0
    assert repr([row["x"] for row in scalars(accepted, {"x": type})]) == repr(VALUES[type])


def test_two_who_rotate_at_once_make_each_span_once(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path, range(10 * number, 10 * number + 10), worker=f"w{number}")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(rotate, [tmp_path / "log"] * 4))
    assert not [error for _, errors in found for error in errors]
    assert len({one.name for done, _ in found for one in done}) == sum(len(done) for done, _ in found) == 20
    assert sorted(ids(tmp_path)) == [record(number).id for number in range(200)]


class TestDamage:
    def test_whole_records_are_kept_and_the_loss_is_told(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = write(tmp_path, range(10))
        data = bytearray(path.read_bytes())
        data[data.index(record(4).id.encode())] ^= 4
        path.write_bytes(data[:-3])
        assert rotation.main([str(tmp_path / "log")]) == 0
        told = capsys.readouterr()
        assert "8 records kept, 1 lost," in told.err
        assert msgspec.json.decode(told.out)["span"]["lost"] == 1
        assert ids(tmp_path) == [record(number).id for number in range(9) if number != 4]
        known = about(path.with_suffix(".parquet"))
        assert known is not None
        assert known.lost_bytes > 0

    def test_without_a_header_it_is_kept_aside(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = write(tmp_path, range(2))
        path.write_bytes(b"x" * 100 + path.read_bytes()[1200:])
        assert rotation.main([str(tmp_path / "log")]) == 0
        assert "no record can be read; it is kept as" in capsys.readouterr().err
        assert [one.suffix for one in (tmp_path / "log").iterdir()] == [".damaged"]
        assert rotate(tmp_path / "log") == ([], [])

    def test_an_empty_one_of_a_power_cut_goes(self, tmp_path: Path) -> None:
        for number, data in enumerate((b"", bytes(4096))):
            path = write(tmp_path, range(1), worker=f"w{number}")
            path.write_bytes(data)
        done, errors = rotate(tmp_path / "log")
        assert (len(done), errors) == (2, [])
        assert list((tmp_path / "log").iterdir()) == []

    def test_what_no_column_can_hold_is_an_error_and_stays(self, tmp_path: Path) -> None:
        log = RequestLog(config(tmp_path), "w1", {"x": "integer"})
        log.append([record(1, row=("text",))])
        log.close()
        good = write(tmp_path, range(3), worker="w2")
        done, (error,) = rotate(tmp_path / "log")
        assert [one.name for one in done] == [good.stem]
        assert "values of the columns' types" in str(error)
        assert len(segments(tmp_path)) == 1


class TestKilled:
    """Each record is in exactly one span in the end, wherever the first try stopped."""

    @pytest.mark.parametrize("step", ["os.fsync", "Path.rename", "sync", "Path.unlink"])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_at_each_step(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, when: str) -> None:
        path = write(tmp_path, range(50))
        owner = {"os": os, "Path": Path, "sync": rotation}[step.partition(".")[0]]
        name = step.rpartition(".")[2]
        real = getattr(owner, name)
        struck = []

        def strike(*words: object, **more: object) -> None:
            if name == "unlink" and str(words[0]).endswith(".attempt"):
                return real(*words, **more)  # type: ignore[no-any-return]
            if when == "after":
                real(*words, **more)
            struck.append(name)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, strike)
            with pytest.raises(KeyboardInterrupt):
                turn(path)
        assert struck
        rotate(tmp_path / "log")
        assert ids(tmp_path) == [record(number).id for number in range(50)]
        assert [one.suffix for one in (tmp_path / "log").iterdir()] == [".parquet"]

    @pytest.mark.slow
    @pytest.mark.strace
    @pytest.mark.skipif(not may_trace(), reason="there is no strace that may trace here: apt-get install strace")
    @pytest.mark.parametrize("call", ["rename:when=1", "fsync:when=1", "fsync:when=2", "unlink:when=2", "fsync:error"])
    def test_by_a_signal(self, tmp_path: Path, call: str) -> None:
        for worker in ("w1", "w2"):
            write(tmp_path, range(50) if worker == "w1" else range(50, 90), worker=worker)
        name, _, what = call.partition(":")
        how = "error=EIO:when=1" if what == "error" else f"signal=SIGKILL:{what}"
        trace = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:{how}"]
        words = [sys.executable, "-m", "ninetyfive.supervise.rotation", str(tmp_path / "log")]
        ended = subprocess.run([*trace, *words], check=False, capture_output=True)
        assert ended.returncode == (1 if what == "error" else -9), ended.stderr
        subprocess.run(words, check=True)
        assert sorted(ids(tmp_path)) == [record(number).id for number in range(90)]
        assert {one.suffix for one in (tmp_path / "log").iterdir()} == {".parquet"}

    def test_a_span_that_is_not_whole_is_made_again(self, tmp_path: Path) -> None:
        path = write(tmp_path, range(50))
        path.with_suffix(".parquet").write_bytes(b"PAR1")
        rotate(tmp_path / "log")
        assert len(ids(tmp_path)) == 50


if MAY_MOUNT:

    def test_a_full_disk_keeps_the_segment(tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        assert mount(disk, "size=512k")
        try:
            write(disk, range(1000))
            filler = fill(disk)
            _, (error,) = rotate(disk / "log")
            assert isinstance(error, StoreError)
            assert [one.suffix for one in (disk / "log").iterdir()] == [".closed"]
            filler.unlink()
            rotate(disk / "log")
            assert len(ids(disk)) == 1000
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)


class TestRetention:
    def test_spans_go_whose_last_request_is_too_old(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path, range(3))
        rotate(tmp_path / "log")
        last = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
        for day, gone in ((24, 0), (25, 1)):
            monkeypatch.setenv("NINETYFIVE_CLOCK", last.replace(day=day).isoformat())
            assert len(remove_expired(tmp_path / "log", 10)) == gone
        assert ids(tmp_path) == []
        assert remove_expired(tmp_path / "nothing", 1) == ()

    def test_nothing_goes_where_all_is_kept(self, tmp_path: Path) -> None:
        write(tmp_path, range(3))
        rotate(tmp_path / "log")
        assert remove_expired(tmp_path / "log", None) == ()
        assert expired(spans(tmp_path / "log"), None, datetime.now(UTC)) == ()

    def test_a_file_that_is_no_span_of_a_log_stays(self, tmp_path: Path) -> None:
        (tmp_path / "log").mkdir()
        pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "log" / "other.parquet")
        assert remove_expired(tmp_path / "log", 0.0) == ()

    def test_one_at_the_border_stays(self) -> None:
        day = 86_400_000_000
        known = {"a": SpanAbout("", 1, 0, day), "b": SpanAbout("", 1, 0, day - 1)}
        assert expired(known, 1, datetime(1970, 1, 3, tzinfo=UTC)) == ("b",)
