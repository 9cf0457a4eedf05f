"""The verbs from Python: a system that stands in no file, frames in and out, stores elsewhere."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import ninetyfive as nf
from ninetyfive import col
from ninetyfive.errors import DataError, SchemaError, SourceError, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]


def in_memory(rows: Any, folder: Path, **words: Any) -> nf.System:
    """A system over a frame, as a notebook declares it in `folder`."""
    system = nf.System(
        "notebook",
        source=nf.frame(rows, id="trip"),
        label=col("tip") > 3.0,
        features={"distance": col("distance").fill_mean(), "zone": col("zone").vocabulary()},
        split=nf.Split("id", 0.5),
        **words,
    )
    system.origin = str(folder / "notebook.ipynb")

    @system.model
    def model(x: Any, y: Any, params: Any) -> Any:
        from sklearn.tree import DecisionTreeClassifier

        return DecisionTreeClassifier(max_depth=3, random_state=0).fit(x, y)

    return system


def test_a_frame_is_run_and_answered(trips: Trips, tmp_path: Path) -> None:
    rows = trips()
    system = in_memory(rows, tmp_path)
    document = system.run()
    assert document["promoted"]
    assert document["window"]["cut"] is None
    assert in_memory(rows, tmp_path).run()["release"] == document["release"]
    answers = system.predict(rows.drop("tip"))
    assert answers.columns == ["trip", "prediction"]
    assert answers["trip"].to_list() == rows["trip"].to_list()
    assert answers.schema["prediction"] == pl.Float64
    assert (tmp_path / ".ninetyfive").is_dir()
    assert (tmp_path / "schema.toml").is_file()


def test_a_frame_of_another_library_is_taken(trips: Trips, tmp_path: Path) -> None:
    document = in_memory(trips().to_arrow(), tmp_path).run()
    assert document["rows"]["accepted"] == 1_200


def test_a_pipe_declares_where_it_works(tmp_path: Path) -> None:
    """A system from a bare Python has no file: its project is the working folder."""
    script = (
        "import ninetyfive as nf; s = nf.System('s', source=nf.parquet('a', id='k'), label=nf.col('y') > 1, "
        "features={'a': nf.col('a')}); print(s.folder)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path)


def test_predict_keeps_order_and_passes_ids_through(finished: Project, trips: Trips) -> None:
    system, rows = finished.load(), trips(300, seed=9).drop("fare", "tip")
    answers = system.predict(rows)
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=3)
    again = system.predict(shuffled)
    assert again["trip"].to_list() == shuffled["trip"].to_list()
    assert again.sort("trip").equals(answers)
    with pytest.raises(SourceError, match="got a frame without any"):
        system.predict(rows.head(0))
    by_hash = system.predict(rows.head(5), release=finished.champion()[:8])
    assert by_hash.equals(answers.head(5))


def test_frames_and_rows_answer_alike(finished: Project, trips: Trips) -> None:
    system, rows = finished.load(), trips(40, seed=4)
    answers = system.predict(rows)["prediction"].to_list()
    for row, answer in zip(rows.iter_rows(named=True), answers, strict=True):
        assert system.trace(row)["answer"] == answer


def test_a_row_that_breaks_the_schema_is_named(finished: Project, trips: Trips) -> None:
    rows = trips(3).drop("fare", "tip").with_columns(trip=pl.Series([1, None, 3]))
    with pytest.raises(
        DataError, match=r"predict, column 'trip': expected rows that keep the schema, got 1 that do not"
    ):
        finished.load().predict(rows)
    with pytest.raises(SchemaError, match=r"column 'zone'.*no such column"):
        finished.load().predict(trips(3).drop("zone"))


def test_status_and_releases(copied: Project, project: Project) -> None:
    assert project.load().status()["champion"] is None
    assert project.load().releases() == []
    status = copied.load().status()
    assert (status["system"], status["spans"], status["releases"]) == ("trips", 1, 1)
    assert status["schema"] == {"version": 1, "reviewed": False, "columns": 6}
    assert (status["last_run"]["id"], status["last_run"]["status"]) == ("run-1", "done")
    (release,) = copied.load().releases()
    assert (release["champion"], release["passed"], release["number"]) == (True, True, 1)
    assert release["release"] == status["champion"]["release"]
    assert list(release["metrics"]) == ["auc", "log_loss", "brier"]


@pytest.mark.parametrize("altered", ["update releases set document = '{}'", "delete from releases"])
def test_what_the_catalog_no_longer_says_of_a_release_is_told(copied: Project, altered: str) -> None:
    with contextlib.closing(sqlite3.connect(copied.folder / ".ninetyfive" / "catalog.sqlite")) as catalog, catalog:
        catalog.execute(altered)
    said = copied.command("status")
    assert said.code == 1
    assert "expected a " in said.err
    assert "ninetyfive doctor" in said.err


def test_a_store_in_a_bucket_is_looked_at_before_it_is_made(project: Project) -> None:
    toml = 'store = "memory://looked/at"\ncatalog = "sqlite:///{}/catalog.sqlite"\n'
    (project.folder / "ninetyfive.toml").write_text(toml.format(project.folder), encoding="utf-8")
    system = project.load()
    assert system.status()["champion"] is None
    assert system.releases() == []
    release = system.run()["release"]
    assert system.status()["champion"]["release"] == release
    assert system.predict(pl.read_parquet(project.folder / "data" / "a.parquet")).height == 1_200


def test_what_needs_a_champion_says_so(project: Project) -> None:
    with pytest.raises(StoreError):
        project.load().promote("abc")
    project.run(promote=False)
    with pytest.raises(UsageError, match="expected a champion, got none yet"):
        project.load().trace({"trip": 1})
    with pytest.raises(StoreError, match="got no champion"):
        project.load().rollback()
    assert project.load().schema_diff() == {"champion": False, "changes": []}
    assert project.load().accept_schema()["reviewed"]


def test_reporters_are_told(project: Project) -> None:
    class Told:
        def __init__(self) -> None:
            self.said: list[tuple[Any, ...]] = []

        def started(self, step: str) -> None:
            self.said.append(("started", step))

        def rows(self, done: int, total: int | None) -> None:
            self.said.append(("rows", done, total))

        def finished(self, step: str, seconds: float, skipped: bool) -> None:
            self.said.append(("finished", step, skipped, seconds >= 0.0))

        def notice(self, text: str) -> None:
            self.said.append(("notice", text))

    told = Told()
    project.run(reporter=told)
    assert told.said[0][0] == "notice"
    assert told.said[1] == ("started", "ingest")
    assert ("rows", 1_200, 1_200) in told.said
    assert told.said[-1] == ("finished", "release", False, True)
    again = Told()
    project.run(reporter=again)
    assert {said for said in again.said if said[0] == "finished"} == {
        ("finished", step["name"], True, True) for step in project.run()["steps"]
    }


def test_times_with_a_zone(project: Project, trips: Trips) -> None:
    rows = trips().with_columns(pl.col("at").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"))
    project.add("a", rows)
    document = project.run()
    assert document["window"]["to"] == "2026-01-09T07:50:00"
    assert document["promoted"]
    row = {"trip": 1, "at": "2026-01-01T20:10:00+01:00", "zone": "airport", "distance": 6.5}
    traced = project.load().trace(row)
    assert traced["row"]["at"] == "2026-01-01T19:10:00Z"
    assert traced["inputs"]["hour"] == 19.0


def test_a_store_of_another_system_is_refused_by_every_verb_on_its_releases(
    copied: Project, trips: Trips, tmp_path: Path
) -> None:
    champion, rows = copied.champion(), trips(3).drop("tip", "fare")
    rows.write_parquet(tmp_path / "rows.parquet")
    with copied.store() as store:
        before = len(store.audit_records())
    copied.edit(('"trips",\n', '"other",\n'))
    system = copied.load()
    verbs: tuple[Callable[[], Any], ...] = (
        system.run,
        lambda: system.predict(rows),
        lambda: system.predict_file(str(tmp_path / "rows.parquet"), tmp_path / "answers.parquet"),
        lambda: system.trace(rows.row(0, named=True)),
        system.explain_features,
        lambda: system.promote(champion),
        system.rollback,
        lambda: system.pin(champion),
        lambda: system.unpin(champion),
        system.gc,
        lambda: system.gc(remove=True),
    )
    for verb in verbs:
        with pytest.raises(UsageError, match=r"expected the store of system 'other', got that of 'trips'"):
            verb()
    with copied.store() as store:
        assert len(store.audit_records()) == before
        assert store.pins() == {}
