"""Columns that change their type, are missing, new, empty, too many, too big, nested, or have strange names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from ninetyfive.errors import DeclarationError, FeatureError, SchemaError, SourceError

if TYPE_CHECKING:
    from tests.bad_input.conftest import Victim

DISTANCE = pl.col("distance")


# Types


def test_a_type_that_changes_between_files_of_the_first_run(
    fresh: Victim, rows: pl.DataFrame, more: pl.DataFrame
) -> None:
    fresh.write("b.parquet", more.with_columns(DISTANCE.cast(pl.String)))
    error = fresh.refuses(SchemaError, "column 'distance'", "number in", "a.parquet", "string in", "b.parquet")
    assert "types=" not in error.do, "text and numbers of Parquet have no type in common"
    assert not (fresh.project.folder / "schema.toml").exists()
    fresh.write("b.parquet", more)
    assert fresh.runs()["rows"]["accepted"] == rows.height + more.height


def test_a_type_that_changes_in_a_later_run(live: Victim, more: pl.DataFrame) -> None:
    path = live.write("b.parquet", more.with_columns(DISTANCE.cast(pl.String)))
    error = live.refuses(SchemaError, "column 'distance'", "expected number, got string", "write the file again")
    assert error.where.startswith(str(path))
    live.write("b.parquet", more.with_columns(pl.col("trip").cast(pl.Float64), DISTANCE.cast(pl.Float32)))
    assert live.runs()["rows"]["accepted"] == 400, "whole floats are integers, and narrow numbers numbers"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_type_that_changes_in_text(fresh: Victim, rows: pl.DataFrame, more: pl.DataFrame, kind: str) -> None:
    fresh.use(kind)
    fresh.write(f"a.{kind}", rows)
    bad = more.with_columns(distance=pl.lit("far"))
    path = fresh.write(f"b.{kind}", bad)
    fresh.refuses(SchemaError, "column 'distance'", f"b.{kind}", f"a.{kind}")
    path.unlink()
    assert fresh.runs()["promoted"]
    fresh.write(f"b.{kind}", bad)
    error = fresh.refuses(SchemaError, "400 of 400 rows in quarantine (400 by type of 'distance'), such as", "far")
    kept = next(word.strip(",") for word in error.do.split() if "artifacts" in word)
    quarantine = pl.read_parquet(kept)
    assert quarantine.height == 400
    assert quarantine.row(0, named=True)["rule"] == "type"
    few = more.with_columns(distance=pl.when(pl.col("trip") < 1_203).then(pl.lit("far")).otherwise(DISTANCE.cast(str)))
    fresh.write("b.csv" if kind == "csv" else "b.jsonl", _numbers(few) if kind == "jsonl" else few)
    document = fresh.runs()
    assert document["rows"] == {"read": 400, "accepted": 397, "quarantined": 3, "unlabelled": 0, "duplicate": 0}
    assert any("3 of 400 rows in quarantine (3 by type of 'distance')" in text for text in document["notices"])


def _numbers(rows: pl.DataFrame) -> str:
    """JSON Lines in which text of numbers is numbers."""
    lines = rows.with_columns(pl.col("at").dt.strftime("%FT%T")).write_ndjson()
    return re.sub(r'"distance":"([0-9.]+)"', r'"distance":\1', lines)


# Columns that are missing, new, empty


def test_a_column_that_is_missing(live: Victim, fresh: Victim, more: pl.DataFrame) -> None:
    live.write("b.parquet", more.drop("distance"))
    live.refuses(SchemaError, "b.parquet, column 'distance'", "got no such column", "there are: at, fare")
    live.write("b.parquet", more.rename({"distance": "distances"}))
    live.refuses(SchemaError, "did you mean 'distances'?", "optional = true")
    live.write("b.parquet", more)
    assert live.runs()["rows"]["accepted"] == 400
    fresh.write("b.parquet", more.drop("distance"))
    fresh.refuses(SchemaError, "it in every file", "b.parquet", "declare optional=['distance'] in the source")
    fresh.project.edit(('id="trip"', 'id="trip", optional=["distance"]'))
    assert fresh.runs()["rows"]["accepted"] == 1_600


def test_a_column_that_is_new_or_missing_in_json(fresh: Victim, rows: pl.DataFrame, more: pl.DataFrame) -> None:
    fresh.use("jsonl")
    fresh.write("a.jsonl", rows)
    fresh.runs()
    fresh.write("b.jsonl", more.with_columns(tips=pl.when(pl.col("trip") < 1_210).then(1)))
    document = fresh.runs()
    assert document["rows"]["accepted"] == 400
    assert document["notices"] == ["column 'tips' is not in schema.toml and is left out (10 rows)"]
    fresh.write("b.jsonl", more.drop("distance"))
    fresh.refuses(SchemaError, "column 'distance'", "400 of 400 null", "remove max_null_fraction in schema.toml")


def test_a_column_that_is_new_is_left_out_and_told(live: Victim, more: pl.DataFrame) -> None:
    live.write("b.parquet", more.with_columns(tips=pl.lit(1)))
    document = live.runs()
    assert document["rows"]["accepted"] == 400
    assert document["notices"] == ["column 'tips' is not in schema.toml and is left out (1 files)"]


def test_a_column_of_nulls_only(live: Victim, fresh: Victim, rows: pl.DataFrame, more: pl.DataFrame) -> None:
    live.write("b.parquet", more.with_columns(distance=pl.lit(None, pl.Float64)))
    live.refuses(SchemaError, "column 'distance'", "expected values that are not null, got 400 of 400 null")
    fresh.write("a.parquet", rows.with_columns(distance=pl.lit(None, pl.Float64)))
    fresh.refuses(FeatureError, "feature 'distance'", "got only null and NaN", ".fill_null(0)")
    fresh.write("a.parquet", rows)
    (fresh.project.folder / "schema.toml").unlink()
    assert fresh.runs()["promoted"]


def test_a_column_of_nulls_only_of_no_type(fresh: Victim, rows: pl.DataFrame) -> None:
    """As a feature it is an error, and no schema is kept of it; beside the features it is told."""
    fresh.write("a.parquet", rows.with_columns(distance=pl.lit(None)))
    fresh.refuses(DeclarationError, "feature 'distance'", 'col("distance") of type opaque')
    fresh.write("a.parquet", rows.with_columns(nothing=pl.lit(None)))
    document = fresh.runs()
    assert document["promoted"]
    assert any("column 'nothing': 1,200 of 1,200 null" in text for text in document["notices"])


# Values that no column holds


def test_integers_beyond_64_bits(live: Victim, fresh: Victim, rows: pl.DataFrame, more: pl.DataFrame) -> None:
    big = pl.lit(2**63, pl.UInt64) + pl.col("trip").cast(pl.UInt64)
    few = pl.when(pl.col("trip") < 1_203).then(big).otherwise(pl.col("trip").cast(pl.UInt64))
    live.write("b.parquet", more.with_columns(trip=few))
    document = live.runs()
    assert document["rows"] == {"read": 400, "accepted": 397, "quarantined": 3, "unlabelled": 0, "duplicate": 0}
    live.write("b.parquet", more.with_columns(trip=big))
    live.refuses(SchemaError, "400 by overflow of 'trip'", "such as '9223372036854777008' in 'trip'")
    fresh.write("a.parquet", rows.with_columns(trip=pl.col("trip").cast(pl.Decimal(38, 0)) * 10**20))
    fresh.refuses(SchemaError, "by overflow of 'trip'")


def test_ids_of_19_digits_stay_apart(fresh: Victim, rows: pl.DataFrame) -> None:
    """As floats they would run together. JSON gives no type; longer ones are refused, not rounded."""
    fresh.use("jsonl")
    fresh.write("a.jsonl", rows.with_columns(trip=2**63 - 1 - pl.col("trip")))
    assert fresh.runs()["rows"]["accepted"] == 1_200
    (fresh.project.folder / "schema.toml").unlink()
    path = fresh.write("a.jsonl", rows)
    path.write_text(path.read_text().replace('"trip":', '"trip":9999999999999999'))
    fresh.refuses(SchemaError, "by overflow of 'trip'")


def test_decimals_are_numbers_and_nested_columns_pass(fresh: Victim, rows: pl.DataFrame) -> None:
    more = rows.with_columns(
        pl.col("trip").cast(pl.Decimal(20, 0)),
        pl.col("tip").cast(pl.Decimal(10, 2)),
        parts=pl.struct("zone", "fare"),
        all=pl.concat_list("fare", "tip"),
        raw=pl.lit(b"\x00\xff"),
        while_=pl.duration(hours=1),
        kind=pl.col("zone").cast(pl.Categorical),
    )
    fresh.write("a.parquet", more)
    assert fresh.runs()["promoted"]
    fresh.project.edit(('"hour": col("at").hour(),', '"hour": col("parts").fill_null(0),'))
    fresh.refuses(DeclarationError, "feature 'hour'", 'col("parts") of type opaque')


def test_infinite_and_huge_numbers(fresh: Victim, rows: pl.DataFrame) -> None:
    """A mean of them is no constant; a model that takes them as they are is served, baselines too."""
    odd = pl.col("trip") % 7
    huge = pl.when(odd == 0).then(float("inf")).when(odd == 1).then(-1e300).otherwise(DISTANCE)
    fresh.write("a.parquet", rows.with_columns(distance=huge))
    fresh.refuses(FeatureError, "feature 'distance'", "bound the values first")
    fresh.project.edit(('col("distance").fill_mean().log1p().zscore()', 'col("distance")'))
    fresh.project.edit(
        ("sklearn.tree import DecisionTreeClassifier", "sklearn.ensemble import HistGradientBoostingClassifier"),
        ("return DecisionTreeClassifier(**params", "return HistGradientBoostingClassifier(max_iter=5, **params"),
    )
    document = fresh.runs()
    assert document["baselines"]["linear"]["auc"]["value"] > 0.5
    golden = fresh.project.release(document["release"]) / "golden.json"
    assert b"Infinity" not in golden.read_bytes()


def test_two_thousand_columns(fresh: Victim, rows: pl.DataFrame) -> None:
    few = rows.head(40)
    wide = few.with_columns((pl.col("fare") + place).alias(f"c{place}") for place in range(2_000))
    fresh.use("csv")
    fresh.write("a.csv", wide)
    document = fresh.runs()
    assert document["rows"]["accepted"] == 40
    said = fresh.project.command("schema", "show", "--json")
    assert len(said.json["columns"]) == 2_006


# Names


@pytest.mark.parametrize(
    "name", ["größe", "列 🚕", 'a"b', "it's", "a\nb", "a.b", "{0}", "%s", "a,b", " ", "[bold]x[/]"]
)
def test_a_name_of_any_kind(fresh: Victim, rows: pl.DataFrame, name: str) -> None:
    fresh.project.edit(('col("distance")', f"col({name!r})"), ("split=", f"slices=[{name!r}],\n    split="))
    odd = rows.rename({"distance": name}).with_columns(pl.col(name).round(0))
    fresh.write("a.parquet", odd)
    assert fresh.runs()["promoted"]
    asked = odd.head(5).drop("fare", "tip")
    assert fresh.project.load().predict(asked).height == 5
    fresh.write("in.csv", asked)
    said = fresh.project.command("predict", fresh.data / "in.csv", "out.csv", "--json")
    assert said.json["rows"] == {"answered": 5, "unanswered": 0, "rejected": 0}
    assert fresh.project.command("schema", "show").code == 0
    traced = fresh.project.command("trace", "--file", fresh.data / "in.csv", "--json").json
    assert traced["row"][name] == asked[name][0]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["trip", "at", "zone", "__x", "fare", "tip"], "'__x' (names that start with __ are reserved)"),
        (["trip", "at", "zone", "*", "fare", "tip"], "'*' (reserved: Polars takes"),
        (["trip", "at", "zone", "^.*$", "fare", "tip"], "'^.*$' (reserved: Polars takes"),
        (["trip", "at", "zone", "zone", "fare", "tip"], "each column once, got 'zone' twice"),
        (["trip", "at", "zone", "", "fare", "tip"], "got an empty column name"),
    ],
)
def test_a_name_that_cannot_be(fresh: Victim, rows: pl.DataFrame, names: list[str], says: str) -> None:
    pq.write_table(rows.to_arrow().rename_columns(names), fresh.data / "a.parquet")
    fresh.refuses(SourceError, "a.parquet", says)
    fresh.use("csv")
    body = rows.write_csv(include_header=False, datetime_format="%FT%T")
    fresh.write("a.csv", ",".join(names) + "\n" + body)
    fresh.refuses(SourceError, "a.csv", says)
    fresh.write("a.csv", rows)
    assert fresh.runs()["promoted"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"zone": col("zone")', '"__zone": col("zone")', "'__zone' (names that start with __ are reserved)"),
        ('"zone": col("zone")', '"^z$": col("zone")', "'^z$' (reserved: Polars takes"),
        ('id="trip"', 'id="__trip"', "names that start with __ are reserved"),
        ('col("zone")', 'col("__zone")', "names that begin with __ are reserved"),
    ],
)
def test_a_name_in_system_py_that_cannot_be(fresh: Victim, old: str, new: str, says: str) -> None:
    fresh.project.edit((old, new))
    fresh.refuses_to_load(DeclarationError, says)


@pytest.mark.parametrize(
    ("edit", "kind", "says"),
    [
        (('col("zone")', 'col("zoen")'), DeclarationError, "did you mean 'zone'?"),
        (('col("tip") > 3.0', 'col("tipp") > 3.0'), DeclarationError, "did you mean 'tip' or 'trip'?"),
        (('time="at"', 'time="zone"'), DeclarationError, "got 'zone' of type string"),
        (('id="trip"', 'id=["trip", "leg"]'), DeclarationError, "got 'leg'"),
    ],
)
def test_a_column_of_system_py_that_the_data_has_not(unmoved: Victim, edit: Any, kind: Any, says: str) -> None:
    with unmoved.edited(edit):
        unmoved.refuses(kind, says)
    assert unmoved.runs()["promoted"]
