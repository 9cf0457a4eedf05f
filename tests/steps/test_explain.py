"""What `schema show --features` says, and that few rows are answered as many are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from ninetyfive.engines.local import LocalEngine
from ninetyfive.models.release import open_release
from ninetyfive.sources.files import frame
from ninetyfive.steps.predict import predict, predict_few

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Project


def test_before_a_release_what_is_declared(project: Project) -> None:
    document = project.load().explain_features()
    assert document["release"] is None
    assert document["features"][0] == {"feature": "hour", "tree": 'col("at").hour()'}
    said = project.command("schema", "show", "--features")
    assert said.code == 0
    assert "not fitted yet" in said.out


@pytest.mark.slow
def test_each_feature_is_explained(finished: Project) -> None:
    document = finished.load().explain_features()
    assert document["release"] == finished.champion()
    assert document["rows"] == 1_200
    assert not document["code"]
    hour, distance, zone = document["features"]
    assert [one["feature"] for one in (hour, distance, zone)] == ["hour", "distance", "zone"]
    assert [part["operation"] for part in distance["learned"]] == ["fill_mean", "zscore"]
    assert sorted(zone["learned"][0]["constants"]["values"]) == ["airport", "harbour", "suburb"]
    assert (hour["sees"], distance["sees"], zone["sees"]) == ("index 0 to 23", "number", "index 0 to 3")
    assert all(one["nanoseconds"] > 0 and one["null_rate"] == 0 for one in document["features"])
    assert document["costs"]["crossover"] > 0
    said = finished.command("schema", "show", "--features", "--json")
    assert said.json["features"][1]["tree"] == distance["tree"]
    shown = finished.command("schema", "show", "--features").out
    assert "ns a row" in shown
    assert "quicker from" in shown


@pytest.mark.slow
def test_missing_values_are_counted_and_gone_spans_leave_the_golden_requests(copied: Project) -> None:
    copied.edit(('"distance": col("distance").fill_mean().log1p().zscore()', '"distance": col("distance") + 0'))
    copied.edit(("DecisionTreeClassifier(**params, random_state=0)", "HistGradientBoostingClassifier(**params)"))
    copied.edit(
        (
            "from sklearn.tree import DecisionTreeClassifier",
            "from sklearn.ensemble import HistGradientBoostingClassifier",
        )
    )
    copied.run()
    release = copied.load().releases()[0]["release"]
    document = copied.load().explain_features(release=release)
    assert document["features"][1]["null_rate"] == pytest.approx(1 / 50)
    with copied.store() as store:
        for span in store.spans(_ingest_key(copied, release)):
            assert span.artifact is not None
            store.path(span.artifact).unlink()
    assert copied.load().explain_features(release=release)["rows"] == 32


def _ingest_key(project: Project, release: str) -> str:
    import msgspec

    lineage = msgspec.json.decode((project.release(release) / "lineage.json").read_bytes())
    return str(lineage["ingest"])


@pytest.mark.slow
def test_few_rows_are_answered_as_many_are(
    finished: Project, trips: Callable[..., pl.DataFrame], tmp_path: Path
) -> None:
    release = open_release(finished.release(finished.champion()))
    rows = trips(300, first=5_000).drop("tip", "fare")
    answered = predict(release, frame(rows), LocalEngine(), str(tmp_path))
    few, rejected = predict_few(release, frame(rows))
    assert rejected.is_empty()
    assert few.equals(pl.concat(answered.answers.frames()))
    bad = rows.head(3).with_columns(distance=pl.Series([1.0, float("inf"), 2.0]))
    good, rejected = predict_few(release, frame(bad.with_columns(at=pl.Series([None, *bad["at"][1:]]))))
    assert good.height + rejected.height == 3


@pytest.mark.slow
def test_predict_takes_rows_below_the_crossover_and_an_engine_above(
    finished: Project, trips: Callable[..., pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    system, asked = finished.load(), []
    engine = type(system)._engine

    def told(self: Any, *words: Any) -> Any:
        asked.append(words)
        return engine(self, *words)

    monkeypatch.setattr(type(system), "_engine", told)
    crossover = open_release(finished.release(finished.champion())).crossover
    rows = trips(5, first=9_000)
    few = system.predict(rows)
    assert not asked
    many = system.predict(pl.concat([rows] * (crossover // 5 + 1)))
    assert len(asked) == 1
    assert many.head(5).equals(few)
