"""What the supervisor tells: one line of JSON for each event, on stderr, where the workers tell theirs.

    {"time": "2026-01-31T12:00:00.000+00:00", "event": "swap.refused", "epoch": 7, "error": {…}}

The rule: nobody may be there to hear it, and the service goes on all the same.
What does not belong here: numbers (`serve.exposition`), and how the service is now (`states`).
"""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec


def tell(event: str, **fields: Any) -> None:
    """Say that something happened, with what belongs to it."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    with suppress(OSError):
        sys.stderr.write(msgspec.json.encode({"time": time, "event": event, **fields}).decode() + "\n")
        sys.stderr.flush()
