"""Repeated ids: which rows are read again, and where a chunk without good rows leaves them."""

import numpy as np
import polars as pl

from ninetyfive.plan import CHUNK_ROWS, POSITION, SPAN
from ninetyfive.steps.repeats import Chosen, places_of


def test_chunks_without_good_rows_move_those_after_them_up():
    shared = pl.DataFrame({SPAN: ["b", "a", "b"], POSITION: [2 * CHUNK_ROWS + 5, 7, 1]})
    chunks = {"b": {0: 0, 2: 1}}
    assert places_of(shared, chunks) == {"a": [7], "b": [1, CHUNK_ROWS + 5]}


def test_no_shared_id_is_no_place():
    assert places_of(pl.DataFrame({SPAN: [], POSITION: []}, schema={SPAN: pl.String, POSITION: pl.Int64}), {}) == {}


def test_only_the_chosen_rows_of_a_span_are_kept():
    places = {"a": [1, 2], "b": [0]}
    chosen = Chosen(tuple((span, np.array(rows, dtype=np.int64).tobytes()) for span, rows in places.items()))
    frame = pl.DataFrame({"x": [10, 11, 12], SPAN: ["a"] * 3, POSITION: [0, 1, 2]})
    assert chosen(frame)["x"].to_list() == [11, 12]
