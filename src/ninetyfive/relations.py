"""Verbs that are made of the five nodes: functions from plans to plans, which no engine knows.

    read ─▶ rows_of ─▶ (a Map that declares its columns)
    read ─▶ fingerprint of each row ─▶ Shuffle on the id ─▶ repeated_ids: who is a duplicate, who is in conflict

A verb here takes plans and plain values, and returns a plan. Its functions are frozen dataclasses, so that equal verbs
are equal plans. What does not belong here: verbs that need a schema, features or a store (`steps`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from ninetyfive.errors import PlanError, near_names
from ninetyfive.hashing import series_hash
from ninetyfive.plan import POSITION, SPAN, Map, Plan, Read, Reduce, Shuffle, Write, inputs_of

VERDICT = "verdict"
DUPLICATE = "duplicate"
CONFLICT = "conflict"

_CONTENT = ("__content_low", "__content_high")
_SEEDS = (95, 5)


def rows_of(plan: Plan, columns: Mapping[str, pl.DataType]) -> Map:
    """The `columns` of a plan's rows with their dtypes declared, as a `Shuffle` wants its inputs.

    A column that is missing or of another dtype is a `PlanError` when the plan runs.
    """
    return Map(plan, Columns(tuple(columns)), tuple(columns.items()))


def has_keys(keys: Iterable[str]) -> pl.Expr:
    """Whether a row has a value in every column of `keys` (Boolean): what can meet others in a `Shuffle`.

    >>> frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"]})
    >>> frame.filter(has_keys(["a", "b"])).rows()
    [(1, 'x')]
    """
    return pl.all_horizontal(pl.col(name).is_not_null() for name in keys)


def repeated_ids(plans: Sequence[Plan], ids: Mapping[str, pl.DataType]) -> Shuffle:
    """The rows whose id occurs more than once: `__span` (String), `__position` (Int64), `verdict` (String).

    The rows of all `plans` are judged together (say, new files and earlier spans). Each is a `Read` with
    `position=True`, or a `Map` that kept `__span` and `__position`; all have the same other columns; `ids` are the id
    columns and their dtypes. A row is a "duplicate" if it is not the first of its id in canonical order and all rows of
    its id are equal in all columns (NaN equals NaN, −0.0 equals 0.0, null equals null), a "conflict" if rows of its id
    differ. Rows with a null in their id are never repeated.

    Only the ids, a hash of 2 × 64 bits of all columns, span and position travel. The hash is not cryptographic: whoever
    can choose contents could make two rows of one id look equal.
    """
    for name in ids:
        if name in (SPAN, POSITION):
            raise PlanError("repeated_ids", expected="id columns of the data", got=repr(name), do="name other columns")
    spans = tuple(sorted({span for plan in plans for span in _spans(plan)}))
    content = tuple((name, pl.UInt64()) for name in _CONTENT)
    travelling = (*ids.items(), *content, (SPAN, pl.Enum(spans)), (POSITION, pl.Int64()))
    inputs = tuple(Map(plan, Fingerprints(tuple(ids), spans), travelling) for plan in plans)
    output = ((SPAN, pl.String()), (POSITION, pl.Int64()), (VERDICT, pl.String()))
    return Shuffle(inputs, (tuple(ids),) * len(inputs), RepeatedIds(tuple(ids)), output)


def shared_ids(plans: Sequence[Plan], ids: Mapping[str, pl.DataType]) -> Shuffle:
    """The rows whose id stands more than once, whatever else is in them: `__span` (String), `__position` (Int64).

    `plans` and `ids` are as for `repeated_ids`; only the ids, span and position are read and travel.
    """
    spans = tuple(sorted({span for plan in plans for span in _spans(plan)}))
    travelling = (*ids.items(), (SPAN, pl.Enum(spans)), (POSITION, pl.Int64()))
    inputs = tuple(Map(plan, IdPlaces(tuple(ids), spans), travelling) for plan in plans)
    output = ((SPAN, pl.String()), (POSITION, pl.Int64()))
    return Shuffle(inputs, (tuple(ids),) * len(inputs), SharedIds(tuple(ids)), output)


def _spans(plan: Plan) -> set[str]:
    """The spans whose rows a plan of `Read` and `Map` nodes gives, where the `Read` adds positions."""
    match plan:
        case Read(position=True):
            return {part.span for part in plan.parts}
        case Map():
            return _spans(*inputs_of(plan))
        case Read() | Shuffle() | Reduce() | Write():
            raise PlanError(
                "repeated_ids",
                expected="rows of a Read with position=True, perhaps through Map nodes",
                got=f"a {type(plan).__name__}" + (" with position=False" if isinstance(plan, Read) else ""),
                do="read with position=True",
            )


@dataclass(frozen=True, slots=True)
class Columns:
    """Picks columns by name."""

    names: tuple[str, ...]

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        _check_present(self.names, frame)
        return frame.select(self.names)


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Reduces each row to its id, a 128-bit hash of all its columns but span and position, and where it is."""

    ids: tuple[str, ...]
    spans: tuple[str, ...]

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        _check_present((*self.ids, SPAN, POSITION), frame)
        low, high = content_hashes(frame.drop(SPAN, POSITION))
        return frame.select(
            *self.ids,
            low.alias(_CONTENT[0]),
            high.alias(_CONTENT[1]),
            pl.col(SPAN).cast(pl.Enum(self.spans)),
            POSITION,
        )


@dataclass(frozen=True, slots=True)
class IdPlaces:
    """Reduces each row to its id and where it is."""

    ids: tuple[str, ...]
    spans: tuple[str, ...]

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        _check_present((*self.ids, SPAN, POSITION), frame)
        return frame.select(*self.ids, pl.col(SPAN).cast(pl.Enum(self.spans)), POSITION)


@dataclass(frozen=True, slots=True)
class SharedIds:
    """Picks the rows of a partition whose id stands more than once, those of all inputs together."""

    ids: tuple[str, ...]

    def __call__(self, frames: tuple[pl.DataFrame, ...]) -> pl.DataFrame:
        keys = [_one_zero(name, frames[0].schema[name]) for name in self.ids]
        rows = pl.concat(frames).filter(has_keys(self.ids)).with_columns(keys)
        shared = rows.filter(rows.select(self.ids).is_duplicated()).sort(SPAN, POSITION)
        return shared.select(pl.col(SPAN).cast(pl.String), POSITION)


@dataclass(frozen=True, slots=True)
class RepeatedIds:
    """Judges the rows of a partition, those of all inputs together."""

    ids: tuple[str, ...]

    def __call__(self, frames: tuple[pl.DataFrame, ...]) -> pl.DataFrame:
        keys = [_one_zero(name, frames[0].schema[name]) for name in self.ids]
        rows = pl.concat(frames).filter(has_keys(self.ids)).with_columns(keys)
        rows = rows.filter(rows.select(self.ids).is_duplicated()).sort(SPAN, POSITION)
        contents = pl.struct(_CONTENT).n_unique().over(self.ids)
        place = pl.int_range(pl.len()).over(self.ids)
        verdict = pl.when(contents > 1).then(pl.lit(CONFLICT)).when(place > 0).then(pl.lit(DUPLICATE))
        return rows.select(pl.col(SPAN).cast(pl.String), POSITION, verdict.alias(VERDICT)).drop_nulls()


def content_hashes(frame: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Two 64-bit hashes (UInt64) of each row over all columns, taken by name, so that their order does not matter.

    By Polars' own hash: ten times faster than `hashing`, and enough here, where hashes are compared within one job and
    never stored. Columns whose Polars hash is not one of the values (categories, nested) are hashed by `hashing` first.
    """
    columns = [_hashable(frame[name]) for name in sorted(frame.columns)]
    return tuple(pl.DataFrame(columns).hash_rows(seed) for seed in _SEEDS)  # type: ignore[return-value]


def _hashable(series: pl.Series) -> pl.Series:
    dtype = series.dtype
    if dtype.is_nested() or isinstance(dtype, (pl.Categorical, pl.Enum, pl.Object)):
        return pl.Series(series.name, series_hash(series))
    return series


def _one_zero(name: str, dtype: pl.DataType) -> pl.Expr:
    return (pl.col(name) + 0.0).cast(dtype).alias(name) if dtype.is_float() else pl.col(name)


def _check_present(names: tuple[str, ...], frame: pl.DataFrame) -> None:
    for name in names:
        if name not in frame.columns:
            raise PlanError(
                "columns of a plan", expected=repr(name), got="no such column", do=near_names(name, frame.columns)
            )
