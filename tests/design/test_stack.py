"""The curve of caches, against exact ones."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from tests.design.test_workload import LOGS

from ninetyfive.design.stack import lru_hits


def exact(entities: list[int], size: int) -> float:
    """The hits of a least-recently-used cache, one request after the other."""
    cache: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for entity in entities:
        hits += entity in cache
        cache.pop(entity, None)
        cache[entity] = None
        if len(cache) > size:
            cache.popitem(last=False)
    return hits / len(entities)


@pytest.mark.parametrize("name", LOGS)
def test_the_curve_of_caches_is_within_two_points_of_exact_caches(name: str) -> None:
    requests = LOGS[name].requests_of()
    sizes = [1, 2, 5, 10, 30, 100, 300, 1_000]
    found = lru_hits(requests.occurrences, sizes)
    entities = requests.entity.tolist()
    assert max(abs(one - exact(entities, size)) for one, size in zip(found, sizes, strict=True)) < 0.02
