from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from ninetyfive.errors import IntegrityError
from ninetyfive.hashing import bytes_hash
from ninetyfive.store import catalog
from ninetyfive.store.opening import Store
from ninetyfive.store.records import SpanRecord


def span_of(store: Store, data: bytes, ingest_key: str = "k") -> SpanRecord:
    return SpanRecord(
        span=bytes_hash(data),
        ingest_key=ingest_key,
        url="data/a.csv",
        artifact=store.put_bytes(data + b" good"),
        quarantine=store.put_bytes(data + b" bad"),
        read=3,
        accepted=2,
        quarantined=1,
        chunks=(2,),
        time_min=-5,
        time_max=2**50,
        schema_version=2,
        details={"delimiter": ";"},
    )


def test_spans_are_numbered_and_come_back_as_they_went(store: Store) -> None:
    one, two = span_of(store, b"1"), span_of(store, b"2")
    added = store.add_spans([two, one])
    assert added == [msgspec.structs.replace(two, sequence=1), msgspec.structs.replace(one, sequence=2)]
    assert store.spans("k") == added
    assert store.spans("other") == []
    assert store.known_spans("k") == {one.span, two.span}
    assert [record.action for record in store.audit_records()] == ["spans.add"]


def test_the_same_content_again_adds_nothing(store: Store) -> None:
    one = span_of(store, b"1")
    store.add_spans([one])
    assert store.add_spans([one, one]) == []
    assert len(store.spans("k")) == 1
    assert len(store.audit_records()) == 1
    assert [span.sequence for span in store.add_spans([span_of(store, b"1", "read otherwise")])] == [2]


def test_a_span_without_good_rows(store: Store) -> None:
    store.add_spans([SpanRecord(span="s", ingest_key="k", url="u", read=0, accepted=0, quarantined=0)])
    assert store.known_spans("k") == {"s"}


def test_a_span_whose_file_is_gone_is_read_again_and_healed(store: Store, damage: Any) -> None:
    one = span_of(store, b"1")
    store.add_spans([one, span_of(store, b"2")])
    assert one.artifact is not None
    damage.remove(store, one.artifact)
    assert store.known_spans("k") == {bytes_hash(b"2")}
    other = msgspec.structs.replace(one, artifact=store.put_bytes(b"other good"))
    assert [span.sequence for span in store.add_spans([other])] == [1]
    assert store.known_spans("k") == {bytes_hash(b"1"), bytes_hash(b"2")}


def test_a_span_that_names_a_missing_file_adds_nothing_at_all(store: Store) -> None:
    bad = msgspec.structs.replace(span_of(store, b"2"), artifact="f" * 64)
    with pytest.raises(IntegrityError):
        store.add_spans([span_of(store, b"1"), bad])
    assert store.spans("k") == []
    assert store.audit_records() == []


def test_states_small_and_large_are_kept_per_span(store: Store) -> None:
    large = bytes(range(256)) * 1024
    store.put_states({("s1", "k"): b"small", ("s2", "k"): large, ("s1", "other"): b""})
    assert store.states("k", ["s2", "s1", "s3"]) == {"s1": b"small", "s2": large}
    assert store.states("other", ["s1"]) == {"s1": b""}
    assert store.states("k", []) == {}


def test_a_state_is_replaced_and_the_same_one_changes_nothing(store: Store) -> None:
    store.put_states({("s", "k"): b"one"})
    store.put_states({("s", "k"): b"one"})
    assert len(store.audit_records()) == 1
    store.put_states({("s", "k"): b"two"})
    assert store.states("k", ["s"]) == {"s": b"two"}
    assert len(store.audit_records()) == 2


def test_states_come_with_their_spans_in_one_record(store: Store) -> None:
    one = span_of(store, b"1")
    store.add_spans([one], {(one.span, "statistics"): b"state"})
    assert store.states("statistics", [one.span]) == {one.span: b"state"}
    assert len(store.audit_records()) == 1
    store.add_spans([one], {(one.span, "statistics"): b"state"})
    assert len(store.audit_records()) == 1


def test_a_state_that_is_lost_or_altered_is_left_out_and_healed(store: Store, damage: Any) -> None:
    large = b"x" * 100_000
    store.put_states({("s", "k"): large})
    damage.alter(store, bytes_hash(large), b"y" * 100_000)
    assert store.states("k", ["s"]) == {}
    store.put_states({("s", "k"): large})
    assert store.states("k", ["s"]) == {"s": large}
    damage.remove(store, bytes_hash(large))
    assert store.states("k", ["s"]) == {}
    store.put_states({("s", "k"): b"small"})
    with store.catalog.write() as connection:
        connection.execute(update(catalog.states).values(blob=b"\x00"))
    assert store.states("k", ["s"]) == {}
    store.put_states({("s", "k"): b"small"})
    assert store.states("k", ["s"]) == {"s": b"small"}


def test_more_spans_than_one_query_takes(store: Store) -> None:
    spans = [f"s{number}" for number in range(1200)]
    store.put_states({(span, "k"): b"x" for span in spans})
    assert len(store.states("k", spans)) == 1200
