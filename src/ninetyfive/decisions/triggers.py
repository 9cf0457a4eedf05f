"""Triggers: whether a training is due, decided from values alone.

    StaticTraining          due until there is a champion, then never
    StaticTraining(watch=)  … then every `watch` a look: due when the champion has lost more than `drop` of its promise
    DynamicTraining         due when nothing was trained yet, or the last training is `every` old

A look compares what the champion gains over the constant baseline, on rows labelled since, with what it promised: the
gain it was released with. It is due where the share `drop` of that is gone, and more than chance explains: the
difference is beyond 1.71 times what two 95 % intervals reach together, which is Student's t with 19 degrees of freedom
at 0.001, on one side. Rows that show a drop which chance may explain wait, and are judged again with those of the next
look: a drop that is there becomes sure.

**A promise that is none.** A champion that was released right after a jump promises no gain, and nothing could drop of
that. The first look that finds a gain says what it is held against; where one finds that it is worse than the constant,
more than chance explains, a training is due.

**Coming back.** A model that was made right after a jump promises little, and measured by that it would be left as it
is. So until a look finds the old promise kept again, the old one counts. A training is due at the look after the
first one, two looks later, then four, eight: where the world has become harder for good, that costs few trainings.
Chosen by what it costs in all on 42 synthetic systems with sudden drift (made as those of `bench.design`), beyond the
best policy of hindsight: 2.5 %; a training at each look, which never ends where quality does not come back, 2.4 %.
What trains is what came since the promise was last seen kept: with the window that was best before the jump it is 9
%, and never training again 23 %.

What does not belong here: running it (`run`), what time it is (`clock`), how a gain is measured (`steps.watch`).
"""

from __future__ import annotations

import math
from datetime import datetime

import msgspec

from ninetyfive.durations import duration, duration_text
from ninetyfive.paradigms import StaticTraining, Training
from ninetyfive.reducers.intervals import Estimate

LOOK_ROWS = 100
"""The fewest newly labelled rows that a look judges by; until there are so many, they wait for the next."""
_STRICT = 3.579 / 2.093
"""How much further Student's t with 19 degrees of freedom reaches at 0.001 on one side than at 0.025."""


class Due(msgspec.Struct, frozen=True):
    """Whether a training is due, and why or why not; `look`: whether the champion is to be looked at first."""

    due: bool
    reason: str
    look: bool = False


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What a look found, and what the next one has to know.

    `promised`: what the champion is held against (None: nothing yet). `since`: up to when its promise was seen kept, in
    whatever unit. `held`: whether it is kept now; `trainings`: how many in a row have not brought it back; `wait`: how
    many looks pass before the next. `judged`: whether the rows said enough; else they wait for the next look.
    """

    promised: Estimate | None
    since: int
    held: bool = True
    trainings: int = 0
    wait: int = 0
    due: bool = False
    judged: bool = False
    reason: str = ""


def decide_due(
    training: Training, last_trained: datetime | None, last_looked: datetime | None, now: datetime, has_champion: bool
) -> Due:
    """Whether to train now, or to look. Times have a zone: when the last training and look that finished were started.

    From one in the future (the clock was set back) it is as long as from any other until the next.

    >>> from datetime import UTC
    >>> decide_due(StaticTraining(), None, None, datetime(2026, 1, 1, tzinfo=UTC), has_champion=True)
    Due(due=False, reason='static training: a champion stands, and it is trained once', look=False)
    """
    if isinstance(training, StaticTraining):
        if not has_champion:
            return Due(True, "static training: there is no champion yet")
        if training.watch is None:
            return Due(False, "static training: a champion stands, and it is trained once")
        return _time_to_look(training.watch, last_trained, last_looked, now)
    every = duration(training.every, "DynamicTraining(every=)")
    if last_trained is None:
        return Due(True, "dynamic training: nothing was trained yet")
    age = (now - last_trained).total_seconds()
    if age >= every:
        return Due(True, f"dynamic training: the last one is {duration_text(age)} old, and every is {training.every}")
    old = f"is {duration_text(age)} old" if age >= 0.0 else _ahead(age)
    return Due(False, f"dynamic training: the last one {old}, next in {duration_text(every - age)}")


def decide_drop(drop: float, gain: Estimate, promised: Estimate | None, before: Watched, upto: int) -> Watched:
    """Whether the champion's `gain` on the rows labelled up to `upto` has dropped below what was promised.

    `promised` is the gain that the champion in force was released with (None, or not above 0: the first look with a
    gain says it); `before` is what the look before said, at first `Watched(promised=None, since=…)`.

    >>> told = decide_drop(0.1, Estimate(0.1, 0.09, 0.11, 900), Estimate(0.3, 0.29, 0.31, 900), START, 7)
    >>> told.due, told.since
    (True, 0)
    >>> told.reason
    'it gains 0.1 (0.09 to 0.11) over the constant on 900 rows, and 0.3 (0.29 to 0.31) was promised: 67% is gone'
    """
    if (why := _cannot(gain)) is not None:
        return msgspec.structs.replace(before, due=False, judged=False, reason=why)
    measure = _measure(promised, before)
    if measure is None and (gain.value or 0.0) > 0.0:
        return Watched(promised=gain, since=upto, judged=True, reason=f"{_says(gain)}: by that it will be judged")
    measure = measure or NOTHING
    lost = (measure.value or 0.0) - (gain.value or 0.0)
    told = f"{_says(gain)}, and {_number(measure)} was promised: " if measure.value else f"{_says(gain)}: "
    if lost <= drop * (measure.value or 0.0):
        return Watched(promised=measure, since=upto, judged=True, reason=f"{told}it holds")
    told += f"{lost / measure.value:.0%} is gone" if measure.value else "it is worse than that"
    if lost <= _STRICT * math.hypot(_reach(gain), _reach(measure)):
        why = f"{told}, which chance may explain: these rows are judged again with those of the next look"
        return msgspec.structs.replace(before, due=False, judged=False, reason=why)
    if before.wait and not before.held:
        after = f"{told}, and {before.trainings} trainings did not bring it back: {_looks(before.wait)} until the next"
        return msgspec.structs.replace(before, wait=before.wait - 1, due=False, judged=True, reason=after)
    trainings = before.trainings + 1
    return Watched(
        promised=measure,
        since=before.since,
        held=False,
        trainings=trainings,
        wait=2 ** (trainings - 1) - 1,
        due=True,
        judged=True,
        reason=told,
    )


START = Watched(promised=None, since=0)
"""What is known before the first look of a replay."""
NOTHING = Estimate(0.0, 0.0, 0.0, 0)
"""What a champion is held against that promised no gain: the constant itself."""


def _measure(promised: Estimate | None, before: Watched) -> Estimate | None:
    """What a champion is held against; None: nothing yet."""
    if not before.held:
        return before.promised
    known = (one for one in (promised, before.promised) if one is not None and one.judged)
    return next((one for one in known if (one.value or 0.0) > 0.0), None)


def _time_to_look(watch: str, trained: datetime | None, looked: datetime | None, now: datetime) -> Due:
    done = [moment for moment in (trained, looked) if moment is not None]
    if not done:
        return Due(False, "static training, watched: nobody has looked yet", look=True)
    word = "look" if looked is not None and looked == max(done) else "training"
    age, every = (now - max(done)).total_seconds(), duration(watch, "StaticTraining(watch=)")
    told = f"static training, watched: the last {word} {f'was {duration_text(age)} ago' if age >= 0.0 else _ahead(age)}"
    if age >= every:
        return Due(False, told, look=True)
    return Due(False, f"{told}, next look in {duration_text(every - age)}")


def _ahead(age: float) -> str:
    return f"was {duration_text(-age)} ahead of the clock, which was set back"


def _cannot(gain: Estimate) -> str | None:
    """Why nothing can be told, where nothing can."""
    if gain.rows < LOOK_ROWS:
        return f"{gain.rows:,} rows were labelled since, and a look needs {LOOK_ROWS}: they wait for the next"
    if gain.value is None or not gain.judged:
        return f"the gain over the constant is not defined on the {gain.rows:,} rows labelled since: one class only"
    return None


def _reach(estimate: Estimate) -> float:
    return ((estimate.high or 0.0) - (estimate.low or 0.0)) / 2


def _says(gain: Estimate) -> str:
    return f"it gains {_number(gain)} over the constant on {gain.rows:,} rows"


def _number(estimate: Estimate) -> str:
    return f"{estimate.value:.3g} ({estimate.low:.3g} to {estimate.high:.3g})"


def _looks(count: int) -> str:
    return "1 look" if count == 1 else f"{count} looks"
