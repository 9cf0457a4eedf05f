"""The request log under fire: killed writers, torn and flipped bytes, full disks, disks that fail to sync."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serve.logs import COLUMNS, config, logged, read, record, segments
from tests.store.points import may_trace
from tests.store.test_faults import MAY_MOUNT, fill, mount

from ninetyfive.errors import StoreError
from ninetyfive.serve.log import RequestLog

KEPT_SEEDS: tuple[int, ...] = ()
"""Seeds that failed once."""

KILLED = """
import asyncio, os, random, signal, sys, time
from pathlib import Path
from tests.serve.logs import COLUMNS, config, logged, record
from ninetyfive.serve.log import RequestLog

folder, mode, kills, chance = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), random.Random(int(sys.argv[4]))
answered = total = 0
for kill in range(kills):
    mine = folder / str(kill)
    mine.mkdir()
    hears, says = os.pipe()
    child = os.fork()
    if not child:
        log = RequestLog(config(mine, mode=mode, segment_bytes=4096), "w1", COLUMNS)
        async def serve():
            number = 0
            while True:
                rows = [record(number + row) for row in range(1 + number % 3)]
                log.append(rows)
                await log.settle()
                os.write(says, b"".join(row.id.encode() for row in rows))
                number += len(rows)
        asyncio.run(serve())
    os.close(says)
    first = os.read(hears, 32)
    time.sleep(chance.random() * 0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    said = first
    while data := os.read(hears, 65536):
        said += data
    os.close(hears)
    ids = [said[place:place + 32].decode() for place in range(0, len(said), 32)]
    found = logged(mine)
    assert len(set(found)) == len(found)
    assert set(ids) <= set(found), sorted(set(ids) - set(found))[:3]
    assert len(found) - len(ids) <= 3
    answered += len(ids)
print(answered)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "kills"), [("fast", 150), ("durable", 50)])
def test_every_answered_record_outlives_kill_9(tmp_path: Path, mode: str, kills: int, seed: int) -> None:
    words = [sys.executable, "-c", KILLED, str(tmp_path), mode, str(kills), str(seed)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert int(done.stdout) > kills


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A segment with 20 records."""
    log = RequestLog(config(tmp_path), "w1", COLUMNS)
    log.append([record(number) for number in range(20)])
    log.close()
    return segments(tmp_path)[0]


def ids(path: Path) -> list[int]:
    return [int(one.id, 16) for one in read(path)[0]]


def test_a_torn_tail_is_dropped_wherever_it_tears(closed: Path) -> None:
    whole = closed.read_bytes()
    before = 0
    for size in range(0, len(whole), 3):
        closed.write_bytes(whole[:size])
        found = ids(closed)
        assert found == list(range(len(found)))
        assert before <= len(found) <= before + 1
        before = len(found)
        _, segment = read(closed)
        assert segment.damage.records == 0
    assert before >= 19


def test_zeros_behind_the_last_record_are_a_tail(closed: Path) -> None:
    closed.write_bytes(closed.read_bytes() + bytes(5000))
    found, segment = read(closed)
    assert len(found) == 20
    assert (segment.damage.records, segment.damage.bytes) == (0, 5000)


@pytest.mark.parametrize("kept", [None, *KEPT_SEEDS])
def test_a_flipped_bit_costs_one_record_and_is_told(closed: Path, seed: int, kept: int | None) -> None:
    whole = closed.read_bytes()
    chance = random.Random(seed if kept is None else kept)
    for _ in range(300):
        place = chance.randrange(len(whole))
        closed.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << chance.randrange(8))]) + whole[place + 1 :])
        found, segment = read(closed)
        numbers = [int(one.id, 16) for one in found]
        lost = sorted(set(range(20)) - set(numbers))
        assert len(lost) <= 1
        assert segment.damage.records == len([number for number in lost if number != 19])
        assert bool(lost) <= bool(segment.damage.bytes)
        for one in found:
            assert one.row == (*record(0).row[:3], ["x", None], *record(0).row[4:])


def test_a_value_that_looks_like_a_record_never_is_one(tmp_path: Path) -> None:
    """A client that sends the bytes of a segment in a column, and then the record around them is damaged."""
    log = RequestLog(config(tmp_path), "w1", COLUMNS)
    log.append([record(1)])
    log.close()
    forged = segments(tmp_path)[0].read_bytes()
    log = RequestLog(config(tmp_path), "w2", COLUMNS)
    log.append([record(2), record(3, row=("AA", 1.5, 0, (), forged)), record(4)])
    log.close()
    path = segments(tmp_path)[1]
    data = path.read_bytes()
    place = data.index(b"0" * 31 + b"3")
    path.write_bytes(data[:place] + b"f" + data[place + 1 :])
    found, segment = read(path)
    assert [one.id for one in found] == [record(2).id, record(4).id]
    assert segment.damage.records == 1


def test_a_segment_without_a_header_has_no_records_to_be_read(closed: Path) -> None:
    data = closed.read_bytes()
    second = data.index(b"\x95\xec\x0d\xf7", data.index(b"\x95\xec\x0d\xf7") + 1)
    closed.write_bytes(bytes(second + 30) + data[second + 30 :])
    found, segment = read(closed)
    assert (found, segment.header) == ([], None)
    assert segment.damage.bytes == len(data)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    assert mount(folder, "size=256k")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


if MAY_MOUNT:

    @pytest.mark.parametrize("mode", ["fast", "durable"])
    def test_a_full_disk_refuses_and_goes_on_by_itself(small_disk: Path, mode: str) -> None:
        filler = small_disk / "filler"
        filler.write_bytes(bytes(100_000))
        log = RequestLog(config(small_disk, mode=mode), "w1", COLUMNS)
        numbers = itertools.count()
        answered: list[str] = []

        async def ask(rows: int) -> None:
            batch = [record(next(numbers)) for _ in range(rows)]
            log.append(batch)
            await log.settle()
            answered.extend(one.id for one in batch)

        async def many() -> int:
            refused = 0
            for number in range(3000):
                try:
                    await ask(1 + number % 4)
                except StoreError as error:
                    refused += "a full disk" in str(error)
            return refused

        assert asyncio.run(many()) > 1000
        full = len(answered)
        assert full > 100
        filler.unlink()
        asyncio.run(ask(1))
        log.close()
        assert sorted(logged(small_disk)) == sorted(answered)
        assert len(answered) == full + 1

    def test_on_a_disk_that_is_full_from_the_start_nothing_is_left_behind(small_disk: Path) -> None:
        log = RequestLog(config(small_disk), "w1", COLUMNS)
        filler = fill(small_disk)
        for _ in range(3):
            with pytest.raises(StoreError, match="free space there: the log goes on by itself"):
                log.append([record()])
        assert segments(small_disk) == []
        filler.unlink()
        log.append([record(1)])
        log.close()
        assert logged(small_disk) == [record(1).id]


LIMITED = """
import resource, sys
from pathlib import Path
from tests.serve.logs import COLUMNS, config, record
from ninetyfive.errors import StoreError
from ninetyfive.serve.log import RequestLog

resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
log = RequestLog(config(Path(sys.argv[1])), "w1", COLUMNS)
for number in range(100):
    try:
        log.append([record(number)])
        print(record(number).id)
    except StoreError as error:
        assert "File too large" in str(error)
log.close()
"""


def test_a_limit_on_the_size_of_files_costs_one_request_a_segment(tmp_path: Path) -> None:
    words = [sys.executable, "-c", LIMITED, str(tmp_path)]
    answered = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    assert logged(tmp_path) == answered
    assert 80 <= len(answered) < 100


SYNCED = """
import asyncio, sys
from pathlib import Path
from tests.serve.logs import COLUMNS, config, record
from ninetyfive.errors import StoreError
from ninetyfive.serve.log import RequestLog

log = RequestLog(config(Path(sys.argv[1]), mode="durable"), "w1", COLUMNS)

async def ask(number):
    log.append([record(number)])
    try:
        await log.settle()
    except StoreError as error:
        assert "Input/output error" in str(error)
        return
    print(record(number).id)

async def serve():
    for first in range(0, 40, 4):
        await asyncio.gather(*(ask(first + place) for place in range(4)))

asyncio.run(serve())
log.close()
"""


@pytest.mark.slow
@pytest.mark.strace
@pytest.mark.skipif(not may_trace(), reason="there is no strace that may trace here: apt-get install strace")
@pytest.mark.parametrize(
    "struck", ["fdatasync:error=EIO:when=3", "fdatasync:error=EIO:when=1", "fsync:error=EIO:when=1"]
)
def test_an_fsync_that_failed_is_not_trusted_again(tmp_path: Path, struck: str) -> None:
    trace = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", f"inject={struck}"]
    words = [*trace, sys.executable, "-c", SYNCED, str(tmp_path)]
    answered = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    assert len(answered) == 36
    assert sorted(logged(tmp_path)) == sorted(answered)
    assert {path.suffix for path in segments(tmp_path)} == {".closed"}
