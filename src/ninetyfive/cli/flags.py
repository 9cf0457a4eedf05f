"""Flags that several commands take, each with its words once.

What does not belong here: flags of one command, which stand with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT = Path("system.py")
SystemFile = Annotated[Path, typer.Option("--system", "-s", help="The file that declares the system.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on stdout.")]
ReleaseOption = Annotated[
    str | None, typer.Option("--release", help="A release hash or its beginning; default: the champion.")
]
IfDue = Annotated[bool, typer.Option("--if-due", help="Only when the training paradigm says that it is time.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Train as if it were this ISO 8601 time.")]
NoPromote = Annotated[bool, typer.Option("--no-promote", help="Make the release, leave the champion.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Do every step again.")]
Start = Annotated[str | None, typer.Option("--from", metavar="STEP", help="Do this step and all after it again.")]
RequestLog = Annotated[
    str | None,
    typer.Option(
        "--log", help="The request log that the entities of top= are taken from; default: the one that serve keeps."
    ),
]
Population = Annotated[
    str | None, typer.Option("--population", help="A file of rows (path, glob or URL) instead of the declared one.")
]
RowsOf = Annotated[str | None, typer.Option("--as-of", help="Of which ISO 8601 time its rows are; default: now.")]
LeaveLive = Annotated[bool, typer.Option("--no-promote", help="Make the table, leave what is live.")]
AnswersOut = Annotated[Path, typer.Argument(help="Where the answers go: .parquet, .csv or .jsonl.")]
