"""Intervals by leaving out folds: they cover the truth about as often as they say, and pairing narrows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from ninetyfive.errors import PlanError
from ninetyfive.reducers import intervals
from ninetyfive.reducers.intervals import FOLDS, Estimate, replicates
from ninetyfive.reducers.scores import BinaryScores, NumberScores


def folded(reducer: Any, frame: pl.DataFrame) -> dict[int, Any]:
    return {
        fold: reducer.add(reducer.zero(), frame.filter(pl.int_range(pl.len()) % FOLDS == fold)) for fold in range(FOLDS)
    }


def numbers(seed: int, count: int = 400) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    y = random.normal(size=count)
    return pl.DataFrame({"label": y, "prediction": y + random.normal(size=count)})


def test_the_table_is_students_t() -> None:
    expected = [stats.t.ppf(0.975, freedom) for freedom in range(1, 21)]
    assert list(intervals._T_975) == pytest.approx(expected, abs=1e-6)


def test_the_interval_of_a_mean_is_the_textbook_one() -> None:
    frame = numbers(0)
    estimate = replicates(NumberScores(), folded(NumberScores(), frame)).estimate("mae")
    sizes = (frame["prediction"] - frame["label"]).abs()
    assert estimate.value == pytest.approx(sizes.mean())
    assert estimate.low is not None
    assert estimate.high is not None
    half = (estimate.high - estimate.low) / 2
    groups = np.array([sizes.gather_every(FOLDS, fold).mean() for fold in range(FOLDS)])
    assert half == pytest.approx(2.093024 * groups.std(ddof=1) / np.sqrt(FOLDS), rel=1e-6)


def test_intervals_cover_the_truth_about_19_times_of_20() -> None:
    hits = 0
    for seed in range(200):
        estimate = replicates(NumberScores(), folded(NumberScores(), numbers(seed))).estimate("rmse")
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= 1.0 <= estimate.high
    assert 180 <= hits <= 198


def test_only_metrics_have_intervals() -> None:
    found = replicates(NumberScores(), folded(NumberScores(), numbers(0)))
    assert set(found.metrics) == {"rmse", "mae", "r2"}
    assert {found.estimate(metric).rows for metric in found.metrics} == {400}


def test_a_paired_gain_is_surer_than_the_two_values() -> None:
    frame = numbers(1)
    better = frame.with_columns(prediction=pl.col("prediction") * 0.98 + pl.col("label") * 0.02)
    reducer = NumberScores()
    ours, theirs = folded(reducer, better), folded(reducer, frame)
    gain = replicates(reducer, ours).gain(replicates(reducer, theirs), "rmse")
    alone = replicates(reducer, ours).estimate("rmse")
    assert gain.value is not None
    assert gain.low is not None
    assert gain.high is not None
    assert alone.low is not None
    assert alone.high is not None
    assert gain.low > 0
    assert (gain.high - gain.low) < (alone.high - alone.low) / 5
    back = replicates(reducer, theirs).gain(replicates(reducer, ours), "rmse")
    assert back.value == pytest.approx(-gain.value)


def test_a_gain_is_above_0_when_better_in_either_direction() -> None:
    reducer = NumberScores()
    good = folded(reducer, numbers(2).with_columns(prediction="label"))
    bad = folded(reducer, numbers(2))
    for metric in ("rmse", "r2"):
        gain = replicates(reducer, good).gain(replicates(reducer, bad), metric)
        assert gain.value is not None
        assert gain.value > 0


def test_few_rows_are_not_judged() -> None:
    reducer = NumberScores()
    folds = folded(reducer, numbers(3, 100))
    small = replicates(reducer, folds, minimum=101).estimate("mae")
    assert small.value is not None
    assert not small.judged
    assert replicates(reducer, folds, minimum=100).estimate("mae").judged
    assert not replicates(reducer, folds, 101).gain(replicates(reducer, folds, 101), "mae").judged


def test_what_is_not_defined_without_a_fold_has_no_interval() -> None:
    reducer = BinaryScores()
    frame = pl.DataFrame({"label": [True] + [False] * 59, "prediction": np.linspace(0, 1, 60)})
    estimate = replicates(reducer, folded(reducer, frame)).estimate("auc")
    assert estimate.value == 0.0
    assert not estimate.judged


def test_no_folds_and_one_fold() -> None:
    reducer = NumberScores()
    assert replicates(reducer, {}).estimate("mae") == Estimate(None, None, None, 0)
    assert not replicates(reducer, {3: folded(reducer, numbers(0))[3]}).estimate("mae").judged


def test_other_folds_or_another_metric_are_refused() -> None:
    reducer = NumberScores()
    folds = folded(reducer, numbers(0))
    with pytest.raises(PlanError, match="same folds"):
        replicates(reducer, folds).gain(replicates(reducer, {0: folds[0]}), "mae")
    with pytest.raises(PlanError, match=r"rmse"):
        replicates(reducer, folds).gain(replicates(reducer, folds), "rsme")
