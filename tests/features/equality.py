"""Whether the two executions of features give the same, bit for bit; what every test of the two lowerings calls.

    check(features, rows) ─┬ a row that rows refuse ─▶ frames refuse it too, in the same words
                           └ the others ─▶ rows = frame = each row alone = the frame in another order

What does not belong here: where features and rows come from.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pytest
from tests.features.value_classes import TYPES, bits

from ninetyfive.errors import FeatureError
from ninetyfive.features import tree
from ninetyfive.features.frames import FrameFunction, frame_of, scalars
from ninetyfive.features.operation import COLUMNS
from ninetyfive.features.program import program
from ninetyfive.features.rows import every_value
from ninetyfive.features.source import source
from ninetyfive.features.transform import Transform, needed

REFUSED = 5
"""How many refused rows of a frame are tried as frames, each alone."""


def check(features: Mapping[str, tree.Node], rows: Sequence[dict[str, Any]], *, alone: int | None = None) -> int:
    """Frames and rows agree on every value of every step, on the model's inputs, and on what they refuse.

    `alone` is how many of the rows are also tried as a frame of their own (None: all). Returns how many were refused.
    """
    frame = frame_of(rows, TYPES)
    records = scalars(frame, TYPES)
    assert [{name: bits(value) for name, value in row.items()} for row in records] == [
        {name: bits(value) for name, value in row.items()} for row in rows
    ]
    good = refused(features, frame, records)
    if good:
        some = frame[good]
        check_steps(features, some, [records[index] for index in good], alone)
        check_inputs(features, some, [records[index] for index in good])
    return len(records) - len(good)


def refused(features: Mapping[str, tree.Node], frame: pl.DataFrame, records: Sequence[dict[str, Any]]) -> list[int]:
    """The numbers of the rows that rows take; of the others, that frames refuse them with the same error."""
    made = program(features, TYPES)
    values, hot = every_value(made), any(made.steps[index].type == COLUMNS for _, index in made.outputs)
    function = FrameFunction(tuple(features.items()), needed(features.values(), TYPES), model=hot)
    good, bad = [], {}
    for index, row in enumerate(records):
        try:
            values(row)
        except FeatureError as error:
            bad[index] = error
        else:
            good.append(index)
    assert {error.expected for error in bad.values()} <= {"an integer of 64 bits"}
    for index, error in list(bad.items())[:REFUSED]:
        with pytest.raises(FeatureError) as caught:
            function(frame[index])
        assert caught.value.as_dict() == error.as_dict()
    if bad:
        with pytest.raises(FeatureError) as caught:
            function(frame)
        assert caught.value.as_dict() == next(iter(bad.values())).as_dict()
    return good


def check_steps(
    features: Mapping[str, tree.Node], frame: pl.DataFrame, records: Sequence[dict[str, Any]], alone: int | None
) -> None:
    """Every step of every feature: rows, the frame, the frame in another order, and rows that stand alone."""
    made = program(features, TYPES)
    steps = {
        f"step {index}": step.node
        for index, step in enumerate(made.steps)
        if isinstance(step.node, tree.Call) and step.type != COLUMNS
    }
    if not steps:
        return
    function = FrameFunction(tuple(steps.items()), needed(features.values(), TYPES))
    numbers = [int(name.split()[1]) for name in steps]
    kinds = {name: made.steps[index].type for name, index in zip(steps, numbers, strict=True)}
    values = every_value(made)
    computed = function(frame)
    assert tuple(computed.schema.items()) == function.output
    found = [[bits(value) for value in row.values()] for row in scalars(computed, kinds)]
    for row, got in zip(records, found, strict=True):
        whole = values(row)
        want = [bits(whole[index]) for index in numbers]
        if got != want:
            place = next(place for place in range(len(want)) if got[place] != want[place])
            pytest.fail(f"{source(list(steps.values())[place])} of {row}: frame {got[place]}, row {want[place]}")
    order = random.Random(95).sample(range(frame.height), frame.height)
    mixed = [[bits(value) for value in row.values()] for row in scalars(function(frame[order]), kinds)]
    assert mixed == [found[index] for index in order], "a row depends on its neighbours"
    for index in range(frame.height if alone is None else min(alone, frame.height)):
        copies = 1 + 2 * (index % 2)
        some = function(pl.concat([frame[index]] * copies, rechunk=True))
        one = [[bits(value) for value in row.values()] for row in scalars(some, kinds)]
        assert one == [found[index]] * copies, f"a row depends on its neighbours: {records[index]}"


def check_inputs(features: Mapping[str, tree.Node], frame: pl.DataFrame, records: Sequence[dict[str, Any]]) -> None:
    """The model's inputs, for the features that can be one, and that the transform's JSON gives them again."""
    made = program(features, TYPES)
    fits = (*tree.NUMERIC, tree.BOOLEAN, COLUMNS)
    chosen = {name: features[name] for name, index in made.outputs if made.steps[index].type in fits}
    if not chosen:
        return
    transform = Transform(tuple(chosen.items()), needed(chosen.values(), TYPES))
    whole, row_of, tuple_of = transform.frames()(frame), transform.rows(), transform.tuples()
    assert tuple(whole.schema.items()) == transform.output
    for got, row in zip(whole.rows(), records, strict=True):
        want = row_of(row)
        assert [bits(value) for value in got] == [bits(value) for value in want], (transform.features, row)
        same = tuple_of(tuple(row[name] for name in transform.inputs))
        assert [bits(value) for value in same] == [bits(value) for value in want], (transform.features, row)
    restored = Transform.from_json(transform.to_json(), transform.code)
    assert restored == transform
    assert restored.to_json() == transform.to_json()
