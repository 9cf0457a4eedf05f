"""What `replay` prints: how the service answered, and whether as before. What is asked: `supervise.replay`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from ninetyfive.cli.printing import emit, number

if TYPE_CHECKING:
    from ninetyfive.supervise.replay import Report

_COUNTS = {
    "equal": "answers as they were logged",
    "different": "other answers of the same release",
    "other_release": "answers of another release",
    "hidden": "answers to rows of which the log hides columns",
    "skipped": "records without a row, not asked",
}
_TIMES = {"p50": "half answered within", "p99": "99 % answered within", "late": "sent late by"}


def replayed(report: Report, as_json: bool) -> None:
    """The outcome of `replay`; counts that are 0 are told only of what was compared."""
    document = msgspec.to_builtins(report)
    if as_json:
        emit(document)
        return
    statuses = ", ".join(f"{count:,} × {status}" for status, count in document["statuses"].items()) or "nothing"
    rows = "row" if report.sent == 1 else "rows"
    lines = [(words, number(document[name])) for name, words in _COUNTS.items() if document[name] or name in _COMPARED]
    if report.different:
        lines.append(("largest difference", number(report.largest)))
    for name, words in _TIMES.items():
        value = document[name]
        lines.append((words, "–" if value is None else f"{value * 1000:,.2f} ms"))
    lines.append(("requests a second", number(float(report.rate))))
    width = max(len(words) for words, _ in lines)
    told = [f"{report.sent:,} {rows} asked again: {statuses}", *(f"{one:<{width}}  {two:>12}" for one, two in lines)]
    sys.stdout.write("\n".join(told) + "\n")


_COMPARED = ("equal", "different")
