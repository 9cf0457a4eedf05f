"""A part as a job reads it: once, for all `Read` nodes that name it, chunk by chunk.

    part ─ reader ─▶ chunk ─┬─ columns, positions, rows left out of Read 1 ─▶ …
                            └─ … of Read 2 ─▶ …

Shared by all engines. What does not belong here: where and when parts are read (`local`, `tasks`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from ninetyfive.engines.chunks import Blamed, End, Evaluation, rows_of_part
from ninetyfive.engines.graph import Graph, check_columns, name_of
from ninetyfive.errors import PlanError
from ninetyfive.plan import Part, Read, Reader


@dataclass(frozen=True, eq=False)
class PartReads:
    """One part, the nodes that read it with the positions that each leaves out, the place of its span in each."""

    part: Part
    reader: Reader
    reads: Mapping[int, tuple[Read, np.ndarray]]
    ranks: Mapping[int, int]

    @property
    def chunks(self) -> int | None:
        """How many chunks the part has; None where only reading it tells."""
        return None if self.part.rows is None else len(self.part.rows)

    def count(self) -> int | None:
        """How many chunks the part has, by its reader where it does not say; None where only reading tells."""
        with self._blamed():
            return self.reader.count(self.part) if self.part.rows is None else len(self.part.rows)

    def stream(self, first: int = 0, last: int | None = None) -> Iterator[pl.DataFrame]:
        """The chunks `first` to `last` of a part of which it does not say how many it has, one after the other."""
        with self._blamed():
            yield from self.reader.read(self.part, first, last, self.columns)

    def load(self, chunk: int) -> pl.DataFrame:
        """One chunk of a part of which it is known how many it has."""
        with self._blamed():
            frames = list(self.reader.read(self.part, chunk, chunk + 1, self.columns))
        if len(frames) != 1:
            raise PlanError(
                self._name,
                expected=f"one frame for chunk {chunk} of {self.chunks}",
                got=f"{len(frames)} frames",
                do="let `rows` of the part and its reader agree",
            )
        return frames[0]

    def partials(self, graph: Graph, ends: tuple[End, ...], chunk: int, loaded: pl.DataFrame) -> dict[End, Any]:
        """The partial results of a chunk, for those of `ends` that have rows of it."""
        if not set(self.columns or ()) <= set(loaded.columns):
            with self._blamed():
                whole = next(iter(self.reader.read(self.part)), loaded)
            check_columns(f"Read of {self.part.url}", self.columns or (), whole.columns)
        sources = {
            number: rows_of_part(read, self.part, without, chunk, loaded)
            for number, (read, without) in self.reads.items()
        }
        return Evaluation(graph, sources, self.part.span, chunk).partials(ends, self.ranks)

    @cached_property
    def columns(self) -> tuple[str, ...] | None:
        """All columns that any node needs, in the order first named; None (all) where one does not say."""
        names: dict[str, None] = {}
        for read, _ in self.reads.values():
            if read.columns is None:
                return None
            names.update(dict.fromkeys(read.columns))
        return tuple(names)

    @property
    def _name(self) -> str:
        return f"reader {name_of(self.reader)} of {self.part.url}"

    def _blamed(self) -> Blamed:
        return Blamed(self._name, "check the file, or the reader")


def parts_of(graph: Graph) -> list[PartReads]:
    """Every part and reader of a graph once, in canonical order; what the nodes leave out and take may differ."""
    shared: dict[tuple[Reader, Part], dict[int, tuple[Read, np.ndarray]]] = {}
    ranks = {number: graph.ranks(number) for number in set(graph.origins)}
    for number, plan in enumerate(graph.nodes):
        for part in plan.parts if isinstance(plan, Read) else ():
            assert isinstance(plan, Read)
            without = np.array(part.without, dtype=np.int64)
            lean = replace(plan, parts=())
            shared.setdefault((plan.reader, replace(part, without=())), {})[number] = (lean, without)
    found = [
        PartReads(part, reader, reads, {number: ranks[number][part.span] for number in reads})
        for (reader, part), reads in shared.items()
    ]
    return sorted(found, key=lambda one: (one.part.span, one.part.url))
