"""Prediction tables: an answer and a fingerprint for each entity, in one file that workers map and share.

    table.json     what it is: release, entity, as of when, population, distribution of answers (`about`)
    table.mdb      entity key ─▶ fingerprint, answers; sorted, read by `reader`, written by `writer`
    manifest.json  sha256 and size of both, written by the store

    keys.py  entity key and fingerprint of a row       layout.py  the bytes of an entry

The rule: a worker imports `keys` and `reader`, and neither needs Polars. What does not belong here: what a table is
built from and whether it is good enough (`steps`, `decisions`).
"""
