"""The request log of a worker: what it keeps, hides and leaves out, and how its segments end."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import stat
from pathlib import Path

import msgspec
import pytest
from tests.serve.logs import COLUMNS, config, logged, read, record, segments

from ninetyfive.errors import SettingsError, StoreError
from ninetyfive.serve.log import Record, RequestLog


def test_what_is_appended_is_read_while_the_segment_is_open_and_once_it_is_closed(tmp_path: Path) -> None:
    log = RequestLog(config(tmp_path), "w1", COLUMNS)
    sent = [record(number) for number in range(5)]
    log.append(sent[:1])
    log.append(sent[1:])
    (path,) = segments(tmp_path)
    assert path.suffix == ".open"
    found, segment = read(path)
    assert msgspec.msgpack.encode(found) == msgspec.msgpack.encode(sent)
    assert segment.header is not None
    assert segment.header.columns == COLUMNS
    assert segment.damage.records == segment.damage.bytes == 0
    log.close()
    (path,) = segments(tmp_path)
    assert path.suffix == ".closed"
    assert logged(tmp_path) == [one.id for one in sent]


def test_numbers_come_back_bit_for_bit(tmp_path: Path) -> None:
    log = RequestLog(config(tmp_path), "w1", {"x": "number"})
    log.append([record(1, row=(-0.0,), answer=(0.1, float("nan")), fingerprint=2**64 - 1)])
    log.close()
    ((one,), _) = read(segments(tmp_path)[0])
    assert str(one.row[0]) == "-0.0"
    assert str(one.answer) == "(0.1, nan)"
    assert one.fingerprint == 2**64 - 1


def test_folder_key_and_segments_are_for_their_owner_alone(tmp_path: Path) -> None:
    key = tmp_path / "key"
    log = RequestLog(config(tmp_path, columns={"carrier": "hash"}, key_file=str(key)), "w1", COLUMNS)
    log.append([record()])
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "log", key, segments(tmp_path)[0])]
    log.close()
    assert modes == [0o700, 0o600, 0o600]


def test_segments_end_by_size_and_by_time_and_when_told(tmp_path: Path) -> None:
    log = RequestLog(config(tmp_path, segment_bytes=2000), "w1", COLUMNS)
    for number in range(20):
        log.append([record(number)])
    assert len(segments(tmp_path)) > 2
    log.rotate()
    assert {path.suffix for path in segments(tmp_path)} == {".closed"}
    log.rotate()
    log.close()
    assert logged(tmp_path) == [record(number).id for number in range(20)]
    timed = tmp_path / "timed"
    timed.mkdir()
    log = RequestLog(config(timed, segment_seconds=0.0), "w1", COLUMNS)
    log.append([record(0)])
    log.append([record(1)])
    log.close()
    assert len(segments(timed)) == 2


def test_a_log_without_a_request_leaves_no_file(tmp_path: Path) -> None:
    RequestLog(config(tmp_path), "w1", COLUMNS).close()
    assert segments(tmp_path) == []


def test_workers_and_restarts_never_meet_in_a_name(tmp_path: Path) -> None:
    for worker in ("w1", "w1", "w2"):
        log = RequestLog(config(tmp_path), worker, COLUMNS)
        log.append([record()])
        log.close()
    assert len(segments(tmp_path)) == 3


def test_each_release_is_logged_with_its_own_columns(tmp_path: Path) -> None:
    """What was asked of the release before a swap is answered, and logged, after it."""
    log = RequestLog(config(tmp_path), "w1", COLUMNS)
    old = record(1)
    log.append([old])
    log.learn("b" * 64, {**COLUMNS, "wind": "number"})
    log.learn("c" * 64, dict(COLUMNS))
    log.append([record(2, release="b" * 64, row=(*old.row, 3.5))])
    log.append([record(3)])
    log.append([record(4, release="c" * 64)])
    log.close()
    found = [read(path) for path in segments(tmp_path)]
    assert [[one.id for one in records] for records, _ in found] == [
        [record(1).id], [record(2).id], [record(3).id, record(4).id]
    ]  # fmt: skip
    assert [len(segment.header.columns) for _, segment in found if segment.header] == [5, 6, 5]
    with pytest.raises(SettingsError, match="rename the column"):
        log.learn("d" * 64, {"request_cpu": "number"})


def test_off_keeps_nothing(tmp_path: Path) -> None:
    log = RequestLog(config(tmp_path, mode="off"), "w1", COLUMNS)
    log.append([record()])
    asyncio.run(log.settle())
    assert not log.keeps(b"x")
    log.close()
    assert not (tmp_path / "log").exists()


class TestSampling:
    def test_an_entity_has_one_decision_and_the_share_is_kept(self, tmp_path: Path) -> None:
        one = RequestLog(config(tmp_path, sample=0.25), "w1", COLUMNS)
        two = RequestLog(config(tmp_path, sample=0.25), "w2", COLUMNS)
        keys = [msgspec.msgpack.encode((number,)) for number in range(20_000)]
        kept = [one.keeps(key) for key in keys]
        assert kept == [two.keeps(key) for key in keys] == [one.keeps(key) for key in keys]
        assert 0.235 < sum(kept) / len(kept) < 0.265  # 5 standard deviations: 0.0153
        more = RequestLog(config(tmp_path, sample=0.5), "w1", COLUMNS)
        assert all(more.keeps(key) for key, was in zip(keys, kept, strict=True) if was)

    def test_rows_without_an_entity_are_drawn(self, tmp_path: Path) -> None:
        log = RequestLog(config(tmp_path, sample=0.25), "w1", COLUMNS)
        assert 0.235 < sum(log.keeps(None) for _ in range(20_000)) / 20_000 < 0.265

    def test_all_and_none(self, tmp_path: Path) -> None:
        for sample, expected in ((1.0, True), (0.0, False)):
            log = RequestLog(config(tmp_path, sample=sample), "w1", COLUMNS)
            assert {log.keeps(key) for key in (None, b"", b"a", b"b")} == {expected}


class TestPolicies:
    def test_a_hashed_and_a_dropped_value_are_nowhere_on_the_disk(self, tmp_path: Path) -> None:
        canaries = (b"canary-of-hash", b"canary-of-drop", b"canary-of-entity")
        policy = {"carrier": "hash", "blob": "drop"}
        for mode in ("fast", "durable"):
            log = RequestLog(config(tmp_path, mode=mode, columns=policy, key_file=str(tmp_path / "key")), "w1", COLUMNS)
            hidden = ("canary-of-hash", 1.5, None, (), b"canary-of-drop")
            log.append([record(row=hidden, entity=b"\x91\xb0canary-of-entity")])
            asyncio.run(log.settle())
            log.close()
        written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert len(written) == 3
        assert not [canary for canary in canaries for data in written if canary in data]

    def test_hashes_are_hmacs_of_the_text_and_the_columns_say_so(self, tmp_path: Path) -> None:
        policy = {"carrier": "hash", "distance": "hash", "at": "hash", "tags": "drop"}
        log = RequestLog(config(tmp_path, columns=policy, key_file=str(tmp_path / "key")), "w1", COLUMNS)
        log.append([record(), record(row=(None, 5.5, 0, (), b""))])
        log.close()
        (first, second), segment = read(segments(tmp_path)[0])
        key = (tmp_path / "key").read_bytes()
        texts = (b"AA", b"5.5", b"2020-09-13T12:26:40")
        assert first.row[:3] == tuple(hmac.new(key, text, hashlib.sha256).hexdigest() for text in texts)
        assert second.row[0] is None
        assert segment.header is not None
        strings = dict.fromkeys(("carrier", "distance", "at"), "string")
        assert segment.header.columns == {**strings, "blob": "opaque"}
        assert segment.header.policy == policy

    def test_fingerprint_and_entity_stay_comparable_and_tell_nothing(self, tmp_path: Path) -> None:
        log = RequestLog(config(tmp_path, columns={"carrier": "drop"}, key_file=str(tmp_path / "key")), "w1", COLUMNS)
        log.append([record(1), record(2), record(3, fingerprint=7, entity=b"\x91\xa2BB"), record(4, entity=None)])
        log.close()
        one, two, three, four = read(segments(tmp_path)[0])[0]
        assert (one.fingerprint, one.entity) == (two.fingerprint, two.entity)
        assert one.fingerprint not in (record().fingerprint, three.fingerprint)
        assert one.entity not in (record().entity, three.entity)
        assert four.entity is None

    def test_the_first_key_is_the_key_of_all(self, tmp_path: Path) -> None:
        logs = [
            RequestLog(config(tmp_path, columns={"carrier": "hash"}, key_file=str(tmp_path / "key")), name, COLUMNS)
            for name in ("w1", "w2")
        ]
        for log in logs:
            log.append([record()])
            log.close()
        (one,), (two,) = (read(path)[0] for path in segments(tmp_path))
        assert one.row == two.row

    def test_what_cannot_be_is_said(self, tmp_path: Path) -> None:
        for columns, changes, said in (
            (COLUMNS, {"columns": {"carier": "drop"}, "key_file": "k"}, "did you mean 'carrier'"),
            (COLUMNS, {"columns": {"carrier": "hash"}}, "a key_file to hash with"),
            ({"request_id": "string"}, {}, "rename the column"),
        ):
            with pytest.raises(SettingsError, match=said):
                RequestLog(config(tmp_path, **changes), "w1", columns)  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match="name it like w1"):
            RequestLog(config(tmp_path), "../w1", COLUMNS)
        (tmp_path / "short").write_text("short")
        with pytest.raises(SettingsError, match="got 5 bytes"):
            RequestLog(config(tmp_path, columns={"at": "drop"}, key_file=str(tmp_path / "short")), "w1", COLUMNS)
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreError, match="a request log that can be written"):
            RequestLog(config(tmp_path / "file"), "w1", COLUMNS)


class TestDurable:
    def test_all_who_wait_share_few_syncs_and_find_their_records(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from ninetyfive.serve import log as module

        synced = []
        real = module._Segment.sync
        monkeypatch.setattr(module._Segment, "sync", lambda *words: (synced.append(words), real(*words)))
        log = RequestLog(config(tmp_path, mode="durable", segment_bytes=20_000), "w1", COLUMNS)

        async def one(number: int) -> str:
            await asyncio.sleep(number % 7 / 1000)
            log.append([record(number)])
            await log.settle()
            assert record(number).id in logged(tmp_path)
            return record(number).id

        async def many() -> list[str]:
            return await asyncio.gather(*(one(number) for number in range(300)))

        ids = asyncio.run(many())
        log.close()
        assert sorted(logged(tmp_path)) == sorted(ids)
        assert {path.suffix for path in segments(tmp_path)} == {".closed"}
        assert 0 < len(synced) < 200

    def test_settle_of_nothing_returns(self, tmp_path: Path) -> None:
        log = RequestLog(config(tmp_path, mode="durable"), "w1", COLUMNS)
        asyncio.run(log.settle())
        log.close()

    def test_one_who_is_cancelled_takes_nobody_along(self, tmp_path: Path) -> None:
        log = RequestLog(config(tmp_path, mode="durable"), "w1", COLUMNS)

        async def one(number: int) -> int:
            log.append([record(number)])
            await log.settle()
            return number

        async def all_of_them() -> list[int | BaseException]:
            tasks = [asyncio.create_task(one(number)) for number in range(20)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        done = asyncio.run(all_of_them())
        assert [one for one in done if isinstance(one, int)] == list(range(1, 20, 2))
        log.close()
        assert len(logged(tmp_path)) == 20

    def test_close_syncs_what_nobody_settled(self, tmp_path: Path) -> None:
        log = RequestLog(config(tmp_path, mode="durable"), "w1", COLUMNS)
        log.append([record()])
        log.rotate()
        assert [path.suffix for path in segments(tmp_path)] == [".open"]
        log.append([record(1)])
        log.close()
        assert [path.suffix for path in segments(tmp_path)] == [".closed", ".closed"]
        assert len(logged(tmp_path)) == 2


def test_a_record_is_as_small_as_its_values() -> None:
    assert isinstance(msgspec.msgpack.decode(msgspec.msgpack.encode(record())), list)
    assert len(Record.__struct_fields__) == 11
