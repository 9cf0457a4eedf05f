"""One raw column as a logical type: values, and which of them cannot be one.

    raw column ── quick cast ──▶ most values
          └── what the cast refused ── the careful way ──▶ values + masks of what breaks `type`, `overflow`, `time`

The rule: the careful way is the definition (the grammar of `values`); the quick one may only take what it takes, alike.
What does not belong here: rules of a column (`conform`), single values (`values`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

from ninetyfive import values
from ninetyfive.schema import dtype, logical_type
from ninetyfive.values import BLANKS, FALSE_WORDS, INTEGER_TEXT, MISSING_WORDS, NUMBER_TEXT, TRUE_WORDS, Text

Faults = list[tuple[str, pl.Series]]
Parsed = tuple[pl.Series, Faults]
"""The values (null where there is none), and for each rule that some break the mask of those (Boolean, no nulls)."""

_ISO = "0000-00-00T00:00:00.000000000"
_ISO_LENGTHS = (10, 16, 19, *range(21, 30))
_BLOCK = 1 << 14
_MICROS_A_DAY = 86_400_000_000
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw]).decode
_NARROW = (pl.Int8(), pl.Int16(), pl.Int32(), pl.UInt8(), pl.UInt16(), pl.UInt32())


def parse(raw: pl.Series, type: str, text: Text) -> Parsed:
    """A raw column as logical type `type`; `text` says whether its strings are values, CSV fields or JSON.

    >>> value, faults = parse(pl.Series(["7", "x", "NA"]), "integer", "csv")
    >>> value.to_list(), [(rule, mask.to_list()) for rule, mask in faults]
    ([7, None, None], [('type', [False, True, False])])
    """
    if raw.dtype == pl.Null():
        return _nothing(raw, type), []
    if text == "csv":
        return _from_csv(raw, type)
    return _from_json(raw, type) if text == "json" else _from_typed(raw, type)


def _nothing(raw: pl.Series, type: str) -> pl.Series:
    return pl.repeat(None, len(raw), dtype=dtype(type), eager=True)


def _broken(**masks: pl.Series) -> Faults:
    """The masks that hold anything, by rule."""
    filled = {rule: mask.fill_null(value=False) for rule, mask in masks.items()}
    return [(rule, mask) for rule, mask in filled.items() if mask.any()]


def _carefully(raw: pl.Series, quick: pl.Series, careful: Callable[[pl.Series], Parsed]) -> Parsed:
    """`quick`, with `careful` for the values that it refused."""
    rest = (raw.is_not_null() & quick.is_null()).arg_true()
    if not len(rest):
        return quick, []
    value, faults = careful(raw.gather(rest))
    whole = quick.clone().scatter(rest, value)
    nowhere = pl.repeat(value=False, n=len(raw), eager=True)
    return whole, [(rule, nowhere.clone().scatter(rest, mask)) for rule, mask in faults]


# --- typed columns ---


def _from_typed(raw: pl.Series, type: str) -> Parsed:
    kind, found, target = raw.dtype, logical_type(raw.dtype), dtype(type)
    if isinstance(kind, (pl.Categorical, pl.Enum)):
        raw = raw.cast(pl.String)
    if type == "opaque":
        return (raw if kind == target else _json_bytes(raw)), []
    if type in values.ELEMENTS and isinstance(kind, (pl.List, pl.Array)):
        lists = raw if isinstance(kind, pl.List) else raw.arr.to_list()
        full = lists.filter(lists.list.len() > 0)
        elements = full.explode() if len(full) else pl.Series([], dtype=lists.dtype.inner)  # type: ignore[attr-defined]
        return _listed(raw, lists.list.len(), parse(elements, values.ELEMENTS[type], "typed"))
    if found == type == "date":
        return _within(raw, values.DAYS_MIN, values.DAYS_MAX)
    if found == type and isinstance(kind, pl.Datetime):
        return _times(raw, kind)
    if found == "date" and type == "timestamp":
        days, faults = _within(raw, values.DAYS_MIN, values.DAYS_MAX)
        return days.cast(target), faults
    if found == "string" and type in ("timestamp", "timestamp[UTC]", "date"):
        return _from_iso(raw, type)
    if found == type:
        return _widened(raw, target)
    if found == "integer" and type == "number":
        return raw.cast(pl.Float64), []
    if found == "number" and type == "integer":
        return _whole(raw.cast(pl.Float64))
    return _nothing(raw, type), _broken(type=raw.is_not_null())


def _widened(raw: pl.Series, target: pl.DataType) -> Parsed:
    """A column of the right logical type; of integers wider than 64 bits some do not fit."""
    if target != pl.Int64() or raw.dtype in _NARROW:
        return raw.cast(target), []
    whole = raw.cast(pl.Int64, strict=False)
    return whole, _broken(overflow=raw.is_not_null() & whole.is_null())


def _whole(floats: pl.Series) -> Parsed:
    """Floats that are whole as integers; others break `type`, too large ones `overflow`."""
    whole = floats.is_finite() & (floats == floats.floor())
    fits = whole & (floats >= -(2.0**63)) & (floats < 2.0**63)
    value = _where(fits, floats).cast(pl.Int64)
    return value, _broken(type=floats.is_not_null() & ~whole, overflow=whole & ~fits)


def _where(mask: pl.Series, series: pl.Series) -> pl.Series:
    """The values where the mask is true, null elsewhere."""
    return series.to_frame("x").select(pl.when(mask).then(pl.col("x"))).to_series()


def _within(raw: pl.Series, low: int, high: int) -> Parsed:
    """Times whose physical values lie in the years 1 to 9999; others break `time`."""
    ticks = raw.to_physical()
    least, most = ticks.min(), ticks.max()
    if least is None or (least >= low and most <= high):  # type: ignore[operator]
        return raw, []
    outside = ((ticks < low) | (ticks > high)).fill_null(value=False)
    return _where(~outside, raw), [("time", outside)]


def _times(raw: pl.Series, kind: pl.Datetime) -> Parsed:
    """Times of any unit and zone as µs, in UTC where they have a zone."""
    faults: Faults = []
    if kind.time_unit != "ns":  # nanoseconds cannot leave those years
        unit = 1_000 if kind.time_unit == "ms" else 1
        raw, faults = _within(raw, values.MICROS_MIN // unit, values.MICROS_MAX // unit)
    if kind.time_unit != "us":
        raw = raw.dt.cast_time_unit("us")
    return (raw.dt.convert_time_zone("UTC") if kind.time_zone not in (None, "UTC") else raw), faults


def _listed(raw: pl.Series, lengths: pl.Series, elements: Parsed) -> Parsed:
    """Lists of these lengths (null: null) from all their elements in a row; a list breaks what an element breaks."""
    ends = lengths.fill_null(0).cast(pl.Int64).cum_sum().to_numpy()
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), ends])
    flat, faults = elements
    arrow = pa.LargeListArray.from_arrays(offsets, flat.to_arrow(compat_level=pl.CompatLevel.oldest()))
    value = _where(lengths.is_not_null(), pl.Series(raw.name, pl.from_arrow(arrow)))
    broken = []
    for rule, mask in faults:
        before = np.concatenate([np.zeros(1, dtype=np.int64), mask.cast(pl.Int64).cum_sum().to_numpy()])
        broken.append((rule, pl.Series(before[offsets[1:]] > before[offsets[:-1]])))
    return value, broken


def _json_bytes(raw: pl.Series) -> pl.Series:
    """Each value as the bytes of its JSON text."""
    encode = msgspec.json.Encoder(enc_hook=str).encode
    texts = [None if value is None else encode(value) for value in raw.to_list()]
    return pl.Series(raw.name, texts, dtype=pl.Binary)


# --- text ---


def _from_csv(raw: pl.Series, type: str) -> Parsed:
    """CSV fields as `type`. Blanks around numbers, words and times do not count; `MISSING_WORDS` are null there."""
    if type in ("string", "opaque"):
        return raw.cast(dtype(type)), []
    if type in values.ELEMENTS:  # a CSV file holds no lists
        return _nothing(raw, type), _broken(type=raw.is_not_null())
    careful = {"boolean": _from_words, "integer": _from_digits, "number": _from_digits}.get(type, _from_iso)
    return _carefully(raw, _quick(raw, type), lambda rest: careful(_cleaned(rest), type))


def _cleaned(raw: pl.Series) -> pl.Series:
    text = raw.str.strip_chars(BLANKS)
    return _where(~text.is_in(MISSING_WORDS), text)


def _quick(raw: pl.Series, type: str) -> pl.Series:
    """The values that a cast gets right at once, null for all that need another look."""
    if type == "integer":
        return raw.cast(pl.Int64, strict=False)
    if type == "number":
        floats = raw.cast(pl.Float64, strict=False)
        return _where(floats.is_finite(), floats)
    return _from_words(raw, type)[0] if type == "boolean" else _from_iso(raw, type)[0]


def _from_words(text: pl.Series, type: str) -> Parsed:  # noqa: ARG001
    true = text.is_in(TRUE_WORDS)
    known = true | text.is_in(FALSE_WORDS)
    return _where(known, true), _broken(type=~known)


def _from_digits(text: pl.Series, type: str) -> Parsed:
    """Text of numbers as integers or floats; not a number breaks `type`, one too large for 64 bits `overflow`."""
    numeric = text.str.contains(f"^{NUMBER_TEXT}$")
    floats = _where(numeric, text).str.strip_prefix("+").cast(pl.Float64, strict=False)
    strange = _broken(type=~numeric)
    if type == "number":
        finite = floats.is_finite().fill_null(value=False)
        return _where(finite, floats), [*strange, *_broken(overflow=numeric & ~finite)]
    digits = text.str.contains(f"^{INTEGER_TEXT}$")
    exact = _where(digits, text).str.strip_prefix("+").cast(pl.Int64, strict=False)
    whole, faults = _whole(_where(~digits, floats))
    return exact.zip_with(digits.fill_null(value=False), whole), [
        *strange,
        *faults,
        *_broken(overflow=digits & exact.is_null()),
    ]


def _from_json(raw: pl.Series, type: str) -> Parsed:
    """JSON text of one field each as `type`, as strictly as `values.scalar` takes the decoded value."""
    if type == "opaque":
        return raw.cast(pl.Binary), []
    if type == "boolean":
        known = raw.is_in(("true", "false"))
        return _where(known, raw == "true"), _broken(type=~known)
    if type in values.ELEMENTS:
        return _from_arrays(raw, type)
    if type in ("integer", "number"):
        return _carefully(raw, _quick(raw, type), lambda rest: _from_digits(rest, type))
    inner = _where(raw.str.starts_with('"'), raw).str.strip_prefix('"').str.strip_suffix('"')
    text = _unescaped(inner)
    strange = _broken(type=raw.is_not_null() & text.is_null())
    if type == "string":
        return text, strange
    value, faults = _from_iso(text, type)
    return value, [*strange, *faults]


def _from_arrays(raw: pl.Series, type: str) -> Parsed:
    """JSON arrays as lists, each element as a field of its type; what is no JSON array breaks `type`."""
    lengths: list[int | None] = []
    texts: list[bytes | None] = []
    for text in raw.to_list():
        try:
            elements = None if text is None else _ARRAY(text)
        except msgspec.MsgspecError:
            elements = None
        lengths.append(None if elements is None else len(elements))
        texts += [None if (element := bytes(one)) == b"null" else element for one in elements or ()]
    known = pl.Series(lengths, dtype=pl.Int64)
    fields = pl.Series(texts, dtype=pl.Binary).cast(pl.String)
    value, faults = _listed(raw, known, parse(fields, values.ELEMENTS[type], "json"))
    return value, [*_broken(type=raw.is_not_null() & known.is_null()), *faults]


def _unescaped(inner: pl.Series) -> pl.Series:
    """JSON string contents without their quotes, decoded; what is not valid Unicode becomes null."""
    escaped = inner.str.contains("\\", literal=True).fill_null(value=False)
    if not escaped.any():
        return inner
    decoded: list[str | None] = []
    for text in inner.filter(escaped).to_list():
        try:
            decoded.append(msgspec.json.decode(f'"{text}"'.encode(), type=str))
        except msgspec.DecodeError:
            decoded.append(None)
    return inner.clone().scatter(escaped.arg_true(), pl.Series(decoded, dtype=pl.String))


# --- ISO 8601, on columns of bytes ---


def _from_iso(text: pl.Series, type: str) -> Parsed:
    """ISO 8601 text as `type`; text of another form, and days that do not exist, break `type`."""
    filled = text.fill_null("").to_arrow(compat_level=pl.CompatLevel.oldest())
    _, edges, data = filled.buffers()
    offsets = np.frombuffer(edges, dtype=np.int64)[filled.offset : filled.offset + len(text) + 1]
    content = np.frombuffer(data or b"", dtype=np.uint8)
    lengths = np.diff(offsets)
    micros = np.zeros(len(text), dtype=np.int64)
    good = np.zeros(len(text), dtype=np.bool_)
    for length in np.unique(lengths):
        if not 10 <= length <= 35 or (type == "date" and length != 10):
            continue
        rows = np.flatnonzero(lengths == length)
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            letters = content[offsets[block][:, None] + np.arange(length)]
            micros[block], good[block] = _zoned(letters) if type == "timestamp[UTC]" else _naive(letters)
    inside = (micros >= values.MICROS_MIN) & (micros <= values.MICROS_MAX)
    known = pl.Series(good)
    ticks = pl.Series((micros // _MICROS_A_DAY).astype(np.int32) if type == "date" else micros)
    value = _where(pl.Series(good & inside), ticks.cast(dtype(type)))
    return value, _broken(type=text.is_not_null() & ~known, time=pl.Series(good & ~inside))


def _zoned(letters: Any) -> tuple[Any, Any]:
    """µs in UTC of rows of letters (uint8, one row a text), and which rows are a time with its zone."""
    micros = np.zeros(len(letters), dtype=np.int64)
    good = np.zeros(len(letters), dtype=np.bool_)
    zulu = letters[:, -1] == ord("Z")
    if letters.shape[1] > 11:
        micros[zulu], good[zulu] = _naive(letters[zulu, :-1])
    if letters.shape[1] > 16:
        rest = letters[~zulu]
        local, known = _naive(rest[:, :-6])
        sign, hours, minutes = rest[:, -6], _number(rest, -5, 2), _number(rest, -2, 2)
        known &= np.isin(sign, (ord("+"), ord("-"))) & (rest[:, -3] == ord(":"))
        known &= (_digits(rest[:, [-5, -4, -2, -1]])).all(axis=1) & (hours < 24) & (minutes < 60)
        offset = (hours * 60 + minutes) * 60_000_000
        micros[~zulu] = local - np.where(sign == ord("-"), -offset, offset)
        good[~zulu] = known
    return micros, good


def _naive(letters: Any) -> tuple[Any, Any]:
    """µs since 1970 of rows of letters, and which rows are a day or a time without a zone."""
    rows, length = letters.shape
    if length not in _ISO_LENGTHS:
        return np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.bool_)
    good = np.ones(rows, dtype=np.bool_)
    for place, letter in enumerate(_ISO[:length]):
        column = letters[:, place]
        if letter == "0":
            good &= _digits(column)
        elif letter == "T":
            good &= (column == ord("T")) | (column == ord(" "))
        else:
            good &= column == ord(letter)
    year, month, day = _number(letters, 0, 4), _number(letters, 5, 2), _number(letters, 8, 2)
    good &= (year > 0) & (month > 0) & (month < 13) & (day > 0) & (day < 32)
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    good &= days.astype("datetime64[M]") == months
    micros = days.astype(np.int64) * _MICROS_A_DAY
    for place, limit, unit in ((11, 24, 3_600_000_000), (14, 60, 60_000_000), (17, 60, 1_000_000)):
        if length > place:
            part = _number(letters, place, 2)
            good &= part < limit
            micros += part * unit
    if length > len(_ISO[:20]):
        digits = min(length - 20, 6)
        micros += _number(letters, 20, digits) * 10 ** (6 - digits)
    return micros, good


def _digits(letters: Any) -> Any:
    return (letters >= ord("0")) & (letters <= ord("9"))


def _number(letters: Any, start: int, width: int) -> Any:
    """The int64 that `width` digits from `start` on write (start may count from the end)."""
    total = np.zeros(len(letters), dtype=np.int64)
    for place in range(start, start + width):
        total = total * 10 + (letters[:, place].astype(np.int64) - ord("0"))
    return total
