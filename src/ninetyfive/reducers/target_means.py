"""How many rows have each word, and the sum of their labels, apart by fold: what target encoding learns from.

    rows ─▶ {word: (count of fold 0, sum of fold 0, count of fold 1, …)}

What does not belong here: how counts and sums become an encoding (`features/encoding`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive.errors import DataError
from ninetyfive.reducers.arrays import series_of
from ninetyfive.reducers.keyed_counts import Value

_EPSILON = 1e-11
State = dict[Value, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class TargetMeans:
    """Counts and sums of the column `label` by the values of `column` and by `fold` modulo `folds`.

    `column` holds strings, integers or booleans, `label` booleans (0, 1) or numbers, `fold` integers; a row in which
    one is null, or the label NaN, is left out. The result is `{word: (count, sum, count, sum, …)}`, ascending by word,
    two floats a fold. Counts and sums of booleans are exact; other sums agree between two merge trees to a
    relative 1e-11 of the sum of absolute labels. More than `limit` words raise `DataError`.

    >>> reducer = TargetMeans("s", "y", "fold", 2)
    >>> frame = pl.DataFrame({"s": ["a", "a", "b"], "y": [True, False, True], "fold": [0, 3, 2]})
    >>> reducer.result(reducer.add(reducer.zero(), frame))
    {'a': (1.0, 1.0, 1.0, 0.0), 'b': (1.0, 1.0, 0.0, 0.0)}
    """

    column: str
    label: str
    fold: str
    folds: int
    limit: int = 1_000_000

    def zero(self) -> State:
        """No rows."""
        return {}

    def add(self, state: State, frame: pl.DataFrame) -> State:
        """The state with the rows of `frame`."""
        some = pl.DataFrame(
            {
                "word": series_of(frame, self.column, self),
                "label": series_of(frame, self.label, self).cast(pl.Float64).fill_nan(None),
                "fold": series_of(frame, self.fold, self) % self.folds,
            }
        ).drop_nulls()
        words = some["word"].unique(maintain_order=True)
        known = pl.DataFrame({"word": words, "index": pl.Series(range(len(words)), dtype=pl.Int64)})
        index = some.join(known, on="word", how="left", maintain_order="left")["index"].to_numpy()
        place = index * self.folds + some["fold"].to_numpy()
        size = len(words) * self.folds  # bincount adds in the order of the rows: the same bits everywhere
        counts = np.bincount(place, minlength=size).astype(np.float64)
        sums = np.bincount(place, weights=some["label"].to_numpy(), minlength=size)
        both = np.stack([counts, sums], axis=1).reshape(len(words), 2 * self.folds)
        return self.merge(state, {word: tuple(row) for word, row in zip(words, both.tolist(), strict=True)})

    def merge(self, left: State, right: State) -> State:
        """The sums; `DataError` beyond `limit` words."""
        merged = dict(left)
        for word, found in right.items():
            old = merged.get(word)
            merged[word] = found if old is None else tuple(a + b for a, b in zip(old, found, strict=True))
        if len(merged) > self.limit:
            raise DataError(
                f"column {self.column!r}",
                expected=f"at most {self.limit:,} distinct values to encode by the label",
                got=f"{len(merged):,}",
                do="group the values into fewer, or leave the column out",
            )
        return merged

    def result(self, state: State) -> State:
        """`{word: (count, sum, …)}`, ascending by word."""
        return dict(sorted(state.items()))

    def agrees(self, left: State, right: State, rows: pl.DataFrame) -> bool:
        """Words and counts equal, sums to a relative 1e-11 of the sum of absolute labels."""
        bound = _EPSILON * float(rows[self.label].cast(pl.Float64).fill_nan(None).abs().sum())
        return left.keys() == right.keys() and all(
            a == b or (place % 2 == 1 and (abs(a - b) <= bound or (math.isnan(a) and math.isnan(b))))
            for word in left
            for place, (a, b) in enumerate(zip(left[word], right[word], strict=True))
        )

    def encode(self, state: State) -> bytes:
        """The state as MessagePack: pairs, ascending by word."""
        return msgspec.msgpack.encode(sorted(state.items()))

    def decode(self, data: bytes) -> State:
        """The state that `encode` wrote."""
        return dict(msgspec.msgpack.decode(data, type=list[tuple[Value, tuple[float, ...]]]))

    @staticmethod
    def example() -> tuple[TargetMeans, dict[str, Any]]:
        """For the laws."""
        words = pl.Series(["a", "b", "", None])
        labels = pl.Series([0.0, 1.0, -2.5, 1e9, None, math.nan])
        return TargetMeans("word", "label", "fold", 3), {"word": words, "label": labels, "fold": pl.Series(range(20))}
