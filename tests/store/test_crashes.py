"""The small system dies at commits and publishes: by SIGKILL after each of them, and where a seed draws by the others.

`make soak` does every one of them, before and after, by SIGKILL, by SIGTERM and by an exception.
"""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path

import pytest
from tests.store.fire import Small
from tests.store.points import Judged, Point, crash

pytestmark = pytest.mark.slow
MOMENTS = ("before", "after")


def crashed(kind: str, call: str, whole: Small, folder: Path) -> list[Judged]:
    """At the first, the second … point of this name, until a run has no more of them; then at that of a promotion."""
    judged: list[Judged] = []
    for number in count(1):
        judged.append(crash(Point("run", kind, call, number), whole, folder / f"run-{number}"))
        if not judged[-1].reached:
            break
    return judged + _promotions(kind, call, whole, folder)


def some_crashed(kind: str, call: str, whole: Small, folder: Path, seed: int) -> list[Judged]:
    """At four of the first twelve points of this name, drawn by a seed; then at that of a promotion."""
    numbers = random.Random(seed).sample(range(1, 13), 4)
    judged = [crash(Point("run", kind, call, number), whole, folder / f"run-{number}") for number in numbers]
    return judged + _promotions(kind, call, whole, folder)


def _promotions(kind: str, call: str, whole: Small, folder: Path) -> list[Judged]:
    if not call.endswith("commit"):
        return []
    return [crash(Point("promote", kind, call, 1), whole, folder / "promote")]


def hold(judged: list[Judged], least: int) -> None:
    """Enough points were reached, the one of a promotion too, and nothing is wrong at any."""
    assert sum(one.reached for one in judged) >= least
    assert all(one.reached for one in judged if one.point.command == "promote")
    assert not [(one.point, one.problems) for one in judged if one.problems]


@pytest.mark.timeout(600)
class TestKilled:
    """After each: what is on the disk then is all that a kill before the next one can find, but for an attempt."""

    def test_after_each_commit(self, whole: Small, tmp_path: Path) -> None:
        hold(crashed("kill", "after commit", whole, tmp_path), 15)

    def test_after_each_publish(self, whole: Small, tmp_path: Path) -> None:
        hold(crashed("kill", "after publish", whole, tmp_path), 12)

    @pytest.mark.parametrize("call", ["commit", "publish"])
    def test_before_some(self, call: str, whole: Small, tmp_path: Path, seed: int) -> None:
        hold(some_crashed("kill", f"before {call}", whole, tmp_path, seed), 4 + (call == "commit"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("call", ["commit", "publish"])
class TestEnded:
    """By SIGTERM, as `docker stop` and systemd do, the run ends as interrupted, with exit code 143; by an exception."""

    @pytest.mark.parametrize("kind", ["term", "raise"])
    def test_at_some(self, kind: str, call: str, moment: str, whole: Small, tmp_path: Path, seed: int) -> None:
        hold(some_crashed(kind, f"{moment} {call}", whole, tmp_path, seed), 4 + (call == "commit"))


def test_sigterm_says_what_to_do_and_how_the_run_ended(whole: Small, tmp_path: Path) -> None:
    small = Small.new(tmp_path / "small", whole.nursery)
    stopped = small.run(env={"NINETYFIVE_CRASH": "term before train"})
    assert stopped.code == 143
    assert stopped.json["error"]["kind"] == "Interrupted"
    assert "interrupted: run the same command again to resume" in stopped.err
    assert small.query("select number, status, resumes from runs") == [(1, "interrupted", 0)]
    small.finish()
    assert small.query("select number, status, resumes from runs") == [(1, "refused", 1)]


def test_a_death_that_is_none_is_told(whole: Small) -> None:
    told = whole.run("status", env={"NINETYFIVE_CRASH": "kil before train"})
    assert told.code == 0, "no point was passed"
    told = whole.run(env={"NINETYFIVE_CRASH": "kil before train"})
    assert told.code == 2
    assert "did you mean 'kill'" in told.err
