"""One tree of merges, whoever merges and in whatever order states come."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.engines.merging import Merging


def whole(states: dict[int, str], first: int, size: int) -> str | None:
    """The tree as a definition: halves merged; of a half without rows, the other."""
    if size == 1:
        return states.get(first)
    left, right = whole(states, first, size // 2), whole(states, first + size // 2, size // 2)
    return f"({left}{right})" if left and right else left or right


def tree() -> Merging[str]:
    return Merging(lambda left, right: f"({left}{right})")


STATES = st.dictionaries(st.integers(0, 63), st.text("abc", min_size=1, max_size=1), max_size=40)


@given(states=STATES, seed=st.integers())
def test_any_order_makes_the_same_merges(states: dict[int, str], seed: int) -> None:
    made = tree()
    order = list(states)
    random.Random(seed).shuffle(order)
    for chunk in order:
        made.add(0, chunk, states[chunk])
    assert made.total() == whole(states, 0, 64)


@given(states=STATES, level=st.integers(0, 6), seed=st.integers())
def test_blocks_merged_apart_make_the_same_merges(states: dict[int, str], level: int, seed: int) -> None:
    blocks = {}
    for block in range(64 >> level):
        apart = tree()
        for chunk in range(block << level, (block + 1) << level):
            apart.add(0, chunk, states.get(chunk))
        apart.settle(level, block)
        assert list(apart.nodes) == [(level, block)]
        blocks[block] = apart.nodes[level, block]
    order = list(blocks)
    random.Random(seed).shuffle(order)
    made = tree()
    for block in order:
        made.add(level, block, blocks[block])
    assert made.total() == whole(states, 0, 64)


@given(states=STATES, level=st.integers(0, 6))
def test_settling_as_it_goes_changes_nothing(states: dict[int, str], level: int) -> None:
    made = tree()
    for block in range(64 >> level):
        for chunk in range(block << level, (block + 1) << level):
            if chunk in states:
                made.add(0, chunk, states[chunk])
        made.settle(level, block)
    assert made.total() == whole(states, 0, 64)


def test_few_nodes_are_held_at_a_time() -> None:
    made = tree()
    for chunk in range(1_000):
        made.add(0, chunk, "a" if chunk % 3 else None)
        assert len(made.nodes) <= 10
    assert tree().total() is None
