"""When a training is due: each case by values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ninetyfive.decisions.triggers import decide_due
from ninetyfive.paradigms import DynamicTraining, StaticTraining

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("has_champion", "due"), [(False, True), (True, False)])
@pytest.mark.parametrize("last", [None, NOW - timedelta(days=900)])
def test_static_training_is_due_until_there_is_a_champion(last: datetime | None, has_champion: bool, due: bool) -> None:
    assert decide_due(StaticTraining(), last, NOW, has_champion).due is due


@pytest.mark.parametrize(
    ("age", "due"),
    [(None, True), (timedelta(days=1), True), (timedelta(hours=23, minutes=59), False), (timedelta(days=-3), False)],
    ids=["never trained", "just due", "not yet", "clock set back"],
)
@pytest.mark.parametrize("has_champion", [False, True])
def test_dynamic_training_is_due_by_age(age: timedelta | None, due: bool, has_champion: bool) -> None:
    last = None if age is None else NOW - age
    assert decide_due(DynamicTraining(every="1d", window="90d"), last, NOW, has_champion).due is due


def test_the_reason_says_how_old_and_when_next() -> None:
    assert decide_due(DynamicTraining(every="6h"), NOW - timedelta(hours=2), NOW, True).reason == (
        "dynamic training: the last one is 2h old, next in 4h"
    )
