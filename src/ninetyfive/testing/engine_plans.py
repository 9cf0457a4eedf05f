"""Plans, parts and functions for tests of engines: small, in memory, picklable, with values that are easily lost.

What does not belong here: what an engine must do with them (`engine_suite`).
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import polars as pl

from ninetyfive.hashing import bytes_hash
from ninetyfive.plan import Map, Part, Plan, Read

Types = dict[str, pl.DataType]


@dataclass(frozen=True, slots=True)
class FrameReader:
    """A `Reader` of parts that carry their rows themselves, as `frame_part` makes them."""

    def count(self, part: Part) -> int | None:
        """How many chunks the part has; None where it does not say."""
        return None if part.rows is None else len(part.rows)

    def read(
        self, part: Part, first: int = 0, last: int | None = None, columns: tuple[str, ...] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The chunks `first` to `last`."""
        options = dict(part.options)
        frame = pl.read_ipc(BytesIO(options["rows"]))
        chunks = list(frame.iter_slices(options["chunk"])) if frame.height else []
        for chunk in chunks[first:last]:
            yield chunk if columns is None else chunk.select(set(columns) & set(chunk.columns) or chunk.columns[0])


def frame_part(frame: pl.DataFrame, chunk: int = 3, known: bool = True, without: tuple[int, ...] = ()) -> Part:
    """A part with the rows of `frame` in chunks of `chunk` rows; `known`: whether it says how many there are."""
    stream = BytesIO()
    frame.write_ipc(stream)
    data = stream.getvalue()
    rows = tuple(min(chunk, frame.height - first) for first in range(0, frame.height, chunk)) if known else None
    return Part(bytes_hash(data), "frame", (("rows", data), ("chunk", chunk)), without, rows)


@dataclass(frozen=True, slots=True)
class SumCount:
    """Rows, nulls and the sum of a number column; the sum is rounded as it goes, so that its bytes tell the order."""

    column: str

    def zero(self) -> tuple[int, int, float]:
        """No rows."""
        return (0, 0, 0.0)

    def add(self, state: tuple[int, int, float], frame: pl.DataFrame) -> tuple[int, int, float]:
        """The state with the rows of a frame."""
        total = 0.0
        for value in frame[self.column].drop_nulls():
            total += value
        return self.merge(state, (frame.height, frame[self.column].null_count(), total))

    def merge(self, left: tuple[int, int, float], right: tuple[int, int, float]) -> tuple[int, int, float]:
        """The state of both."""
        return (left[0] + right[0], left[1] + right[1], left[2] + right[2])

    def result(self, state: tuple[int, int, float]) -> tuple[int, int, float]:
        """(rows, nulls, sum)."""
        return state

    def encode(self, state: tuple[int, int, float]) -> bytes:
        """24 bytes."""
        return struct.pack("<qqd", *state)

    def decode(self, data: bytes) -> tuple[int, int, float]:
        """The state that `encode` wrote."""
        rows, nulls, total = struct.unpack("<qqd", data)
        return (rows, nulls, total)


@dataclass(frozen=True, slots=True)
class Doubled:
    """Adds `twice` (2 × x); rejects rows whose x is negative. Each call leaves a line in `log`, if there is one."""

    log: str = ""

    def __call__(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as stream:
                stream.write(f"{frame.height}\n")
        bad = pl.col("x") < 0
        return (
            frame.filter(~bad.fill_null(False)).with_columns(twice=pl.col("x") * 2),
            frame.filter(bad.fill_null(False)).select("k", rule=pl.lit("negative")),
        )


@dataclass(frozen=True, slots=True)
class Raises:
    """Raises at the row where k is `at`."""

    at: int
    error: Exception

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        if self.at in frame["k"]:
            raise self.error
        return frame


@dataclass(frozen=True, slots=True)
class Sleeps:
    """Leaves a mark (an empty file), then sleeps for some seconds."""

    mark: str
    seconds: float

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        Path(self.mark).touch()
        time.sleep(self.seconds)
        return frame


@dataclass(frozen=True, slots=True)
class Gathers:
    """Gives back the rows of a partition of one input as they came, with the number of rows of each key (null: 0)."""

    keys: tuple[str, ...]

    def __call__(self, frames: tuple[pl.DataFrame, ...]) -> pl.DataFrame:
        (frame,) = frames
        known = pl.all_horizontal(pl.col(name).is_not_null() for name in self.keys)
        met = pl.when(known).then(pl.len().over(self.keys)).otherwise(0).cast(pl.Int64)
        return frame.with_columns(met=met)


@dataclass(frozen=True, slots=True)
class Joins:
    """A left join of two inputs on `keys`."""

    keys: tuple[str, ...]

    def __call__(self, frames: tuple[pl.DataFrame, ...]) -> pl.DataFrame:
        left, right = frames
        return left.join(right, on=self.keys, how="left", maintain_order="left_right")


@dataclass(frozen=True, slots=True)
class FirstOfEach:
    """The first row of each key: dedupe."""

    keys: tuple[str, ...]

    def __call__(self, frames: tuple[pl.DataFrame, ...]) -> pl.DataFrame:
        return frames[0].unique(self.keys, keep="first", maintain_order=True)


NUMBERS: Types = {"k": pl.Int64(), "x": pl.Float64()}
DOUBLED: Types = {**NUMBERS, "twice": pl.Float64()}
REJECTED: Types = {"k": pl.Int64(), "rule": pl.String()}


def columns(types: Mapping[str, pl.DataType]) -> tuple[tuple[str, pl.DataType], ...]:
    """Declared columns as a plan holds them."""
    return tuple(types.items())


def numbers(rows: int, seed: int = 0) -> pl.DataFrame:
    """Rows of k (0, 1, 2 …) and x: odd decimals, some null, some negative; `seed` shifts them."""
    values = [
        None if (k + seed) % 7 == 3 else ((k * 37 + seed * 11) % 101 - 20) / 10 + 1e9 * ((k + seed) % 3)
        for k in range(rows)
    ]
    return pl.DataFrame({"k": [k + 1000 * seed for k in range(rows)], "x": values}, schema=NUMBERS)


def read_of(*frames: pl.DataFrame, chunk: int = 3, known: bool = True, position: bool = False) -> Read:
    """A `Read` of frames in memory."""
    return Read(tuple(frame_part(frame, chunk, known) for frame in frames), FrameReader(), position=position)


def three(known: bool = True) -> Read:
    """Three parts of numbers, of 10, 1 and 7 rows in chunks of 3."""
    return read_of(numbers(10), numbers(1, 1), numbers(7, 2), known=known)


def doubled(plan: Plan, log: str = "") -> Map:
    """The accepted side of `Doubled`."""
    return Map(plan, Doubled(log), columns(DOUBLED))


def special_values() -> pl.DataFrame:
    """Four rows of what is easily lost: nulls, NaN, −0.0, infinities, zones, decimals, nested, large strings.

    `zoned` has both half past twos of the night in which the clocks of Berlin go back, and the end of the hour that the
    spring night lacks.
    """
    nights = [1_729_989_000_000_000, 1_729_992_600_000_000, 1_711_846_800_000_000, None]
    moment = datetime(1969, 12, 31, 23, 59, 59, 999_999)
    return pl.DataFrame(
        {
            "id": [0, 1, 2, 3],
            "integer": [2**63 - 1, -(2**63), 0, None],
            "number": [math.nan, -0.0, -math.inf, None],
            "boolean": [True, False, None, True],
            "string": ["", "x" * 300_000, "é\x00\u2028🙂", None],
            "naive": [moment, datetime(1, 1, 1), datetime(9999, 12, 31), None],
            "date": [date(1, 1, 1), date(1970, 1, 1), date(9999, 12, 31), None],
            "decimal": [Decimal("1.10"), Decimal("-0.01"), Decimal(10) ** 20, None],
            "list": [[], [1.5, None, math.nan], None, [0.0]],
            "struct": [{"a": None, "b": "x"}, {"a": 1, "b": None}, None, {"a": 2, "b": ""}],
            "bytes": [b"", b"\xff\x00", None, b"a"],
            "nothing": [None, None, None, None],
            "small": pl.Series([1, -1, None, 127], dtype=pl.Int8),
            "single": pl.Series([1.5, math.nan, None, -0.0], dtype=pl.Float32),
            "zoned": pl.Series(nights, dtype=pl.Int64).cast(pl.Datetime("us", "Europe/Berlin")),
        },
        schema_overrides={"decimal": pl.Decimal(38, 2), "nothing": pl.Null},
    ).with_columns(utc=pl.col("naive").dt.replace_time_zone("UTC"))
