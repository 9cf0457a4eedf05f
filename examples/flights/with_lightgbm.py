"""The question of system.py, answered by LightGBM with categorical splits: `python frameworks.py` compares them."""

import ninetyfive as nf
from ninetyfive import col

flights = nf.System(
    "flight-delays-lightgbm",
    source=nf.parquet(
        "data/flights-*.parquet", time="scheduled_at", id=["carrier", "flight", "origin", "scheduled_at"]
    ),
    label=col("arr_delay") > 15,
    label_delay="12h",
    later=["dep_time", "dep_delay", "air_time"],
    features={
        "hour": col("scheduled_at").hour(),
        "weekday": col("scheduled_at").weekday(),
        "distance": col("distance"),
        "arrival": col("arrival_minute") / 60,
        "carrier": col("carrier").vocabulary(),
        "origin": col("origin").vocabulary(),
        "dest": col("dest").vocabulary(top=100),
        # LightGBM knows what to do with missing values: nothing is filled.
        "wind": col("wind_speed"),
        "gust": col("wind_gust"),
        "humidity": col("humid"),
        "visibility": col("visib"),
        "rain": col("precip") > 0.0,
        "temperature": col("temp"),
        "dew": col("temp") - col("dewp"),
        "seats": nf.when(col("seats") > 0).then(col("seats")).otherwise(None),
    },
    metrics=["log_loss", "auc", "brier"],
    gates=[nf.Gate("auc", at_least=0.65)],
    training=nf.DynamicTraining(every="7d", window="365d"),
    serving=nf.DynamicServing(),
)


@flights.model(params={"num_leaves": 8, "min_data_in_leaf": 300, "learning_rate": 0.1, "cat_smooth": 100})
def model(x, y, params):
    import lightgbm as lgb

    same = {"seed": 0, "deterministic": True, "force_row_wise": True, "verbose": -1}
    rows = lgb.Dataset(x, y, categorical_feature=["carrier", "origin", "dest"])
    return lgb.train({"objective": "binary", **same, **params}, rows, 150)
