"""The flights model as one writes it with scikit-learn alone: a pipeline over a data frame of the request's columns.

    rows ─ DataFrame ─ derived columns ─ ColumnTransformer ─ HistGradientBoostingClassifier ─▶ probability

It has the model and the learned constants of the release that it is compared with, so that both answer alike. Runs in
the environment of a peer. What does not belong here: HTTP (`fastapi_app`, `litserve_app`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

NUMBERS = (
    *("distance", "arrival_minute", "temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "visib", "seats"),
)
USED = ("scheduled_at", "carrier", "origin", "dest", *NUMBERS)


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of a request as a data frame of the columns that are used."""
    made = pd.DataFrame.from_records(rows, columns=list(USED))
    made["scheduled_at"] = pd.to_datetime(made["scheduled_at"])
    return made.astype(dict.fromkeys(NUMBERS, "float64"))


def derived(rows: pd.DataFrame, means: Mapping[str, float]) -> pd.DataFrame:
    """The rows with their gaps filled where the model wants it, and the columns that are made of several."""
    return rows.assign(
        hour=rows["scheduled_at"].dt.hour,
        weekday=rows["scheduled_at"].dt.dayofweek + 1,
        arrival=rows["arrival_minute"] / 60,
        route=rows["origin"] + "-" + rows["dest"],
        rain=(rows["precip"] > 0.0).astype("float64").where(rows["precip"].notna()),
        dew=rows["temp"] - rows["dewp"],
        seats=rows["seats"].where(rows["seats"] > 0),
        visib=rows["visib"].clip(0.0, 10.0),
    ).fillna({**means, "wind_gust": 0.0})


def bins(values: Any, edges: Sequence[float]) -> np.ndarray:
    """The number of the bin of each value."""
    return np.searchsorted(edges, np.asarray(values), side="left")


def ordered(values: np.ndarray) -> np.ndarray:
    """In the order and the type that the model was trained on; codes count from 1, 0 is what was never seen."""
    values[:, CODES] += 1
    return values[:, ORDER].astype(np.float32)


PLAIN = ("hour", "weekday", "arrival", "wind_gust", "humid", "visib", "rain", "temp", "dew", "seats")
CODED = ("carrier", "dest", "route")
CODES = [11, 12, 13]
ORDER = [0, 1, 10, 2, 11, 14, 15, 16, 12, 13, 17, 3, 4, 5, 6, 7, 8, 9]


def pipeline(learned: Mapping[str, Any], model: Any, some: pd.DataFrame) -> Pipeline:
    """The pipeline with these learned constants; `some` rows are enough to fit what learns nothing else."""
    means = {name: learned[name] for name in ("humid", "temp", "wind_speed")}
    encoder = OrdinalEncoder(
        categories=[learned[name] for name in CODED],
        handle_unknown="use_encoded_value",
        unknown_value=-1,
        encoded_missing_value=-1,
    )
    columns = ColumnTransformer(
        [
            ("plain", "passthrough", list(PLAIN)),
            ("distance", make_pipeline(FunctionTransformer(np.log1p), StandardScaler()), ["distance"]),
            ("codes", encoder, list(CODED)),
            ("origin", OneHotEncoder(categories=[learned["origin"]], sparse_output=False), ["origin"]),
            ("wind", FunctionTransformer(bins, kw_args={"edges": learned["edges"]}), ["wind_speed"]),
        ]
    )
    first = FunctionTransformer(derived, kw_args={"means": means})
    columns.fit(first.transform(some))
    scaler = columns.named_transformers_["distance"][-1]
    scaler.mean_ = np.array([learned["distance"][0]])
    scaler.scale_ = np.array([learned["distance"][1]])
    scaler.var_ = scaler.scale_**2
    if hasattr(model, "feature_names_in_"):
        del model.feature_names_in_  # it is given an array, and need not look for names in it
    return Pipeline(
        [("derived", first), ("columns", columns), ("ordered", FunctionTransformer(ordered)), ("model", model)]
    )


def answers(fitted: Pipeline, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """The probability of each row."""
    found: list[float] = fitted.predict_proba(frame(rows))[:, 1].tolist()
    assert not any(map(math.isnan, found))
    return found
