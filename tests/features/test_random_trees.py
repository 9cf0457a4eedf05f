"""Random trees of depth 6, over random rows and rows of all classes of values: frames equal rows.

`python -m pytest tests/features/test_random_trees.py --hypothesis-profile=soak` tries 200 times as many;
NINETYFIVE_TEST_SEED=… repeats a session.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from tests.features.equality import check
from tests.features.strategies import giving, rows_of, trees
from tests.features.value_classes import KINDS, rows_of_classes

from ninetyfive.features import tree

DEPTH = 6
SEED = int(os.environ["NINETYFIVE_TEST_SEED"])
CLASSES = rows_of_classes(large=False)


def operations_above_one_another(node: tree.Node) -> int:
    """The depth of a tree without its leaf."""
    return node.depth - 1


@pytest.mark.slow
def test_frames_equal_rows_for_random_trees(record_property: Any) -> None:
    counted = {"random trees": 0, "random trees of depth 6": 0, "rows that random trees refuse": 0}

    @seed(SEED)
    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def try_some(data: st.DataObject) -> None:
        kinds = data.draw(st.lists(st.sampled_from([kind for kind in KINDS if giving(kind)]), min_size=1, max_size=2))
        drawn = {str(index): data.draw(trees(kind, DEPTH)).node for index, kind in enumerate(kinds)}
        features = {name: node for name, node in drawn.items() if isinstance(node, tree.Call)}
        read = {name for node in features.values() for name in tree.columns_of(node)}
        if features:
            counted["rows that random trees refuse"] += check(features, [*data.draw(rows_of(read)), *CLASSES], alone=6)
            counted["random trees"] += len(features)
            counted["random trees of depth 6"] += sum(
                operations_above_one_another(node) == DEPTH for node in features.values()
            )

    try_some()
    assert counted["random trees of depth 6"] > counted["random trees"] // 2
    for name, number in counted.items():
        record_property("counted", [name, number])
