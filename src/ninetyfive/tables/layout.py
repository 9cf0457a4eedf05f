"""The bytes of a table: its files, and what stands under a key.

    fingerprint   8 bytes, unsigned, little-endian
    answers       a float64 each, little-endian: one, or one a class; NaN says that there is no answer
    whole key     only where the key is a hash

What does not belong here: how keys are made (`keys`), how entries are found (`reader`) and put in order (`writer`).
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

ABOUT = "table.json"
ENTRIES = "table.mdb"

FINGERPRINT = Struct("<Q")


def answers_struct(classes: int) -> Struct:
    """The answers of an entry: of a model with so many classes, 0 for a binary or a regression model."""
    return Struct(f"<{max(1, classes)}d")


def packer(classes: int) -> Callable[..., bytes]:
    """The function (fingerprint, answer, …) → the bytes of an entry, but for a whole key.

    >>> packer(0)(7, 0.5).hex()
    '0700000000000000000000000000e03f'
    """
    return Struct(f"<Q{max(1, classes)}d").pack
