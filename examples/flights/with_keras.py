"""The same question by wide and deep learning in Keras, fitted from a stream; a network wants missing values filled.

After Cheng et al., Wide & Deep Learning for Recommender Systems (2016): embeddings of one weight beside deep ones.
"""

import ninetyfive as nf
from ninetyfive import col

flights = nf.System(
    "flight-delays",
    source=nf.parquet(
        "data/flights-*.parquet", time="scheduled_at", id=["carrier", "flight", "origin", "scheduled_at"]
    ),
    label=col("arr_delay") > 15,
    label_delay="12h",
    later=["dep_time", "dep_delay", "air_time"],
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
        "visibility": col("visib").fill_mean().clip(0.0, 10.0),
        "rain": col("precip").fill_null(0.0) > 0.0,
        "temperature": col("temp").fill_mean(),
        "dew": col("temp").fill_mean() - col("dewp").fill_mean(),
        "seats": nf.when(col("seats") > 0).then(col("seats")).otherwise(None).fill_mean(),
    },
    metrics=["log_loss", "auc", "brier"],
)


@flights.model(params={"batch_size": 512, "epochs": 3, "patience": 1})
def model(params):
    import keras
    from keras import layers

    sizes = {name: size for name, size in params["columns"].items() if size}
    index = {name: keras.Input((1,), name=name, dtype="int32") for name in sizes}
    numbers = keras.Input((len(params["columns"]) - len(sizes),), name="numbers")
    normal = layers.BatchNormalization()(numbers)
    wide, deep = (
        layers.Concatenate()([layers.Flatten()(layers.Embedding(sizes[name], n)(index[name])) for name in sizes])
        for n in (1, 2)
    )
    hidden = layers.Dense(16, activation="relu")(layers.Concatenate()([deep, normal]))
    hidden = layers.Dense(8, activation="relu")(layers.Dropout(0.3)(hidden))
    output = layers.Dense(1, activation="sigmoid")(layers.Concatenate()([wide, normal, hidden]))
    made = keras.Model({**index, "numbers": numbers}, output)
    made.compile("adam", loss="binary_crossentropy", metrics=["AUC"])
    return made
