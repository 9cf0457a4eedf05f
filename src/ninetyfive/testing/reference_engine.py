"""An engine in a hundred plain lines: one row, one chunk, one thing after the other. What `engine_suite` compares with.

It says what the rules of `plan` mean without any cleverness: keys met in a dict, rows sorted by a Python key, states
merged by halves. Everything is held in memory and computed again for each sink. It shares with real engines only the
stable hash, the checks of a plan, and the Parquet writer.

What does not belong here: speed, threads, bounded memory, messages for broken functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from ninetyfive.engines.graph import declared, graph_of
from ninetyfive.engines.writing import Folder, SpanWriter
from ninetyfive.hashing import mix, row_hash
from ninetyfive.plan import CHUNK_ROWS, POSITION, SPAN, Map, Plan, Read, Reduce, Shuffle, Write, WrittenFile, key_of

Chunk = tuple[int, pl.DataFrame]
Spans = dict[str, list[Chunk]]


class ReferenceEngine:
    """An `Engine` that is plainly right and slow."""

    def __init__(self) -> None:
        self.jobs = 0

    def run(self, plans: Mapping[str, Plan]) -> dict[str, Any]:
        """Run the plans one after the other."""
        if not plans:
            return {}
        graph_of(plans)
        self.jobs += 1
        return {name: _result(plan) for name, plan in plans.items()}


def _result(plan: Plan) -> Any:
    if isinstance(plan, Reduce):
        return {span: _reduced(plan, chunks) for span, chunks in _spans(plan.input).items()}
    if isinstance(plan, Write):
        return _written(plan)
    frames = [frame for chunks in _spans(plan).values() for _, frame in chunks if frame.height]
    return pl.concat(frames) if frames else pl.DataFrame(schema=declared(plan) or {})


def _spans(plan: Plan) -> Spans:
    """The numbered chunks of each span, spans in canonical order."""
    if isinstance(plan, Read):
        return {part.span: list(_read(plan, number)) for number, part in sorted(enumerate(plan.parts), key=_by_span)}
    if isinstance(plan, Map):
        return {
            span: [(number, _mapped(plan, frame)) for number, frame in chunks if frame.height]
            for span, chunks in _spans(plan.input).items()
        }
    assert isinstance(plan, Shuffle)
    return {"": list(_shuffled(plan))}


def _by_span(numbered: tuple[int, Any]) -> str:
    return str(numbered[1].span)


def _read(plan: Read, number: int) -> Iterator[Chunk]:
    part = plan.parts[number]
    left_out = set(part.without)
    for chunk, frame in enumerate(plan.reader.read(part)):
        rows = frame
        positions = [chunk * CHUNK_ROWS + row for row in range(frame.height)]
        if plan.position:
            rows = rows.with_columns(pl.lit(part.span).alias(SPAN), pl.Series(POSITION, positions, pl.Int64))
        if plan.columns is not None:
            rows = rows.select(*plan.columns, *((SPAN, POSITION) if plan.position else ()))
        yield chunk, rows.filter(pl.Series([position not in left_out for position in positions], dtype=pl.Boolean))


def _mapped(plan: Map, frame: pl.DataFrame) -> pl.DataFrame:
    made = plan.function(frame)
    if isinstance(made, tuple):
        made = made[plan.side == "rejected"]
    assert list(made.schema.items()) == list(plan.output)
    return made


def _reduced(plan: Reduce, chunks: list[Chunk]) -> Any:
    reducer = plan.reducer
    states: dict[int, dict[tuple[Any, ...], Any]] = {}
    for number, frame in chunks:
        rows = frame.filter(pl.col(plan.where)) if plan.where and frame.width else frame
        groups: dict[tuple[Any, ...], list[int]] = {}
        for row, key in enumerate(_keys(rows, plan.by) if plan.by else [()] * rows.height):
            groups.setdefault(key, []).append(row)
        states[number] = {key: reducer.add(reducer.zero(), rows[numbers]) for key, numbers in groups.items()}
    size = 1
    while size <= max(states, default=0):
        size *= 2
    merged = _merged(plan, states, 0, size)
    return merged if plan.by else merged.get((), reducer.zero())


def _merged(
    plan: Reduce, states: dict[int, dict[tuple[Any, ...], Any]], first: int, size: int
) -> dict[tuple[Any, ...], Any]:
    """The states of `size` chunks (a power of two) from `first` on: of the first half, merged with the second."""
    if size == 1 or not any(first <= chunk < first + size for chunk in states):
        return states.get(first, {})
    half = size // 2
    left, right = (_merged(plan, states, start, half) for start in (first, first + half))
    both = {key: plan.reducer.merge(state, right[key]) for key, state in left.items() if key in right}
    return {**left, **right, **both}


def _keys(frame: pl.DataFrame, names: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Each row's key in the scalars of row dicts: times in µs, dates in days."""
    columns = [frame[name].cast(pl.Int64) if frame.schema[name].is_temporal() else frame[name] for name in names]
    return [key_of(row) for row in zip(*columns, strict=True)]


def _written(plan: Write) -> tuple[WrittenFile, ...]:
    folder = Folder(plan.url)
    files = []
    for span, chunks in _spans(plan.input).items():
        writer = SpanWriter(folder, span)
        for _, frame in chunks:
            if frame.height:
                writer.add(frame)
        files.append(writer.close(pl.DataFrame(schema=declared(plan.input) or {})))
    return tuple(files)


def _shuffled(plan: Shuffle) -> Iterator[Chunk]:
    gathered = [_gathered(plan, side) for side in range(len(plan.inputs))]
    for partition in range(plan.partitions):
        frames = []
        for side, (frame, places) in enumerate(gathered):
            names = (*plan.keys[side], *(plan.order[side] if plan.order else ()))
            mine = [row for row, place in enumerate(places) if place == partition]
            ranks = {row: tuple(_rank(frame[name][row]) for name in names) for row in mine}
            frames.append(frame[sorted(mine, key=lambda row: ranks[row])])
        if any(frame.height for frame in frames):
            rows = plan.function(tuple(frames))
            assert list(rows.schema.items()) == list(plan.output)
            for piece, frame in enumerate(rows.iter_slices(CHUNK_ROWS) if rows.height else ()):
                yield partition * 1024 + piece, frame


def _gathered(plan: Shuffle, side: int) -> tuple[pl.DataFrame, list[int]]:
    """All rows of an input in canonical order, and the partition of each."""
    keys = plan.keys[side]
    frames, places = [pl.DataFrame(schema=declared(plan.inputs[side]))], []
    for chunks in _spans(plan.inputs[side]).values():
        for number, frame in chunks:
            frames.append(frame)
            spread = mix(number * 2**24 + pl.int_range(frame.height, dtype=pl.UInt64, eager=True).to_numpy()).tolist()
            for key, by_key, by_place in zip(
                frame.select(keys).rows(), row_hash(frame, keys).tolist(), spread, strict=True
            ):
                places.append((by_place if None in key else by_key) % plan.partitions)
    return pl.concat(frames), places


def _rank(value: Any) -> tuple[int, Any]:
    """A sort key that puts NaN behind numbers and null behind all."""
    if value is None:
        return (2, 0)
    if isinstance(value, float) and math.isnan(value):
        return (1, 0)
    return (0, value)
