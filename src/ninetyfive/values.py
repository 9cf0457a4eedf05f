"""One value: what JSON or Python holds, decoded to the scalar that rows and frames share.

    JSON / Python value ── scalar(value, type, where) ──▶ row scalar ── plain(scalar, type) ──▶ JSON-able value

The rule: a frame column and a row scalar of one logical type accept and refuse the same values (`conform` is tested
against this file). Nothing is guessed: true is not 1, "5" is not 5, a time without a zone is not UTC.
What does not belong here: columns, rows and frames (`schema`, `conform`), and anything that needs Polars.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NoReturn

import msgspec

from ninetyfive.errors import DataError, DeclarationError, near_names

Element = bool | int | float | str | None
Scalar = bool | int | float | str | bytes | tuple[Element, ...] | None

TYPES: dict[str, str] = {
    "boolean": "true or false",
    "integer": "a whole number that fits 64 bits",
    "number": "a 64-bit floating point number",
    "string": "text",
    "timestamp": "a time without a zone; in rows, µs since 1970-01-01T00:00 on that clock",
    "timestamp[UTC]": "a moment; in rows, µs since 1970-01-01T00:00Z",
    "date": "a day; in rows, days since 1970-01-01",
    "list[boolean]": "booleans in an order, some of them null; in rows, a tuple",
    "list[integer]": "integers in an order, some of them null; in rows, a tuple",
    "list[number]": "numbers in an order, some of them null; in rows, a tuple",
    "list[string]": "texts in an order, some of them null; in rows, a tuple",
    "opaque": "anything else, as bytes (nested values as their JSON text); passes through, no operation takes it",
}
"""The logical types of columns, and what a value of each is."""

ELEMENTS = {type: type[5:-1] for type in TYPES if type.startswith("list[")}
"""The logical types of lists, and the type of their elements. A list of anything else is opaque."""

INTEGER_MIN, INTEGER_MAX = -(1 << 63), (1 << 63) - 1
MICROS_MIN, MICROS_MAX = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The first and last µs of the years 1 to 9999, the years that have an ISO 8601 text and a Python datetime."""
DAYS_MIN, DAYS_MAX = -719_162, 2_932_896
"""The first and last day of the years 1 to 9999."""

Text = Literal["typed", "csv", "json"]
"""What raw columns are: typed as in Parquet, text of CSV fields, or JSON text of JSONL fields."""

MISSING_WORDS = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None")
"""CSV fields that mean missing in every column but strings; a string is missing only where the field is empty."""
TRUE_WORDS, FALSE_WORDS = ("true", "True", "TRUE"), ("false", "False", "FALSE")
"""CSV fields that are booleans."""
BLANKS = " \t"
"""What does not count at the ends of CSV fields that are not strings."""

# The one grammar of text, in the common subset of Python's `re` and Rust's `regex`; anchored by those who use it.
INTEGER_TEXT = r"[+-]?[0-9]+"
NUMBER_TEXT = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
DATE_TEXT = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
CLOCK_TEXT = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?"
ZONE_TEXT = r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
NAIVE_TEXT = rf"{DATE_TEXT}(?:[T ]{CLOCK_TEXT})?"
ZONED_TEXT = rf"{DATE_TEXT}[T ]{CLOCK_TEXT}{ZONE_TEXT}"

_DATE = re.compile(DATE_TEXT)
_NAIVE = re.compile(NAIVE_TEXT)
_ZONED = re.compile(ZONED_TEXT)
_EPOCH = datetime(1970, 1, 1)
_EPOCH_DAY = _EPOCH.toordinal()
_MICRO = timedelta(microseconds=1)
_SHOWN = 60


def scalar(value: Any, type: str, where: str) -> Scalar:
    """Decode one JSON or Python value of logical type `type` into its row scalar.

    None stays None. boolean: bool. integer: int, or a float that is whole; number: int or float (NaN stays NaN).
    string: str. timestamp: ISO 8601 text or datetime without zone, a day means its midnight; timestamp[UTC]: the same
    with a zone, turned to UTC; both µs, finer digits dropped. date: ISO 8601 text or date, days. list[…]: a list or
    tuple of what its element's type takes or None, as a tuple. opaque: bytes as they are, anything else as its JSON
    text. What does not fit raises `DataError` at `where`, an element of a list at its place there, counted from 0; an
    unknown type raises `DeclarationError`.

    >>> scalar(5.0, "integer", "row 3, column 'hour'")
    5
    >>> scalar("1970-01-01T01:00:00+01:00", "timestamp[UTC]", "row 3, column 'at'")
    0
    >>> scalar(["new", None], "list[string]", "row 3, column 'tags'")
    ('new', None)
    >>> scalar(True, "integer", "row 3, column 'hour'")
    Traceback (most recent call last):
    ninetyfive.errors.DataError: row 3, column 'hour': expected an integer, got the boolean true. To do: send ...
    """
    decode = DECODERS.get(type)
    if decode is None:
        raise unknown_type(type, where)
    return None if value is None else decode(value, where)


def plain(value: Scalar, type: str) -> Element | list[Element]:
    """The row scalar as people and JSON read it: times and days as ISO 8601 text, bytes as their text or base64.

    A list stays one.

    >>> plain(0, "timestamp[UTC]"), plain(0, "date"), plain(None, "date"), plain(2.5, "number")
    ('1970-01-01T00:00:00Z', '1970-01-01', None, 2.5)
    """
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, (tuple, list)):
        return list(value)
    if value is None or isinstance(value, (str, bool)):
        return value
    if type == "date":
        return date.fromordinal(int(value) + _EPOCH_DAY).isoformat()
    if type in ("timestamp", "timestamp[UTC]"):
        return (_EPOCH + timedelta(microseconds=value)).isoformat() + ("Z" if type == "timestamp[UTC]" else "")
    return value


def misfit(value: Any, type: str) -> int | None:
    """The place of the first element of a list that has not its element's type; None where `value` is no list.

    >>> misfit([1, None, "x"], "list[integer]"), misfit(7, "list[integer]")
    (2, None)
    """
    if isinstance(value, (list, tuple)):
        for place, element in enumerate(value):
            try:
                scalar(element, ELEMENTS[type], "")
            except DataError:
                return place
    return None


def element_of(where: str, place: int) -> str:
    """The place of an element of the list at `where`, counted from 0.

    >>> element_of("row 3, column 'tags'", 2)
    "row 3, column 'tags[2]'"
    """
    quote = where[-1:] if where[-1:] in ("'", '"') else ""
    return f"{where.removesuffix(quote)}[{place}]{quote}"


def cell(row: int, column: str) -> str:
    """The place of one value in errors, `row` counted from 1.

    >>> cell(3, "hour")
    "row 3, column 'hour'"
    """
    return f"row {row}, column {column!r}"


def shown(value: Any) -> str:
    """A value for an error message: its kind and the first 60 characters of it.

    >>> shown("late"), shown(7), shown(None)
    ("the text 'late'", 'the integer 7', 'null')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    kind = {int: "integer", float: "number", str: "text"}.get(type(value), type(value).__name__)
    text = repr(value)
    return f"the {kind} {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}"


def unknown_type(type: str, where: str) -> DeclarationError:
    """The error for a word that names no logical type."""
    return DeclarationError(
        where, expected="a column type", got=repr(type), do=f"use one of them ({near_names(type, TYPES)})"
    )


def _refuse(value: Any, where: str, expected: str, do: str) -> NoReturn:
    raise DataError(where, expected=expected, got=shown(value), do=do)


def _boolean(value: Any, where: str) -> bool:
    if isinstance(value, bool):
        return value
    _refuse(value, where, "a boolean", "send true or false")


def _integer(value: Any, where: str) -> int:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if isinstance(value, float) and not value.is_integer():
            _refuse(value, where, "an integer", "send a whole number")
        whole = int(value)
        if INTEGER_MIN <= whole <= INTEGER_MAX:
            return whole
        _refuse(value, where, "an integer that fits 64 bits", "send it as a string, and declare the column as one")
    _refuse(value, where, "an integer", "send a whole number")


def _number(value: Any, where: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            _refuse(value, where, "a number that fits 64 bits", "send a smaller one")
    _refuse(value, where, "a number", "send a JSON number, and null where it is missing")


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        _refuse(value, where, "a string", "send text in quotes")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            _refuse(value, where, "valid Unicode text", "remove the lone surrogates")
    return value


def _naive(value: Any, where: str) -> int:
    expected = "a time without a zone (ISO 8601)"
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    elif isinstance(value, str):
        if not _NAIVE.fullmatch(value):
            zoned = _ZONED.fullmatch(value) is not None
            _refuse(value, where, expected, "leave the zone out" if zoned else "write it like 2026-01-31T12:00:00")
        moment = _parsed(value, where, expected)
    else:
        _refuse(value, where, expected, "write it like 2026-01-31T12:00:00")
    if moment.tzinfo is not None:
        _refuse(value, where, expected, "leave the zone out")
    return (moment - _EPOCH) // _MICRO


def _utc(value: Any, where: str) -> int:
    expected = "a time with its zone (ISO 8601)"
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str) and _ZONED.fullmatch(value):
        moment = _parsed(value, where, expected)
    else:
        naive = isinstance(value, str) and _NAIVE.fullmatch(value)
        do = "say the zone, in UTC as 2026-01-31T12:00:00Z" if naive else "write it like 2026-01-31T12:00:00Z"
        _refuse(value, where, expected, do)
    offset = moment.utcoffset()
    if offset is None:
        _refuse(value, where, expected, "say the zone, in UTC as 2026-01-31T12:00:00Z")
    micros = (moment.replace(tzinfo=None) - _EPOCH) // _MICRO - offset // _MICRO
    if not MICROS_MIN <= micros <= MICROS_MAX:
        _refuse(value, where, "a time in the years 1 to 9999", "send null where the time is unknown")
    return micros


def _date(value: Any, where: str) -> int:
    expected = "a date (ISO 8601)"
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.toordinal() - _EPOCH_DAY
    if not (isinstance(value, str) and _DATE.fullmatch(value)):
        _refuse(value, where, expected, "write it like 2026-01-31")
    return _parsed(value, where, expected).toordinal() - _EPOCH_DAY


def _opaque(value: Any, where: str) -> bytes:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    try:
        return msgspec.json.encode(value)
    except (TypeError, UnicodeEncodeError):
        _refuse(value, where, "bytes or what JSON can hold", "send bytes")


def _list(element: str) -> Callable[[Any, str], tuple[Element, ...]]:
    """The decoder of lists of one type."""
    decode = DECODERS[element]

    def decoded(value: Any, where: str) -> tuple[Element, ...]:
        if not isinstance(value, (list, tuple)):
            _refuse(value, where, f"a list of {element}s", "send a JSON array, and null where it is missing")
        try:
            return tuple(None if one is None else decode(one, where) for one in value)  # type: ignore[misc]
        except DataError as error:
            place = element_of(where, misfit(value, f"list[{element}]") or 0)
            raise DataError(place, expected=error.expected, got=error.got, do=error.do) from None

    return decoded


def _parsed(text: str, where: str, expected: str) -> datetime:
    """The datetime of a text that has the right form; a day that does not exist (30 February) is refused."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        _refuse(text, where, expected, "send a day that exists, in the years 1 to 9999")


DECODERS: dict[str, Callable[[Any, str], bool | int | float | str | bytes | tuple[Element, ...]]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "string": _string,
    "timestamp": _naive,
    "timestamp[UTC]": _utc,
    "date": _date,
    "opaque": _opaque,
}
DECODERS |= {type: _list(element) for type, element in ELEMENTS.items()}
"""For each logical type the function (value, where) → row scalar, for values that are not None."""


def micros_of(moment: datetime) -> int:
    """µs since 1970 of a datetime: of its own clock where it has no zone, in UTC where it has one."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return (moment - _EPOCH) // _MICRO
