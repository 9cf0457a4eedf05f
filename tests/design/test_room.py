"""How many trainings are made at once follows from what is known, and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ninetyfive.design.room import Known, cores, decide, free_memory, most, peak_memory

GIB = 1 << 30
KNOWN = Known(trainings=60, seconds=2.0, left=100.0, start=2.0, cores=4, free=16 * GIB, each=GIB, threads=1)


@pytest.mark.parametrize(
    ("changes", "children", "threads"),
    [
        ({}, 4, 1),
        ({"cores": 1}, 1, 1),
        ({"free": 4 * GIB}, 2, 2),  # two of them are half of what is free
        ({"free": GIB}, 1, 4),  # one alone has all cores
        ({"trainings": 2, "seconds": 20.0}, 2, 1),
        ({"seconds": 0.05}, 1, 1),  # over in 3 s, before others were worth it
        ({"left": 3.0}, 1, 1),
        ({"trainings": 0}, 1, 1),
    ],
)
def test_as_many_as_cores_and_memory_allow_where_it_is_worth_it(
    changes: dict[str, float], children: int, threads: int
) -> None:
    decision = decide(replace(KNOWN, **changes))
    assert (decision.children, decision.threads) == (children, threads)
    assert decision.reason


def test_the_reason_says_what_decided() -> None:
    assert decide(KNOWN).reason == (
        "4 at once, each on 1 of 4 cores: a training takes 1,024 MiB of 50% of 16 GiB that are free"
    )


def test_one_child_is_the_least_and_this_machine_has_room() -> None:
    assert most(4, 0, GIB) == (1, 4)
    assert cores() >= 1
    assert 0 < peak_memory() < free_memory() * 1000
