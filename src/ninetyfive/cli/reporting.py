"""How far a command is: steps and rows on stderr, as a live line on a terminal, else a line a step.

What does not belong here: what a command says at its end (`printing`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ninetyfive.progress import Reporter, Silent


@contextmanager
def progress(as_json: bool) -> Iterator[Reporter]:
    """A reporter that draws steps and rows on stderr: a live line on a terminal, a line a step elsewhere.

    What the user's own code prints meanwhile goes to stderr too: stdout is for what the command says.
    """
    with redirect_stdout(sys.stderr):
        yield from _reporters(as_json)


def _reporters(as_json: bool) -> Iterator[Reporter]:
    if as_json:
        yield Silent()
        return
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars)


class _Lines:
    """Progress where nobody watches: one line when a step ends."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def started(self, step: str) -> None:
        """Nothing: a line comes when the step ends."""

    def rows(self, done: int, total: int | None) -> None:
        """Nothing."""

    def finished(self, step: str, seconds: float, skipped: bool) -> None:
        """Print the step."""
        self._console.print(f"  {step:<9} {'unchanged' if skipped else f'{seconds:6.1f} s'}")

    def notice(self, text: str) -> None:
        """Print the line."""
        self._console.print(f"  {escape(text)}", soft_wrap=True)


class _Bars(_Lines):
    """Progress on a terminal."""

    def __init__(self, bars: Progress) -> None:
        super().__init__(bars.console)
        self._bars = bars
        self._task = bars.add_task("looking at the source", total=None)

    def started(self, step: str) -> None:
        """Show the step, on a bar of its own: one that is used again keeps its old total."""
        self._bars.remove_task(self._task)
        self._task = self._bars.add_task(step, total=None)

    def rows(self, done: int, total: int | None) -> None:
        """Show how many rows are done."""
        self._bars.update(self._task, completed=done, total=total)
