"""Every reducer of the package keeps every law; a new one is found by walking and cannot escape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest

import ninetyfive.reducers
from ninetyfive.reducers.reducer import Reducer
from ninetyfive.testing.reducer_laws import LAWS, Law, check_law, example_of, find_reducers, reducer_laws, same

REDUCERS = find_reducers(ninetyfive.reducers)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("kind", REDUCERS, ids=lambda kind: kind.__name__)
def test_every_reducer_keeps_every_law(kind: type[Reducer[Any, Any]], law: Law) -> None:
    reducer, columns = example_of(kind)
    check_law(law, reducer, columns)


def test_the_walk_finds_the_reducers_and_not_the_protocol() -> None:
    names = {kind.__name__ for kind in REDUCERS}
    assert {"Moments", "Counts", "KeyedCounts", "Quantiles", "Distinct", "TopValues", "Statistics"} <= names
    assert "Reducer" not in names


@dataclass(frozen=True)
class Total:
    """A sum of integers that keeps the laws; those below break one each."""

    def zero(self) -> Any:
        return [0]

    def add(self, state: Any, frame: pl.DataFrame) -> Any:
        return [state[0] + sum(frame["x"].drop_nulls().to_list())]

    def merge(self, left: Any, right: Any) -> Any:
        return [left[0] + right[0]]

    def result(self, state: Any) -> Any:
        return state[0]

    def encode(self, state: Any) -> bytes:
        return str(state[0]).encode()

    def decode(self, data: bytes) -> Any:
        return [int(data)]


class NoIdentity(Total):
    def zero(self) -> Any:
        return [1]


class NotAssociative(Total):
    def merge(self, left: Any, right: Any) -> Any:
        return [left[0] - right[0]] if left[0] and right[0] else [left[0] + right[0]]


class NotCommutative(Total):
    def merge(self, left: Any, right: Any) -> Any:
        return left if left[0] else right


class NotSplittable(Total):
    def result(self, state: Any) -> Any:
        return state[0] % 7

    def add(self, state: Any, frame: pl.DataFrame) -> Any:
        return [state[0] + frame["x"].n_unique()]


class NotDeterministic(Total):
    def encode(self, state: Any) -> bytes:
        return f"{state[0]}.{id(state)}".encode()

    def decode(self, data: bytes) -> Any:
        return [int(data.split(b".")[0])]


class NotStorable(Total):
    def encode(self, state: Any) -> bytes:  # noqa: ARG002
        return b"0"


class NotPure(Total):
    def merge(self, left: Any, right: Any) -> Any:
        left[0] += right[0]
        return left


class NotEmpty(Total):
    def add(self, state: Any, frame: pl.DataFrame) -> Any:  # noqa: ARG002
        return [state[0] + 1]


BROKEN = (NoIdentity, NotAssociative, NotCommutative, NotSplittable, NotDeterministic, NotStorable, NotPure, NotEmpty)


def test_a_reducer_of_a_third_party_is_checked() -> None:
    reducer_laws(Total(), {"x": pl.Int64}, examples=20)


@pytest.mark.parametrize(("law", "kind"), list(zip(LAWS, BROKEN, strict=True)), ids=lambda part: part.__name__)
def test_each_law_catches_who_breaks_it(law: Law, kind: type[Total]) -> None:
    rows = pl.DataFrame({"x": [1, 2, None, 3, 3, 8, 5]})
    law(Total(), rows, [1, 4])
    with pytest.raises(AssertionError):
        law(kind(), rows, [1, 4])


def test_a_reducer_without_an_example_is_told_what_to_add() -> None:
    with pytest.raises(
        AssertionError, match=r"Total is a reducer without an example: add a staticmethod `example\(\)`"
    ):
        example_of(Total)


def test_same_tells_kinds_and_nan() -> None:
    nan = float("nan")
    assert same({"a": [nan, (1, 2.0)]}, {"a": [nan, (1, 2.0)]})
    assert not same({"a": 1}, {"a": 1.0})
    assert not same([1], [1, 2])
    assert not same({"a": nan}, {"a": 0.0})
    assert same(pl.DataFrame({"x": [None, 1]}), pl.DataFrame({"x": [None, 1]}))
