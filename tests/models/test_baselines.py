"""The two baselines: what they answer, that they are data, and that they are what scikit-learn would fit."""

from __future__ import annotations

import pickle

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from ninetyfive.models.baselines import Baseline, Code, Constant, Kind, OneHotLinear, baseline_from, baseline_json
from ninetyfive.models.predictor import Inputs
from ninetyfive.models.training import labels

KINDS: dict[str, Kind] = {"n": "number", "i": ("index", 4)}


def data(count: int = 600) -> tuple[Inputs, np.ndarray]:
    random = np.random.default_rng(0)
    x = np.stack([random.normal(size=count), random.integers(0, 4, count)], axis=1).astype(np.float32)
    x[::11, 0] = np.nan
    score = np.where(np.isnan(x[:, 0]), 1.0, x[:, 0]) + (x[:, 1] == 2)
    return x, score + random.normal(size=count) * 0.3


def fitted() -> list[tuple[Baseline, Inputs]]:
    x, score = data()
    words = np.where(score > 1, "high", np.where(score > 0, "mid", "low"))
    made: list[tuple[Baseline, Inputs]] = []
    for y in (labels(pl.Series(score > 0.5)), labels(pl.Series(words)), labels(pl.Series(score))):
        made += [(Constant.fit(y), x), (OneHotLinear.fit(x, y, KINDS), x)]
    return made


def test_the_constant_is_the_mean_or_the_shares() -> None:
    x = np.zeros((2, 1), dtype=np.float32)
    assert Constant.fit(labels(pl.Series([1.0, 2.0, 6.0]))).predict(x).tolist() == [3.0, 3.0]
    shares = Constant.fit(labels(pl.Series(["b", "a", "b", "b"]))).predict(x)
    assert shares.tolist() == [[0.25, 0.75], [0.25, 0.75]]


@pytest.mark.parametrize("index", range(6))
def test_a_baseline_is_data(index: int) -> None:
    baseline, x = fitted()[index]
    answer = baseline.predict(x)
    assert np.array_equal(baseline_from(baseline_json(baseline)).predict(x), answer)
    assert baseline_from(baseline_json(baseline)) == baseline == pickle.loads(pickle.dumps(baseline))
    assert hash(pickle.loads(pickle.dumps(baseline))) == hash(baseline)
    assert baseline_json(fitted()[index][0]) == baseline_json(baseline)


@pytest.mark.parametrize("index", range(6))
def test_a_row_has_the_same_bits_in_any_batch(index: int) -> None:
    baseline, x = fitted()[index]
    alone = np.concatenate([baseline.predict(x[row : row + 1]) for row in range(40)])
    assert np.array_equal(alone, baseline.predict(x)[:40])
    assert baseline.predict(x[:0]).shape == (0, *alone.shape[1:])


def test_the_linear_baseline_is_a_logistic_regression_on_one_hot_codes() -> None:
    x, score = data()
    y = labels(pl.Series(score > 0.5))
    baseline = OneHotLinear.fit(x, y, KINDS)
    codes = np.stack([code.of(x[:, i]) for i, code in enumerate(baseline.codes)], axis=1)
    one_hot = OneHotEncoder().fit_transform(codes)
    expected = LogisticRegression(tol=1e-8, max_iter=1000).fit(one_hot, y.values).predict_proba(one_hot)[:, 1]
    assert np.abs(baseline.predict(x) - expected).max() < 2e-3


def test_it_learns_numbers_indexes_and_what_is_missing() -> None:
    x, score = data()
    for y, best in ((pl.Series(score > 0.5), 0.4), (pl.Series(score), 0.4)):
        baseline = OneHotLinear.fit(x, labels(y), KINDS)
        error = baseline.predict(x) - y.cast(pl.Float64).to_numpy()
        assert np.sqrt(np.mean(error**2)) < best
    classes = OneHotLinear.fit(x, labels(pl.Series(np.where(score > 1, "b", np.where(score > 0, "c", "a")))), KINDS)
    answers = classes.predict(x)
    assert np.allclose(answers.sum(axis=1), 1)
    assert answers.shape == (len(x), 3)


def test_two_words_are_two_classes() -> None:
    x, score = data()
    baseline = OneHotLinear.fit(x, labels(pl.Series(np.where(score > 0.5, "yes", "no"))), KINDS)
    same = OneHotLinear.fit(x, labels(pl.Series(score > 0.5)), KINDS)
    assert np.allclose(baseline.predict(x)[:, 1], same.predict(x))


def test_values_that_were_not_seen_weigh_nothing() -> None:
    x, score = data()
    baseline = OneHotLinear.fit(x, labels(pl.Series(score)), KINDS)
    odd = np.array([[0.0, 99.0], [0.0, np.nan]], dtype=np.float32)
    known = np.array([[0.0, 0.0]], dtype=np.float32)
    weight = baseline.weights[1][baseline.codes[1].points.index(0.0)][0]
    assert np.allclose(baseline.predict(odd), baseline.predict(known)[0] - weight)


def test_codes_of_numbers_and_indexes() -> None:
    bins = Code("n", "number", (1.0, 2.0))
    assert bins.of(np.array([0.0, 1.0, 1.5, 9.0, np.nan, np.inf])).tolist() == [0, 0, 1, 2, 3, 2]
    index = Code("i", "index", (0.0, 5.0))
    assert index.of(np.array([0.0, 5.0, 3.0, 9.0, np.nan])).tolist() == [0, 1, 2, 2, 3]
    assert Code("i", "index", ()).of(np.array([1.0, np.nan])).tolist() == [0, 1]


def test_only_the_most_frequent_values_of_an_index_have_a_code() -> None:
    x = np.repeat(np.arange(80, dtype=np.float32), np.arange(80, 0, -1)).reshape(-1, 1)
    y = labels(pl.Series(x[:, 0] > 20))
    codes = OneHotLinear.fit(x, y, {"i": ("index", 80)}).codes
    assert codes[0].points == tuple(float(value) for value in range(50))


def test_columns_that_are_missing_everywhere_and_constant_ones() -> None:
    x = np.stack([np.full(40, np.nan), np.ones(40)], axis=1).astype(np.float32)
    y = labels(pl.Series([True, False] * 20))
    baseline = OneHotLinear.fit(x, y, {"gone": "number", "one": ("index", 2)})
    assert np.allclose(baseline.predict(x), 0.5)


def test_a_class_that_the_chosen_rows_do_not_have_is_all_but_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ninetyfive.models.baselines._ROWS", 30)
    x, score = data(600)
    words = np.where(score > 0.5, "b", "c")
    words[1] = "a"
    baseline = OneHotLinear.fit(x, labels(pl.Series(words)), KINDS)
    assert baseline.rows == 30
    assert baseline.predict(x)[:, 0].max() < 1e-6
    assert np.allclose(baseline.predict(x).sum(axis=1), 1)
