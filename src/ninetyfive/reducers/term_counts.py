"""In how many texts each n-gram stands: what TF-IDF learns its vocabulary from. Exact, else refused.

texts ─ distinct n-grams of each ─▶ {n-gram: texts that hold it}
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from ninetyfive.errors import DataError
from ninetyfive.ngrams import Of, ngrams
from ninetyfive.reducers.arrays import series_of
from ninetyfive.reducers.keyed_counts import value_counts


class TermState(msgspec.Struct, frozen=True, array_like=True):
    """Texts seen, and in how many each n-gram stands."""

    rows: int = 0
    documents: dict[str, int] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TermCounts:
    """In how many texts of a string column each n-gram of `shortest` to `longest` words or characters stands.

    Null is left out. The result is `{"rows": texts, "documents": {n-gram: texts}}`, ascending. More than `limit`
    n-grams raise `DataError`. A state holds at most `limit` n-grams.

    >>> reducer = TermCounts("note")
    >>> reducer.result(reducer.add(reducer.zero(), pl.DataFrame({"note": ["a b a", None, "b"]})))
    {'rows': 2, 'documents': {'a': 1, 'b': 2}}
    """

    column: str
    shortest: int = 1
    longest: int = 1
    of: Of = "words"
    limit: int = 1_000_000

    def zero(self) -> TermState:
        """No rows."""
        return TermState()

    def add(self, state: TermState, frame: pl.DataFrame) -> TermState:
        """The state with the rows of `frame`."""
        texts, counts = value_counts(series_of(frame, self.column, self))
        documents: Counter[str] = Counter()
        for text, count in zip(texts, counts, strict=True):
            for term in set(ngrams(text, self.shortest, self.longest, self.of)):
                documents[term] += count
        return self.merge(state, TermState(int(counts.sum()), dict(documents)))

    def merge(self, left: TermState, right: TermState) -> TermState:
        """The sums; `DataError` beyond `limit` n-grams."""
        merged = dict(left.documents)
        for term, count in right.documents.items():
            merged[term] = merged.get(term, 0) + count
        if len(merged) > self.limit:
            raise DataError(
                f"column {self.column!r}",
                expected=f"at most {self.limit:,} distinct n-grams to count exactly",
                got=f"{len(merged):,}",
                do="count shorter n-grams, or hash them, as in .ngram_counts(1024)",
            )
        return TermState(left.rows + right.rows, merged)

    def result(self, state: TermState) -> dict[str, Any]:
        """`{"rows", "documents"}`, n-grams ascending."""
        return {"rows": state.rows, "documents": dict(sorted(state.documents.items()))}

    def encode(self, state: TermState) -> bytes:
        """The state as MessagePack, n-grams ascending."""
        return msgspec.msgpack.encode((state.rows, sorted(state.documents.items())))

    def decode(self, data: bytes) -> TermState:
        """The state that `encode` wrote."""
        rows, documents = msgspec.msgpack.decode(data, type=tuple[int, list[tuple[str, int]]])
        return TermState(rows, dict(documents))

    @staticmethod
    def example() -> tuple[TermCounts, dict[str, Any]]:
        """For the laws."""
        return TermCounts("note", 1, 2), {"note": pl.Series(["a b", "b a b", "", "é", None, "c"])}
