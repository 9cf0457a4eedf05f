"""A reducer: a summary of rows that can be made in pieces, stored, and merged later.

    zero() ─ add(state, frame) ─▶ state ─┐
    zero() ─ add(state, frame) ─▶ state ─┴─ merge ─▶ state ─ result ─▶ answer

Laws, tested on every reducer found in this folder (`ninetyfive.testing.reducer_laws`): zero is the identity of merge;
merge is associative and commutative, and any split of the rows gives the same result (exactly, or within the bound
that the reducer states); `decode(encode(state))` is the state; neither `add` nor `merge` changes its arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import polars as pl

State = TypeVar("State")
Result = TypeVar("Result", covariant=True)


class Reducer(Protocol[State, Result]):
    """A mergeable summary; a frozen dataclass whose fields are plain data (columns, sizes), compared by value."""

    def zero(self) -> State:
        """The state of no rows."""
        ...

    def add(self, state: State, frame: pl.DataFrame) -> State:
        """The state with the rows of `frame` added."""
        ...

    def merge(self, left: State, right: State) -> State:
        """The state of the rows of both, `left` before `right`."""
        ...

    def result(self, state: State) -> Result:
        """The answer, as plain data."""
        ...

    def encode(self, state: State) -> bytes:
        """The state as bytes; equal states, equal bytes."""
        ...

    def decode(self, data: bytes) -> State:
        """The state that `encode` wrote."""
        ...
