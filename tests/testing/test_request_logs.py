"""A simulated request log is what a service would have written: rows, keys and fingerprints are those of a worker."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from ninetyfive.errors import SchemaError
from ninetyfive.models.release import open_release
from ninetyfive.tables.keys import entity_key, fingerprint
from ninetyfive.testing.request_logs import NOBODY, write_request_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]


def requests_of(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop("tip", "fare").with_columns(request_time=pl.col("at") - timedelta(minutes=5))


def test_it_holds_the_keys_and_fingerprints_that_a_release_looks_up(finished: Project, trips: Trips) -> None:
    """By the release's own schema and transform, from the same rows sent as JSON values."""
    system, asked = finished.load(), requests_of(trips(50))
    system.entity = ("zone", "trip")
    (span,) = write_request_log(finished.folder / "log", system, asked)
    logged = pl.read_parquet(span)
    release = open_release(finished.release(finished.champion()))
    columns = list(release.request.names)
    for number, row in enumerate(asked.select(columns).iter_rows(named=True)):
        request = release.request.row(row)
        found = logged.row(number, named=True)
        assert {name: found[name] for name in columns} == row
        assert found["request_entity"] == entity_key([request["zone"], request["trip"]])
        assert found["request_fingerprint"] == fingerprint(tuple(request[name] for name in release.transform.inputs))
        assert found["request_time"].replace(tzinfo=None) == row["at"] - timedelta(minutes=5)
    assert logged["request_release"].unique().to_list() == [NOBODY]
    assert logged["request_answer"].null_count() == logged.height


@pytest.mark.slow
def test_a_table_of_its_head_is_built_from_it(copied: Project, trips: Trips) -> None:
    copied.edit(("    split=", '    entity=["zone"],\n    serving=nf.HybridServing(top=2),\n    split='))
    assert copied.command("run").code == 0
    write_request_log(copied.folder / "head", copied.load(), requests_of(trips(300)))
    built = copied.command("table", "build", "--log", "head", "--json").json
    assert (built["entities"], built["rows"]["read"], built["passed"]) == (2, 300, True)


def test_no_requests_give_no_span_and_wrong_columns_are_named(project: Project, trips: Trips) -> None:
    system, asked = project.load(), requests_of(trips(3))
    assert write_request_log(project.folder / "log", system, asked.clear()) == ()
    with pytest.raises(SchemaError, match="requests: expected a column 'request_time', got no such column"):
        write_request_log(project.folder / "log", system, asked.drop("request_time"))
    with pytest.raises(SchemaError, match="requests: expected a column 'zone', got no such column"):
        write_request_log(project.folder / "log", system, asked.drop("zone"))
    with pytest.raises(SchemaError, match="requests, column 'request_cpu': expected a column of a request"):
        write_request_log(project.folder / "log", system, asked.with_columns(request_cpu=1.0))
