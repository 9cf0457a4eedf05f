"""What a transform costs: the crossover is where the two lines meet."""

from __future__ import annotations

import pytest

from ninetyfive.features.costs import Costs, measure, row_seconds
from ninetyfive.features.fitting import Fitting
from ninetyfive.features.recording import col


def test_costs_are_measured_and_meet_at_the_crossover() -> None:
    transform = Fitting({"a": col("a") + 1, "b": col("a") * 2}, {"a": "number"}).transform()
    costs = measure(transform, [{"a": 1.0}, {"a": None}])
    assert min(costs.row, costs.frame) > 0
    assert costs.frame_row >= 0
    if costs.crossover < 1_000_000:
        by_rows, by_frames = costs.crossover * costs.row, costs.frame + costs.crossover * costs.frame_row
        assert by_rows == pytest.approx(by_frames, rel=0.5, abs=2 * costs.row)
    assert row_seconds(transform, [{"a": 1.0}]) > 0
    assert isinstance(costs, Costs)
