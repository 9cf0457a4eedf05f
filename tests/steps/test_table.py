"""A table holds the bits that a row alone gets; what is not good enough is kept and not live; `run` makes one too."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from tests.sources.logs import log_trips

from ninetyfive.errors import BusyError, SchemaError, SourceError, UsageError
from ninetyfive.models.release import OpenRelease, open_release
from ninetyfive.steps.table import OneByOne
from ninetyfive.tables.keys import entity_key, fingerprint
from ninetyfive.tables.reader import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project, Said

    Trips = Callable[..., pl.DataFrame]

STATIC = ("    split=", '    entity=["zone", "trip"],\n    serving=nf.StaticServing("all.parquet"),\n    split=')


@pytest.fixture
def static(project: Project, trips: Trips) -> Project:
    """A project that is served from a table of 300 trips, not run yet."""
    project.edit(STATIC)
    people(project, trips(300))
    return project


def people(project: Project, rows: pl.DataFrame) -> Path:
    path = project.folder / "all.parquet"
    rows.drop("tip", "fare").write_parquet(path)
    return path


def opened(project: Project, table: str, release: str | None = None) -> tuple[Table, OpenRelease]:
    """A table of the store and the release that it is of."""
    with project.store() as store:
        record = store.table(table)
        assert record.folder is not None
        folder = Path(store.path(record.folder))
    made = open_release(project.release(release or record.release))
    return Table(folder, release=made.hash, checked=False, entity=made.about.entity), made


def alone(release: OpenRelease, row: dict[str, Any]) -> tuple[int, bytes]:
    """Fingerprint and bits of the answer of one row, as a worker computes them for a request."""
    request = release.request.row(row)
    inputs = release.transform.rows()(request)
    answer = release.predictor.predict(np.array([inputs], dtype=np.float32))
    values = tuple(request[name] for name in release.transform.inputs)
    return fingerprint(values), np.asarray(answer, dtype=np.float64).tobytes()


def equal_to_rows(project: Project, table: str, rows: pl.DataFrame) -> None:
    """Every row has its entry, with the bits that it gets alone."""
    held, release = opened(project, table)
    assert held.size == rows.height
    for row in rows.iter_rows(named=True):
        request = release.request.row(row)
        key = entity_key([request[name] for name in release.about.entity])
        assert key is not None
        found = held.get(key)
        assert found is not None
        assert (found[0], struct.pack(f"{len(found[1])}d", *found[1])) == alone(release, row)
    held.close()


def live(project: Project) -> tuple[str, str | None]:
    with project.store() as store:
        pointer = store.champion()
        assert pointer is not None
        return pointer.release, pointer.table


def test_a_run_makes_release_and_table_live_at_once(static: Project, trips: Trips) -> None:
    document = static.run()
    made = document["table"]
    assert (document["promoted"], document["passed"], made["passed"]) == (True, True, True)
    assert live(static) == (document["release"], made["table"])
    assert (made["entities"], made["rows"]["read"], made["rows"]["repeated"]) == (300, 300, 0)
    with static.store() as store:
        assert [pointer.epoch for pointer in store.history()] == [1]
        assert store.runs()[0].document["table"]["table"] == made["table"]
        assert store.audit_verify() == []
    equal_to_rows(static, made["table"], trips(300).drop("tip", "fare"))
    again = static.run()
    assert (again["promoted"], again["table"]) == (True, None)
    assert live(static) == (document["release"], made["table"])


def test_a_refresh_is_a_new_epoch_and_a_rollback_returns_to_the_table_before(
    static: Project, trips: Trips, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = static.run()["table"]["table"]
    people(static, trips(320).with_columns(pl.col("distance") * 1.01))
    second = static.load().build_table()
    assert (second["promoted"], second["reason"], second["entities"]) == (True, "all gates passed", 320)
    assert [gate["name"] for gate in second["gates"]] == ["rows", "answers", "sample"]
    assert live(static)[1] == second["table"] != first
    assert static.load().status()["champion"]["epoch"] == 2
    assert static.load().rollback()["table"] == first
    assert live(static)[1] == first
    monkeypatch.setenv("NINETYFIVE_CLOCK", "2030-01-01")
    listed = static.load().tables()
    assert [(one["table"], one["live"], one["passed"]) for one in listed] == [
        (second["table"], False, True),
        (first, True, True),
    ]
    assert listed[0]["age"] > 10_000_000
    assert static.load().releases()[0]["table"]["table"] == first


def test_a_table_that_is_worse_stays_where_it_is_and_the_old_one_lives(static: Project, trips: Trips) -> None:
    first = static.run()["table"]["table"]
    people(static, trips(200))
    said: Said = static.command("table", "build", "--json")
    document = said.json
    assert said.code == 3
    assert (document["passed"], document["promoted"]) == (False, False)
    assert document["reason"] == "a gate of the table said no: rows"
    assert live(static)[1] == first
    people(static, trips(300).with_columns(distance=pl.lit(90.0), zone=pl.lit("airport")))
    assert static.load().build_table()["reason"] == "a gate of the table said no: answers"
    people(static, trips(290))
    assert static.load().build_table()["promoted"]  # compared with what is live, not with what failed
    said = static.command("promote", document["release"][:9], "--table", document["table"][:9], "--json")
    assert (said.code, said.json["table"]) == (0, document["table"])
    assert live(static)[1] == document["table"]
    said = static.command("table", "list")
    assert [line.split()[-1] for line in said.out.splitlines()[1:] if "live" in line] == ["live"]
    assert said.out.count("a gate said no") == 1


def test_a_release_whose_table_fails_is_not_promoted(static: Project, trips: Trips) -> None:
    before = live_after_run(static)
    static.edit(('{"max_depth": 4}', '{"max_depth": 3}'))
    people(static, trips(100))
    said = static.command("run", "--json")
    assert said.code == 3
    document = said.json
    assert document["reason"] == "a gate of the table said no: rows"
    assert (document["promoted"], document["passed"], document["table"]["passed"]) == (False, False, False)
    assert all(gate["passed"] for gate in document["gates"] if gate["blocking"])
    assert live(static) == before
    with static.store() as store:
        assert store.runs()[0].status == "refused"
    people(static, trips(310))
    document = static.run()
    assert document["promoted"]
    assert live(static) == (document["release"], document["table"]["table"])
    assert static.load().rollback()["release"] == before[0]
    assert live(static) == before


def live_after_run(project: Project) -> tuple[str, str | None]:
    project.run()
    return live(project)


def test_static_serving_never_has_a_release_without_a_table(static: Project, trips: Trips) -> None:
    made = static.run(promote=False)
    assert (made["table"], made["promoted"]) == (None, False)
    said = static.command("promote", made["release"])
    assert said.code == 2
    assert f"make one: ninetyfive table build --release {made['release'][:12]}" in " ".join(said.err.split())
    built = static.load().build_table(release=made["release"])
    assert built["reason"] == f"gates passed; `ninetyfive promote {made['release'][:12]}` makes its release and it live"
    assert static.load().promote(made["release"])["table"] == built["table"]
    kept = static.load().build_table(promote=False)
    assert kept["reason"] == "gates passed; --no-promote"
    assert live(static)[1] == built["table"]


def test_a_system_that_becomes_static_is_not_rolled_back_to_nothing(project: Project, trips: Trips) -> None:
    project.run()
    project.edit(STATIC)
    people(project, trips(300))
    assert project.run()["promoted"]
    with pytest.raises(UsageError, match="from which static serving answers"):
        project.load().rollback()


def test_a_dynamic_system_may_have_a_table_of_any_file(copied: Project, trips: Trips) -> None:
    rows = trips(50)
    path = people(copied, rows)
    with pytest.raises(UsageError, match="--population FILE"):
        copied.load().build_table()
    copied.edit(("    split=", '    entity=["trip"],\n    split='))
    with pytest.raises(UsageError, match="declare entity="):
        copied.load().build_table(population=str(path))
    release = copied.run()["release"]
    assert live(copied) == (release, None)
    built = copied.load().build_table(population=str(path))
    assert live(copied) == (release, built["table"])
    equal_to_rows(copied, built["table"], rows.drop("tip", "fare"))


TASKS = {
    "multiclass": (
        ('label=col("tip") > 3.0', 'label=nf.when(col("tip") > 3.0).then("much").otherwise("little")'),
        ('split=nf.Split("time", 0.5)', 'split=nf.Split("id", 0.5)'),
    ),
    "regression": (('label=col("tip") > 3.0', 'label=col("tip")'), ("Classifier", "Regressor")),
}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_tables(static: Project, trips: Trips, task: str) -> None:
    path = static.folder / "system.py"
    text = path.read_text(encoding="utf-8").replace('entity=["zone", "trip"]', 'entity=["trip"]')
    for old, new in TASKS[task]:
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    rows = trips(300)
    people(static, rows)
    release_made = static.run()["release"]
    made = static.load().build_table(release=release_made)
    equal_to_rows(static, made["table"], rows.drop("tip", "fare"))
    held, release = opened(static, made["table"])
    assert held.about.task == task
    assert len(held.about.answers) == max(1, len(release.about.classes))
    held.close()


def test_an_entity_of_any_length_text_or_null_features_has_its_entry(static: Project, trips: Trips) -> None:
    zones = ["x" * 700, "x" * 699 + "y", "Ω" * 200, "", "a\x00b"]
    rows = trips(5).with_columns(zone=pl.Series(zones), distance=pl.Series([None, -0.0, 0.0, 1e300, 5e-324]))
    people(static, rows)
    made = static.run()["table"]
    assert made["rows"]["rejected"] == 0
    equal_to_rows(static, made["table"], rows.drop("tip", "fare"))
    held, _ = opened(static, made["table"])
    assert sorted(len(key) > 500 for key in held.keys()) == [False, False, False, True, True]  # noqa: SIM118
    held.close()


@pytest.mark.slow
def test_rows_are_scored_alone_where_a_batch_gives_other_bits(static: Project, trips: Trips) -> None:
    """Logistic regression in ONNX differs in bits between a row alone and the same row in a batch."""
    static.edit(
        ("from sklearn.tree import DecisionTreeClassifier", "from sklearn.linear_model import LogisticRegression"),
        ("DecisionTreeClassifier(**params, random_state=0)", "LogisticRegression()"),
    )
    rows = trips(1_200)
    people(static, rows)
    made = static.run()["table"]
    held, release = opened(static, made["table"])
    held.close()
    equal_to_rows(static, made["table"], rows.drop("tip", "fare"))
    frame = release.transform.frames()(rows)
    assert isinstance(frame, pl.DataFrame)
    batch = release.predictor.predict(frame.to_numpy())
    single = OneByOne(release.predictor).predict(frame.to_numpy())
    assert (release.about.tolerance > 0) == bool((batch != single).any())


class Row:
    """A predictor whose answer tells how many rows came at once."""

    task, classes = "regression", ()

    def predict(self, x: Any) -> Any:
        return np.full(len(x), float(len(x)))


def test_one_by_one_asks_for_one_at_a_time() -> None:
    one = OneByOne(Row())  # type: ignore[arg-type]
    assert (one.task, one.classes) == ("regression", ())
    assert one.predict(np.zeros((3, 2), dtype=np.float32)).tolist() == [1.0, 1.0, 1.0]
    assert one.predict(np.zeros((0, 2), dtype=np.float32)).tolist() == []


@pytest.fixture
def built(static: Project) -> Project:
    """A project that is served from a table, and ran."""
    static.run()
    return static


def test_what_fails_on_the_way_leaves_the_old_table_live(built: Project, trips: Trips) -> None:
    before = live(built)
    (built.folder / "all.parquet").unlink()
    with pytest.raises(SourceError):
        built.load().build_table()
    people(built, trips(300).drop("distance"))
    with pytest.raises(SchemaError, match="distance"):
        built.load().build_table()
    assert live(built) == before
    with built.store() as store:
        assert [finding for finding in store.doctor() if finding.level == "error"] == []
        assert len(store.tables()) == 1


def test_one_build_or_run_holds_the_store(built: Project) -> None:
    with built.store() as store, store.lease("somebody else"), pytest.raises(BusyError, match="somebody else"):
        built.load().build_table()


@pytest.mark.parametrize(("text", "told"), [("yesterday", "an ISO 8601 time"), ("2999-01-01", "a time that is past")])
def test_as_of_is_a_time_that_is_past(built: Project, text: str, told: str) -> None:
    said = built.command("table", "build", "--as-of", text)
    assert said.code == 2
    assert told in said.err


def test_as_of_is_kept_as_it_was_said(built: Project) -> None:
    said = built.command("table", "build", "--as-of", "2026-01-31T12:00", "--json")
    assert said.code == 0, said.err
    assert said.json["as_of"] == "2026-01-31T12:00:00+00:00"
    assert " old, 300 entities" in built.command("status").out


def test_the_head_of_a_request_log(project: Project, trips: Trips) -> None:
    project.edit(("    split=", '    entity=["zone"],\n    serving=nf.HybridServing(top=2),\n    split='))
    release = project.run()["release"]
    with pytest.raises(SourceError, match="expected a span of a request log, got none"):
        project.load().build_table()
    folder = project.folder / "log"
    rows = trips(40).drop("tip", "fare")
    log_trips(folder, trips(40), later=("tip", "fare"))
    # Asked by their key alone, entities have a record without a row.
    log_trips(folder, trips(5), worker="w2", later=("tip", "fare"), rowless=True)
    said = project.command("table", "build", "--log", str(folder), "--json")
    assert said.code == 0, said.err
    counts = rows.group_by("zone").len().sort("len", descending=True)
    assert counts["len"][1] > counts["len"][2]
    assert (said.json["entities"], said.json["rows"]["beyond"]) == (2, 1)
    assert (said.json["rows"]["read"], said.json["rows"]["rejected"]) == (40, 0)
    assert live(project) == (release, said.json["table"])
    head = rows.filter(pl.col("zone").is_in(counts["zone"][:2].to_list()))
    latest = head.sort("at").group_by("zone", maintain_order=True).last().select(trips(1).drop("tip", "fare").columns)
    equal_to_rows(project, said.json["table"], latest)


def test_a_static_release_waits_for_its_table_of_the_log(project: Project, trips: Trips) -> None:
    project.edit(("    split=", '    entity=["zone"],\n    serving=nf.StaticServing(top=2),\n    split='))
    said = project.command("run", "--json")
    first = said.json["release"]
    assert (said.code, said.json["table"], said.json["promoted"], said.json["passed"]) == (0, None, False, True)
    assert f"`ninetyfive table build --release {first[:12]}` (--population FILE" in said.json["reason"]
    assert project.command("promote", first).code == 2
    with pytest.raises(SourceError, match="expected a span of a request log, got none"):
        project.load().build_table(release=first)
    built = project.load().build_table(release=first, population=str(people(project, trips(60))))
    assert (built["entities"], built["promoted"]) == (3, False)
    assert project.run()["promoted"]
    assert live(project) == (first, built["table"])
    log_trips(project.folder / "log", trips(40), later=("tip", "fare"))  # not where the service logs
    project.edit(('{"max_depth": 4}', '{"max_depth": 3}'))
    second = project.run()
    assert (second["promoted"], live(project)[0]) == (False, first)
    built = project.load().build_table(release=second["release"], log=str(project.folder / "log"))
    assert (built["entities"], built["rows"]["beyond"], built["promoted"]) == (2, 1, False)
    assert project.load().promote(second["release"])["table"] == built["table"]
    refreshed = project.load().build_table(log=str(project.folder / "log"))
    assert refreshed["promoted"]
    assert live(project) == (second["release"], refreshed["table"])


@pytest.mark.parametrize("paradigm", ["StaticServing", "HybridServing"])
def test_a_run_builds_the_table_of_the_log_that_its_service_keeps(
    project: Project, trips: Trips, paradigm: str
) -> None:
    project.edit(("    split=", f'    entity=["zone"],\n    serving=nf.{paradigm}(top=2),\n    split='))
    log_trips(project.folder / ".ninetyfive" / "requests", trips(40), later=("tip", "fare"))
    said = project.run()
    assert (said["promoted"], said["table"]["entities"]) == (True, 2)
    assert live(project) == (said["release"], said["table"]["table"])
