"""The engine on a service: one job whatever happens, results as those of the local engine, nothing left that costs.

The service is a real server of a fake: of Dataproc, whose workers run the plans of the folder with the local engine,
and of Dataflow, whose workers do the steps of the graph.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import msgspec
import polars as pl
import pytest
from tests.managed.fake_dataflow import FakeDataflow
from tests.managed.fake_dataproc import FakeDataproc
from tests.managed.services import GrpcServer, Refusal
from tests.managed.workers import runs, runs_graph

from ninetyfive.calling import Caller
from ninetyfive.engines.local import LocalEngine
from ninetyfive.errors import DataError, ServiceError, UsageError
from ninetyfive.managed.dataflow import Dataflow
from ninetyfive.managed.dataproc import Batches
from ninetyfive.managed.engine import ManagedEngine
from ninetyfive.managed.graph_job import GraphErrand
from ninetyfive.managed.jobs import TRIES
from ninetyfive.managed.plans_job import Orders, PlansErrand
from ninetyfive.managed_settings import DataflowSettings, DataprocSettings, ManagedSettings
from ninetyfive.plan import Part, Plan, Read, Reduce, Write
from ninetyfive.reducers.counts import Counts
from ninetyfive.sources.discovery import discover
from ninetyfive.sources.files import frame
from ninetyfive.sources.readers import reader_of
from ninetyfive.store.opening import Store, open_store

Status = grpc.StatusCode
ROWS = pl.DataFrame({"x": [1, 2, None], "day": ["a", "b", "b"]})
SOURCE = frame(ROWS)
RAW = Read((discover(SOURCE)[0].part,), reader_of(SOURCE))
SPAN = RAW.parts[0].span


def plans(where: Path) -> dict[str, Plan]:
    return {
        "good": Write(RAW, str(where / "good")),
        "counts": Reduce(RAW, Counts(("x",)), by=("day",)),
        "rows": RAW,
    }


class Bench:
    """A store, a service and a temporary folder; `engine()` is one of a command that starts now.

    `submits`, `looks` and `stops` are the service's methods, `works` is a worker that does what it should.
    """

    def __init__(self, folder: Path, server: GrpcServer, fake: FakeDataproc | FakeDataflow) -> None:
        self.folder, self.server, self.fake = folder, server, fake
        self.flow = isinstance(fake, FakeDataflow)
        self.submits, self.looks, self.stops = (
            ("CreateJob", "GetJob", "UpdateJob") if self.flow else ("CreateBatch", "GetBatch", "CancelOperation")
        )
        self.works: Callable[..., Any] = runs_graph if self.flow else runs
        self.store = open_store(folder / "store", actor="ada")
        self.do(self.works)

    def do(self, work: Callable[..., Any]) -> None:
        """What runs jobs from now on."""
        self.fake.work = work

    @property
    def jobs(self) -> dict[str, Any]:
        """The jobs that the service has."""
        return self.fake.jobs if isinstance(self.fake, FakeDataflow) else self.fake.batches

    def engine(self, sleep: Callable[[float], None] = lambda _: None, store: Store | None = None) -> ManagedEngine:
        said = ManagedSettings(
            project="my-project",
            region="europe-west1",
            temporary=str(self.folder / "temporary"),
            image="i",
            dataproc=DataprocSettings(endpoint=self.server.url),
            dataflow=DataflowSettings(endpoint=self.server.url),
        )
        errand = GraphErrand if self.flow else PlansErrand
        caller = Caller("service", 5.0, lambda _: None)
        service = Dataflow(said, caller) if self.flow else Batches(said, caller)
        orders = Orders(system="late", temporary=said.temporary, shared_disk=True, settings=said)
        return ManagedEngine(service, store or self.store, orders, sleep=sleep, errand=errand)

    def run(self, **words: Any) -> dict[str, Any]:
        return self.engine(**words).run(plans(self.folder / "anywhere"))

    @property
    def states(self) -> list[str]:
        """The states of jobs in the catalog, oldest first."""
        return [job.state for job in reversed(self.store.jobs())]

    @property
    def costs(self) -> int:
        """How many jobs of the service run or will."""
        states = [(one.current_state if self.flow else one.state).name for one in self.jobs.values()]
        return sum(name.removeprefix("JOB_STATE_") in ("PENDING", "RUNNING") for name in states)


@pytest.fixture(params=["dataproc", "dataflow"])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    server, fake = (request.getfixturevalue(f"{request.param}{word}") for word in ("_server", ""))
    made = Bench(tmp_path, server, fake)
    with made.store:
        yield made


def check(found: dict[str, Any]) -> None:
    """The results are those of the local engine, files and all."""
    (file,) = found["good"]
    assert pl.read_parquet(file.url).equals(ROWS)
    assert found["rows"].equals(ROWS)
    assert {key: state.nulls for key, state in found["counts"][SPAN].items()} == {("a",): (0,), ("b",): (1,)}


def test_results_are_those_of_the_local_engine_and_files_the_same_bytes(bench: Bench) -> None:
    engine = bench.engine()
    found = engine.run(plans(bench.folder / "x"))
    check(found)
    here = LocalEngine(1).run(plans(bench.folder / "here"))
    assert [(file.span, file.sha256, file.rows) for file in found["good"]] == [
        (file.span, file.sha256, file.rows) for file in here["good"]
    ]
    assert found["counts"] == here["counts"]
    assert engine.jobs == 1
    assert engine.submitted == tuple(job.id for job in bench.store.jobs())
    assert bench.states == ["done"]
    assert bench.store.audit_verify() == []
    engine.clear()
    assert not list((bench.folder / "temporary" / "jobs").iterdir())


def test_the_same_work_is_one_job_for_whoever_asks(bench: Bench) -> None:
    check(bench.run())
    check(bench.run())
    assert len(bench.server.calls(bench.submits)) == 1


def test_other_work_is_another_job(bench: Bench) -> None:
    engine = bench.engine()
    engine.run({"rows": RAW})
    engine.run({"counts": Reduce(RAW, Counts())})
    assert engine.run({}) == {}
    assert (engine.jobs, len(bench.jobs)) == (2, 2)


@pytest.mark.parametrize("point", ["job written down", "job submitted", "job polled"])
def test_a_command_that_died_is_gone_on_from(bench: Bench, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    monkeypatch.setenv("NINETYFIVE_CRASH", f"raise {point}")
    with pytest.raises(RuntimeError, match=point):
        bench.run()
    monkeypatch.delenv("NINETYFIVE_CRASH")
    check(bench.run())
    assert len(bench.server.calls(bench.submits)) == 1
    assert bench.states == ["done"]


@pytest.mark.parametrize("bench", ["dataflow"], indirect=True)
def test_a_command_that_died_when_its_job_was_done_makes_the_results_of_that_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NINETYFIVE_CRASH", "raise job done")
    with pytest.raises(RuntimeError, match="job done"):
        bench.run()
    monkeypatch.delenv("NINETYFIVE_CRASH")
    check(bench.run())
    assert (len(bench.server.calls("CreateJob")), bench.states) == (1, ["done"])


def test_two_that_submit_at_once_have_one_job(bench: Bench) -> None:
    found: list[dict[str, Any]] = []

    def submit() -> None:
        with open_store(bench.folder / "store", actor="bob") as store:
            found.append(bench.run(store=store))

    both = [threading.Thread(target=submit) for _ in range(3)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    for one in found:
        check(one)
    assert (len(found), len(bench.jobs)) == (3, 1)
    assert bench.states == ["done"]


def forgets(bench: Bench, often: int) -> Callable[[float], None]:
    """Between two looks the service loses what it has, so often."""
    left = iter(range(often))

    def sleep(_: float) -> None:
        if next(left, None) is not None:
            bench.jobs.clear()

    bench.do(lambda *words: bench.works(*words) if next(left, None) is None else lambda: None)
    return sleep


def test_what_is_lost_between_two_looks_is_submitted_again(bench: Bench) -> None:
    check(bench.run(sleep=forgets(bench, 2)))
    assert bench.states[-1] == "done"
    assert set(bench.states[:-1]) == {"lost"}
    assert bench.costs == 0


def test_what_is_lost_again_and_again_is_given_up_and_told(bench: Bench) -> None:
    bench.do(lambda *_: lambda: "Batch failed: node was preempted")
    with pytest.raises(ServiceError, match="preempted") as caught:
        bench.run()
    assert bench.states == ["lost"] * TRIES
    page = "dataflow/jobs" if bench.flow else "dataproc/batches"
    assert f"https://console.cloud.google.com/{page}/europe-west1/" in caught.value.do
    bench.do(bench.works)
    check(bench.run())
    assert bench.states == ["lost"] * TRIES + ["done"]


def test_an_error_of_ours_comes_back_as_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise DataError("a.csv", expected="ids", got="none", do="name them")

    with monkeypatch.context() as patched:
        patched.setattr(LocalEngine, "run", fails)
        patched.setattr("tests.managed.workers.run_task", fails)
        with pytest.raises(DataError, match="name them"):
            bench.run()
    assert bench.states == ["failed"]
    check(bench.run())
    assert bench.states == ["failed", "done"]


def test_what_the_service_says_of_a_failure_is_told(bench: Bench) -> None:
    bench.do(lambda *_: lambda: "Insufficient 'CPUS' quota. Requested 12.0, available 4.0.")
    with pytest.raises(ServiceError, match="Insufficient 'CPUS' quota") as caught:
        bench.run()
    assert "the same command again" in caught.value.do
    assert bench.states == ["failed"]


def test_one_that_is_done_without_results_is_no_success(bench: Bench) -> None:
    bench.do(lambda *_: lambda: "")
    with pytest.raises(ServiceError, match=r"results are not there.* whether another command"):
        bench.run()


def test_results_whose_file_is_gone_are_made_again(bench: Bench) -> None:
    (file,) = bench.run()["good"]
    Path(file.url).unlink()
    check(bench.run())
    assert len(bench.jobs) == 2


def interrupted(_: float) -> None:
    """Ctrl-C while nothing is done but waiting."""
    raise KeyboardInterrupt


def test_ctrl_c_cancels_the_job(bench: Bench) -> None:
    bench.do(lambda *_: lambda: None)
    with pytest.raises(KeyboardInterrupt):
        bench.run(sleep=interrupted)
    assert bench.costs == 0
    bench.do(bench.works)
    check(bench.run())
    assert len(bench.jobs) == 2


def test_where_ctrl_c_cannot_cancel_the_job_is_found_again(bench: Bench) -> None:
    bench.do(lambda *_: lambda: None)
    bench.server.fail(bench.stops, *[Refusal(Status.UNAVAILABLE, "away")] * 9)
    with pytest.raises(KeyboardInterrupt):
        bench.run(sleep=interrupted)
    assert bench.states == ["running"]
    bench.server.heal()
    bench.fake.running = dict.fromkeys(bench.fake.running, lambda: "the node was preempted")
    bench.do(bench.works)
    check(bench.run())
    assert bench.states == ["lost", "done"]


def test_a_service_that_is_away_while_it_is_asked_loses_nothing(bench: Bench) -> None:
    bench.server.fail(bench.looks, None, *[Refusal(Status.UNAVAILABLE, "away")] * 9)
    with pytest.raises(ServiceError, match="goes on where it was"):
        bench.run()
    bench.server.heal()
    check(bench.run())
    assert len(bench.server.calls(bench.submits)) == 1


def test_paths_of_this_machine_are_refused_of_a_service_elsewhere(bench: Bench) -> None:
    engine = bench.engine()
    engine._orders = msgspec.structs.replace(engine._orders, shared_disk=False)
    check(engine.run(plans(bench.folder / "x")))  # rows in memory travel with the plans
    here = Read((Part("6" * 64, "/data/a.csv"),), RAW.reader)
    with pytest.raises(UsageError, match="gs://"):
        engine.run({"rows": here})


def test_any_order_of_faults_ends_with_the_results_or_an_error_and_no_job_too_many(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, seed: int, record_property: Callable[[str, Any], None]
) -> None:
    """Commands one after the other, each with faults drawn for it, until one gives the results."""
    draw = random.Random(seed)
    bad = [lambda *_: lambda: "preempted", lambda *_: lambda: "broken"]
    tried = 0
    for number in range(3 if bench.flow else 12):  # a graph takes longer to build
        wanted = {**plans(bench.folder / "x"), f"{number}": Reduce(RAW, Counts())}
        for _ in range(200):
            tried += 1
            bench.do(draw.choice([bench.works, bench.works, *bad]))
            for method in (bench.submits, bench.looks):
                faults = [Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED, Status.PERMISSION_DENIED, None, None, None]
                drawn = [draw.choice(faults) for _ in range(draw.randrange(5))]
                bench.server.fail(method, *(one and Refusal(one, "drawn") for one in drawn))
            point = draw.choice(["job written down", "job submitted", "job polled", "nowhere"])
            monkeypatch.setenv("NINETYFIVE_CRASH", f"raise {point}")

            def sleep(_: float) -> None:
                if draw.random() < 0.2:
                    bench.jobs.clear()

            try:
                found = bench.engine(sleep).run(wanted)
            except (RuntimeError, ServiceError):
                assert bench.costs <= 1
                continue
            finally:
                bench.server.heal()
            check(found)
            break
        else:
            pytest.fail("no command came to its end")
        assert bench.costs == 0
    assert bench.store.audit_verify() == []
    record_property("counted", ["commands on a service with drawn faults", tried])
