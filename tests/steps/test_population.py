"""Who is in a table: the latest row of each entity, and every other row counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
import pytest

import ninetyfive as nf
from ninetyfive.engines.local import LocalEngine
from ninetyfive.errors import SchemaError, SourceError, UsageError
from ninetyfive.models.release import OpenRelease, open_release
from ninetyfive.sources.files import frame, parquet
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.steps.population import KEY, REQUESTS, TIME, Latest, Named, head_of, latest_rows, named
from ninetyfive.tables.keys import entity_key

if TYPE_CHECKING:
    from tests.conftest import Project

START = datetime(2026, 1, 1)


@pytest.fixture(scope="module")
def by_zone(finished: Project) -> OpenRelease:
    """The release of `finished`, as if its entity were the zone and a row might lack anything."""
    release = open_release(finished.release(finished.champion()))
    columns = tuple(msgspec.structs.replace(column, nullable=True) for column in release.schema.columns)
    schema = msgspec.structs.replace(release.schema, columns=columns)
    return replace(release, about=msgspec.structs.replace(release.about, entity=("zone",)), schema=schema)


def rows(*given: tuple[str | None, int | None, float | None]) -> pl.DataFrame:
    """Rows of (zone, hours since the start, distance)."""
    return pl.DataFrame(
        {
            "trip": range(len(given)),
            "at": [None if hours is None else START + timedelta(hours=hours) for _, hours, _ in given],
            "zone": [zone for zone, _, _ in given],
            "distance": [distance for _, _, distance in given],
        },
        schema={"trip": pl.Int64, "at": pl.Datetime("us"), "zone": pl.String, "distance": pl.Float64},
    )


def found(latest: Latest) -> pl.DataFrame:
    frames = [frame for file in latest.files for frame in SpanReader().read(part_of(file))]
    return pl.concat([pl.DataFrame(schema=dict(latest.columns)), *frames])


def look(asked: Named, release: OpenRelease, folder: Path, as_of: int = 2**62) -> tuple[Latest, dict[str, float]]:
    """What became of the rows, and the distance of each zone's latest one."""
    latest = latest_rows(asked, release, LocalEngine(2), str(folder), as_of)
    counts = latest.counts
    assert counts["read"] == counts["accepted"] + counts["rejected"] + counts["later"] + counts["nameless"]
    assert counts["accepted"] == counts["entities"] + counts["repeated"]
    held = found(latest)
    assert held.height == counts["entities"]
    zones = {(entity_key([zone]) or b"").decode("latin-1"): zone for zone in ("airport", "harbour", "suburb", "äß")}
    return latest, {zones[key]: distance for key, distance in held.select(KEY, "distance").iter_rows()}


def test_of_each_entity_the_latest_row_is_taken(by_zone: OpenRelease, tmp_path: Path) -> None:
    given = rows(
        ("airport", 3, 1.0),
        ("harbour", 1, 2.0),
        ("airport", 9, 3.0),
        ("airport", 5, 4.0),
        (None, 7, 5.0),
        ("äß", None, 6.0),
        ("suburb", None, 7.0),
        ("suburb", 1, 8.0),
        ("harbour", 1, 9.0),
    )
    latest, taken = look(Named(frame(given)), by_zone, tmp_path)
    assert taken == {"airport": 3.0, "harbour": 9.0, "äß": 6.0, "suburb": 8.0}
    assert (latest.counts["nameless"], latest.counts["repeated"], latest.counts["read"]) == (1, 4, 9)
    assert "1 rows have a null in the entity: no request could find them" in latest.notices
    assert found(latest)[REQUESTS].sum() == 8


def test_the_order_of_files_does_not_decide(by_zone: OpenRelease, tmp_path: Path) -> None:
    parts = [rows(("airport", hour, hour / 10)) for hour in range(6)]
    taken = []
    for number, order in enumerate(([0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 2, 4])):
        folder = tmp_path / str(number)
        folder.mkdir()
        for place, part in enumerate(order):
            parts[part].write_parquet(folder / f"{place}.parquet")
        latest, one = look(Named(parquet(str(folder))), by_zone, tmp_path / f"made-{number}")
        taken.append((one, latest.population.sha256))
    assert taken[0] == taken[1]
    assert taken[0][0] == {"airport": 0.5}


def test_rows_that_break_the_schema_are_counted_by_rule_and_column(by_zone: OpenRelease, tmp_path: Path) -> None:
    text = rows(("airport", 1, 1.0), ("harbour", 2, 2.0)).with_columns(distance=pl.Series(["far", "2.5"]))
    text.write_csv(tmp_path / "rows.csv")
    latest, taken = look(Named(nf.csv(str(tmp_path / "rows.csv"))), by_zone, tmp_path / "made")
    assert taken == {"harbour": 2.5}
    assert latest.counts["rejected"] == 1
    assert "1 rows break the schema: rule type of column 'distance'" in latest.notices


def test_a_file_without_a_column_is_refused_and_a_further_one_told(by_zone: OpenRelease, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="distance"):
        look(Named(frame(rows(("airport", 1, 1.0)).drop("distance"))), by_zone, tmp_path / "a")
    latest, _ = look(Named(frame(rows(("airport", 1, 1.0)).with_columns(tip=1.0))), by_zone, tmp_path / "b")
    assert latest.notices == ("column 'tip' is left out, which a request does not have",)


def test_a_population_of_nobody_is_no_error_yet(by_zone: OpenRelease, tmp_path: Path) -> None:
    latest, taken = look(Named(frame(rows((None, 1, 1.0)))), by_zone, tmp_path / "made")
    assert taken == {}
    assert (latest.counts["read"], latest.counts["nameless"], latest.counts["entities"]) == (1, 1, 0)


def log(folder: Path, requests: dict[str, int]) -> Path:
    """A request log in spans: of each zone so many requests, an hour apart, each span with those of one zone."""
    folder.mkdir()
    for name, count in requests.items():
        given = rows(*((name, hour, float(hour)) for hour in range(count)))
        moments = [START + timedelta(hours=hour) for hour in range(count)]
        span = given.with_columns(
            request_id=pl.Series([f"{name}-{hour}" for hour in range(count)], dtype=pl.String),
            request_time=pl.Series(moments, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC"),
            request_entity=pl.lit(entity_key([name])),
            request_source=pl.lit("model"),
        )
        span.write_parquet(folder / f"{name}.parquet")
    return folder


def micros(hours: int) -> int:
    return int((START.replace(tzinfo=UTC) + timedelta(hours=hours)).timestamp() * 1e6)


def test_of_a_log_those_asked_about_most_often_are_taken_with_their_latest_request(
    by_zone: OpenRelease, tmp_path: Path
) -> None:
    place = log(tmp_path / "log", {"airport": 5, "harbour": 7, "suburb": 7, "äß": 2})
    latest, taken = look(Named(parquet(str(place)), top=2), by_zone, tmp_path / "made")
    assert taken == {"airport": 4.0, "harbour": 6.0, "suburb": 6.0, "äß": 1.0}
    assert latest.population.kind == "log"
    assert latest.notices == ("17 rows are of an entity that has a later one",)

    def head(top: int) -> set[float]:
        return set(head_of(latest, top)(found(latest))["distance"].to_list())

    first = min(("harbour", "suburb"), key=lambda name: entity_key([name]) or b"")
    kept = head_of(latest, 1)(found(latest))
    assert kept[KEY].to_list() == [(entity_key([first]) or b"").decode("latin-1")]
    assert head_of(latest, 2)(found(latest)).height == 2
    assert head(3) == {4.0, 6.0}
    assert head(99) == set(taken.values())


def test_requests_after_as_of_are_not_yet_known(by_zone: OpenRelease, tmp_path: Path) -> None:
    place = log(tmp_path / "log", {"airport": 5, "harbour": 2})
    latest, taken = look(Named(parquet(str(place)), top=9), by_zone, tmp_path / "made", micros(2))
    assert taken == {"airport": 2.0, "harbour": 1.0}
    assert latest.counts["later"] == 2
    assert found(latest)[TIME].max() == micros(2)


def test_a_span_of_a_log_that_lacks_a_column_is_left_out(by_zone: OpenRelease, tmp_path: Path) -> None:
    place = log(tmp_path / "log", {"airport": 5, "harbour": 2})
    path = place / "harbour.parquet"
    pl.read_parquet(path).drop("distance").write_parquet(path)
    latest, taken = look(Named(parquet(str(place)), top=9), by_zone, tmp_path / "made")
    assert taken == {"airport": 4.0}
    assert "1 spans of the log lack a column of a request: left out" in latest.notices
    (place / "airport.parquet").unlink()
    with pytest.raises(SourceError, match="none with column 'distance'"):
        look(Named(parquet(str(place)), top=9), by_zone, tmp_path / "again")


DECLARED: dict[str, tuple[Any, dict[str, Any], Named | str]] = {
    "the declared file, beside system.py": (
        nf.StaticServing("all.parquet"),
        {},
        Named(parquet("all.parquet"), "/project"),
    ),
    "the file of a hybrid system": (nf.HybridServing(population="a.csv"), {}, Named(nf.csv("a.csv"), "/project")),
    "a file that is named goes before": (nf.StaticServing("all.parquet"), {"file": "b.csv"}, Named(nf.csv("b.csv"))),
    "of a dynamic system too": (nf.DynamicServing(), {"file": "b.csv"}, Named(nf.csv("b.csv"))),
    "the head of a log": (nf.HybridServing(top=7), {"log": "log"}, Named(nf.request_log("log"), top=7)),
    "the head of a log, of a static system": (nf.StaticServing(top=7), {"log": "l"}, Named(nf.request_log("l"), top=7)),
    "a file goes before the log": (nf.StaticServing(top=7), {"file": "b.csv", "log": "l"}, Named(nf.csv("b.csv"))),
    "a dynamic system has none": (nf.DynamicServing(), {}, "--population FILE"),
    "the log is to be named": (nf.HybridServing(top=7), {}, "--log FOLDER"),
    "by which paradigm is told": (nf.StaticServing(top=7), {}, r"StaticServing\(top=\), which takes it"),
}


@pytest.mark.parametrize("name", DECLARED)
def test_the_population_is_the_one_that_is_named_or_declared(name: str) -> None:
    serving, given, expected = DECLARED[name]
    words = {"file": None, "log": None, **given}
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=expected):
            named(serving, Path("/project"), **words)
    else:
        assert named(serving, Path("/project"), **words) == expected
