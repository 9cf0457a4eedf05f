"""A model that is dear: a support vector machine that takes about 5 ms of one core for each row, alone or in a batch.

Its work grows with the rows of a batch, so how much it answers a second does not depend on how many ask. It predicts
no better than a guess, which is not asked of it.
"""

import ninetyfive as nf
from ninetyfive import col

dear = nf.System(
    "dear",
    source=nf.parquet("data/rows.parquet", id=["row"]),
    label=col("y"),
    entity=["row"],
    features={name: col(name) for name in "abcdefgh"},
)


@dear.model(params={"vectors": 7000, "bins": 110, "seed": 1})
def model(x, y, params):
    import numpy as np
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer
    from sklearn.svm import SVR

    rows, chance = np.asarray(x, dtype=np.float64), np.random.default_rng(params["seed"])
    drawn = chance.integers(len(rows), size=params["vectors"])
    near = rows[drawn] + chance.normal(0.0, 0.2, (len(drawn), rows.shape[1]))
    bins = KBinsDiscretizer(
        params["bins"], encode="onehot-dense", quantile_method="averaged_inverted_cdf", subsample=None
    )
    return make_pipeline(bins, SVR(C=1e-3, epsilon=0.0, cache_size=500)).fit(near, np.asarray(y)[drawn])
