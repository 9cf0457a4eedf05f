"""Every adapter in ninetyfive.models keeps the contract of adapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from tests.models import test_keras

import ninetyfive.models
from ninetyfive.models import imported as imported_adapter
from ninetyfive.models import lightgbm as lightgbm_adapter
from ninetyfive.models import sklearn as sklearn_adapter
from ninetyfive.models import xgboost as xgboost_adapter
from ninetyfive.models.adapters import ADAPTERS, Adapter
from ninetyfive.models.imported import OnnxFile
from ninetyfive.testing.adapter_suite import AdapterSuite, Case, find_adapters


def logistic(x: Any, y: Any, params: dict[str, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(x, y)


def searched_logistic(x: Any, y: Any, params: dict[str, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    return GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(x, y)


def scaled_logistic(x: Any, y: Any, params: dict[str, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)


def boosting(x: Any, y: Any, params: dict[str, Any]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=8, max_leaf_nodes=6, early_stopping=True).fit(x, y)


def boosting_regression(x: Any, y: Any, params: dict[str, Any]) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=8, max_leaf_nodes=6).fit(x, y)


def forest(x: Any, y: Any, params: dict[str, Any]) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(5).fit(x, y)


def forest_without_names(x: Any, y: Any, params: dict[str, Any]) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(5).fit(x.to_numpy(), y)


def lambda_pipeline(x: Any, y: Any) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    return make_pipeline(FunctionTransformer(lambda z: z), LogisticRegression()).fit(x, y)


def boosted_pipeline(x: Any, y: Any) -> Any:
    from lightgbm import LGBMClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LGBMClassifier(n_estimators=2, verbose=-1)).fit(x.to_numpy(), y)


class TestSklearn(AdapterSuite):
    adapter: ClassVar[Adapter] = sklearn_adapter
    frameworks: ClassVar[tuple[str, ...]] = ("sklearn", "skops", "skl2onnx", "onnx", "scipy")
    refused: ClassVar[Mapping[str, Any]] = {"a lambda": lambda_pipeline, "a booster inside": boosted_pipeline}
    cases: ClassVar[Mapping[str, Case]] = {
        "logistic": Case("binary", logistic),
        "logistic of classes": Case("multiclass", logistic),
        "scaled logistic": Case("binary", scaled_logistic),
        "searched logistic": Case("binary", searched_logistic),
        "boosting": Case("binary", boosting, missing=True),
        "boosting of classes": Case("multiclass", boosting, missing=True),
        "boosting regression": Case("regression", boosting_regression, missing=True),
        "forest": Case("multiclass", forest),
        "forest without names": Case("regression", forest_without_names),
    }


def their_file(x: Any, y: Any, params: dict[str, Any]) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.linear_model import LogisticRegression, Ridge

    model = (Ridge() if y.dtype.kind == "f" else LogisticRegression()).fit(x.to_numpy(), y)
    options = {} if y.dtype.kind == "f" else {id(model): {"zipmap": False}}
    made = convert_sklearn(model, initial_types=[("their input", FloatTensorType([None, 3]))], options=options)
    made.graph.name = "theirs"
    return OnnxFile("their.onnx", made.SerializeToString(deterministic=True))(x, y, params)


class TestImported(AdapterSuite):
    adapter: ClassVar[Adapter] = imported_adapter
    frameworks: ClassVar[tuple[str, ...]] = ("onnx", "google.protobuf")
    cases: ClassVar[Mapping[str, Case]] = {
        "binary": Case("binary", their_file, missing=True),
        "classes": Case("multiclass", their_file, missing=True),
        "a number": Case("regression", their_file, missing=True),
    }


QUIET = {"verbose": -1, "num_threads": 1}


def light(x: Any, y: Any, params: dict[str, Any]) -> Any:
    import lightgbm

    return lightgbm.train({**QUIET, "objective": "binary"}, lightgbm.Dataset(x, y), 8)


def light_categories(x: Any, y: Any, params: dict[str, Any]) -> Any:
    import lightgbm

    rows = lightgbm.Dataset(x, y, categorical_feature=["c"])
    return lightgbm.train({**QUIET, "objective": "binary", "min_data_per_group": 1}, rows, 8)


def light_stopped(x: Any, y: Any, params: dict[str, Any]) -> Any:
    import lightgbm

    held = [lightgbm.Dataset(x[160:], y[160:])]
    stop = [lightgbm.early_stopping(2, verbose=False)]
    given = {**QUIET, "learning_rate": 1.0}
    return lightgbm.train(given, lightgbm.Dataset(x[:160], y[:160]), 60, valid_sets=held, callbacks=stop)


def light_classes(x: Any, y: Any, params: dict[str, Any]) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=6, n_jobs=1, verbose=-1).fit(x, y)


def light_searched(x: Any, y: Any, params: dict[str, Any]) -> Any:
    from lightgbm import LGBMClassifier
    from sklearn.model_selection import GridSearchCV

    return GridSearchCV(LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1), {"num_leaves": [4, 8]}, cv=2).fit(x, y)


def pandas_categories(x: Any, y: Any) -> Any:
    from lightgbm import LGBMClassifier

    frame = x.with_columns(x["c"].cast(int)).to_pandas()
    return LGBMClassifier(n_estimators=2, verbose=-1).fit(frame.astype({"c": "category"}), y)


class TestLightgbm(AdapterSuite):
    adapter: ClassVar[Adapter] = lightgbm_adapter
    frameworks: ClassVar[tuple[str, ...]] = ("lightgbm", "sklearn", "onnxmltools", "onnx", "scipy", "pandas")
    refused: ClassVar[Mapping[str, Any]] = {"categories of pandas": pandas_categories}
    cases: ClassVar[Mapping[str, Case]] = {
        "booster": Case("binary", light, missing=True),
        "categorical splits": Case("binary", light_categories, missing=True, forms=("native",)),
        "stopped early": Case("regression", light_stopped, missing=True),
        "classes": Case("multiclass", light_classes, missing=True),
        "searched": Case("binary", light_searched, missing=True),
    }


def extreme(x: Any, y: Any, params: dict[str, Any]) -> Any:
    import xgboost

    return xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(x, y), 8)


def extreme_categories(x: Any, y: Any, params: dict[str, Any]) -> Any:
    import xgboost

    rows = xgboost.DMatrix(x, y, feature_types=["q", "q", "c"], enable_categorical=True)
    return xgboost.train({"objective": "binary:logistic", "nthread": 1}, rows, 8)


def extreme_stopped(x: Any, y: Any, params: dict[str, Any]) -> Any:
    from xgboost import XGBRegressor

    model = XGBRegressor(n_estimators=60, learning_rate=1.0, n_jobs=1, early_stopping_rounds=2)
    return model.fit(x[:160], y[:160], eval_set=[(x[160:], y[160:])], verbose=False)


def extreme_classes(x: Any, y: Any, params: dict[str, Any]) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=6, n_jobs=1).fit(x, np.unique(y, return_inverse=True)[1])


def own_missing(x: Any, y: Any) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=2, n_jobs=1, missing=-1.0).fit(x, y)


def frame_categories(x: Any, y: Any) -> Any:
    import polars as pl
    from xgboost import XGBClassifier

    frame = x.with_columns(pl.col("c").cast(pl.Int8).cast(pl.String).cast(pl.Categorical))
    return XGBClassifier(n_estimators=2, n_jobs=1, enable_categorical=True).fit(frame, y)


class TestXgboost(AdapterSuite):
    adapter: ClassVar[Adapter] = xgboost_adapter
    frameworks: ClassVar[tuple[str, ...]] = ("xgboost", "sklearn", "onnxmltools", "onnx", "scipy", "pandas")
    refused: ClassVar[Mapping[str, Any]] = {"another missing": own_missing, "categories of a frame": frame_categories}
    cases: ClassVar[Mapping[str, Case]] = {
        "booster": Case("binary", extreme, missing=True),
        "categorical splits": Case("binary", extreme_categories, missing=True, forms=("native",)),
        "stopped early": Case("regression", extreme_stopped, missing=True),
        "classes": Case("multiclass", extreme_classes, missing=True),
    }


def test_every_adapter_is_tested_and_in_the_table() -> None:
    tested = {
        suite.adapter.NAME for suite in (TestSklearn, TestImported, TestLightgbm, TestXgboost, test_keras.TestKeras)
    }
    found = {adapter.NAME for adapter in find_adapters(ninetyfive.models)}
    assert found == tested == set(ADAPTERS)
