"""Every step on every engine: one word changes, and not one byte of what comes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from tests.sources.logs import labels_of, log_trips, on_log

import ninetyfive as nf
from ninetyfive import col
from ninetyfive.settings import ENGINES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]

pytestmark = pytest.mark.slow

WRITERS: dict[str, Callable[[pl.DataFrame, Path], Any]] = {
    "parquet": pl.DataFrame.write_parquet,
    "csv": pl.DataFrame.write_csv,
    "jsonl": pl.DataFrame.write_ndjson,
}
WRONG = 98_765.25
TOLD = ("rows", "window", "metrics", "baselines", "gains", "slices", "champion", "gates", "jobs", "release", "promoted")


def first(trips: Trips) -> pl.DataFrame:
    """2,400 trips, some without a label, and one with a distance that is too far to be true."""
    rows = trips(2_400)
    return rows.with_columns(tip=pl.when(pl.col("trip") % 97 != 3).then("tip"))


def second(trips: Trips) -> pl.DataFrame:
    """Later trips, with 10 of the first that stand again, 3 that share their id with others, two far ones."""
    before, rows = first(trips), trips(600, 2_400)
    clash = before[200:203].with_columns(distance=pl.lit(1.5), tip=pl.lit(0.5))
    far = rows.with_columns(distance=pl.when(pl.col("trip") >= 2_998).then(WRONG).otherwise("distance"))
    return pl.concat([far, before[100:110], clash])


def write(rows: pl.DataFrame, folder: Path, name: str, kind: str) -> Path:
    """Rows as a file; of text, what is too far is not a number."""
    path = folder / f"{name}.{kind}"
    WRITERS[kind](rows, path)
    if kind != "parquet":
        word = "far" if kind == "csv" else '"far"'
        path.write_text(path.read_text(encoding="utf-8").replace(str(WRONG), word), encoding="utf-8")
    return path


def whole(project: Project, trips: Trips, kind: str) -> dict[str, Any]:
    """Two runs and a batch prediction: what they tell, every artifact by its hash, the files of answers."""
    for path in (project.folder / "data").iterdir():
        path.unlink()
    told = []
    for name, rows in (("a", first(trips)), ("b", second(trips))):
        path = write(rows, project.folder / "data", name, kind)
        document = project.run()
        timeless = [gate for gate in document["gates"] if gate["name"] != "time"]
        told.append({key: document[key] for key in TOLD} | {"gates": timeless})
    answered = project.load().predict_file(str(path), project.folder / "answers.csv")
    answers = {path.name: path.read_bytes() for path in project.folder.glob("answers*")}
    artifacts = {path.name for path in (project.folder / ".ninetyfive" / "artifacts").iterdir()}
    schema = (project.folder / "schema.toml").read_text(encoding="utf-8")
    return {"told": told, "answered": answered["rows"], "answers": answers, "artifacts": artifacts, "schema": schema}


@pytest.mark.parametrize(
    ("kind", "engines"),
    [("parquet", ENGINES), ("csv", ("local", "spark")), ("jsonl", ("local", "beam"))],
    ids=["parquet", "csv", "jsonl"],
)
def test_a_system_is_the_same_on_every_engine(
    project: Project,
    trips: Trips,
    kind: str,
    engines: tuple[str, ...],
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Text is read by one code on each engine, so that each distributed one reads one kind of it."""
    source = ('nf.parquet("data/*.parquet"', f'nf.{kind}("data/*.{kind}"')
    project.edit(source, ("split=nf", 'slices=["zone"], split=nf'))
    found = {}
    for engine in engines:
        folder = project.folder.with_name(engine)
        project.folder.rename(folder)
        monkeypatch.setenv("NINETYFIVE_ENGINE", engine)
        found[engine] = whole(type(project)(folder), trips, kind)
        for path in (".ninetyfive", "schema.toml"):
            (folder / path).rename(folder / f"{engine} {path}")
        folder.rename(project.folder)
    (first, second), expected = found["local"]["told"], found["local"]
    assert first["rows"] == {"read": 2_400, "accepted": 2_375, "quarantined": 0, "unlabelled": 25, "duplicate": 0}
    wrong = 0 if kind == "parquet" else 2
    counts = {"read": 613, "accepted": 600 - wrong, "quarantined": 3 + wrong, "unlabelled": 0, "duplicate": 10}
    assert second["rows"] == counts
    # Ingest, two phases of fit, apply, evaluate; text is read once more for its types, rows that share an id too.
    assert (first["jobs"], second["jobs"]) == (5 + (kind != "parquet"), 6)
    assert expected["answered"] == {"answered": 613 - wrong, "unanswered": 0, "rejected": wrong}
    for engine in engines:
        assert found[engine] == expected, engine


def test_a_store_goes_on_on_another_engine(
    project: Project, trips: Trips, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one engine kept, spans and states, is what another would have made."""
    releases = []
    for engines in (("local", "local"), ("spark", "beam"), ("beam", "spark")):
        for path in (project.folder / "data").iterdir():
            path.unlink()
        for engine, name, rows in zip(engines, "ab", (first(trips), second(trips)), strict=True):
            write(rows, project.folder / "data", name, "parquet")
            monkeypatch.setenv("NINETYFIVE_ENGINE", engine)
            document = project.run()
        releases.append(document["release"])
        (project.folder / ".ninetyfive").rename(project.folder.with_name(" ".join(engines)))
    assert len(set(releases)) == 1


def test_a_frame_in_memory_goes_to_the_workers(
    trips: Trips, tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, made = trips().with_columns(tags=pl.concat_list("zone", pl.lit(None))), {}
    for engine in ENGINES:
        monkeypatch.setenv("NINETYFIVE_ENGINE", engine)
        system = nf.System(
            "notebook",
            source=nf.frame(rows, id="trip"),
            label=col("tip") > 3.0,
            features={
                "distance": col("distance").fill_mean(),
                "zone": col("zone").vocabulary(),
                "far": col("tags").list_contains("suburb"),
            },
            split=nf.Split("id", 0.5),
        )
        (tmp_path / engine).mkdir()
        system.origin = str(tmp_path / engine / "notebook.ipynb")

        @system.model
        def model(x: Any, y: Any, params: Any) -> Any:
            from sklearn.tree import DecisionTreeClassifier

            return DecisionTreeClassifier(max_depth=3, random_state=0).fit(x, y)

        made[engine] = system.run()["release"], system.predict(rows.drop("tip"))
    for release, answers in made.values():
        assert release == made["local"][0]
        assert answers.equals(made["local"][1])


def test_a_request_log_with_late_labels_is_the_same_on_every_engine(
    project: Project, trips: Trips, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = trips()
    seldom = trips(30, 6_000).with_columns(
        pl.when(pl.col("trip") % 3 > 0).then(pl.col(name)).alias(name) for name in ("at", "zone", "distance")
    )
    for logged in (rows.head(700), rows.tail(500), seldom):
        log_trips(project.folder / "log", logged)
    labels_of(rows, "fare").head(1_100).write_parquet(project.folder / "labels.parquet")
    on_log(project)
    releases = []
    for engine in ENGINES:
        monkeypatch.setenv("NINETYFIVE_ENGINE", engine)
        document = project.run()
        assert document["rows"] == {"read": 1220, "accepted": 1100, "quarantined": 0, "unlabelled": 120, "duplicate": 0}
        releases.append(document["release"])
        (project.folder / ".ninetyfive").rename(project.folder.with_name(engine))
    assert len(set(releases)) == 1
