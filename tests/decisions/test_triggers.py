"""When a training is due: each case by values; and a watched champion over worlds that stay, jump and get harder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ninetyfive.decisions.triggers import START, Watched, decide_drop, decide_due
from ninetyfive.paradigms import DynamicTraining, StaticTraining
from ninetyfive.reducers.intervals import Estimate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WATCHED = StaticTraining(watch="3d")
PROMISED = Estimate(0.30, 0.28, 0.32, 1_000)


def gain(value: float, reach: float = 0.02, rows: int = 1_000) -> Estimate:
    """A gain with its interval."""
    return Estimate(value, value - reach, value + reach, rows)


@pytest.mark.parametrize(("has_champion", "due"), [(False, True), (True, False)])
@pytest.mark.parametrize("last", [None, NOW - timedelta(days=900)])
def test_static_training_is_due_until_there_is_a_champion(last: datetime | None, has_champion: bool, due: bool) -> None:
    assert decide_due(StaticTraining(), last, None, NOW, has_champion).due is due


@pytest.mark.parametrize(
    ("age", "due"),
    [(None, True), (timedelta(days=1), True), (timedelta(hours=23, minutes=59), False), (timedelta(days=-3), False)],
    ids=["never trained", "just due", "not yet", "clock set back"],
)
@pytest.mark.parametrize("has_champion", [False, True])
def test_dynamic_training_is_due_by_age(age: timedelta | None, due: bool, has_champion: bool) -> None:
    last = None if age is None else NOW - age
    assert decide_due(DynamicTraining(every="1d", window="90d"), last, None, NOW, has_champion).due is due


def test_the_reason_says_how_old_and_when_next() -> None:
    assert decide_due(DynamicTraining(every="6h"), NOW - timedelta(hours=2), None, NOW, True).reason == (
        "dynamic training: the last one is 2h old, next in 4h"
    )


@pytest.mark.parametrize(
    ("trained", "looked", "look", "said"),
    [
        (None, None, True, "nobody has looked yet"),
        (9, 3, True, "the last look was 3d ago"),
        (9, 2, False, "the last look was 2d ago, next look in 1d"),
        (1, 9, False, "the last training was 1d ago, next look in 2d"),
        (-5, None, False, "was 5d ahead of the clock, which was set back, next look in 8d"),
    ],
)
def test_a_watched_champion_is_looked_at_by_the_clock(
    trained: float | None, looked: float | None, look: bool, said: str
) -> None:
    moments = [None if days is None else NOW - timedelta(days=days) for days in (trained, looked)]
    due = decide_due(WATCHED, *moments, NOW, has_champion=True)
    assert (due.due, due.look) == (False, look)
    assert said in due.reason
    assert decide_due(WATCHED, *moments, NOW, has_champion=False).due


@pytest.mark.parametrize(
    ("seen", "drop", "due"),
    [
        (gain(0.30), 0.1, False),
        (gain(0.40), 0.1, False),
        (gain(0.28, 0.001), 0.1, False),  # sure, but less than a tenth
        (gain(0.22, 0.03), 0.1, True),
        (gain(0.22, 0.03), 0.5, False),
        (gain(-0.2), 0.5, True),
    ],
)
def test_a_drop_is_due_beyond_the_share_and_beyond_chance(seen: Estimate, drop: float, due: bool) -> None:
    told = decide_drop(drop, seen, PROMISED, START, 7)
    assert (told.due, told.held, told.judged) == (due, not due, True)
    assert told.since == (0 if due else 7), "the promise was last seen kept when the champion was made, or now"
    assert "0.3 (0.28 to 0.32) was promised" in told.reason


@pytest.mark.parametrize(
    ("seen", "promised", "said"),
    [
        (gain(-1.0, rows=99), PROMISED, "99 rows were labelled since, and a look needs 100"),
        (Estimate(None, None, None, 0), PROMISED, "0 rows"),
        (Estimate(None, None, None, 500), PROMISED, "one class"),
    ],
)
def test_what_cannot_be_told_is_not_due_and_changes_nothing(seen: Estimate, promised: Estimate, said: str) -> None:
    before = Watched(promised=PROMISED, since=3, trainings=2, wait=1)
    told = decide_drop(0.1, seen, promised, before, 7)
    assert said in told.reason
    assert (told.due, told.judged) == (False, False)
    assert (told.since, told.held, told.trainings, told.wait) == (3, True, 2, 1)


def test_a_drop_that_chance_may_explain_waits_for_more_rows() -> None:
    before = decide_drop(0.1, gain(0.3), PROMISED, START, 5)
    told = decide_drop(0.1, gain(0.22, 0.06), PROMISED, before, 7)
    assert (told.due, told.judged, told.held, told.since) == (False, False, True, 5)
    assert "27% is gone, which chance may explain" in told.reason
    assert decide_drop(0.1, gain(0.22, 0.03), PROMISED, told, 9).due


def test_where_nothing_was_promised_the_first_look_says_what_is_expected() -> None:
    told = decide_drop(0.1, gain(0.3), None, START, 1)
    assert (told.due, told.promised) == (False, gain(0.3))
    assert decide_drop(0.1, gain(0.1), None, told, 2).due


@pytest.mark.parametrize("promised", [None, gain(-0.1), Estimate(0.3, None, None, 50)])
def test_a_champion_that_promised_no_gain_is_held_against_the_constant(promised: Estimate | None) -> None:
    worse = decide_drop(0.1, gain(-0.5), promised, START, 1)
    assert (worse.due, worse.held, worse.trainings) == (True, False, 1)
    assert "it is worse than that" in worse.reason
    assert not decide_drop(0.1, gain(-0.5), promised, worse, 2).held
    assert decide_drop(0.1, gain(0.2), gain(0.2), worse, 2).held
    chance = decide_drop(0.1, gain(-0.01, 0.02), promised, START, 1)
    assert (chance.due, chance.judged) == (False, False)
    told = decide_drop(0.1, gain(0.3), promised, START, 1)
    assert (told.due, told.promised) == (False, gain(0.3)), "the first look with a gain says what is expected"
    assert decide_drop(0.1, gain(0.1), promised, told, 2).due


def test_a_quality_that_does_not_come_back_is_trained_for_less_and_less_often() -> None:
    """At looks 0, 1, 3, 7, 15: whatever little a new champion promises."""
    state, due = START, []
    for look in range(20):
        state = decide_drop(0.1, gain(0.1), PROMISED if look == 0 else gain(0.1), state, look)
        due += [look] * state.due
        assert state.since == 0
    assert due == [0, 1, 3, 7, 15]
    assert "5 trainings did not bring it back: 12 looks until the next" in state.reason
    back = decide_drop(0.1, gain(0.29), gain(0.1), state, 20)
    assert (back.held, back.due, back.since) == (True, False, 20)
    after = decide_drop(0.1, gain(0.26, 0.01), gain(0.28, 0.01), back, 21)
    assert (after.due, after.promised) == (False, gain(0.28, 0.01)), "then by its own promise"
    assert decide_drop(0.1, gain(0.1), PROMISED, back, 21).trainings == 1


def test_a_world_that_stays_raises_few_alarms() -> None:
    """Twenty folds, sixteen looks, as in a backtest: fewer than 5 of 100 histories train."""
    draws, histories, alarms = np.random.default_rng(95), 2_000, 0

    def seen(folds: list[np.ndarray]) -> Estimate:
        whole = np.mean(folds, axis=0)
        return gain(float(whole.mean()), float(2.093 * whole.std(ddof=1) / np.sqrt(20)))

    for _ in range(histories):
        promised, state = seen([draws.normal(0.3, 0.2, 20)]), START
        waiting: list[np.ndarray] = []
        for look in range(16):
            waiting.append(draws.normal(0.3, 0.2, 20))
            state = decide_drop(0.1, seen(waiting), promised, state, look)
            waiting = [] if state.judged else waiting
            if state.due:
                alarms += 1
                break
    assert alarms < 0.05 * histories
