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
from sklearn.impute import SimpleImputer
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


def derived(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the columns that are made of several, or of a time."""
    return rows.assign(
        hour=rows["scheduled_at"].dt.hour,
        weekday=rows["scheduled_at"].dt.dayofweek + 1,
        arrival=rows["arrival_minute"] / 60,
        route=rows["origin"] + "-" + rows["dest"],
        rain=(rows["precip"] > 0.0).astype("float64").where(rows["precip"].notna()),
        dew=rows["temp"] - rows["dewp"],
        seats=rows["seats"].where(rows["seats"] > 0),
        visib=rows["visib"].clip(0.0, 10.0),
    )


def plus_one(codes: np.ndarray) -> np.ndarray:
    """Codes from 1 on; 0 is what was never seen."""
    return codes + 1


def bins(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """The number of the bin of each value."""
    return np.searchsorted(edges, np.asarray(values), side="left")


def single(values: Any) -> np.ndarray:
    """As float32, which the model was trained on."""
    return np.asarray(values, dtype=np.float32)


def pipeline(learned: Mapping[str, Any], model: Any, some: pd.DataFrame) -> Pipeline:
    """The pipeline with these learned constants; `some` rows are enough to fit what learns nothing else."""

    def vocabulary(name: str) -> Pipeline:
        encoder = OrdinalEncoder(
            categories=[learned[name]],
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            encoded_missing_value=-1,
            dtype=np.float64,
        )
        return make_pipeline(encoder, FunctionTransformer(plus_one))

    def filled(value: float) -> SimpleImputer:
        return SimpleImputer(strategy="constant", fill_value=value, keep_empty_features=True)

    wind = make_pipeline(filled(learned["wind_speed"]), FunctionTransformer(bins, kw_args={"edges": learned["edges"]}))
    scaled = make_pipeline(FunctionTransformer(np.log1p), StandardScaler())
    origins = OneHotEncoder(categories=[learned["origin"]], handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer(
        [
            ("clock", "passthrough", ["hour", "weekday"]),
            ("distance", scaled, ["distance"]),
            ("arrival", "passthrough", ["arrival"]),
            ("carrier", vocabulary("carrier"), ["carrier"]),
            ("origin", origins, ["origin"]),
            ("dest", vocabulary("dest"), ["dest"]),
            ("route", vocabulary("route"), ["route"]),
            ("wind", wind, ["wind_speed"]),
            ("gust", filled(0.0), ["wind_gust"]),
            ("humidity", filled(learned["humid"]), ["humid"]),
            ("sight", "passthrough", ["visib", "rain"]),
            ("temperature", filled(learned["temp"]), ["temp"]),
            ("rest", "passthrough", ["dew", "seats"]),
        ]
    )
    columns.fit(derived(some))
    if hasattr(model, "feature_names_in_"):
        del model.feature_names_in_  # it is given an array, and need not look for names in it
    scaler = columns.named_transformers_["distance"][-1]
    scaler.mean_ = np.array([learned["distance"][0]])
    scaler.scale_ = np.array([learned["distance"][1]])
    scaler.var_ = scaler.scale_**2
    return Pipeline(
        [
            ("derived", FunctionTransformer(derived)),
            ("columns", columns),
            ("single", FunctionTransformer(single)),
            ("model", model),
        ]
    )


def answers(fitted: Pipeline, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """The probability of each row."""
    found: list[float] = fitted.predict_proba(frame(rows))[:, 1].tolist()
    assert not any(map(math.isnan, found))
    return found
