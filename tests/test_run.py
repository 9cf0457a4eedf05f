"""A whole run: what its document says, what is skipped, what is read, what is promoted, what is never seen."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl
import pytest

from ninetyfive import run as running
from ninetyfive.errors import BusyError, DataError, ModelError, UsageError
from ninetyfive.run import as_of_microseconds
from ninetyfive.steps.train import form_before

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]

STEPS = ["ingest", "analyze", "validate", "split", "fit", "apply", "train", "evaluate", "gate", "release"]
ROWS = ["read", "accepted", "quarantined", "unlabelled", "duplicate"]


# What a run says


def test_the_document_of_a_run(project: Project) -> None:
    document = project.run()
    assert set(document) >= {"run", "release", "promoted", "rows", "metrics", "baselines", "gates", "jobs", "steps"}
    assert document["run"] == "run-1"
    assert (len(document["release"]), document["promoted"], document["passed"]) == (64, True, True)
    assert document["rows"] == {"read": 1_200, "accepted": 1_200, "quarantined": 0, "unlabelled": 0, "duplicate": 0}
    assert list(document["rows"]) == ROWS
    assert [step["name"] for step in document["steps"]] == STEPS
    assert all(set(step) == {"name", "seconds", "skipped", "key"} for step in document["steps"])
    assert project.done(document) == STEPS
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
    assert copied.done(document) == []
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
    for old, new in (
        ('zone = { type = "string",', 'zone = { type = "string", nullable = false,'),
        ("max_quarantined = 0.01", "max_quarantined = 0.1"),
    ):
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
    assert copied.done(document) == STEPS


def test_an_edit_of_the_model_trains_again_and_reads_nothing(copied: Project) -> None:
    copied.edit(('"max_depth": 4', '"max_depth": 3'))
    document = copied.run()
    assert copied.done(document) == ["train", "evaluate", "gate", "release"]
    assert document["rows"] == dict.fromkeys(ROWS, 0)
    assert document["jobs"] == 1


def test_parameters_from_elsewhere_count_too(copied: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    copied.edit(
        ("import ninetyfive as nf\n", "import os\n\nimport ninetyfive as nf\n"), (": 4}", ': int(os.environ["DEPTH"])}')
    )
    releases = []
    for depth in ("3", "2", "3"):
        monkeypatch.setenv("DEPTH", depth)
        document = copied.run()
        releases.append(document["release"])
        assert ("train" in copied.done(document)) == (len(releases) < 3)
    assert releases[0] == releases[2] != releases[1]


def test_an_edit_of_a_feature_ingests_nothing(copied: Project) -> None:
    copied.edit(('col("at").hour()', 'col("at").weekday()'))
    document = copied.run()
    assert set(copied.done(document)) >= {"fit", "apply", "train"}
    assert not set(copied.done(document)) & {"ingest", "analyze", "validate", "split"}


def test_an_edit_of_the_schema_that_reads_rows_otherwise_reads_them_again(copied: Project) -> None:
    path = copied.folder / "schema.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("fare = { type", "fare = { minimum = 0.0, type"), encoding="utf-8")
    assert copied.run()["rows"]["read"] == 1_200
    path.write_text(text, encoding="utf-8")
    assert copied.done(copied.run()) == ["evaluate", "gate", "release"], "the champion to compare with is another"


def test_no_cache_does_all_again_and_makes_the_same(copied: Project, finished: Project) -> None:
    document = copied.run(cache=False)
    assert copied.done(document) == STEPS
    with finished.store() as store:
        assert document["release"] == store.champion().release
        served = store.releases()[0].document["served"]
        assert served["form"] == "onnx" == form_before(store, served["model"])
        assert form_before(store, "of another model") is None


def test_from_a_step(copied: Project) -> None:
    assert copied.done(copied.run(start="evaluate")) == ["evaluate", "gate", "release"]
    with pytest.raises(UsageError, match="did you mean 'train'"):
        copied.run(start="trian")


def test_the_states_of_old_spans_are_used_again(project: Project, trips: Trips) -> None:
    """A file wholly before the cut is not read again for what depends on it alone (the mean, the vocabulary).

    The second phase (a zscore of what the mean fills) depends on that mean, which the new file has changed.
    """
    project.edit(("0.5", "0.3"))
    for number, name in enumerate("bcd"):
        project.add(name, trips(400, first=1_200 + 400 * number))
    project.run()
    project.add("e", trips(400, first=2_400))
    jobs: list[set[str]] = []
    document = project.watched(jobs)
    ingest, *fits, apply, _ = jobs
    assert document["rows"]["read"] == 400
    new = ingest & apply
    assert len(fits) == 2
    first = next(span for span, rows in _spans(project).items() if rows == 1_200)
    assert first not in fits[0] | ingest - apply
    assert first in fits[1]
    assert first in apply
    assert new


def _spans(project: Project) -> dict[str, int]:
    """The spans of the champion, and how many rows they have."""
    lineage = json.loads((project.release(project.champion()) / "lineage.json").read_text(encoding="utf-8"))
    return {span: entry["rows"] for span, entry in lineage["spans"].items()}


# Promotion


WORSE = ('"max_depth": 4', '"max_depth": 1')


def test_the_change_gate_can_say_no(copied: Project) -> None:
    before = copied.champion()
    copied.edit(WORSE)
    said = copied.command("run", "--json")
    document = said.json
    assert said.code == 3
    verdicts = {gate["name"]: gate["passed"] for gate in document["gates"]}
    assert (verdicts["baseline auc"], verdicts["champion auc"]) == (True, False)
    assert (document["passed"], document["promoted"]) == (False, False)
    assert document["reason"] == "a gate said no: champion auc"
    assert copied.champion() == before != document["release"]
    with copied.store() as store:
        assert [run.status for run in store.runs()] == ["refused", "done"]
        assert store.runs(1)[0].release == document["release"]
    again = copied.command("run", "--json")
    assert (again.code, copied.done(again.json)) == (3, [])


def test_a_release_can_wait_for_its_promotion(project: Project) -> None:
    document = project.run(promote=False)
    assert (document["passed"], document["promoted"], document["reason"]) == (True, False, "gates passed; --no-promote")
    with project.store() as store:
        assert store.champion() is None
        assert len(store.releases()) == 1
    assert project.run()["promoted"]


def test_the_champion_is_scored_again_on_the_same_rows(copied: Project, trips: Trips) -> None:
    """On the new window, by its own transform: its metrics are not those it was released with."""
    with copied.store() as store:
        released = store.releases()[0].document["metrics"]
    copied.add("b", trips(600, first=1_200, seed=2))
    document = copied.run()
    champion = document["champion"]
    rows = pl.read_parquet(copied.folder / "data" / "*.parquet").sort("at").tail(document["window"]["test"])
    answers = copied.load().predict(rows.drop("fare", "tip"), release=champion["release"])["prediction"]
    loss = ((answers - (rows["tip"] > 3.0).cast(pl.Float64)) ** 2).mean()
    assert champion["metrics"]["brier"]["value"] == pytest.approx(loss, rel=1e-6)
    assert champion["metrics"]["brier"]["value"] != released["brier"]["value"]
    assert champion["metrics"]["brier"]["rows"] == document["metrics"]["brier"]["rows"] == rows.height


def test_a_champion_that_answers_another_question_is_not_compared_and_that_is_told(copied: Project) -> None:
    copied.edit(("> 3.0", "> 4.0"))
    document = copied.run(promote=False)
    assert document["champion"] is None
    assert any("is not compared: its task, classes or label are others" in text for text in document["notices"])


def test_a_damaged_champion_is_not_compared_and_that_is_told(copied: Project) -> None:
    copied.edit(('"max_depth": 4', '"max_depth": 3'))
    with copied.store() as store:
        (store.path(store.releases()[0].folder) / "model.onnx").write_bytes(b"")
    document = copied.run()
    assert document["promoted"]
    assert any("is not compared" in text and "model.onnx" in text for text in document["notices"])


def test_a_champion_of_columns_that_are_gone_is_not_compared_and_that_is_told(copied: Project) -> None:
    copied.edit(('col("zone")', 'col("area")'))
    copied.add("a", pl.read_parquet(copied.folder / "data" / "a.parquet").rename({"zone": "area"}))
    (copied.folder / "schema.toml").unlink()
    document = copied.run()
    assert document["champion"] is None
    assert any("its column 'zone' of type string is not in the data" in text for text in document["notices"])


# When it runs


def at(monkeypatch: pytest.MonkeyPatch, time: str) -> None:
    monkeypatch.setenv("NINETYFIVE_CLOCK", time)


def test_static_training_is_due_until_there_is_a_champion(project: Project) -> None:
    assert project.run(if_due=True, promote=False)["due"]
    assert project.run(if_due=True)["promoted"]
    document = project.run(if_due=True)
    assert (document["due"], document["release"], document["promoted"]) == (False, None, False)
    assert document["reason"] == "static training: a champion stands, and it is trained once"
    assert document["rows"] == dict.fromkeys(ROWS, 0)
    assert (document["metrics"], document["baselines"], document["gates"], document["steps"]) == ({}, {}, [], [])
    assert project.run()["due"]
    said = project.command("run", "--if-due")
    assert (said.code, "not due: static training" in said.out) == (0, True)


def test_dynamic_training_is_due_when_the_last_one_is_old(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.edit(("    split=", '    training=nf.DynamicTraining(every="1d"),\n    split='))
    at(monkeypatch, "2026-02-01T00:00")
    assert project.run(if_due=True)["due"]
    at(monkeypatch, "2026-02-01T23:59")
    document = project.run(if_due=True)
    assert (document["due"], document["run"], document["jobs"]) == (False, None, 0)
    assert project.command("run", "--if-due", "--json").code == 0
    at(monkeypatch, "2026-02-02T00:00")
    assert project.run(if_due=True)["due"]
    with project.store() as store:
        assert [run.started[:10] for run in store.runs()] == ["2026-02-02", "2026-02-01"]


def test_two_runs_at_once(copied: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LEASE_SECONDS", 0.05)
    with copied.store() as store, store.lease("another run"):
        with pytest.raises(BusyError, match="another run"):
            copied.run()
        assert copied.command("run", "--json").json["error"]["kind"] == "BusyError"
        assert copied.load().status()["champion"], "readers do not wait"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (None, None),
        ("1970-01-02", 86_400_000_000),
        ("1970-01-01T01:00:00.000001", 3_600_000_001),
        ("1970-01-01T01:00+01:00", 0),
    ],
)
def test_as_of_is_a_time(text: str | None, moment: int | None) -> None:
    assert as_of_microseconds(text) == moment


def test_as_of_that_is_no_time_or_before_all_rows_is_told(copied: Project) -> None:
    with pytest.raises(UsageError, match="--as-of: expected an ISO 8601 time, got 'yesterday'"):
        copied.run(as_of="yesterday")
    with pytest.raises(DataError, match="expected rows in the window, got none"):
        copied.run(as_of="2001-01-01")


# The same inputs give the same release


def test_threads_file_names_and_their_order_change_no_byte(project: Project, trips: Trips) -> None:
    rows = trips()
    hashes = []
    for threads, names in ((1, "abc"), (2, "cab"), (7, "zyx")):
        (project.folder / "ninetyfive.toml").write_text(f"[engines.local]\nthreads = {threads}\n", encoding="utf-8")
        shutil.rmtree(project.folder / ".ninetyfive", ignore_errors=True)
        shutil.rmtree(project.folder / "data")
        for number, name in enumerate(names):
            project.add(name, rows[400 * number : 400 * (number + 1)])
        hashes.append(project.run()["release"])
    assert len(set(hashes)) == 1


def test_file_by_file_makes_the_release_that_all_at_once_make(project: Project, trips: Trips) -> None:
    """States that were kept are those that would be made anew, wherever the cut has moved to since."""
    made = []
    for number, name in enumerate("dbc"):
        project.add(name, trips(300, first=1_200 + 300 * number))
        made.append(project.run()["release"])
    assert len(set(made)) == 3
    shutil.rmtree(project.folder / ".ninetyfive")
    assert project.run()["release"] == made[-1]
    assert project.run(as_of="2026-01-08")["release"] not in made
    assert project.run()["release"] == made[-1]


def test_a_release_is_the_same_whoever_makes_it_and_when(
    project: Project, monkeypatch: pytest.MonkeyPatch, finished: Project
) -> None:
    monkeypatch.setenv("NINETYFIVE_ACTOR", "somebody else")
    at(monkeypatch, "2031-01-01")
    document = project.run()
    assert document["release"] == finished.champion()
    evidence = [
        json.loads((one.release(document["release"]) / "evidence.json").read_text()) for one in (project, finished)
    ]
    assert [one["by"] == "somebody else" for one in evidence] == [True, False]
    assert evidence[0]["made"].startswith("2031-01-01")


def test_code_parameters_lock_and_schema_are_in_the_hash(copied: Project) -> None:
    made = {copied.champion()}
    copied.edit(("random_state=0", "random_state=1"))
    made.add(copied.run()["release"])
    (copied.folder / "requirements.lock").write_text("scikit-learn==9\n", encoding="utf-8")
    made.add(copied.run()["release"])
    assert copied.command("schema", "accept").code == 0
    document = copied.run()
    assert copied.done(document)[-1] == "release"
    made.add(document["release"])
    assert len(made) == 4


# Killed and resumed


@pytest.mark.slow
def test_killed_again_and_again_a_run_goes_on_and_makes_one_release(project: Project, finished: Project) -> None:
    command = [sys.executable, "-m", "ninetyfive.cli", "run", "--json"]

    def start(crash: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "NINETYFIVE_CRASH": f"kill {crash}" if crash else "", "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=False)

    for crash in ("computed ingest", "before train", "after evaluate", "after release"):
        assert start(crash).returncode == -signal.SIGKILL, crash
        with project.store() as store:
            assert [run.status for run in store.runs()] == ["interrupted"]
            assert not [finding for finding in store.doctor() if finding.level == "error"]
    ended = start("")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert (document["run"], project.done(document)) == ("run-1", [])
    assert document["release"] == finished.champion()
    with project.store() as store:
        assert [(run.status, run.resumes) for run in store.runs()] == [("done", 4)]
        assert len(store.releases()) == len(store.history()) == 1
        assert store.audit_verify() == []


@pytest.mark.slow
def test_what_was_rolled_back_is_not_promoted_again_by_the_next_run(copied: Project) -> None:
    first = copied.champion()
    copied.edit(('"max_depth": 4', '"max_depth": 3'))
    second = copied.run()["release"]
    copied.load().promote(second)
    copied.load().rollback(reason="worse in the field")
    again = copied.run()
    assert (again["release"], again["promoted"]) == (second, False)
    assert "rolled it back (worse in the field)" in again["reason"]
    assert copied.champion() == first
    copied.load().promote(second)
    assert copied.run()["promoted"]


def turned(trips: Trips, rows: int, first: int, *, jumped: bool) -> pl.DataFrame:
    """Trips whose tips rise with the distance, or, after a jump, fall."""
    frame = trips(rows, first=first)
    chance = np.random.default_rng([95, first]).normal(0.0, 1.0, rows)
    airport = (frame["zone"] == "airport").cast(pl.Float64)
    slope = frame["distance"].fill_null(4.0) * 0.4
    return frame.with_columns(tip=((4.0 - slope if jumped else slope) + 2.0 * airport + chance).clip(0.0).round(2))


@pytest.mark.slow
def test_a_watched_champion_is_trained_again_when_its_quality_drops(
    project: Project, trips: Trips, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.edit(('    split=nf.Split("time", 0.5),', '    split=nf.Split("time", 0.3),\n    training=WATCHED,'))
    project.edit(("trips = nf.System(", 'WATCHED = nf.StaticTraining(watch="1d", drop=0.3)\ntrips = nf.System('))
    project.add("a", turned(trips, 3_000, 0, jumped=False))

    def on(day: int) -> dict[str, Any]:
        at(monkeypatch, f"2026-03-{day:02d}T00:00")
        return project.run(if_due=True)

    assert on(1)["promoted"]
    assert "next look in 1d" in on(1)["reason"]
    few = on(2)
    assert (few["due"], few["run"], few["watch"]["judged"], "0 rows" in few["reason"]) == (False, None, False, True)
    project.add("b", turned(trips, 300, 3_000, jumped=False))
    held = on(3)
    assert (held["due"], held["rows"]["read"], held["watch"]["rows"], held["watch"]["held"]) == (False, 300, 300, True)
    assert held["jobs"] == 2, "one reads, one scores"
    said = project.command("status").out
    assert "watch     every 1d, last 2026-03-03 00:00 UTC: it gains" in said

    project.add("c", turned(trips, 2_000, 3_300, jumped=True))
    project.edit(("    from sklearn", "    raise RuntimeError('no luck')\n    from sklearn"))
    with pytest.raises(ModelError, match="no luck"):
        on(4)
    project.edit(("    raise RuntimeError('no luck')\n", ""))
    again = on(4)
    assert (again["due"], again["promoted"], again["champion"]["release"]) == (True, True, few["champion"]["release"])
    assert (again["watch"]["held"], again["watch"]["trainings"]) == (False, 1)
    assert f", at {few['champion']['release'][:12]} which was champion: it gains" in project.command("status").out
    assert again["window"]["from"] >= "2026-01-22", "what came before the last look that found the promise kept is left"
    assert again["gains"]["constant"]["auc"]["low"] > 0.2

    project.add("d", turned(trips, 800, 5_300, jumped=True))
    quiet = on(5)
    assert (quiet["due"], quiet["watch"]["held"], quiet["watch"]["champion"]) == (False, True, again["release"])
    project.command("rollback", "--reason", "a test")
    project.add("e", turned(trips, 300, 6_100, jumped=True))
    monkeypatch.setattr(running, "look", interrupted)
    with pytest.raises(KeyboardInterrupt):
        on(6)
    monkeypatch.undo()
    back = on(6)
    assert (back["due"], back["watch"]["champion"]) == (True, few["champion"]["release"]), "what was rolled back to"


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt
