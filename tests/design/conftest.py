"""Releases whose costs are measured, and logs of requests that are replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import Project, _project
from tests.sources.logs import log_trips

from ninetyfive.design.ground import Ground
from ninetyfive.engines.local import LocalEngine
from ninetyfive.models.release import OpenRelease, open_release

LATER = ("tip", "fare")


@pytest.fixture(scope="session")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenRelease]:
    """A release of trips that is asked for by zone and distance."""
    with _project(tmp_path_factory.mktemp("zones")) as project:
        project.edit(("    split=", '    entity=["zone", "distance"],\n    split='))
        yield opened(project)


@pytest.fixture(scope="session")
def plain(finished: Project) -> OpenRelease:
    """A release of trips without an entity."""
    return open_release(finished.release(finished.champion()))


@pytest.fixture
def on(tmp_path: Path) -> Callable[[OpenRelease], Ground]:
    """A function that gives the ground of a release."""
    return lambda release: Ground(release, LocalEngine(2), tmp_path / "ground")


@pytest.fixture
def log(tmp_path: Path, trips: Callable[..., pl.DataFrame]) -> str:
    """A log of 900 requests of trips, whose distances are whole and whose hours are those of one evening."""
    log_trips(tmp_path / "log", asked(trips(900)), later=LATER)
    return str(tmp_path / "log")


def asked(rows: pl.DataFrame) -> pl.DataFrame:
    """Trips of which many are alike: whole distances, two hours."""
    start = datetime(2026, 1, 1, 17)
    at = [start + timedelta(seconds=8 * place) for place in range(rows.height)]
    distance = pl.col("distance").fill_null(0.0).round(0)
    return rows.with_columns(pl.Series("at", at, dtype=pl.Datetime("us")), distance)


def moment(rows: int) -> int:
    """When so many requests of `log` have come, µs UTC."""
    return int((datetime(2026, 1, 1, 17) - datetime(1970, 1, 1)).total_seconds() * 1e6) + 8_000_000 * (rows - 1)


def opened(project: Project) -> OpenRelease:
    """The release of a run, whose gates do not matter."""
    return open_release(project.release(project.run()["release"]))
