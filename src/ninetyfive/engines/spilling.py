"""The rows of a shuffle while they gather: in memory up to a budget, then in Arrow IPC files.

    add(meeting, spread chunk) ─▶ memory ──over the budget──▶ <folder>/<meeting>-<partition>-<n>.arrow
    take(meeting, partition)   ◀─ both

A *meeting* is one input of one `Shuffle`. Files are temporary, without checksums, and die with the folder.

What does not belong here: which partition a row goes to and in which order it comes out (`partitioning`).
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock

import polars as pl

from ninetyfive.errors import EngineError

Meeting = tuple[int, int]
Spread = tuple[pl.DataFrame, tuple[int, ...]]


class Buffers:
    """Spread chunks by meeting and partition, at most about `memory` bytes of them in memory; safe between threads."""

    def __init__(self, folder: Path, memory: int) -> None:
        self._folder = folder
        self._memory = memory
        self._lock = Lock()
        self._kept: dict[Meeting, list[Spread]] = {}
        self._bytes: dict[Meeting, int] = {}
        self._files: dict[tuple[Meeting, int], list[Path]] = {}
        self.spilled = 0

    def add(self, meeting: Meeting, spread: Spread) -> None:
        """Keep a chunk that `partitioning.spread` made."""
        with self._lock:
            self._kept.setdefault(meeting, []).append(spread)
            self._bytes[meeting] = self._bytes.get(meeting, 0) + int(spread[0].estimated_size())
            while sum(self._bytes.values()) > self._memory:
                self._spill(max(self._bytes, key=lambda known: self._bytes[known]))

    def take(self, meeting: Meeting, partition: int) -> pl.DataFrame | None:
        """All rows of a partition in any order, or None if there are none; call once a partition."""
        with self._lock:
            frames = [frame[ends[partition] : ends[partition + 1]] for frame, ends in self._kept.get(meeting, [])]
            files = self._files.pop((meeting, partition), [])
        for path in files:
            with path.open("rb") as stream:
                frames.append(pl.read_ipc(stream))
            path.unlink()
        frames = [frame for frame in frames if frame.height]
        return pl.concat(frames) if frames else None

    def drop(self, meeting: Meeting) -> None:
        """Forget a meeting whose partitions were all taken."""
        with self._lock:
            self._kept.pop(meeting, None)
            self._bytes.pop(meeting, None)

    def _spill(self, meeting: Meeting) -> None:
        spreads = self._kept.pop(meeting)
        self.spilled += self._bytes.pop(meeting)
        for partition in range(len(spreads[0][1]) - 1):
            parts = [frame[ends[partition] : ends[partition + 1]] for frame, ends in spreads]
            rows = pl.concat([part for part in parts if part.height] or parts[:1])
            if not rows.height:
                continue
            files = self._files.setdefault((meeting, partition), [])
            path = self._folder / f"{meeting[0]}-{meeting[1]}-{partition}-{len(files)}.arrow"
            try:
                rows.write_ipc(path, compression="lz4", compat_level=pl.CompatLevel.oldest())
            except OSError as error:
                raise EngineError(
                    os.fspath(self._folder),
                    expected="room for the rows of a shuffle",
                    got=str(error),
                    do="free space there, or name another temporary folder",
                ) from error
            files.append(path)
