"""Tables that nobody keeps: as many entities as one wants, and none that a gate refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.design.conftest import moment

from ninetyfive.design.ground import Ground, latest, live, made, multiplied
from ninetyfive.design.traffic import newest
from ninetyfive.errors import ModelError
from ninetyfive.models.release import OpenRelease
from ninetyfive.sources.files import frame, request_log
from ninetyfive.tables.reader import Table

On = Callable[[OpenRelease], Ground]


def test_a_table_of_the_head_as_of_a_moment(zones: OpenRelease, on: On, log: str) -> None:
    ground = on(zones)
    found = latest(ground, request_log(log), moment(600))
    assert found.counts["later"] == 300
    answers = live(ground, made(ground, found, 5, moment(600)))
    assert (answers.release, answers.folder) == (zones.hash, str(zones.folder))
    table = Table(Path(str(answers.table_folder)), release=zones.hash, checked=False, entity=zones.about.entity)
    assert (table.size, table.about.population.top) == (5, 5)
    assert table.about.as_of.startswith("2026-01-01T18:19:52")
    table.close()


def test_rows_are_multiplied_under_keys_of_nobody(zones: OpenRelease, on: On, log: str) -> None:
    ground = on(zones)
    found = latest(ground, frame(newest(log, zones, 40)), None)
    table = live(ground, made(ground, multiplied(ground, found, 1_000), None, 0))
    held = Table(Path(str(table.table_folder)), release=zones.hash, checked=False)
    own = live(ground, made(ground, found, None, 0))
    theirs = Table(Path(str(own.table_folder)), release=zones.hash, checked=False)
    assert held.size == 1_000
    assert set(map(len, held.keys())) == set(map(len, theirs.keys()))
    assert not set(held.keys()) & set(theirs.keys())
    held.close()
    theirs.close()


def test_a_table_of_nobody_is_refused(zones: OpenRelease, on: On, log: str) -> None:
    ground = on(zones)
    with pytest.raises(ModelError, match="rows: expected at least 1 entity"):
        live(ground, made(ground, latest(ground, request_log(log), 0), 5, 0))


def test_rows_without_an_entity_make_no_table(zones: OpenRelease, on: On, log: str) -> None:
    ground = on(zones)
    rows = newest(log, zones, 40).with_columns(distance=pl.lit(None, pl.Float64))
    found = latest(ground, frame(rows), None)
    assert found.counts["nameless"] == 40
