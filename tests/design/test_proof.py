"""Held-out requests are replayed by the code of a worker and by workers: what they give is counted, whatever fails."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest
from tests.conftest import Project
from tests.design.conftest import LATER, asked, moment, opened
from tests.sources.logs import log_trips

from ninetyfive.design.costs import measure
from ninetyfive.design.evidence import Candidate, Replayed
from ninetyfive.design.ground import Ground
from ninetyfive.design.inside import Inside, inside
from ninetyfive.design.proof import CODE, SERVICE, Proof, Reference, prove
from ninetyfive.design.traffic import Traffic, newest, of_frame, of_log
from ninetyfive.design.worker import Answer
from ninetyfive.errors import ModelError
from ninetyfive.models.release import OpenRelease
from ninetyfive.serve.messages import Live, Policy, WorkerConfig
from ninetyfive.tables.keys import entity_key, fingerprint

On = Callable[[OpenRelease], Ground]
Trips = Callable[..., pl.DataFrame]


def candidate(paradigm: str, k: int | None = None) -> Candidate:
    return Candidate(
        paradigm=paradigm,  # type: ignore[arg-type]
        k=k,
        refresh=None,
        hit=0.5,
        miss=0.25,
        stale=0.125,
        cpu=1e-4,
        p50=2e-4,
        p99=3e-4,
        table_bytes=0,
        parts={"answers": 1.0},
        cost=1.0,
    )


ALL = (candidate("dynamic"), candidate("static", 8), candidate("hybrid", 5))


def soon(seconds: float = 60.0) -> float:
    return time.monotonic() + seconds


def by(proof: Proof, paradigm: str, by: str = CODE) -> Replayed:
    (found,) = (one for one in proof.replayed if (one.paradigm, one.by) == (paradigm, by))
    return found


def expected(release: OpenRelease, log: str, cut: int, paradigm: str, top: int) -> tuple[float, float, float]:
    """Hit, miss and stale, counted the long way: of the requests after `cut`, with a table of those before."""
    held: dict[bytes, list[int]] = {}
    shares = [0, 0, 0]
    rows = of_log(log, release, -1).rows
    moments = rows["request_time"].to_physical().to_list()
    named = []
    for row in rows.drop("request_time").to_dicts():
        read = release.request.row(row)
        key = entity_key([read[name] for name in release.about.entity])
        assert key is not None
        named.append((key, fingerprint(tuple(read[name] for name in release.transform.inputs))))
    before = [one for one, at in zip(named, moments, strict=True) if at <= cut]
    for key, told in before:
        held.setdefault(key, []).append(told)
    head = sorted(held, key=lambda key: (-len(held[key]), key))[:top]
    judged = named[len(before) :]
    for key, told in judged:
        equal = key in head and held[key][-1] == told
        shares[0] += key in head if paradigm == "static" else equal
        shares[1] += key not in head and paradigm == "static"
        shares[2] += key in head and not equal and paradigm == "static"
    hit, miss, stale = (share / len(judged) for share in shares)
    return hit, miss, stale


@pytest.fixture
def alike(tmp_path: Path, trips: Trips) -> str:
    """A log of 900 requests of which most are asked again, hour and distance and all."""
    rows = asked(trips(900)).with_columns(distance=pl.col("distance").clip(0.0, 5.0))
    log_trips(tmp_path / "log", rows, later=LATER)
    return str(tmp_path / "log")


@pytest.fixture(scope="session")
def timeless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenRelease]:
    """A release of trips that reads no time: what is asked again has the same features."""
    from tests.conftest import _project

    with _project(tmp_path_factory.mktemp("timeless")) as project:
        project.edit(
            ("    split=", '    entity=["zone", "distance"],\n    split='), ('        "hour": col("at").hour(),\n', "")
        )
        yield opened(project)


def test_each_look_up_is_counted_as_it_would_be_by_hand(
    zones: OpenRelease, timeless: OpenRelease, on: On, alike: str
) -> None:
    for release in (zones, timeless):
        proof = prove(on(release), of_log(alike, release, moment(600)), ALL, soon(), inside)
        assert (proof.left_out, proof.cannot, proof.noticed) == ((), (), ())
        assert [one.requests for one in proof.replayed] == [300] * 3
        dynamic = by(proof, "dynamic")
        assert (dynamic.hit, dynamic.miss, dynamic.stale) == (0.0, 0.0, 0.0)
        for paradigm, top in (("static", 8), ("hybrid", 5)):
            found = by(proof, paradigm)
            assert (found.hit, found.miss, found.stale) == expected(release, alike, moment(600), paradigm, top)
            assert found.cpu is not None
            assert found.cpu > 0
            assert (found.forecast_hit, found.forecast_cpu, found.forecast_p50) == (0.5, 1e-4, 2e-4)
    assert 0.1 < found.hit < 0.9
    assert by(proof, "static").miss > 0.1


@pytest.mark.slow
def test_workers_give_what_their_code_gives(timeless: OpenRelease, on: On, alike: str) -> None:
    ground, rows = on(timeless), newest(alike, timeless, 100)
    measured = measure(ground, rows, time.monotonic(), inside)
    traffic = of_log(alike, timeless, moment(600))
    proof = prove(ground, traffic, ALL, soon(), reference=Reference(measured, rows))
    assert (proof.left_out, proof.cannot) == ((), ())
    for paradigm in ("dynamic", "static", "hybrid"):
        code, service = by(proof, paradigm), by(proof, paradigm, SERVICE)
        assert (code.hit, code.miss, code.stale) == (service.hit, service.miss, service.stale)
        assert (code.requests, service.requests, code.cpu, code.p50) == (300, 300, None, None)
        assert service.cpu is not None
        assert service.p50 is not None
        assert service.p99 is not None
        assert 0 < service.p50 <= service.p99
        assert service.cpu > 0
    assert any("times as long as when costs were measured" in one for one in proof.noticed), "HTTP is no look-up"


def test_rounds_that_time_cuts_are_spread_evenly(
    zones: OpenRelease, on: On, trips: Trips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ninetyfive.design.proof._ROUND", 100)
    sent: list[bytes] = []

    @contextlib.contextmanager
    def opens(live: Live, policy: Policy, config: WorkerConfig, folder: Path) -> Iterator[Inside]:
        with inside(live, policy, config, folder) as one:
            ask = one.ask

            def heard(request: bytes) -> Answer:
                sent.append(request)
                return ask(request)

            one.ask = heard  # type: ignore[method-assign]
            yield one

    rows = asked(trips(1_200)).drop(LATER)
    rows = rows.with_columns(pl.col("at").dt.replace_time_zone("UTC").alias("request_time"))
    traffic = of_frame(rows, zones, moment(200))
    proof = prove(on(zones), traffic, ALL[:1], soon(), opens)
    assert len(sent) > 1_000
    del sent[:-1_000]
    numbers = [msgspec.json.decode(body)["instances"][0]["trip"] for body in sent]
    assert sorted(numbers) == list(range(200, 1_200)), "each once"
    assert numbers[:100] == list(range(200, 1_200, 10)), "a round is spread over the window"
    assert by(proof, "dynamic").requests == 1_000


def test_who_is_quick_is_asked_more_in_a_turn(timeless: OpenRelease, on: On, alike: str) -> None:
    sent: list[str] = []

    @contextlib.contextmanager
    def opens(live: Live, policy: Policy, config: WorkerConfig, folder: Path) -> Iterator[Inside]:
        with inside(live, policy, config, folder) as one:
            ask = one.ask

            def heard(request: bytes) -> Answer:
                sent.append(policy.paradigm)
                time.sleep(0.004 * (policy.paradigm == "dynamic"))
                return ask(request)

            one.ask = heard  # type: ignore[method-assign]
            yield one

    proof = prove(on(timeless), of_log(alike, timeless, moment(600)), ALL[:2], soon(), opens)
    assert (proof.left_out, proof.cannot, [one.requests for one in proof.replayed]) == ((), (), [300, 300])
    turns = [(name, sum(1 for _ in some)) for name, some in itertools.groupby(sent)]
    assert [name for name, _ in turns[:4]] == ["dynamic", "static"] * 2, "each is warmed up first"
    assert turns[2][1] <= 50, "0.2 s / 4 ms"
    assert turns[3][1] == 300


def test_in_this_process_all_are_counted_and_some_are_timed(
    timeless: OpenRelease, on: On, alike: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic = of_log(alike, timeless, moment(600))
    whole = prove(on(timeless), traffic, ALL, soon(), inside)
    monkeypatch.setattr("ninetyfive.design.proof.SAMPLE", 40)
    sampled = prove(on(timeless), traffic, ALL, soon(), inside)
    assert sampled.left_out == ()
    for one, other in zip(whole.replayed, sampled.replayed, strict=True):
        assert (one.requests, one.hit, one.miss, one.stale) == (other.requests, other.hit, other.miss, other.stale)
        assert other.cpu is not None
        assert other.p50 is not None


def test_the_time_is_over(zones: OpenRelease, on: On, log: str) -> None:
    traffic = of_log(log, zones, moment(600))
    proof = prove(on(zones), traffic, ALL, time.monotonic() - 1.0, inside)
    assert proof.replayed == ()
    assert proof.cannot == ()
    assert "the look-ups of the window that judges: the time was over" in proof.left_out
    assert "the replay of static with 8 entities through the code of a worker: the time was over" in proof.left_out


def test_tables_that_take_too_long_are_left_out(zones: OpenRelease, on: On, log: str) -> None:
    ground, rows = on(zones), newest(log, zones, 20)
    measured = msgspec.structs.replace(measure(ground, rows, time.monotonic(), inside), cpu_read=1.0)
    proof = prove(ground, of_log(log, zones, moment(600)), ALL, soon(100.0), inside, Reference(measured, rows))
    assert proof.left_out == ("the replay of tables: making one of 900 records takes about 900 s",)
    assert [one.paradigm for one in proof.replayed] == ["dynamic"]


def test_a_window_without_requests_or_without_rows(
    zones: OpenRelease, on: On, log: str, tmp_path: Path, trips: Trips
) -> None:
    told = "no request of the window that judges can be asked again: none of them has a row"
    assert prove(on(zones), of_log(log, zones, moment(900)), ALL, soon(), inside) == Proof(cannot=(told,))
    folder = tmp_path / "rowless"
    log_trips(folder, asked(trips(20)), later=LATER, rowless=True)
    proof = prove(on(zones), of_log(str(folder), zones, -1), ALL, soon(), inside)
    assert proof.cannot == (told,)
    assert proof.noticed == ("20 records of the window that judges have no row, and are not asked again",)


def test_a_table_that_cannot_be_made_is_told_and_the_others_are_replayed(
    plain: OpenRelease, zones: OpenRelease, on: On, log: str
) -> None:
    proof = prove(on(zones), of_log(log, zones, -1), ALL, soon(), inside)
    assert [one.paradigm for one in proof.replayed] == ["dynamic"]
    assert [one.partition(" was not replayed: ")[0] for one in proof.cannot] == [
        "static with 8 entities",
        "hybrid with 5 entities",
    ]
    assert "rows: expected at least 1 entity" in proof.cannot[0]
    proof = prove(on(plain), of_log(log, plain, moment(600)), ALL, soon(), inside)
    assert [one.paradigm for one in proof.replayed] == ["dynamic"]
    assert len(proof.cannot) == 2


@pytest.mark.slow
def test_a_worker_that_dies_on_the_way_is_told_and_the_others_go_on(
    timeless: OpenRelease, on: On, alike: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ninetyfive.design import proof as module

    monkeypatch.setattr(module, "_ROUND", 50)
    count = module._Tally.count

    def counted(tally: module._Tally, answer: Answer, slower: float) -> None:
        count(tally, answer, slower)
        if tally.hit == 20:
            (path,) = ground.folder.glob("replay-*/hybrid/counters")
            kill(path)

    ground = on(timeless)
    monkeypatch.setattr(module._Tally, "count", counted)
    proof = prove(ground, of_log(alike, timeless, moment(600)), (ALL[0], ALL[2]), soon())
    (told,) = proof.cannot
    assert told.startswith("the replay of hybrid with 5 entities ended after ")
    assert by(proof, "dynamic", SERVICE).requests == 300
    assert 20 <= by(proof, "hybrid", SERVICE).requests < 300
    assert by(proof, "hybrid").requests == 300


def kill(counters: Path) -> None:
    """End the worker that writes these counters, and wait until it is gone."""
    import os
    import signal

    for status in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if status.readlink() == counters.parent:
                os.kill(int(status.parent.name), signal.SIGKILL)


def test_who_does_not_start_is_told(zones: OpenRelease, on: On, log: str) -> None:
    @contextlib.contextmanager
    def opens(live: Live, policy: Policy, config: WorkerConfig, folder: Path) -> Iterator[Inside]:
        if policy.paradigm == "static":
            raise ModelError("a worker", expected="answers", got="nothing", do="look")
        with inside(live, policy, config, folder) as one:
            yield one

    proof = prove(on(zones), of_log(log, zones, moment(600)), ALL, soon(), opens)
    assert proof.cannot == (
        "static with 8 entities was not replayed through the code of a worker: "
        "a worker: expected answers, got nothing. To do: look.",
    )
    assert by(proof, "static").cpu is None
    assert by(proof, "hybrid").cpu is not None


@pytest.mark.slow
def test_a_native_model_is_measured_and_replayed(project: Project, on: On, log: str) -> None:
    project.edit(
        ('@trips.model(params={"max_depth": 4})', '@trips.model(params={"max_depth": 4}, native=True)'),
        ("    split=", '    entity=["zone", "distance"],\n    split='),
    )
    release = opened(project)
    assert release.about.form == "native"
    ground = on(release)
    measured = measure(ground, newest(log, release, 200), time.monotonic())
    assert all(math.isfinite(value) for value in (measured.cpu_model, measured.cpu_table, measured.cpu_row))
    proof = prove(ground, of_log(log, release, moment(600)), ALL[2:], soon())
    assert proof.cannot == ()
    assert by(proof, "hybrid", SERVICE).hit == by(proof, "hybrid").hit


def test_what_is_outside_of_the_schema_is_said(zones: OpenRelease, on: On, log: str) -> None:
    traffic = of_log(log, zones, moment(600))
    traffic = Traffic(traffic.source, traffic.as_of, traffic.rows, refused=3)
    proof = prove(on(zones), traffic, ALL[:1], soon(), inside)
    assert proof.noticed == ("3 of its rows break the schema of the release, and are not asked again",)
