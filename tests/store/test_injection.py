"""strace injects SIGKILL, EIO and ENOSPC into the calls by which a whole run of the small system changes the disk.

Here: every rename and every fsync, killed and failed; 40 writes and 20 syncs of SQLite that a seed draws. `make soak`
does all of them with every kind. In each case N3 to N8 hold at once, the lease is free, the next run goes on where the
injured one was, and there is one release in the end, the one of a whole run.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.store.fire import Small
from tests.store.points import (
    RENAMES,
    WRITES,
    Call,
    Judged,
    Point,
    all_calls,
    drawn,
    every,
    injure,
    may_trace,
    of_threads,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.strace,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not may_trace(), reason="there is no strace that may trace here: apt-get install strace"),
]
KEPT_SEEDS: tuple[int, ...] = ()
"""Seeds of sessions and soaks that failed once."""

ERRORS = ("EIO", "ENOSPC")
Calls = dict[str, list[Call]]


@pytest.fixture(scope="session")
def calls(whole: Small, tmp_path_factory: pytest.TempPathFactory) -> Calls:
    """What a whole run and a promotion do to the disk."""
    return all_calls(whole, tmp_path_factory.mktemp("calls") / "small")


def hold(points: Iterable[Point], whole: Small, folder: Path) -> list[Judged]:
    """Nothing is wrong after any of the injuries, and nearly all are reached (counts of writes vary a little)."""
    judged = [injure(point, whole, folder / f"small-{place}") for place, point in enumerate(points)]
    assert not [(one.point, one.problems) for one in judged if one.problems]
    assert sum(one.reached for one in judged) >= 0.9 * len(judged)
    return judged


def one_kind_each(points: Iterable[Point], seed: int) -> list[Point]:
    """The points of every kind, thinned to one kind at each call, drawn by the seed."""
    by_call: dict[tuple[str, str, int], list[Point]] = {}
    for point in points:
        by_call.setdefault((point.command, point.call, point.number), []).append(point)
    chance = random.Random(seed)
    return [chance.choice(kinds) for kinds in by_call.values()]


def test_the_store_is_on_the_disk_before_it_is_named(calls: Calls) -> None:
    """What the injuries rest on: there are calls of every name, each file is synced before it is renamed, and its
    folder after."""
    run = calls["run"]
    assert {call.name for call in run} == {"rename", "fsync", "fdatasync", "write", "pwrite64"}
    places = [place for place, call in enumerate(run) if call.name == "rename" and "/artifacts/" in call.path]
    assert len(places) >= 11
    for place in places:
        assert run[place - 1].name == "fsync"
        assert (run[place + 1].name, run[place + 1].path) == ("fsync", str(Path(run[place].path).parent))


class TestRenames:
    def test_each(self, calls: Calls, whole: Small, tmp_path: Path, seed: int) -> None:
        failed = one_kind_each(every(calls, RENAMES, ERRORS), seed)
        assert len(hold([*every(calls, RENAMES, ("SIGKILL",)), *failed], whole, tmp_path)) >= 28


class TestSyncsKilled:
    def test_each(self, calls: Calls, whole: Small, tmp_path: Path) -> None:
        assert len(hold(every(calls, ("fsync",), ("SIGKILL",)), whole, tmp_path)) >= 40


class TestSyncsFailed:
    def test_each(self, calls: Calls, whole: Small, tmp_path: Path, seed: int) -> None:
        points = one_kind_each(every(calls, ("fsync",), ERRORS), seed)
        assert len(hold(points, whole, tmp_path)) >= 40


class TestSyncsOfThreads:
    def test_each(self, whole: Small, tmp_path: Path) -> None:
        judged = hold(of_threads(), whole, tmp_path)
        assert sum(one.reached for one in judged) == 9


class TestSyncsOfTheCatalog:
    """Of SQLite: five for each transaction, of which a seed draws some; the crash points are before and after each."""

    @pytest.mark.parametrize("kept", [None, *KEPT_SEEDS])
    def test_twenty(self, kept: int | None, calls: Calls, whole: Small, tmp_path: Path, seed: int) -> None:
        points = drawn(calls, ("fdatasync",), 20, seed if kept is None else kept)
        assert len(hold(points, whole, tmp_path)) == 20


class TestWrites:
    @pytest.mark.parametrize("kept", [None, *KEPT_SEEDS])
    def test_forty(self, kept: int | None, calls: Calls, whole: Small, tmp_path: Path, seed: int) -> None:
        points = drawn(calls, WRITES, 40, seed if kept is None else kept)
        assert len(hold(points, whole, tmp_path)) == 40
