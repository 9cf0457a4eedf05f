"""Plans are few kinds of plain data; states merge in one order."""

from __future__ import annotations

import math
import pickle
from typing import get_args

import polars as pl

from ninetyfive import plan
from ninetyfive.plan import (
    Engine,
    Map,
    Part,
    Plan,
    Read,
    Reduce,
    Shuffle,
    Write,
    inputs_of,
    key_of,
    merge_keyed,
    merge_states,
    result_of,
    walk,
)
from ninetyfive.testing.engine_plans import (
    DOUBLED,
    NUMBERS,
    Doubled,
    FirstOfEach,
    FrameReader,
    SumCount,
    columns,
    doubled,
    three,
)


def test_there_are_five_kinds_of_node_and_one_method() -> None:
    assert set(get_args(Plan)) == {Read, Map, Reduce, Shuffle, Write}
    methods = {name for name in vars(Engine) if not name.startswith("_") and callable(getattr(Engine, name))}
    assert methods == {"run"}


def test_plans_are_compared_by_value_and_travel() -> None:
    def build() -> list[Plan]:
        met = Shuffle((doubled(three()),), (("k",),), FirstOfEach(("k",)), columns(DOUBLED))
        return [met, Reduce(met, SumCount("x"), by=("k",), where="w"), Write(met, "out")]

    assert build() == build()
    assert len({*build(), *build()}) == 3
    assert pickle.loads(pickle.dumps(build())) == build()


def test_walk_visits_each_node_once_inputs_first() -> None:
    source = Read((Part("a", "x"),), FrameReader())
    rows = Map(source, Doubled(), columns(NUMBERS))
    met = Shuffle((rows, rows), (("k",), ("k",)), FirstOfEach(("k",)), columns(NUMBERS))
    seen: list[Plan] = []
    walk(Write(met, "out"), seen.append)
    assert seen == [source, rows, met, Write(met, "out")]
    assert inputs_of(met) == (rows, rows)
    assert inputs_of(source) == ()


def test_states_merge_in_canonical_order() -> None:
    reducer = SumCount("x")
    states = {"c": (1, 0, -1e16), "a": (1, 0, 1.0), "b": (1, 0, 1e16)}
    assert merge_states(reducer, states) == (3, 0, (1.0 + 1e16) - 1e16)
    assert result_of(reducer, {}) == (0, 0, 0.0)


def test_keyed_states_merge_by_key() -> None:
    reducer = SumCount("x")
    one = float("nan")
    spans = {"b": {(one,): (1, 0, 2.0), (None,): (1, 0, 1.0)}, "a": {(math.nan,): (1, 0, 1.0), (-0.0,): (1, 0, 5.0)}}
    merged = merge_keyed(reducer, spans)
    assert merged == {(math.nan,): (2, 0, 3.0), (0.0,): (1, 0, 5.0), (None,): (1, 0, 1.0)}
    assert next(iter(merged)) == key_of([one])


def test_the_module_loads_nothing_heavy() -> None:
    assert not hasattr(plan, "pl")
    assert pl.DataFrame.__module__.startswith("polars")
