"""Keys: what an entity is called in a table, and what its features were.

    entity columns ─ row scalars ─ MessagePack ─▶ key            one entity, one key, of its type: 1, 1.0 and "1" differ
    transform's inputs ─ row scalars ─ MessagePack ─ XXH3-64 ─▶ fingerprint      equal features, equal fingerprint

Both are made of row scalars, the values of a row as the schema decodes them, so a request and a row of a file that mean
the same agree. What does not belong here: what is stored under a key (`layout`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import msgspec
import xxhash

from ninetyfive.values import Scalar

KEY_BYTES = 500
"""The longest key that stands in a table as it is (LMDB takes 511 bytes)."""
HASHED = b"\xc1"
"""How the key of a long one begins: the one byte that begins no MessagePack value."""

_encode = msgspec.msgpack.Encoder().encode
_hash = xxhash.xxh3_64_intdigest


def entity_key(values: Sequence[Scalar]) -> bytes | None:
    """The key of the entity with these row scalars, in declared order; None where one is null: it matches nothing.

    NaN equals NaN and −0.0 equals 0.0. A key of more than `KEY_BYTES` bytes is its sha256 (33 bytes, see `whole_key`).

    >>> entity_key(["JFK", 7]).hex()
    '92a34a464b07'
    >>> entity_key([1]) == entity_key([1.0]), entity_key([-0.0]) == entity_key([0.0]), entity_key(["JFK", None])
    (False, True, None)
    """
    whole = whole_key(values)
    return whole if whole is None or len(whole) <= KEY_BYTES else hashed(whole)


def whole_key(values: Sequence[Scalar]) -> bytes | None:
    """The key before a long one is hashed, as the table keeps it beside the answer; None where a value is null."""
    if None in values:
        return None
    for value in values:
        if isinstance(value, (float, tuple, list)):
            return _encode([_canonical(one) for one in values])
    return _encode(values)


def hashed(whole: bytes) -> bytes:
    """The key that stands for a long one."""
    return HASHED + hashlib.sha256(whole).digest()


def fingerprint(values: tuple[Scalar, ...]) -> int:
    """The fingerprint (64 bits) of the row scalars of the columns that a transform reads, in the order of its `inputs`.

    Values that differ in a bit give another one, also 0.0 and −0.0, as features may differ too.

    >>> fingerprint((7, "JFK", None)) == fingerprint((7, "JFK", None)), fingerprint((7.0,)) == fingerprint((7,))
    (True, False)
    """
    return _hash(_encode(values))


def _canonical(value: object) -> object:
    if isinstance(value, float):
        return math.nan if value != value else value + 0.0
    if isinstance(value, (tuple, list)):
        return [_canonical(one) for one in value]
    return value
