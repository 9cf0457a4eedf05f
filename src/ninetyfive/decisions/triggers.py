"""Triggers: whether a training is due, decided from values alone.

    StaticTraining      due until there is a champion, then never
    DynamicTraining     due when nothing was trained yet, or the last training is `every` old

What does not belong here: running it (`pipeline`), what time it is (`clock`).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from ninetyfive.durations import duration, duration_text
from ninetyfive.paradigms import StaticTraining, Training


class Due(msgspec.Struct, frozen=True):
    """Whether a training is due, and why or why not."""

    due: bool
    reason: str


def decide_due(training: Training, last_trained: datetime | None, now: datetime, has_champion: bool) -> Due:
    """Whether to train now. `last_trained` is when the last training that finished was started; both times have a zone.

    A last training in the future (the clock was set back) counts as just done.

    >>> from datetime import UTC
    >>> decide_due(StaticTraining(), None, datetime(2026, 1, 1, tzinfo=UTC), has_champion=True)
    Due(due=False, reason='static training: a champion stands, and it is trained once')
    """
    if isinstance(training, StaticTraining):
        if has_champion:
            return Due(False, "static training: a champion stands, and it is trained once")
        return Due(True, "static training: there is no champion yet")
    every = duration(training.every, "DynamicTraining(every=)")
    if last_trained is None:
        return Due(True, "dynamic training: nothing was trained yet")
    age = max(0.0, (now - last_trained).total_seconds())
    if age >= every:
        return Due(True, f"dynamic training: the last one is {duration_text(age)} old, and every is {training.every}")
    return Due(
        False, f"dynamic training: the last one is {duration_text(age)} old, next in {duration_text(every - age)}"
    )
