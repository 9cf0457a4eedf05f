"""What does this voice command mean? Phrases mean what they always meant, and a few are said again and again.

`prepare.py` makes the commands up, and says how.
"""

import ninetyfive as nf
from ninetyfive import col

voice = nf.System(
    "voice-commands",
    source=nf.parquet("data/commands-*.parquet", time="said_at", id="command"),
    label=col("intent"),
    # People label what was said within a day.
    label_delay="1d",
    entity=["phrase"],
    features={"words": col("phrase").ngram_counts(64)},
    metrics=["log_loss", "accuracy"],
)


@voice.model(params={"max_iter": 60, "max_leaf_nodes": 15})
def model(x, y, params):
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**params, early_stopping=False, random_state=0).fit(x, y)
