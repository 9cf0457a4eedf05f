"""One settable clock for the whole system.

`NINETYFIVE_CLOCK` (an ISO 8601 time, UTC where it names no zone) sets it; otherwise it is the machine's.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from ninetyfive.errors import SettingsError


def now() -> datetime:
    """The time, in UTC: `NINETYFIVE_CLOCK` if it is set, else the machine's. Wrong words raise `SettingsError`."""
    text = os.environ.get("NINETYFIVE_CLOCK")
    if not text:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            "NINETYFIVE_CLOCK",
            expected="an ISO 8601 time",
            got=repr(text),
            do="write it like 2026-01-31T12:00:00Z, or unset it",
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
