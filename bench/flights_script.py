"""The plain script that `bench.flights` compares a run with: what one writes by hand, and nothing that lasts.

The same reads, the same features in Polars, the same three trainings, export to ONNX and scoring of the export; no
store, no schema, no statistics, no intervals, no slices, no lineage, no golden requests.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.preprocessing import OneHotEncoder

PARAMS = {"max_iter": 150, "max_leaf_nodes": 8, "min_samples_leaf": 300}


def vocabulary(train: pl.DataFrame, name: str, top: int | None = None) -> dict[str, int]:
    """Value → 1 … n, by descending count."""
    counts = train[name].drop_nulls().value_counts().sort(["count", name], descending=[True, False])
    values = counts[name].to_list()
    return {value: number + 1 for number, value in enumerate(values[:top])}


def features(rows: pl.DataFrame, fitted: dict) -> pl.DataFrame:
    """The features of examples/flights/system.py, by hand."""
    words = fitted["words"]

    def index(name: str) -> pl.Expr:
        return pl.col(name).replace_strict(words[name], default=0, return_dtype=pl.Int64)

    return rows.select(
        pl.col("scheduled_at").dt.hour().alias("hour"),
        pl.col("scheduled_at").dt.weekday().alias("weekday"),
        ((pl.col("distance").cast(pl.Float64).log1p() - fitted["distance"][0]) / fitted["distance"][1]).alias(
            "distance"
        ),
        (pl.col("arrival_minute") / 60).alias("arrival"),
        index("carrier").alias("carrier"),
        *((pl.col("origin") == value).alias(f"origin={value}") for value in words["origin"]),
        index("dest").alias("dest"),
        index("route").alias("route"),
        pl.sum_horizontal(
            pl.col("wind_speed").fill_null(fitted["wind_speed"]) > edge for edge in fitted["edges"]
        ).alias("wind"),
        pl.col("wind_gust").fill_null(0.0).alias("gust"),
        pl.col("humid").fill_null(fitted["humid"]).alias("humidity"),
        pl.col("visib").clip(0.0, 10.0).alias("visibility"),
        (pl.col("precip") > 0.0).alias("rain"),
        pl.col("temp").fill_null(fitted["temp"]).alias("temperature"),
        (pl.col("temp") - pl.col("dewp")).alias("dew"),
        pl.when(pl.col("seats") > 0).then("seats").otherwise(None).alias("seats"),
    ).select(pl.all().cast(pl.Float32).fill_null(float("nan")))


def fit(train: pl.DataFrame) -> dict:
    """The constants of the features."""
    logs = train["distance"].cast(pl.Float64).log1p()
    wind = train["wind_speed"].fill_null(train["wind_speed"].mean())
    edges = sorted({wind.quantile(step / 10) for step in range(1, 10)})
    return {
        "words": {
            "carrier": vocabulary(train, "carrier"),
            "origin": vocabulary(train, "origin"),
            "dest": vocabulary(train, "dest", 100),
            "route": vocabulary(train, "route", 300),
        },
        "distance": (logs.mean(), logs.std(ddof=0)),
        "wind_speed": train["wind_speed"].mean(),
        "edges": edges,
        "humid": train["humid"].mean(),
        "temp": train["temp"].mean(),
    }


def binned(x: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    """Each column as the number of its quantile bin."""
    return np.column_stack([np.searchsorted(found, x[:, column]) for column, found in enumerate(edges)])


def main(folder: Path) -> None:
    """Read, split, fit, train three models, export, score."""
    rows = pl.concat([pl.read_parquet(path) for path in sorted(folder.glob("flights-*.parquet"))])
    rows = rows.drop_nulls("arr_delay").with_columns(route=pl.col("origin") + "-" + pl.col("dest"))
    cut = rows["scheduled_at"].quantile(0.8)
    train, test = rows.filter(pl.col("scheduled_at") < cut), rows.filter(pl.col("scheduled_at") >= cut)
    fitted = fit(train)
    x, x_test = (features(part, fitted).to_numpy() for part in (train, test))
    y, y_test = ((part["arr_delay"] > 15).to_numpy() for part in (train, test))
    model = HistGradientBoostingClassifier(**PARAMS, early_stopping=False, random_state=0).fit(x, y)
    some = np.linspace(0, len(x) - 1, 100_000).astype(int)
    filled = np.nan_to_num(x[some], nan=-1.0)
    edges = [np.unique(np.quantile(filled[:, column], np.arange(1, 10) / 10)) for column in range(x.shape[1])]
    encoder = OneHotEncoder(max_categories=50, handle_unknown="infrequent_if_exist")
    hot = encoder.fit_transform(binned(filled, edges))
    linear = LogisticRegression(max_iter=200).fit(hot, y[some])
    onnx = to_onnx(model, x[:1], options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3}).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    answers = {
        "model": session.run(None, {session.get_inputs()[0].name: x_test})[1][:, 1].astype(float),
        "constant": np.full(len(y_test), y.mean()),
        "linear": linear.predict_proba(encoder.transform(binned(np.nan_to_num(x_test, nan=-1.0), edges)))[:, 1],
    }
    for name, p in answers.items():
        print(name, roc_auc_score(y_test, p), log_loss(y_test, p), brier_score_loss(y_test, p))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
