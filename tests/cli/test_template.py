"""`ninetyfive init`: the example runs at once, a proposal from the user's own file runs too, nothing is overwritten."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]


@pytest.fixture
def empty(project: Project) -> Project:
    """A project's folder with nothing in it but a lock file."""
    (project.folder / "system.py").unlink()
    (project.folder / "data" / "a.parquet").unlink()
    return project


def test_the_example_runs_at_once(empty: Project) -> None:
    said = empty.command("init", "--json")
    assert said.code == 0
    assert said.json["files"] == ["ninetyfive.toml", ".gitignore", "system.py", "data/trips.csv"]
    assert said.json["next"] == "ninetyfive run"
    empty.edit(('"max_iter": 50', '"max_iter": 10'))
    document = empty.command("run", "--json").json
    assert (document["promoted"], document["rows"]["accepted"]) == (True, 5_000)


def test_nothing_is_overwritten(empty: Project) -> None:
    assert empty.command("init", "sub").code == 0
    before = (empty.folder / "sub" / "system.py").read_bytes()
    (empty.folder / "sub" / ".gitignore").write_text("mine\n", encoding="utf-8")
    said = empty.command("init", "sub", "--json")
    assert (said.code, said.json["error"]["do"]) == (2, "choose another folder, or move it away")
    assert (empty.folder / "sub" / "system.py").read_bytes() == before
    for name in ("system.py", "ninetyfive.toml"):
        (empty.folder / "sub" / name).unlink()
    (empty.folder / "sub" / "data" / "trips.csv").unlink()
    assert "cd sub && ninetyfive run" in empty.command("init", "sub").out
    assert (empty.folder / "sub" / ".gitignore").read_text(encoding="utf-8") == "mine\n"


FRAMES = {
    "parquet": ("a.parquet", pl.DataFrame.write_parquet),
    "csv": ("My trips; 2026.csv", lambda rows, path: rows.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S")),
    "jsonl": ("a.jsonl", pl.DataFrame.write_ndjson),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_proposal_from_a_file_runs(empty: Project, trips: Trips, kind: str) -> None:
    name, write = FRAMES[kind]
    rows = trips(2_600).with_columns(nothing=pl.lit(None, pl.String), late=pl.col("at") + timedelta(hours=1))
    write(rows, empty.folder / "data" / name)
    said = empty.command("init", "--data", f"data/{name}", "--label", "tip", "--id", "trip", "--json")
    assert said.code == 0, said.err
    assert said.json["files"] == ["ninetyfive.toml", ".gitignore", "system.py", "schema.toml"]
    assert said.json["next"] == "read system.py, then ninetyfive run"
    text = (empty.folder / "system.py").read_text(encoding="utf-8")
    assert f'source=nf.{kind}("data/{name}", time="at", id=["trip"])' in text
    assert '"distance": col("distance"),' in text
    assert '"zone": col("zone").vocabulary(top=1000),' in text
    assert '"late": col("late").hour(),' in text
    assert "HistGradientBoostingRegressor" in text
    schema = empty.command("schema", "show", "--json").json
    assert schema["review"] == "inferred, not reviewed"
    assert {column["name"]: column["type"] for column in schema["columns"]}["at"] == "timestamp"
    empty.edit(('"max_iter": 100', '"max_iter": 10'))
    document = empty.command("run", "--json").json
    assert document["passed"], document["gates"]
    assert document["rows"]["accepted"] == 2_600


def test_a_proposal_for_another_folder_and_by_date(empty: Project, tmp_path: Path) -> None:
    days = pl.DataFrame(
        {
            "day": [date(2020, 1, 1) + timedelta(days=day) for day in range(60)],
            "n": range(60),
            "class": ["a", "b"] * 30,
            "tags": [["a", None]] * 60,
            "odd name": [[[1]]] * 60,
        }
    )
    data = tmp_path / "élan.parquet"
    days.write_parquet(data)
    said = empty.command("init", "sub", "--data", data, "--label", "class")
    assert said.code == 0
    text = (empty.folder / "sub" / "system.py").read_text(encoding="utf-8")
    assert f'source=nf.parquet("{data}", time="day")' in text
    assert '"day": col("day").weekday(),' in text
    assert '"tags": col("tags").list_length(),' in text
    assert '# "odd name" is opaque: no operation takes it' in text
    assert "HistGradientBoostingClassifier" in text
    assert empty.command("status", "--system", "sub/system.py", "--json").json["system"] == "lan"


WRONG = [
    (["--label", "tip"], "got no --data", "add --data FILE"),
    (["--data", "data/a.csv"], "--label: expected the column to predict", "--label COLUMN"),
    (["--data", "data/a.csv", "--label", "tipp"], "--label: expected a column of data/a.csv", "did you mean 'tip'"),
    (["--data", "data/a.csv", "--label", "tip", "--time", "att"], "--time", "did you mean 'at'"),
    (["--data", "data/a.csv", "--label", "tip", "--id", "trip,tripp"], "--id", "did you mean 'trip'"),
    (
        ["--data", "data/a.csv", "--label", "at", "--id", "trip"],
        "--label: expected a column of booleans",
        "name another",
    ),
    (["--data", "data/b.csv", "--label", "y"], "--id: expected the columns that name a row", "--time COLUMN"),
    (["--data", "data/a.xls", "--label", "y"], "expected a name that ends in", "convert"),
]


@pytest.mark.parametrize(("words", "where", "do"), WRONG)
def test_words_that_cannot_be_are_told(empty: Project, trips: Trips, words: list[str], where: str, do: str) -> None:
    trips(30).write_csv(empty.folder / "data" / "a.csv", datetime_format="%Y-%m-%dT%H:%M:%S")
    pl.DataFrame({"x": range(30), "y": range(30)}).write_csv(empty.folder / "data" / "b.csv")
    said = empty.command("init", *words)
    assert said.code == 2
    assert where in said.err
    assert do in said.err
    assert not (empty.folder / "system.py").exists()
