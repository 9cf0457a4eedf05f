"""A sample of rows that does not depend on their order: those with the smallest stable hash of their key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from ninetyfive.hashing import row_hash

Row = tuple[Any, ...]
State = tuple[tuple[int, Row], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """The `size` rows with the smallest 64-bit hash over the columns `key`; of those, `columns` as row scalars.

    Times are µs and days since 1970, null is None. Fewer rows than `size`: all of them. Rows of equal hash are ordered
    by their values. The state holds `size` rows. Source: bottom-k sampling (Cohen and Kaplan, 2007).
    """

    size: int
    key: tuple[str, ...]
    columns: tuple[str, ...]

    @staticmethod
    def example() -> tuple[Sample, dict[str, pl.DataType]]:
        return Sample(3, ("id",), ("id", "x")), {"id": pl.Int64(), "x": pl.String()}

    def zero(self) -> State:
        """No rows."""
        return ()

    def add(self, state: State, frame: pl.DataFrame) -> State:
        """The state with the rows of `frame`, of which only the `size` smallest hashes are looked at."""
        hashes = pl.Series("__hash", row_hash(frame, self.key), dtype=pl.UInt64)
        # Rows of equal hash are ordered by value, so every row as small as the size-th smallest hash is kept.
        bound = hashes.sort().head(self.size).max()
        if bound is None:
            return state
        keep = hashes <= bound
        rows = frame.select(pl.col(name).to_physical() for name in self.columns).filter(keep).rows()
        return self._smallest((*state, *zip(hashes.filter(keep).to_list(), rows, strict=True)))

    def merge(self, left: State, right: State) -> State:
        """The `size` smallest of both."""
        return self._smallest((*left, *right))

    def result(self, state: State) -> list[dict[str, Any]]:
        """The rows in the order of their hash, each `{column: row scalar}`."""
        return [dict(zip(self.columns, row, strict=True)) for _, row in state]

    def encode(self, state: State) -> bytes:
        """The rows as MessagePack."""
        return msgspec.msgpack.encode(state)

    def decode(self, data: bytes) -> State:
        """The rows that `encode` wrote."""
        return msgspec.msgpack.decode(data, type=tuple[tuple[int, tuple[Any, ...]], ...])

    def _smallest(self, rows: State) -> State:
        return tuple(sorted(rows, key=lambda row: (row[0], repr(row[1])))[: self.size])
