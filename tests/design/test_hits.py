"""What tables answered, against plain loops over the requests."""

from __future__ import annotations

import numpy as np
import pytest
from bench._request_logs import Log

from ninetyfive.design.hits import Hits, built, left_one_out, table_hits
from ninetyfive.design.requests import requests_of_arrays

DAY = 86_400.0


def test_leaving_one_out_is_what_removing_each_request_gives() -> None:
    entities = [0, 0, 0, 1, 1, 2, 3, 3]
    for k in (1, 2, 3, 4):
        found = 0.0
        for place, entity in enumerate(entities):
            rest = np.bincount(entities[:place] + entities[place + 1 :], minlength=4)
            more, alike = (rest > rest[entity]).sum(), (rest == rest[entity]).sum()
            found += min(1.0, max(0.0, (k - more) / alike)) if rest[entity] else 0.0
        assert left_one_out(np.bincount(entities), (k,))[0] == pytest.approx(found / len(entities))


def test_what_a_table_answered_is_what_a_real_one_answers() -> None:
    requests = Log(requests=6_000, zipf=1.0, cardinality=100, changing=1.0, seed=1).requests_of()
    known = requests.occurrences
    begin, end = known.cuts
    (found,) = built(known, [(begin, end)], (5, 50, known.entities))
    shorter = requests_of_arrays(requests.time[:end], requests.entity[:end], requests.fingerprint[:end])
    for place, k in enumerate((5, 50, known.entities)):
        names, counts = np.unique(shorter.entity[:begin], return_counts=True)
        held = dict.fromkeys(names[np.argsort(-counts, kind="stable")[:k]].tolist())
        latest = dict(zip(shorter.entity[:begin].tolist(), shorter.fingerprint[:begin].tolist(), strict=True))
        asked = list(zip(shorter.entity[begin:].tolist(), shorter.fingerprint[begin:].tolist(), strict=True))
        assert found.covered[0, place] == pytest.approx(np.mean([one in held for one, _ in asked]), abs=0.01)
        equal = [one in held and latest[one] == print for one, print in asked]
        assert found.equal[0, place] == pytest.approx(np.mean(equal), abs=0.01)


def test_the_last_window_is_not_looked_at() -> None:
    requests = Log(requests=9_000, zipf=1.0, cardinality=500, seed=2).requests_of()
    last = requests.occurrences.cuts[1]
    others = np.where(np.arange(9_000) < last, requests.entity, requests.entity + np.uint64(10_000))
    found = [
        table_hits(one, DAY) for one in (requests, requests_of_arrays(requests.time, others, requests.fingerprint))
    ]
    assert plain(found[0]) == plain(found[1])


def plain(hits: Hits) -> list[object]:
    return [hits.k, hits.again.tolist(), [[b.equal.tolist() for b in one.built] for one in hits.horizons]]
