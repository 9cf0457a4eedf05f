"""Rows of a request: from JSON to row scalars that keep the schema, or a fault that says where.

    body ─ msgspec, a struct that only takes what is right ─▶ fields ─ times, lists, words ─▶ row scalars
              └─ anything else: a struct that takes every JSON ─ the schema ─▶ row scalars, 400 wrong type, 422 outside

The rule: what is accepted, and as what, is exactly what `Schema.row` says. The quick way only knows how to say yes;
whatever it does not like is looked at again by the schema, which words the fault.
What does not belong here: the form of a request round its rows (`tensorflow`, `inference`), and what answers it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple

import msgspec

from ninetyfive import values
from ninetyfive.errors import DataError
from ninetyfive.schema import ColumnSchema, Schema
from ninetyfive.serve.messages import Limits

_LOOSE: dict[str, Any] = {
    "boolean": bool | None,
    "integer": int | float | None,
    "number": float | None,
    "string": str | None,
    "timestamp": str | None,
    "timestamp[UTC]": str | None,
    "date": str | None,
    "list[boolean]": list[bool | None] | None,
    "list[integer]": list[int | float | None] | None,
    "list[number]": list[float | None] | None,
    "list[string]": list[str | None] | None,
}
"""What JSON a column of each type may hold; of any other type everything."""
_QUICK: dict[str, Any] = {
    "boolean": bool,
    "number": float,
    "string": str,
    "timestamp": str,
    "timestamp[UTC]": str,
    "date": str,
    "list[boolean]": list[bool | None],
    "list[integer]": list[Annotated[int, msgspec.Meta(ge=values.INTEGER_MIN, le=values.INTEGER_MAX)] | None],
    "list[number]": list[float | None],
    "list[string]": list[str | None],
}


_DEPTH = Limits().depth


class Fault(Exception):
    """Why a request is not answered: a status, where, and words for whoever sent it.

    `retry` (seconds) says when to come again, None where that would not help.
    """

    def __init__(self, status: HTTPStatus, where: str, words: str, retry: int | None = None) -> None:
        super().__init__(status, where, words)
        self.status = status
        self.where = where
        self.words = words
        self.retry = retry

    def __str__(self) -> str:
        return f"{self.where}: {self.words}" if self.where else self.words


class Outside(NamedTuple):
    """A row that breaks a rule of the schema (null, range, values): what to answer where there is no default."""

    fault: Fault


class Rows:
    """The rows that a schema of requests takes: structs whose fields `f0`, `f1` … are its columns, in order.

    `quick` takes only what surely keeps the schema, but for what `check` still has to turn into row scalars; `loose`
    takes all that JSON can say of the columns.

    >>> rows = Rows(Schema((ColumnSchema("hour", "integer", nullable=False, maximum=23),)))
    >>> rows.cells(["hour"])(rows.check(rows.convert({"hour": 7.0}, "$.instances[0]"), "$.instances[0]"))
    (7,)
    >>> rows.check(rows.convert({"hour": 24}, "$.instances[0]"), "$.instances[0]").fault.status
    <HTTPStatus.UNPROCESSABLE_ENTITY: 422>
    >>> rows.check(rows.convert({"hour": 2.5}, "$.instances[0]"), "$.instances[0]")
    Traceback (most recent call last):
    ninetyfive.serve.rows.Fault: $.instances[0].hour: expected an integer, got the number 2.5. To do: send a whole ...
    """

    def __init__(self, schema: Schema, depth: int = _DEPTH) -> None:
        self.schema = schema
        self._depth = depth
        self._fields = {name: f"f{place}" for place, name in enumerate(schema.names)}
        names = {field: name for name, field in self._fields.items()}
        quick = [_quick(column, f"f{place}") for place, column in enumerate(schema.columns)]
        loose = [(f"f{place}", _LOOSE.get(column.type, Any), None) for place, column in enumerate(schema.columns)]
        self.quick = msgspec.defstruct("Row", quick, rename=names, forbid_unknown_fields=True, kw_only=True)
        self.loose = msgspec.defstruct("AnyRow", loose, rename=names, forbid_unknown_fields=True)
        self._finish = _compiled(schema, depth)

    def convert(self, given: Any, where: str) -> Any:
        """A mapping of JSON values as a loose struct; `Fault` 400 at `where` for unknown columns and wrong types."""
        try:
            return msgspec.convert(given, self.loose)
        except msgspec.ValidationError as error:
            raise _refused(error, where) from None

    def check(self, given: Any, where: str) -> Any:
        """A struct of row scalars; `Outside` where a value breaks a rule, `Fault` 400 where it has a wrong type.

        A quick struct is changed in place.
        """
        return given if self.take(given) else self.judge(given, where)

    def take(self, given: Any) -> bool:
        """Whether a struct surely keeps the schema: then it is one of row scalars now. What is not taken is judged."""
        if type(given) is not self.quick:
            return False
        try:
            return self._finish is None or self._finish(given)
        except DataError:
            return False

    def cells(self, names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
        """The function from a struct of row scalars to the tuple of its values of these columns."""
        fields = [self._fields[name] for name in names]
        if len(fields) == 1:
            one = operator.attrgetter(fields[0])
            return lambda row: (one(row),)
        return operator.attrgetter(*fields) if fields else lambda _: ()

    def judge(self, given: Any, where: str) -> Any:
        """What `check` says of a struct that was not taken."""
        said = {name: getattr(given, field) for name, field in self._fields.items()}
        for column in self.schema.columns:
            value = said[column.name]
            if column.type == "opaque":
                value = said[column.name] = _bytes(value)
                if _deeper(value, self._depth):
                    words = f"nested more than {self._depth} deep"
                    raise Fault(HTTPStatus.BAD_REQUEST, f"{where}.{column.name}", words)
            try:
                values.scalar(value, column.type, f"{where}.{column.name}")
            except DataError as error:
                raise Fault(HTTPStatus.BAD_REQUEST, error.where, _words(error)) from None
        row: dict[str, Any] = {}
        for column in self.schema.columns:
            try:
                row |= Schema((column,)).row({column.name: said[column.name]})
            except DataError as error:
                place = f"{where}.{column.name}"
                return Outside(Fault(HTTPStatus.UNPROCESSABLE_ENTITY, place, _words(error)))
        return self.quick(**{self._fields[name]: value for name, value in row.items()})


def decoder(quick: Any, loose: Any) -> Callable[[bytes], Any]:
    """What decodes a body as `quick`, or else as `loose`; `Fault` 400 says where it is neither."""
    sure, careful = msgspec.json.Decoder(quick).decode, msgspec.json.Decoder(loose).decode

    def decode(body: bytes) -> Any:
        try:
            return sure(body)
        except msgspec.ValidationError:
            return decoded(careful, body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            where, what = _place(body, error)
            raise Fault(HTTPStatus.BAD_REQUEST, where, what) from None

    return decode


def decoded(decode: Callable[[bytes], Any], body: bytes) -> Any:
    """What `decode` makes of a body; `Fault` 400 says where it is no such JSON, as a path where there is one."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise _refused(error, "$") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        where, what = _place(body, error)
        raise Fault(HTTPStatus.BAD_REQUEST, where, what) from None


def _refused(error: msgspec.ValidationError, root: str) -> Fault:
    words, _, path = str(error).partition(" - at `")
    place = path.rstrip("`").removeprefix("$") if path else ""
    return Fault(HTTPStatus.BAD_REQUEST, root + place, words[:1].lower() + words[1:].replace("`", "'"))


def _words(error: DataError) -> str:
    return f"expected {error.expected}, got {error.got}. To do: {error.do}"


def _place(body: bytes, error: Exception) -> tuple[str, str]:
    """Where a body is no JSON: the path of a NaN, an infinity or a lone surrogate, which other encoders write."""
    import json

    if isinstance(error, RecursionError):
        return "$", "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "$", f"not UTF-8 at byte {error.start} of a text"
    try:
        found = next(_odd(json.loads(body), "$"), None)
    except (ValueError, RecursionError):
        found = None
    return found or ("$", f"not JSON: {error}")


def _odd(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _odd(name, f"{path}.~")
            yield from _odd(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _odd(inner, f"{path}[{place}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, f"{value} is no JSON: send null where a number is missing"
    elif isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        yield path.encode("utf-8", "replace").decode(), "a lone surrogate is no Unicode text: remove it"


def _bytes(value: Any) -> Any:
    """`{"b64": text}` as the bytes that it stands for, anything else as it is."""
    if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        import base64
        import binascii

        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            return value
    return value


def _quick(column: ColumnSchema, field: str) -> tuple[str, Any] | tuple[str, Any, None]:
    """A field that takes no value that breaks a type, and none that breaks a rule which msgspec can hold."""
    kind = _QUICK.get(column.type, Any)
    if column.type in ("integer", "number"):
        low, high = column.bound("minimum"), column.bound("maximum")
        if column.type == "integer":
            low = values.INTEGER_MIN if low is None else low
            high = values.INTEGER_MAX if high is None else high
            kind = int
        bounds: dict[str, Any] = {word: bound for word, bound in (("ge", low), ("le", high)) if bound is not None}
        if bounds:
            kind = Annotated[kind, msgspec.Meta(**bounds)]
    return (field, kind | None, None) if column.nullable else (field, kind)


def _deeper(value: Any, depth: int) -> bool:
    """Whether a JSON value holds lists and objects in more than `depth` levels."""
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_deeper(one, depth - 1) for one in inner)


def _opaque(depth: int) -> Callable[[Any], Any]:
    """The function that makes bytes of a value that is not nested too deeply; None for one that is."""
    decode = values.DECODERS["opaque"]
    return lambda given: None if _deeper(given, depth) else decode(_bytes(given), "")


def _compiled(schema: Schema, depth: int) -> Callable[[Any], bool] | None:
    """The function that makes row scalars of the fields in place; false (or `DataError`) where it may not, and then
    nothing is changed. None where there is nothing left to do.
    """
    lines: list[str] = []
    changed: list[str] = []
    scope: dict[str, Any] = {"__builtins__": {}, "tuple": tuple, "opaque": _opaque(depth)}
    for place, column in enumerate(schema.columns):
        inner = list(_lines(column, place, scope))
        if inner:
            value = f"v{place}"
            lines += [f"    {value} = row.f{place}", f"    if {value} is not None:"]
            lines += [f"        {line}" for line in inner]
            if any(line.startswith(f"{value} = ") for line in inner):
                changed.append(f"    row.f{place} = {value}")
    if not lines:
        return None
    text = "\n".join(["def finish(row):", *lines, *changed, "    return True"])
    exec(compile(text, "<rows of a request>", "exec"), scope)
    made: Callable[[Any], bool] = scope["finish"]
    return made


def _lines(column: ColumnSchema, place: int, scope: dict[str, Any]) -> Iterator[str]:
    """What is done with one value that is not null."""
    ordered, v = True, f"v{place}"
    if column.type in values.ELEMENTS:
        yield f"{v} = tuple({v})"
    elif column.type == "opaque":
        yield f"{v} = opaque({v})"
        yield f"if {v} is None: return False"
    elif column.type in ("timestamp", "timestamp[UTC]", "date"):
        scope[f"decode{place}"] = values.DECODERS[column.type]
        yield f'{v} = decode{place}({v}, "")'
    else:
        ordered = column.type == "string"
    for which, refused in (("minimum", "<"), ("maximum", ">")) if ordered else ():
        bound = column.bound(which)
        if bound is not None:
            scope[f"{which}{place}"] = bound
            yield f"if {v} {refused} {which}{place}: return False"
    if column.values:
        scope[f"values{place}"] = frozenset(column.allowed())
        yield f"if {v} not in values{place}: return False"
