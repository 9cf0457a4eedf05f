"""The command `tuning`: every trial of a release's search, and its picture. It computes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from ninetyfive.cli import printing
from ninetyfive.cli.flags import DEFAULT, Json, SystemFile
from ninetyfive.cli.project import load_system


def tuning(
    release: Annotated[
        str | None, typer.Argument(help="A release hash or its beginning; default: the champion.")
    ] = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw the search into this file, as SVG.")] = None,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """What was tried before a release was trained, trial by trial."""
    document = load_system(system).tuning(release, picture=picture)
    if json:
        printing.emit(document)
        return
    console = printing.console_of()
    names = list(document["space"])
    table = printing.grid(">trial", f">{document['metric']}", *(f">{name}" for name in names), "")
    for one in document["trials"]:
        params = [escape(printing.parameter(one["params"][name])) if name in one["params"] else "–" for name in names]
        table.add_row(str(one["number"]), printing.number(one["value"]), *params, escape(_word(one, document)))
    console.print(table)
    console.print()
    printing.print_tuning(console, document)
    if picture is not None:
        console.print(f"[bold]{'drawn':<8}[/] {escape(str(picture))}")


def _word(trial: dict[str, Any], document: dict[str, Any]) -> str:
    """What is to be said of a trial beside its value."""
    words = [] if trial["state"] == "complete" else [trial["state"]]
    words += ["the best"] if trial["number"] == document["best"] else []
    return ", ".join([*words, *([trial["reason"]] if trial["reason"] else [])])
