"""A request log with made-up trips, as a service would have written it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ninetyfive.schema import logical_type
from ninetyfive.serve.log import Record, RequestLog
from ninetyfive.serve.messages import Log
from ninetyfive.supervise.rotation import rotate

if TYPE_CHECKING:
    from tests.conftest import Project

COLUMNS = {"at": "timestamp", "zone": "string", "distance": "number"}
LATER = ("tip", "fare", "trip")


def request_id(trip: int) -> str:
    """The id of the request for a trip."""
    return f"{trip:032x}"


def log_trips(
    folder: Path, trips: pl.DataFrame, worker: str = "w1", later: tuple[str, ...] = LATER, **changes: object
) -> list[Path]:
    """Log a request for each trip, made at its time, in `folder`; the spans that are new. `rowless`: by key alone."""
    requests = trips.drop(later)
    columns = {name: logical_type(kind) or COLUMNS[name] for name, kind in requests.schema.items()}
    release = str(changes.pop("release", "a" * 64))
    rowless = changes.pop("rowless", False)
    config = Log(folder=str(folder), **changes)  # type: ignore[arg-type]
    before = set(folder.glob("*.parquet"))
    log = RequestLog(config, worker, columns)
    rows = requests.with_columns(pl.col("at").cast(pl.Datetime("us")).to_physical()).rows()
    if rowless:
        rows = [(None,) * requests.width] * requests.height
    times = trips["at"].cast(pl.Datetime("us")).to_physical()
    log.append(
        [
            Record(request_id(trip), at or 0, None, None, row, 7, 0.5, release, None, "model", 0.0)
            for trip, at, row in zip(trips["trip"], times, rows, strict=True)
        ]
    )
    log.close()
    _, errors = rotate(folder)
    assert not errors
    return sorted(set(folder.glob("*.parquet")) - before)


def labels_of(trips: pl.DataFrame, *more: str) -> pl.DataFrame:
    """The labels of trips: `request_id`, `tip` and more."""
    return trips.select(pl.col("trip").map_elements(request_id, pl.String).alias("request_id"), "tip", *more)


def on_log(project: Project, *changes: tuple[str, str]) -> None:
    """Let the system learn from the log in log/ and labels.parquet."""
    text = (project.folder / "system.py").read_text(encoding="utf-8")
    source = next(line for line in text.splitlines() if line.strip().startswith("source="))
    project.edit((source, '    source=nf.request_log("log", labels="labels.parquet"),'), *changes)
