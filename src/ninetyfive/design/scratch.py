"""From scratch: a file of answers in, a recorded design out. There need be no data, and no system.py yet.

    answers.toml ─ provisional ─▶ Design ─ write_record ─▶ design/NNNN.* ─ document ─▶ what `--json` prints

What does not belong here: the rules (`answers`), the files (`record`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ninetyfive.clock import now
from ninetyfive.design.answers import Given, provisional
from ninetyfive.design.document import document
from ninetyfive.design.record import write_record
from ninetyfive.errors import UsageError
from ninetyfive.settings import Settings


def design_from_answers(answers: Path, settings: Settings, system: str | None = None) -> dict[str, Any]:
    """Record the design that follows from the file `answers` beside system.py, whose name is `system`; its document.

    `UsageError` for a file that cannot be read, or an answer that cannot be.
    """
    try:
        text = answers.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        do = f"write one: ninetyfive design --questions > {answers.name or 'answers.toml'}"
        raise UsageError(str(answers), expected="a file of answers", got=str(error), do=do) from None
    made = now().isoformat(timespec="seconds")
    given = Given(settings.prices, settings.design, made, *((system,) if system else ()))
    record = write_record(settings.folder, provisional(text, given, str(answers)))
    return document(record.design, record)
