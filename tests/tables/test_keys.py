"""Keys and fingerprints: typed, distinct, the same in every process, and None where an entity is not known."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.tables.keys import HASHED, KEY_BYTES, entity_key, fingerprint, whole_key

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.binary(max_size=20),
    st.lists(st.one_of(st.none(), st.integers(-9, 9)), max_size=3).map(tuple),
)
ENTITIES = st.lists(SCALARS, min_size=1, max_size=4)


def same(left: Any, right: Any) -> bool:
    """Whether two scalars are one value: of one type, NaN equal to NaN and −0.0 to 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right) or (left != left and right != right)


@given(ENTITIES, ENTITIES)
def test_keys_are_equal_exactly_where_entities_are(left: list[Any], right: list[Any]) -> None:
    equal = len(left) == len(right) and all(map(same, left, right))
    assert (entity_key(left) == entity_key(right)) is equal


@given(ENTITIES)
def test_a_key_can_be_read_again(entity: list[Any]) -> None:
    whole = whole_key(entity)
    assert whole is not None
    read = [tuple(one) if isinstance(one, list) else one for one in msgspec.msgpack.decode(whole)]
    assert all(map(same, read, entity))
    assert entity_key(tuple(entity)) == entity_key(entity)


@given(ENTITIES, st.integers(0, 4))
def test_an_entity_with_a_null_has_no_key(entity: list[Any], place: int) -> None:
    entity.insert(place, None)
    assert entity_key(entity) is None
    assert whole_key(entity) is None


def test_types_and_places_are_told_apart() -> None:
    entities = [[1], [1.0], [True], ["1"], [b"1"], [1, 1], [(1,)], ["a", "b"], ["ab"], ["b", "a"], [""], [()]]
    assert len({entity_key(one) for one in entities}) == len(entities)
    assert entity_key([-0.0]) == entity_key([0.0])
    assert entity_key([(math.nan, -0.0)]) == entity_key([(-math.nan, 0.0)])


@given(st.integers(KEY_BYTES - 8, KEY_BYTES + 8))
def test_a_long_key_is_its_hash(length: int) -> None:
    entity = ["x" * length]
    whole, key = whole_key(entity), entity_key(entity)
    assert whole is not None
    assert key is not None
    assert len(key) <= KEY_BYTES
    if len(whole) > KEY_BYTES:
        assert key == HASHED + hashlib.sha256(whole).digest()
    else:
        assert key == whole


@given(st.binary(min_size=1, max_size=8))
def test_no_key_looks_like_a_hashed_one(data: bytes) -> None:
    assert entity_key([data])[:1] != HASHED  # type: ignore[index]


@given(st.lists(st.one_of(st.none(), SCALARS), max_size=5).map(tuple))
def test_a_fingerprint_is_of_the_values_and_64_bits(values: tuple[Any, ...]) -> None:
    assert 0 <= fingerprint(values) < 2**64
    assert fingerprint(values) == fingerprint((*values,))
    assert fingerprint((*values, None)) != fingerprint(values)


def test_fingerprints_differ_where_features_may() -> None:
    rows = [(0.0,), (-0.0,), (0,), (False,), (None,), ("",), (), ("0",), (0.0, None), (None, 0.0)]
    assert len({fingerprint(row) for row in rows}) == len(rows)


def test_keys_and_fingerprints_are_the_same_in_every_process_and_version() -> None:
    """They stand in tables and logs: these bytes are a format."""
    assert entity_key(["JFK", 7, 2.5, True, b"\x00"]).hex() == "95a34a464b07cb4004000000000000c3c40100"  # type: ignore[union-attr]
    assert fingerprint((7, "JFK", None, 2.5)) == 15859321848947360586
    code = "from ninetyfive.tables.keys import *; print(entity_key(['é', 1]).hex(), fingerprint(('é', 1, None)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [entity_key(["é", 1]).hex(), str(fingerprint(("é", 1, None)))]  # type: ignore[union-attr]


def test_a_worker_that_looks_up_imports_neither_polars_nor_a_database() -> None:
    code = "import sys, ninetyfive.tables.keys, ninetyfive.tables.reader; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"polars", "numpy", "pyarrow", "sqlalchemy", "fsspec", "rich", "typer"} & set(done.stdout.split())
