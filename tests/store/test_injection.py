"""strace injects SIGKILL, EIO and ENOSPC into the calls by which a whole run of the small system changes the disk.

Here: of the renames and fsyncs that are alike two, killed and failed; 20 writes and 10 syncs of SQLite; a seed draws
which. `make soak` does all of them with every kind. In each case N3 to N8 hold at once, the lease is free, the next run
goes on where the injured one was, and there is one release in the end, the one of a whole run.
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
    injure,
    may_trace,
    of_threads,
    some_of_each,
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
    def test_some_of_each(self, calls: Calls, whole: Small, tmp_path: Path, seed: int) -> None:
        killed, failed = (some_of_each(calls, RENAMES, kinds, seed) for kinds in (("SIGKILL",), ERRORS))
        assert len(killed) == len(failed) == 6, "artifacts, releases, leases, the schema"
        hold([*killed, *failed], whole, tmp_path)


class TestSyncs:
    @pytest.mark.parametrize("kinds", [("SIGKILL",), ERRORS], ids=["killed", "failed"])
    def test_some_of_each(self, kinds: tuple[str, ...], calls: Calls, whole: Small, tmp_path: Path, seed: int) -> None:
        points = some_of_each(calls, ("fsync",), kinds, seed)
        assert len(points) >= 16
        hold(points, whole, tmp_path)

    def test_of_threads(self, whole: Small, tmp_path: Path, seed: int) -> None:
        failed = random.Random(seed).choice(ERRORS)
        judged = hold([point for point in of_threads() if point.kind in ("SIGKILL", failed)], whole, tmp_path)
        assert sum(one.reached for one in judged) == 6


class TestDrawn:
    """Of SQLite: five syncs and thirty writes for each transaction; the crash points are before and after each."""

    @pytest.mark.parametrize("kept", [None, *KEPT_SEEDS])
    def test_ten_syncs_of_the_catalog(
        self, kept: int | None, calls: Calls, whole: Small, tmp_path: Path, seed: int
    ) -> None:
        hold(drawn(calls, ("fdatasync",), 10, seed if kept is None else kept), whole, tmp_path)

    @pytest.mark.parametrize("kept", [None, *KEPT_SEEDS])
    def test_twenty_writes(self, kept: int | None, calls: Calls, whole: Small, tmp_path: Path, seed: int) -> None:
        hold(drawn(calls, WRITES, 20, seed if kept is None else kept), whole, tmp_path)
