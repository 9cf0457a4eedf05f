"""The states of a span's chunks on their way to one: merged along a binary tree that the chunk numbers alone fix.

    level 2          0 … 3               node (level, n) covers chunks n·2^level up to (n + 1)·2^level
    level 1      0, 1     2, 3           its halves are merged left before right; where one has no rows,
    level 0     0    1   2    –          it is the other

Whoever merges, in whatever order states come, makes the same merges: a worker that has chunks 8 to 15 makes node (3, 1)
of them, and sends one state in place of eight. Shared by all engines.

What does not belong here: how two states are merged (`chunks.joined`), and the order of spans (`plan.merge_states`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from ninetyfive.errors import EngineError

State = TypeVar("State")


class Merging(Generic[State]):
    """Nodes of one tree; two halves are merged as soon as both are there, so that few nodes are held at a time.

    `join(left, right)` merges two states and may change `left`; None stands for "no rows".

    >>> tree = Merging(lambda left, right: f"({left}{right})")
    >>> for chunk, state in ((2, "c"), (0, "a"), (1, "b"), (3, None), (4, "e")):
    ...     tree.add(0, chunk, state)
    >>> tree.total()
    '(((ab)c)e)'
    """

    def __init__(self, join: Callable[[State, State], State]) -> None:
        self._join = join
        self.nodes: dict[tuple[int, int], State | None] = {}

    def add(self, level: int, number: int, state: State | None) -> None:
        """Add a node of which all chunks are merged; `EngineError` for one that is there already, or in another."""
        if any(at >= level and place == number >> (at - level) for at, place in self.nodes):
            raise EngineError(
                f"state {number} of level {level} of a span",
                expected="each state once",
                got="one that was merged already",
                do="run again; if it happens again, the engine delivers messages twice",
            )
        while (level, number ^ 1) in self.nodes:
            other = self.nodes.pop((level, number ^ 1))
            left, right = (other, state) if number & 1 else (state, other)
            state = self._joined(left, right)
            level, number = level + 1, number >> 1
        self.nodes[level, number] = state

    def settle(self, level: int, number: int) -> None:
        """Say that no more chunks below this node come: it is made of those that came."""
        if any(at > level and place == number >> (at - level) for at, place in self.nodes):
            return  # all its chunks came, and it was merged on already
        below = Merging(self._join)
        for node in [node for node in self.nodes if node[0] <= level and node[1] >> (level - node[0]) == number]:
            below.nodes[node] = self.nodes.pop(node)
        self.add(level, number, below._raised(level))

    def total(self) -> State | None:
        """The state of all chunks, once all have come; None where none had rows."""
        return self._raised(None)

    def _joined(self, left: State | None, right: State | None) -> State | None:
        if left is None or right is None:
            return right if left is None else left
        return self._join(left, right)

    def _raised(self, level: int | None) -> State | None:
        """Raise the lowest nodes, whose other halves do not come, until one is left (at `level`, if given)."""
        while self.nodes:
            low, number = min(self.nodes)
            if len(self.nodes) == 1 and (level is None or low == level):
                return self.nodes[low, number]
            self.add(low + 1, number >> 1, self.nodes.pop((low, number)))
        return None
