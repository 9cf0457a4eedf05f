"""How long work tells that it moves. The command line draws it; a program may pass its own, or none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

RowProgress = Callable[[int, int | None], None]
"""What an engine tells while it works: rows done so far, of how many (None: not known)."""


class Reporter(Protocol):
    """What is told while a run goes on; each call returns at once."""

    def started(self, step: str) -> None:
        """A step begins."""
        ...

    def rows(self, done: int, total: int | None) -> None:
        """Rows read so far in the job at hand, of `total` (None: not known)."""
        ...

    def finished(self, step: str, seconds: float, skipped: bool) -> None:
        """A step ended, or was skipped because nothing it depends on changed."""
        ...

    def notice(self, text: str) -> None:
        """A line that people should see."""
        ...


class Silent:
    """A reporter that says nothing."""

    def started(self, step: str) -> None:
        """Nothing."""

    def rows(self, done: int, total: int | None) -> None:
        """Nothing."""

    def finished(self, step: str, seconds: float, skipped: bool) -> None:
        """Nothing."""

    def notice(self, text: str) -> None:
        """Nothing."""


@contextmanager
def telling(reporter: Reporter, step: str) -> Iterator[None]:
    """Tell that a step begins and, unless it fails, that it ended."""
    begun = time.perf_counter()
    reporter.started(step)
    yield
    reporter.finished(step, time.perf_counter() - begun, False)
