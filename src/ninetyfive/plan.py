"""A plan: what shall be done to data, as data. An engine: one method that does it.

    Read ─▶ Map ─▶ Reduce          five kinds of node and no more (a test counts them);
              ├──▶ Shuffle ─▶ …    a step builds plans and never imports an engine,
              └──▶ Write           an engine runs plans and knows no step

Rules that every engine keeps, so that the same data gives the same bytes on each of them:

- A *span* is one source file or one in-memory frame, named by its content hash. A *chunk* is at most
  `CHUNK_ROWS` consecutive rows of a span. Canonical order is the span's hash, then the chunk's number.
- `Map` sees one chunk at a time, never an empty one, and is row-wise: f(a ++ b) = f(a) ++ f(b).
- `Reduce` makes one state per chunk (`add(zero(), chunk)`), then merges a span's states along a binary tree that the
  numbers of its chunks fix: 0 with 1, 2 with 3, then 0–1 with 2–3 … (`engines.merging`), so that workers can merge what
  they have. What an engine returns is one state per span; `merge_states` merges the spans in canonical order.
- `Shuffle` brings rows with equal keys into the same hash partition, each input sorted by key, then `order`, then
  span and row (nulls last). NaN equals NaN; −0.0 equals 0.0. A row with a null among its keys meets nothing: such
  rows are spread over the partitions by position, reach the function with that null, and it must not match them
  (`relations.has_keys` tells). What comes after a shuffle is one span, named "", its chunks in partition order.
- Equal plans are one plan: a node that occurs twice is computed once, and a part that several `Read` nodes name is
  read once.
- A `Reduce` or a `Write` is an end: no node reads it. What a `Shuffle` reads declares its columns, so it is a `Map` or
  a `Shuffle` (`relations.rows_of` makes one of a `Read`); key columns are equal in number and dtype.

What does not belong here: how a file is read (`sources`), how anything is executed (`engines`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from ninetyfive.reducers.reducer import Reducer

if TYPE_CHECKING:
    import polars as pl

CHUNK_ROWS = 131_072
PARTITION_MEMORY = 2 << 30
"""How many bytes the rows of one partition of a `Shuffle` may take where nothing else is said: it is held whole."""
CHECKED_BLOCK = 262_144
SPAN = "__span"
POSITION = "__position"


@dataclass(frozen=True, slots=True)
class Part:
    """One span as a `Read` names it: `span` (its content hash), `url`, and `options` for the reader, all plain data.

    `without` lists positions (chunk × CHUNK_ROWS + row in the chunk, ascending) of rows that are left out: by the
    engine, readers know nothing of it. `rows` are the rows of each chunk where that is known before reading: the chunks
    of such a part may be read in any order, several at once; those of other parts are read one after the other.
    """

    span: str
    url: str
    options: tuple[tuple[str, Any], ...] = ()
    without: tuple[int, ...] = ()
    rows: tuple[int, ...] | None = None


class Reader(Protocol):
    """How the chunks of a part are read; picklable, compared by value (a frozen dataclass)."""

    def count(self, part: Part) -> int | None:
        """How many chunks the part has, or None where only reading it tells (text files)."""
        ...

    def read(
        self, part: Part, first: int = 0, last: int | None = None, columns: tuple[str, ...] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The chunks `first` to `last` (exclusive; None: to the end) in order, each a frame of 1 to CHUNK_ROWS rows.

        Where `columns` is given, a reader that can read less does: at least those of them that it has, and at least one
        column. An engine picks from what it gets, and it is the engine that says what is missing.
        """
        ...


class RowFunction(Protocol):
    """What a `Map` does: frame → frame or (accepted, rejected); pure, row-wise, picklable, compared by value."""

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame | tuple[pl.DataFrame, pl.DataFrame]: ...


class PartitionFunction(Protocol):
    """What a `Shuffle` does: one frame per input (a whole hash partition, sorted) → one frame; pure, picklable."""

    def __call__(self, frames: tuple[pl.DataFrame, ...]) -> pl.DataFrame: ...


@dataclass(frozen=True, slots=True)
class Read:
    """Rows of `parts`, each span once; `columns` (None: all) are read.

    `position=True` adds `__span` (String) and `__position` (Int64: chunk × CHUNK_ROWS + row in the chunk).
    """

    parts: tuple[Part, ...]
    reader: Reader
    columns: tuple[str, ...] | None = None
    position: bool = False


@dataclass(frozen=True, slots=True)
class Map:
    """Rows after `function`; of a function that rejects rows, `side` says which of its two frames.

    `output` declares the names and dtypes of the side taken; an engine checks it on every chunk (`PlanError`).
    """

    input: Plan
    function: RowFunction
    output: tuple[tuple[str, pl.DataType], ...]
    side: Literal["accepted", "rejected"] = "accepted"


@dataclass(frozen=True, slots=True)
class Reduce:
    """A summary of the rows by `reducer`; per key of `by` where given; of the rows where column `where` is true.

    A key is the tuple that `key_of` makes; null is a key of its own, None.
    """

    input: Plan
    reducer: Reducer[Any, Any]
    by: tuple[str, ...] = ()
    where: str | None = None


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Rows of several inputs met by equal keys: `keys[i]` are the key columns of input i, equal in number and dtype.

    `function` sees each of `partitions` hash partitions that has rows once, whole, sorted as the rules above say, by
    `order[i]` (none where `order` is ()). Its result must not depend on how keys are spread over partitions, but for
    the order of its rows. A partition is held in memory whole, so all rows of one key must fit.
    """

    inputs: tuple[Plan, ...]
    keys: tuple[tuple[str, ...], ...]
    function: PartitionFunction
    output: tuple[tuple[str, pl.DataType], ...]
    order: tuple[tuple[str, ...], ...] = ()
    partitions: int = 16


@dataclass(frozen=True, slots=True)
class Write:
    """Rows written as Parquet under folder `url`: one file per span (row groups are chunks), page checksums on.

    A file is `<span>.parquet` (`shuffled.parquet` after a `Shuffle`); a span without rows has one too, and a file
    that is there already is an error. The files are an attempt: nothing counts them until a manifest names them.
    """

    input: Plan
    url: str


Plan = Read | Map | Reduce | Shuffle | Write


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file that a `Write` made: its span ("" after a `Shuffle`), url, sha256 of its bytes, rows of each row group.

    `checks` is the XXH3-64 of each `CHECKED_BLOCK` bytes (256 KiB) of the file, 16 hex digits each: what
    `sources.spans` reads is verified against it, block by block, before it is decoded.
    """

    span: str
    url: str
    sha256: str
    rows: tuple[int, ...]
    checks: str = ""


@runtime_checkable
class Engine(Protocol):
    """What runs plans. One method; `jobs` counts its calls that had a plan to run.

    `run({name: plan}) -> {name: result}` runs many sinks in one job. The result of a `Reduce` is `{span: state}`
    (`{span: {key tuple: state}}` with `by`), span "" after a `Shuffle`; of a `Write` a tuple of `WrittenFile` in
    canonical order; of a `Read`, `Map` or `Shuffle` the rows themselves as one frame in canonical order (small
    results). A span whose rows were none has the state `zero()`. A run that fails leaves no file of its own behind.
    """

    jobs: int

    def run(self, plans: Mapping[str, Plan]) -> dict[str, Any]: ...


def key_of(values: Iterable[Any]) -> tuple[Any, ...]:
    """The key of a keyed `Reduce`: scalars as row dicts have them, NaN as the one `math.nan`, −0.0 as 0.0.

    >>> key_of([1, None, -0.0, "a"])
    (1, None, 0.0, 'a')
    >>> key_of([float("nan")]) == key_of([float("nan")])
    True
    """
    return tuple((math.nan if v != v else v + 0.0) if isinstance(v, float) else v for v in values)


def merge_states(reducer: Reducer[Any, Any], spans: Mapping[str, Any]) -> Any:
    """Merge `{span: state}` in canonical order, left to right; an empty mapping gives `zero()`."""
    state: Any = None
    for span in sorted(spans):
        state = spans[span] if state is None else reducer.merge(state, spans[span])
    return reducer.zero() if state is None else state


def merge_keyed(
    reducer: Reducer[Any, Any], spans: Mapping[str, Mapping[tuple[Any, ...], Any]]
) -> dict[tuple[Any, ...], Any]:
    """Merge `{span: {key: state}}` in canonical order into `{key: state}`; keys in the order they first occur."""
    merged: dict[tuple[Any, ...], Any] = {}
    for span in sorted(spans):
        for key, state in spans[span].items():
            key = key_of(key)
            merged[key] = reducer.merge(merged[key], state) if key in merged else state
    return merged


def result_of(reducer: Reducer[Any, Any], spans: Mapping[str, Any]) -> Any:
    """The result of a reducer over `{span: state}`."""
    return reducer.result(merge_states(reducer, spans))


def inputs_of(plan: Plan) -> tuple[Plan, ...]:
    """The plans that a node reads, in order; () for a `Read`."""
    if isinstance(plan, Read):
        return ()
    return plan.inputs if isinstance(plan, Shuffle) else (plan.input,)


def walk(plan: Plan, visit: Callable[[Plan], None]) -> None:
    """Call `visit` on each distinct node, inputs before those that read them."""
    seen: set[Plan] = set()

    def step(node: Plan) -> None:
        if node in seen:
            return
        seen.add(node)
        for source in inputs_of(node):
            step(source)
        visit(node)

    step(plan)
