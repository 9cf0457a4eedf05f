"""The command `design`: what it asks of the system, and what it prints. It computes nothing."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ninetyfive.cli import printing, reporting
from ninetyfive.cli.flags import DEFAULT, Json, SystemFile
from ninetyfive.cli.project import load_system
from ninetyfive.design import BUDGET

_INDENT, _LEAST = 10, 30
_FEW = 3
"""How many reasons and assumptions are printed: the record has all of them."""


def design(  # noqa: PLR0913  its arguments are the flags of the command
    number: Annotated[
        int | None, typer.Argument(min=1, help="With --accept: which record; default: the newest.")
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Put a recorded design in force.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Measure again; exit code 3 where the design in force is not the answer.")
    ] = False,
    answers: Annotated[
        Path | None, typer.Option("--answers", help="A TOML file of answers instead of data: a provisional design.")
    ] = None,
    questions: Annotated[
        bool, typer.Option("--questions", help="Print the questions for --answers, as a file to fill in.")
    ] = False,
    log: Annotated[
        str | None, typer.Option("--log", help="The folder of the request log; default: the one that serve keeps.")
    ] = None,
    assume: Annotated[
        str | None,
        typer.Option(
            "--assume",
            help="What may be taken for granted without a request log: requests-like-data; "
            "with --accept of a provisional design: answers.",
        ),
    ] = None,
    budget: Annotated[
        float, typer.Option("--budget", min=10.0, help="At most about so many seconds; what it cuts is listed.")
    ] = BUDGET,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """How to train and how to serve, measured on this system.

    Measures the history and the request log, decides, proves it by a replay, and writes design/NNNN.md, .html and
    .toml. --accept puts such a record in force; --check measures again.
    """
    _check_words(
        {"--accept": accept, "--check": check, "--answers": answers is not None, "--questions": questions}, number
    )
    if questions:
        _print_questions(json)
    elif answers is not None:
        designed(_from_answers(answers, system), json)
    elif accept:
        document = load_system(system).accept_design(number, assume=assume)
        accepted(document, json)
    elif check:
        with reporting.progress(json) as reporter:
            document = load_system(system, trains=True).check_design(log=log, budget=budget, reporter=reporter)
        checked(document, json)
        if document["changed"]:
            raise typer.Exit(3)
    else:
        with reporting.progress(json) as reporter:
            document = load_system(system, trains=True).design(log=log, budget=budget, assume=assume, reporter=reporter)
        designed(document, json)


def _check_words(asked: dict[str, bool], number: int | None) -> None:
    """`UsageError` for two things at once, or a number of nothing."""
    from ninetyfive.errors import UsageError

    words = [word for word, said in asked.items() if said]
    if len(words) > 1:
        got = " and ".join(words)
        raise UsageError("design", expected="one thing at a time", got=got, do="give them one after the other")
    if number is not None and not asked["--accept"]:
        do = f"write ninetyfive design --accept {number}, or leave the number out"
        raise UsageError("design", expected="--accept with the number of a record", got=f"{number} alone", do=do)


def _from_answers(answers: Path, system: Path) -> dict[str, Any]:
    """A design from answers; a project without a system.py is recorded beside where that will stand."""
    if system.is_file():
        found: dict[str, Any] = load_system(system).design_from_answers(answers)
        return found
    from ninetyfive.design.verbs import design_from_answers
    from ninetyfive.settings import load_settings

    return design_from_answers(answers, load_settings(system.absolute().parent))


def _print_questions(as_json: bool) -> None:
    from ninetyfive.design.asking import questions

    if as_json:
        printing.emit({"questions": questions()})
    else:
        sys.stdout.write(questions())


def designed(document: printing.Document, as_json: bool) -> None:
    """The outcome of `design`: what was decided, why, how sure that is, and what to do next."""
    if as_json:
        printing.emit(document)
        return
    console = printing.console_of()
    number, sure = document["number"], document["confidence"]
    console.print(f"[bold]{escape(document['system'])}[/], design {number}: confidence {sure}")
    _print_choices(console, document)
    _print_proof(console, document["serving"])
    _print_sizing(console, document)
    _print_few(console, "cannot", document["cannot"])
    _print_few(console, "assumed", [one["what"] for one in document["assumptions"]])
    _print_few(console, "left out", document["left_out"])
    _print_few(console, "noticed", document["noticed"])
    _print_end(console, document)


def _print_choices(console: Console, document: printing.Document) -> None:
    for kind in ("training", "serving"):
        choice = document[kind]
        text = choice["text"].removeprefix(f"{choice['paradigm']} {kind}: ")
        _say(console, kind, f": {text} ({choice['confidence']})", strong=choice["paradigm"])
        for reason in choice["reasons"][:_FEW]:
            _say(console, "", reason)


def _print_proof(console: Console, serving: printing.Document) -> None:
    """What was forecast of the chosen serving, and what its replay gave."""
    from ninetyfive.design.wording import percent, seconds

    def told(word: str, hit: float, cpu: float | None, p50: float | None) -> str:
        return f"{word}: hits {percent(hit)}, CPU {seconds(cpu)}, p50 {seconds(p50)}"

    found, proof = serving["forecast"], serving["replayed"]
    if proof is not None:
        forecast = told("forecast", proof["forecast_hit"], proof["forecast_cpu"], proof["forecast_p50"])
        replay = told(f"replayed by the {proof['by']}", proof["hit"], proof["cpu"], proof["p50"])
        _say(console, "proof", forecast)
        _say(console, "", f"{replay}, {proof['requests']:,} requests")
    elif found is not None:
        forecast = told("not replayed; forecast", found["hit"], found["cpu"], found["p50"])
        _say(console, "proof", forecast)


def _print_sizing(console: Console, document: printing.Document) -> None:
    from ninetyfive.design.wording import money, size

    sizing, currency = document["sizing"], str(document["prices"].get("currency") or "USD")
    workers = printing.count_of(sizing["workers"], "worker")
    cost = f"{money(sizing['month'], currency)} a month, {money(sizing['idle'], currency)} of it idle"
    _say(console, "sizing", f"{sizing['engine']}, {workers}, {size(sizing['memory'])}: {cost}")
    if sizing["should_be_table"]:
        told = ": a file of predictions would do, with no worker kept ready"
        _say(console, "", told, strong="this endpoint should be a table")


def _print_few(console: Console, word: str, texts: Sequence[str]) -> None:
    for place, text in enumerate(texts[:_FEW]):
        _say(console, "" if place else word, text)
    if len(texts) > _FEW:
        _say(console, "", f"and {len(texts) - _FEW} more: the record has them")


def _say(console: Console, word: str, text: str, strong: str = "") -> None:
    """A line after a word; what goes on in the next stands below the text, not below the word."""
    wide = max(_LEAST, console.width - _INDENT)
    lines = textwrap.wrap(strong + text, wide, break_long_words=False, break_on_hyphens=False) or [""]
    for place, line in enumerate(lines):
        head = strong if not place and line.startswith(strong) else ""
        shown = f"[bold]{escape(head)}[/]{escape(line.removeprefix(head))}"
        console.print(f"[bold]{'' if place else word:<{_INDENT - 1}}[/] {shown}", soft_wrap=True)


def _print_end(console: Console, document: printing.Document) -> None:
    record = document["record"]
    for text in document["notices"]:
        console.print(f"note: {escape(text)}", soft_wrap=True)
    if record is not None:
        shown = record["html"] or record["md"]
        console.print(f"[bold]{'record':<9}[/] {escape(shown)}", soft_wrap=True)
        console.print(f"[bold]{'next':<9}[/] read it, then `{document['accept']}` puts it in force", soft_wrap=True)


def accepted(document: printing.Document, as_json: bool) -> None:
    """The outcome of `design --accept`."""
    if as_json:
        printing.emit(document)
        return
    console = printing.console_of()
    console.print(f'design {document["number"]} is in force, where system.py says "measured"')
    for kind in ("training", "serving"):
        console.print(f"{kind:<9} {escape(document[kind]['text'])}")
    for text in document.get("notices", ()):
        console.print(f"note: {escape(text)}", soft_wrap=True)


def checked(document: printing.Document, as_json: bool) -> None:
    """The outcome of `design --check`."""
    if as_json:
        printing.emit(document)
        return
    console = printing.console_of()
    said = "the answer changed" if document["changed"] else "the design in force is still the answer"
    console.print(f"[bold]{said}[/]")
    for reason in (*document["reasons"], *document["unsure"]):
        console.print(f"  {escape(reason)}")
    if document["changed"]:
        console.print("next: `ninetyfive design` records the new one, `ninetyfive design --accept` puts it in force")
