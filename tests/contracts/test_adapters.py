"""Every adapter in ninetyfive.models keeps the contract of adapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tests.models import test_keras

import ninetyfive.models
from ninetyfive.models import sklearn as sklearn_adapter
from ninetyfive.models.adapters import ADAPTERS, Adapter
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


class TestSklearn(AdapterSuite):
    adapter: ClassVar[Adapter] = sklearn_adapter
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


def test_every_adapter_is_tested_and_in_the_table() -> None:
    tested = {suite.adapter.NAME for suite in (TestSklearn, test_keras.TestKeras)}
    found = {adapter.NAME for adapter in find_adapters(ninetyfive.models)}
    assert found == tested == set(ADAPTERS)
