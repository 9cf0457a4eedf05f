"""Scoring: one row function for several predictors, each distinct transform once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pytest

from ninetyfive.models.baselines import Constant
from ninetyfive.models.scoring import Score, Scorer, matrix, prediction_columns
from ninetyfive.models.training import Labels, labels

ROWS = pl.DataFrame({"id": [1, 2, 3], "x": [0.5, None, float("nan")]}, schema={"id": pl.Int64, "x": pl.Float64})


@dataclass(frozen=True)
class ToFloat:
    """A transform that counts how often it is called."""

    calls: list[int] = field(default_factory=list, hash=False, compare=False)

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        self.calls.append(frame.height)
        return frame.select(pl.col("x").cast(pl.Float32))


def binary() -> Labels:
    return labels(pl.Series([True, False, False, False]), "binary", "label")


def test_answers_stand_beside_the_columns_that_are_kept() -> None:
    transform = ToFloat()
    constant = Constant.fit(binary())
    score = Score((Scorer("a", transform, constant), Scorer("b", transform, constant)), ("id",), "binary")
    scored = score(ROWS)
    assert scored.columns == ["id", "a", "b"]
    assert scored["a"].to_list() == scored["b"].to_list() == pytest.approx([0.25] * 3)
    assert transform.calls == [3], "an equal transform runs once"
    assert tuple(scored.schema.items()) == score.output((("id", pl.Int64()), ("x", pl.Float64())))


def test_a_frame_without_rows_keeps_its_columns() -> None:
    score = Score((Scorer("a", ToFloat(), Constant.fit(binary())),), ("id",), "binary")
    assert score(ROWS.head(0)).schema == {"id": pl.Int64, "a": pl.Float64}


def test_multiclass_answers_are_a_column_a_class() -> None:
    known = labels(pl.Series(["b", "a", "b", "b"]), "multiclass", "label")
    score = Score((Scorer("p", ToFloat(), Constant.fit(known)),), (), "multiclass", ("a", "b"))
    scored = score(ROWS)
    assert scored.columns == ["p:a", "p:b"] == list(prediction_columns("p", "multiclass", ("a", "b")))
    assert scored.row(0) == pytest.approx((0.25, 0.75))


def test_a_matrix_is_float32_and_row_by_row() -> None:
    frame = pl.DataFrame({"a": [1.5, None], "b": [2.5, 3.5]}, schema={"a": pl.Float32, "b": pl.Float32})
    for given in (frame, (frame, frame.head(0))):
        values = matrix(given)
        assert (values.dtype, values.flags["C_CONTIGUOUS"], values.shape) == (np.float32, True, (2, 2))
        assert np.isnan(values[1, 0])
