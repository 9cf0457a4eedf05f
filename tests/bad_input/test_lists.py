"""Columns of lists: from Parquet and JSON Lines through features to answers, and lists that do not fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from ninetyfive.errors import DataError, DeclarationError, SchemaError

if TYPE_CHECKING:
    from tests.bad_input.conftest import Victim

FEATURES = """\
"zone": col("zone").vocabulary(),
        "tags": col("tags").list_length().fill_null(0),
        "new": col("tags").list_contains("new").fill_null(False),
        "here": col("tags").list_contains(col("zone")).fill_null(False),
        "first": col("scores").list_element(0).fill_mean(),
        "last": col("scores").list_element(-1).fill_null(-1),
        "no_tags": col("tags").is_null(),"""


def listed(rows: pl.DataFrame) -> pl.DataFrame:
    """Trips with two columns of lists: nulls, empty ones, null elements."""
    tags = [None, [], ["new"], [None, "airport"], ["new", 'é,"]', None]]
    places = rows["trip"].to_list()
    return rows.with_columns(
        pl.Series("tags", [tags[place % 5] for place in places], dtype=pl.List(pl.String)),
        pl.Series("scores", [[place / 8, None, 1.0][: place % 4] for place in places], dtype=pl.List(pl.Float64)),
    )


def learned(victim: Victim, release: str) -> dict[str, Any]:
    """What a release has learned and answers."""
    folder = victim.project.release(release)
    names = ("transform.json", "metrics.json", "golden.json")
    return {name: json.loads((folder / name).read_bytes()) for name in names}


def test_lists_of_parquet_and_of_jsonl_give_the_same_answers(
    fresh: Victim, rows: pl.DataFrame, more: pl.DataFrame
) -> None:
    fresh.project.edit(('"zone": col("zone").vocabulary(),', FEATURES))
    path = fresh.project.folder / "system.py"
    text = path.read_text("utf-8")
    found, answers = [], []
    for kind in ("parquet", "jsonl"):
        path.write_text(text, "utf-8")
        fresh.project.folder.joinpath("schema.toml").unlink(missing_ok=True)
        fresh.use(kind)
        fresh.write(f"a.{kind}", listed(rows))
        found.append(learned(fresh, fresh.runs()["release"]))
        asked = fresh.write(f"b.{kind}", listed(more))
        assert fresh.project.command("predict", asked, "answers.csv").code == 0
        answers.append((fresh.project.folder / "answers.csv").read_text("utf-8"))
        asked.unlink()
        shown = fresh.project.command("schema", "show").out
        assert "list[string]" in shown
        assert "list[number]" in shown
        assert 'tags = { type = "list[string]"' in (fresh.project.folder / "schema.toml").read_text("utf-8")
    assert found[0] == found[1]
    assert answers[0] == answers[1]
    assert len(answers[0].splitlines()) == 401
    assert any(golden["row"]["tags"] == [None, "airport"] for golden in found[0]["golden.json"])


def test_lists_that_do_not_fit_are_kept_apart_with_their_place(
    fresh: Victim, rows: pl.DataFrame, more: pl.DataFrame
) -> None:
    fresh.project.edit(('"zone": col("zone").vocabulary(),', '"tags": col("tags").list_length().fill_null(0),'))
    fresh.use("jsonl")
    fresh.write("a.jsonl", listed(rows))
    fresh.runs()
    lines = [json.loads(line) for line in listed(more).write_ndjson().splitlines()]
    lines[0]["tags"], lines[1]["tags"], lines[2]["scores"] = ["new", None, 7], "new", [0.5, True]
    asked = fresh.write("b.jsonl", "\n".join(map(json.dumps, lines)))
    assert fresh.runs()["rows"] == {"read": 400, "accepted": 397, "quarantined": 3, "unlabelled": 0, "duplicate": 0}
    assert fresh.project.command("predict", asked, "out.jsonl").code == 3
    rejected = pl.read_ndjson(fresh.project.folder / "out.rejected.jsonl")
    assert rejected.select("rule", "column", "value").rows() == [
        ("type", "tags", "tags[2]: 7"),
        ("type", "tags", '"new"'),
        ("type", "scores", "scores[1]: true"),
    ]
    row = lines[3] | {"tags": ["new", "old"]}
    for name in ("fare", "tip"):
        row.pop(name)
    said = fresh.project.command("trace", "--row", json.dumps(row), "--json")
    assert {"feature": "tags", "operation": 'col("tags").list_length()', "value": 2} in said.json["steps"]
    assert said.json["row"]["tags"] == ["new", "old"]
    said = fresh.project.command("trace", "--row", json.dumps(row | {"tags": ["new", "old", 7]}))
    assert (said.code, "column 'tags[2]': expected a string, got the integer 7" in said.err) == (3, True)
    broken = [line | {"tags": [line["trip"]]} for line in lines[2:12]]
    fresh.write("c.jsonl", "\n".join(json.dumps(line | {"trip": line["trip"] + 1_000}) for line in broken))
    fresh.refuses(SchemaError, "10 by type of 'tags'", "such as 'tags[0]: 1202' in 'tags'")


def test_lists_of_other_types_are_refused_or_pass_as_they_did(
    fresh: Victim, rows: pl.DataFrame, more: pl.DataFrame
) -> None:
    fresh.write("a.parquet", listed(rows))
    with fresh.edited(('id="trip"', 'id=["trip", "tags"]')):
        fresh.refuses(DeclarationError, "id=", "'tags' of type list[string]", "name another column")
    with fresh.edited(('"zone": col("zone").vocabulary()', '"zone": col("tags")')):
        fresh.refuses(DeclarationError, "feature 'zone'", "of type list[string]", "add .list_length()")
    document = fresh.runs()
    schema = fresh.project.folder / "schema.toml"
    typed = schema.read_text("utf-8")
    assert document["promoted"]
    fresh.write("b.parquet", listed(more).with_columns(tags=pl.concat_list("trip")))
    fresh.refuses(SchemaError, "column 'tags': expected list[string], got list[integer]")
    schema.write_text(typed.replace('"list[string]"', '"opaque"'), "utf-8")
    assert fresh.runs()["rows"]["accepted"] == 1_600
    with fresh.edited(('"zone": col("zone").vocabulary()', '"zone": col("tags").list_length()')):
        fresh.refuses(DeclarationError, 'col("tags") of type opaque', 'type = "list[string]" in schema.toml')


def test_ids_that_clash_are_told_of_rows_with_lists(fresh: Victim, rows: pl.DataFrame) -> None:
    """Lists are content: equal ones make a duplicate, others a conflict; they are no part of a name."""
    given = listed(rows)
    again = given[:20].with_columns(tags=pl.Series([["other"]] * 20))
    fresh.write("a.parquet", pl.concat([given, given[100:110], again]))
    fresh.refuses(DataError, "40 of 1,230 rows share their id with other content", "differ only in 'tags'")
    fresh.write("a.parquet", pl.concat([given, given[100:110]]))
    assert fresh.runs()["rows"]["duplicate"] == 10


def test_a_csv_of_answers_holds_lists_as_json(fresh: Victim, rows: pl.DataFrame) -> None:
    """Without an id every request column stands beside the answer; bytes are there as text too."""
    fresh.write("a.parquet", listed(rows).with_columns(raw=pl.lit(b"\xff")))
    fresh.project.edit((', id="trip"', ""))
    fresh.runs()
    document = fresh.project.load().predict_file(str(fresh.data / "a.parquet"), fresh.project.folder / "out.csv")
    assert document["rows"]["answered"] == 1_200
    answers = pl.read_csv(fresh.project.folder / "out.csv")
    assert answers["tags"][3:5].to_list() == ['[null,"airport"]', '["new","é,\\"]",null]']
    assert answers["raw"][0] == "/w=="


@pytest.mark.parametrize("type", ["list[string]", "list[number]"])
def test_a_csv_has_no_lists(fresh: Victim, rows: pl.DataFrame, type: str) -> None:
    fresh.use("csv", types=f"{{'zone': '{type}'}}")
    fresh.write("a.csv", rows)
    fresh.refuses_to_load(DeclarationError, "csv(types=), column 'zone'", "a CSV field holds no list")
