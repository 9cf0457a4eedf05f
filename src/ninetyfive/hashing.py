"""Hashes that mean the same bytes on every machine, Python and library version.

`content_hash` names things (sha256 of canonical JSON), `file_hash` names files, `row_hash` and
`string_hash` spread values over partitions, folds and sketches (64 bits, vectorised).
Polars' own hash is not stable across versions and is used for nothing that is stored.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

_BLOCK = 1 << 20


def content_hash(value: Any) -> str:
    """Sha256 (64 hex digits) of `value` as JSON with sorted keys; equal values, equal hash.

    Takes what msgspec encodes: None, bool, int, float, str, bytes, lists, tuples, dicts, structs, dataclasses.

    >>> content_hash({"b": 1, "a": [True, None]}) == content_hash({"a": [True, None], "b": 1})
    True
    """
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def bytes_hash(data: bytes) -> str:
    """Sha256 (64 hex digits) of bytes."""
    return hashlib.sha256(data).hexdigest()


def file_hash(stream: BinaryIO) -> str:
    """Sha256 (64 hex digits) of all that is left in a binary stream, read in 1 MiB blocks."""
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def function_hash(function: Callable[..., Any]) -> str:
    """Sha256 of the source of a function; of its byte code where that stands in no file (a notebook, a bare Python).

    Without a file the source that Python remembers may be that of another text of the same name, such as "<string>".
    """
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType) and not Path(code.co_filename).is_file():
        return content_hash(_code(code))
    try:
        return content_hash(inspect.getsource(function))
    except (OSError, TypeError):
        return content_hash(_code(code) if code else repr(function))


def _code(code: CodeType) -> list[Any]:
    """What a code object does, wherever it stands: a function inside it as its own code, not as an address."""
    inner = [_code(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return [code.co_code, code.co_names, code.co_varnames, inner]


def mix(bits: np.ndarray) -> np.ndarray:
    """Finalise uint64 words so that every bit depends on every bit.

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    """
    import numpy as np

    word = bits.astype(np.uint64, copy=True)
    word += np.uint64(0x9E3779B97F4A7C15)
    word ^= word >> np.uint64(30)
    word *= np.uint64(0xBF58476D1CE4E5B9)
    word ^= word >> np.uint64(27)
    word *= np.uint64(0x94D049BB133111EB)
    word ^= word >> np.uint64(31)
    return word


def string_hash(values: Iterable[str]) -> np.ndarray:
    """64-bit XXH64 (seed 0) of each string's UTF-8 bytes, as uint64; the scalar definition.

    >>> [hex(word) for word in string_hash(["a", ""]).tolist()]
    ['0xd24ec4f1a98c6e5b', '0xef46db3751d8e999']
    """
    import numpy as np
    import xxhash

    digest = xxhash.xxh64_intdigest
    return np.array([digest(value.encode("utf-8", "surrogatepass")) for value in values], dtype=np.uint64)


def series_hash(series: pl.Series) -> np.ndarray:
    """64-bit stable hash of each value of a series, as uint64; null is 0 and equals nothing that is not null.

    Numbers hash by value of their float64 form where that is exact, so that 1, 1.0 and true agree; −0.0 equals 0.0
    and every NaN equals every NaN. Strings hash by XXH64 of their UTF-8 bytes, computed once per distinct value.
    Times and durations hash by their microseconds, dates by their days, bytes as strings do, decimals, categories by
    their text, lists of these by their elements in order, arrays, structs and lists of them by the text of their
    Python value.
    """
    import numpy as np
    import polars as pl

    dtype = series.dtype
    null = series.is_null().to_numpy()
    if dtype == pl.Null:
        return np.zeros(len(series), dtype=np.uint64)
    if isinstance(dtype, (pl.Datetime, pl.Duration)):
        bits = series.dt.cast_time_unit("us").to_physical().fill_null(0).to_numpy().view(np.uint64)
        hashes = mix(bits)
    elif dtype == pl.Boolean or (dtype.is_numeric() and not dtype.is_decimal()) or dtype in (pl.Date, pl.Time):
        physical = series.to_physical()
        if physical.dtype in (pl.Int64, pl.UInt64):
            numbers = physical.fill_null(0).to_numpy()
            floats = numbers.astype(np.float64)
            exact = (numbers >= -(2**53)) & (numbers <= 2**53)
            bits = np.where(exact, floats.view(np.uint64), numbers.astype(np.uint64, copy=False))
        else:
            floats = physical.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0
            floats = np.where(np.isnan(floats), np.nan, floats)
            bits = floats.view(np.uint64)
        hashes = mix(bits)
    elif isinstance(dtype, pl.List) and not dtype.inner.is_nested():
        hashes = _list_hashes(series)
    else:
        hashes = _string_hashes(_text(series))
    return np.where(null, np.uint64(0), hashes)


def _list_hashes(series: pl.Series) -> np.ndarray:
    """The hash of each list, from its length and the hashes of its elements, each mixed with its place."""
    import numpy as np
    import polars as pl

    lengths = series.list.len().fill_null(0).cast(pl.Int64).to_numpy()
    hashes = lengths.astype(np.uint64)
    full = lengths > 0
    if full.any():
        starts = np.cumsum(lengths[full]) - lengths[full]
        places = np.arange(lengths.sum()) - np.repeat(starts, lengths[full])
        elements = series_hash(series.filter(pl.Series(full)).explode())
        hashes[full] += np.add.reduceat(mix(elements ^ mix(places.astype(np.uint64))), starts)
    return mix(hashes)


def _text(series: pl.Series) -> pl.Series:
    """The values of a series as strings (or bytes) that differ where the values do."""
    import polars as pl

    if series.dtype in (pl.String, pl.Binary):
        return series
    if series.dtype.is_nested() or series.dtype == pl.Object:
        return pl.Series(series.name, [None if value is None else repr(value) for value in series.to_list()], pl.String)
    return series.cast(pl.String)


def _string_hashes(text: pl.Series) -> np.ndarray:
    """`string_hash` of a String or Binary series, computed once per distinct value; null is 0 (uint64)."""
    import numpy as np
    import polars as pl
    import xxhash

    binary = text.cast(pl.Binary)
    distinct = binary.unique()
    digest = xxhash.xxh64_intdigest
    hashes = [0 if value is None else digest(value) for value in distinct]
    lookup = pl.DataFrame({"value": distinct, "hash": pl.Series(hashes, dtype=pl.UInt64)})
    found = binary.to_frame("value").join(lookup, on="value", how="left", maintain_order="left", nulls_equal=True)
    return found["hash"].to_numpy().astype(np.uint64, copy=False)


def row_hash(frame: pl.DataFrame, columns: Iterable[str]) -> np.ndarray:
    """64-bit stable hash of each row over `columns` in their order, as uint64 (length: rows of the frame)."""
    import numpy as np

    total = np.zeros(frame.height, dtype=np.uint64)
    for name in columns:
        total = mix(total ^ series_hash(frame[name]))
    return total


@cache
def package_hash() -> str:
    """The hash of the code of this package, all of it: what workers run is what is here."""
    root = Path(__file__).parent
    return content_hash(
        [[str(path.relative_to(root)), bytes_hash(path.read_bytes())] for path in sorted(root.rglob("*.py"))]
    )
