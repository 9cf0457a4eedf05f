"""live.json in a bucket follows the champion and never goes back: one that is slow, two at once, one killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ninetyfive.errors import BusyError
from ninetyfive.store.mirror import Live, Mirror
from ninetyfive.store.opening import Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("backend", ["sqlite-bucket"], indirect=True),
]
Fill = Callable[[Store, int, Path], list[str]]


def mirror_of(store: Store) -> Mirror:
    mirror = store.artifacts.mirror
    assert mirror is not None
    return mirror


def said(store: Store) -> Live | None:
    return mirror_of(store).read()[0]


def kinds(store: Store) -> dict[str, str]:
    """What the doctor finds of live.json: {kind: level}."""
    found = [finding for finding in store.doctor() if finding.subject == mirror_of(store).url]
    return {finding.kind: finding.level for finding in found}


def test_it_says_what_is_live_after_each_change_and_a_late_writer_loses(
    store: Store, backend: Any, fill: Fill, tmp_path: Path
) -> None:
    assert said(store) is None
    first, second = fill(store, 2, tmp_path)
    pointer = store.champion()
    assert pointer is not None
    assert said(store) == store.live() == Live("", second, None, 2, pointer.since)

    old, generation = mirror_of(store).read()
    assert old is not None
    with backend.open() as other:
        other.rollback(2, "worse")
    assert not mirror_of(store).write(old, generation)
    store.follow()
    now = said(store)
    assert now is not None
    assert (now.release, now.epoch) == (first, 3)
    assert kinds(store) == {}


def test_who_is_slow_between_reading_and_writing_reads_again(
    store: Store, backend: Any, fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 2, tmp_path)
    mirror, write, wrote = mirror_of(store), mirror_of(store).write, []

    def slow(live: Live, generation: str) -> bool:
        if not wrote:
            with backend.open(create=False) as other:
                other.promote(live_release, 3, "meanwhile")
        wrote.append((live.epoch, write(live, generation)))
        return wrote[-1][1]

    live_release = store.releases()[0].release
    monkeypatch.setattr(mirror, "write", slow)
    assert store.rollback(2, "worse").epoch == 3
    now = said(store)
    assert now is not None
    assert (wrote, now.epoch) == ([(3, False)], 4)


def test_of_two_that_change_the_champion_at_once_no_reader_sees_it_go_back(
    store: Store, backend: Any, fill: Fill, tmp_path: Path
) -> None:
    releases = fill(store, 2, tmp_path)
    seen = [2]
    ended = threading.Event()

    def change(mine: Store) -> None:
        for turn in range(4):
            try:
                pointer = mine.champion()
                assert pointer is not None
                mine.promote(next(one for one in releases if one != pointer.release), pointer.epoch, f"turn {turn}")
            except BusyError:
                continue

    def look() -> None:
        while not ended.is_set():
            live = said(store)
            assert live is not None
            seen.append(live.epoch)

    with backend.open() as one, backend.open() as two:
        writers = [threading.Thread(target=change, args=(mine,)) for mine in (one, two)]
        reader = threading.Thread(target=look)
        for thread in (reader, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        ended.set()
        reader.join()
    assert seen == sorted(seen)
    assert said(store) == store.live()
    assert seen[0] < seen[-1]


def test_killed_between_catalog_and_mirror_the_next_that_writes_mends_it(
    store: Store, backend: Any, fill: Fill, tmp_path: Path
) -> None:
    first, second = fill(store, 2, tmp_path)
    code = """
import sys
from ninetyfive.store.opening import open_store
with open_store(*sys.argv[1:3], create=False) as store:
    store.promote(sys.argv[3], 2, "better")
"""
    killed = subprocess.run(
        [sys.executable, "-c", code, *backend.words, first],
        env=os.environ | {"NINETYFIVE_CRASH": "kill after commit 1"},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    champion, live = store.champion(), said(store)
    assert champion is not None
    assert live is not None
    assert (champion.release, champion.epoch, live.release, live.epoch) == (first, 3, second, 2)
    assert kinds(store) == {"lagging mirror": "warning"}
    with backend.open(create=False):
        assert said(store) == live
    with backend.open(create=False, migrate=True):
        assert said(store) == store.live()
    assert kinds(store) == {}


def test_one_that_is_ahead_is_left_and_told_one_that_cannot_be_read_is_written_anew(
    store: Store, fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 2, tmp_path)
    mirror = mirror_of(store)
    store.artifacts._system.pipe_file(mirror.url, b"\xff half")
    assert kinds(store) == {"lagging mirror": "warning"}
    store.rollback(2, "worse")
    assert said(store) == store.live()

    ahead = Live("", "f" * 64, None, 99, "2026-01-01")
    assert mirror.write(ahead, mirror.read()[1])
    store.promote(store.releases()[0].release, 3, "better")
    assert said(store) == ahead
    assert kinds(store) == {"mirror ahead": "error"}

    monkeypatch.setattr(mirror, "_bucket", "no-such-bucket")
    assert store.rollback(4, "what the bucket refuses changes nothing of what is live").epoch == 5
