"""Fit as a run does it: encodings out of fold, and functions of the user's own in the release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from ninetyfive.errors import FeatureError
from ninetyfive.hashing import bytes_hash
from ninetyfive.models.release import open_release
from ninetyfive.steps.apply import read_transform, training_rows

if TYPE_CHECKING:
    from conftest import Project

ENCODED = '"zone": col("zone").target_encode(folds=4, smooth=5),'
FUNCTION = """

def per_hour(distance, at):
    return distance / (at.dt.hour() + 1)


def centred(distance):
    return distance - distance.mean()


trips ="""


def outputs(project: Project, name: str) -> list[dict[str, Any]]:
    """The outputs of a step, in the order they were recorded."""
    from sqlalchemy import select

    from ninetyfive.store import catalog
    from ninetyfive.store.catalog import from_json

    with project.store() as store, store.catalog.read() as connection:
        query = select(catalog.steps.c.output).where(catalog.steps.c.name == name)
        return [from_json(text) for text in connection.scalars(query)]


@pytest.mark.slow
def test_training_rows_are_encoded_by_the_other_folds(project: Project) -> None:
    project.edit(('"zone": col("zone").vocabulary(),', ENCODED))
    project.run()
    (fitted,), (applied,) = outputs(project, "fit"), outputs(project, "apply")
    with project.store() as store:
        x, y = training_rows(store, applied)
        trained, served = read_transform(store, fitted, training=True), read_transform(store, fitted)
    assert "__fold" in trained.inputs
    assert "__fold" not in served.inputs
    zones = pl.read_parquet(project.folder / "data" / "a.parquet").head(x.height)
    assert x["zone"].n_unique() == 3 * 4
    truth = (zones["tip"] > 3.0) == y
    assert truth.all()
    # Leave a fold out: in each group of rows of one zone and encoding, the encoding is that of the zone's other rows.
    for zone in ("airport", "harbour", "suburb"):
        here = (zones["zone"] == zone).to_numpy()
        for encoding in np.unique(x["zone"].to_numpy()[here]):
            apart = x["zone"].to_numpy() == encoding
            others = here & ~apart
            prior = y.to_numpy()[~_fold_of(x, zones, apart)].mean()
            mean = (y.to_numpy()[others].sum() + 5 * prior) / (others.sum() + 5)
            assert mean == pytest.approx(encoding, abs=1e-6)
    release = open_release(project.release(project.champion()))
    assert release.transform == served
    assert len({release.transform.rows()(golden.row)[2] for golden in release.golden}) == 3


def _fold_of(x: pl.DataFrame, zones: pl.DataFrame, apart: np.ndarray) -> np.ndarray:
    """Which rows are in the fold of those rows, of whatever zone, by the hash of their id."""
    from ninetyfive.hashing import mix, row_hash

    fold = mix(row_hash(zones, ["trip"]) ^ np.uint64(0x95)) % np.uint64(20) % np.uint64(4)
    (one,) = np.unique(fold[apart])
    result: np.ndarray = fold == one
    return result


@pytest.mark.slow
def test_a_function_travels_with_the_release(project: Project, trips: Any) -> None:
    project.edit(
        (
            '"zone": col("zone").vocabulary(),',
            '"zone": nf.feature(per_hour, [col("distance").fill_mean(), col("at")], "number"),',
        ),
        ("\ntrips =", FUNCTION),
    )
    project.run()
    folder = project.release(project.champion())
    (code,) = (folder / "code").iterdir()
    assert code.read_text().startswith("def per_hour(")
    assert code.stem == bytes_hash(code.read_bytes())
    assert "def " not in (folder / "transform.json").read_text()
    release = open_release(folder)
    assert release.about.code
    assert project.done(project.run()) == []
    project.edit(("def per_hour", "# another line\ndef per_hour"))
    assert "fit" not in project.done(project.run())
    project.edit(("at.dt.hour() + 1)", "at.dt.hour() + 2)"))
    assert "fit" in project.done(project.run())
    assert len(list((project.release(project.load().releases()[0]["release"]) / "code").iterdir())) == 1
    code.chmod(0o600)
    code.write_text(code.read_text().replace("+ 1", "+ 3"))
    with pytest.raises(Exception, match="sha256"):
        open_release(folder)


@pytest.mark.slow
def test_a_function_that_looks_at_its_neighbours_is_refused(project: Project) -> None:
    project.edit(
        ('"zone": col("zone").vocabulary(),', '"zone": nf.feature(centred, [col("distance")], "number"),'),
        ("\ntrips =", FUNCTION),
    )
    with pytest.raises(FeatureError, match="a function that looks at each row by itself"):
        project.run()
