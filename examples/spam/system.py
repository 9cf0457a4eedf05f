"""Is this message spam? Asked as it arrives; spammers change their words every few days. `prepare.py` makes it up."""

import ninetyfive as nf
from ninetyfive import col

spam = nf.System(
    "spam-filter",
    source=nf.parquet("data/messages-*.parquet", time="received_at", id="message"),
    label=col("is_spam"),
    # A judgement is known when the reader has opened the mailbox.
    label_delay="6h",
    # What could be asked about again is the text itself.
    entity=["text"],
    features={
        "words": col("text").ngram_counts(512),
        "links": col("links").log1p(),
        "capitals": col("capitals").zscore(),
        "domain": col("domain_days").log1p().zscore(),
    },
    metrics=["log_loss", "auc"],
    # What is held out to judge a release is not learnt from, and these words live for days only.
    split=nf.Split("time", test=0.1),
)


@spam.model(params={"C": 0.3})
def model(x, y, params):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**params, max_iter=300).fit(x, y)
