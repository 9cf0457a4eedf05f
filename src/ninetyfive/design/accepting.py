"""Accepting a design: whether its evidence carries it, and what is then in force; and whether a new one says otherwise.

    Design, --assume ─ decide_accept ─▶ Accepted      Design, Accepted ─ decide_changed ─▶ what differs, by part
                                                      what two measurements say ─ decide_agreed ─▶ changed, unsure

The rule: static and hybrid serving that nobody measured are put in force only by naming what is assumed; and what one
measurement says against the design in force, another has to say too.
What does not belong here: writing what is in force (`accepted`), finding a design (`measuring`).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from ninetyfive.accepted import Accepted, AcceptedServing, AcceptedTraining
from ninetyfive.design.evidence import Design, TrainingChoice
from ninetyfive.durations import duration
from ninetyfive.errors import UsageError
from ninetyfive.paradigms import DROP

Part = Literal["training", "serving"]
"""What a design decides."""

LIKE_DATA, ANSWERS = "requests-like-data", "answers"
ASSUMABLE = {
    LIKE_DATA: "requests ask about the same entities, as often and in the same order, as the history holds",
    ANSWERS: "what was answered to the questions is so",
}
"""What `--assume` may name, and what that takes for granted."""


def needed_assumption(design: Design) -> str | None:
    """What `--assume` has to name for the design to be accepted; None where its evidence carries it."""
    training, serving = design.training, design.serving
    unproved = serving.paradigm != "dynamic" and serving.confidence in ("assumed", "none")
    unproved |= training.paradigm == "dynamic" and training.confidence in ("assumed", "none")
    if not unproved:
        return None
    return ANSWERS if design.training_evidence is None and not design.release else LIKE_DATA


def accepts(design: Design) -> str:
    """The command that puts the design in force."""
    needed = needed_assumption(design)
    return f"ninetyfive design --accept {design.number}" + (f" --assume {needed}" if needed else "")


def decide_accept(design: Design, assume: str | None, now: str, by: str) -> Accepted:
    """What is in force once `design` is accepted; `UsageError` where it rests on what was not measured nor assumed."""
    if assume is not None and assume not in ASSUMABLE:
        raise UsageError(
            "--assume", expected=" or ".join(ASSUMABLE), got=repr(assume), do="correct it, or leave it out"
        )
    training, serving, needed = design.training, design.serving, needed_assumption(design)
    if needed is not None and assume != needed:
        raise UsageError(
            f"design {design.number}",
            expected="evidence for what it says",
            got=f"{_said(design)}, which is assumed: {ASSUMABLE[needed]}",
            do=f"measure it on a request log, or accept the assumption by name: --accept --assume {needed}",
        )
    return Accepted(
        record=design.number,
        system=design.system,
        accepted=now,
        by=by,
        training=AcceptedTraining(
            paradigm=training.paradigm,
            every=training.every,
            window=training.window,
            watch=training.watch,
            drop=training.drop,
        ),
        serving=AcceptedServing(paradigm=serving.paradigm, top=serving.k, refresh=serving.refresh),
        assumed=(needed,) if needed else (),
    )


def _said(design: Design) -> str:
    return f"{design.training.paradigm} training and {design.serving.paradigm} serving"


class Difference(NamedTuple):
    """What a measurement says against a part of the design in force: in `words`, and as two that can be compared.

    `to` is the paradigm, of training whether it is watched, and the window where another one is all that differs;
    `way` is 1 where a period or a table has to be larger, -1 where it has to be smaller, 0 where that is not what
    differs.
    """

    words: str
    to: tuple[str, ...]
    way: int = 0


def decide_changed(design: Design, accepted: Accepted) -> dict[Part, Difference]:
    """What a design measured anew says otherwise than the one in force, by part; none where nothing.

    The design was chosen with the one in force and the hysteresis, so that what stays within it is the same here. How
    often a table is built again does not make another answer.
    """
    found: dict[Part, Difference] = {}
    was, now = accepted.training, design.training
    if _of(was) != _of(now):
        words = f"training: {_words(now)}, not {_words(was)}"
        way = _way(_seconds(now.every), _seconds(was.every)) if now.paradigm == was.paradigm else 0
        window = () if now.paradigm != was.paradigm or way else (str(now.window),)
        found["training"] = Difference(words, (now.paradigm, "watched" * bool(now.watch), *window), way)
    serves, served = design.serving, accepted.serving
    if served.paradigm != serves.paradigm:
        words = f"serving: {serves.paradigm}, not {served.paradigm}"
        found["serving"] = Difference(words, (serves.paradigm,))
    elif served.top != serves.k:
        words = f"serving: {_table(serves.k)}, not {_table(served.top)}"
        found["serving"] = Difference(words, (serves.paradigm,), _way(serves.k, served.top))
    return found


def decide_agreed(
    first: dict[Part, Difference], second: dict[Part, Difference]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What two measurements say against the design in force, in words: what both do, and what one of them does alone.

    They agree on a part where both say the same paradigm, and the same way for a period, a table or a window that is
    another one: not on how far. What the second says is told, as the later one.
    """
    changed, unsure = [], []
    for part in first | second:
        once, again = first.get(part), second.get(part)
        if once is not None and again is not None and once[1:] == again[1:]:
            changed.append(f"{again.words}: two measurements say so")
        else:
            said = [one.words for one in (once, again) if one is not None]
            unsure.append(f"{'; then '.join(said)}: two measurements do not agree, so what is in force stays")
    return tuple(changed), tuple(unsure)


def _way(now: float | None, was: float | None) -> int:
    """1 where it has become more, -1 where less; None is all there is."""
    large = [float("inf") if one is None else one for one in (now, was)]
    return (large[0] > large[1]) - (large[0] < large[1])


def _seconds(every: str | None) -> float | None:
    return None if every is None else float(duration(every))


def _of(training: AcceptedTraining | TrainingChoice) -> tuple[object, ...]:
    return training.paradigm, training.every, training.window, training.watch, _drop(training)


def _drop(training: AcceptedTraining | TrainingChoice) -> float | None:
    if training.watch is None:
        return None
    return DROP if training.drop is None else training.drop


def _table(top: int | None) -> str:
    return "a table of the file that system.py names" if top is None else f"a table of {top:,} entities"


def _words(training: AcceptedTraining | TrainingChoice) -> str:
    more = [f"every {training.every}"] * bool(training.every) + [f"on {training.window}"] * bool(training.window)
    if training.watch:
        more.append(f"watched every {training.watch}, for a drop of {_drop(training):.0%}")
    return " ".join([training.paradigm, *more])
