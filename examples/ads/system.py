"""Will a click on this ad lead to a purchase? Known three days later; a few thousand ads are asked about all day.

`prepare.py` makes the shop up, and says how.
"""

import ninetyfive as nf
from ninetyfive import col

ads = nf.System(
    "ad-conversion",
    source=nf.parquet("data/clicks-*.parquet", time="clicked_at", id="click"),
    label=col("bought"),
    # Who has not bought after three days does not buy.
    label_delay="3d",
    entity=["ad"],
    features={
        "category": col("category").vocabulary(),
        "price": col("price").log1p(),
        "discount": col("discount"),
        "rating": col("rating"),
    },
    metrics=["log_loss", "auc"],
)


@ads.model(params={"max_iter": 60, "max_leaf_nodes": 8, "min_samples_leaf": 100})
def model(x, y, params):
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**params, early_stopping=False, random_state=0).fit(x, y)
