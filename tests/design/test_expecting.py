"""The range of a forecast: other futures of the same past lie in it, and it is no wider than they need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bench._request_logs import Log

from ninetyfive.design.expecting import expected
from ninetyfive.design.hits import built, table_hits


@pytest.mark.parametrize(
    ("log", "widest"),
    [
        (Log(requests=20_000, zipf=1.0, cardinality=1_000, seed=31), 0.04),
        (Log(requests=20_000, zipf=1.6, cardinality=1_000, changing=0.1, seed=32), 0.7),
    ],
)
def test_other_futures_lie_in_the_range(log: Log, widest: float) -> None:
    hits = table_hits(log.requests_of(), 86_400.0)
    k = hits.k[len(hits.k) // 2]
    found, inside = expected(hits, k), []
    for number in range(20):
        known = replace(log, future=number).requests_of().occurrences
        (real,) = built(known, [(known.cuts[1], len(known))], (k,))
        low, high = found.equal_range
        inside.append(low <= real.equal[0, 0] <= high)
    assert np.mean(inside) >= 0.8
    assert 0.0 <= low <= found.equal <= high <= 1.0
    assert high - low < widest
