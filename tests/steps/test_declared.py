"""The declaration against the data: what cannot be fails before any job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

import ninetyfive as nf
from ninetyfive.errors import DeclarationError, FeatureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]

ABSENT = [
    (('time="at"', 'time="att"'), "source, time=", "did you mean 'at'"),
    (('id="trip"', 'id=["trip", "tripp"]'), "source, id=", "did you mean 'trip'"),
    (('later=["fare"]', 'later=["fair"]'), "later=", "did you mean 'fare'"),
    (('col("tip")', 'col("tips")'), "label=", "did you mean 'tip"),
    (('col("zone")', 'col("zon")'), "feature 'zone'", "did you mean 'zone'"),
    (("    split=", '    entity=["zones"],\n    split='), "entity=", "did you mean 'zone'"),
    (("    split=", '    slices=["zon"],\n    split='), "slices=", "did you mean 'zone'"),
    (("    split=", '    label_time="att",\n    split='), "label_time=", "did you mean 'at'"),
    (("    split=", '    label_time="zone2",\n    split='), "label_time=", "did you mean 'zone'"),
]


@pytest.mark.parametrize(("change", "where", "do"), ABSENT)
def test_a_column_that_is_not_there_fails_before_any_job(
    project: Project, change: tuple[str, str], where: str, do: str
) -> None:
    project.edit(change)
    document, jobs = refused(project)
    assert where in document["where"]
    assert do in document["do"]
    assert jobs == []


UNFIT = [
    (('time="at"', 'time="zone"'), "time=", "'zone' of type string"),
    (('time="at"', 'time="trip"'), "time=", "'trip' of type integer"),
    (('col("at").hour()', 'col("at")'), "feature 'hour'", 'col("at") of type timestamp'),
    (('col("zone").vocabulary()', 'col("zone").log1p()'), "operation log1p", 'col("zone") of type string'),
    (('label=col("tip") > 3.0', 'task="binary", label=col("tip")'), "task='binary'", "of type number"),
    (('label=col("tip") > 3.0', 'metrics=["rmse"], label=col("tip") > 3.0'), "metrics= or gates=", "'rmse'"),
    (("    split=", '    gates=[nf.Gate("r2", at_least=0)],\n    split='), "metrics= or gates=", "'r2', of regression"),
    (
        ("    split=", '    serving=nf.DynamicServing(on_outside="no"),\n    split='),
        "DynamicServing(on_outside=)",
        "'no'",
    ),
    (("    split=", '    label_time="fare",\n    split='), "label_time=", "'fare' of type number"),
]


@pytest.mark.parametrize(("change", "where", "got"), UNFIT)
def test_types_that_do_not_fit_fail_before_any_job(
    project: Project, change: tuple[str, str], where: str, got: str
) -> None:
    project.edit(change)
    document, jobs = refused(project)
    assert where in document["where"]
    assert got in document["got"]
    assert jobs == []


def refused(project: Project) -> tuple[dict[str, str], list[set[str]]]:
    """What a run that cannot start says, and the jobs that it did."""
    jobs: list[set[str]] = []
    with pytest.raises((DeclarationError, FeatureError)) as caught:
        project.watched(jobs)
    return caught.value.as_dict(), jobs


def test_a_label_that_no_task_takes(project: Project) -> None:
    project.edit(('label=col("tip") > 3.0', 'label=col("day")'))
    project.add("a", pl.read_parquet(project.folder / "data" / "a.parquet").with_columns(day=pl.col("at").dt.date()))
    document, _ = refused(project)
    assert document["expected"] == "a boolean, a string or a number"
    assert document["got"] == 'col("day") of type date'


def test_a_system_without_a_model_does_not_run(trips: Trips, tmp_path: Path) -> None:
    system = nf.System(
        "bare", source=nf.frame(trips(10), id="trip"), label=nf.col("tip"), features={"x": nf.col("trip")}
    )
    system.origin = str(tmp_path / "system.py")
    with pytest.raises(DeclarationError, match="expected a model, got none"):
        system.run()
