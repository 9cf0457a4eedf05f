"""The plans of one job as one graph: every distinct node once, numbered, checked before anything is read.

    {"good": Write(Map(Read)), "stats": Reduce(Map(Read))}     0 Read ─▶ 1 Map ─▶ 2 Write
                                                                            └───▶ 3 Reduce

A *source* is a `Read` or a `Shuffle`: what chunks come from. Every other node has one source, found by following its
inputs through `Map` nodes. Shared by all engines.

What does not belong here: anything that touches rows (`chunks`, `partitioning`), or runs (`local` …).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from ninetyfive.errors import PlanError, near_names
from ninetyfive.plan import Map, Part, Plan, Read, Reduce, Shuffle, Write, inputs_of

KEY_TYPES = (pl.Boolean, pl.String, pl.Date, pl.Datetime, pl.Decimal)
"""What a key column may be, beside the integers and floats."""

MAX_SPANS = 1 << 18
MAX_PARTITIONS = 1 << 12

_SPAN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True)
class Graph:
    """Distinct nodes in an order where inputs come first; `inputs` and `origins` (its source) by node number."""

    nodes: tuple[Plan, ...]
    inputs: tuple[tuple[int, ...], ...]
    origins: tuple[int, ...]
    sinks: Mapping[str, int]

    def ranks(self, node: int) -> dict[str, int]:
        """The place of each span of `node` in canonical order: {span: 0, 1, …}; {"": 0} after a `Shuffle`."""
        source = self.nodes[self.origins[node]]
        spans = sorted(part.span for part in source.parts) if isinstance(source, Read) else [""]
        return {span: rank for rank, span in enumerate(spans)}


def graph_of(plans: Mapping[str, Plan]) -> Graph:
    """Number the distinct nodes of `plans` and check all that can be checked without data; else `PlanError`."""
    nodes: list[Plan] = []
    inputs: list[tuple[int, ...]] = []
    known: dict[object, int] = {}
    visited: dict[int, int] = {}

    def number(plan: Plan) -> int:
        if id(plan) in visited:
            return visited[id(plan)]
        below = tuple(number(source) for source in inputs_of(plan))
        identity = _identity(plan, below)
        _check_hashable(plan, identity)
        if identity not in known:
            known[identity] = len(nodes)
            nodes.append(plan)
            inputs.append(below)
        visited[id(plan)] = known[identity]
        return known[identity]

    sinks = {name: number(plan) for name, plan in plans.items()}
    origins: list[int] = []
    for index, plan in enumerate(nodes):
        origins.append(index if isinstance(plan, (Read, Shuffle)) else origins[inputs[index][0]])
    graph = Graph(tuple(nodes), tuple(inputs), tuple(origins), sinks)
    for index in range(len(nodes)):
        _check(graph, index)
    _check_urls(graph)
    return graph


def name_of(function: object) -> str:
    """How messages name a function: its qualified name, or that of its class."""
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def declared(plan: Plan) -> dict[str, pl.DataType] | None:
    """Names and dtypes of a plan's rows where they are declared: of a `Map` and a `Shuffle`; of a `Read` None."""
    return dict(plan.output) if isinstance(plan, (Map, Shuffle)) else None


def _identity(plan: Plan, below: tuple[int, ...]) -> object:
    match plan:
        case Read():
            return ("Read", plan)
        case Map():
            return ("Map", below, plan.function, plan.output, plan.side)
        case Reduce():
            return ("Reduce", below, plan.reducer, plan.by, plan.where)
        case Shuffle():
            return ("Shuffle", below, plan.keys, plan.function, plan.output, plan.order, plan.partitions)
        case Write():
            return ("Write", below, plan.url)


def _check_hashable(plan: Plan, identity: object) -> None:
    try:
        hash(identity)
    except TypeError as error:
        raise PlanError(
            type(plan).__name__,
            expected="functions, reducers, readers and options that compare by value",
            got=str(error),
            do="make them frozen dataclasses of tuples and plain values",
        ) from None


def _check(graph: Graph, index: int) -> None:
    plan = graph.nodes[index]
    for source in graph.inputs[index]:
        below = graph.nodes[source]
        if isinstance(below, (Reduce, Write)):
            raise PlanError(
                type(plan).__name__,
                expected="an input that has rows (Read, Map, Shuffle)",
                got=f"a {type(below).__name__}, which is an end",
                do="let the node read what the end reads",
            )
    match plan:
        case Read():
            _check_parts(plan.parts)
            if plan.columns == () and not plan.position:
                raise PlanError("Read.columns", expected="at least one column", got="none", do="name one, or say None")
        case Map():
            _check_output(f"Map {name_of(plan.function)}", plan.output)
            if plan.side not in ("accepted", "rejected"):
                raise PlanError("Map.side", expected="accepted or rejected", got=repr(plan.side), do="use one of them")
        case Reduce():
            schema = declared(graph.nodes[graph.inputs[index][0]])
            check_columns("Reduce.by", plan.by, schema)
            _check_key_types("Reduce.by", plan.by, schema)
            check_columns("Reduce.where", (plan.where,) if plan.where else (), schema)
        case Shuffle():
            _check_shuffle(plan)
        case Write():
            if not plan.url:
                raise PlanError("Write.url", expected="a folder", got="an empty string", do="name the attempt's folder")


def _check_parts(parts: tuple[Part, ...]) -> None:
    seen: set[str] = set()
    for part in parts:
        if not _SPAN_NAME.fullmatch(part.span):
            raise PlanError(
                f"Read of {part.url}",
                expected="a span named by its content hash (letters, digits, dot, dash, underscore)",
                got=repr(part.span),
                do="name the span by the hash of its content",
            )
        if part.span in seen:
            raise PlanError(
                f"Read of {part.url}",
                expected="each span once",
                got=f"span {part.span} twice",
                do="drop the second part: the same content is the same span",
            )
        seen.add(part.span)
    if len(parts) > MAX_SPANS:
        raise PlanError("Read", expected=f"at most {MAX_SPANS} parts", got=str(len(parts)), do="read fewer at a time")


def _check_output(where: str, output: tuple[tuple[str, pl.DataType], ...]) -> None:
    names = [name for name, _ in output]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise PlanError(where, expected="each output column once", got=f"{twice!r} twice", do="rename one of them")


def _check_shuffle(plan: Shuffle) -> None:
    where = f"Shuffle {name_of(plan.function)}"
    _check_output(where, plan.output)
    sizes_fit = len(plan.keys) == len(plan.inputs) and len(plan.order) in (0, len(plan.inputs))
    if not plan.inputs or not sizes_fit or not 1 <= plan.partitions <= MAX_PARTITIONS:
        raise PlanError(
            where,
            expected=f"keys for each input, an order for each or none, 1 to {MAX_PARTITIONS} partitions",
            got=f"{len(plan.inputs)} inputs, {len(plan.keys)} keys, {len(plan.order)} orders, "
            f"{plan.partitions} partitions",
            do="give each input its keys",
        )
    kinds: list[tuple[pl.DataType, ...]] = []
    for side, source in enumerate(plan.inputs):
        schema = declared(source)
        if schema is None:
            raise PlanError(
                f"{where}, input {side}",
                expected="an input with declared columns (Map or Shuffle)",
                got="a Read",
                do="put relations.rows_of(read, columns) between",
            )
        check_columns(f"{where}, keys of input {side}", plan.keys[side], schema)
        check_columns(f"{where}, order of input {side}", plan.order[side] if plan.order else (), schema)
        _check_key_types(f"{where}, keys of input {side}", plan.keys[side], schema)
        kinds.append(tuple(schema[name] for name in plan.keys[side]))
    for side, kind in enumerate(kinds):
        if kind != kinds[0] or not kind:
            raise PlanError(
                f"{where}, keys of input {side}",
                expected=f"at least one key, of the dtypes of input 0: {', '.join(map(str, kinds[0])) or 'none'}",
                got=", ".join(map(str, kind)) or "none",
                do="cast the keys to one dtype in a Map before the Shuffle",
            )


def check_columns(where: str, wanted: Iterable[str], known: Iterable[str] | None) -> None:
    """Raise `PlanError` naming the first column of `wanted` that is not in `known` (None: not known yet)."""
    if known is None:
        return
    columns = list(known)
    for name in wanted:
        if name not in columns:
            raise PlanError(where, expected="columns of its input", got=repr(name), do=near_names(name, columns))


def _check_key_types(where: str, keys: Iterable[str], schema: Mapping[str, pl.DataType] | None) -> None:
    if schema is not None:
        for name in keys:
            check_key_type(where, name, schema[name])


def check_key_type(where: str, name: str, dtype: pl.DataType) -> None:
    """Raise `PlanError` if a column of `dtype` cannot be a key."""
    if dtype.is_integer() or dtype.is_float() or isinstance(dtype, KEY_TYPES):
        return
    raise PlanError(
        f"{where}, column {name!r}",
        expected="a boolean, number, string, date or timestamp",
        got=str(dtype),
        do="make the key a column of one of these types in a Map",
    )


def _check_urls(graph: Graph) -> None:
    urls: set[str] = set()
    for plan in graph.nodes:
        if not isinstance(plan, Write):
            continue
        url = plan.url.rstrip("/")
        if url in urls:
            raise PlanError(
                f"Write {plan.url}",
                expected="one folder per Write",
                got="two that share one",
                do="give each its folder",
            )
        urls.add(url)
