"""The laws of reducers as checks that run over any reducer, ours and third parties'.

    state(a) ─┐                  any split, any order, stored or not:
    state(b) ─┴─ merge ─▶ s  =   add(zero(), a ++ b), exactly or within what the reducer states

**The convention.** A class in `ninetyfive.reducers` that has the six methods of `Reducer` is found by walking the
package, so it must say how it is tested; that is all a new reducer needs:

- `example()` (staticmethod, required) → `(reducer, columns)`: an instance (small limits, so that its sketch overflows
  on few rows) and `{column: Polars dtype}` of the frames it takes. Where a column may hold only certain values
  (a probability, a class), give a `pl.Series` of them, edge cases and null included, instead of the dtype.
- `agrees(left, right, rows)` (method, optional) → bool: whether two results over the same `rows` (a frame, all of
  them, in any order) are the same answer within the stated bound. Without it results must be equal, NaN equal to NaN.

    @staticmethod
    def example() -> tuple["Spread", dict[str, pl.DataType | pl.Series]]:
        return Spread("x"), {"x": pl.Float64()}

A third party calls `reducer_laws(reducer, columns)` for its own. What does not belong here: what a reducer's answer
should be (each reducer's own tests know that).
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import itertools
import math
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, cast

import msgspec
import numpy as np
import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ninetyfive.reducers.reducer import Reducer

AnyReducer = Reducer[Any, Any]
Columns = Mapping[str, pl.DataType | type[pl.DataType] | pl.Series]
Law = Callable[[AnyReducer, pl.DataFrame, Sequence[int]], None]

_METHODS = ("zero", "add", "merge", "result", "encode", "decode")
_EPOCH = 1_700_000_000_000_000
_VALUES: dict[type[pl.DataType], st.SearchStrategy[Any]] = {
    pl.Boolean: st.booleans(),
    pl.Int64: st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1), st.integers(2**53 - 2, 2**53 + 2)),
    pl.Float64: st.one_of(
        st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, math.nan, math.inf, -math.inf]),
        st.floats(-1e9, 1e9, allow_nan=False),
    ),
    pl.String: st.one_of(st.sampled_from(["", "a", "b", "é", "a\x00", "A"]), st.text(max_size=40)),
    pl.Datetime: st.one_of(st.integers(_EPOCH, _EPOCH + 3), st.integers(-(10**15), 10**16)),
    pl.Date: st.integers(-10_000, 40_000),
}


def find_reducers(package: ModuleType) -> list[type[AnyReducer]]:
    """Every reducer class defined in a module of `package`: those with the six methods, protocols left out."""
    found: list[type[AnyReducer]] = []
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        module = importlib.import_module(info.name)
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ != module.__name__ or getattr(kind, "_is_protocol", False):
                continue
            if all(callable(getattr(kind, name, None)) for name in _METHODS):
                found.append(cast(type[AnyReducer], kind))
    return found


def example_of(kind: type[AnyReducer]) -> tuple[AnyReducer, Columns]:
    """What `kind.example()` gives; an AssertionError that says what to add where there is none."""
    example = getattr(kind, "example", None)
    assert callable(example), (
        f"{kind.__module__}.{kind.__name__} is a reducer without an example: add a staticmethod `example()` that "
        "returns (an instance, {column: Polars dtype or pl.Series of the values it takes}); "
        "see ninetyfive.testing.reducer_laws"
    )
    reducer, columns = example()
    assert isinstance(reducer, kind), f"{kind.__name__}.example() must return an instance of {kind.__name__} first"
    return reducer, cast(Columns, columns)


def frames(columns: Columns, max_rows: int = 40) -> st.SearchStrategy[pl.DataFrame]:
    """Frames of 0 to `max_rows` rows with these columns: nulls, all null, NaN, ±inf, −0.0, ints over 2**53."""
    return st.integers(0, max_rows).flatmap(
        lambda rows: st.tuples(*(_series(name, kind, rows) for name, kind in columns.items())).map(pl.DataFrame)
    )


def _series(name: str, kind: Any, rows: int) -> st.SearchStrategy[pl.Series]:
    if isinstance(kind, pl.Series):
        dtype, values = kind.dtype, st.sampled_from(kind.to_physical().to_list())
    else:
        dtype = kind() if isinstance(kind, type) else kind
        values = _VALUES.get(type(dtype), st.none())
    nullable = st.one_of(values, values, values, st.none())
    cells = st.one_of(
        st.lists(nullable, min_size=rows, max_size=rows),
        st.lists(values, min_size=rows, max_size=rows),
        st.just([None] * rows),
    )
    physical = pl.Series([], dtype=dtype).to_physical().dtype
    return cells.map(lambda cells: pl.Series(name, cells, dtype=physical).cast(dtype))


def same(left: Any, right: Any) -> bool:
    """Whether two plain results are equal, NaN equal to NaN; structs, dataclasses and arrays by their parts."""
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    if isinstance(left, pl.DataFrame | pl.Series):
        return bool(left.equals(right, null_equal=True))
    if isinstance(left, msgspec.Struct):
        return all(same(getattr(left, name), getattr(right, name)) for name in left.__struct_fields__)
    if dataclasses.is_dataclass(left):
        return all(same(getattr(left, part.name), getattr(right, part.name)) for part in dataclasses.fields(left))
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def agree(reducer: AnyReducer, left: Any, right: Any, rows: pl.DataFrame) -> bool:
    """Whether two results over `rows` are one answer: by the reducer's `agrees` where it has one, else equal."""
    agrees = getattr(reducer, "agrees", None)
    return bool(agrees(left, right, rows)) if agrees is not None else same(left, right)


def _pieces(frame: pl.DataFrame, cuts: Sequence[int]) -> list[pl.DataFrame]:
    edges = [0, *sorted(min(cut, frame.height) for cut in cuts), frame.height]
    return [frame[start:stop] for start, stop in itertools.pairwise(edges)]


def _states(reducer: AnyReducer, frame: pl.DataFrame, cuts: Sequence[int]) -> list[Any]:
    return [reducer.add(reducer.zero(), piece) for piece in _pieces(frame, cuts)]


def _merged(reducer: AnyReducer, states: Sequence[Any]) -> Any:
    state = states[0]
    for other in states[1:]:
        state = reducer.merge(state, other)
    return state


def _expect(reducer: AnyReducer, left: Any, right: Any, rows: pl.DataFrame, law: str) -> None:
    one, two = reducer.result(left), reducer.result(right)
    assert agree(reducer, one, two, rows), f"{reducer!r} breaks {law}: {one!r} is not {two!r}"


def identity(reducer: AnyReducer, frame: pl.DataFrame, cuts: Sequence[int]) -> None:
    """Merging with `zero()` on either side gives the same bytes."""
    for state in _states(reducer, frame, cuts):
        expected = reducer.encode(state)
        assert reducer.encode(reducer.merge(reducer.zero(), state)) == expected, (
            f"{reducer!r}: zero() is no left identity"
        )
        assert reducer.encode(reducer.merge(state, reducer.zero())) == expected, (
            f"{reducer!r}: zero() is no right identity"
        )


def associativity(reducer: AnyReducer, frame: pl.DataFrame, cuts: Sequence[int]) -> None:
    """Merging from the left and from the right give the same answer."""
    states = _states(reducer, frame, cuts)
    right = states[-1]
    for state in reversed(states[:-1]):
        right = reducer.merge(state, right)
    _expect(reducer, _merged(reducer, states), right, frame, "associativity")


def commutativity(reducer: AnyReducer, frame: pl.DataFrame, cuts: Sequence[int]) -> None:
    """Merging in the opposite order gives the same answer."""
    states = _states(reducer, frame, cuts)
    _expect(reducer, _merged(reducer, states), _merged(reducer, states[::-1]), frame, "commutativity")


def splits(reducer: AnyReducer, frame: pl.DataFrame, cuts: Sequence[int]) -> None:
    """Any split of the rows, merged or added one after the other, gives the answer of all rows at once."""
    whole = reducer.add(reducer.zero(), frame)
    _expect(reducer, _merged(reducer, _states(reducer, frame, cuts)), whole, frame, "split and merge")
    added = reducer.zero()
    for piece in _pieces(frame, cuts):
        added = reducer.add(added, piece)
    _expect(reducer, added, whole, frame, "split and add")


def determinism(reducer: AnyReducer, frame: pl.DataFrame, cuts: Sequence[int]) -> None:
    """The same chunks in the same order give the same bytes, twice."""
    once, twice = (reducer.encode(_merged(reducer, _states(reducer, frame, cuts))) for _ in range(2))
    assert once == twice, f"{reducer!r}: the same rows gave other bytes"
    assert isinstance(once, bytes), f"{reducer!r}: encode() must give bytes"


def storage(reducer: AnyReducer, frame: pl.DataFrame, cuts: Sequence[int]) -> None:
    """A state survives `decode(encode(state))`, and a stored state merges to the bytes of a fresh one."""
    states = _states(reducer, frame, cuts)
    stored = [reducer.decode(reducer.encode(state)) for state in states]
    for state, read in zip(states, stored, strict=True):
        assert reducer.encode(read) == reducer.encode(state), f"{reducer!r}: decode(encode(state)) is not the state"
        assert same(reducer.result(read), reducer.result(state)), f"{reducer!r}: a stored state answers otherwise"
    assert reducer.encode(_merged(reducer, stored)) == reducer.encode(_merged(reducer, states)), (
        f"{reducer!r}: stored states merge to other bytes than fresh ones"
    )


def purity(reducer: AnyReducer, frame: pl.DataFrame, cuts: Sequence[int]) -> None:
    """Neither `add`, `merge` nor `result` changes what it is given."""
    copy = frame.clone()
    states = _states(reducer, frame, cuts)
    before = [reducer.encode(state) for state in states]
    merged = _merged(reducer, states)
    between = reducer.encode(merged)
    reducer.result(reducer.add(merged, frame))
    reducer.result(merged)
    assert [reducer.encode(state) for state in states] == before, (
        f"{reducer!r}: merge changed a state that it was given"
    )
    assert reducer.encode(merged) == between, f"{reducer!r}: add or result changed the state that it was given"
    assert frame.equals(copy, null_equal=True), f"{reducer!r}: add changed the frame that it was given"


def emptiness(reducer: AnyReducer, frame: pl.DataFrame, cuts: Sequence[int]) -> None:  # noqa: ARG001
    """A frame of no rows changes no answer, and `result(zero())` answers."""
    zero = reducer.result(reducer.zero())
    assert same(reducer.result(reducer.add(reducer.zero(), frame.clear())), zero), f"{reducer!r}: no rows is not zero()"
    state = reducer.add(reducer.zero(), frame)
    assert same(reducer.result(reducer.add(state, frame.clear())), reducer.result(state)), (
        f"{reducer!r}: adding no rows changed the answer"
    )


LAWS: tuple[Law, ...] = (identity, associativity, commutativity, splits, determinism, storage, purity, emptiness)


def check_law(law: Law, reducer: AnyReducer, columns: Columns, *, examples: int = 40, max_rows: int = 40) -> None:
    """Check one law on `examples` frames of at most `max_rows` rows, cut anywhere; the shrunk failure is raised."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(frame=frames(columns, max_rows), cuts=st.lists(st.integers(0, max_rows), max_size=4))
    def run(frame: pl.DataFrame, cuts: list[int]) -> None:
        law(reducer, frame, cuts)

    run()


def reducer_laws(reducer: AnyReducer, columns: Columns, *, examples: int = 40, max_rows: int = 40) -> None:
    """Check every law on a reducer over frames with these columns ({name: Polars dtype or Series of values}).

    >>> from ninetyfive.reducers.counts import Counts
    >>> reducer_laws(Counts(("x",)), {"x": pl.Float64}, examples=5)
    """
    for law in LAWS:
        check_law(law, reducer, columns, examples=examples, max_rows=max_rows)
