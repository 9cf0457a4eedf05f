"""A whole run: what its document says, what is skipped, what is read, what is promoted, what is never seen."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ninetyfive import run as running
from ninetyfive.engines.local import LocalEngine
from ninetyfive.errors import BusyError, DataError, DeclarationError, FeatureError, NinetyfiveError, UsageError
from ninetyfive.hashing import series_hash
from ninetyfive.models.release import open_release
from ninetyfive.plan import Map, Plan, Read, Reduce, Shuffle, Write
from ninetyfive.progress import Silent
from ninetyfive.run import Asked, as_of_microseconds, run
from ninetyfive.steps.apply import training_rows
from ninetyfive.steps.context import Context
from ninetyfive.store.opening import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]

STEPS = ["ingest", "analyze", "validate", "split", "fit", "apply", "train", "evaluate", "gate", "release"]
ROWS = ["read", "accepted", "quarantined", "unlabelled", "duplicate"]


def done(document: dict[str, Any]) -> list[str]:
    """The names of the steps that were not skipped."""
    return [step["name"] for step in document["steps"] if not step["skipped"]]


def release_folder(project: Project, release: str) -> Path:
    with project.store() as store:
        return Path(store.path(store.release(release).folder))


# What a run says


def test_the_document_of_a_run(project: Project) -> None:
    document = project.run()
    assert set(document) >= {"run", "release", "promoted", "rows", "metrics", "baselines", "gates", "jobs", "steps"}
    assert document["run"] == "run-1"
    assert (len(document["release"]), document["promoted"], document["passed"]) == (64, True, True)
    assert document["rows"] == {"read": 1_200, "accepted": 1_200, "quarantined": 0, "unlabelled": 0, "duplicate": 0}
    assert list(document["rows"]) == ROWS
    assert [step["name"] for step in document["steps"]] == STEPS
    assert all(set(step) == {"name", "seconds", "skipped"} for step in document["steps"])
    assert done(document) == STEPS
    window = document["window"]
    assert (window["rows"], window["train"] + window["test"]) == (1_200, 1_200)
    assert abs(window["test"] - 600) <= 1
    assert window["to"] == "2026-01-09T07:50:00"
    assert list(document["metrics"]) == ["auc", "log_loss", "brier"]
    for metric in (*document["metrics"].values(), *document["gains"]["constant"].values()):
        assert metric["low"] <= metric["value"] <= metric["high"]
    assert set(document["baselines"]) == set(document["gains"]) == {"constant", "linear"}
    assert document["baselines"]["constant"]["auc"]["value"] == 0.5
    gain = document["metrics"]["auc"]["value"] - 0.5
    assert document["gains"]["constant"]["auc"]["value"] == pytest.approx(gain)
    assert [gate["name"] for gate in document["gates"]] == ["size", "baseline auc", "champion auc", "time"]
    assert json.loads(msgspec.json.encode(document)) == document


def test_a_run_is_three_jobs_and_one_per_fit_phase(project: Project, trips: Trips) -> None:
    """Two phases: fill_mean and the vocabulary first, then zscore. Parquet says its types: no job for the schema."""
    assert project.run()["jobs"] == 3 + 2
    trips().write_csv(project.folder / "data" / "a.csv", datetime_format="%Y-%m-%dT%H:%M:%S")
    (project.folder / "data" / "a.parquet").unlink()
    (project.folder / "schema.toml").unlink()
    project.edit(('nf.parquet("data/*.parquet"', 'nf.csv("data/*.csv"'))
    assert project.run()["jobs"] == 3 + 2 + 1
    assert project.run(cache=False)["jobs"] == 3 + 2


def test_the_second_run_is_a_skip(copied: Project) -> None:
    document = copied.run()
    assert done(document) == []
    assert document["rows"] == dict.fromkeys(ROWS, 0)
    assert document["window"]["rows"] == 1_200
    assert (document["jobs"], document["promoted"]) == (0, True)
    assert document["reason"].startswith("it is the champion already")
    assert list(document["metrics"]) == ["auc", "log_loss", "brier"]


def test_counted_rows_add_up(project: Project, trips: Trips) -> None:
    """A null label, an exact duplicate, an id with two contents, a value that breaks a rule: each is counted once."""
    rows = trips()
    edit = pl.col("trip")
    odd = rows.with_columns(
        tip=pl.when(edit == 3).then(None).otherwise("tip"),
        zone=pl.when(edit == 5).then(None).otherwise("zone"),
    )
    conflict = odd.filter(edit == 9).with_columns(fare=pl.lit(-1.0))
    project.add("a", pl.concat([odd, odd.filter(edit.is_in([11, 12])), conflict]))
    project.run()
    schema = project.folder / "schema.toml"
    text = schema.read_text(encoding="utf-8")
    for old, new in (('zone = { type = "string",', 'zone = { type = "string", nullable = false,'), ("max_quarantined = 0.05", "max_quarantined = 0.1")):
        assert old in text
        text = text.replace(old, new)
    schema.write_text(text, encoding="utf-8")
    rows_counted = project.run()["rows"]
    assert rows_counted == {"read": 1_203, "accepted": 1_197, "quarantined": 3, "unlabelled": 1, "duplicate": 2}
    assert rows_counted["read"] == sum(rows_counted[name] for name in ROWS[1:])


# What is skipped, redone and read


def test_a_new_file_alone_is_read(copied: Project, trips: Trips) -> None:
    copied.add("b", trips(300, first=1_200))
    document = copied.run()
    assert document["rows"]["read"] == 300
    assert document["window"]["rows"] == 1_500
    assert document["champion"]["release"] != document["release"]
    assert done(document) == STEPS


def test_an_edit_of_the_model_trains_again_and_reads_nothing(copied: Project) -> None:
    copied.edit(('"max_depth": 4', '"max_depth": 3'))
    document = copied.run()
    assert done(document) == ["train", "evaluate", "gate", "release"]
    assert document["rows"] == dict.fromkeys(ROWS, 0)
    assert document["jobs"] == 1


def test_an_edit_of_a_feature_ingests_nothing(copied: Project) -> None:
    copied.edit(('col("at").hour()', 'col("at").weekday()'))
    document = copied.run()
    assert set(done(document)) >= {"fit", "apply", "train"}
    assert not set(done(document)) & {"ingest", "analyze", "validate", "split"}


def test_an_edit_of_the_schema_that_reads_rows_otherwise_reads_them_again(copied: Project) -> None:
    path = copied.folder / "schema.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("fare = { type", "fare = { min = 0.0, type"), encoding="utf-8")
    assert copied.run()["rows"]["read"] == 1_200
    path.write_text(text, encoding="utf-8")
    assert done(copied.run()) == []


def test_no_cache_does_all_again_and_makes_the_same(copied: Project, finished: Project) -> None:
    document = copied.run(cache=False)
    assert done(document) == STEPS
    with finished.store() as store:
        assert document["release"] == store.champion().release


def test_from_a_step(copied: Project) -> None:
    assert done(copied.run(start="evaluate")) == ["evaluate", "gate", "release"]
    with pytest.raises(UsageError, match="did you mean 'train'"):
        copied.run(start="trian")


class Watching(LocalEngine):
    """The local engine, which also notes the spans that each job reads."""

    def __init__(self) -> None:
        super().__init__(2)
        self.read: list[set[str]] = []

    def run(self, plans: Any) -> Any:
        self.read.append({part.span for plan in plans.values() for part in _parts(plan)})
        return super().run(plans)


def _parts(plan: Plan) -> list[Any]:
    if isinstance(plan, Read):
        return list(plan.parts)
    if isinstance(plan, Map | Reduce | Write):
        return _parts(plan.input)
    assert isinstance(plan, Shuffle)
    return [part for one in plan.inputs for part in _parts(one)]


def watched(project: Project, **words: Any) -> tuple[dict[str, Any], list[set[str]]]:
    """A run on an engine that is watched: its document, and the spans that each job read."""
    system, engine = project.load(), Watching()
    with system._store(system.settings, create=True) as store:
        document = run(Context(system, system.settings, store, engine, Silent(), **words), Asked())
    return document, engine.read


def test_the_states_of_old_spans_are_used_again(project: Project, trips: Trips) -> None:
    """Files wholly before the cut are fitted once; what the window's end brings is read, the old files are not."""
    project.edit(("0.5", "0.3"))
    for number, name in enumerate("bcd"):
        project.add(name, trips(400, first=1_200 + 400 * number))
    project.run()
    project.add("e", trips(400, first=2_400))
    document, read = watched(project)
    ingest, *fits, apply, _ = read
    assert document["rows"]["read"] == 400
    new = ingest & apply
    assert len(fits) == 2
    first = next(file for file in _spans(project) if file["rows"] == 1_200)["span"]
    assert all(first not in job for job in fits)
    assert first in apply
    assert new


def _spans(project: Project) -> list[dict[str, Any]]:
    document = json.loads((release_folder(project, _champion(project)) / "lineage.json").read_text())
    return [{"span": span, "rows": entry["rows"]} for span, entry in document["spans"].items()]


def _champion(project: Project) -> str:
    with project.store() as store:
        pointer = store.champion()
        assert pointer is not None
        return pointer.release
