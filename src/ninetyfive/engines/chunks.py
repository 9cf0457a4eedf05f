"""What is done to one chunk, whatever the engine: rows of a part ─▶ Map … Map ─▶ one partial result per end.

    frame ─▶ rows_of_part ─▶ evaluate ─▶ {End: state │ {key: state} │ frame │ (frame, borders)}

An *end* is where rows leave the graph: a `Reduce`, a `Write`, rows asked for, or one input of a `Shuffle`. Partial
results of a span are joined in the order of its chunks (states by `merging`); an end that saw no row has none.

What does not belong here: threads, files, the order in which chunks run (`local` …).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Literal

import numpy as np
import polars as pl

from ninetyfive.engines.graph import Graph, check_columns, check_key_type, declared, name_of
from ninetyfive.engines.merging import Merging
from ninetyfive.engines.partitioning import in_order, piece_number, split_by, spread
from ninetyfive.errors import EngineError, NinetyfiveError, PlanError
from ninetyfive.plan import CHUNK_ROWS, POSITION, SPAN, Map, Part, Plan, Read, Reduce, RowFunction, Shuffle, Write

_SHOWN = 600


@dataclass(frozen=True, slots=True)
class End:
    """Where rows of node `source` leave the graph: into node `node` (its input `side`), or as rows asked for."""

    kind: Literal["state", "file", "rows", "meeting"]
    node: int
    source: int
    side: int = 0


class Blamed(AbstractContextManager[None]):
    """Turn any exception of foreign code inside into an `EngineError` that says where; ours pass unchanged."""

    def __init__(self, where: str, do: str) -> None:
        self._where = where
        self._do = do

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (Exception, pl.exceptions.PanicException)) and not isinstance(error, NinetyfiveError):
            got = f"{type(error).__name__}: {error}"
            shown = got if len(got) <= _SHOWN else got[:_SHOWN] + " …"
            raise EngineError(self._where, expected="no exception", got=shown, do=self._do) from error


class _Rowwise(AbstractContextManager[None]):
    """`Blamed` for a row function on a chunk, which also says which row it was that the function cannot take."""

    def __init__(self, function: RowFunction, frame: pl.DataFrame, place: str) -> None:
        self._function = function
        self._frame = frame
        self._place = place

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (Exception, pl.exceptions.PanicException)) and not isinstance(error, NinetyfiveError):
            row = _failing_row(self._function, self._frame)
            name = name_of(self._function)
            where = f"function {name} on {self._place}" + ("" if row is None else f", row {row}")
            with Blamed(where, f"fix {name}, it must take any rows of its input"):
                raise error


def _failing_row(function: RowFunction, frame: pl.DataFrame) -> int | None:
    """The number of a row that a row-wise function raises at, found by halving; None where no row alone does it."""
    first, rows = 0, frame.height
    while rows > 1:
        half = rows // 2
        if not _raises(function, frame.slice(first, half)):
            first, half = first + half, rows - half
        rows = half
    return first if _raises(function, frame.slice(first, 1)) else None


def _raises(function: RowFunction, frame: pl.DataFrame) -> bool:
    try:
        with Blamed("one row", "fix it"):
            function(frame)
    except NinetyfiveError:
        return True
    return False


def ends_of(graph: Graph) -> tuple[End, ...]:
    """Every end of a graph, in the order of its nodes."""
    ends: list[End] = []
    wanted = set(graph.sinks.values())
    for number, plan in enumerate(graph.nodes):
        below = graph.inputs[number]
        match plan:
            case Reduce():
                ends.append(End("state", number, below[0]))
            case Write():
                ends.append(End("file", number, below[0]))
            case Shuffle():
                ends.extend(End("meeting", number, source, side) for side, source in enumerate(below))
        if number in wanted and not isinstance(plan, (Reduce, Write)):
            ends.append(End("rows", number, number))
    return tuple(ends)


def place(span: str, chunk: int) -> str:
    """How messages name a chunk."""
    return f"span {span[:12]}, chunk {chunk}" if span else f"shuffled rows, chunk {chunk}"


def rows_of_part(read: Read, part: Part, without: np.ndarray, chunk: int, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that `read` wants of chunk number `chunk` of a part, given all its rows; `without`: part.without."""
    if frame.height > CHUNK_ROWS:
        raise PlanError(
            f"Read of {part.url}",
            expected=f"chunks of at most {CHUNK_ROWS} rows",
            got=f"{frame.height} rows in chunk {chunk}",
            do="let the reader cut its chunks smaller",
        )
    first = chunk * CHUNK_ROWS
    positions = pl.Series(POSITION, np.arange(first, first + frame.height, dtype=np.int64))
    names = frame.columns if read.columns is None else read.columns
    check_columns(f"Read of {part.url}", names, frame.columns)
    if read.position:
        frame = frame.with_columns(pl.lit(part.span).alias(SPAN), positions)
        names = (*names, SPAN, POSITION)
    frame = frame.select(names)
    low, high = np.searchsorted(without, (first, first + len(positions)))
    if low < high:
        keep = np.ones(len(positions), dtype=bool)
        keep[without[low:high] - first] = False
        frame = frame.filter(pl.Series(keep))
    return frame


class Evaluation:
    """The nodes of a graph on one chunk: each node, and each function of two sides, computed once.

    `sources` gives the rows of each source that this chunk feeds; `ranks` the place of the span by source.
    """

    def __init__(self, graph: Graph, sources: Mapping[int, pl.DataFrame], span: str, chunk: int) -> None:
        self._graph = graph
        self._rows = {node: frame.rechunk() for node, frame in sources.items()}
        self._sides: dict[tuple[int, object], tuple[pl.DataFrame, pl.DataFrame | None]] = {}
        self._splits: dict[tuple[int, str | None, tuple[str, ...]], list[tuple[tuple[Any, ...], pl.DataFrame]]] = {}
        self._chunk = chunk
        self._place = place(span, chunk)

    def partials(self, ends: tuple[End, ...], ranks: Mapping[int, int]) -> dict[End, Any]:
        """The partial result of each end that this chunk has rows for; `ranks`: place of the span, by source node."""
        found: dict[End, Any] = {}
        for end in ends:
            origin = self._graph.origins[end.source]
            if origin not in self._rows:
                continue
            frame = self._rows_of(end.source)
            plan = self._graph.nodes[end.node]
            if isinstance(plan, Reduce) and end.kind == "state":
                frame = self._where(plan, frame)
                if frame.height:
                    found[end] = self._state(plan, end.source, frame)
            elif frame.height == 0:
                continue
            elif isinstance(plan, Shuffle) and end.kind == "meeting":
                found[end] = spread(frame, plan.keys[end.side], plan.partitions, ranks[origin], self._chunk)
            else:
                found[end] = frame
        return found

    def _rows_of(self, node: int) -> pl.DataFrame:
        if node not in self._rows:
            plan = self._graph.nodes[node]
            assert isinstance(plan, Map)
            frame = self._rows_of(self._graph.inputs[node][0])
            self._rows[node] = self._mapped(node, plan, frame) if frame.height else pl.DataFrame(schema=plan.output)
        return self._rows[node]

    def _mapped(self, node: int, plan: Map, frame: pl.DataFrame) -> pl.DataFrame:
        name = name_of(plan.function)
        key = (self._graph.inputs[node][0], plan.function)
        if key not in self._sides:
            with _Rowwise(plan.function, frame, self._place):
                made = plan.function(frame)
            accepted, rejected = made if isinstance(made, tuple) else (made, None)
            self._sides[key] = (accepted, rejected)
        accepted, rejected = self._sides[key]
        if plan.side == "rejected" and rejected is None:
            raise PlanError(
                f"function {name}",
                expected="two frames, accepted and rejected",
                got="one frame",
                do="let it return (accepted, rejected), or ask for the accepted side",
            )
        return check_output(f"function {name}", rejected if plan.side == "rejected" else accepted, plan.output)

    def _where(self, plan: Reduce, frame: pl.DataFrame) -> pl.DataFrame:
        if plan.where is None or not frame.width:
            return frame
        check_columns("Reduce.where", (plan.where,), frame.columns)
        if frame.schema[plan.where] != pl.Boolean:
            raise PlanError(
                f"Reduce.where, column {plan.where!r}",
                expected="Boolean",
                got=str(frame.schema[plan.where]),
                do="make it a comparison in a Map",
            )
        return frame.filter(pl.col(plan.where)).rechunk()

    def _state(self, plan: Reduce, source: int, frame: pl.DataFrame) -> Any:
        reducer = plan.reducer
        where = f"reducer {name_of(reducer)} on {self._place}"
        if not plan.by:
            with Blamed(where, "fix its add, or give it the columns it needs"):
                return reducer.add(reducer.zero(), frame)
        check_columns("Reduce.by", plan.by, frame.columns)
        for name in plan.by:
            check_key_type("Reduce.by", name, frame.schema[name])
        with Blamed(where, "fix its add, or give it the columns it needs"):
            split = (source, plan.where, plan.by)
            if split not in self._splits:
                self._splits[split] = split_by(frame, plan.by)
            return {key: reducer.add(reducer.zero(), rows) for key, rows in self._splits[split]}


def check_output(where: str, frame: object, output: tuple[tuple[str, pl.DataType], ...]) -> pl.DataFrame:
    """The frame, in one piece, if its columns are the declared ones in their order; else `PlanError`."""
    if not isinstance(frame, pl.DataFrame):
        raise PlanError(where, expected="a Polars frame", got=type(frame).__name__, do="return a frame")
    if list(frame.schema.items()) != list(output):
        raise PlanError(
            where,
            expected="the declared columns: " + _columns(output),
            got=_columns(tuple(frame.schema.items())),
            do="let the function return what `output` declares, names, dtypes and order",
        )
    return frame.rechunk()


def _columns(columns: tuple[tuple[str, pl.DataType], ...]) -> str:
    text = ", ".join(f"{name} {dtype}" for name, dtype in columns) or "none"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"


def met(plan: Shuffle, partition: int, sides: Sequence[pl.DataFrame | None]) -> pl.DataFrame:
    """What the function of a `Shuffle` makes of a whole partition: the rows of each side with `__row`, in any order."""
    if all(frame is None for frame in sides):
        return pl.DataFrame(schema=plan.output)
    frames = []
    for side, (source, frame) in enumerate(zip(plan.inputs, sides, strict=True)):
        order = plan.order[side] if plan.order else ()
        nothing = pl.DataFrame(schema=declared(source) or {})
        frames.append(nothing if frame is None else in_order(frame, plan.keys[side], order))
    name = name_of(plan.function)
    with Blamed(f"function {name} on partition {partition}", f"fix {name}, it must take any rows of its inputs"):
        made = plan.function(tuple(frames))
    return check_output(f"function {name}", made, plan.output)


def pieces_of(partition: int, rows: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows that a `Shuffle` made of a partition as numbered chunks."""
    for piece, frame in enumerate(rows.iter_slices(CHUNK_ROWS) if rows.height else ()):
        yield piece_number(partition, piece), frame


def merging_of(graph: Graph, end: End) -> Merging[Any]:
    """An empty tree for the states of a `Reduce`."""
    plan = graph.nodes[end.node]
    assert isinstance(plan, Reduce)
    return Merging(partial(joined, plan))


def nothing_of(graph: Graph, end: End) -> Any:
    """The state of a `Reduce` over no rows."""
    plan = graph.nodes[end.node]
    assert isinstance(plan, Reduce)
    return {} if plan.by else plan.reducer.zero()


def one_frame(plan: Plan, frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The rows asked for as one frame, given those of each chunk."""
    if not frames:
        return pl.DataFrame(schema=declared(plan) or {})
    odd = next((frame for frame in frames if frame.schema != frames[0].schema), None)
    if odd is not None:
        raise PlanError(
            "Read",
            expected=f"chunks with the same columns: {frames[0].schema}",
            got=f"{odd.schema}",
            do="put a Map with declared output over the Read",
        )
    return pl.concat(frames).rechunk()


def joined(plan: Reduce, left: Any, right: Any) -> Any:
    """Two states of a `Reduce`, `left` before `right`; neither argument is changed but a keyed `left`."""
    merge = plan.reducer.merge
    with Blamed(f"reducer {name_of(plan.reducer)}", "fix its merge"):
        if not plan.by:
            return merge(left, right)
        for key, state in right.items():
            left[key] = merge(left[key], state) if key in left else state
        return left
