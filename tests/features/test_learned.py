"""What the learned operations learn, against scikit-learn, NumPy and plain Python."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import QuantileTransformer, RobustScaler

from ninetyfive.errors import DeclarationError, FeatureError
from ninetyfive.features.fitting import Fitting
from ninetyfive.features.frames import scalars
from ninetyfive.features.recording import Expr, col, cross, pca
from ninetyfive.features.transform import Transform

TYPES = {"a": "number", "b": "number", "i": "integer", "s": "string", "t": "boolean"}
RANDOM = np.random.default_rng(7)
ROWS = 400
FRAME = pl.DataFrame(
    {
        "a": RANDOM.normal(10, 3, ROWS),
        "b": RANDOM.exponential(2.0, ROWS),
        "i": RANDOM.integers(0, 5, ROWS),
        "s": RANDOM.choice(["red", "green", "blue fish", "red fish", "one red one"], ROWS),
        "t": RANDOM.random(ROWS) < 0.5,
        "__label": RANDOM.random(ROWS) < 0.3,
        "__fold": RANDOM.integers(0, 20, ROWS),
    }
)


def fit(features: dict[str, Expr], frame: pl.DataFrame = FRAME, task: Any = "binary") -> Fitting:
    fitting = Fitting(features, TYPES, task)
    while (phase := fitting.phase()) is not None:
        made = phase.function(frame)
        fitting.advance({name: it.add(it.zero(), made) for name, it in phase.reducers.items()})
    return fitting


def matrix(feature: Expr, frame: pl.DataFrame = FRAME) -> np.ndarray:
    return fit({"x": feature}, frame).transform().frames()(frame).to_numpy()


def test_minmax_is_0_to_1_over_the_training_rows_and_goes_on_beyond() -> None:
    transform = fit({"x": col("a").minmax()}).transform()
    values = transform.frames()(FRAME)["x"]
    assert (values.min(), values.max()) == (0.0, 1.0)
    low, high = float(FRAME["a"].min()), float(FRAME["a"].max())  # type: ignore[arg-type]
    assert transform.rows()({"a": 2 * high - low}) == [2.0]


def test_robust_scale_equals_scikit_learn_where_quartiles_are_values() -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0, 4.0, 100.0]})
    expected = RobustScaler().fit_transform(frame.to_numpy())
    assert np.allclose(matrix(col("a").robust_scale(), frame), expected)
    same = pl.DataFrame({"a": [1.0, 5.0, 5.0, 5.0, 5.0]})
    assert matrix(col("a").robust_scale(), same)[:, 0].tolist() == [-4.0, 0.0, 0.0, 0.0, 0.0]


def test_winsorize_keeps_what_lies_between_the_quantiles() -> None:
    values = matrix(col("a").winsorize(low=0.25, high=0.75))[:, 0]
    low, high = np.quantile(FRAME["a"].to_numpy(), [0.25, 0.75], method="inverted_cdf")
    assert np.array_equal(values, np.clip(FRAME["a"].to_numpy(), low, high).astype(np.float32))


def test_fill_median_and_mode() -> None:
    frame = pl.DataFrame({"a": [1.0, None, 7.0, 3.0, math.nan], "s": ["b", "a", None, "b", "a"]})
    assert matrix(col("a").fill_median(), frame)[:, 0].tolist() == [1.0, 3.0, 7.0, 3.0, 3.0]
    assert matrix(col("s").fill_mode() == "a", frame)[:, 0].tolist() == [0.0, 1.0, 1.0, 0.0, 1.0]


def test_frequency_is_the_share_of_the_rows() -> None:
    frame = pl.DataFrame({"s": ["a", "b", "a", None, "c"]})
    transform = fit({"x": col("s").frequency(top=2)}, frame).transform()
    assert transform.frames()(frame)["x"].to_list() == [0.5, 0.25, 0.5, 0.0, 0.0]
    assert transform.rows()({"s": "unknown"}) == [0.0]


@pytest.mark.parametrize("output", ["uniform", "normal"])
def test_quantile_transform_is_near_scikit_learn(output: Any) -> None:
    expected = QuantileTransformer(n_quantiles=100, output_distribution=output, subsample=None).fit_transform(
        FRAME["b"].to_numpy().reshape(-1, 1)
    )
    values = matrix(col("b").quantile_transform(100, output=output))
    apart = np.abs(values - expected)
    assert np.median(apart) < 0.01
    assert apart[(values > -2) & (values < 2)].max() < 0.1  # they interpolate quantiles, these are values of the column


def test_quantile_transform_gives_the_middle_of_the_shares_of_a_frequent_value() -> None:
    frame = pl.DataFrame({"a": [1.0] + [5.0] * 8 + [9.0]})
    transform = fit({"x": col("a").quantile_transform(11)}, frame).transform()
    values = [transform.rows()({"a": value})[0] for value in (0.0, 1.0, 5.0, 9.0, 10.0)]
    assert values == pytest.approx([0.0, 0.05, 0.5, 1.0, 1.0], abs=0.06)
    assert values == sorted(values)


def test_pca_equals_scikit_learn_up_to_the_sign() -> None:
    features = [col("a"), col("b"), col("a") + col("b") * 2]
    expected = PCA(2).fit_transform(np.column_stack([FRAME["a"], FRAME["b"], FRAME["a"] + FRAME["b"] * 2]))
    values = matrix(pca(*features, components=2))
    for axis in (0, 1):
        sign = np.sign(values[0, axis] * expected[0, axis])
        assert np.allclose(values[:, axis] * sign, expected[:, axis], atol=1e-4)
    holes = FRAME.with_columns(a=pl.when(pl.col("a") > 10).then(None).otherwise(pl.col("a")))
    assert np.isnan(matrix(pca(*features, components=2), holes)).any(axis=1).sum() == (FRAME["a"] > 10).sum()


def test_tfidf_equals_scikit_learn() -> None:
    texts = FRAME["s"].to_list()
    peer = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", lowercase=False)
    expected = peer.fit_transform(texts).toarray()
    transform = fit({"x": col("s").tfidf(longest=2)}).transform()
    assert [name.removeprefix("x=") for name in transform.columns] == list(peer.get_feature_names_out())
    assert np.allclose(transform.frames()(FRAME).to_numpy(), expected, atol=1e-6)


def test_tfidf_keeps_the_n_grams_of_most_rows() -> None:
    transform = fit({"x": col("s").tfidf(top=2)}).transform()
    counts = {
        word: sum(word in text.split() for text in FRAME["s"]) for word in ("red", "fish", "green", "one", "blue")
    }
    assert {name.removeprefix("x=") for name in transform.columns} == set(sorted(counts, key=counts.__getitem__)[-2:])
    with pytest.raises(FeatureError, match="lower min_count"):
        fit({"x": col("s").tfidf(min_count=ROWS + 1)})


def test_n_grams_are_counted_in_their_buckets() -> None:
    frame = pl.DataFrame({"s": ["a b a", "", None]})
    values = matrix(col("s").ngram_counts(8), frame)
    assert sorted(values[0].tolist()) == [0.0] * 6 + [1.0, 2.0] or sorted(values[0].tolist()) == [0.0] * 7 + [3.0]
    assert not values[1:].any()


def test_cyclic_is_a_circle() -> None:
    frame = pl.DataFrame({"i": [0, 6, 12, 24]})
    transform = fit({"hour": col("i").cyclic(24)}, frame).transform()
    assert transform.columns == ("hour=sin", "hour=cos")
    assert np.allclose(transform.frames()(frame).to_numpy(), [[0, 1], [1, 0], [0, -1], [0, 1]], atol=1e-6)


def expected_targets(frame: pl.DataFrame, folds: int | None, smooth: float) -> list[float]:
    """Target encoding in plain Python; with folds as a training row sees it."""
    rows = list(zip(frame["s"], frame["__label"].cast(pl.Float64), frame["__fold"], strict=True))
    result = []
    for word, _, fold in rows:
        others = [row for row in rows if folds is None or row[2] % folds != fold % folds]
        prior = sum(label for _, label, _ in others) / len(others)
        mine = [label for other, label, _ in others if other == word]
        result.append((sum(mine) + smooth * prior) / (len(mine) + smooth))
    return result


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_target_encoding_is_out_of_fold_in_training_and_of_all_rows_when_serving(task: Any) -> None:
    frame = FRAME.head(60)
    if task == "regression":
        frame = frame.with_columns(__label=pl.Series(np.linspace(-1, 5, 60)))
    fitting = fit({"x": col("s").target_encode(folds=5, smooth=3)}, frame, task)
    trained, served = fitting.training_transform(), fitting.transform()
    assert "__fold" in trained.inputs
    assert list(served.inputs) == ["s"]
    assert np.allclose(trained.frames()(frame)["x"], expected_targets(frame, 5, 3))
    assert np.allclose(served.frames()(frame)["x"], expected_targets(frame, None, 3))
    rows = scalars(frame, {"s": "string", "__fold": "integer"})
    assert [trained.rows()(row)[0] for row in rows] == trained.frames()(frame)["x"].to_list()
    assert served.rows()({"s": "unknown"}) == served.rows()({"s": None})
    assert Transform.from_json(trained.to_json()) == trained


def test_the_own_label_of_a_training_row_does_not_change_its_encoding() -> None:
    features = {"x": col("s").target_encode(folds=4)}
    first = fit(features).training_transform().frames()(FRAME)["x"]
    flipped = FRAME.with_columns(__label=(pl.col("__label") != (pl.int_range(ROWS) == 17)))
    second = fit(features, flipped).training_transform().frames()(flipped)["x"]
    same_fold = FRAME["__fold"] % 4 == FRAME["__fold"][17] % 4
    assert first.filter(same_fold).equals(second.filter(same_fold))
    assert not first.equals(second)


def test_what_learns_above_a_target_encoding_learns_from_what_training_rows_see() -> None:
    fitting = fit({"x": col("s").target_encode().zscore(), "y": col("s").target_encode().quantile_bins(3)})
    values = fitting.training_transform().frames()(FRAME)["x"]
    assert float(values.mean()) == pytest.approx(0.0, abs=1e-5)  # type: ignore[arg-type]
    served = fitting.transform()
    assert "__fold" not in served.inputs
    assert served.rows()({"s": "red"})[0] == served.frames()(pl.DataFrame({"s": ["red"]}))["x"][0]


def test_target_encoding_says_what_it_cannot_do() -> None:
    with pytest.raises(FeatureError, match="a label of several classes"):
        fit({"x": col("s").target_encode()}, task="multiclass")
    with pytest.raises(FeatureError, match="all in one"):
        fit({"x": col("s").target_encode()}, FRAME.with_columns(__fold=pl.lit(3, pl.Int64)))
    with pytest.raises(FeatureError, match="only null"):
        fit({"x": col("s").target_encode()}, FRAME.head(0))
    with pytest.raises(FeatureError, match="finite labels"):
        fit({"x": col("s").target_encode()}, FRAME.with_columns(__label=pl.lit(math.inf)), "regression")


@pytest.mark.parametrize("name", ["minmax", "robust_scale", "winsorize", "quantile_transform", "fill_median"])
def test_nothing_to_learn_from_is_an_error(name: str) -> None:
    with pytest.raises(FeatureError, match="only null and NaN"):
        fit({"x": getattr(col("a"), name)()}, pl.DataFrame({"a": [None, math.nan]}, schema={"a": pl.Float64}))


@pytest.mark.parametrize("name", ["minmax", "robust_scale", "winsorize"])
def test_infinite_constants_are_an_error(name: str) -> None:
    with pytest.raises(FeatureError, match=r"bound the values first"):
        fit({"x": getattr(col("a"), name)()}, pl.DataFrame({"a": [-math.inf, math.inf] * 5}))
    with pytest.raises(FeatureError, match=r"bound the values first"):
        fit({"x": pca(col("a"), col("b"))}, pl.DataFrame({"a": [math.inf, 1.0], "b": [1.0, 2.0]}))


def test_one_target_encoding_below_another_is_refused() -> None:
    inner = col("s").target_encode().quantile_bins(20)
    with pytest.raises(DeclarationError, match="a target_encode below another"):
        cross(col("s"), inner).target_encode()


def test_a_huge_label_of_its_own_does_not_reach_a_training_row() -> None:
    labels = [0.1] * 40 + [1e17]
    frame = pl.DataFrame({"s": ["a"] * 41, "__label": labels, "__fold": [*range(1, 20), *range(1, 20), 1, 2, 0]})
    trained = fit({"x": col("s").target_encode(folds=20, smooth=0)}, frame, "regression").training_transform()
    assert trained.frames()(frame)["x"][-1] == pytest.approx(0.1)


ALTERED = [
    (col("s").target_encode(), "means", [0.1]),
    (col("s").target_encode(), "priors", [0.1, 0.2]),
    (col("s").target_encode(), "priors", []),
    (col("s").frequency(), "counts", [1]),
    (col("s").frequency(), "rows", 1),
    (col("i").frequency(), "values", ["a", "b", "c", "d", "e"]),
    (col("i").vocabulary(), "values", ["a"]),
    (col("i").vocabulary(), "values", [True, False]),
    (col("s").fill_mode() == "a", "mode", 3),
    (col("a").minmax(), "low", 1e9),
    (col("a").winsorize(), "least", 1e9),
    (col("a").quantile_transform(5), "shares", [0.5]),
    (col("a").quantile_transform(2), "shares", [0.0, 7.0]),
    (pca(col("a"), col("b")), "axes", [1.0, 2.0]),
    (pca(col("a"), col("b")), "means", [1.0]),
    (col("s").tfidf(), "documents", [1]),
    (col("s").tfidf(), "rows", 0),
    (col("s").tfidf(), "more", 1),
]


@pytest.mark.parametrize(("feature", "name", "value"), ALTERED, ids=[f"{one[0]} {one[1]}" for one in ALTERED])
def test_learned_constants_that_were_altered_are_refused_when_read(feature: Expr, name: str, value: Any) -> None:
    document = json.loads(fit({"x": feature}).transform().to_json())
    node = next(node for node in document["nodes"] if "learned" in node)
    node["learned"][name] = value
    with pytest.raises(FeatureError, match="restore the file"):
        Transform.from_json(json.dumps(document))
