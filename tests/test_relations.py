"""Verbs made of nodes. That engines agree on them is in the contract suite."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.engines.local import LocalEngine
from ninetyfive.errors import PlanError
from ninetyfive.plan import CHUNK_ROWS, POSITION, SPAN, Map, Plan
from ninetyfive.relations import content_hashes, has_keys, repeated_ids, rows_of, shared_ids
from ninetyfive.testing.engine_plans import frame_part, numbers, read_of, special_values

IDS = st.sampled_from([None, 0.0, -0.0, math.nan, 1.0])
CONTENTS = st.sampled_from([None, "", "a", "b"])


@given(rows=st.lists(st.tuples(IDS, CONTENTS, CONTENTS), max_size=25), cut=st.integers(0, 25))
def test_verdicts_are_those_of_a_plain_loop(rows: list[tuple[float | None, str | None, str | None]], cut: int) -> None:
    types = {"i": pl.Float64(), "j": pl.String(), "x": pl.String()}
    whole = pl.DataFrame(rows, schema=types, orient="row")
    frames = {frame_part(frame).span: frame for frame in (whole[:cut], whole[cut:])}
    plans = [read_of(frame, position=True) for frame in frames.values()]
    met: dict[object, list[tuple[str, int, str | None]]] = {}
    for span in sorted(frames):
        for number, (i, j, x) in enumerate(frames[span].rows()):
            if i is not None and j is not None:
                position = number // 3 * CHUNK_ROWS + number % 3
                met.setdefault(("nan" if math.isnan(i) else i + 0.0, j), []).append((span, position, x))
    expected = set()
    for places in met.values():
        same = len({x for _, _, x in places}) == 1
        for span, position, _ in places[1:] if same else places:
            expected.add((span, position, "duplicate" if same else "conflict"))
    ids = {"i": types["i"], "j": types["j"]}
    result = LocalEngine(threads=2).run({"rows": repeated_ids(plans, ids), "shared": shared_ids(plans, ids)})
    found = result["rows"]
    shared = {(span, position) for places in met.values() if len(places) > 1 for span, position, _ in places}
    assert set(result["shared"].rows()) == shared
    assert set(found.rows()) == expected
    assert found.height == len(expected)
    assert dict(found.schema) == {SPAN: pl.String(), POSITION: pl.Int64(), "verdict": pl.String()}


def test_contents_differ_where_any_value_does() -> None:
    """Each column alone: its distinct values have distinct hashes, equal ones equal hashes, in both words."""
    frame = special_values()
    for name in frame.columns:
        low, high = content_hashes(frame.select(name))
        assert len(set(low.to_list())) == len(set(high.to_list())) == frame[name].n_unique()
    same = pl.DataFrame({"x": [0.0, math.nan]}), pl.DataFrame({"x": [-0.0, -math.nan]})
    assert content_hashes(same[0])[0].to_list() == content_hashes(same[1])[0].to_list()


def test_content_does_not_depend_on_the_order_of_columns_but_on_which_holds_what() -> None:
    frame = pl.DataFrame({"a": [1, 1], "b": [2, None], "c": [None, 2]})
    low, high = content_hashes(frame)
    assert low.equals(content_hashes(frame.select("c", "a", "b"))[0])
    assert low[0] != low[1]
    assert high[0] != high[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, None], [None, 1]),
        ([[1], None], [[1, 1], None]),
        ([{"a": "1, 2"}], [{"a": "1"}]),
        ([b"\xff"], [b"\xfe"]),
        ([datetime(2020, 1, 1)], [datetime(2020, 1, 1, 0, 0, 0, 1)]),
        ([Decimal("1.1")], [Decimal("1.2")]),
    ],
)
def test_contents_of_any_type_are_told_apart(one: list[object], other: list[object]) -> None:
    hashes = [content_hashes(pl.DataFrame({"x": values}))[0].to_list() for values in (one, other)]
    assert hashes[0] != hashes[1]


def test_rows_of_declares_what_a_shuffle_wants() -> None:
    source = read_of(numbers(4))
    assert LocalEngine().run({"rows": rows_of(source, {"x": pl.Float64()})})["rows"].columns == ["x"]
    with pytest.raises(PlanError, match=r"declared columns: x Int64.*got x Float64"):
        LocalEngine().run({"rows": rows_of(source, {"x": pl.Int64()})})


def test_repeated_ids_want_positions() -> None:
    plain = read_of(numbers(4))
    wrong: list[tuple[Plan, dict[str, pl.DataType], str]] = [
        (plain, {"k": pl.Int64()}, "position=True"),
        (Map(plain, lambda frame: frame, ()), {"k": pl.Int64()}, "position=False"),
        (read_of(numbers(4), position=True), {SPAN: pl.String()}, "id columns"),
    ]
    for plan, ids, words in wrong:
        with pytest.raises(PlanError, match=words):
            repeated_ids([plan], ids)
    missing = repeated_ids([read_of(numbers(4), position=True)], {"kk": pl.Int64()})
    with pytest.raises(PlanError, match="no such column"):
        LocalEngine().run({"rows": missing})


def test_has_keys_takes_no_null() -> None:
    frame = pl.DataFrame({"a": [1, None, 3], "b": ["x", "y", None]})
    assert frame.select(has_keys(("a", "b")).alias("met"))["met"].to_list() == [True, False, False]
