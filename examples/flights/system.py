"""Will this flight arrive more than 15 minutes late? Asked before it departs. This file is the 5 %."""

import ninetyfive as nf
from ninetyfive import col

flights = nf.System(
    "flight-delays",
    source=nf.parquet(
        "data/flights-*.parquet", time="scheduled_at", id=["carrier", "flight", "origin", "scheduled_at"]
    ),
    label=col("arr_delay") > 15,
    # The label is known when the flight has landed, and no training sees it earlier.
    label_delay="12h",
    later=["dep_time", "dep_delay", "air_time"],
    entity=["carrier", "origin", "dest"],
    # No month and no air pressure: trees that saw no winter learn from them what does not hold in winter.
    features={
        "hour": col("scheduled_at").hour(),
        "weekday": col("scheduled_at").weekday(),
        "distance": col("distance").log1p().zscore(),
        "arrival": col("arrival_minute") / 60,
        "carrier": col("carrier").vocabulary(),
        "origin": col("origin").vocabulary().one_hot(),
        "dest": col("dest").vocabulary(top=100),
        "route": (col("origin") + "-" + col("dest")).vocabulary(top=300),
        "wind": col("wind_speed").fill_mean().quantile_bins(10),
        "gust": col("wind_gust").fill_null(0.0),
        "humidity": col("humid").fill_mean(),
        "visibility": col("visib").clip(0.0, 10.0),
        "rain": col("precip") > 0.0,
        "temperature": col("temp").fill_mean(),
        "dew": col("temp") - col("dewp"),
        "seats": nf.when(col("seats") > 0).then(col("seats")).otherwise(None),
    },
    metrics=["log_loss", "auc", "brier"],
    slices=["carrier", "origin"],
    gates=[nf.Gate("auc", at_least=0.65), nf.Gate("log_loss", may_lose=0.01, slice="carrier", rows=2000)],
    training=nf.DynamicTraining(every="7d", window="365d"),
    serving=nf.DynamicServing(),
)


@flights.model(params={"max_iter": 150, "max_leaf_nodes": 8, "min_samples_leaf": 300})
def model(x, y, params):
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**params, early_stopping=False, random_state=0).fit(x, y)
