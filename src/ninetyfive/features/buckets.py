"""Operations that make few values of many without learning: bucketize by given edges, hash_bucket, and cross.

    cross(col("origin"), col("dest")) ─▶ "LGA|JFK" ─▶ .vocabulary() or .hash_bucket(1000)

The hash is XXH3 with 64 bits and seed 0 (Collet, xxHash: doc/xxhash_spec.md) of what `hashed` says: the same on every
machine and version. What does not belong here: edges and words that are learned (`learned`).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import xxhash

from ninetyfive.features import tree
from ninetyfive.features.operation import (
    Argument,
    Frame,
    Operation,
    Outcome,
    Polars,
    Site,
    fail,
    integer_argument,
    once,
    over_distinct,
)

MAX_EDGES = 10_000
MAX_BUCKETS = 100_000
_WORDS = (tree.STRING, tree.INTEGER, tree.BOOLEAN)


def hashed(value: bool | int | str, n: int) -> int:
    """The bucket, 0 to n - 1, of a value: XXH3-64 of its bytes modulo n.

    The bytes: of a string its UTF-8, of an integer 8 (two's complement, little-endian), of a boolean one, 0 or 1.

    >>> hashed("a", 1000), hashed(1, 1000), hashed(True, 1000)
    (719, 78, 715)
    """
    return xxhash.xxh3_64_intdigest(_bytes(value)) % n


def _bytes(value: bool | int | str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return value.to_bytes(1 if isinstance(value, bool) else 8, "little", signed=not isinstance(value, bool))


def escaped(text: str) -> str:
    r"""A part of a cross, in which `|` and `\` stand behind a `\`, so that different parts never make equal crosses.

    >>> escaped("a|b"), escaped("a\\"), escaped("LGA")
    ('a\\|b', 'a\\\\', 'LGA')
    """
    return text.replace("\\", "\\\\").replace("|", "\\|")


@lru_cache(maxsize=64)
def _first(count: int) -> tuple[Outcome, ...]:
    return tuple((index, str(index)) for index in range(count))


def _edges(value: Any, where: str) -> tuple[int | float, ...]:
    do = "write edges=[0, 10, 100]"
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise fail(where, "edges: a list of numbers", value, do)
    made = [tree.constant(edge, where) for edge in value]
    if not all(edge.type in tree.NUMERIC and math.isfinite(edge.value) for edge in made):
        raise fail(where, "edges: finite numbers", value, do)
    edges = tuple(edge.value + 0 for edge in made)
    if not 1 <= len(edges) <= MAX_EDGES:
        raise fail(where, f"edges: 1 to {MAX_EDGES:,} numbers", f"{len(edges):,} numbers", do)
    if any(float(left) >= float(right) for left, right in pairwise(edges)):
        raise fail(where, "edges: each above the one before", value, "sort them, and remove what is there twice")
    return edges


def _truth(name: str) -> Any:
    def check(value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise fail(where, f"{name}: True or False", value, f"write {name}=True")
        return value

    return check


def _bucketize_frame(pl: Polars, site: Site) -> Frame:
    edges = pl.lit(pl.Series("", [float(edge) for edge in site.arguments["edges"]], dtype=pl.Float64))
    side = "right" if site.arguments["left_closed"] else "left"

    def index(number: Frame) -> Frame:
        return pl.when(number.is_not_nan()).then(edges.search_sorted(number, side=side).cast(pl.Int64))

    return once(pl, site.float_frames(pl), index, pl.Int64)


def _bucketize_row(site: Site) -> str:
    (text,), (as_float,) = site.inputs, site.floats()
    edges = site.bind(f"_edges_{site.step}", [float(edge) for edge in site.arguments["edges"]])
    right = site.arguments["left_closed"]
    bisect = site.bind("_bisect_right", bisect_right) if right else site.bind("_bisect_left", bisect_left)
    return site.strict(f"{bisect}({edges}, {as_float})", *([f"{text} != {text}"] if site.nan[0] else []))


def _hash_frame(pl: Polars, site: Site) -> Frame:
    return over_distinct(pl, site.inputs[0], partial(hashed, n=site.arguments["n"]), pl.Int64)


def _hash_row(site: Site) -> str:
    (text,), (kind,), n = site.inputs, site.types, site.arguments["n"]
    if kind == tree.BOOLEAN:
        return site.strict(f"({hashed(True, n)} if {text} else {hashed(False, n)})")
    data = f"{text}.encode()" if kind == tree.STRING else f'{text}.to_bytes(8, "little", signed=True)'
    return site.strict(f"{site.bind('_xxh3', xxhash.xxh3_64_intdigest)}({data}) % {n}")


def _word(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.INTEGER if types[0] in _WORDS else None


def _cross_result(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return tree.STRING if set(types) <= set(_WORDS) else None


def _cross_frame(pl: Polars, site: Site) -> Frame:
    parts = [
        frame.str.replace_all("\\", "\\\\", literal=True).str.replace_all("|", "\\|", literal=True)
        if kind == tree.STRING
        else frame.cast(pl.String)
        for frame, kind in zip(site.inputs, site.types, strict=True)
    ]
    return pl.concat_str(parts, separator="|", ignore_nulls=False)


def _cross_row(site: Site) -> str:
    return site.strict(" + '|' + ".join(_cross_part(site, index) for index in range(len(site.inputs))))


def _cross_part(site: Site, index: int) -> str:
    text = site.inputs[index]
    if site.types[index] == tree.BOOLEAN:
        return f"('true' if {text} else 'false')"
    if site.types[index] == tree.INTEGER:
        return f"{site.bind('_str', str)}({text})"
    return f"({site.bind('_escaped', escaped)}({text}) if '|' in {text} or '\\\\' in {text} else {text})"


OPERATIONS = (
    Operation(
        name="bucketize",
        example='col("a").bucketize([0, 10, 100])',
        takes="a number, compared with the edges as a float64",
        gives="integer from 0 to the number of edges: how many edges lie below the value, or are it if left_closed",
        nulls="null and NaN give null",
        arguments=(Argument("edges", _edges), Argument("left_closed", _truth("left_closed"), False)),
        result=lambda types, _: tree.INTEGER if types[0] in tree.NUMERIC else None,
        nullable=lambda site: site.nullable[0] or site.nan[0],
        outcomes=lambda site: _first(1 + len(site.arguments["edges"])),
        frame=_bucketize_frame,
        row=_bucketize_row,
    ),
    Operation(
        name="hash_bucket",
        example='col("s").hash_bucket(1000)',
        takes="a string, an integer or a boolean",
        gives="integer from 0 to n-1: its hash modulo n",
        nulls="null stays null",
        hint='it hashes strings, integers and booleans: cast first, as in .cast("integer")',
        arguments=(Argument("n", integer_argument("n", 2, MAX_BUCKETS)),),
        result=_word,
        outcomes=lambda site: _first(site.arguments["n"]),
        frame=_hash_frame,
        row=_hash_row,
    ),
    Operation(
        name="cross",
        form="function",
        inputs=(2, None),
        example='cross(col("s"), col("u"))',
        takes="two or more strings, integers or booleans",
        gives="string: the values with | between them; | and \\ in a value are written \\| and \\\\",
        nulls="null where one is null",
        hint='cast what is none of them, as in .cast("integer")',
        result=_cross_result,
        frame=_cross_frame,
        row=_cross_row,
    ),
)
