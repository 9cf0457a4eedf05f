"""The small system dies before and after each commit and each publish, by SIGKILL, by SIGTERM and by an exception."""

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
    if call.endswith("commit"):
        judged.append(crash(Point("promote", kind, call, 1), whole, folder / "promote"))
        assert judged[-1].reached
    return judged


def some_crashed(kind: str, call: str, whole: Small, folder: Path, seed: int) -> list[Judged]:
    """At four of the first twelve points of this name, drawn by a seed."""
    numbers = random.Random(seed).sample(range(1, 13), 4)
    return [crash(Point("run", kind, call, number), whole, folder / f"run-{number}") for number in numbers]


def hold(judged: list[Judged], least: int) -> None:
    """Enough points were reached, and nothing is wrong at any."""
    assert sum(one.reached for one in judged) >= least
    assert not [(one.point, one.problems) for one in judged if one.problems]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", MOMENTS)
class TestKilled:
    def test_at_a_commit(self, moment: str, whole: Small, tmp_path: Path) -> None:
        hold(crashed("kill", f"{moment} commit", whole, tmp_path), 15)

    def test_at_a_publish(self, moment: str, whole: Small, tmp_path: Path) -> None:
        hold(crashed("kill", f"{moment} publish", whole, tmp_path), 12)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", MOMENTS)
class TestStopped:
    """By SIGTERM, as `docker stop` and systemd do: the run ends as interrupted, with exit code 143."""

    def test_at_a_commit(self, moment: str, whole: Small, tmp_path: Path) -> None:
        hold(crashed("term", f"{moment} commit", whole, tmp_path), 15)

    def test_at_a_publish(self, moment: str, whole: Small, tmp_path: Path, seed: int) -> None:
        hold(some_crashed("term", f"{moment} publish", whole, tmp_path, seed), 4)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", MOMENTS)
class TestRaised:
    def test_at_a_commit(self, moment: str, whole: Small, tmp_path: Path) -> None:
        hold(crashed("raise", f"{moment} commit", whole, tmp_path), 15)

    def test_at_a_publish(self, moment: str, whole: Small, tmp_path: Path, seed: int) -> None:
        hold(some_crashed("raise", f"{moment} publish", whole, tmp_path, seed), 4)


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
