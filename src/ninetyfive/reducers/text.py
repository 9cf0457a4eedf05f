"""Columns of strings: their hashes, and their distinct values with counts, at the speed of numbers.

    strings of one length ─▶ words in columns ─▶ one numpy operation a step of XXH64, for all of them at once

Strings of 32 bytes and more, and lengths that few strings share, take `hashing.string_hash` itself; the values are
the same. Source: the XXH64 specification (Collet, xxHash fast digest algorithm, doc/xxhash_spec.md), inputs shorter
than 32 bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from ninetyfive.hashing import string_hash
from ninetyfive.reducers.arrays import BLOCK, Array, runs
from ninetyfive.reducers.keyed_counts import value_counts

_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime)
    for prime in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
)
_SHORT = 32
_FEW = 64  # below this many strings of one length, one call each is faster
_SAMPLE = 4096
_LONG = 16_384


def text_hash(series: pl.Series) -> Array:
    """XXH64 (seed 0) of the UTF-8 bytes of each string of a String series without nulls, as uint64.

    >>> text_hash(pl.Series(["a", ""])).tolist() == string_hash(["a", ""]).tolist()
    True
    """
    if not len(series):
        return np.zeros(0, dtype=np.uint64)
    arrow = series.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = arrow.buffers()
    edges = np.frombuffer(offsets, dtype=np.int64)[arrow.offset : arrow.offset + len(arrow) + 1]
    content = np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, dtype=np.uint8)
    starts = edges[:-1]
    sizes = np.minimum(edges[1:] - starts, _SHORT).astype(np.uint8)
    order = np.argsort(sizes, kind="stable")
    ends = np.searchsorted(sizes[order], np.arange(_SHORT + 1, dtype=np.uint8), "right")
    hashes = np.empty(len(series), dtype=np.uint64)
    for length, rows in enumerate(np.split(order, ends[:-1])):
        if length == _SHORT or len(rows) < _FEW:
            if len(rows):
                hashes[rows] = string_hash(series.gather(rows).to_list())
            continue
        for first in range(0, len(rows), BLOCK):
            block = rows[first : first + BLOCK]
            hashes[block] = _short(content, starts[block], length)
    return hashes


class Texts(NamedTuple):
    """Distinct strings, in no stated order: those of `series` at `rows`, their counts (int64) and hashes (uint64)."""

    series: pl.Series
    rows: Array
    counts: Array
    hashes: Array


def distinct_texts(series: pl.Series) -> Texts:
    """The distinct values of a String series without nulls.

    Where most values of a long column differ, they are told apart by their hashes, which is faster than by their text
    (any two of 131,072 strings share a hash with probability 5e-10).
    """
    step = max(1, len(series) // _SAMPLE)
    if len(series) < _LONG or series.gather_every(step).n_unique() < _SAMPLE * 15 // 16:
        values, counted = value_counts(series)
        return Texts(values, np.arange(len(values)), counted.to_numpy(), text_hash(values))
    unsorted = text_hash(series)
    order = np.argsort(unsorted)
    hashes = unsorted[order]
    starts, counts = runs(hashes)
    if len(starts) == len(series):
        return Texts(series, order, counts, hashes)
    return Texts(series, order[starts], counts, hashes[starts])


def _short(content: Array, starts: Array, length: int) -> Array:
    """XXH64 of the `length` < 32 bytes that begin at each of `starts`."""
    width = -(-length // 8)
    text = np.zeros((len(starts), width * 8), dtype=np.uint8)
    if length:
        shifted = np.ndarray((len(content) - length + 1,), dtype=f"V{length}", buffer=content, strides=(1,))
        text[:, :length] = shifted[starts].view(np.uint8).reshape(-1, length)
    words = text.view("<u8")
    hashes = np.full(len(starts), _P5 + np.uint64(length), dtype=np.uint64)
    for column in range(length // 8):
        hashes ^= _turn(words[:, column] * _P2, 31) * _P1  # arrays wrap around, as the algorithm wants
        hashes = _turn(hashes, 27) * _P1 + _P4
    done = length // 8 * 8
    if length - done >= 4:
        half = text[:, done : done + 4].copy().view("<u4")[:, 0].astype(np.uint64)
        hashes ^= half * _P1
        hashes = _turn(hashes, 23) * _P2 + _P3
        done += 4
    for place in range(done, length):
        hashes ^= text[:, place].astype(np.uint64) * _P5
        hashes = _turn(hashes, 11) * _P1
    for shift, prime in ((33, _P2), (29, _P3)):
        hashes ^= hashes >> np.uint64(shift)
        hashes *= prime
    hashes ^= hashes >> np.uint64(32)
    return hashes


def _turn(words: Array, bits: int) -> Array:
    return (words << np.uint64(bits)) | (words >> np.uint64(64 - bits))
