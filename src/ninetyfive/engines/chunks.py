"""What is done to one chunk, whatever the engine: rows of a part ─▶ Map … Map ─▶ one partial result per end.

    frame ─▶ rows_of_part ─▶ evaluate ─▶ {End: state │ {key: state} │ frame │ (frame, borders)}

An *end* is where rows leave the graph: a `Reduce`, a `Write`, rows asked for, or one input of a `Shuffle`. Partial
results of a span are joined in the order of its chunks (`joined` for states); an end that saw no row has none.

What does not belong here: threads, files, the order in which chunks run (`local` …).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import numpy as np
import polars as pl

from ninetyfive.engines.graph import Graph, check_columns, check_key_type, name_of
from ninetyfive.engines.partitioning import split_by, spread
from ninetyfive.errors import EngineError, NinetyfiveError, PlanError
from ninetyfive.plan import CHUNK_ROWS, POSITION, SPAN, Map, Part, Read, Reduce, Shuffle, Write

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
            f"{name_of(read.reader)} of {part.url}",
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
            with Blamed(f"function {name} on {self._place}", f"fix {name}, it must take any rows of its input"):
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


def joined(plan: Reduce, left: Any, right: Any) -> Any:
    """Two partial results of a `Reduce`, `left` before `right`; neither argument is changed but a keyed `left`."""
    merge = plan.reducer.merge
    with Blamed(f"reducer {name_of(plan.reducer)}", "fix its merge"):
        if not plan.by:
            return merge(left, right)
        for key, state in right.items():
            left[key] = merge(left[key], state) if key in left else state
        return left
