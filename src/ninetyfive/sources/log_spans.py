"""The spans of a request log as rows of a source: what a request held, and what was known of it later.

    span ─ without the log's own columns and those that are hashed ─┬─ left join by request_id ─▶ raw rows
    labels, one row an id ──────────────────────────────────────────┘

The rule: a row is what a request was, so that a model made of it takes requests: what the service answered is no column
of it, and a hashed column is not what a client will send. What does not belong here: where labels come from (`labels`),
writing spans (`supervise.rotation`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import msgspec
import polars as pl

from ninetyfive.errors import SourceError
from ninetyfive.inference import Guess
from ninetyfive.plan import Part
from ninetyfive.schema import LOGGED, logical_type
from ninetyfive.sources import parquet_files
from ninetyfive.sources.files import LOG_COLUMNS
from ninetyfive.values import Text

ABOUT = b"ninetyfive.log"
"""Under which key the footer of a span holds its `SpanAbout`."""
ID = LOG_COLUMNS[0]


class SpanAbout(msgspec.Struct, frozen=True):
    """What a span says of itself: the `segment` it was made of (XXH3-128 of its bytes), how many `records` it holds.

    `first` and `last`: when the earliest and the latest of its requests came, µs UTC. `lost` records and `lost_bytes`
    could not be read. `policy` names the columns that are not what was sent: "hash" or "drop". `rowless` records hold
    no row: an entity was asked for by its key, or what was sent broke the schema.
    """

    segment: str
    records: int
    first: int
    last: int
    lost: int = 0
    lost_bytes: int = 0
    policy: dict[str, Literal["keep", "hash", "drop"]] = {}
    rowless: int = 0


def about(part: Part) -> SpanAbout:
    """What a span says of itself; a file that is no span of a request log raises `SourceError`."""
    with parquet_files.opened(part) as file:
        try:
            return msgspec.json.decode((file.metadata.metadata or {})[ABOUT], type=SpanAbout)
        except (KeyError, msgspec.MsgspecError):
            do = "name the folder of the log, or put other files elsewhere"
            got = "another Parquet file"
            raise SourceError(part.url, expected="a span of a request log", got=got, do=do) from None


@dataclass(frozen=True, slots=True)
class RequestLogReader:
    """Chunks of the spans of a request log, as typed columns, with those of `known`: an id and labels, one row an id.

    `labels` is the hash of `known`; a part that was found with other labels raises `SourceError`.
    """

    labels: str = ""
    known: pl.DataFrame | None = field(default=None, compare=False, repr=False)

    @property
    def text(self) -> Text:
        """How `Conform` takes the raw columns."""
        return "typed"

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns that are joined."""
        return () if self.known is None else tuple(name for name in self.known.columns if name != ID)

    def count(self, part: Part) -> int | None:
        """How many chunks the part has; only reading tells where records have no row."""
        return None if about(part).rowless else parquet_files.count(part)

    def read(
        self, part: Part, first: int = 0, last: int | None = None, columns: tuple[str, ...] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The chunks `first` to `last`, each row with what is known of its id, null where nothing is.

        Records without a row are left out.
        """
        if dict(part.options).get("labels", "") != self.labels:
            do = "run again"
            raise SourceError(part.url, expected="the labels that were found", got="others", do=do)
        rows = [guess.name for guess in self._rows(part) if columns is None or guess.name in columns]
        more = [name for name in self.label_columns if columns is None or name in columns]
        if not rows and not more:
            rows = [ID]
        for found in self._found(part, first, last, tuple(dict.fromkeys((*rows, ID)))):
            frame = found
            if more and self.known is not None:
                frame = found.join(self.known.select(ID, *more), on=ID, how="left", maintain_order="left")
            yield frame.select(*rows, *more)

    @staticmethod
    def _found(part: Part, first: int, last: int | None, columns: tuple[str, ...]) -> Iterator[pl.DataFrame]:
        if not about(part).rowless:
            yield from parquet_files.read(part, first, last, columns)
            return
        whole = (
            frame.filter(pl.any_horizontal(pl.exclude(*LOGGED).is_not_null())).select(columns)
            for frame in parquet_files.read(part, 0, None, None)
        )
        yield from islice((frame for frame in whole if frame.height), first, last)

    def names(self, part: Part) -> dict[str, str | None]:
        """Column → logical type."""
        return {guess.name: guess.type for guess in self.inspect(part)}

    def inspect(self, part: Part) -> tuple[Guess, ...]:
        """What the footer tells of each column, and what the labels are."""
        rows = self._rows(part)
        known = () if self.known is None else self.known.select(self.label_columns).iter_columns()
        return (*rows, *(Guess(column.name, logical_type(column.dtype), rows[0].rows) for column in known))

    def _rows(self, part: Part) -> tuple[Guess, ...]:
        """The columns of the span that are of a request, and `LOG_COLUMNS`."""
        hidden = {name for name in LOGGED if name not in LOG_COLUMNS}
        span = about(part)
        hidden |= {name for name, kept in span.policy.items() if kept == "hash"}
        return tuple(_of_rows(guess, span.rowless) for guess in parquet_files.inspect(part) if guess.name not in hidden)


def _of_rows(guess: Guess, rowless: int) -> Guess:
    """What the footer tells of a column, but for the records without a row: there a column of the request is null."""
    nulls = guess.nulls
    if nulls is not None and guess.name not in LOG_COLUMNS:
        nulls -= rowless
    return msgspec.structs.replace(guess, rows=guess.rows - rowless, nulls=nulls)
