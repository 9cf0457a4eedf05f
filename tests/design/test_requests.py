"""Requests of logs, frames and arrays: in time order, bounded, whatever rows stood where and entities are called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.serve.logs import COLUMNS, config, record

from ninetyfive.design.requests import requests_of_arrays, requests_of_frame, requests_of_log
from ninetyfive.errors import SourceError
from ninetyfive.serve.log import Record, RequestLog
from ninetyfive.supervise.rotation import rotate


def span(folder: Path, records: list[Record], columns: dict[str, str] = COLUMNS, **changes: object) -> Path:
    """A span with these records, and the folder of the log."""
    log = RequestLog(config(folder, **changes), f"w{len(list(folder.rglob('*.parquet')))}", columns)
    log.append(records)
    log.close()
    done, errors = rotate(folder / "log")
    assert (len(done), errors) == (1, [])
    return folder / "log"


def asked(number: int, entity: int | None = 0, **changes: object) -> Record:
    """A request of a second, about an entity by its number."""
    key = None if entity is None else b"\x91" + bytes([entity % 128])
    return record(number, at=1_700_000_000_000_000 + number * 1_000_000, entity=key, **changes)


def test_the_spans_of_a_log_are_requests_in_time_order(tmp_path: Path) -> None:
    span(tmp_path, [asked(2, 1), asked(0, 1), asked(4, 2, fingerprint=9)])
    folder = span(tmp_path, [asked(3, 2, fingerprint=8), asked(1, None)])
    found = requests_of_log(folder)
    assert ((found.time - 1_700_000_000_000_000) // 1_000_000).tolist() == [0, 2, 3, 4]
    assert found.fingerprint.tolist()[2:] == [8, 9]
    assert found.entity[0] == found.entity[1] != found.entity[2] == found.entity[3]
    assert ((found.nameless - 1_700_000_000_000_000) // 1_000_000).tolist() == [1]
    assert found.noticed == ("1 requests have no entity: no table can answer them",)
    assert (found.left_out, found.release) == ((), None)


def test_only_the_newest_requests_are_read(tmp_path: Path) -> None:
    for first in range(0, 100, 10):
        folder = span(tmp_path, [asked(number, number) for number in range(first, first + 10)])
    found = requests_of_log(folder, newest=15)
    assert ((found.time - 1_700_000_000_000_000) // 1_000_000).tolist() == list(range(85, 100))
    assert found.left_out == ("85 older requests were not read",)


def test_a_moment_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = span(tmp_path, [asked(number // 4, number) for number in range(12)])
    assert len(requests_of_log(folder, newest=6)) == 4
    assert len(requests_of_log(folder, newest=8)) == 8


def test_records_without_a_row_are_told(tmp_path: Path) -> None:
    rowless = asked(1, 3, row=(None,) * len(COLUMNS))
    found = requests_of_log(span(tmp_path, [asked(0, 3), rowless]))
    assert len(found) == 2
    assert "1 records hold no row: asked for by key alone, or outside of the schema" in found.noticed


def test_spans_of_another_system_are_left_out(tmp_path: Path) -> None:
    other = {"user": "string", "page": "string"}
    span(tmp_path, [asked(0, 1, row=("a", "b"))] * 3, other)
    folder = span(tmp_path, [asked(9, 1)])
    assert requests_of_log(folder).left_out == ("3 records hold the columns of another system",)
    chosen = requests_of_log(folder, columns=["user"])
    assert (len(chosen), chosen.left_out) == (3, ("1 records hold the columns of another system",))
    none = requests_of_log(folder, columns=["nowhere"])
    assert len(none) == 0
    assert "the log holds no request" in none.noticed


def test_hidden_entities_are_not_mixed_with_others(tmp_path: Path) -> None:
    span(tmp_path, [asked(0, 1)])
    key = str(tmp_path / "key")
    log = RequestLog(config(tmp_path, columns={"carrier": "hash"}, key_file=key), "hidden", COLUMNS)
    log.append([asked(9, 1), asked(10, 1)])
    log.close()
    rotate(tmp_path / "log")
    found = requests_of_log(tmp_path / "log")
    assert (len(found), len(set(found.entity.tolist()))) == (2, 1)
    assert found.left_out == ("1 records hide entities in another way than the newest ones",)


def test_segments_that_are_no_spans_yet_are_told(tmp_path: Path) -> None:
    folder = span(tmp_path, [asked(0)])
    log = RequestLog(config(tmp_path), "open", COLUMNS)
    log.append([asked(1)])
    assert requests_of_log(folder).noticed == ("1 segments of the log are no spans yet: their requests are not read",)
    log.close()


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_a_span_gives_no_request(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "log"
    if there:
        folder.mkdir()
    found = requests_of_log(folder)
    assert (len(found), found.noticed) == (0, ("the log holds no request",))


def test_a_broken_span_is_an_error(tmp_path: Path) -> None:
    folder = span(tmp_path, [asked(number, number) for number in range(2_000)])
    (path,) = folder.glob("*.parquet")
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match="a whole Parquet file"):
        requests_of_log(folder)


def releases(tmp_path: Path, shift: int) -> Path:
    """A log of two releases whose fingerprints differ by a shift."""
    first = [asked(number, number % 40, release="a" * 64, fingerprint=number % 40) for number in range(400)]
    later = [
        asked(number, number % 40, release="b" * 64, fingerprint=number % 40 + shift) for number in range(400, 800)
    ]
    return span(tmp_path, first + later)


def test_fingerprints_of_releases_that_read_other_columns_are_not_compared(tmp_path: Path) -> None:
    found = requests_of_log(releases(tmp_path, 1_000))
    assert found.release is not None
    assert "the log is of 2 releases: 100% of entities have another fingerprint" in found.noticed[0]


def test_fingerprints_of_releases_that_read_the_same_columns_are_compared(tmp_path: Path) -> None:
    found = requests_of_log(releases(tmp_path, 0))
    assert found.release is None
    assert found.noticed == ("the log is of 2 releases, whose features seem to read the same columns",)


def test_rows_of_history_are_taken_for_requests() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "who": ["a", "b", None, "a"],
            "x": [1.0, 2.0, 3.0, 1.0],
            "at": [start + timedelta(hours=2), start, start, None],
        }
    )
    found = requests_of_frame(frame, ["who"], ["x"], "at")
    assert found.assumed
    assert (len(found), len(found.nameless)) == (2, 1)
    assert np.diff(found.time).tolist() == [7_200_000_000]
    assert found.left_out == ("1 rows without a time",)
    dates = frame.with_columns(pl.col("at").dt.date())
    assert len(requests_of_frame(dates, ["who"], ["x"], "at")) == 2


def test_a_history_without_entity_or_time_gives_no_request() -> None:
    frame = pl.DataFrame({"x": [1.0, 2.0], "at": [datetime(2026, 1, 1), datetime(2026, 1, 2)]})
    nobody = requests_of_frame(frame, [], ["x"], "at")
    assert (len(nobody), len(nobody.nameless)) == (0, 2)
    assert "the system declares no entity: no request can be looked up" in nobody.noticed
    timeless = requests_of_frame(frame, ["x"], ["x"], None)
    assert (len(timeless), len(timeless.nameless)) == (0, 0)
    assert "the system declares no time: nothing is known of the order of requests" in timeless.noticed


def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    chance = np.random.default_rng(seed)
    time, entity, print = chance.integers(0, 300, (3, 2_000))
    plain = requests_of_arrays(time, entity % 20, print % 3)
    order = chance.permutation(2_000)
    mixed = requests_of_arrays(time[order], entity[order] % 20, print[order] % 3)
    for name in ("time", "entity", "fingerprint"):
        assert getattr(plain, name).tolist() == getattr(mixed, name).tolist()


def test_occurrences_are_those_of_a_plain_loop(seed: int) -> None:
    chance = np.random.default_rng(seed)
    found = requests_of_arrays(np.arange(500), chance.integers(0, 60, 500), np.zeros(500))
    last: dict[int, int] = {}
    for place, entity in enumerate(found.entity.tolist()):
        assert found.occurrences.before[place] == last.get(entity, -1)
        last[entity] = place
    assert sorted(found.occurrences.counts.tolist()) == sorted(np.unique(found.entity, return_counts=True)[1].tolist())
