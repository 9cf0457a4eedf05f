"""Records of a request log and what is on the disk of them."""

from __future__ import annotations

from pathlib import Path

from ninetyfive.serve.log import Record, decode
from ninetyfive.serve.messages import Log
from ninetyfive.serve.segments import Segment

COLUMNS = {"carrier": "string", "distance": "number", "at": "timestamp", "tags": "list[string]", "blob": "opaque"}


def record(number: int = 0, **changes: object) -> Record:
    """The record of one answered row."""
    values = {
        "id": f"{number:032x}",
        "at": 1_700_000_000_000_000 + number,
        "client_id": None,
        "entity": b"\x91\xa2AA",
        "row": ("AA", 5.5, 1_600_000_000_000_000, ("x", None), b"\x00\xff"),
        "fingerprint": 2**63 + 95,
        "answer": 0.25,
        "release": "a" * 64,
        "table": None,
        "source": "model",
        "cpu": 0.0001,
    }
    return Record(**{**values, **changes})  # type: ignore[arg-type]


def config(folder: Path, **changes: object) -> Log:
    """A log in a folder of its own below `folder`."""
    return Log(folder=str(folder / "log"), **changes)  # type: ignore[arg-type]


def segments(folder: Path) -> list[Path]:
    """The segments of the log, open or closed."""
    return sorted(path for path in (folder / "log").iterdir() if path.suffix in (".open", ".closed"))


def read(path: Path) -> tuple[list[Record], Segment]:
    """The whole records of a segment, and the segment, whose damage is known then."""
    segment = Segment(path.read_bytes())
    return [decode(payload) for payload in segment.payloads()], segment


def logged(folder: Path) -> list[str]:
    """The ids of all whole records of the log."""
    return [one.id for path in segments(folder) for one in read(path)[0]]
