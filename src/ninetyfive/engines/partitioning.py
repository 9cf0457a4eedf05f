"""Which rows meet, and in which order: the one place that says what equal keys are.

    row ─▶ canonical keys ─▶ stable hash ─▶ partition 0 … n−1 ─▶ sorted by keys, order, span, row

NaN equals NaN, −0.0 equals 0.0, null equals nothing (in a `Shuffle`) or is a key of its own (in a keyed `Reduce`).
Shared by all engines, so that each of them spreads and orders the same rows the same way.

What does not belong here: where partitions are kept (`spilling`), or when they run (`local` …).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from ninetyfive.engines.graph import name_of
from ninetyfive.errors import EngineError, PlanError
from ninetyfive.hashing import mix, row_hash
from ninetyfive.plan import Shuffle, key_of

ROW = "__row"
"""The column (UInt64) that a frame carries through a shuffle: span rank, chunk and row, in canonical order."""

_ROW_BITS = 24
_CHUNK_BITS = 22
PARTITION_LEVEL = 10
"""The level of `merging` on which a node is a partition: the chunks that a `Shuffle` makes of one are below it."""


def canonical(name: str, dtype: pl.DataType) -> pl.Expr:
    """Column `name` with one NaN and one zero, so that equal keys are equal bits."""
    if not dtype.is_float():
        return pl.col(name)
    return pl.when(pl.col(name).is_nan()).then(float("nan")).otherwise(pl.col(name) + 0.0).cast(dtype).alias(name)


def piece_number(partition: int, piece: int) -> int:
    """The chunk number of the `piece`-th chunk that a `Shuffle` makes of a partition."""
    if piece >> PARTITION_LEVEL:
        raise PlanError(
            f"Shuffle, partition {partition}",
            expected=f"at most {1 << PARTITION_LEVEL} chunks in a partition",
            got="more",
            do="raise `partitions` of the Shuffle",
        )
    return (partition << PARTITION_LEVEL) | piece


def spread(
    frame: pl.DataFrame, keys: tuple[str, ...], partitions: int, rank: int, chunk: int
) -> tuple[pl.DataFrame, tuple[int, ...]]:
    """The rows of a chunk in partition order with their `__row`, and where each partition begins (partitions + 1).

    `rank` is the place of the chunk's span in canonical order. Rows whose keys hold a null go by their position.
    """
    within = np.uint64(chunk << _ROW_BITS) + np.arange(frame.height, dtype=np.uint64)
    hashes = row_hash(frame, keys)
    lost = frame.select(pl.any_horizontal(pl.col(name).is_null() for name in keys)).to_series().to_numpy()
    partition = (np.where(lost, mix(within), hashes) % np.uint64(partitions)).astype(np.int64)
    rows = within + np.uint64(rank << (_ROW_BITS + _CHUNK_BITS))
    spread_out = frame.with_columns(pl.Series(ROW, rows))[np.argsort(partition, kind="stable")]
    return spread_out, (0, *np.cumsum(np.bincount(partition, minlength=partitions)).tolist())


def check_room(plan: Shuffle, partition: int, sides: Sequence[Sequence[pl.DataFrame]], room: int) -> None:
    """`EngineError` where the rows of a partition, in pieces by side, take over `room` bytes; names a heavy key."""
    sizes = [sum(piece.estimated_size() for piece in pieces) for pieces in sides]
    if sum(sizes) <= room:
        return
    side = sizes.index(max(sizes))
    names = plan.keys[side]
    rows = pl.concat([piece.select(canonical(name, piece.schema[name]) for name in names) for piece in sides[side]])
    (*key, most) = rows.group_by(names).len(ROW).sort(ROW, descending=True).row(0)
    heavy = ", ".join(f"{name}={value!r}" for name, value in zip(names, key, strict=True))
    split = f", or handle the rows of {heavy} apart" if most * 2 > rows.height else ""
    raise EngineError(
        f"Shuffle {name_of(plan.function)}, input {side}, partition {partition}",
        expected=f"rows that fit into partition_memory, {room:,} bytes",
        got=f"{sum(sizes):,} bytes or more; of the first {rows.height:,} rows {most:,} have {heavy}",
        do=f"raise partition_memory of the engine in ninetyfive.toml, or partitions= of the Shuffle{split}",
    )


def in_order(frame: pl.DataFrame, keys: tuple[str, ...], order: tuple[str, ...]) -> pl.DataFrame:
    """A whole partition sorted by keys, `order`, then canonical order of rows; nulls last; `__row` taken off."""
    by = [canonical(name, frame.schema[name]) for name in (*keys, *order)]
    return frame.sort([*by, pl.col(ROW)], nulls_last=True).drop(ROW)


def split_by(frame: pl.DataFrame, by: tuple[str, ...]) -> list[tuple[tuple[Any, ...], pl.DataFrame]]:
    """(key, rows) for each distinct key of `by` in the order keys first occur; keys as `plan.key_of` makes them."""
    names = [f"__key_{number}" for number in range(len(by))]
    keys = frame.select(_scalar(name, frame.schema[name]).alias(alias) for name, alias in zip(by, names, strict=True))
    groups = keys.with_row_index(ROW).group_by(names, maintain_order=True).agg(ROW)
    # The rows of all groups are gathered once, one group after the other; a group is then a slice.
    gathered = frame[groups[ROW].explode()] if frame.height else frame
    ends = groups[ROW].list.len().cum_sum().to_list()
    return [
        (key_of(key), gathered.slice(start, end - start))
        for key, start, end in zip(groups.select(names).rows(), [0, *ends], ends, strict=False)
    ]


def _scalar(name: str, dtype: pl.DataType) -> pl.Expr:
    """A key column as the scalars of row dicts: times in µs, dates in days."""
    if isinstance(dtype, pl.Datetime):
        return pl.col(name).dt.cast_time_unit("us").to_physical()
    if dtype == pl.Date:
        return pl.col(name).to_physical()
    return canonical(name, dtype)
