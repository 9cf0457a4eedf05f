"""Requests that are asked again: those of a window, in order, that keep the schema; the others are counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest
from tests.design.conftest import LATER, asked, moment
from tests.sources.logs import log_trips

from ninetyfive.design.evidence import Window
from ninetyfive.design.traffic import bodies, newest, of_frame, of_log, of_windows, spread
from ninetyfive.errors import SchemaError, SourceError
from ninetyfive.models.release import OpenRelease

Trips = Callable[..., pl.DataFrame]


def test_the_requests_of_a_window(zones: OpenRelease, log: str, trips: Trips) -> None:
    found = of_log(log, zones, moment(600))
    assert (found.rows.height, found.as_of, found.rowless, found.refused) == (300, moment(600), 0, 0)
    assert found.rows["trip"].to_list() == list(range(600, 900))
    assert found.rows.columns == [*zones.request.names, "request_time"]
    assert of_log(log, zones, moment(600), moment(700)).rows["trip"].to_list() == list(range(600, 700))
    windows = [Window("", text(300), 300), Window("", text(600), 300), Window("", text(899), 299)]
    assert of_windows(log, zones, windows).rows["trip"].to_list() == list(range(600, 899))
    assert of_windows(log, zones, [*windows[:2], Window("", "", 0)]).rows.height == 300
    log_trips(Path(log), asked(trips(900)).head(9), worker="w2", later=LATER)
    later = of_windows(log, zones, [Window(text(20), text(300), 280), *windows[1:]])
    assert (later.records, later.rows.height, len(later.source.urls)) == (900, 299, 1), "what is older is not read"
    assert of_log(log, zones, moment(600)).records == 909
    assert newest(log, zones, 7)["trip"].to_list() == list(range(893, 900))
    assert newest(log, zones, 9_999).height == 909
    table = asked(trips(900)).drop(LATER).with_columns(pl.col("at").dt.replace_time_zone("UTC").alias("request_time"))
    assert of_frame(table, zones, moment(600)).rows.equals(found.rows)


def text(rows: int) -> str:
    return datetime.fromtimestamp(moment(rows) / 1e6, UTC).isoformat()


def test_a_body_is_what_was_asked(zones: OpenRelease, log: str) -> None:
    rows = newest(log, zones, 1)
    (body,) = bodies(rows, zones)
    (instance,) = msgspec.json.decode(body)["instances"]
    assert zones.request.row(instance) == zones.request.row(rows.drop("request_time").to_dicts()[0])
    (body,) = bodies(rows.with_columns(distance=None), zones)
    assert "distance" not in msgspec.json.decode(body)["instances"][0]


def test_what_has_no_row_or_breaks_the_schema_is_counted(
    zones: OpenRelease, tmp_path: Path, log: str, trips: Trips
) -> None:
    folder = tmp_path / "log"
    log_trips(folder, asked(trips(5)), worker="w2", later=LATER, rowless=True)
    found = of_log(str(folder), zones, -1)
    assert (found.rows.height, found.rowless, found.refused) == (900, 5, 0)
    rows = found.rows.with_columns(trip=pl.when(pl.col("trip") >= 3).then("trip"))
    found = of_frame(rows, zones, moment(2))
    assert (found.rows.height, found.rowless, found.refused) == (897, 0, 1)


def test_a_log_of_another_release_and_none(zones: OpenRelease, tmp_path: Path, trips: Trips) -> None:
    with pytest.raises(SourceError):
        of_log(str(tmp_path / "nothing"), zones, -1)
    log_trips(tmp_path / "log", asked(trips(20)), later=(*LATER, "zone"))
    for look in (lambda: of_log(str(tmp_path / "log"), zones, -1), lambda: newest(str(tmp_path / "log"), zones, 9)):
        with pytest.raises(SchemaError, match="20 records, all without a column"):
            look()
    log_trips(tmp_path / "log", asked(trips(7)), worker="w2", later=LATER)
    found = of_log(str(tmp_path / "log"), zones, -1)
    assert (found.rows.height, found.foreign, found.records) == (7, 20, 27)
    assert newest(str(tmp_path / "log"), zones, 9).height == 7


def test_some_are_spread_evenly() -> None:
    rows = pl.DataFrame({"x": range(10)})
    assert spread(rows, 3)["x"].to_list() == [0, 3, 6]
    assert spread(rows, 10).equals(rows)
