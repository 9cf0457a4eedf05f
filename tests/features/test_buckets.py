"""Hashes that never change, and crosses that never collide."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.features.buckets import hashed
from ninetyfive.features.program import program
from ninetyfive.features.recording import Expr, col, cross
from ninetyfive.features.rows import every_value
from ninetyfive.features.transform import Transform, needed

TYPES = {"s": "string", "u": "string", "n": "integer", "b": "boolean", "a": "number"}
parts = st.text("|\\a", max_size=3)


def test_hashes_are_these() -> None:
    """Values written by xxhash 4.1 on Linux; a change would move every row of a fitted model to other buckets."""
    values: list[tuple[bool | int | str, int]] = [
        ("", 3_138),
        ("a", 38_719),
        ("Zoë", 34_494),
        ("Zoe\u0308", 10_045),
        (0, 27_897),
        (-1, 48_627),
        (2**63 - 1, 43_142),
        (-(2**63), 58_495),
        (False, 1_883),
        (True, 4_715),
    ]
    assert [hashed(value, 100_000) for value, _ in values] == [bucket for _, bucket in values]


@given(st.tuples(parts, parts), st.tuples(parts, parts))
def test_crosses_are_equal_only_where_all_parts_are(left: tuple[str, str], right: tuple[str, str]) -> None:
    made = program({"x": cross(col("s"), col("u")).node}, TYPES)
    one, other = (every_value(made)({"s": pair[0], "u": pair[1]})[-1] for pair in (left, right))
    assert (one == other) == (left == right)


def columns(feature: Expr) -> tuple[str, ...]:
    return Transform((("x", feature.node),), needed([feature.node], TYPES)).columns


def test_buckets_have_known_outcomes() -> None:
    assert columns(col("a").bucketize([0, 1]).one_hot()) == ("x=0", "x=1", "x=2")
    assert columns(col("s").hash_bucket(3).one_hot()) == ("x=0", "x=1", "x=2")
    feature = col("s").hash_bucket(100_000)
    transform = Transform((("x", feature.node),), needed([feature.node], TYPES))
    assert transform.kinds == {"x": ("index", 100_000)}
