"""plane.py: peakedness as entropy defines it, and regions where a textbook has them."""

from __future__ import annotations

import math

import msgspec
import pytest
from tests.design.designs import bare, design, workload

from ninetyfive.design.evidence import ServingEvidence
from ninetyfive.design.plane import DECADES, PEAKEDNESS, peakedness_of, plane


def closed(**limits: object) -> ServingEvidence:
    """A system whose entities are all known and hardly change."""
    evidence = design().serving_evidence
    known = msgspec.structs.replace(workload(), new_entity_rate=0.001, changes=(), change_rate=0.001)
    constraints = msgspec.structs.replace(evidence.constraints, **limits)
    return msgspec.structs.replace(evidence, workload=known, candidates=(), constraints=constraints)


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("count", [10, 1_000, 50_000])
def test_peakedness_is_one_minus_the_normalised_entropy(slope: float, count: int) -> None:
    weights = [rank**-slope for rank in range(1, count + 1)]
    total = sum(weights)
    entropy = -sum(one / total * math.log(one / total) for one in weights)
    assert peakedness_of(slope, count) == pytest.approx(1 - entropy / math.log(count), abs=2e-4)


def test_few_entities_are_tabled_many_even_ones_computed_and_a_head_in_between_is_hybrid() -> None:
    found = {(one.peakedness, round(math.log10(one.cardinality), 2)): one for one in plane(closed())}
    assert len(found) == len(PEAKEDNESS) * len(DECADES)
    assert found[0.0, 2.0].paradigm == "static"
    assert found[0.0, 7.0].paradigm == "dynamic"
    assert found[0.8, 7.0].paradigm == "hybrid"
    assert found[0.0, 2.0].k == 100


def test_new_entities_leave_no_table_of_all_and_a_strict_latency_leaves_nothing_else() -> None:
    assert "static" not in {one.paradigm for one in plane(design().serving_evidence)}
    assert {one.paradigm for one in plane(closed(latency=1e-6))} == {"static"}
    assert {one.paradigm for one in plane(closed(latency=1e-6, misses=0.0))} == {"none"}
    assert plane(bare().serving_evidence) == ()
