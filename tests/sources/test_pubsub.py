"""A Pub/Sub subscription lands: by the official client over gRPC, a file before it is acknowledged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from tests.conftest import Project
from tests.managed.services import GrpcServer
from tests.sources.fake_pubsub import NAME, SERVICE, FakePubSub, SubscriberDefinition

from ninetyfive.errors import DeclarationError, ServiceError, SourceError
from ninetyfive.sources import pubsub as module
from ninetyfive.sources.files import pubsub
from ninetyfive.sources.landing import Landed, Landing
from ninetyfive.sources.pubsub import land_pubsub, requests
from ninetyfive.sources.readers import reader_of

SOURCE = pubsub(NAME, id="key")


@pytest.fixture
def fake() -> FakePubSub:
    return FakePubSub()


@pytest.fixture
def server(fake: FakePubSub, monkeypatch: pytest.MonkeyPatch) -> Iterator[GrpcServer]:
    """A server of the subscription; the client is led to it."""
    with fake.server().running() as running:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", running.url.removeprefix("http://"))
        yield running


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(str(tmp_path / "store"), "trips", patience=5.0, sleep=lambda _: None)


def lines(landed: Landed, name: str = "key") -> list[Any]:
    rows = [json.loads(line) for file in landed.files for line in Path(file.url).read_text().splitlines()]
    return sorted(row[name] for row in rows)


def test_a_message_is_in_a_file_before_it_is_acknowledged(
    fake: FakePubSub, server: GrpcServer, landing: Landing
) -> None:
    ids = [fake.publish(json.dumps({"key": key}, indent=1).encode(), zone="north") for key in range(8)]
    held: list[int] = []

    def look() -> None:
        files = Path(landing.root(SOURCE)).glob("*.jsonl")
        held.append(sum(len(path.read_text().splitlines()) for path in files))

    fake.acknowledging = look
    landed = land_pubsub(SOURCE, landing)
    assert held == [8]
    assert (lines(landed), lines(landed, "pubsub_message_id")) == (list(range(8)), ids)
    assert lines(landed, "pubsub_attribute_zone") == ["north"] * 8
    assert min(lines(landed, "pubsub_publish_time")) == "2026-01-01T00:00:01+00:00"
    assert not fake.waiting
    assert land_pubsub(SOURCE, landing) == landed  # files stay, and mean what they did
    fake.publish(b'{"key": 8}')
    assert len(land_pubsub(SOURCE, landing).files) == 2
    asked = {one["method"].rpartition("/")[2]: one["body"] for one in requests(SOURCE)}
    for method, body in asked.items():
        SubscriberDefinition(SubscriberGrpcTransport).check(f"{SERVICE}/{method}", body)
        assert {*server.calls(method)[0].body} == {*body}


def test_a_lease_outlasts_the_writing_of_a_batch(fake: FakePubSub, server: GrpcServer, landing: Landing) -> None:
    for key in range(5):
        fake.publish(b'{"key": %d}' % key)
    ended: list[bool] = []

    def late() -> None:
        fake.now += 590  # writing took long: more than the subscription's own deadline, less than what we asked for
        ended.extend(one.until < fake.now for one in fake.waiting.values())

    fake.acknowledging = late
    assert lines(land_pubsub(SOURCE, landing)) == list(range(5))
    assert ended == [False] * 5
    assert not fake.waiting


def test_what_is_no_object_is_put_aside_and_blocks_nobody(
    fake: FakePubSub, server: GrpcServer, landing: Landing
) -> None:
    bad = [b"[1]", b"", b'{"a": NaN}', b'{"a": "\xff"}', b'{"__a": 1}', b'{"": 1}', b'{"a": 1} x', b'"text"']
    bad += [b'{"a": %s1%s}' % (b"[" * 5_000, b"]" * 5_000), b'{"pubsub_message_id": "of another"}']
    for number, data in enumerate(bad):
        fake.publish(data, number=str(number))
        fake.publish(b'{"key": %d}' % number)
    landed = land_pubsub(SOURCE, landing)
    assert lines(landed) == list(range(len(bad)))
    (path,) = Path(landing.root(SOURCE), "dead").iterdir()
    dead = [json.loads(line) for line in path.read_text().splitlines()]
    assert [one["attributes"]["number"] for one in dead] == [str(number) for number in range(len(bad))]
    assert all(one["why"] for one in dead)
    assert landed.notices == (f"10 messages of {NAME} are no rows, and stand in {path.parent} with why",)
    assert not fake.waiting


def test_nothing_is_acknowledged_where_nothing_can_be_written(
    fake: FakePubSub, server: GrpcServer, landing: Landing
) -> None:
    fake.publish(b'{"key": 1}')
    store = Path(landing.folder)
    store.parent.mkdir(exist_ok=True)
    store.write_text("a file where the folder should be")
    with pytest.raises(SourceError, match="a folder where rows can land"):
        land_pubsub(SOURCE, landing)
    assert not server.calls("Acknowledge")
    store.unlink()
    draft = Path(landing.root(SOURCE), ".draft-of-a-process-that-was-killed")
    draft.parent.mkdir(parents=True)
    draft.write_text('{"key')
    fake.now += module.LEASE_SECONDS
    assert lines(land_pubsub(SOURCE, landing)) == [1]
    assert not draft.exists()


def test_a_run_ends_pulling_and_says_so(
    fake: FakePubSub, server: GrpcServer, landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RUN_MESSAGES", 4)
    monkeypatch.setattr(module, "BATCH_MESSAGES", 2)
    for key in range(9):
        fake.publish(b'{"key": %d}' % key)
    landed = land_pubsub(SOURCE, landing)
    assert landed.notices == (f"{NAME} may have more than the 6 messages of this run: run again",)
    assert len(fake.waiting) == 3


def test_a_batch_of_large_attributes_is_full(
    fake: FakePubSub, server: GrpcServer, landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_BYTES", 2_000)
    fake.most = 1
    for key in range(4):
        fake.publish(b'{"key": %d}' % key, zone="north" * 200)
    assert len(land_pubsub(SOURCE, landing).files) == 2


@pytest.mark.parametrize("status", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"])
def test_what_is_too_much_or_away_is_asked_again(
    fake: FakePubSub, server: GrpcServer, landing: Landing, status: str
) -> None:
    fake.publish(b'{"key": 1}')
    for method in ("Pull", "ModifyAckDeadline", "Acknowledge"):
        server.fail(method, GrpcServer.refusal(status, "Try again."))
    assert lines(land_pubsub(SOURCE, landing)) == [1]


@pytest.mark.parametrize(
    ("status", "told"),
    [("PERMISSION_DENIED", "docs/managed.md lists"), ("FAILED_PRECONDITION", "one that is pulled")],
)
def test_what_stays_refused_is_told_in_the_words_of_the_service(
    fake: FakePubSub, server: GrpcServer, landing: Landing, status: str, told: str
) -> None:
    server.fail("Pull", GrpcServer.refusal(status, "Not for you."))
    with pytest.raises(ServiceError, match=r"pubsub, pull of projects/p/subscriptions/trips.*Not for you") as raised:
        land_pubsub(SOURCE, landing)
    assert told in str(raised.value)


def test_a_subscription_that_is_not_there_or_never_gave_anything(server: GrpcServer, landing: Landing) -> None:
    with pytest.raises(ServiceError, match=r"404, .*To do: see whether the subscription is there"):
        land_pubsub(pubsub("projects/p/subscriptions/other"), landing)
    with pytest.raises(SourceError, match=r"none so far\. To do: publish to its topic"):
        land_pubsub(SOURCE, landing)


@pytest.mark.parametrize("name", ["trips", "projects/p/topics/trips", "projects/p/subscriptions/", 3])
def test_a_name_that_is_no_subscription_is_refused(name: Any) -> None:
    with pytest.raises(DeclarationError, match="a topic is read through a subscription"):
        pubsub(name)


def test_what_pubsub_adds_is_a_column_where_it_is_named(fake: FakePubSub, server: GrpcServer, landing: Landing) -> None:
    fake.publish(b'{"key": 1}', zone="north", other="x")
    fake.publish(b"{}")
    named = pubsub(NAME, time="pubsub_publish_time", types={"pubsub_attribute_zone": "string"})
    (file,) = land_pubsub(named, landing).files
    (frame,) = reader_of(named).read(file.part)
    assert set(frame.columns) == {"key", "pubsub_publish_time", "pubsub_attribute_zone"}
    (frame,) = reader_of(pubsub(NAME)).read(file.part)
    assert (frame.columns, frame.height) == (["key"], 2)
    assert named.own == ("pubsub_publish_time",)


DIES = """
import sys
from ninetyfive.sources.pubsub import land_pubsub
from ninetyfive.sources.files import pubsub
from ninetyfive.sources.landing import Landing
land_pubsub(pubsub(sys.argv[1], id="trip"), Landing(sys.argv[2], "trips"))
"""


@pytest.mark.slow
def test_a_process_that_is_killed_before_it_acknowledges_leaves_each_row_once(
    project: Project, fake: FakePubSub, server: GrpcServer, trips: Callable[..., pl.DataFrame]
) -> None:
    rows = trips(1_200).to_dicts()
    fake.most = 1000
    for row in rows[:600]:
        fake.publish(json.dumps(row, default=str).encode())
    with subprocess.Popen([sys.executable, "-c", DIES, NAME, str(project.folder / ".ninetyfive")]) as child:

        def lost() -> None:
            child.kill()
            raise GrpcServer.refusal("UNAVAILABLE", "It was not heard.")

        fake.acknowledging = lost
        assert child.wait(60) < 0
    fake.acknowledging = lambda: None
    assert len(fake.waiting) == 600
    for row in rows[600:]:
        fake.publish(json.dumps(row, default=str).encode())
    fake.now += module.LEASE_SECONDS
    source = 'nf.parquet("data/*.parquet", time="at", id="trip")'
    project.edit((source, f'nf.pubsub("{NAME}", time="at", id="trip")'))
    first = project.run(if_due=True)
    counts = first["rows"]
    assert counts["accepted"] == 1_200
    assert (counts["read"], counts["duplicate"]) == (1_800, 600)
    assert first["window"]["rows"] == 1_200
    assert not fake.waiting
    again = project.run()
    assert (again["rows"]["read"], again["release"]) == (0, first["release"])
    assert not project.load().doctor()["findings"]
    said = project.command("run", "--dry-run").out
    assert [line for line in said.splitlines() if line.startswith("google")] == [
        f"{SERVICE}/{method}" for method in ("Pull", "ModifyAckDeadline", "Acknowledge")
    ]
