"""The history of a system out of its store: every labelled row, in time order, whatever the files were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import pytest
from tests.conftest import Project, trips
from tests.design.histories import rows

from ninetyfive.clock import now
from ninetyfive.design.history import KNOWN, TIME, History, history_of, read_history
from ninetyfive.design.trainer import Recipe
from ninetyfive.design.training import Money, choose_training, measure_training
from ninetyfive.engines.local import LocalEngine
from ninetyfive.features.encoding import FOLD, LABEL
from ninetyfive.progress import Silent
from ninetyfive.run import _prepare
from ninetyfive.steps.context import Context, Prepared
from ninetyfive.steps.ingest import ingest


@contextmanager
def ingested(project: Project, **words: Any) -> Iterator[tuple[Prepared, dict[str, Any]]]:
    """A system whose source was looked at, and the output of its ingest."""
    system = project.load()
    with system._store(system.settings, create=True) as store, store.lease(wait=1.0):
        context = _prepare(Context(system, system.settings, store, LocalEngine(2), Silent(), **words))
        yield context, ingest(context)


def read(project: Project, limit: int = 200_000, **words: Any) -> History:
    with ingested(project, **words) as (context, spans):
        return read_history(context, spans, limit)


def test_every_labelled_row_stands_in_time_order(project: Project) -> None:
    history = read(project)
    assert history.frame.height == 1_200
    assert history.frame[TIME].is_sorted()
    assert (history.frame[KNOWN] == history.frame[TIME]).all()
    assert set(history.types) == {"at", "distance", "zone"}
    assert history.frame[LABEL].dtype == pl.Boolean
    assert history.frame[FOLD].n_unique() == 20
    assert (history.share, history.left_out, history.cannot) == (1.0, (), ())


def test_shuffled_rows_and_other_files_are_one_history(project: Project) -> None:
    whole = read(project)
    frame = trips(1_200).sample(fraction=1.0, shuffle=True, seed=1)
    (project.folder / "data" / "a.parquet").unlink()
    project.add("b", frame.head(500))
    project.add("c", frame.tail(700))
    assert read(project).frame.equals(whole.frame)


def test_more_rows_than_the_bound_are_thinned_by_their_ids(project: Project) -> None:
    whole, some = read(project), read(project, 300)
    assert some.frame.height == 300
    assert some.share == pytest.approx(0.25)
    assert any("300 of 1,200" in text for text in some.left_out)
    assert some.frame.join(whole.frame, on=list(whole.frame.columns), how="semi").height >= 290  # distance has nulls
    assert read(project, 300).frame.equals(some.frame)


def test_rows_without_a_label_are_counted(project: Project) -> None:
    more = trips(100, first=1_200).with_columns(tip=pl.lit(None, pl.Float64))
    project.add("b", more)
    history = read(project)
    assert history.frame.height == 1_200
    assert any("100 rows have no label yet" in text for text in history.left_out)


def test_labels_are_known_when_the_declaration_says(project: Project) -> None:
    project.edit(('later=["fare"],', 'later=["fare"], label_delay="2h",'))
    history = read(project)
    assert (history.frame[KNOWN] - history.frame[TIME] == 7_200_000_000).all()


def test_what_is_later_than_the_time_asked_for_is_left_out(project: Project) -> None:
    newest = read(project).frame[TIME].max()
    assert isinstance(newest, int)
    history = read(project, as_of=newest - 3_600_000_000)
    assert history.frame.height == 1_194
    assert any("6 rows" in text for text in history.left_out)


def test_without_time_nothing_can_be_said(project: Project) -> None:
    project.edit(('time="at", ', ""), ('"hour": col("at").hour(),', ""), ('    split=nf.Split("time", 0.5),\n', ""))
    with ingested(project) as (context, spans):
        history = read_history(context, spans)
        evidence = measure_training(history, Recipe.of(context, history.task), Money(0.03, None, 0.05))
    assert any("no time=" in why for why in evidence.cannot)
    assert choose_training(evidence, None).confidence == "none"


def test_a_whole_system_is_measured(project: Project) -> None:
    project.add("b", trips(1_200, first=1_200))
    with ingested(project) as (context, spans):
        history = read_history(context, spans)
        recipe = Recipe.of(context, history.task)
        evidence = measure_training(history, recipe, Money(0.03, None, 0.05))
    assert recipe.metrics == ("auc", "log_loss", "brier")
    assert recipe.held_out == 0.5
    assert (evidence.rows, evidence.metric, evidence.task) == (2_400, "auc", "binary")
    assert not evidence.cannot
    assert choose_training(evidence, None).confidence == "measured"


def test_a_frame_with_nulls_keeps_what_is_whole() -> None:
    frame = rows(size=500)
    holes = frame.with_columns(y=pl.when(pl.col("id") < 10).then(None).otherwise(pl.col("y")))
    history = history_of(holes, "y", "at", "1d", ("id",))
    assert history.frame.height == 490
    assert any("10 rows" in text for text in history.left_out)


def test_now_decides_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The history is that of the data: no clock is read."""
    before = read(project).frame
    monkeypatch.setenv("NINETYFIVE_CLOCK", "2030-01-01T00:00:00Z")
    assert now().year == 2030
    assert read(project).frame.equals(before)
