"""Accepting a design: whether its evidence carries it, and what is then in force; and whether a new one says otherwise.

    Design, --assume ─ decide_accept ─▶ Accepted      Design, Accepted ─ decide_changed ─▶ reasons

The rule: static and hybrid serving that nobody measured are put in force only by naming what is assumed.
What does not belong here: writing what is in force (`accepted`), finding a design (`measuring`).
"""

from __future__ import annotations

from ninetyfive.accepted import Accepted, AcceptedServing, AcceptedTraining
from ninetyfive.design.evidence import Design, TrainingChoice
from ninetyfive.errors import UsageError

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


def decide_changed(design: Design, accepted: Accepted) -> tuple[str, ...]:
    """What a design measured anew says otherwise than the one in force, in words; () where nothing.

    The design was chosen with the one in force and the hysteresis, so that what stays within it is the same here. How
    often a table is built again does not make another answer.
    """
    found = []
    was, now = accepted.training, design.training
    if _of(was) != _of(now):
        found.append(f"training: {_words(now)}, not {_words(was)}")
    if accepted.serving.paradigm != design.serving.paradigm:
        found.append(f"serving: {design.serving.paradigm}, not {accepted.serving.paradigm}")
    elif accepted.serving.top != design.serving.k:
        found.append(f"serving: {_table(design.serving.k)}, not {_table(accepted.serving.top)}")
    return tuple(found)


def _of(training: AcceptedTraining | TrainingChoice) -> tuple[object, ...]:
    return training.paradigm, training.every, training.window, training.watch, training.watch and training.drop


def _table(top: int | None) -> str:
    return "a table of the file that system.py names" if top is None else f"a table of {top:,} entities"


def _words(training: AcceptedTraining | TrainingChoice) -> str:
    more = [f"every {training.every}"] * bool(training.every) + [f"on {training.window}"] * bool(training.window)
    if training.watch:
        more.append(f"watched every {training.watch}, for a drop of {training.drop or 0.1:.0%}")
    return " ".join([training.paradigm, *more])
