"""The commands: each one's exit code, its one JSON object, what it prints for people, its help."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import typer

from ninetyfive import __version__
from ninetyfive.cli.commands import app

if TYPE_CHECKING:
    from tests.conftest import Project


def commands() -> Iterator[list[str]]:
    """The words of every command."""

    def below(words: list[str], command: Any) -> Iterator[list[str]]:
        yield words
        for name, child in getattr(command, "commands", {}).items():
            yield from below([*words, name], child)

    yield from below([], typer.main.get_command(app))


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_has_help(copied: Project, words: list[str]) -> None:
    said = copied.command(*words, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.lstrip().startswith(f"Usage: {' '.join(['ninetyfive', *words])}")


def test_version(finished: Project) -> None:
    said = finished.command("--version")
    assert (said.code, said.out) == (0, f"{__version__}\n")


ROW = '{"trip": 1, "at": "2026-01-01T19:10:00", "zone": "airport", "distance": 6.5}'
READING: list[tuple[list[str], set[str], list[str]]] = [
    (["status"], {"system", "champion", "training", "serving", "schema", "store", "spans", "releases", "last_run"},
     ["trips", "champion  ", "StaticTraining(), not yet measured", "DynamicServing(), not yet measured",
      "1 span, 1 release"]),
    (["releases"], {"releases"}, ["auc 0.", "log_loss", "champion"]),
    (["schema", "show"], {"columns", "version", "review", "reviewed"},
     ["version 1, inferred, not reviewed", "distance"]),
    (["schema", "diff"], {"changes", "champion"}, ["0 differences"]),
    (["trace", "--row", ROW], {"release", "row", "steps", "inputs", "answer"},
     ["what came in", 'col("distance").fill_mean().log1p()', "what the model saw", "answer"]),
    (["audit", "verify"], {"whole", "records", "findings"}, ["the chain is whole"]),
]  # fmt: skip


@pytest.mark.parametrize(("words", "keys", "shown"), READING, ids=[" ".join(words[:2]) for words, *_ in READING])
def test_commands_that_look(finished: Project, words: list[str], keys: set[str], shown: list[str]) -> None:
    said = finished.command(*words, "--json")
    assert (said.code, said.err) == (0, "")
    assert keys <= set(said.json)
    said = finished.command(*words)
    assert (said.code, said.err) == (0, "")
    for text in shown:
        assert text in said.out


def test_a_run_for_people(project: Project) -> None:
    project.edit(("    split=", '    slices=["zone"],\n    split='))
    said = project.command("run")
    assert said.code == 0
    for text in (
        *("read 1,200 = accepted 1,200 + quarantined 0 + unlabelled 0 + duplicate 0", "train 599, test 601"),
        *("gain over constant", "airport", "baseline auc", "advice", "promoted: all gates passed"),
        "0 of 10 steps unchanged",
    ):
        assert text in said.out, text
    for text in ("schema.toml was inferred, not reviewed", "ingest", "release"):
        assert text in said.err, text
    said = project.command("run")
    assert "10 of 10 steps unchanged" in said.out
    assert "unchanged" in said.err
    project.edit(('"max_depth": 4', '"max_depth": 1'))
    said = project.command("run")
    assert said.code == 3
    assert "not promoted: a gate said no: champion auc" in said.out
    assert "champion " in said.out


def test_a_run_as_json_is_silent_beside_it(copied: Project) -> None:
    said = copied.command("run", "--json")
    assert (said.code, said.err) == (0, "")
    assert said.json["promoted"] is True
    assert copied.command("run", "--from", "gate", "--json").json["steps"][7]["skipped"]
    assert not copied.command("run", "--no-cache", "--json").json["steps"][0]["skipped"]
    assert copied.command("run", "--as-of", "2026-01-08", "--no-promote", "--json").json["promoted"] is False


def test_status_of_what_never_ran(project: Project) -> None:
    assert project.command("status", "--json").json["champion"] is None
    assert "none yet: `ninetyfive run` makes one" in project.command("status").out
    assert project.command("releases", "--json").json == {"releases": []}
    assert "no releases yet" in project.command("releases").out
    assert project.command("schema", "diff", "--json").json == {"champion": False, "changes": []}
    assert not (project.folder / ".ninetyfive").exists(), "looking makes no store"
    for words in (["doctor"], ["audit", "verify"], ["rollback"], ["predict", "data/a.parquet", "b.csv"]):
        said = project.command(*words, "--json")
        assert said.code == 1
        assert said.json["error"]["kind"] == "StoreError"


def test_paradigms_are_shown_as_they_were_declared(project: Project) -> None:
    project.edit(
        (
            "    split=",
            '    entity=["zone"],\n    training=nf.DynamicTraining(every="1d", window="90d"),\n'
            "    serving=nf.HybridServing(top=10_000),\n    split=",
        )
    )
    said = project.command("status", "--json").json
    assert said["training"]["text"] == "DynamicTraining(every='1d', window='90d')"
    assert said["serving"]["text"] == "HybridServing(top=10000)"
    assert (said["serving"]["paradigm"], said["serving"]["declared"]) == ("HybridServing", True)
    release = project.run()["release"]
    champion = project.command("status", "--json").json["champion"]
    assert champion["release"] == release
    assert champion["serving"]["arguments"] == {"top": 10_000, "cache": 0, "on_outside": 422}


def test_promote_and_rollback(copied: Project) -> None:
    first = copied.champion()
    copied.edit(('"max_depth": 4', '"max_depth": 3'))
    second = copied.run(promote=False)["release"]
    said = copied.command("promote", second[:10], "--reason", "Ada says so", "--json")
    assert (said.code, said.json["release"], said.json["epoch"]) == (0, second, 2)
    assert copied.load().status()["champion"]["reason"] == "Ada says so"
    listed = copied.command("releases", "--json").json["releases"]
    assert [(one["release"], one["champion"]) for one in listed] == [(second, True), (first, False)]
    said = copied.command("rollback", "--json")
    assert (said.code, said.json["release"], said.json["epoch"]) == (0, first, 3)
    assert f"champion is {second[:12]}, epoch 4" in copied.command("promote", second).out
    said = copied.command("promote", "ffff", "--json")
    assert (said.code, said.json["error"]["kind"]) == (2, "UsageError")
    assert copied.command("rollback").code == 0
    said = copied.command("rollback", "--json")
    assert said.code == 1
    assert said.json["error"]["do"]


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_predict_from_file_to_file(finished: Project, ending: str, tmp_path: Any) -> None:
    rows = pl.read_parquet(finished.folder / "data" / "a.parquet").head(50)
    given, answers = tmp_path / f"given.{ending}", tmp_path / f"answers.{ending}"
    {"parquet": rows.write_parquet, "csv": rows.write_csv, "jsonl": rows.write_ndjson}[ending](given)
    said = finished.command("predict", given, answers, "--json")
    assert said.code == 0
    assert said.json["rows"] == {"answered": 50, "unanswered": 0, "rejected": 0}
    assert (said.json["output"], said.json["rejected"]) == (str(answers), None)
    left_out = [f"column '{name}' is left out, which a request does not have" for name in ("fare", "tip")]
    assert said.json["notices"] == ([] if ending == "jsonl" else left_out), "JSON Lines have no columns to look at"
    read = {"parquet": pl.read_parquet, "csv": pl.read_csv, "jsonl": pl.read_ndjson}[ending](answers)
    assert read.columns == ["trip", "prediction"]
    assert read["trip"].to_list() == list(range(50))
    assert read["prediction"].to_list() == finished.load().predict(rows)["prediction"].to_list()
    said = finished.command("predict", given, answers)
    assert "50 rows answered by" in said.out
    assert ("note: column 'tip' is left out" in said.out) == (ending != "jsonl")


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_rows_that_break_the_schema_are_put_beside_the_answers(finished: Project, ending: str, tmp_path: Any) -> None:
    given, answers = tmp_path / "given.csv", tmp_path / f"answers.{ending}"
    given.write_text("trip,at,zone,distance\n1,2026-01-01T10:00:00,airport,far\n2,2026-01-01T10:00:00,airport,1\n")
    said = finished.command("predict", given, answers, "--json")
    assert said.code == 3
    assert said.json["rows"] == {"answered": 1, "unanswered": 0, "rejected": 1}
    beside = tmp_path / f"answers.rejected.{ending}"
    assert said.json["rejected"] == str(beside)
    read = {"parquet": pl.read_parquet, "csv": pl.read_csv, "jsonl": pl.read_ndjson}[ending]
    (row,) = read(beside).to_dicts()
    assert (row["rule"], row["column"], row["value"]) == ("type", "distance", "far")
    assert read(answers)["trip"].to_list() == [2]
    assert f"1 row refused by the schema → {beside}" in finished.command("predict", given, answers).out.replace(
        "\n", ""
    )


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_no_row_answered_gives_a_file_with_the_columns(finished: Project, ending: str, tmp_path: Any) -> None:
    given, answers = tmp_path / "given.csv", tmp_path / f"answers.{ending}"
    given.write_text("trip,at,zone,distance\n1,2026-01-01T10:00:00,airport,far\n")
    assert finished.command("predict", given, answers).code == 3
    read = {"parquet": pl.read_parquet, "csv": pl.read_csv}[ending](answers)
    assert (read.height, read.columns) == (0, ["trip", "prediction"])


def test_schema_is_accepted_and_compared(copied: Project) -> None:
    said = copied.command("schema", "accept", "--json")
    assert (said.code, said.json["review"], said.json["version"]) == (0, "reviewed", 1)
    path = copied.folder / "schema.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('zone = { type = "string"', 'zone = { type = "string", values = ["a"]'), "utf-8")
    said = copied.command("schema", "diff", "--json")
    assert said.code == 0
    assert len(said.json["changes"]) == 1
    assert "zone" in said.json["changes"][0]
    assert "1 difference" in copied.command("schema", "diff").out
    assert copied.command("schema", "accept", "--json").json["version"] == 2
    path.unlink()
    said = copied.command("schema", "show", "--json")
    assert (said.code, said.json["error"]["kind"]) == (3, "SchemaError")


def test_doctor_finds_a_file_that_is_gone(copied: Project) -> None:
    said = copied.command("doctor", "--json")
    assert (said.code, said.json["healthy"]) == (0, True)
    assert copied.command("doctor").code == 0
    (copied.release(copied.champion()) / "model.onnx").unlink()
    said = copied.command("doctor", "--json")
    assert (said.code, said.json["healthy"]) == (3, False)
    (finding,) = [one for one in said.json["findings"] if one["level"] == "error"]
    assert "model.onnx" in finding["subject"] + finding["problem"]
    shown = copied.command("doctor")
    assert shown.code == 3
    assert "to do: " in shown.out
    said = copied.command("trace", "--row", ROW, "--json")
    assert (said.code, said.json["error"]["kind"]) == (1, "IntegrityError")


def test_audit_verify_finds_a_record_that_was_altered(copied: Project) -> None:
    with sqlite3.connect(copied.folder / ".ninetyfive" / "catalog.sqlite") as connection:
        connection.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 2")
    connection.close()
    said = copied.command("audit", "verify", "--json")
    assert (said.code, said.json["whole"]) == (3, False)
    assert said.json["findings"]
    assert "to do: " in copied.command("audit", "verify").out


def test_trace_shows_one_row(finished: Project) -> None:
    document = finished.command("trace", "--row", ROW, "--json").json
    assert document["row"]["at"] == "2026-01-01T19:10:00"
    steps = [step for step in document["steps"] if step["feature"] == "hour"]
    assert steps[-1] == {"feature": "hour", "operation": 'col("at").hour()', "value": 19}
    assert set(document["inputs"]) == {"hour", "distance", "zone"}
    assert document["inputs"]["hour"] == 19.0
    row = {"trip": 1, "at": "2026-01-01T19:10:00", "zone": "airport", "distance": 6.5}
    frame = pl.DataFrame([row]).with_columns(pl.col("at").str.to_datetime(time_unit="us"))
    assert document["answer"] == finished.load().predict(frame)["prediction"][0]


WRONG: list[tuple[list[str], int, str]] = [
    (["runn"], 2, "UsageError"),
    (["run", "--fast"], 2, "UsageError"),
    (["run", "--from", "trian"], 2, "UsageError"),
    (["run", "--as-of", "soon"], 2, "UsageError"),
    (["predict", "x.parquet"], 2, "UsageError"),
    (["predict", "data/a.parquet", "out.txt"], 2, "UsageError"),
    (["predict", "data/a.parquet", "nowhere/out.csv"], 2, "UsageError"),
    (["predict", "a.xlsx", "out.csv"], 2, "UsageError"),
    (["predict", "gone.csv", "out.csv"], 1, "SourceError"),
    (["predict", "data/a.parquet", "out.csv", "--release", "ffff"], 2, "UsageError"),
    (["trace"], 2, "UsageError"),
    (["trace", "--row", "{"], 2, "UsageError"),
    (["trace", "--row", "[1]"], 2, "UsageError"),
    (["trace", "--row", "{}", "--file", "x.csv"], 2, "UsageError"),
    (["trace", "--row", '{"trip": 1}'], 3, "DataError"),
    (["trace", "--file", "data/a.parquet", "--number", "-1"], 2, "UsageError"),
    (["status", "--system", "other.py"], 2, "UsageError"),
]


@pytest.mark.parametrize(("words", "code", "kind"), WRONG, ids=[" ".join(words) for words, *_ in WRONG])
def test_errors_have_four_parts_and_an_exit_code(finished: Project, words: list[str], code: int, kind: str) -> None:
    said = finished.command(*words, "--json")
    assert said.code == code
    error = said.json["error"]
    assert error["kind"] == kind
    assert all(error[part] for part in ("where", "expected", "got", "do"))
    assert len(said.err.strip().splitlines()) == 1
    said = finished.command(*words)
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith("ninetyfive: ")
    assert "To do: " in said.err


@pytest.mark.slow
def test_what_user_code_prints_goes_to_stderr(project: Project) -> None:
    project.edit(
        ("trips = nf.System(", 'print("declared")\ntrips = nf.System('),
        ("    from sklearn", '    print("trained")\n    from sklearn'),
    )
    said = project.command("run", "--json")
    assert said.json["release"]
    assert "declared" in said.err
    assert "trained" in said.err
