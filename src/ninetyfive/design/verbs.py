"""What the command `design` does, one function each: measure, begin from answers, accept, check.

    measure_design ─▶ record ─▶ document        answers ─ provisional ─▶ record ─▶ document
    record ─ decide_accept ─▶ in force          measure_design, twice where it differs ─ decide_agreed ─▶ changed or not

The rule: a record is written whole or not at all, and only `accept` changes what is in force.
What does not belong here: measuring, deciding, how anything is shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ninetyfive import clock
from ninetyfive.accepted import write_accepted
from ninetyfive.design.accepting import decide_accept, decide_agreed, decide_changed
from ninetyfive.design.answers import Given, provisional
from ninetyfive.design.document import document
from ninetyfive.design.measuring import Asked, Known, measure_design
from ninetyfive.design.record import read_record, record_path, write_record
from ninetyfive.errors import DeclarationError, IntegrityError, UsageError
from ninetyfive.settings import Settings
from ninetyfive.steps.context import Context
from ninetyfive.steps.release import paradigms
from ninetyfive.system import Declaration


def design(context: Context, asked: Asked) -> dict[str, Any]:
    """Measure and record a design; its document (docs/design.md)."""
    record = write_record(context.settings.folder, measure_design(context, asked))
    return document(record.design, record)


def design_from_answers(answers: Path, settings: Settings, system: str | None = None) -> dict[str, Any]:
    """Record the design that follows from the file `answers` beside system.py, whose name is `system`; its document.

    There need be no data, and no system.py yet. `UsageError` for a file that cannot be read, or an answer that cannot
    be.
    """
    try:
        text = answers.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        do = f"write one: ninetyfive design --questions > {answers.name or 'answers.toml'}"
        raise UsageError(str(answers), expected="a file of answers", got=str(error), do=do) from None
    made = clock.now().isoformat(timespec="seconds")
    given = Given(settings.prices, settings.design, made, *((system,) if system else ()))
    record = write_record(settings.folder, provisional(text, given, str(answers)))
    return document(record.design, record)


def accept(system: Declaration, folder: Path, number: int | None, assume: str | None, by: str) -> dict[str, Any]:
    """Put a record in force (None: the newest): `{number, training, serving, assumed, file, notices}`.

    `UsageError` where there is none, where it is another system's, or where it rests on what nobody measured and
    `assume` does not name; `IntegrityError` where its file was changed into what cannot be. Then nothing is written.
    """
    record = record_path(folder, number)
    found = read_record(record)
    if found.number != int(record.stem):
        raise _altered(record, f"number {int(record.stem)}", f"number {found.number}")
    if found.system != system.name and found.release is not None:
        do = "run `ninetyfive design` here"
        raise UsageError(f"design {found.number}", expected=f"one of {system.name!r}", got=f"{found.system!r}", do=do)
    found = msgspec.structs.replace(found, system=system.name)
    accepted = decide_accept(found, assume, clock.now().isoformat(timespec="seconds"), by)
    try:
        _, serving = accepted.training.made(), accepted.serving.made()
    except DeclarationError as error:
        raise _altered(record, "a training and a serving that there are", error.said) from None
    if not system.entity and accepted.serving.paradigm != "dynamic":
        raise UsageError(
            f"design {found.number}",
            expected="entity=, the columns whose values a table is looked up by",
            got=f"none in system.py, and {type(serving).__name__} in the design",
            do="declare entity=[...] in system.py, then accept it",
        )
    path = write_accepted(folder, accepted)
    forms = paradigms(system)
    return {
        "number": found.number,
        "training": forms["training"],
        "serving": forms["serving"],
        "assumed": list(accepted.assumed),
        "file": str(path),
        "notices": list(_next(forms, accepted.serving.refresh)),
    }


def _altered(record: Path, expected: str, got: str) -> IntegrityError:
    do = "take it from version control, or run `ninetyfive design` again"
    return IntegrityError(str(record), expected=expected, got=got, do=do)


def _next(forms: dict[str, dict[str, Any]], refresh: str | None) -> list[str]:
    """What is to be done for a design to have its effect, and what has none."""
    told = [f"system.py says {form['text']}: that stays" for form in forms.values() if form["declared"]]
    training = forms["training"]
    if not training["declared"] and (training["paradigm"] == "DynamicTraining" or training["arguments"].get("watch")):
        told.append("let something call `ninetyfive run --if-due` again and again, such as cron")
    if not forms["serving"]["declared"]:
        if forms["serving"]["paradigm"] != "DynamicServing":
            told.append(f"build the table now, and every {refresh or '1d'}: ninetyfive table build")
        told.append("a service that runs takes it up when it is started again")
    return told


def check(context: Context, asked: Asked) -> dict[str, Any]:
    """Measure again, and say whether the design in force is still the answer: `{changed, reasons, …}`.

    What differs is measured a second time, and has changed where both say so: else `unsure` tells what each said.
    `measured` is how often it was measured; `design`: the document of the last. Nothing is recorded. `UsageError` where
    none is in force.
    """
    accepted = context.declaration.accepted
    if accepted is None:
        do = "accept one: ninetyfive design --accept"
        raise UsageError("design --check", expected="a design in force", got="none", do=do)
    found = measure_design(context, asked)
    differs = decide_changed(found, accepted)
    changed: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    if differs:
        found = measure_design(context, asked, Known(found, frozenset(differs)))
        changed, unsure = decide_agreed(differs, decide_changed(found, accepted))
    return {
        "changed": bool(changed),
        "reasons": list(changed),
        "unsure": list(unsure),
        "measured": 2 if differs else 1,
        "number": accepted.record,
        "design": document(found),
    }
